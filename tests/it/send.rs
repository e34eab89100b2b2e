//! `send`: the record, the code and the token that it makes, and what it prints, on backends that need no network.

use std::collections::HashSet;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::NaiveDateTime;
use serde_json::{Value, json};

use crate::support::{Environment, NUMBER, SANDBOX_CODE, code_in, is_signed_with};

/// Returns an environment on the console backend, with further top-level settings.
fn console(extra: &str) -> Environment {
    Environment::with_settings(&format!("backend = \"console\"\n{extra}\n"))
}

/// Returns the header and the claims of a JWT.
#[track_caller]
fn parts_of_token(token: &str) -> (Value, Value) {
    let (signed, _) = token.rsplit_once('.').expect("a signature");
    let (header, claims) = signed.split_once('.').expect("header and claims");
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).expect("base64url without padding");
    let parse = |part: &str| serde_json::from_slice(&decode(part)).expect("JSON");
    (parse(header), parse(claims))
}

#[test]
fn a_sandbox_send_stores_the_record_shows_the_message_and_prints_the_token() {
    let environment = Environment::sandbox("");
    let run = environment.run(&["send", NUMBER]).expect_code(0);
    let record = environment.record();
    assert!(run.stdout.contains(&record.session_token), "{run:#?}");
    assert!(run.stdout.contains(NUMBER), "{run:#?}");
    let message = "Welcome to Phone Verify! Please use security code 123456 to proceed.";
    assert!(run.stderr.contains(message), "{run:#?}");
    assert!(!run.stdout.contains(SANDBOX_CODE), "{run:#?}");
    assert_eq!(record.phone_number, NUMBER);
    assert_eq!(record.security_code, SANDBOX_CODE);
    assert!(!record.is_verified);
    assert_eq!(record.failed_attempts, 0);
    let id = uuid::Uuid::parse_str(&record.id).expect("a UUID");
    assert_eq!((id.get_version_num(), id.simple().to_string()), (4, record.id));
}

#[test]
fn each_sandbox_answers_json_with_its_canonical_name_and_no_message_id() {
    let names = [
        ("twilio-sandbox", "twilio-sandbox"),
        ("nexmo-sandbox", "nexmo-sandbox"),
        ("vonage-sandbox", "nexmo-sandbox"),
        ("phone_verify.backends.twilio.TwilioSandboxBackend", "twilio-sandbox"),
        ("phone_verify.backends.nexmo.NexmoSandboxBackend", "nexmo-sandbox"),
    ];
    for (name, canonical_name) in names {
        let environment = Environment::with_settings(&format!(
            "backend = \"{name}\"\n[options]\nsandbox_token = \"424242\"\n"
        ));
        let run = environment.run(&["--format", "json", "send", NUMBER]).expect_code(0);
        let record = environment.record();
        let line = run.json();
        assert_eq!(line["backend"], canonical_name, "{run:#?}");
        assert_eq!(line["message_id"], Value::Null, "{run:#?}");
        assert_eq!(record.security_code, "424242");
        assert!(run.stderr.contains("424242"), "{run:#?}");
    }
}

#[test]
fn the_console_backend_sends_a_random_code() {
    let environment = console("");
    let run = environment.run(&["--format", "json", "send", NUMBER]).expect_code(0);
    let record = environment.record();
    assert_eq!(code_in(&run.stderr), record.security_code);
    let line = run.json();
    assert_eq!((&line["backend"], &line["message_id"]), (&json!("console"), &Value::Null));
    environment.verify(&record).expect_code(0);
}

#[test]
fn json_tells_when_the_code_expires_and_nothing_beyond_the_documented_keys() {
    let environment = console("security_code_expiration_time = 90");
    let line = environment.run(&["--format", "json", "send", NUMBER]).expect_code(0).json();
    let record = environment.record();
    let created_at = NaiveDateTime::parse_from_str(&record.created_at, "%Y-%m-%d %H:%M:%S%.f")
        .expect("a time as Django stores it");
    let expires_at = created_at + chrono::TimeDelta::seconds(90);
    let wanted = json!({
        "phone_number": NUMBER, "status": "sent", "session_token": record.session_token, "backend": "console",
        "message_id": null, "expires_at": expires_at.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string(),
    });
    assert_eq!(line, wanted);
}

#[test]
fn the_code_is_never_on_stdout() {
    for format in ["text", "json"] {
        let environment = console("token_length = 12");
        let run = environment.run(&["--format", format, "send", NUMBER]).expect_code(0);
        let code = environment.record().security_code;
        assert!(!run.stdout.contains(&code), "{run:#?}");
        assert!(run.stderr.contains(&code), "{run:#?}");
    }
}

