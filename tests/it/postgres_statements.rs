//! What the program asks of a PostgreSQL server, by the server's own log.

use std::fs;

use crate::support::postgres::{Server, try_query};
use crate::support::{
    Environment, FIRST, FakeProvider, NUMBER, SECOND, VERIFY, WRONG_CODE, run_command, wait_until,
};

#[test]
fn no_statement_is_prepared_and_no_session_keeps_anything() {
    let Some(server) = Server::start(&["log_statement=all", "log_line_prefix=[%d] "]) else {
        return;
    };
    let database = server.database();
    database.migrate();
    database.insert_record();
    let provider = FakeProvider::twilio();
    let environment = provider.environment_with("", "[limits]\nmax_per_hour = 100");
    let url = database.url();
    for arguments in [
        &["verify", NUMBER, WRONG_CODE, "--any-session"][..],
        &VERIFY,
        &["send", FIRST, SECOND, "--resume"],
        &["list", "--all"],
        &["status", NUMBER],
        &["status", "0101"],
        &["deliveries"],
        &["stats"],
        &["purge", "--older-than", "0s", "--yes"],
        &["migrate"],
    ] {
        run_command(environment.on(&url, arguments));
    }
    let log = || fs::read_to_string(server.directory().join("log")).expect("a log");
    wait_until("the server writes its log", || log().contains("INSERT INTO sms_delivery"));
    let log = log();
    let of_database = format!("[{}] ", database.name());
    let lines: Vec<_> = log.lines().filter(|line| line.starts_with(&of_database)).collect();
    assert!(lines.iter().any(|line| line.contains("execute <unnamed>: ")), "{log}");
    for line in lines {
        assert!(!line.contains("execute ") || line.contains("execute <unnamed>"), "{line}");
        for word in ["ctid", "LISTEN", "advisory", "LOCK TABLE", "PREPARE", " SKIP LOCKED"] {
            assert!(!line.contains(word), "{line}");
        }
        let is_level_named = line.contains("BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL");
        assert!(!line.contains("BEGIN") || is_level_named, "{line}");
        assert!(!line.contains(": SET ") || line.contains(": SET LOCAL "), "{line}");
    }
}

#[test]
fn a_table_that_is_locked_is_waited_for_no_longer_than_ten_seconds() {
    let Some(server) = Server::start(&["log_statement=all"]) else { return };
    let database = server.database();
    database.migrate();
    database.insert_record();
    let environment = Environment::with_settings("backend = \"console\"");
    let held = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
    let lock = format!(
        "BEGIN; LOCK TABLE sms_verification;
         DO $$BEGIN
             WHILE NOT EXISTS ({held}) LOOP
                 PERFORM pg_stat_clear_snapshot(), pg_sleep(0.01);
             END LOOP;
         END$$;
         COMMIT"
    );
    std::thread::scope(|scope| {
        let locker = scope.spawn(|| database.query(&lock));
        wait_until("the table is locked", || {
            let locks = "SELECT 1 FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted
                 AND relation = 'sms_verification'::regclass";
            !database.query(locks).is_empty()
        });
        run_command(environment.on(&database.url(), &VERIFY)).expect_code(0);
        locker.join().expect("it ends");
    });
    let log = fs::read_to_string(server.directory().join("log")).expect("a log");
    // What reads and what writes are both in a transaction with the limit.
    for statement in ["SELECT id, phone_number", "WITH changed AS"] {
        let before = log.split(statement).next().expect("a part");
        let last = before.rsplit("BEGIN ISOLATION").next().expect("a part");
        assert!(last.contains("SET LOCAL lock_timeout = 10000"), "{statement}: {last}");
        assert!(!last.contains("statement: COMMIT"), "{statement}: {last}");
    }
}

#[test]
fn verify_waits_for_a_lock_once() {
    let Some(server) = Server::start(&[]) else { return };
    let database = server.database();
    database.migrate();
    database.insert_record();
    let environment = Environment::with_settings("backend = \"console\"");
    let expired = || {
        let log = fs::read_to_string(server.directory().join("log")).expect("a log");
        log.matches("canceling statement due to lock timeout").count()
    };
    let (url, lock) = (database.url(), "BEGIN; LOCK TABLE sms_verification; SELECT pg_sleep(3600)");
    // It ends with the server.
    std::thread::spawn(move || try_query(&url, lock));
    wait_until("the table is locked", || {
        let locks = "SELECT 1 FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted
             AND relation = 'sms_verification'::regclass";
        !database.query(locks).is_empty()
    });
    let run = run_command(environment.on(&database.url(), &VERIFY)).expect_code(1);
    assert!(run.stderr.contains("has held its lock for too long"), "{run:#?}");
    assert_eq!(expired(), 1);
}
