//! `status` says first what keeps a code from the person, and never advises to repeat what can't work.

use serde_json::Value;

use crate::support::{
    Environment, FakeProvider, NUMBER, OTHER_NUMBER, PastDelivery, Record, Reply, Time,
};

/// A landline, from the range that Ofcom keeps free for drama.
const LANDLINE: &str = "+442079460018";

const TWILIO: &str = "backend = \"twilio\"
[options]
sid = \"AC00000000000000000000000000000000\"
secret = \"unused\"
from = \"+14155550100\"
";

/// Runs `status` on a number whose newest delivery has this state and code, and which has a record of this age, if any.
#[track_caller]
fn status(number: &str, delivery: (&str, Option<&str>), record: Option<i64>) -> Value {
    let environment = Environment::with_settings(TWILIO);
    environment.run(&["migrate"]).expect_code(0);
    let record = record.map(|age| {
        let created_at = Time::Ago(age);
        environment.insert(&Record { phone_number: number, created_at, ..Record::default() })
    });
    let (state, code) = delivery;
    let mut past = PastDelivery { phone_number: number, state, ..PastDelivery::default() };
    if let Some(id) = &record {
        past.verification_id = id;
    }
    environment.insert_delivery(&past);
    let update = "UPDATE sms_delivery SET error_code = ?1";
    environment.database().execute(update, [code]).expect("the ledger is there");
    environment.run(&["--format", "json", "status", number]).expect_code(0).json()
}

#[track_caller]
fn expect_says(json: &Value, verdict: &str, message: &str, next: &str) {
    assert_eq!(json["verdict"], verdict, "{json:#}");
    for (key, part) in [("message", message), ("next", next)] {
        let said = json[key].as_str().expect("a sentence").to_lowercase();
        assert!(said.contains(&part.to_lowercase()), "{key}: {said}");
    }
}

#[test]
fn the_newest_delivery_comes_first_if_it_is_the_obstacle() {
    let (fresh, old) = (Some(60), Some(700));
    for (delivery, record, verdict, message, next) in [
        (
            ("rejected", Some("21610")),
            None,
            "never_accepted",
            "replied STOP",
            "text START to +14155550100, then phone-verify send +14155552671.",
        ),
        (("undelivered", Some("30006")), fresh, "undelivered", "landline", "mobile number"),
        (("undelivered", Some("30007")), fresh, "undelivered", "filtered", "reword"),
        (("undelivered", Some("30003")), old, "expired", "switched off", "reception"),
        (("undelivered", None), fresh, "undelivered", "didn't arrive", "phone-verify send"),
        (("rejected", Some("21610")), fresh, "verifiable", "STOP", "earlier SMS; otherwise: ask"),
        (("rejected", Some("99999")), old, "expired", "wasn't sent", "fix what the provider"),
        (("accepted", None), old, "expired", "expired", "phone-verify send"),
    ] {
        let json = status(NUMBER, delivery, record);
        expect_says(&json, verdict, message, next);
    }
}

#[test]
fn people_read_what_a_code_means_once() {
    let environment = Environment::with_settings(TWILIO);
    environment.run(&["migrate"]).expect_code(0);
    for (id, code, age) in [(1, "30007", 300), (2, "21610", 60), (3, "21610", 30)] {
        environment.insert_delivery(&PastDelivery { state: "rejected", age, ..Default::default() });
        let update = "UPDATE sms_delivery SET error_code = ?1 WHERE id = ?2";
        environment.database().execute(update, (code, id)).expect("the ledger is there");
    }
    let run = environment.run(&["status", NUMBER]).expect_code(0);
    for (words, times) in [
        ("replied STOP", 1),
        ("text START", 1),
        ("filtered", 1),
        ("  meaning  ", 1),
        ("  advice", 1),
    ] {
        assert_eq!(run.stdout.matches(words).count(), times, "{words}: {run:#?}");
    }
}

#[test]
fn a_landline_is_never_to_be_sent_to_again_unless_an_sms_has_reached_it() {
    for (state, record, verdict) in [
        ("accepted", Some(700), "expired"),
        ("undelivered", Some(60), "undelivered"),
        ("accepted", None, "none"),
        ("unavailable", None, "never_accepted"),
    ] {
        let json = status(LANDLINE, (state, None), record);
        expect_says(&json, verdict, "", "ask the person for a mobile number");
    }
    let json = status(LANDLINE, ("delivered", None), Some(700));
    expect_says(&json, "expired", "", &format!("phone-verify send {LANDLINE}"));
}

