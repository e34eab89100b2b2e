//! `list`: what it shows, as a table, as JSON Lines and as CSV.

use std::io::{BufRead, BufReader};

use serde_json::{Value, json};

use crate::support::{
    CODE, Environment, NUMBER, OTHER_NUMBER, Record, TOKEN, Time, add_dashes, finish, is_on_server,
    peak_memory, run_command, wait_until,
};

/// The fields of a record in JSON and CSV.
const FIELDS: [&str; 12] = [
    "id",
    "phone_number",
    "security_code",
    "session_token",
    "is_verified",
    "is_valid",
    "failed_attempts",
    "created_at",
    "modified_at",
    "expires_at",
    "delivery",
    "state",
];

/// The columns of the table: what has become of a record, and those of the Django admin.
const COLUMNS: [&str; 7] = [
    "state",
    "phone_number",
    "security_code",
    "is_verified",
    "is_valid",
    "failed_attempts",
    "created_at",
];

/// A record at a known time, which has expired.
const OLD: Record<'static> = Record {
    phone_number: NUMBER,
    security_code: CODE,
    session_token: TOKEN,
    is_verified: true,
    failed_attempts: 3,
    created_at: Time::At("2026-01-15 23:30:00.746691"),
};

/// Returns the names in the table's heading, whatever lines are drawn around them.
fn heading(table: &str) -> Vec<&str> {
    let line = table.lines().find(|line| line.contains("phone_number")).expect("a heading");
    line.split(|c: char| !c.is_ascii_lowercase() && c != '_').filter(|it| !it.is_empty()).collect()
}

#[test]
fn the_table_has_the_columns_of_the_django_admin() {
    let environment = Environment::console("");
    environment.insert(&OLD);
    let run = environment.run(&["list"]).expect_code(0);
    assert_eq!(run.stderr, "");
    assert_eq!(heading(&run.stdout), COLUMNS);
    let row = run.stdout.lines().find(|line| line.contains(NUMBER)).expect("a row");
    let words: Vec<_> = row.split_whitespace().collect();
    for expected in [CODE, "true", "false", "3"] {
        assert!(words.contains(&expected), "{expected} is missing: {row}");
    }
    assert!(row.contains("2026-01-15") && row.contains("23:30:00"), "{row}");
    assert!(!run.stdout.contains(TOKEN), "{}", run.stdout);
}

#[test]
fn wide_adds_the_id_when_the_code_expires_and_its_delivery() {
    let environment = Environment::console("");
    let id = environment.insert(&OLD);
    let run = environment.run(&["list", "--wide"]).expect_code(0);
    let mut names = heading(&run.stdout);
    names.sort_unstable();
    let mut expected: Vec<_> =
        COLUMNS.into_iter().chain(["id", "expires_at", "delivery"]).collect();
    expected.sort_unstable();
    assert_eq!(names, expected);
    assert!(run.stdout.contains(&add_dashes(&id)), "{}", run.stdout);
    assert!(run.stdout.contains("23:40:00"), "{}", run.stdout);
}

#[test]
fn the_table_shows_local_time_and_json_shows_utc() {
    let environment = Environment::console("");
    environment.insert(&OLD);
    let in_tokyo = |arguments: &[&str]| {
        let mut command = environment.command(arguments);
        command.env("TZ", "JST-9");
        run_command(command).expect_code(0)
    };
    let table = in_tokyo(&["list", "--wide"]).stdout;
    for local in ["2026-01-16", "08:30:00", "08:40:00"] {
        assert!(table.contains(local), "{local} is missing: {table}");
    }
    assert!(!table.contains("23:30:00"), "{table}");
    let record = in_tokyo(&["--format", "json", "list"]).json();
    assert_eq!(record["created_at"], "2026-01-15T23:30:00.746691Z");
}

