//! A database that others hold, and a disk that is full.

use std::fs;
use std::io::{Write, stderr};
use std::time::Duration;

use crate::support::{
    CODE, DATABASE, Environment, NUMBER, OTHER_NUMBER, Record, TOKEN, WRONG_CODE, finish, has_open,
    numbers, run_command, signal_until_it_ends, wait_until,
};

fn verify(code: &str) -> [&str; 5] {
    ["verify", NUMBER, code, "--session-token", TOKEN]
}

#[test]
fn a_lock_that_is_released_is_waited_for() {
    let environment = Environment::console("");
    environment.insert(&Record::default());
    let path = environment.path(DATABASE);
    let lock = environment.database();
    // An exclusive lock keeps readers out too.
    lock.execute_batch("BEGIN EXCLUSIVE").expect("a lock");
    let commands: [&[&str]; 4] = [&verify(CODE), &["list"], &["purge"], &["send", OTHER_NUMBER]];
    let mut children: Vec<_> = commands
        .iter()
        .map(|command| environment.command(command).spawn().expect("the program starts"))
        .collect();
    for child in &mut children {
        wait_until("the program opens the database", || has_open(child, &path));
        assert!(child.try_wait().expect("a child").is_none(), "it did not wait");
    }
    lock.execute_batch("ROLLBACK").expect("the lock is ours");
    for child in children {
        finish(child).expect_code(0);
    }
}

/// The only test that waits for the whole 10 seconds; all commands wait at once.
#[test]
fn a_lock_that_stays_is_a_clear_error() {
    let environment = Environment::console("");
    environment.insert(&Record::default());
    let lock = environment.database();
    lock.execute_batch("BEGIN EXCLUSIVE").expect("a lock");
    let commands: [&[&str]; 5] =
        [&verify(CODE), &["list"], &["purge"], &["send", NUMBER], &["migrate"]];
    let children: Vec<_> = commands
        .iter()
        .map(|command| environment.command(command).spawn().expect("the program starts"))
        .collect();
    for (command, child) in commands.iter().zip(children) {
        let run = finish(child).expect_code(1);
        assert_eq!(run.stdout, "", "{command:?}");
        assert!(run.stderr.starts_with("error: "), "{command:?}: {run:#?}");
        assert!(run.stderr.contains(DATABASE), "{command:?}: {run:#?}");
        assert!(!run.stderr.contains("Please use security code"), "{run:#?}");
        // SQLite's own words tell neither what is locked nor what to do.
        assert!(!run.stderr.contains("database is locked"), "{command:?}: {run:#?}");
    }
    lock.execute_batch("ROLLBACK").expect("the lock is ours");
    assert_eq!(environment.count(), 1);
    environment.run(&verify(CODE)).expect_code(0);
}

/// The longest time that anything else waits for a lock.
const PATIENCE: Duration = Duration::from_secs(10);

#[test]
fn the_outcome_of_an_sms_waits_longer_for_a_lock_and_says_so() {
    let script = "touch called; while [ ! -e go ]; do sleep 0.01; done";
    let environment = Environment::with_sms_script(script, "", "");
    let program = environment.start(&["send", NUMBER]);
    wait_until("the SMS is sent", || environment.path("called").exists());
    let lock = environment.database();
    lock.execute_batch("BEGIN EXCLUSIVE").expect("a lock");
    environment.write("go", "");
    std::thread::sleep(PATIENCE + Duration::from_secs(1));
    lock.execute_batch("ROLLBACK").expect("the lock is ours");
    let run = finish(program).expect_code(0);
    assert!(run.stdout.starts_with(&format!("{NUMBER} sent\n")), "{run:#?}");
    let note =
        "note: the database is busy or away: what the provider answered can't be stored yet\n";
    assert_eq!(run.stderr, note);
    assert_eq!(environment.states(), ["accepted"]);
}

#[test]
fn a_second_signal_waits_for_no_lock() {
    let script = "touch called; while [ ! -e go ]; do sleep 0.01; done";
    let environment = Environment::with_sms_script(script, "", "");
    let mut program = environment.start(&["send", NUMBER]);
    wait_until("the SMS is sent", || environment.path("called").exists());
    let lock = environment.database();
    lock.execute_batch("BEGIN EXCLUSIVE").expect("a lock");
    environment.write("go", "");
    // It ends while the lock is held.
    signal_until_it_ends(&mut program, "INT");
    lock.execute_batch("ROLLBACK").expect("the lock is ours");
    let run = finish(program).expect_code(130);
    assert!(run.stderr.contains("1 number still under way: --resume"), "{run:#?}");
    assert_eq!((environment.states(), environment.count()), (vec!["sending".to_owned()], 1));
}