#[test]
fn the_token_is_a_jwt_signed_with_the_secret_key() {
    let environment = console("secret_key = \"a-key-of-the-tests\"");
    let first = environment.send(NUMBER).session_token;
    let second = environment.send(NUMBER).session_token;
    for token in [&first, &second] {
        let (header, claims) = parts_of_token(token);
        assert_eq!(header, json!({"alg": "HS256", "typ": "JWT"}));
        assert_eq!(claims.as_object().map(serde_json::Map::len), Some(2), "{claims}");
        assert_eq!(claims["phone_number"], NUMBER);
        assert!(claims["nonce"].is_number(), "{claims}");
        assert!(is_signed_with(token, "a-key-of-the-tests"), "{token}");
        assert!(!is_signed_with(token, "another-key"), "{token}");
    }
    assert_ne!(parts_of_token(&first).1["nonce"], parts_of_token(&second).1["nonce"]);
}

#[test]
fn without_a_secret_key_each_run_signs_with_a_key_of_its_own_and_the_token_works() {
    let environment = console("");
    let record = environment.send(NUMBER);
    let (header, claims) = parts_of_token(&record.session_token);
    assert_eq!(header, json!({"alg": "HS256", "typ": "JWT"}));
    assert_eq!(claims["phone_number"], NUMBER);
    assert!(!is_signed_with(&record.session_token, ""), "an empty key is no key");
    environment.verify(&record).expect_code(0);
}

#[test]
fn a_code_has_as_many_digits_as_token_length_says() {
    for (setting, length) in [("", 6), ("token_length = 9", 9), ("token_length = 120", 120)] {
        let environment = console(setting);
        let code = environment.send(NUMBER).security_code;
        assert_eq!(code.len(), length, "{code}");
        assert!(code.bytes().all(|byte| byte.is_ascii_digit()), "{code}");
    }
    let environment = console("token_length = 1\nmin_token_length = 1");
    assert_eq!(environment.send(NUMBER).security_code.len(), 1);
}

#[test]
fn every_digit_turns_up_in_every_place_of_a_code() {
    // Were the digits uniform, 300 codes would lack one of the 60 pairs of place and digit once in 10 to the 12 runs.
    let numbers: Vec<String> = (100..200).map(|last| format!("+12025550{last}")).collect();
    let mut arguments = vec!["send"];
    arguments.extend(numbers.iter().map(String::as_str));
    let environment = console("");
    let mut codes = Vec::new();
    for _ in 0..3 {
        environment.run(&arguments).expect_code(0);
        codes.extend(environment.records().into_iter().map(|record| record.security_code));
    }
    assert_eq!(codes.len(), 300);
    let places: HashSet<(usize, char)> =
        codes.iter().flat_map(|code| code.char_indices()).collect();
    assert_eq!(places.len(), 60, "{codes:?}");
}

#[test]
fn several_numbers_get_a_line_a_record_and_a_token_each() {
    let numbers = [NUMBER, "+12025550143", "+442079460018"];
    let environment = Environment::sandbox("");
    let mut arguments = vec!["--format", "json", "send"];
    arguments.extend(numbers);
    let lines = environment.run(&arguments).expect_code(0).json_lines();
    assert_eq!(lines.len(), 3, "{lines:#?}");
    for number in numbers {
        let line = lines.iter().find(|line| line["phone_number"] == number).expect("its line");
        assert_eq!(line["status"], "sent");
        let token = line["session_token"].as_str().expect("a token");
        assert_eq!(environment.record_of_token(token).phone_number, number);
    }
    assert_eq!(environment.records().len(), 3);
}

#[test]
fn a_number_given_twice_is_sent_to_once_and_reported() {
    let environment = Environment::sandbox("default_region = \"US\"");
    let arguments =
        ["--format", "json", "send", NUMBER, "(415) 555-2671", "+12025550143", "+1 415-555-2671"];
    let lines = environment.run(&arguments).expect_code(0).json_lines();
    let duplicate = json!({"phone_number": NUMBER, "status": "skipped", "reason": "duplicate"});
    assert_eq!(lines.iter().filter(|line| **line == duplicate).count(), 2, "{lines:#?}");
    assert_eq!(lines.iter().filter(|line| line["status"] == "sent").count(), 2, "{lines:#?}");
    assert_eq!(environment.records().len(), 2);
}

#[test]
fn a_new_code_replaces_the_older_ones_of_its_number_alone() {
    let environment = console("");
    let other = environment.send("+12025550143");
    let older = environment.send(NUMBER);
    let newer = environment.send(NUMBER);
    assert_eq!(environment.records(), [other.clone(), newer.clone()]);
    environment.verify(&older).expect_code(14);
    environment.verify(&newer).expect_code(0);
    environment.verify(&other).expect_code(0);
}

#[test]
fn send_without_a_number_is_a_usage_error() {
    let environment = Environment::sandbox("");
    let run = environment.run(&["send"]).expect_code(2);
    assert!(run.stderr.contains("PHONE_NUMBER"), "{run:#?}");
    environment.expect_no_database();
}