#[test]
fn json_has_every_field_of_a_record() {
    let environment = Environment::console("");
    let id = environment.insert(&OLD);
    let run = environment.run(&["--format", "json", "list"]).expect_code(0);
    let expected = json!({
        "id": add_dashes(&id),
        "phone_number": NUMBER,
        "security_code": CODE,
        "session_token": TOKEN,
        "is_verified": true,
        "is_valid": false,
        "failed_attempts": 3,
        "created_at": "2026-01-15T23:30:00.746691Z",
        "modified_at": "2020-02-02T02:02:02.020202Z",
        "expires_at": "2026-01-15T23:40:00.746691Z",
        "delivery": null,
        "state": "expired",
    });
    assert_eq!(run.json(), expected);
    assert_eq!(run.stderr, "");
}

#[test]
fn csv_has_a_heading_line_and_the_same_fields() {
    let environment = Environment::console("security_code_expiration_time = 3600");
    let token = "a,\"quoted\" token";
    let id = environment.insert(&Record { session_token: token, ..OLD });
    let run = environment.run(&["--format", "csv", "list"]).expect_code(0);
    let expected = format!(
        "{}\n{},{NUMBER},{CODE},\"a,\"\"quoted\"\" token\",true,false,3,2026-01-15T23:30:00.746691Z,\
         2020-02-02T02:02:02.020202Z,2026-01-16T00:30:00.746691Z,,expired\n",
        FIELDS.join(","),
        add_dashes(&id)
    );
    assert_eq!(run.stdout, expected);
    assert_eq!(run.stderr, "");
}

#[test]
fn times_without_decimals_get_six_zeros() {
    let environment = Environment::console("");
    environment.insert(&Record { created_at: Time::At("2026-01-15 23:30:00"), ..OLD });
    let record = environment.run(&["--format", "json", "list"]).expect_code(0).json();
    assert_eq!(record["created_at"], "2026-01-15T23:30:00.000000Z");
    assert_eq!(record["expires_at"], "2026-01-15T23:40:00.000000Z");
}

#[test]
fn is_valid_says_whether_the_code_has_not_expired() {
    let environment = Environment::console("");
    for (session_token, age, is_verified, failed_attempts) in
        [("live", 500, true, 5), ("expired", 610, false, 0)]
    {
        environment.insert(&Record {
            session_token,
            created_at: Time::Ago(age),
            is_verified,
            failed_attempts,
            ..OLD
        });
    }
    let run = environment.run(&["--format", "json", "list"]).expect_code(0);
    let is_valid: Vec<_> =
        run.json_lines().iter().map(|record| record["is_valid"].clone()).collect();
    assert_eq!(is_valid, [Value::Bool(true), Value::Bool(false)]);
}

#[test]
fn the_newest_record_comes_first() {
    let environment = Environment::console("");
    for (session_token, created_at) in [
        ("third", "2026-01-15 23:29:59.999999"),
        ("first", "2026-01-15 23:30:00.000001"),
        ("fourth", "2025-12-31 23:59:59"),
        ("second", "2026-01-15 23:30:00"),
    ] {
        environment.insert(&Record { session_token, created_at: Time::At(created_at), ..OLD });
    }
    let run = environment.run(&["--format", "json", "list"]).expect_code(0);
    let tokens: Vec<_> = run.json_lines().iter().map(|it| it["session_token"].clone()).collect();
    assert_eq!(tokens, ["first", "second", "third", "fourth"]);
}

#[test]
fn twenty_records_are_shown_unless_told_otherwise() {
    let environment = Environment::console("");
    environment.insert_many(25, 60);
    for (options, expected) in
        [(&[][..], 20), (&["--limit", "3"], 3), (&["--limit", "1000"], 25), (&["--all"], 25)]
    {
        let arguments = [&["--format", "json", "list"], options].concat();
        let run = environment.run(&arguments).expect_code(0);
        assert_eq!(run.json_lines().len(), expected, "{options:?}");
        let arguments = [&["list"], options].concat();
        let table = environment.run(&arguments).expect_code(0).stdout;
        assert_eq!(table.matches("+1202").count(), expected, "{options:?}");
    }
}

#[test]
fn a_table_without_records_is_no_failure() {
    let environment = Environment::console("");
    let run = environment.run(&["list"]).expect_code(0);
    assert!(!run.stdout.contains(char::is_numeric), "{run:#?}");
    assert_eq!(environment.run(&["--format", "json", "list"]).expect_code(0).stdout, "");
    let csv = environment.run(&["--format", "csv", "list"]).expect_code(0);
    assert_eq!(csv.stdout, format!("{}\n", FIELDS.join(",")));
}

