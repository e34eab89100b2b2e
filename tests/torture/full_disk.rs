//! A disk that is full from one write on, for each write of a command in turn: nothing is half done, and nothing left without
//! its record.

use crate::strace::{is_usable, run_on_full_disk};
use crate::support::{
    DATABASE, DAY, Environment, FakeProvider, NUMBER, Record, Run, TOKEN, VERIFY, WRONG_CODE,
};

/// The files that SQLite writes.
const FILES: [&str; 4] = [
    DATABASE,
    "phone-verify.sqlite3-wal",
    "phone-verify.sqlite3-shm",
    "phone-verify.sqlite3-journal",
];

/// No code of these tests locks its record.
const MANY_ATTEMPTS: &str = "backend = \"console\"\nmax_failed_attempts = 10000";

/// Runs the program again and again, until none of its writes meets a full disk. Each time `expect` gets the run if it worked.
/// If it didn't, its error has to say so.
fn fill_at_each_write(
    environment: &Environment,
    arguments: &[&str],
    mut expect: impl FnMut(Option<Run>),
) {
    for first in 1.. {
        let (run, is_full) = run_on_full_disk(environment, &FILES, first, arguments);
        let has_failed = run.stderr.contains("error: ");
        if has_failed {
            assert!(is_full, "{run:#?}");
            assert!(run.code == Some(1), "{run:#?}");
            assert!(run.stderr.contains("the disk"), "{run:#?}");
            assert!(run.stderr.contains("hint: "), "{run:#?}");
        }
        environment.expect_soundness();
        expect((!has_failed).then_some(run));
        if !is_full {
            assert!(first > 10, "there were only {first} writes");
            return;
        }
    }
}

/// Runs `test` in each journal mode, if it can be run here.
fn in_each_journal_mode(test: impl Fn(&dyn Fn(Environment) -> Environment)) {
    if !is_usable() {
        return;
    }
    for journal_mode in ["wal", "delete"] {
        test(&|environment| {
            environment.run(&["migrate"]).expect_code(0);
            environment.execute(&[&format!("PRAGMA journal_mode = {journal_mode}")]);
            environment
        });
    }
}

#[test]
fn no_sms_leaves_without_its_record() {
    in_each_journal_mode(|prepare| {
        let provider = FakeProvider::twilio();
        let environment = prepare(provider.environment());
        fill_at_each_write(&environment, &["send", NUMBER], |run| {
            let accepted = provider.accepted();
            // The record of each earlier one is gone.
            environment.expect_records_of(&accepted[accepted.len().saturating_sub(1)..]);
            if let Some(run) = run {
                run.expect_code(0);
            }
        });
    });
}

#[test]
fn no_code_is_compared_without_being_counted() {
    in_each_journal_mode(|prepare| {
        let environment = prepare(Environment::with_settings(MANY_ATTEMPTS));
        environment.insert(&Record::default());
        let wrong = ["verify", NUMBER, WRONG_CODE, "--session-token", TOKEN];
        let mut compared = 0;
        fill_at_each_write(&environment, &wrong, |run| {
            compared += i64::from(run.is_some_and(|run| run.code == Some(11)));
            let failed_attempts = environment.state(TOKEN).failed_attempts;
            assert!(failed_attempts >= compared, "{failed_attempts} of {compared}");
        });
        let mut valid = 0;
        fill_at_each_write(&environment, &VERIFY, |run| {
            valid += i64::from(run.is_some_and(|run| run.code == Some(0)));
            assert!(valid <= environment.state(TOKEN).is_verified, "{valid}");
        });
    });
}

#[test]
fn a_purge_removes_whole_records_or_none() {
    in_each_journal_mode(|prepare| {
        let environment = prepare(Environment::with_settings(MANY_ATTEMPTS));
        environment.insert_many(40, DAY);
        environment.insert(&Record::default());
        fill_at_each_write(&environment, &["purge"], |run| {
            let left = environment.count();
            assert!(left == 41 || left == 1, "{left}");
            assert!(run.is_none() || left == 1, "{run:#?}");
        });
        assert_eq!(environment.tokens(), [TOKEN]);
    });
}
