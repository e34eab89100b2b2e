//! Databases that are missing, of another kind or in somebody's way: each is told apart, and none is harmed.

use std::fs;

use crate::support::{
    CODE, DATABASE, Environment, NUMBER, OLDER_TABLES, Record, Run, TOKEN, run_command,
};

/// The commands that work on a table which is there.
const COMMANDS: [&[&str]; 4] =
    [&["verify", NUMBER, CODE, "--session-token", TOKEN], &["list"], &["purge"], &["send", NUMBER]];

fn environment() -> Environment {
    Environment::with_settings("backend = \"console\"\n")
}

/// Asserts that `run` could not do its work, and says so in an error about `name`.
#[track_caller]
fn expect_failure(run: Run, name: &str) -> Run {
    let run = run.expect_code(1);
    assert_eq!(run.stdout, "", "{run:#?}");
    assert!(run.stderr.starts_with("error: "), "{run:#?}");
    assert!(run.stderr.contains(name), "{name} is not named: {run:#?}");
    assert!(!run.stderr.contains("security code"), "a message was sent: {run:#?}");
    assert!(!run.stderr.contains(CODE), "{run:#?}");
    run
}

/// Asserts that `run` failed with a hint to run `phone-verify migrate`.
#[track_caller]
fn expect_hint_to_migrate(run: Run) {
    let run = expect_failure(run, "");
    let hint = run.stderr.lines().find(|line| line.starts_with("hint: "));
    assert!(hint.is_some_and(|hint| hint.contains("phone-verify migrate")), "{run:#?}");
}

#[test]
fn a_missing_database_is_not_created_by_commands_that_only_use_it() {
    let environment = environment();
    for command in &COMMANDS[..3] {
        expect_failure(environment.run(command), DATABASE);
        expect_hint_to_migrate(environment.run(command));
        assert_eq!(environment.files(), ["phone-verify.toml"], "{command:?}");
    }
    // The code of a sandbox opens nothing where there is no database.
    let sandbox = Environment::sandbox("");
    expect_failure(sandbox.run(&["verify", NUMBER, "123456", "--session-token", TOKEN]), DATABASE);
    assert_eq!(sandbox.files(), ["phone-verify.toml"]);
}

#[test]
fn send_creates_the_database_that_migrate_creates() {
    let (by_send, by_migrate) = (environment(), environment());
    run_command(by_send.after_shell("umask 0", &["send", NUMBER])).expect_code(0);
    by_migrate.run(&["migrate"]).expect_code(0);
    assert_eq!(by_send.schema(), by_migrate.schema());
    assert_eq!(by_send.column("PRAGMA journal_mode"), ["wal"]);
    assert_eq!(by_send.mode(DATABASE), 0o600);
    assert_eq!(by_send.count(), 1);
    assert_eq!(by_send.run(&["migrate"]).expect_code(0).stderr, "");
}

#[test]
fn what_sends_nothing_creates_no_database() {
    let environment = environment();
    environment.run(&["send", "--dry-run", NUMBER]).expect_code(0);
    environment.run(&["send", "+15551234567"]).expect_code(2);
    environment.run(&["send", "hello"]).expect_code(2);
    assert_eq!(environment.files(), ["phone-verify.toml"]);
}

#[test]
fn the_write_ahead_log_is_its_owners_alone() {
    use std::io::{BufRead, BufReader};
    let environment = environment();
    run_command(environment.after_shell("umask 0", &["migrate"])).expect_code(0);
    environment.insert_many(20_000, 60);
    let mut list = environment
        .after_shell("umask 0", &["--format", "csv", "list", "--all"])
        .spawn()
        .expect("the program starts");
    let mut lines = BufReader::new(list.stdout.take().expect("stdout is piped"));
    // The first line is there and the pipe full: the program has the database open and can't end.
    lines.read_line(&mut String::new()).expect("a line");
    let files = environment.files();
    let logs: Vec<_> = files.iter().filter(|name| name.contains("sqlite3-")).collect();
    assert_eq!(logs.len(), 2, "{files:?}");
    for log in logs {
        assert_eq!(environment.mode(log), 0o600, "{log}");
    }
    drop(lines);
    list.wait().expect("the program ends");
}