#[test]
fn list_changes_nothing_and_needs_no_right_to_write() {
    if is_on_server() {
        return;
    }
    let environment = Environment::console("");
    environment.insert(&OLD);
    environment.insert(&Record { phone_number: OTHER_NUMBER, ..OLD });
    let database = environment.path("phone-verify.sqlite3");
    let before = std::fs::read(&database).expect("the database");
    environment.set_mode("phone-verify.sqlite3", 0o400);
    let run = run_command(environment.without_privileges(&["--format", "json", "list"]));
    assert_eq!(run.expect_code(0).json_lines().len(), 2);
    assert_eq!(std::fs::read(&database).expect("the database"), before);
}

#[test]
fn a_reader_that_has_seen_enough_ends_the_program_quietly() {
    let environment = Environment::console("");
    environment.run(&["migrate"]).expect_code(0);
    environment.insert_many(20_000, 60);
    for format in ["text", "json", "csv"] {
        let mut child = environment
            .command(&["--format", format, "list", "--all"])
            .spawn()
            .expect("the program starts");
        let mut lines = BufReader::new(child.stdout.take().expect("stdout is piped"));
        lines.read_line(&mut String::new()).expect("a line");
        drop(lines);
        let output = child.wait_with_output().expect("the program ends");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{format}");
        // No code is fixed for this end, which may come from the signal SIGPIPE too; an error's is wrong.
        assert!(matches!(output.status.code(), None | Some(0)), "{format}: {:?}", output.status);
    }
}

#[test]
fn output_that_cannot_be_written_is_an_error() {
    let environment = Environment::console("");
    environment.insert(&OLD);
    for format in ["text", "json", "csv"] {
        let run = environment.run_into("/dev/full", &["--format", format, "list"]).expect_code(1);
        assert!(run.stderr.starts_with("error: "), "{format}: {run:#?}");
        assert!(!run.stderr.contains(CODE), "{format}: {run:#?}");
    }
}

/// Returns the most memory in KiB that `list --all` had taken when it had all but its last rows written.
fn peak_memory_of_list(environment: &Environment, format: &str, records: usize) -> u64 {
    let mut child = environment
        .command(&["--format", format, "list", "--all"])
        .spawn()
        .expect("the program starts");
    let mut lines = BufReader::new(child.stdout.take().expect("stdout is piped"));
    // The pipe holds less than the rows that stay unread, so that the program is still alive.
    for _ in 0..records - 4000 {
        lines.read_line(&mut String::new()).expect("a line");
    }
    let peak = peak_memory(&child);
    drop(lines);
    child.wait().expect("the program ends");
    peak
}

#[test]
fn memory_does_not_grow_with_the_number_of_records() {
    let environment = Environment::console("");
    environment.run(&["migrate"]).expect_code(0);
    environment.insert_many(5_000, 60);
    let peak_of_few: Vec<_> = ["text", "json", "csv"]
        .map(|format| peak_memory_of_list(&environment, format, 5_000))
        .into();
    environment.insert_many(100_000, 120);
    for (format, few) in ["text", "json", "csv"].into_iter().zip(peak_of_few) {
        let many = peak_memory_of_list(&environment, format, 105_000);
        // Twenty times as many rows, each of some 200 bytes, would take 20 MiB more.
        assert!(many < few + 8 * 1024, "{format}: {few} KiB for 5,000 rows, {many} for 105,000");
    }
}

#[test]
fn a_list_beside_a_writer_shows_what_was_committed() {
    if is_on_server() {
        return;
    }
    let environment = Environment::console("");
    environment.insert(&OLD);
    let database = environment.database();
    database.execute_batch("BEGIN IMMEDIATE; DELETE FROM sms_verification").expect("a writer");
    let mut child =
        environment.command(&["--format", "json", "list"]).spawn().expect("the program starts");
    wait_until("the list ends beside a writer", || child.try_wait().expect("a child").is_some());
    assert_eq!(finish(child).expect_code(0).json_lines().len(), 1);
}