#[test]
fn a_passing_problem_is_an_obstacle_for_an_hour() {
    let environment = Environment::with_database("");
    let age = |seconds| PastDelivery { state: "unavailable", age: seconds, ..Default::default() };
    environment.insert_delivery(&age(3500));
    let status = || environment.run(&["--format", "json", "status", NUMBER]).json();
    expect_says(&status(), "never_accepted", "wasn't sent", "fix what the provider");
    environment.execute(&["DELETE FROM sms_delivery"]);
    environment.insert_delivery(&age(3700));
    expect_says(&status(), "never_accepted", "no provider", &format!("phone-verify send {NUMBER}"));
}

#[test]
fn what_the_limits_refuse_is_no_advice() {
    let environment = Environment::with_database("[limits]\nresend_cooldown_seconds = 600");
    environment.insert_delivery(&PastDelivery { age: 300, ..PastDelivery::default() });
    let status = |number| environment.run(&["--format", "json", "status", number]).json();
    expect_says(
        &status(NUMBER),
        "none",
        "",
        "in 5 min (limits.resend_cooldown_seconds is reached)",
    );
    expect_says(&status(OTHER_NUMBER), "none", "", &format!("phone-verify send {OTHER_NUMBER}"));
    let environment = Environment::with_database("[limits]\nallowed_regions = [\"GB\"]");
    let json = environment.run(&["--format", "json", "status", NUMBER]).json();
    expect_says(&json, "none", "", "nothing can be sent to this number: limits.allowed_regions");
}

#[test]
fn a_code_that_replaced_another_one_says_so() {
    let provider = FakeProvider::twilio();
    let environment = provider.environment();
    environment.send(NUMBER);
    let message = || {
        let json = environment.run(&["--format", "json", "status", NUMBER]).json();
        json["message"].as_str().unwrap().to_owned()
    };
    assert!(!message().contains("replaced"));
    environment.send(NUMBER);
    assert!(message().contains("earlier codes were replaced"), "{}", message());
    // Nobody knows whether this SMS arrives, so the code before it stays.
    provider.always(Reply::close());
    environment.run(&["send", NUMBER]).expect_code(1);
    assert!(message().ends_with("an earlier code only with its session token"), "{}", message());
}

#[test]
fn the_first_line_has_the_colour_of_the_verdict() {
    for (record, color) in [
        (Record::default(), "[32m"),
        (Record { created_at: Time::Ago(700), ..Record::default() }, "[33m"),
        (Record { failed_attempts: 5, ..Record::default() }, "[31m"),
    ] {
        let environment = Environment::with_database("");
        environment.insert(&record);
        let run = environment.run(&["--color", "always", "status", NUMBER]).expect_code(0);
        let first = run.stdout.lines().next().unwrap();
        assert!(first.starts_with(&format!("\u{1b}{color}{NUMBER}: ")), "{first:?}");
        assert!(first.ends_with("\u{1b}[0m") && !run.stdout[first.len()..].contains('\u{1b}'));
    }
}

#[test]
fn several_numbers_are_shown_one_below_the_other_and_in_json_a_line_each() {
    let environment = Environment::with_database("");
    environment.insert(&Record::default());
    let run = environment.run(&["status", NUMBER, OTHER_NUMBER]).expect_code(0);
    let blocks: Vec<_> = run.stdout.split(&format!("\n\n{OTHER_NUMBER}: ")).collect();
    assert!(blocks.len() == 2 && blocks[0].starts_with(&format!("{NUMBER}: ")), "{run:#?}");
    let json = environment.run(&["--format", "json", "status", NUMBER, OTHER_NUMBER]);
    let numbers: Vec<_> =
        json.json_lines().iter().map(|line| line["phone_number"].clone()).collect();
    assert_eq!(numbers, [NUMBER, OTHER_NUMBER]);
}

#[test]
fn the_last_digits_find_a_number_wherever_it_is_known_from() {
    let environment = Environment::with_database("default_region = \"US\"");
    environment.insert(&Record::default());
    environment.insert_delivery(&PastDelivery { phone_number: OTHER_NUMBER, ..Default::default() });
    for (digits, number) in [("2671", NUMBER), ("0143", OTHER_NUMBER)] {
        let run = environment.run(&["status", digits]).expect_code(0);
        assert!(run.stdout.starts_with(&format!("{number}: ")), "{run:#?}");
        assert!(run.stdout.contains("\nnext: ") && run.stderr.is_empty(), "{run:#?}");
    }
    // A whole number of the region is just that.
    let run = environment.run(&["status", "2025550143"]).expect_code(0);
    assert!(run.stdout.starts_with(&format!("{OTHER_NUMBER}: ")), "{run:#?}");
    let run = environment.run(&["status", "9999"]).expect_code(0);
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("", "note: no number ends in 9999\n"));
    let run = environment.run(&["status", "671"]).expect_code(2);
    assert!(run.stderr.contains("find numbers by 4 or more last digits"), "{run:#?}");
}

