//! The types of numbers: which may be sent to, and where they are shown.

use serde_json::json;

use crate::support::{Environment, FakeProvider, NUMBER, error_of};

/// Numbers that libphonenumber has as examples of their types.
const FIXED_LINE: &str = "+442079460018";
const PREMIUM_RATE: &str = "+19002345678";
const PAGER: &str = "+447640123456";

const NOTE: &str = "note: +442079460018 is a fixed line, which an SMS often can't reach\n";

#[test]
fn a_type_that_is_not_allowed_is_limited_before_anything_is_written() {
    for (limits, allowed, refused, refused_type) in [
        ("", FIXED_LINE, PREMIUM_RATE, "premium_rate"),
        ("[limits]\nmax_per_hour = 9", NUMBER, PAGER, "pager"),
        ("[limits]\nallowed_types = [\"premium_rate\"]", PREMIUM_RATE, FIXED_LINE, "fixed_line"),
    ] {
        let provider = FakeProvider::twilio();
        let environment = provider.environment_with("", limits);
        environment.run(&["migrate"]).expect_code(0);
        let run = environment.run(&["--format", "json", "send", refused]).expect_code(1);
        let line = run.json();
        let message = format!("limits.allowed_types does not allow the type {refused_type}");
        assert_eq!(error_of(&line), ("limited", None));
        assert_eq!(line["error"]["message"], message);
        assert_eq!(line["error"]["retry_at"], json!(null));
        let words = format!(
            "error: {refused} was not sent: {message}\nhint: --ignore-limits sends it anyway\n"
        );
        assert_eq!(run.stderr, words);
        assert_eq!((environment.records().len(), environment.deliveries().len()), (0, 0));
        environment.run(&["send", allowed]).expect_code(0);
        environment.run(&["send", "--ignore-limits", refused]).expect_code(0);
        assert_eq!(environment.records().len(), 2);
    }
}

#[test]
fn a_dry_run_shows_the_type_and_a_note_for_a_fixed_line() {
    let environment = Environment::sandbox("");
    for (number, number_type, words, note) in [
        (NUMBER, "fixed_line_or_mobile", "fixed line or mobile", ""),
        ("+447400123456", "mobile", "mobile", ""),
        (FIXED_LINE, "fixed_line", "fixed line", NOTE),
    ] {
        let dry_run = ["send", "--dry-run", number];
        let run = environment.run(&dry_run).expect_code(0);
        let text = "Welcome to Phone Verify! Please use security code 123456 to proceed.";
        assert_eq!(run.stdout, format!("{number} GSM-7, 1 segment, {words}: {text}\n"));
        assert_eq!(run.stderr, note);
        let quiet = environment.run(&[&["--quiet"], &dry_run[..]].concat()).expect_code(0);
        assert_eq!(quiet.stderr, "");
        let run = environment.run(&[&["--format", "json"], &dry_run[..]].concat()).expect_code(0);
        assert_eq!(run.json()["number_type"], number_type);
    }
    environment.write("numbers", &format!("{NUMBER}\n{FIXED_LINE}\n"));
    let run = environment.run(&["send", "--dry-run", "--file", "numbers"]).expect_code(0);
    assert!(run.stderr.contains(&NOTE.replace("note: ", "note: line 2: ")), "{run:#?}");
}

#[test]
fn status_shows_the_type_and_says_what_a_fixed_line_is() {
    let environment = Environment::with_database("");
    for (number, number_type, words) in [
        (NUMBER, json!("fixed_line_or_mobile"), "\ntype: fixed line or mobile\n"),
        (FIXED_LINE, json!("fixed_line"), "\ntype: fixed line\n"),
        (PREMIUM_RATE, json!("premium_rate"), "\ntype: premium rate\n"),
        ("+15551234567", json!(null), ""),
        ("+0", json!(null), ""),
    ] {
        let run = environment.run(&["status", number]).expect_code(0);
        assert_eq!(run.stdout.contains("type: "), !words.is_empty(), "{run:#?}");
        assert!(run.stdout.contains(words), "{run:#?}");
        let warnings = run.stdout.matches("a fixed line, which an SMS often can't reach").count();
        assert_eq!(warnings, usize::from(number == FIXED_LINE), "{run:#?}");
        assert_eq!(run.stderr, "");
        let run = environment.run(&["--format", "json", "status", number]).expect_code(0);
        assert_eq!(run.json().get("number_type"), Some(&number_type), "{number}");
    }
}
