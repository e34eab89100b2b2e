//! What the program says of settings, and settings that tests share.

use super::{Environment, NUMBER, Run};

/// A value in place of a secret: no error may show it.
const VALUE: &str = "9876543";

/// Allows one retry, so that a test that uses it up waits for one pause.
pub(crate) const TWO_ATTEMPTS: &str = "[delivery]\nmax_attempts = 2\nconnect_timeout_seconds = 1";

/// Allows one retry, and little time for a provider that doesn't answer.
pub(crate) const TWO_SHORT_ATTEMPTS: &str =
    "[delivery]\nmax_attempts = 2\ntimeout_seconds = 2\nconnect_timeout_seconds = 1";

/// Asserts that `run` is a settings error about `line` of `file`, which names `key` and shows no value, and that it left no
/// database.
#[track_caller]
pub(crate) fn expect_settings_error(
    run: Run,
    environment: &Environment,
    file: &str,
    line: Option<usize>,
    key: &str,
) {
    let run = run.expect_code(2);
    assert_eq!(run.stdout, "", "{run:#?}");
    assert!(run.stderr.starts_with("error: "), "{run:#?}");
    assert!(run.stderr.contains(file), "{file} is not named: {run:#?}");
    assert!(run.stderr.contains(key), "{key} is not named: {run:#?}");
    if let Some(line) = line {
        assert!(run.stderr.contains(&format!("line {line}")), "line {line} is not named: {run:#?}");
    }
    assert!(!run.stderr.contains(VALUE), "{run:#?}");
    environment.expect_no_database();
}

/// Asserts that every command refuses these settings, with an error about `line` and `key`.
#[track_caller]
pub(crate) fn expect_refused(settings: &str, line: usize, key: &str) {
    let environment = Environment::with_settings(settings);
    let commands: [&[&str]; 5] = [
        &["send", NUMBER],
        &["verify", NUMBER, "918273", "--any-session"],
        &["list"],
        &["purge"],
        &["migrate"],
    ];
    for arguments in commands {
        let run = environment.run(arguments);
        expect_settings_error(run, &environment, "phone-verify.toml", Some(line), key);
    }
}

/// Asserts that these settings are valid.
#[track_caller]
pub(crate) fn expect_accepted(settings: &str) {
    Environment::with_settings(settings).run(&["migrate"]).expect_code(0);
}