#[test]
fn a_second_signal_ends_a_program_that_waits_for_a_lock_before_it_sends() {
    let environment = Environment::console("");
    environment.run(&["migrate"]).expect_code(0);
    let database = environment.path(DATABASE);
    for signal in ["INT", "TERM"] {
        let lock = environment.database();
        lock.execute_batch("BEGIN EXCLUSIVE").expect("a lock");
        let mut program = environment.start(&["send", NUMBER]);
        wait_until("it opens the database", || has_open(&program, &database));
        // It ends while the lock is held.
        signal_until_it_ends(&mut program, signal);
        lock.execute_batch("ROLLBACK").expect("the lock is ours");
        let run = finish(program);
        assert_eq!((run.code, &*run.stdout, &*run.stderr), (None, "", ""), "{signal}");
        assert_eq!(environment.count(), 0, "{signal}");
    }
}

/// No file may grow beyond this limit: what a full disk is to a program. `ulimit -f` counts blocks of 512 bytes.
fn on_a_full_disk(blocks: u64) -> String {
    format!("ulimit -f {blocks}")
}

#[test]
fn on_a_full_disk_nothing_is_sent_and_no_wrong_code_goes_uncounted() {
    for journal_mode in ["delete", "wal"] {
        let environment = Environment::console("");
        environment.execute(&[&format!("PRAGMA journal_mode = {journal_mode}")]);
        environment.insert(&Record::default());
        let before = environment.rows("sms_verification");
        for command in [&["send", NUMBER][..], &verify(WRONG_CODE), &verify(CODE)] {
            let run = run_command(environment.after_shell(&on_a_full_disk(0), command));
            let run = run.expect_code(1);
            assert_eq!(run.stdout, "", "{journal_mode}: {run:#?}");
            assert!(run.stderr.starts_with("error: "), "{journal_mode}: {run:#?}");
            assert!(!run.stderr.contains("Please use security code"), "{run:#?}");
            assert_eq!(environment.rows("sms_verification"), before, "{journal_mode}");
        }
        assert_eq!(environment.column("PRAGMA integrity_check"), ["ok"]);
        environment.run(&verify(CODE)).expect_code(0);
    }
}

#[test]
fn on_a_disk_without_room_for_a_wrong_code_the_record_locks_all_the_same() {
    let environment = Environment::console("");
    environment.insert(&Record::default());
    environment.execute(&["PRAGMA journal_mode = delete", "VACUUM"]);
    let size = fs::metadata(environment.path(DATABASE)).expect("it").len();
    let limit = on_a_full_disk(size / 512);
    for _ in 0..5 {
        let run = run_command(environment.after_shell(&limit, &verify(WRONG_CODE))).expect_code(1);
        assert!(run.stderr.starts_with("error: database "), "{run:#?}");
    }
    run_command(environment.after_shell(&limit, &verify(CODE))).expect_code(15);
}

#[test]
fn a_purge_on_a_full_disk_loses_nothing_but_what_it_says() {
    let environment = Environment::console("");
    environment.insert_many(3_000, 700);
    environment.insert(&Record::default());
    let run = run_command(environment.after_shell(&on_a_full_disk(0), &["purge"])).expect_code(1);
    assert_eq!(run.stdout, "", "{run:#?}");
    assert!(run.stderr.starts_with("error: "), "{run:#?}");
    assert_eq!(environment.count(), 3_001);
    assert_eq!(environment.column("PRAGMA integrity_check"), ["ok"]);
    assert_eq!(environment.run(&["purge"]).expect_code(0).stdout, "Deleted 3,000 records.\n");
}

#[test]
fn a_database_that_could_not_be_created_can_be_created_later() {
    for (command, blocks) in [("migrate", 0), ("migrate", 16), ("send", 0), ("send", 16)] {
        let environment = Environment::with_settings("backend = \"console\"\n");
        let arguments: &[&str] = if command == "send" { &["send", NUMBER] } else { &["migrate"] };
        let run = run_command(environment.after_shell(&on_a_full_disk(blocks), arguments));
        let run = run.expect_code(1);
        assert!(run.stderr.starts_with("error: "), "{run:#?}");
        assert!(!run.stderr.contains("Please use security code"), "{run:#?}");
        environment.run(arguments).expect_code(0);
        assert_eq!(environment.column("PRAGMA journal_mode"), ["wal"], "{command} {blocks}");
        assert_eq!(environment.count(), usize::from(command == "send"));
    }
}

