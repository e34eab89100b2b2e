//! `send` whose code is replaced, erased or expires before its SMS leaves, or before the answer is there.

use crate::support::{Environment, NUMBER, Run, error_of, is_on_server};

/// Returns an environment whose program for SMS runs `script`. In it, `phone_verify` runs the program with the same settings, and
/// `through_console` does so with a backend that accepts everything.
fn with_script(script: &str, keys: &str, tables: &str) -> Environment {
    let program = env!("CARGO_BIN_EXE_phone-verify");
    let script = format!(
        "echo called >> calls\n\
         phone_verify() {{ {program} \"$@\" >/dev/null 2>&1; }}\n\
         through_console() {{ phone_verify --config console.toml \"$@\"; }}\n\
         {script}\n"
    );
    let environment = Environment::with_sms_script(&script, keys, tables);
    environment.write("console.toml", "backend = \"console\"\n");
    environment
}

/// Sends to [`NUMBER`], and asserts that it failed for this reason, without a token that verifies nothing.
#[track_caller]
fn expect_lapse(environment: &Environment, kind: &str, calls: usize) -> Run {
    let run = environment.run(&["--format", "json", "send", NUMBER]).expect_code(1);
    let line = run.json();
    assert_eq!((&line["status"], error_of(&line)), (&"failed".into(), (kind, None)), "{run:#?}");
    assert_eq!(line.get("session_token"), None, "{run:#?}");
    let message = line["error"]["message"].as_str().expect("words");
    assert!(run.stderr.contains(message), "{run:#?}");
    assert_eq!(environment.read("calls").lines().count(), calls, "{run:#?}");
    run
}

const SUPERSEDED: &str = "through_console send +14155552671";
const ERASED: &str = "phone_verify purge --phone-number +14155552671";
/// Codes live for three seconds.
const EXPIRED: &str = "sleep 3.1";
const SHORT_LIVED: &str = "security_code_expiration_time = 3";

#[test]
fn nothing_is_called_again_for_a_code_that_no_longer_counts() {
    for (event, kind, keys, states) in [
        (SUPERSEDED, "superseded", "", &["unavailable", "accepted"][..]),
        (ERASED, "erased", "", &[]),
        (EXPIRED, "expired", SHORT_LIVED, &["unavailable"]),
    ] {
        let environment = with_script(&format!("{event}\nexit 75"), keys, "");
        let run = expect_lapse(&environment, kind, 1);
        let error = format!("error: the code for {NUMBER} doesn't work: ");
        assert!(run.stderr.starts_with(&error), "{run:#?}");
        assert!(run.stderr.contains("; this one was never sent\n"), "{run:#?}");
        assert_eq!(environment.states(), states, "{kind}");
        assert_eq!(environment.count(), usize::from(kind == "superseded"), "{kind}");
    }
}

#[test]
fn a_code_that_no_longer_counts_is_not_handed_over() {
    let tables = "[delivery]\nmax_attempts = 1\n[fallback]\nbackend = \"console\"";
    for (event, kind, keys, states) in [
        (SUPERSEDED, "superseded", "", &["unavailable", "accepted"][..]),
        (ERASED, "erased", "", &[]),
        (EXPIRED, "expired", SHORT_LIVED, &["unavailable"]),
    ] {
        let environment = with_script(&format!("{event}\nexit 75"), keys, tables);
        let run = expect_lapse(&environment, kind, 1);
        assert!(!run.stderr.contains("message: "), "{run:#?}");
        assert_eq!(environment.states(), states, "{kind}");
    }
}

#[test]
fn only_a_number_whose_code_has_expired_is_a_failure_to_send_to_again() {
    for (event, kind, keys, is_kept) in [
        (SUPERSEDED, "superseded", "", false),
        (ERASED, "erased", "", false),
        (EXPIRED, "expired", SHORT_LIVED, true),
    ] {
        let environment = with_script(&format!("{event}\nexit 75"), keys, "");
        let run = environment.run(&["send", NUMBER, "--failures", "failed.csv"]).expect_code(1);
        assert_eq!(run.stdout, format!("{NUMBER} {kind}\n"));
        assert_eq!(environment.path("failed.csv").exists(), is_kept, "{kind}");
    }
}

#[test]
fn an_sms_that_left_with_a_code_that_no_longer_counts_is_reported() {
    for (event, kind, keys) in [
        (SUPERSEDED, "superseded", ""),
        (ERASED, "erased", ""),
        ("sleep 3.1; phone_verify purge", "expired", SHORT_LIVED),
    ] {
        for (exit, accepted) in [("exit 0", "was"), ("kill -9 $$", "may have been")] {
            let environment = with_script(&format!("{event}\n{exit}"), keys, "");
            let run = expect_lapse(&environment, kind, 1);
            let words = format!("; the SMS with this one {accepted} accepted\n");
            assert!(run.stderr.contains(&words), "{run:#?}");
        }
    }
    // In text, the kind stands behind the number.
    let environment = with_script(ERASED, "", "");
    let run = environment.run(&["send", NUMBER]).expect_code(1);
    assert_eq!(run.stdout, format!("{NUMBER} erased\n"));
}

#[test]
fn a_database_that_breaks_meanwhile_is_an_error() {
    if is_on_server() {
        return;
    }
    for (exit, says) in [
        ("exit 75", "was not sent: database "),
        ("exit 0", "was sent, but that can't be stored: database "),
    ] {
        let overwrite =
            "dd if=/dev/zero of=phone-verify.sqlite3 bs=100 count=1 conv=notrunc 2>/dev/null";
        let environment = with_script(&format!("{overwrite}\n{exit}"), "", "");
        environment.run(&["migrate"]).expect_code(0);
        environment.column("PRAGMA journal_mode = delete");
        let run = environment.run(&["--format", "json", "send", NUMBER]).expect_code(1);
        assert_eq!(run.json()["stored"], false, "{run:#?}");
        assert!(run.stderr.starts_with(&format!("error: {NUMBER} {says}")), "{run:#?}");
        assert_eq!(run.stderr.lines().count(), 2, "an error and a hint: {run:#?}");
        assert_eq!(environment.read("calls").lines().count(), 1, "{run:#?}");
    }
}

#[test]
fn an_older_code_that_still_works_is_reported_as_sent() {
    // The newer send isn't settled yet, so that it may still fail.
    let script = "if [ -e first ]; then exit 1; fi; touch first
        phone_verify send +14155552671 &
        while [ $(wc -l < calls) -lt 2 ]; do sleep 0.01; done";
    let environment = with_script(script, "", "");
    let run = environment.run(&["--format", "json", "send", NUMBER]).expect_code(0);
    assert_eq!(run.json()["status"], "sent", "{run:#?}");
}
