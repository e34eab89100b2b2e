//! A database that somebody may read and not write: it can be looked at, and nothing is left beside it.

use std::fs;
use std::io::{BufRead, BufReader};

use crate::support::{
    Checks, DATABASE, Environment, NUMBER, Record, Run, TOKEN, VERIFY, WRONG_CODE, finish,
    run_command,
};

const LOG: &str = "phone-verify.sqlite3-wal";
const LOG_INDEX: &str = "phone-verify.sqlite3-shm";
/// The commands that change the record, or another one.
const CHANGING: [&[&str]; 4] = [
    &VERIFY,
    &["verify", NUMBER, WRONG_CODE, "--session-token", TOKEN],
    &["purge", "--phone-number", NUMBER],
    &["send", NUMBER],
];

fn run_unprivileged(environment: &Environment, arguments: &[&str]) -> Run {
    run_command(environment.without_privileges(arguments))
}

/// Asserts that every changing command fails with an error that holds `part`, and sends nothing.
#[track_caller]
fn expect_no_change(environment: &Environment, part: &str) {
    for command in CHANGING {
        let run = run_unprivileged(environment, command).expect_code(1);
        assert_eq!(run.stdout, "", "{command:?}: {run:#?}");
        assert!(run.stderr.contains("can't be written"), "{command:?}: {run:#?}");
        assert!(run.stderr.contains(part), "{command:?}: {run:#?}");
        assert!(!run.stderr.contains("Please use security code"), "{command:?}: {run:#?}");
    }
}

#[test]
fn who_may_only_read_the_database_leaves_nothing_that_keeps_its_owner_from_writing() {
    let environment = Environment::with_record();
    environment.set_mode(DATABASE, 0o444);
    let before = fs::read(environment.path(DATABASE)).expect("the database");
    for command in [&["list"][..], &["status", NUMBER], &["purge", "--dry-run"]] {
        let run = run_unprivileged(&environment, command).expect_code(0);
        assert_eq!(environment.files(), [DATABASE, "phone-verify.toml"], "{run:#?}");
    }
    assert!(run_unprivileged(&environment, &["list"]).stdout.contains(NUMBER));
    let doctor = run_unprivileged(&environment, &["--format", "json", "doctor"]).expect_code(1);
    let checks = Checks::from_run(doctor);
    checks.expect("database.writable", "failure", &["the file can't be written"]);
    checks.expect("database.journal_mode", "ok", &["wal"]);
    checks.expect("database.rows", "ok", &["1 record and"]);
    expect_no_change(&environment, "the file can't be written");
    assert_eq!(environment.files(), [DATABASE, "phone-verify.toml"]);
    assert_eq!(fs::read(environment.path(DATABASE)).expect("the database"), before);
    environment.set_mode(DATABASE, 0o600);
    run_unprivileged(&environment, &VERIFY).expect_code(0);
}

/// A name with what has a meaning in a URI, behind a link.
#[test]
fn a_database_whose_folder_may_not_be_written_can_be_read_whatever_its_name() {
    let environment = Environment::with_record();
    fs::create_dir(environment.path("data")).expect("a new folder");
    let name = "data/100% site?immutable=0#1.sqlite3";
    fs::copy(environment.path(DATABASE), environment.path(name)).expect("a copy");
    std::os::unix::fs::symlink(name, environment.path("link.sqlite3")).expect("a link");
    environment.set_mode("data", 0o500);
    for path in [name, "link.sqlite3"] {
        let run = run_unprivileged(&environment, &["--database", path, "list"]).expect_code(0);
        assert!(run.stdout.contains(NUMBER), "{run:#?}");
        let doctor = ["--format", "json", "--database", path, "doctor"];
        let checks = Checks::from_run(run_unprivileged(&environment, &doctor).expect_code(1));
        checks.expect("database.writable", "failure", &["its directory can't be written"]);
        checks.expect("database.rows", "ok", &["1 record and"]);
    }
    assert_eq!(fs::read_dir(environment.path("data")).expect("ours").count(), 1);
}

#[test]
fn what_its_owner_has_not_yet_copied_from_the_log_is_read_too() {
    let environment = Environment::with_record();
    let owner = environment.database();
    owner.query_row("SELECT count(*) FROM sms_verification", [], |_| Ok(())).expect("rows");
    environment.insert(&Record { session_token: "in the log", ..Record::default() });
    environment.set_mode(DATABASE, 0o400);
    let files = environment.files();
    assert!(files.contains(&LOG.to_owned()), "{files:?}");
    let run = run_unprivileged(&environment, &["--format", "json", "list"]).expect_code(0);
    assert_eq!(run.json_lines().len(), 2);
    let doctor = run_unprivileged(&environment, &["--format", "json", "doctor"]).expect_code(1);
    Checks::from_run(doctor).expect("database.rows", "ok", &["2 records"]);
    assert_eq!(environment.files(), files);
    // Who can't read the log, for want of its index, isn't shown what was there before it.
    let copy = format!("cp {DATABASE} copy.sqlite3 && cp {LOG} copy.sqlite3-wal");
    run_command(environment.tool(&["sh", "-c", &copy])).expect_code(0);
    let list = ["--database", "copy.sqlite3", "list"];
    let run = run_unprivileged(&environment, &list).expect_code(1);
    assert_eq!(run.stdout, "", "{run:#?}");
    assert!(run.stderr.contains("copy.sqlite3: it can't be opened: the file can't be written: "));
    owner.execute_batch("DELETE FROM sms_verification").expect("the owner goes on");
}

#[test]
fn files_of_another_user_beside_the_database_are_named() {
    for name in [LOG, LOG_INDEX] {
        let environment = Environment::with_record();
        environment.write(name, "");
        environment.set_mode(name, 0o400);
        let doctor = run_unprivileged(&environment, &["--format", "json", "doctor"]).expect_code(1);
        Checks::from_run(doctor).expect("database.writable", "failure", &[name, "beside it"]);
        expect_no_change(&environment, name);
        environment.set_mode(name, 0o600);
        run_unprivileged(&environment, &VERIFY).expect_code(0);
    }
    let environment = Environment::console("");
    // A journal with an empty heading has nothing to undo.
    environment.write("phone-verify.sqlite3-journal", &"\0".repeat(512));
    environment.set_mode("phone-verify.sqlite3-journal", 0o400);
    let doctor = run_unprivileged(&environment, &["--format", "json", "doctor"]).expect_code(1);
    Checks::from_run(doctor).expect(
        "database.writable",
        "failure",
        &["phone-verify.sqlite3-journal"],
    );
}

#[test]
fn what_is_written_while_it_is_read_is_told_and_not_taken_for_damage() {
    let environment = Environment::with_record();
    // More than a page of records, and more than a pipe holds.
    environment.insert_more(10_000);
    environment.set_mode(DATABASE, 0o444);
    let mut command = environment.without_privileges(&["--format", "json", "list", "--all"]);
    let mut program = command.spawn().expect("it starts");
    let mut reader = BufReader::new(program.stdout.take().expect("stdout is piped"));
    reader.read_line(&mut String::new()).expect("a first record");
    environment.set_mode(DATABASE, 0o600);
    environment.insert(&Record { session_token: "another", ..Record::default() });
    let shown = reader.lines().count();
    let run = finish(program).expect_code(1);
    assert!(shown < 10_000, "{shown} records");
    assert!(run.stderr.contains("another process wrote it while it was read"), "{run:#?}");
    assert!(run.stderr.contains("hint: run it again"), "{run:#?}");
}
