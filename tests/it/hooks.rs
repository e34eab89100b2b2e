//! `[hooks]`: which event the hook of a verification receives, and when.

use serde_json::{Value, json};

use crate::support::{
    CODE, Environment, KEEP, NUMBER, OTHER_NUMBER, Record, Results, SANDBOX_CODE, TOKEN, Time,
    VERIFY, WRONG_CODE, add_dashes, expect_valid, finish, format_rfc3339, hook,
};

/// The settings with which a code may be verified again.
const AGAIN: &str = "verify_security_code_only_once = false";

#[test]
fn the_hook_is_told_of_the_verification_as_one_json_object_and_a_line_end() {
    let environment = Environment::with_hook("", KEEP);
    let run = expect_valid(environment.run(&VERIFY), 0);
    assert_eq!(run.stderr, "");
    let id = add_dashes(&environment.record().id);
    let verified_at = format_rfc3339(&environment.state(TOKEN).modified_at);
    assert_eq!(
        environment.read("events"),
        format!(
            "{{\"event\":\"verified\",\"id\":\"{id}\",\"phone_number\":\"{NUMBER}\",\
             \"session_token\":\"{TOKEN}\",\"verified_at\":\"{verified_at}\",\"first_time\":true,\
             \"error\":null}}\n"
        )
    );
    let listed = environment.run(&["--format", "json", "list"]).expect_code(0).json();
    assert_eq!(environment.hook_events()[0]["id"], listed["id"]);
}

#[test]
fn where_a_code_works_again_its_first_time_is_the_first_verification() {
    let environment = Environment::with_hook(AGAIN, KEEP);
    for _ in 0..3 {
        expect_valid(environment.run(&VERIFY), 0);
    }
    let told = environment.hook_events();
    let first_times: Vec<_> = told.iter().map(|event| &event["first_time"]).collect();
    assert_eq!(first_times, [true, false, false]);
    assert_eq!(told[2]["verified_at"], format_rfc3339(&environment.state(TOKEN).modified_at));
    assert!(told[0]["verified_at"].as_str() < told[2]["verified_at"].as_str(), "{told:#?}");
    assert!(told.iter().all(|event| event["id"] == told[0]["id"]), "{told:#?}");
}

#[test]
fn a_code_that_is_not_valid_tells_no_hook() {
    let live = Record::default();
    for (record, given, code) in [
        (live.clone(), WRONG_CODE, 11),
        (Record { created_at: Time::Ago(700), ..live.clone() }, CODE, 12),
        (Record { is_verified: true, ..live.clone() }, CODE, 13),
        (Record { session_token: "of-another-device", ..live.clone() }, CODE, 14),
        (Record { failed_attempts: 5, ..live }, CODE, 15),
    ] {
        let environment = Environment::console(&["[hooks]\n", &hook("verified", KEEP)].concat());
        environment.insert(&record);
        environment.run(&["verify", NUMBER, given, "--session-token", TOKEN]).expect_code(code);
        assert_eq!(environment.hook_events(), [Value::Null; 0], "{record:?}");
    }
}

#[test]
fn of_many_verifications_at_once_one_is_the_first_time() {
    for (keys, valid) in [("", 1), (AGAIN, 20)] {
        let environment = Environment::with_hook(keys, KEEP);
        let commands = (0..20).map(|_| environment.command(&VERIFY)).collect();
        let runs = environment.run_behind_a_lock(commands);
        assert_eq!(runs.iter().filter(|run| run.code == Some(0)).count(), valid, "{runs:#?}");
        let told = environment.hook_events();
        assert_eq!(told.len(), valid);
        assert_eq!(told.iter().filter(|event| event["first_time"] == true).count(), 1, "{told:#?}");
    }
}

