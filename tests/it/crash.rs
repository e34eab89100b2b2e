//! `kill -9` between the steps of a send: no code that was delivered is ever without its record, no earlier code is lost,
//! and the next send clears up.

use std::process::Child;

use crate::support::{
    Environment, FakeProvider, NUMBER, Reply, Run, StoredRecord, code_in, finish, has_open,
    wait_until,
};

/// Ends the program as `kill -9` does: nothing of it runs any more.
#[track_caller]
fn kill(mut program: Child) {
    program.kill().expect("it still runs");
    assert_eq!(finish(program).code, None, "it had ended before it was killed");
}

/// Asserts that every accepted message's code is stored for its number, and that the database is sound.
#[track_caller]
fn expect_a_record_for_each_accepted_message(provider: &FakeProvider, environment: &Environment) {
    let integrity: String = environment
        .database()
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .expect("a check");
    assert_eq!(integrity, "ok");
    environment.expect_records_of(&provider.accepted());
}

/// Asserts that the number's earlier record and one more are there, and returns that one.
#[track_caller]
fn second_record(environment: &Environment, earlier: &StoredRecord) -> StoredRecord {
    let records = environment.records();
    assert_eq!(records.len(), 2, "{records:#?}");
    assert_eq!(records[0], *earlier);
    records[1].clone()
}

/// Runs `verify` with a code against the newest record of [`NUMBER`].
fn verify_any_session(environment: &Environment, code: &str) -> Run {
    environment.run(&["verify", NUMBER, code, "--any-session"])
}

/// Asserts that both codes work and that the next send leaves its own record alone.
#[track_caller]
fn expect_recovery(environment: &Environment, earlier: &StoredRecord, newer: &StoredRecord) {
    verify_any_session(environment, &newer.security_code).expect_code(0);
    environment.verify(earlier).expect_code(0);
    let next = environment.send(NUMBER);
    assert_eq!(environment.record(), next);
    environment.verify(&next).expect_code(0);
}

#[test]
fn killed_while_it_waits_to_store_the_record_it_has_sent_nothing() {
    let provider = FakeProvider::twilio();
    let environment = provider.environment();
    let earlier = environment.send(NUMBER);
    let database = environment.database();
    database.execute_batch("BEGIN IMMEDIATE").expect("nobody else writes");
    let program = environment.start(&["send", NUMBER]);
    let path = environment.path("phone-verify.sqlite3").canonicalize().expect("it is there");
    wait_until("the program opens the database", || has_open(&program, &path));
    kill(program);
    database.execute_batch("ROLLBACK").expect("the lock was held to here");
    assert_eq!(environment.record(), earlier);
    assert_eq!(provider.requests().len(), 1, "nothing left before the record was stored");
    verify_any_session(&environment, &earlier.security_code).expect_code(0);
    let next = environment.send(NUMBER);
    assert_eq!(environment.record(), next);
}

#[test]
fn killed_while_the_provider_holds_the_request_the_code_has_its_record_already() {
    let provider = FakeProvider::twilio();
    let environment = provider.environment();
    let earlier = environment.send(NUMBER);
    let held = provider.hold_next();
    let program = environment.start(&["send", NUMBER]);
    let request = held.wait_for_arrival();
    let newer = second_record(&environment, &earlier);
    assert_eq!(code_in(&request.field("Body")), newer.security_code);
    kill(program);
    held.release(Reply::accept());
    provider.wait_until("the second acceptance", |log| log.accepted.len() == 2);
    assert_eq!(second_record(&environment, &earlier), newer);
    expect_a_record_for_each_accepted_message(&provider, &environment);
    expect_recovery(&environment, &earlier, &newer);
}