#[test]
fn a_number_that_cannot_be_read_is_named_and_hides_no_other_that_ends_alike() {
    for table in ["sms_verification", "sms_delivery"] {
        let environment = Environment::with_database("");
        let id = environment.insert(&Record { session_token: "damaged", ..Record::default() });
        environment.insert_delivery(&PastDelivery::default());
        environment.execute(&[&format!("UPDATE {table} SET phone_number = X'2bff32363731'")]);
        environment.insert(&Record::default());
        let run = environment.run(&["--format", "json", "status", "2671"]).expect_code(1);
        assert_eq!(run.json()["phone_number"], NUMBER);
        let row = if table == "sms_verification" { &id } else { "rowid 1" };
        let error = format!(
            "error: table {table}, row {row}, column phone_number: it is not UTF-8 text; the row is left out\n"
        );
        assert_eq!(run.stderr, error);
    }
}

#[test]
fn what_verify_cannot_find_is_no_advice() {
    // Neither a command with it would work, nor may a shell run what others stored.
    for number in ["4155552671", "+1 415 555 2671", "$(reboot) 2671"] {
        let environment = Environment::with_database("default_region = \"US\"");
        for (age, verdict) in [(60, "verifiable"), (700, "expired")] {
            let session_token = verdict;
            let created_at = Time::Ago(age);
            environment.execute(&["DELETE FROM sms_verification"]);
            environment.insert(&Record {
                phone_number: number,
                session_token,
                created_at,
                ..Record::default()
            });
            let json = environment.run(&["--format", "json", "status", "2671"]).expect_code(0);
            expect_says(&json.json(), verdict, "", "check the number: it isn't stored as +");
        }
    }
}

#[test]
fn of_several_numbers_that_end_alike_the_first_lines_are_shown_the_newest_first() {
    let environment = Environment::with_database("");
    for (age, number) in [(90, "+442079460143"), (30, OTHER_NUMBER)] {
        environment.insert(&Record {
            phone_number: number,
            created_at: Time::Ago(age),
            ..Record::default()
        });
    }
    let run = environment.run(&["status", "0143"]).expect_code(0);
    let words = "the code can be verified; it expires in";
    let lines: Vec<_> = run.stdout.lines().collect();
    assert_eq!(lines.len(), 2, "{run:#?}");
    assert!(lines[0].starts_with(&format!("{OTHER_NUMBER}: {words}")), "{run:#?}");
    assert!(lines[1].starts_with(&format!("+442079460143: {words}")), "{run:#?}");
    assert_eq!(run.stderr, "note: 2 numbers end in 0143; name one of them\n");
    let json = environment.run(&["--format", "json", "status", "0143"]).expect_code(0);
    assert_eq!(json.json_lines().len(), 2);
}

#[test]
fn of_very_many_numbers_that_end_alike_twenty_are_shown() {
    let environment = Environment::with_database("");
    for area in 200..=220 {
        let phone_number = format!("+1{area}5550143");
        environment.insert(&Record { phone_number: &phone_number, ..Record::default() });
    }
    let run = environment.run(&["status", "0143"]).expect_code(0);
    assert_eq!(run.stdout.lines().count(), 20, "{run:#?}");
    assert_eq!(run.stderr, "note: more numbers end in 0143; give more digits\n");
}

#[test]
fn the_unquoted_parts_of_a_number_get_a_hint() {
    let environment = Environment::with_database("");
    for command in ["send", "status", "list", "purge", "deliveries"] {
        let run = environment.run(&[command, "+1", "415", "555", "2671"]).expect_code(2);
        assert!(run.stderr.ends_with("hint: quote it: '+1 415 555 2671'\n"), "{run:#?}");
        assert_eq!(run.stdout, "");
    }
    // One part may be another number by itself.
    let environment = Environment::console("default_region = \"US\"");
    let run = environment.run(&["send", "+44", "2079460018"]).expect_code(2);
    assert!(run.stderr.ends_with("hint: quote it: '+44 2079460018'\n"), "{run:#?}");
    assert_eq!(environment.count(), 0);
}
