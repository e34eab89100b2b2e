//! No secret and no security code in an error, a log or `-vvv`, whatever goes wrong.

use crate::support::{
    CODE, Environment, NUMBER, Record, Run, TABLE, TOKEN, UNIQUE_INDEX, WRONG_CODE, run_command,
};

const SECRET: &str = "s3cret-of-the-provider";
const SECRET_KEY: &str = "s3cret-key-of-the-site";

/// An environment whose settings hold every kind of secret, and whose database holds a code.
fn environment(backend: &str) -> Environment {
    let environment = Environment::with_settings(&format!(
        "backend = \"{backend}\"\nsecret_key = \"{SECRET_KEY}\"\n[options]\nsid = \"AC\"\n\
         secret = \"{SECRET}\"\nfrom = \"+14755292729\"\nsandbox_token = \"777444\"\n"
    ));
    environment.execute(&[TABLE, UNIQUE_INDEX]);
    environment.insert(&Record::default());
    environment
}

#[track_caller]
fn expect_silence(run: &Run, may_show: &str) {
    let output = format!("{}{}", run.stdout, run.stderr);
    for secret in [SECRET, SECRET_KEY, CODE, WRONG_CODE, "777444"] {
        let shown = if secret == may_show { output.replace(secret, "") } else { output.clone() };
        assert!(!shown.contains(secret), "{secret} is shown: {run:#?}");
    }
    assert!(!run.stderr.contains("panicked"), "{run:#?}");
}

#[test]
fn the_most_verbose_log_shows_no_secret_and_no_code() {
    for backend in ["twilio", "twilio-sandbox"] {
        let environment = environment(backend);
        let commands: [&[&str]; 9] = [
            &["verify", NUMBER, WRONG_CODE, "--session-token", TOKEN],
            &["verify", NUMBER, CODE, "--session-token", TOKEN],
            &["verify", NUMBER, CODE, "--session-token", TOKEN],
            &["verify", NUMBER, CODE, "--session-token", "another"],
            &["verify", NUMBER, CODE, "--any-session"],
            &["send", "--dry-run", "+12025550143"],
            &["migrate"],
            &["purge", "--dry-run"],
            &["purge", "--older-than", "1s", "--force"],
        ];
        for command in commands {
            // The text of a dry run is what the sandbox would show, its token in the place of a code.
            let may_show = if command.contains(&"--dry-run") { "777444" } else { "" };
            for format in ["text", "json"] {
                let run = environment.run(&[&["-vvv", "--format", format], command].concat());
                expect_silence(&run, may_show);
            }
        }
    }
}

#[test]
fn a_code_is_shown_only_by_list_and_in_the_message_of_a_sandbox() {
    let environment = environment("twilio-sandbox");
    let run = environment.run(&["-vvv", "send", NUMBER]).expect_code(0);
    assert!(!run.stdout.contains("777444"), "{run:#?}");
    assert_eq!(run.stderr.matches("777444").count(), 1, "the message alone shows it: {run:#?}");
    expect_silence(&run, "777444");

    let list = environment.run(&["-vvv", "list"]).expect_code(0);
    assert!(list.stdout.contains("777444"), "{list:#?}");
    assert!(!list.stderr.contains("777444"), "{list:#?}");
    expect_silence(&list, "777444");
}

#[test]
fn an_error_of_the_database_shows_no_code() {
    for sql in [
        "DROP TABLE sms_verification",
        "ALTER TABLE sms_verification RENAME COLUMN security_code TO otp",
        "UPDATE sms_verification SET failed_attempts = 'many'",
        "UPDATE sms_verification SET created_at = 'yesterday'",
        "CREATE TRIGGER refuse BEFORE UPDATE ON sms_verification
            BEGIN SELECT raise(ABORT, 'no change'); END",
    ] {
        let environment = environment("twilio-sandbox");
        environment.execute(&[sql]);
        for code in [CODE, WRONG_CODE] {
            let verify = ["-vvv", "verify", NUMBER, code, "--session-token", TOKEN];
            expect_silence(&environment.run(&verify).expect_code(1), "");
        }
    }
}

#[test]
fn a_settings_error_shows_no_secret() {
    let sound =
        std::fs::read_to_string(environment("twilio").path("phone-verify.toml")).expect("it");
    for (from, to) in [
        ("secret_key", "secret_kye"),
        ("secret = ", "secrets = "),
        ("secret = \"", "secret = [\""),
        (SECRET, "s3cret-of-the-provider\nnext line"),
        ("sid = ", "sid == "),
        ("[options]", "[optoins]"),
        ("777444\"", "777444"),
        ("secret_key = ", "secret_key = { env = \"A\", file = "),
    ] {
        let environment = Environment::with_settings(&sound.replace(from, to));
        for command in [&["send", NUMBER][..], &["list"]] {
            let run = environment.run(&[&["-vvv"], command].concat()).expect_code(2);
            expect_silence(&run, "");
        }
    }
}

#[test]
fn a_code_or_secret_in_the_environment_is_not_shown_by_a_backtrace() {
    let environment = environment("twilio-sandbox");
    environment.execute(&["DROP TABLE sms_verification"]);
    let mut command =
        environment.command(&["-vvv", "verify", NUMBER, CODE, "--session-token", TOKEN]);
    command.env("RUST_BACKTRACE", "full").env("RUST_LOG", "trace");
    expect_silence(&run_command(command).expect_code(1), "");
}
