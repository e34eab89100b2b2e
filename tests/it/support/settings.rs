//! What the program says of settings, and settings that tests share.

use phone_verify::settings::{Settings, SettingsError};

use super::{Environment, Run};

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

/// Asserts that these settings are refused with an error about `line` and `key` that shows no value.
#[track_caller]
pub(crate) fn expect_refused(settings: &str, line: usize, key: &str) {
    let error = load(settings).expect_err(settings).to_string();
    for part in ["phone-verify.toml", key, &format!("line {line}:")] {
        assert!(error.contains(part), "{part} is missing: {error}");
    }
    assert!(!error.contains(VALUE), "{error}");
}

/// Asserts that these settings are valid.
#[track_caller]
pub(crate) fn expect_accepted(settings: &str) {
    load(settings).unwrap_or_else(|error| panic!("{error}"));
}

fn load(settings: &str) -> Result<Settings, SettingsError> {
    let environment = Environment::with_settings(settings);
    Settings::load(Some(&environment.path("phone-verify.toml")))
}
