//! `verify` on the sandbox backends, whose code is valid for every number and token.

use crate::support::{
    CODE, Environment, NUMBER, OTHER_NUMBER, Record, Run, SANDBOX_CODE, TOKEN, Time, WRONG_CODE,
};

fn sandbox(backend: &str) -> Environment {
    let environment = Environment::with_settings(&format!(
        "backend = \"{backend}\"\n[options]\nsandbox_token = \"{SANDBOX_CODE}\"\n"
    ));
    environment.create_table();
    environment
}

fn verify(environment: &Environment, code: &str) -> Run {
    environment.run(&["--format", "json", "verify", NUMBER, code, "--session-token", TOKEN])
}

#[test]
fn the_sandbox_token_is_valid_for_any_number_and_token() {
    for backend in ["twilio-sandbox", "nexmo-sandbox", "vonage-sandbox"] {
        let environment = sandbox(backend);
        let run = verify(&environment, SANDBOX_CODE).expect_code(0);
        let expected = serde_json::json!({
            "phone_number": NUMBER,
            "status": "SECURITY_CODE_VALID",
            "valid": true,
            "message": "Security code is valid.",
            "failed_attempts": null,
            "attempts_left": null,
        });
        assert_eq!(run.json(), expected, "{backend}");
        assert_eq!(environment.count(), 0);
    }
}

#[test]
fn the_sandbox_token_may_be_typed_as_people_write_it() {
    for typed in ["123 456", "123-456", "۱۲۳۴۵۶"] {
        verify(&sandbox("twilio-sandbox"), typed).expect_code(0);
    }
    let hyphened = Environment::with_settings(
        "backend = \"twilio-sandbox\"\n[options]\nsandbox_token = \"123-456\"\n",
    );
    hyphened.create_table();
    verify(&hyphened, "\u{200f}123\u{2011}456").expect_code(0);
    verify(&hyphened, "123456").expect_code(0);
    verify(&hyphened, "123-457").expect_code(14);
}

#[test]
fn the_sandbox_token_verifies_a_record_whatever_its_state() {
    let expired = Time::Ago(700);
    for record in [
        Record::default(),
        Record { security_code: SANDBOX_CODE, ..Record::default() },
        Record { created_at: expired, ..Record::default() },
        Record { is_verified: true, ..Record::default() },
        Record { failed_attempts: 4, created_at: expired, ..Record::default() },
    ] {
        let environment = sandbox("twilio-sandbox");
        environment.insert(&record);
        let run = verify(&environment, SANDBOX_CODE).expect_code(0);
        assert_eq!(run.json()["failed_attempts"], 0, "{record:?}");
        assert_eq!(run.json()["attempts_left"], 5, "{record:?}");
        let state = environment.state(TOKEN);
        assert_eq!((state.is_verified, state.failed_attempts), (1, 0), "{record:?}");
    }
}

#[test]
fn the_sandbox_token_does_not_open_a_locked_record() {
    let environment = sandbox("twilio-sandbox");
    let locked = Record { failed_attempts: 5, security_code: SANDBOX_CODE, ..Record::default() };
    environment.insert(&locked);
    let before = environment.rows("sms_verification");
    let run = verify(&environment, SANDBOX_CODE).expect_code(15);
    assert_eq!(run.json()["status"], "SECURITY_CODE_TOO_MANY_ATTEMPTS");
    assert_eq!(environment.rows("sms_verification"), before);

    // The lock is that record's alone: another number or token has none.
    let other_number = ["verify", OTHER_NUMBER, SANDBOX_CODE, "--session-token", TOKEN];
    environment.run(&other_number).expect_code(0);
    let other_token = ["verify", NUMBER, SANDBOX_CODE, "--session-token", "another"];
    environment.run(&other_token).expect_code(0);
    assert_eq!(environment.rows("sms_verification"), before);
}

#[test]
fn any_other_code_takes_the_way_of_a_live_backend() {
    let environment = sandbox("twilio-sandbox");
    verify(&environment, WRONG_CODE).expect_code(14);

    environment.insert(&Record::default());
    verify(&environment, WRONG_CODE).expect_code(11);
    assert_eq!(environment.state(TOKEN).failed_attempts, 1);
    verify(&environment, CODE).expect_code(0);
    verify(&environment, CODE).expect_code(13);
}

#[test]
fn the_sandbox_token_with_any_session_verifies_the_newest_record() {
    let environment = sandbox("nexmo-sandbox");
    environment.run(&["verify", NUMBER, SANDBOX_CODE, "--any-session"]).expect_code(0);

    for (session_token, age) in [("newer", 60), ("older", 120)] {
        environment.insert(&Record {
            session_token,
            created_at: Time::Ago(age),
            ..Record::default()
        });
    }
    environment.run(&["verify", NUMBER, SANDBOX_CODE, "--any-session"]).expect_code(0);
    assert_eq!(environment.state("newer").is_verified, 1);
    assert_eq!(environment.state("older").is_verified, 0);
}

#[test]
fn the_console_backend_has_no_code_of_its_own() {
    let environment = Environment::console("");
    verify(&environment, SANDBOX_CODE).expect_code(14);
}