#[test]
fn a_database_without_the_table_leads_to_migrate() {
    for sql in ["CREATE TABLE auth_user (id integer)", "PRAGMA user_version = 7"] {
        let environment = environment();
        environment.execute(&[sql]);
        let before = fs::read(environment.path(DATABASE)).expect("the database");
        for command in COMMANDS {
            expect_hint_to_migrate(environment.run(command));
        }
        assert_eq!(fs::read(environment.path(DATABASE)).expect("the database"), before);
        environment.run(&["migrate"]).expect_code(0);
        for command in COMMANDS {
            assert_ne!(environment.run(command).code, Some(1), "{command:?}");
        }
    }
}

#[test]
fn an_older_table_leads_to_migrate() {
    for (table, index) in OLDER_TABLES {
        let environment = environment();
        environment.execute(&[table, index]);
        let before = fs::read(environment.path(DATABASE)).expect("the database");
        for command in COMMANDS {
            expect_hint_to_migrate(environment.run(command));
        }
        assert_eq!(fs::read(environment.path(DATABASE)).expect("the database"), before);
    }
}

#[test]
fn a_table_of_another_schema_is_an_error_that_names_it() {
    for sql in [
        "CREATE TABLE sms_verification (id integer PRIMARY KEY, number text)",
        "CREATE VIEW sms_verification AS SELECT 1 AS id",
    ] {
        let environment = environment();
        environment.execute(&[sql]);
        let before = environment.schema();
        for command in COMMANDS {
            expect_failure(environment.run(command), "sms_verification");
        }
        assert_eq!(environment.schema(), before);
    }
}

#[test]
fn a_link_that_leads_nowhere_is_called_one() {
    let environment = environment();
    let link = environment.path("phone-verify.sqlite3");
    std::os::unix::fs::symlink("elsewhere/gone.sqlite3", link).expect("a link");
    for arguments in [&["list"][..], &["migrate"], &["send", NUMBER], &["purge"]] {
        let run = expect_failure(environment.run(arguments), "phone-verify.sqlite3");
        assert!(run.stderr.contains("a link to elsewhere/gone.sqlite3"), "{run:#?}");
        assert!(!run.stderr.contains("phone-verify migrate"), "it would fail as well: {run:#?}");
    }
}

#[test]
fn a_folder_is_no_database_and_a_missing_folder_is_not_created() {
    let environment = environment();
    fs::create_dir(environment.path("folder.db")).expect("a folder");
    for (database, problem) in [
        ("folder.db", "folder.db: it is a directory\n"),
        ("missing/a.db", "missing/a.db: its directory missing does not exist\n"),
    ] {
        for command in COMMANDS.into_iter().chain([&["migrate"][..]]) {
            let arguments = [&["--database", database], command].concat();
            expect_failure(environment.run(&arguments), problem);
        }
        assert_eq!(environment.files(), ["folder.db", "phone-verify.toml"]);
    }
}

#[test]
fn a_file_that_is_no_sqlite_database_is_left_as_it_is() {
    for content in [
        "a text that is longer than the heading of a database file\n".repeat(40),
        "a short text\n".to_owned(),
        // To SQLite a file of one byte is empty: it would write over it.
        "x".to_owned(),
    ] {
        let environment = environment();
        environment.write(DATABASE, &content);
        for command in COMMANDS.into_iter().chain([&["migrate"][..]]) {
            expect_failure(environment.run(command), DATABASE);
            let after = fs::read_to_string(environment.path(DATABASE)).expect("our text");
            assert_eq!(after, content, "{command:?}");
        }
        assert_eq!(environment.files(), [DATABASE, "phone-verify.toml"]);
    }
}

