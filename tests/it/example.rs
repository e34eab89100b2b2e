//! `phone-verify.toml.example`, the settings file that a newcomer starts from.

use std::path::PathBuf;

use crate::support::{Environment, NUMBER, Run, SANDBOX_CODE, read_from_repository};

fn example() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("phone-verify.toml.example")
}

/// Runs the program with the example, and with a database in the environment's folder.
fn run(environment: &Environment, arguments: &[&str]) -> Run {
    let (settings, database) = (example(), environment.path("example.sqlite3"));
    let settings = settings.to_str().expect("a path in UTF-8");
    let database = database.to_str().expect("a path in UTF-8");
    environment.run(&[&["--config", settings, "--database", database], arguments].concat())
}

#[test]
fn the_options_that_it_shows_for_any_provider_are_valid() {
    let text = read_from_repository("phone-verify.toml.example");
    let after = |start: &str| text.split_once(start).expect(start).1.lines().skip(1);
    let options = |start: &str, left_out: &[&str]| -> String {
        let lines = after(start).map_while(|line| line.strip_prefix("# "));
        let is_option = |line: &&str| line.contains(" = ") && !line.contains("on (command)");
        let kept = |line: &&str| !left_out.iter().any(|key| line.starts_with(key));
        lines.filter(is_option).filter(kept).map(|line| format!("{line}\n")).collect()
    };
    let left_out = ["basic_auth", "bearer", "form"];
    for (backend, options) in [
        ("http", options("# Any HTTP API (http)", &left_out)),
        ("command", options("# A program of yours (command)", &[])),
    ] {
        assert!(!options.is_empty(), "{backend} has no options");
        let settings = format!("backend = \"{backend}\"\n[options]\n{options}");
        let run = Environment::with_settings(&settings).run(&["send", "--dry-run", NUMBER]);
        run.expect_code(0);
    }
}

#[test]
fn the_test_number_that_it_shows_is_valid() {
    let text = read_from_repository("phone-verify.toml.example");
    let (_, table) = text.split_once("# [[test_numbers]]\n").expect("the table is there");
    let table = table.replace("# ", "");
    let settings = format!("backend = \"console\"\n[[test_numbers]]\n{table}");
    Environment::with_settings(&settings).run(&["migrate"]).expect_code(0);
}

#[test]
fn the_example_has_the_values_of_django_phone_verifys_how_to() {
    let values: toml::Table =
        read_from_repository("phone-verify.toml.example").parse().expect("the example is TOML");
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
fn the_hooks_of_the_example_are_accepted_once_they_are_no_comments() {
    let text = read_from_repository("phone-verify.toml.example");
    let (_, hooks) = text.split_once("\n[hooks]\n").expect("the table is there");
    let (hooks, _) = hooks.split_once("\n\n").expect("something follows");
    let mut settings = "backend = \"console\"\n[hooks]\n".to_owned();
    for key in ["verified", "sent", "failed", "timeout_seconds"] {
        let line = hooks.lines().find_map(|line| line.strip_prefix(&format!("# {key} = ")));
        let value = line.unwrap_or_else(|| panic!("{key} is not documented"));
        settings += &format!("{key} = {value}\n");
    }
    Environment::with_settings(&settings).run(&["migrate"]).expect_code(0);
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

#[test]
fn as_it_stands_the_example_earns_no_warning_but_of_doctor() {
    let environment = Environment::with_settings("");
    environment.write("example.toml", &read_from_repository("phone-verify.toml.example"));
    // As a checkout leaves it.
    environment.set_mode("example.toml", 0o644);
    let run =
        |arguments: &[&str]| environment.run(&[&["--config", "example.toml"], arguments].concat());
    let sent = run(&["send", NUMBER]).expect_code(0);
    let message = "Welcome to Phone Verify! Please use security code 123456 to proceed.";
    assert_eq!(sent.stderr, format!("message: to {NUMBER}: {message}\n"));
    for arguments in [
        &["verify", NUMBER, SANDBOX_CODE, "--any-session"][..],
        &["list"],
        &["status", NUMBER],
        &["send", "--dry-run", NUMBER],
        &["migrate"],
        &["purge"],
    ] {
        assert_eq!(run(arguments).expect_code(0).stderr, "", "{arguments:?}");
    }
    let doctor = run(&["doctor"]).expect_code(0);
    assert!(doctor.stdout.contains("warning  permissions: it holds a secret"), "{doctor:#?}");
}
