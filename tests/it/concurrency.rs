//! Many processes at once: the limits hold, and no lock reaches a user.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::support::{
    CODE, Environment, NUMBER, OLDER_TABLES, Record, Run, TABLE, TABLE_0001, TOKEN, WRONG_CODE,
    error_of, run_together,
};

/// The table of a Django site with one live record, in its own journal mode and in ours.
fn environments(settings: &str) -> impl Iterator<Item = Environment> {
    ["delete", "wal"].into_iter().map(move |journal_mode| {
        let environment = Environment::console(settings);
        environment.execute(&[&format!("PRAGMA journal_mode = {journal_mode}")]);
        environment.insert(&Record::default());
        environment
    })
}

/// Runs `verify` for each of `codes`, all at once: none may write before all have begun.
fn verify_together(environment: &Environment, codes: &[&str]) -> Vec<Run> {
    let commands: Vec<Command> = codes
        .iter()
        .map(|code| environment.command(&["verify", NUMBER, code, "--session-token", TOKEN]))
        .collect();
    environment.run_behind_a_lock(commands)
}

/// Returns how many runs ended with each of these codes; every run must have ended with one of them.
#[track_caller]
fn count<const N: usize>(runs: &[Run], codes: [i32; N]) -> [usize; N] {
    for run in runs {
        assert!(run.code.is_some_and(|code| codes.contains(&code)), "{run:#?}");
        assert_eq!(run.stderr, "", "{run:#?}");
    }
    codes.map(|code| runs.iter().filter(|run| run.code == Some(code)).count())
}

#[test]
fn fifty_wrong_codes_at_once_are_compared_five_times() {
    for environment in environments("") {
        let runs = verify_together(&environment, &[WRONG_CODE; 50]);
        assert_eq!(count(&runs, [11, 15]), [5, 45]);
        assert_eq!(environment.state(TOKEN).failed_attempts, 5);
    }
}

#[test]
fn of_fifty_right_codes_at_once_one_is_valid() {
    for environment in environments("") {
        let runs = verify_together(&environment, &[CODE; 50]);
        // Each later one is an attempt with a used code, and five of them lock the record.
        assert_eq!(count(&runs, [0, 13, 15]), [1, 5, 44]);
        let state = environment.state(TOKEN);
        assert_eq!((state.is_verified, state.failed_attempts), (1, 5));
    }
}

#[test]
fn right_codes_at_once_are_all_valid_where_a_code_works_more_than_once() {
    for environment in environments("verify_security_code_only_once = false") {
        let runs = verify_together(&environment, &[CODE; 20]);
        assert_eq!(count(&runs, [0]), [20]);
    }
}

#[test]
fn wrong_codes_beside_a_right_one_are_never_compared_more_often_than_allowed() {
    for environment in environments("") {
        let mut codes = [WRONG_CODE; 30];
        codes[15] = CODE;
        let runs = verify_together(&environment, &codes);
        let [valid, invalid, locked] = count(&runs, [0, 11, 15]);
        assert_eq!(valid + invalid + locked, 30);
        // Five before the valid one and five after it, at most.
        assert!(valid <= 1 && invalid <= 5 * (valid + 1), "{valid} valid, {invalid} compared");
        assert!(locked >= 19, "{locked} locked");
    }
}

#[test]
fn attempts_on_the_newest_record_are_limited_as_well() {
    for environment in environments("") {
        let commands = (0..20)
            .map(|_| environment.command(&["verify", NUMBER, WRONG_CODE, "--any-session"]))
            .collect();
        let runs = environment.run_behind_a_lock(commands);
        assert_eq!(count(&runs, [11, 15]), [5, 15]);
    }
}

