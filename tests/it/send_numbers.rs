//! `send`: which numbers it takes, and what becomes of the others.

use serde_json::Value;

use crate::support::{Environment, FakeProvider, NUMBER, Reply, error_of};

/// What libphonenumber calls invalid, or no number at all.
const INVALID: [&str; 7] = [
    "+15551234567",
    "+1415555267",
    "+14155552671000000",
    "+999123456789",
    "not-a-number",
    "+",
    "4155552671",
];

#[test]
fn an_invalid_number_is_refused_before_anything_is_written_or_sent() {
    let provider = FakeProvider::twilio().never_called();
    for number in INVALID {
        let environment = provider.environment();
        let run = environment.run(&["send", number]).expect_code(2);
        assert!(run.stderr.starts_with("error: "), "{run:#?}");
        assert!(run.stderr.contains(number), "{run:#?}");
        assert!(!run.stdout.contains("eyJ"), "no token where nothing is stored: {run:#?}");
        environment.expect_no_database();
    }
}

#[test]
fn json_reports_an_invalid_number_as_it_was_given() {
    for number in INVALID {
        let environment = Environment::sandbox("");
        let line = environment.run(&["--format", "json", "send", number]).expect_code(2).json();
        assert_eq!(line["phone_number"], number, "{line:#}");
        assert_eq!(error_of(&line), ("invalid_number", None), "{line:#}");
        environment.expect_no_database();
    }
}

#[test]
fn an_empty_number_is_refused_and_called_empty() {
    for number in ["", " ", "\n"] {
        let environment = Environment::sandbox("");
        let run = environment.run(&["send", number]).expect_code(2);
        assert_eq!(run.stderr, "error: phone number: it is empty\n");
        assert_eq!(run.stdout, "(empty) not sent\n");
        let json = environment.run(&["--format", "json", "send", number]).expect_code(2).json();
        assert_eq!(json["phone_number"], number);
        environment.expect_no_database();
    }
}

#[test]
fn what_is_no_number_is_shown_on_one_line() {
    let run = Environment::sandbox("").run(&["send", "no\nnumber"]).expect_code(2);
    assert_eq!(run.stdout, "no number not sent\n");
    assert_eq!(run.stderr.lines().count(), 1, "{run:#?}");
}

#[test]
fn an_invalid_number_among_several_fails_alone() {
    let environment = Environment::sandbox("");
    let arguments = ["--format", "json", "send", NUMBER, "+15551234567", "nonsense"];
    let lines = environment.run(&arguments).expect_code(3).json_lines();
    let line_of = |number: &str| {
        lines.iter().find(|line| line["phone_number"] == number).expect("a line for each")
    };
    assert_eq!(line_of(NUMBER)["status"], "sent");
    assert_eq!(error_of(line_of("+15551234567")), ("invalid_number", None));
    assert_eq!(error_of(line_of("nonsense")), ("invalid_number", None));
    assert_eq!(lines.len(), 3);
    assert_eq!(environment.record().phone_number, NUMBER);
}

#[test]
fn in_text_too_an_invalid_number_among_several_fails_alone() {
    let environment = Environment::sandbox("");
    let run = environment.run(&["send", "+15551234567", NUMBER]).expect_code(3);
    assert!(run.stderr.contains("+15551234567"), "{run:#?}");
    assert!(run.stdout.contains(&environment.record().session_token), "{run:#?}");
    assert_eq!(run.stdout.matches("eyJ").count(), 2, "one token, of two parts in JSON: {run:#?}");
}

#[test]
fn several_numbers_of_which_none_is_valid_are_a_usage_error() {
    let environment = Environment::sandbox("");
    let arguments = ["--format", "json", "send", "+15551234567", "nonsense"];
    let run = environment.run(&arguments).expect_code(2);
    assert!(run.json_lines().iter().all(|line| error_of(line).0 == "invalid_number"), "{run:#?}");
    assert_eq!(run.json_lines().len(), 2, "{run:#?}");
    environment.expect_no_database();
}

#[test]
fn a_number_may_come_in_any_form_that_says_its_country() {
    for (given, number) in [
        ("+1 (415) 555-2671", NUMBER),
        ("+1-415-555-2671", NUMBER),
        ("tel:+1-415-555-2671", NUMBER),
        ("+44 20 7946 0018", "+442079460018"),
    ] {
        let environment = Environment::sandbox("");
        let line = environment.run(&["--format", "json", "send", given]).expect_code(0).json();
        assert_eq!(line["phone_number"], number);
        assert_eq!(environment.record().phone_number, number);
    }
}

#[test]
fn a_number_without_a_plus_belongs_to_the_default_region() {
    for (region, given, number) in [
        ("US", "(415) 555-2671", NUMBER),
        ("US", "4155552671", NUMBER),
        ("GB", "020 7946 0018", "+442079460018"),
        ("GB", "+1 415 555 2671", NUMBER),
    ] {
        let environment = Environment::sandbox(&format!("default_region = \"{region}\""));
        environment.run(&["send", given]).expect_code(0);
        assert_eq!(environment.record().phone_number, number, "{given} in {region}");
    }
}

#[test]
fn a_number_that_is_invalid_in_the_default_region_is_refused() {
    let environment = Environment::sandbox("default_region = \"GB\"");
    let run = environment.run(&["--format", "json", "send", "4155552671"]).expect_code(2);
    assert_eq!(run.json()["error"]["kind"], "invalid_number", "{run:#?}");
    environment.expect_no_database();
}

#[test]
fn an_invalid_number_beside_a_refused_one_leaves_nothing_sent() {
    let provider = FakeProvider::twilio();
    provider.always(Reply::twilio_error(401, 20003, "Authenticate"));
    let environment = provider.environment();
    let arguments = ["--format", "json", "send", "+15551234567", NUMBER];
    let run = environment.run(&arguments).expect_code(1);
    let statuses: Vec<Value> = run.json_lines().iter().map(|line| line["status"].clone()).collect();
    assert_eq!(statuses, ["failed", "failed"]);
    assert_eq!(environment.records(), []);
}
