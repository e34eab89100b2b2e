//! A database whose triggers keep rows as they are, without an error: nothing may be told that did not happen.

use crate::fake_provider::FakeProvider;
use crate::records::{Record, TOKEN, WRONG_CODE};
use crate::support::{Environment, NUMBER};

/// A trigger that lets nothing happen to a record, and no statement fail.
fn ignore(event: &str) -> String {
    format!(
        "CREATE TRIGGER kept BEFORE {event} ON sms_verification BEGIN SELECT RAISE(IGNORE); END"
    )
}

#[test]
fn a_wrong_code_that_is_not_counted_is_not_answered() {
    let environment = Environment::console("");
    environment.insert(&Record::default());
    environment.execute(&[&ignore("UPDATE")]);
    let run = environment.run(&["verify", NUMBER, WRONG_CODE, "--session-token", TOKEN]);
    let run = run.expect_code(1);
    assert_eq!(run.stdout, "");
    assert!(run.stderr.contains("trigger"), "{run:#?}");
}

#[test]
fn a_code_whose_record_is_not_stored_is_not_sent() {
    let provider = FakeProvider::twilio().never_called();
    let environment = provider.environment();
    environment.run(&["migrate"]).expect_code(0);
    environment.execute(&[&ignore("INSERT")]);
    let run = environment.run(&["send", NUMBER]).expect_code(1);
    assert!(run.stderr.contains("trigger"), "{run:#?}");
}

#[test]
fn a_purge_of_records_that_stay_comes_to_an_end() {
    let environment = Environment::console("");
    environment.insert(&Record::default());
    environment.execute(&[&ignore("DELETE")]);
    let run = environment.run(&["purge", "--phone-number", NUMBER]).expect_code(1);
    assert!(run.stderr.contains("trigger"), "{run:#?}");
    assert_eq!(environment.count(), 1);
}
