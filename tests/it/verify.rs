//! `verify`: the six answers, the order of the rules behind them, and what they leave in the record.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::support::{
    CODE, Environment, NEVER_MODIFIED, NUMBER, OTHER_NUMBER, PastDelivery, Record, Run, State,
    TOKEN, Time, WRONG_CODE, format_rfc3339, now,
};

/// The exit code, status and message of each answer.
const VALID: Answer = (0, "SECURITY_CODE_VALID", "Security code is valid.");
const INVALID: Answer = (11, "SECURITY_CODE_INVALID", "Security code is not valid");
const EXPIRED: Answer = (12, "SECURITY_CODE_EXPIRED", "Security code has expired");
const VERIFIED: Answer = (13, "SECURITY_CODE_VERIFIED", "Security code is already verified");
const MISMATCH: Answer = (14, "SESSION_TOKEN_INVALID", "Session Token mis-match");
const LOCKED: Answer = (
    15,
    "SECURITY_CODE_TOO_MANY_ATTEMPTS",
    "Too many failed verification attempts. Please request a new code.",
);

type Answer = (i32, &'static str, &'static str);

/// Records that live for 600 seconds and lock after 5 attempts, the code that is tried, and the answer.
fn situations() -> Vec<(Record<'static>, &'static str, Answer)> {
    let live = Record::default();
    let expired = Record { created_at: Time::Ago(700), ..live.clone() };
    let verified = Record { is_verified: true, ..live.clone() };
    let locked = Record { failed_attempts: 5, ..live.clone() };
    vec![
        (live.clone(), CODE, VALID),
        (live.clone(), WRONG_CODE, INVALID),
        (expired.clone(), CODE, EXPIRED),
        (verified.clone(), CODE, VERIFIED),
        (Record { session_token: "of-another-device", ..live.clone() }, CODE, MISMATCH),
        (Record { phone_number: OTHER_NUMBER, ..live.clone() }, CODE, MISMATCH),
        (locked.clone(), CODE, LOCKED),
        // From here on two rules apply at once: the earlier one answers.
        (locked.clone(), WRONG_CODE, LOCKED),
        (Record { created_at: Time::Ago(700), is_verified: true, ..locked.clone() }, CODE, LOCKED),
        (expired.clone(), WRONG_CODE, INVALID),
        (verified.clone(), WRONG_CODE, INVALID),
        (Record { is_verified: true, ..expired }, CODE, EXPIRED),
        (Record { failed_attempts: 7, ..live.clone() }, CODE, LOCKED),
        (Record { failed_attempts: 4, ..live }, CODE, VALID),
    ]
}

fn verify(environment: &Environment, code: &str) -> Run {
    environment.run(&["verify", NUMBER, code, "--session-token", TOKEN])
}

fn verify_as_json(environment: &Environment, code: &str) -> Run {
    environment.run(&["--format", "json", "verify", NUMBER, code, "--session-token", TOKEN])
}

/// Asserts the exit code and the message, which people see with a full stop and with what else helps them.
#[track_caller]
fn expect_answer(run: Run, (code, _, message): Answer) {
    let run = run.expect_code(code);
    let sentence = format!("{}.", message.trim_end_matches('.'));
    assert!(run.stdout.starts_with(&sentence), "{run:#?}");
    assert_eq!(run.stderr, "", "{run:#?}");
}

#[test]
fn each_answer_has_its_exit_code_and_its_message() {
    for (record, code, answer) in situations() {
        let environment = Environment::console("");
        environment.insert(&record);
        expect_answer(verify(&environment, code), answer);
    }
}

