//! A database whose triggers keep rows as they are, with an error or without one: nothing may be told that did not happen.

use std::collections::BTreeSet;

use crate::support::{
    CODE, Delivery, Environment, FakeProvider, NUMBER, Record, SEND_FILE, TOKEN, WRONG_CODE,
    error_of, numbers,
};

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
    assert!(
        run.stderr.contains("\nhint: `sqlite3 phone-verify.sqlite3 .schema` shows the triggers\n"),
        "{run:#?}"
    );
}

#[test]
fn a_code_whose_record_does_not_stay_is_not_sent() {
    let provider = FakeProvider::twilio().never_called();
    let environment = provider.environment();
    environment.run(&["migrate"]).expect_code(0);
    for (table, change) in [
        ("sms_verification", "DELETE FROM sms_verification"),
        ("sms_verification", "UPDATE sms_verification SET phone_number = '+'"),
        ("sms_verification", "UPDATE sms_verification SET security_code = 'hidden'"),
        ("sms_verification", "UPDATE sms_verification SET session_token = ''"),
        ("sms_verification", "UPDATE sms_verification SET is_verified = 1"),
        ("sms_delivery", "DELETE FROM sms_delivery"),
        ("sms_delivery", "DELETE FROM sms_verification"),
        ("sms_delivery", "UPDATE sms_verification SET security_code = 'hidden'"),
        ("sms_delivery", "UPDATE sms_delivery SET phone_number = '+'"),
        ("sms_delivery", "UPDATE sms_delivery SET state = 'rejected'"),
    ] {
        let id = if change.contains(table) { "new.id" } else { "new.verification_id" };
        environment.execute(&[
            "DROP TRIGGER IF EXISTS changed",
            &format!(
                "CREATE TRIGGER changed AFTER INSERT ON {table}
                 BEGIN {change} WHERE id = {id}; END"
            ),
        ]);
        let run = environment.run(&["send", NUMBER]).expect_code(1);
        assert!(run.stderr.contains("trigger"), "{change}: {run:#?}");
    }
    assert_eq!((environment.count(), environment.states().len()), (0, 0));
}

#[test]
fn an_outcome_that_is_not_stored_is_an_error() {
    for trigger in [
        "BEFORE UPDATE ON sms_delivery BEGIN SELECT RAISE(IGNORE); END",
        "AFTER UPDATE ON sms_delivery WHEN new.state <> 'rejected'
            BEGIN UPDATE sms_delivery SET state = 'rejected' WHERE id = new.id; END",
    ] {
        let environment = Environment::with_database("");
        environment.execute(&[&format!("CREATE TRIGGER changed {trigger}")]);
        let run = environment.run(&["send", NUMBER]).expect_code(1);
        assert!(run.stderr.contains("was sent, but that can't be stored"), "{trigger}: {run:#?}");
    }
}

#[test]
fn a_database_that_fails_midway_hides_neither_what_was_sent_nor_what_was_not() {
    let provider = FakeProvider::twilio();
    let environment = provider.environment_with("", "[delivery]\nmax_in_flight = 1");
    environment.run(&["migrate"]).expect_code(0);
    let [sent, refused, waiting] = ["+12025550101", "+12025550102", "+12025550103"];
    environment.execute(&[&format!(
        "CREATE TRIGGER refused BEFORE INSERT ON sms_verification WHEN new.phone_number = '{refused}'
         BEGIN SELECT RAISE(ABORT, 'no room for ' || new.security_code || new.session_token); END"
    )]);
    let run = environment.run(&["--format", "json", "send", sent, refused, waiting]);
    let run = run.expect_code(3);
    assert_eq!(run.numbers_with("status", "sent"), [sent]);
    assert_eq!(run.numbers_with("status", "failed"), [refused, waiting]);
    let lines = run.json_lines();
    let line = lines.iter().find(|line| line["phone_number"] == refused).expect("its line");
    assert_eq!(error_of(line), ("unavailable", None));
    // What a trigger says may contain a code, so its own words aren't shown.
    let words = "a trigger refused the change";
    assert!(line["error"]["message"].as_str().expect("words").ends_with(words), "{line:#}");
    assert!(run.stderr.contains("error: ") && run.stderr.contains(words), "{run:#?}");
    assert!(!(run.stdout + &run.stderr).contains("no room"));
    assert_eq!(provider.accepted_numbers(), [sent]);
}