#[test]
fn a_truncated_database_is_an_error_and_no_panic() {
    let sound = Environment::console("");
    sound.run(&["migrate"]).expect_code(0);
    sound.insert_many(2_000, 700);
    sound.insert(&Record::default());
    let whole = fs::read(sound.path(DATABASE)).expect("the database");
    for length in [whole.len() / 2, whole.len() - 4096, 4096, 1000, 50] {
        for command in [&["list", "--all"][..], &["purge"], &["send", NUMBER], COMMANDS[0]] {
            let environment = environment();
            fs::write(environment.path(DATABASE), &whole[..length]).expect("our file");
            let run = environment.run(command).expect_code(1);
            assert!(run.stderr.starts_with("error: "), "{length}: {run:#?}");
            assert!(run.stderr.contains(DATABASE), "{length}: {run:#?}");
            assert!(!run.stdout.contains("valid"), "{length}: {run:#?}");
        }
    }
}

#[test]
fn a_database_that_may_not_be_written_is_read_and_not_changed() {
    let environment = Environment::console("");
    environment.insert(&Record::default());
    let before = fs::read(environment.path(DATABASE)).expect("the database");
    let path = environment.path(DATABASE);
    environment.set_mode(DATABASE, 0o400);
    for command in [COMMANDS[0], &["purge", "--phone-number", NUMBER], COMMANDS[3], &["migrate"]] {
        expect_failure(run_command(environment.without_privileges(command)), DATABASE);
    }
    let run = run_command(environment.without_privileges(&["list"])).expect_code(0);
    assert!(run.stdout.contains(NUMBER));
    assert_eq!(fs::read(&path).expect("the database"), before);
}

#[test]
fn a_database_that_may_not_be_read_is_an_error() {
    let environment = Environment::console("");
    environment.set_mode(DATABASE, 0o000);
    // What nobody may look for isn't called missing.
    fs::create_dir(environment.path("locked")).expect("a folder");
    environment.set_mode("locked", 0o000);
    for database in [DATABASE, "locked/folder/a.db"] {
        for command in COMMANDS.into_iter().chain([&["migrate"][..]]) {
            let arguments = [&["--database", database], command].concat();
            let run = run_command(environment.without_privileges(&arguments));
            expect_failure(run, &format!("database {database}: Permission denied"));
        }
    }
    environment.set_mode("locked", 0o700);
}

#[test]
fn a_folder_that_is_missing_is_named_and_migrate_is_no_advice() {
    let environment = Environment::with_settings(
        "backend = \"console\"\n[database]\npath = \"no-such/here.sqlite3\"\n",
    );
    for (arguments, is_error) in [
        (&["migrate"][..], true),
        (&["send", NUMBER], true),
        (&["list"], true),
        (&["doctor"], false),
    ] {
        let run = environment.run(arguments).expect_code(1);
        let told = if is_error { &run.stderr } else { &run.stdout };
        assert!(told.contains("its directory no-such does not exist"), "{run:#?}");
        assert!(!told.contains("phone-verify migrate"), "{run:#?}");
        assert!(!told.contains(".phone-verify-"), "{run:#?}");
    }
}

#[test]
fn a_folder_that_takes_no_database_is_told_without_a_temporary_name() {
    let environment = Environment::with_settings(
        "backend = \"console\"\n[database]\npath = \"locked/here.sqlite3\"\n",
    );
    std::fs::create_dir(environment.path("locked")).expect("a new folder");
    environment.set_mode("locked", 0o500);
    let run = run_command(environment.without_privileges(&["migrate"])).expect_code(1);
    assert!(run.stderr.contains("database locked/here.sqlite3: permission denied"), "{run:#?}");
    assert!(!run.stderr.contains(".phone-verify-"), "{run:#?}");
}