#[test]
fn the_text_says_what_an_operator_does_next() {
    let send = format!("\nnext: phone-verify send {NUMBER}");
    let live = Record::default();
    let expired = Record { created_at: Time::Ago(700), ..live.clone() };
    let used = Record { is_verified: true, ..live.clone() };
    let failed = |failed_attempts| Record { failed_attempts, ..live.clone() };
    let invalid = "Security code is not valid.";
    for (record, code, text) in [
        (&live, CODE, "Security code is valid.".to_owned()),
        (&live, WRONG_CODE, format!("{invalid} 4 attempts left.")),
        (&failed(3), WRONG_CODE, format!("{invalid} 1 attempt left.")),
        (&failed(4), WRONG_CODE, format!("{invalid} No attempts left.{send}")),
        (&failed(5), CODE, format!("{}{send}", LOCKED.2)),
        (&expired, CODE, format!("Security code has expired.{send}")),
        (&expired, WRONG_CODE, format!("{invalid} 4 attempts left.{send}")),
        (&used, CODE, "Security code is already verified.".to_owned()),
        (&used, WRONG_CODE, format!("{invalid} 4 attempts left.{send}")),
    ] {
        let environment = Environment::console("");
        environment.insert(record);
        let run = verify(&environment, code);
        assert_eq!((run.stdout, run.stderr), (text + "\n", String::new()), "{record:?} {code}");
    }
}

#[test]
fn after_a_wrong_code_the_text_points_out_an_older_sms_that_may_have_arrived() {
    let delivery = PastDelivery { age: 240, ..PastDelivery::default() };
    for (state, age, of_record, may_be_read) in [
        ("accepted", 240, false, true),
        ("delivered", 240, false, true),
        ("unknown", 240, false, true),
        ("sending", 240, false, true),
        ("undelivered", 240, false, false),
        ("rejected", 240, false, false),
        // It is too old, newer than the record, or carried the record's own code.
        ("accepted", 660, false, false),
        ("accepted", 30, false, false),
        ("accepted", 240, true, false),
    ] {
        let environment = Environment::with_database("");
        let id = environment.insert(&Record::default());
        environment.insert_delivery(&PastDelivery {
            age: 59,
            verification_id: &id,
            ..delivery.clone()
        });
        environment
            .insert_delivery(&PastDelivery { phone_number: OTHER_NUMBER, ..delivery.clone() });
        let verification_id = if of_record { &id } else { delivery.verification_id };
        environment.insert_delivery(&PastDelivery {
            state,
            age,
            verification_id,
            ..delivery.clone()
        });
        let next = "\nnext: ask for the code of the newer SMS; the person may be reading the one that was sent 4 min ago";
        let next = if may_be_read { next } else { "" };
        let text = format!("Security code is not valid. 4 attempts left.{next}\n");
        let run = environment.run(&["verify", NUMBER, WRONG_CODE, "--any-session"]);
        assert_eq!(run.expect_code(11).stdout, text, "{state}, {age} s ago");
    }
}

#[test]
fn each_answer_as_json_tells_how_many_attempts_are_left() {
    for (record, code, answer) in situations() {
        let environment = Environment::console("");
        environment.insert(&record);
        let (exit_code, status, message) = answer;
        let failed_attempts = match answer {
            MISMATCH => None,
            VALID => Some(0),
            LOCKED => Some(record.failed_attempts),
            _ => Some(record.failed_attempts + 1),
        };
        let run = verify_as_json(&environment, code).expect_code(exit_code);
        let expected = json!({
            "phone_number": NUMBER,
            "status": status,
            "valid": exit_code == 0,
            "message": message,
            "failed_attempts": failed_attempts,
            "attempts_left": failed_attempts.map(|count| 5_u32.saturating_sub(count)),
        });
        assert_eq!(run.json(), expected, "{record:?}");
        assert_eq!(run.stderr, "", "{record:?}");
    }
}

#[test]
fn each_answer_changes_the_record_as_its_rule_says() {
    for (record, code, answer) in situations() {
        let environment = Environment::console("");
        environment.insert(&record);
        let before = environment.rows("sms_verification");
        verify(&environment, code).expect_code(answer.0);

        if matches!(answer, LOCKED | MISMATCH) {
            assert_eq!(environment.rows("sms_verification"), before, "{record:?}");
            continue;
        }
        let state = environment.state(TOKEN);
        assert_ne!(state.modified_at, NEVER_MODIFIED, "{record:?}");
        let (is_verified, failed_attempts) = match answer {
            VALID => (true, 0),
            _ => (record.is_verified, record.failed_attempts + 1),
        };
        let expected = State {
            is_verified: i64::from(is_verified),
            failed_attempts: i64::from(failed_attempts),
            ..state.clone()
        };
        assert_eq!(state, expected, "{record:?}");
        // The other columns stay as they were: all but modified_at, is_verified and failed_attempts.
        let after = environment.rows("sms_verification");
        for column in [0, 1, 3, 4, 5] {
            assert_eq!(after[0][column], before[0][column], "{record:?}");
        }
    }
}