#[test]
fn the_hook_runs_after_the_commit_and_finds_no_lock() {
    let program = env!("CARGO_BIN_EXE_phone-verify");
    let environment = Environment::with_hook(
        "",
        &format!(
            "'{program}' --format json list --verified > listed
             '{program}' verify {OTHER_NUMBER} {WRONG_CODE} --any-session; echo $? > attempted"
        ),
    );
    environment.insert(&Record {
        phone_number: OTHER_NUMBER,
        session_token: "of-another-device",
        ..Record::default()
    });
    expect_valid(environment.run(&VERIFY), 0);
    let listed: Value = serde_json::from_str(&environment.read("listed")).expect("a record");
    assert_eq!(listed["phone_number"], NUMBER);
    assert_eq!(listed["is_verified"], true);
    assert_eq!(environment.read("attempted"), "11\n");
    assert_eq!(environment.state("of-another-device").failed_attempts, 1);
}

#[test]
fn the_answer_is_there_before_the_hook_has_ended() {
    let environment = Environment::with_hook("", "until test -e go; do sleep 0.01; done");
    let mut program = environment.start(&[&["--format", "json"], &VERIFY[..]].concat());
    let results = Results::from_program(&mut program);
    assert_eq!(results.next()["valid"], true);
    environment.write("go", "");
    finish(program).expect_code(0);
}

#[test]
fn what_the_hook_prints_is_no_output_of_the_program() {
    let environment = Environment::with_hook(AGAIN, "echo noise; echo more noise >&2");
    let run = expect_valid(environment.run(&VERIFY), 0);
    assert_eq!(run.stderr, "");
    let run = environment.run(&[&["--format", "json"], &VERIFY[..]].concat()).expect_code(0);
    assert_eq!(run.json()["valid"], true);
}

#[test]
fn any_session_tells_the_token_of_the_record() {
    let environment = Environment::with_hook("", KEEP);
    environment.run(&["verify", NUMBER, CODE, "--any-session"]).expect_code(0);
    assert_eq!(environment.hook_events()[0]["session_token"], TOKEN);
}

#[test]
fn a_sandbox_code_without_a_record_is_told_without_an_id() {
    let environment = Environment::with_settings(&format!(
        "backend = \"twilio-sandbox\"\n[options]\nsandbox_token = \"{SANDBOX_CODE}\"\n[hooks]\n{}",
        hook("verified", KEEP)
    ));
    environment.run(&["migrate"]).expect_code(0);
    for (session, token) in
        [(&["--session-token", TOKEN][..], json!(TOKEN)), (&["--any-session"], Value::Null)]
    {
        let run = environment.run(&[&["verify", NUMBER, SANDBOX_CODE], session].concat());
        expect_valid(run, 0);
        let event = environment.hook_events().pop().expect("it was told");
        assert!(event["verified_at"].is_string(), "{event:#}");
        let expected = json!({
            "event": "verified",
            "id": null,
            "phone_number": NUMBER,
            "session_token": token,
            "verified_at": event["verified_at"],
            "first_time": null,
            "error": null,
        });
        assert_eq!(event, expected);
    }
}

#[test]
fn no_hooks_verifies_without_the_hook() {
    let environment = Environment::with_hook("", KEEP);
    expect_valid(environment.run(&[&VERIFY[..], &["--no-hooks"]].concat()), 0);
    assert_eq!(environment.state(TOKEN).is_verified, 1);
    assert_eq!(environment.hook_events(), [Value::Null; 0]);
}

#[test]
fn the_hooks_of_a_send_are_not_told_of_a_verification() {
    let environment =
        Environment::with_hooks("", &[hook("sent", KEEP), hook("failed", KEEP)].concat());
    expect_valid(environment.run(&VERIFY), 0);
    assert_eq!(environment.hook_events(), [Value::Null; 0]);
}

#[test]
fn a_reader_that_is_gone_keeps_no_hook_from_running() {
    let environment = Environment::with_hook("", KEEP);
    environment.run_into_closed_pipe(&VERIFY).expect_code(0);
    assert_eq!(environment.hook_events().len(), 1);
}