#[test]
fn an_answer_that_a_trigger_takes_back_is_not_given() {
    for (code, change) in [(WRONG_CODE, "failed_attempts = 0"), (CODE, "is_verified = 0")] {
        let environment = Environment::with_record();
        environment.execute(&[&format!(
            "CREATE TRIGGER changed AFTER UPDATE ON sms_verification
             WHEN new.failed_attempts > 0 OR new.is_verified
             BEGIN UPDATE sms_verification SET {change} WHERE id = new.id; END"
        )]);
        let run = environment.run(&["verify", NUMBER, code, "--session-token", TOKEN]);
        let run = run.expect_code(1);
        assert!(run.stdout.is_empty() && run.stderr.contains("trigger"), "{run:#?}");
    }
}

#[test]
fn a_purge_of_rows_that_come_back_comes_to_an_end() {
    let environment = Environment::with_record();
    environment.execute(&["CREATE TRIGGER again AFTER DELETE ON sms_verification BEGIN
            INSERT INTO sms_verification VALUES (old.id, old.created_at, old.modified_at,
                old.phone_number, old.security_code, old.session_token, 0, 0); END"]);
    let run = environment.run(&["purge", "--phone-number", NUMBER]).expect_code(1);
    assert!(run.stdout.is_empty() && run.stderr.contains("trigger"), "{run:#?}");
    assert_eq!(environment.count(), 1);
}

#[test]
fn a_trigger_that_only_writes_down_what_goes_keeps_nothing_from_being_purged() {
    let environment = Environment::with_record();
    environment.execute(&["CREATE TABLE gone (id text); CREATE TRIGGER noted AFTER DELETE
            ON sms_verification BEGIN INSERT INTO gone VALUES (old.id); END"]);
    environment.run(&["purge", "--phone-number", NUMBER]).expect_code(0);
    assert_eq!(environment.count(), 0);
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

#[test]
fn a_record_that_can_not_be_stored_does_not_undo_what_is_stored_with_it() {
    let numbers = numbers(200);
    let environment = Environment::with_database("");
    environment.write_numbers(&numbers);
    environment.run(&SEND_FILE).expect_code(0);
    environment.execute(&[&format!(
        "CREATE TRIGGER refused BEFORE INSERT ON sms_verification WHEN NEW.phone_number = '{}'
         BEGIN SELECT RAISE(ABORT, 'full'); END",
        numbers[100]
    )]);
    let before = environment.deliveries().len();
    let run = environment.run(&SEND_FILE).expect_code(3);
    let lines = run.json_lines();
    assert_eq!(lines.len(), numbers.len(), "each number has its line");
    let sent = lines.iter().filter(|line| line["status"] == "sent");
    let sent: BTreeSet<_> = sent.filter_map(|line| line["phone_number"].as_str()).collect();
    let records = environment.records();
    for delivery in environment.deliveries().split_off(before) {
        let Delivery { phone_number, state, .. } = &delivery;
        let expected =
            if sent.contains(phone_number.as_str()) { "accepted" } else { "unavailable" };
        assert_eq!(state, expected, "{delivery:?}");
        // A code that was accepted replaces the earlier one, any other gives way to it.
        let of_number = records.iter().filter(|record| record.phone_number == *phone_number);
        assert_eq!(of_number.count(), 1, "{delivery:?}");
    }
    let refused = run.stderr.lines().filter(|line| line.contains("refused"));
    let refused: Vec<_> = refused.collect();
    assert!(matches!(refused[..], [error] if error.contains(&numbers[100])), "{refused:#?}");
}