#[test]
fn killed_before_it_could_settle_what_the_provider_answered_both_codes_are_there() {
    for reply in [
        Reply::accept(),
        Reply::twilio_error(400, 21211, "Invalid 'To' Phone Number"),
        Reply::close().although_accepted(),
    ] {
        let provider = FakeProvider::twilio();
        let environment = provider.environment();
        let earlier = environment.send(NUMBER);
        let held = provider.hold_next();
        let mut program = environment.start(&["send", NUMBER]);
        held.wait_for_arrival();
        let database = environment.database();
        database.execute_batch("BEGIN IMMEDIATE").expect("no transaction is open while it waits");
        held.release(reply);
        provider.wait_until("the answer", |log| log.finished == 2);
        // Where there is nothing to settle the program may have ended by itself.
        let _ = program.kill();
        finish(program);
        database.execute_batch("ROLLBACK").expect("the lock was held to here");
        let newer = second_record(&environment, &earlier);
        expect_a_record_for_each_accepted_message(&provider, &environment);
        expect_recovery(&environment, &earlier, &newer);
    }
}

#[test]
fn killed_between_two_attempts_it_leaves_the_earlier_code_working() {
    let provider = FakeProvider::twilio();
    let environment = provider.environment_with("", "[delivery]\nmax_attempts = 20");
    let earlier = environment.send(NUMBER);
    provider.always(Reply::twilio_error(503, 20503, "Service Unavailable"));
    let program = environment.start(&["send", NUMBER]);
    provider.wait_until("the first of its attempts", |log| log.finished == 2);
    kill(program);
    let newer = second_record(&environment, &earlier);
    provider.always(Reply::accept());
    expect_recovery(&environment, &earlier, &newer);
}

#[test]
fn killed_during_its_very_first_send_it_leaves_a_database_that_works() {
    let provider = FakeProvider::nexmo();
    let environment = provider.environment();
    let held = provider.hold_next();
    let program = environment.start(&["send", NUMBER]);
    held.wait_for_arrival();
    kill(program);
    held.release(Reply::accept());
    provider.wait_until("the acceptance", |log| log.accepted.len() == 1);
    expect_a_record_for_each_accepted_message(&provider, &environment);
    let record = environment.record();
    verify_any_session(&environment, &record.security_code).expect_code(0);
    assert_eq!(environment.send(NUMBER), environment.record());
}

#[test]
fn killed_amid_many_numbers_it_has_a_record_for_each_that_was_delivered() {
    let numbers: Vec<String> = (100..140).map(|last| format!("+12025550{last}")).collect();
    let mut arguments = vec!["send"];
    arguments.extend(numbers.iter().map(String::as_str));
    for accepted in [0, 1, 7, 20] {
        let provider = FakeProvider::twilio();
        for _ in 0..accepted {
            provider.next(Reply::accept());
        }
        // The next message is accepted too, but its answer never comes.
        provider.always(Reply::never().although_accepted());
        let environment = provider.environment();
        let program = environment.start(&arguments);
        provider.wait_until("one more than is answered", |log| log.accepted.len() > accepted);
        kill(program);
        expect_a_record_for_each_accepted_message(&provider, &environment);
        provider.always(Reply::accept());
        environment.run(&arguments).expect_code(0);
        assert_eq!(environment.records().len(), numbers.len());
        let accepted = provider.accepted();
        for record in environment.records() {
            let newest = accepted.iter().rfind(|one| one.phone_number == record.phone_number);
            let newest = newest.expect("every number was sent to in the end");
            assert_eq!(code_in(&newest.text), record.security_code, "{record:#?}");
        }
    }
}

#[test]
fn a_closed_stdout_loses_no_record_of_a_delivered_code() {
    let provider = FakeProvider::twilio();
    let environment = provider.environment();
    let held = provider.hold_next();
    let mut program = environment.start(&["send", NUMBER, "+12025550143"]);
    drop(program.stdout.take());
    held.wait_for_arrival();
    held.release(Reply::accept());
    let run = finish(program);
    assert!(!run.stderr.contains("panicked"), "{run:#?}");
    expect_a_record_for_each_accepted_message(&provider, &environment);
    assert_eq!(environment.records().len(), provider.accepted().len());
}