/// A file that is empty is a database without a table to SQLite, and was made by somebody.
#[test]
fn an_empty_file_leads_to_migrate() {
    let environment = Environment::with_settings("backend = \"console\"\n");
    environment.write(DATABASE, "");
    let run = environment.run(&["list"]).expect_code(1);
    assert!(run.stderr.contains("phone-verify migrate"), "{run:#?}");
    assert_eq!(fs::metadata(environment.path(DATABASE)).expect("it").len(), 0);
    environment.run(&["migrate"]).expect_code(0);
    environment.run(&["list"]).expect_code(0);
}

#[test]
fn a_database_that_does_not_fit_on_the_disk_leaves_nothing_behind() {
    let environment = Environment::sandbox("");
    let command = environment.after_shell(&on_a_full_disk(16), &["send", NUMBER]);
    run_command(command).expect_code(1);
    assert_eq!(environment.files(), ["phone-verify.toml"]);
}

#[test]
fn a_pipe_or_a_device_is_no_database_and_is_not_waited_for() {
    let environment = Environment::console("");
    run_command(environment.tool(&["mkfifo", "pipe"])).expect_code(0);
    for path in ["pipe", "/dev/zero"] {
        for command in [&["list"][..], &verify(CODE), &["purge"], &["send", NUMBER], &["migrate"]] {
            let arguments = [&["--database", path], command].concat();
            let mut program = environment.wrapped(&["timeout", "20"], &arguments);
            program.env("PATH", "/usr/bin:/bin");
            let run = run_command(program).expect_code(1);
            assert!(run.stderr.contains("not a regular file"), "{command:?}: {run:#?}");
        }
    }
}

#[test]
fn a_database_that_is_moved_replaced_or_removed_stops_a_send() {
    const REPLACE: &str = "cp phone-verify.sqlite3 copy && mv copy phone-verify.sqlite3";
    let changes = ["mv phone-verify.sqlite3 old", "rm phone-verify.sqlite3", REPLACE];
    let modes = ["delete", "wal"].into_iter();
    for (journal_mode, change) in modes.flat_map(|mode| changes.map(|change| (mode, change))) {
        let script = format!("mkdir called 2> made || exit 0; {change}");
        let tables = "[delivery]\nmax_in_flight = 1";
        let environment = Environment::with_sms_script(&script, "", tables);
        environment.run(&["migrate"]).expect_code(0);
        environment.execute(&[&format!("PRAGMA journal_mode = {journal_mode}")]);
        environment.write("numbers", &numbers(20).join("\n"));
        let run = environment.run(&["send", "--file", "numbers"]).expect_code(3);
        let error = "phone-verify.sqlite3: it was moved, replaced or removed while it was in use";
        assert!(run.stderr.contains(error), "{journal_mode}, {change}: {run:#?}");
    }
}

/// A file system of 256 KiB that is its own, with so many KiB free; `migrate` may fail, and leaves a whole database or none.
#[test]
fn a_disk_that_is_nearly_full_gets_a_whole_database_or_none() {
    let environment = Environment::with_settings("backend = \"console\"\n");
    let script = r#"
        mkdir disk && mount -t tmpfs -o size=256k tmpfs disk || exit 77
        for free in $(seq 40 4 200); do
            head -c $((262144 - free * 1024)) /dev/zero > disk/filler
            "$0" --database disk/a.sqlite3 migrate > out 2>&1
            code=$?
            rm disk/filler
            echo $free $code $(ls -A disk) $("$0" --database disk/a.sqlite3 list 2>&1 | head -1)
            find disk -type f -delete
        done"#;
    let mut command = environment.wrapped(&["unshare", "-rm", "/bin/sh", "-c", script], &[]);
    command.env("PATH", "/usr/bin:/bin");
    let run = run_command(command);
    if run.code == Some(77) || run.stderr.contains("unshare") {
        let _ = writeln!(stderr(), "SKIPPED: no file system can be mounted: {}", run.stderr);
        return;
    }
    let run = run.expect_code(0);
    assert_eq!(run.stdout.lines().count(), 41, "{run:#?}");
    for line in run.stdout.lines() {
        let rest = line.split_once(' ').expect("a size").1;
        let is_none = rest.starts_with("1 error: ") && rest.contains("does not exist");
        assert!(rest == "0 a.sqlite3 note: no records" || is_none, "{line}");
    }
    for code in [" 0 ", " 1 "] {
        assert!(run.stdout.contains(code), "the sizes are too few: {run:#?}");
    }
}