#[test]
fn twenty_sends_at_once_create_one_database() {
    let environment = Environment::with_settings("backend = \"console\"\n");
    let numbers: Vec<_> = (0..20).map(|last| format!("+120255501{last:02}")).collect();
    let commands = numbers.iter().map(|number| environment.command(&["send", number])).collect();
    let path = environment.path("phone-verify.sqlite3");
    for run in run_together(&path, commands, || {}) {
        let run = run.expect_code(0);
        assert!(!run.stderr.contains("locked"), "{run:#?}");
    }
    let by_one = Environment::with_settings("backend = \"console\"\n");
    by_one.run(&["migrate"]).expect_code(0);
    assert_eq!(environment.schema(), by_one.schema());
    assert_eq!(environment.column("PRAGMA journal_mode"), ["wal"]);
    let stored = environment.column("SELECT phone_number FROM sms_verification ORDER BY 1");
    assert_eq!(stored, numbers);
    assert_eq!(environment.files(), ["phone-verify.sqlite3", "phone-verify.toml"]);
}

#[test]
fn twenty_sends_to_one_number_leave_a_code_that_works() {
    for environment in environments("") {
        let commands =
            (0..20).map(|_| environment.command(&["--format", "json", "send", NUMBER])).collect();
        let runs = environment.run_behind_a_lock(commands);
        let mut issued = Vec::new();
        for run in runs {
            let line = run.json();
            match run.code {
                Some(0) => issued.push(line["session_token"].as_str().expect("it").to_owned()),
                _ => assert_eq!(error_of(&line).0, "superseded", "{run:#?}"),
            }
        }
        // Each accepted send removes what is older, never what is newer: the newest is always left, the old record never.
        let left = environment.tokens();
        assert!(!left.is_empty() && left.iter().all(|token| issued.contains(token)), "{left:?}");
        let newest = environment
            .column("SELECT security_code FROM sms_verification ORDER BY created_at DESC LIMIT 1");
        environment.run(&["verify", NUMBER, &newest[0], "--any-session"]).expect_code(0);
    }
}

#[test]
fn ten_upgrades_at_once_upgrade_once() {
    for (table, index) in OLDER_TABLES {
        let environment = Environment::with_settings("backend = \"console\"\n");
        environment.execute(&[table, index]);
        let extra = if table == TABLE_0001 { "" } else { ", 0" };
        environment.execute(&[&format!(
            "WITH RECURSIVE counter (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM counter WHERE i < 500)
             INSERT INTO sms_verification SELECT printf('%032x', i), '2026-01-15 23:30:00',
                '2026-01-15 23:30:00', i, '{NUMBER}', i{extra} FROM counter"
        )]);
        let commands = (0..10).map(|_| environment.command(&["migrate"])).collect();
        let runs = environment.run_behind_a_lock(commands);
        for run in runs {
            assert_eq!(run.expect_code(0).stderr, "");
        }
        assert!(environment.schema().iter().any(|sql| sql == TABLE));
        assert_eq!(environment.count(), 500);
    }
}

/// Stores records of [`NUMBER`] in quick succession until it is dropped.
struct Flood {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Flood {
    fn start(environment: &Environment) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let database = environment.database();
        let insert = format!(
            "INSERT INTO sms_verification VALUES (lower(hex(randomblob(16))), datetime('now'), datetime('now'), '{NUMBER}',
                 '{CODE}', lower(hex(randomblob(16))), 0, 0)"
        );
        let thread = thread::spawn({
            let is_over = Arc::clone(&is_over);
            move || {
                while !is_over.load(Ordering::Relaxed) {
                    database.execute(&insert, []).expect("a lock in time");
                    thread::sleep(Duration::from_millis(1));
                }
            }
        });
        Self { is_over, thread: Some(thread) }
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        let end = self.thread.take().map(JoinHandle::join);
        assert!(matches!(end, Some(Ok(()))), "the thread failed");
    }
}

/// The rowid of a deleted record may be that of the next one, and nothing that happens beside it is a trigger's doing.
#[test]
fn a_purge_of_a_number_that_is_sent_to_meanwhile_comes_to_an_end() {
    for environment in environments("") {
        for trigger in
            ["", "CREATE TRIGGER harmless AFTER INSERT ON sms_verification BEGIN SELECT 1; END"]
        {
            environment.execute(&[trigger]);
            let _flood = Flood::start(&environment);
            for _ in 0..15 {
                let run = environment.run(&["purge", "--phone-number", NUMBER]);
                run.expect_code(0);
            }
        }
    }
}
