//! `phone-verify.toml.example`, the settings file that a newcomer starts from.

use std::path::PathBuf;

use crate::support::{Environment, NUMBER, Run, SANDBOX_CODE};

fn example() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("phone-verify.toml.example")
}

fn text() -> String {
    std::fs::read_to_string(example()).expect("the example is at the repository's root")
}

/// Runs the program with the example, and with a database in the environment's folder.
fn run(environment: &Environment, arguments: &[&str]) -> Run {
    let (settings, database) = (example(), environment.path("example.sqlite3"));
    let settings = settings.to_str().expect("a path in UTF-8");
    let database = database.to_str().expect("a path in UTF-8");
    environment.run(&[&["--config", settings, "--database", database], arguments].concat())
}

#[test]
fn the_example_documents_every_key() {
    let text = text();
    let keys = [
        "backend",
        "token_length",
        "min_token_length",
        "message",
        "app_name",
        "security_code_expiration_time",
        "security_code_expiration_seconds",
        "verify_security_code_only_once",
        "max_failed_attempts",
        "record_retention_days",
        "secret_key",
        "default_region",
        "sid",
        "secret",
        "from",
        "messaging_service_sid",
        "api_key_sid",
        "api_key_secret",
        "key",
        "sandbox_token",
        "base_url",
        "de",
        "path",
        "timeout_seconds",
        "connect_timeout_seconds",
        "max_attempts",
        "max_in_flight",
        "max_per_second",
        "resend_cooldown_seconds",
        "max_per_number_per_day",
        "max_per_hour",
        "allowed_regions",
        "backend",
    ];
    for key in keys {
        let is_shown = text.lines().any(|line| {
            let line = line.trim_start_matches(['#', ' ']);
            line.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('='))
        });
        assert!(is_shown || text.contains(&format!("`{key}`")), "{key} is not documented");
    }
    for name in [
        "[options]",
        "[messages]",
        "[database]",
        "[delivery]",
        "[limits]",
        "[fallback]",
        "[fallback.options]",
        "twilio",
        "twilio-sandbox",
        "nexmo",
        "nexmo-sandbox",
        "console",
        "vonage",
        "{ env =",
        "{ file =",
    ] {
        assert!(text.contains(name), "{name} is not documented");
    }
}

#[test]
fn the_example_has_the_values_of_django_phone_verifys_how_to() {
    let values: toml::Table = text().parse().expect("the example is TOML");
    let options = values["options"].as_table().expect("a table");
    for (key, value) in
        [("sid", "fake"), ("secret", "fake"), ("from", "+14755292729"), ("sandbox_token", "123456")]
    {
        assert_eq!(options[key].as_str(), Some(value), "{key}");
    }
    assert_eq!(values["backend"].as_str(), Some("twilio-sandbox"));
    assert_eq!(values["security_code_expiration_time"].as_integer(), Some(3600));
    assert_eq!(values["verify_security_code_only_once"].as_bool(), Some(false));
}

#[test]
fn the_first_session_works_with_the_example_as_it_stands() {
    let environment = Environment::with_settings("");
    let sent = run(&environment, &["--format", "json", "send", NUMBER]).expect_code(0).json();
    assert_eq!(sent["status"], "sent");
    assert_eq!(sent["backend"], "twilio-sandbox");
    let token = sent["session_token"].as_str().expect("a token");
    for _ in 0..2 {
        let verified =
            run(&environment, &["verify", NUMBER, SANDBOX_CODE, "--session-token", token]);
        assert_eq!(verified.expect_code(0).stdout, "Security code is valid.\n");
    }

    let listed = run(&environment, &["--format", "json", "list"]).expect_code(0).json();
    assert_eq!(listed["phone_number"], NUMBER);
    assert_eq!(listed["security_code"], SANDBOX_CODE);
    assert_eq!(listed["is_verified"], true);

    assert_eq!(run(&environment, &["purge"]).expect_code(0).stdout, "Deleted 0 records.\n");
    let database = rusqlite::Connection::open(environment.path("example.sqlite3")).expect("it");
    let age = "UPDATE sms_verification
        SET created_at = strftime('%Y-%m-%d %H:%M:%S', 'now', ?1)";
    database.execute(age, ["-3500 seconds"]).expect("a record");
    assert_eq!(run(&environment, &["purge"]).expect_code(0).stdout, "Deleted 0 records.\n");
    database.execute(age, ["-3610 seconds"]).expect("a record");
    assert_eq!(run(&environment, &["purge"]).expect_code(0).stdout, "Deleted 1 record.\n");
}