#[test]
fn modified_at_is_the_time_of_the_change_in_utc_whatever_the_local_time() {
    let environment = Environment::console("");
    environment.insert(&Record::default());
    let run = environment
        .command(&["verify", NUMBER, CODE, "--session-token", TOKEN])
        .env("TZ", "JST-9")
        .output()
        .expect("the program starts");
    assert_eq!(run.status.code(), Some(0));
    let state = environment.state(TOKEN);
    let modified_at: DateTime<Utc> = format_rfc3339(&state.modified_at).parse().expect("a time");
    assert!((now() - modified_at).abs() < TimeDelta::minutes(5), "{state:?}");
}

#[test]
fn five_wrong_codes_lock_the_record_against_the_right_one() {
    let environment = Environment::console("");
    environment.insert(&Record::default());
    for left in (0..5).rev() {
        let run = verify_as_json(&environment, WRONG_CODE).expect_code(11);
        assert_eq!(run.json()["attempts_left"], left);
    }
    expect_answer(verify(&environment, CODE), LOCKED);
    assert_eq!(verify_as_json(&environment, CODE).expect_code(15).json()["attempts_left"], 0);
}

#[test]
fn expired_and_used_codes_count_as_attempts_until_the_record_locks() {
    for (record, answer) in [
        (Record { created_at: Time::Ago(700), ..Record::default() }, EXPIRED),
        (Record { is_verified: true, ..Record::default() }, VERIFIED),
    ] {
        let environment = Environment::console("max_failed_attempts = 2");
        environment.insert(&record);
        expect_answer(verify(&environment, CODE), answer);
        expect_answer(verify(&environment, CODE), answer);
        expect_answer(verify(&environment, CODE), LOCKED);
    }
}

#[test]
fn a_valid_code_gives_all_attempts_back() {
    let environment = Environment::console("verify_security_code_only_once = false");
    environment.insert(&Record { failed_attempts: 4, ..Record::default() });
    expect_answer(verify(&environment, CODE), VALID);
    let run = verify_as_json(&environment, WRONG_CODE).expect_code(11);
    assert_eq!(run.json()["failed_attempts"], 1);
    assert_eq!(run.json()["attempts_left"], 4);
}

#[test]
fn max_failed_attempts_sets_how_many_wrong_codes_are_compared() {
    let environment = Environment::console("max_failed_attempts = 1");
    environment.insert(&Record::default());
    let run = verify_as_json(&environment, WRONG_CODE).expect_code(11);
    assert_eq!(run.json()["attempts_left"], 0);
    expect_answer(verify(&environment, CODE), LOCKED);
}

#[test]
fn a_code_works_again_until_it_expires_where_codes_may_be_used_more_than_once() {
    let environment = Environment::console("verify_security_code_only_once = false");
    environment.insert(&Record::default());
    expect_answer(verify(&environment, CODE), VALID);
    expect_answer(verify(&environment, CODE), VALID);

    environment.backdate("sms_verification", 700);
    expect_answer(verify(&environment, CODE), EXPIRED);
    assert_eq!(environment.state(TOKEN).is_verified, 1);
}

#[test]
fn a_code_lives_as_long_as_the_settings_say() {
    for (settings, age, answer) in [
        ("", 500, VALID),
        ("", 610, EXPIRED),
        ("security_code_expiration_time = 3600", 3500, VALID),
        ("security_code_expiration_time = 3600", 3610, EXPIRED),
        ("security_code_expiration_seconds = 60", 70, EXPIRED),
        ("security_code_expiration_time = 31536000", 31_535_000, VALID),
    ] {
        let environment = Environment::console(settings);
        environment.insert(&Record { created_at: Time::Ago(age), ..Record::default() });
        expect_answer(verify(&environment, CODE), answer);
    }
}

#[test]
fn a_time_without_decimals_is_read_as_django_wrote_it() {
    let environment = Environment::console("");
    environment
        .insert(&Record { created_at: Time::At("2026-01-15 23:30:00"), ..Record::default() });
    expect_answer(verify(&environment, CODE), EXPIRED);
}

#[test]
fn a_number_in_another_form_is_brought_into_e164() {
    let environment =
        Environment::console("default_region = \"US\"\nverify_security_code_only_once = false");
    environment.insert(&Record::default());
    for number in ["+1 (415) 555-2671", "+1-415-555-2671", "(415) 555-2671", "4155552671"] {
        let run = environment
            .run(&["--format", "json", "verify", number, CODE, "--session-token", TOKEN])
            .expect_code(0);
        assert_eq!(run.json()["phone_number"], NUMBER, "{number}");
    }
}

#[test]
fn plus_and_digits_reach_a_row_whose_number_is_not_valid() {
    let environment = Environment::console("");
    for number in ["+15551234567", "+0"] {
        environment.insert(&Record { phone_number: number, ..Record::default() });
        expect_answer(environment.run(&["verify", number, CODE, "--session-token", TOKEN]), VALID);
    }
}

#[test]
fn text_that_is_no_number_is_a_usage_error() {
    let environment = Environment::console("");
    environment.insert(&Record::default());
    let before = environment.rows("sms_verification");
    // Without default_region nobody can tell which country the second one is in.
    for number in ["hello", "4155552671", "+", ""] {
        let run = environment.run(&["verify", number, CODE, "--session-token", TOKEN]);
        let run = run.expect_code(2);
        assert_eq!(run.stdout, "", "{number}");
        assert!(run.stderr.starts_with("error: "), "{run:#?}");
    }
    assert_eq!(environment.rows("sms_verification"), before);
}

#[test]
fn any_session_checks_against_the_newest_record_of_the_number() {
    let environment = Environment::console("");
    for (security_code, session_token, created_at) in [
        ("222222", "newest", Time::Ago(60)),
        ("111111", "older", Time::Ago(120)),
        ("333333", "oldest", Time::Ago(180)),
    ] {
        environment.insert(&Record {
            security_code,
            session_token,
            created_at,
            ..Record::default()
        });
    }
    environment.insert(&Record {
        phone_number: OTHER_NUMBER,
        session_token: "of-another-number",
        created_at: Time::Ago(0),
        ..Record::default()
    });

    let any_session = |code| environment.run(&["verify", NUMBER, code, "--any-session"]);
    expect_answer(any_session("111111"), INVALID);
    assert_eq!(environment.state("newest").failed_attempts, 1);
    assert_eq!(environment.state("older").failed_attempts, 0);
    expect_answer(any_session("222222"), VALID);
    assert_eq!(environment.state("newest").is_verified, 1);
    expect_answer(any_session("222222"), VERIFIED);
}

#[test]
fn any_session_of_a_number_without_a_record_is_a_mismatch() {
    let environment = Environment::console("");
    environment.insert(&Record { phone_number: OTHER_NUMBER, ..Record::default() });
    let run = environment.run(&["verify", NUMBER, CODE, "--any-session"]).expect_code(14);
    let text = format!("No code is known for {NUMBER}.\nnext: phone-verify send {NUMBER}\n");
    assert_eq!((run.stdout, run.stderr), (text, String::new()));
    let run = environment
        .run(&["--format", "json", "verify", NUMBER, CODE, "--any-session"])
        .expect_code(14);
    assert_eq!(run.json()["status"], MISMATCH.1);
    assert_eq!(run.json()["failed_attempts"], Value::Null);
    assert_eq!(run.json()["attempts_left"], Value::Null);
}

#[test]
fn a_reader_that_is_gone_does_not_change_the_answer() {
    let environment = Environment::console("");
    environment.insert(&Record::default());
    for (code, answer) in [(WRONG_CODE, INVALID), (CODE, VALID)] {
        let run = environment
            .run_into_closed_pipe(&["verify", NUMBER, code, "--session-token", TOKEN])
            .expect_code(answer.0);
        assert_eq!(run.stderr, "");
    }
}

#[test]
fn an_answer_that_cannot_be_written_is_an_error_beside_its_exit_code() {
    let environment = Environment::console("");
    environment.insert(&Record::default());
    for (code, answer) in [(WRONG_CODE, INVALID), (CODE, VALID)] {
        let run = environment
            .run_into("/dev/full", &["verify", NUMBER, code, "--session-token", TOKEN])
            .expect_code(answer.0);
        assert!(run.stderr.starts_with("error: "), "{run:#?}");
    }
}
