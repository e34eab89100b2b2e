//! `doctor` on the database: what it finds, and that no byte changes.

use std::collections::BTreeMap;
use std::fs;

use crate::support::{
    CODE, Checks, DATABASE, Environment, NUMBER, OLDER_TABLES, Record, TABLE, Time, run_command,
};

/// Returns every file of the environment, with its content and the time of its last change.
fn contents(environment: &Environment) -> BTreeMap<String, (Vec<u8>, std::time::SystemTime)> {
    let content = |name: &String| {
        let path = environment.path(name);
        let changed = fs::metadata(&path).and_then(|metadata| metadata.modified());
        (fs::read(&path).expect("a file"), changed.expect("a time"))
    };
    environment.files().into_iter().map(|name| (name.clone(), content(&name))).collect()
}

/// Runs `doctor`, which has to exit with `code`, and asserts that it left every file as it was.
#[track_caller]
fn doctor_unchanged(environment: &Environment, code: i32) -> Checks {
    let before = contents(environment);
    let checks = environment.doctor(code, &[]);
    assert_eq!(contents(environment), before);
    checks
}

#[test]
fn a_current_database_has_nothing_to_complain_of_and_does_not_change() {
    let environment = Environment::with_record();
    let checks = doctor_unchanged(&environment, 0);
    let expected = [
        "file",
        "permissions",
        "writable",
        "journal_mode",
        "quick_check",
        "schema",
        "ledger",
        "indexes",
        "rows",
        "phone_numbers",
        "created_at",
    ];
    assert_eq!(checks.names("database"), expected);
    let is_of_database = |name: &&str| name.starts_with("database.");
    assert_eq!(checks.complaints().into_iter().filter(is_of_database).count(), 0, "{checks:#?}");
}

#[test]
fn the_database_of_a_django_site_is_looked_at_and_does_not_change() {
    let environment = Environment::console("");
    environment.insert(&Record::default());
    let checks = doctor_unchanged(&environment, 0);
    checks.expect("database.journal_mode", "warning", &["delete", "PRAGMA journal_mode = WAL"]);
    checks.expect("database.schema", "ok", &["current"]);
    checks.expect("database.ledger", "warning", &["sms_delivery", "phone-verify migrate"]);
    checks.expect("database.indexes", "warning", &["phone_verify_created_at", "migrate"]);
    environment.run(&["migrate"]).expect_code(0);
    let checks = environment.doctor(0, &[]);
    checks.expect("database.ledger", "ok", &[]);
    checks.expect("database.indexes", "ok", &[]);
}

#[test]
fn no_database_is_created() {
    let environment = Environment::with_settings("backend = \"console\"\n");
    let checks = doctor_unchanged(&environment, 1);
    checks.expect("database.file", "failure", &["does not exist", "phone-verify migrate"]);
    assert_eq!(checks.names("database"), ["file"]);
}

#[test]
fn what_is_no_database_is_told_and_does_not_change() {
    let environment = Environment::with_settings("backend = \"console\"\n");
    environment.write(DATABASE, "Dear diary, 918273 is my code. This is no database.\n");
    let checks = doctor_unchanged(&environment, 1);
    checks.expect("database.file", "failure", &["not an SQLite database"]);
    assert!(!format!("{checks:?}").contains(CODE));
}

#[test]
fn an_empty_file_and_an_older_table_wait_for_migrate() {
    let environment = Environment::with_settings("backend = \"console\"\n");
    environment.write(DATABASE, "");
    let checks = doctor_unchanged(&environment, 1);
    checks.expect("database.schema", "failure", &["no table", "phone-verify migrate"]);
    for (table, index) in OLDER_TABLES {
        let environment = Environment::with_settings("backend = \"console\"\n");
        environment.execute(&[table, index]);
        let checks = doctor_unchanged(&environment, 1);
        checks.expect("database.schema", "failure", &["older", "phone-verify migrate"]);
        environment.execute(&["CREATE TABLE django_migrations (id integer)"]);
        let checks = doctor_unchanged(&environment, 1);
        checks.expect("database.schema", "failure", &["manage.py migrate phone_verify"]);
    }
}

#[test]
fn tables_of_another_shape_are_told() {
    for (statements, check, status, part) in [
        (
            &[TABLE, "ALTER TABLE sms_verification RENAME COLUMN is_verified TO done"][..],
            "schema",
            "failure",
            "no version",
        ),
        (
            &["CREATE TABLE t (id)", "CREATE VIEW sms_verification AS SELECT * FROM t"],
            "schema",
            "failure",
            "is a view",
        ),
        (
            &[TABLE, "CREATE VIEW sms_delivery AS SELECT * FROM sms_verification"],
            "ledger",
            "failure",
            "is a view",
        ),
        (&[TABLE, "CREATE TABLE sms_delivery (id)"], "ledger", "failure", "no version"),
        (
            &[TABLE, "ALTER TABLE sms_verification ADD COLUMN user_id integer"],
            "schema",
            "ok",
            "user_id",
        ),
        (
            &[TABLE, "ALTER TABLE sms_verification ADD COLUMN ip text NOT NULL DEFAULT ''"],
            "schema",
            "ok",
            "ip",
        ),
        (
            &[&TABLE.replace("is_verified", "ip\" text NOT NULL, \"is_verified")],
            "schema",
            "failure",
            "a further column ip",
        ),
    ] {
        let environment = Environment::with_settings("backend = \"console\"\n");
        environment.execute(statements);
        let checks = doctor_unchanged(&environment, if status == "ok" { 0 } else { 1 });
        checks.expect(&format!("database.{check}"), status, &[part]);
    }
}

#[test]
fn an_index_of_the_ledger_that_is_gone_is_told_and_migrate_adds_it() {
    let environment = Environment::with_record();
    environment.execute(&["DROP INDEX phone_verify_delivery_created_at"]);
    let missing = ["phone_verify_delivery_created_at", "phone-verify migrate"];
    environment.doctor(0, &[]).expect("database.indexes", "warning", &missing);
    let migrated = environment.run(&["--format", "json", "migrate"]).expect_code(0).json();
    assert_eq!(migrated["indexes_added"], serde_json::json!(["phone_verify_delivery_created_at"]));
    environment.doctor(0, &[]).expect("database.indexes", "ok", &[]);
}

#[test]
fn rows_that_can_not_be_read_are_counted_and_the_first_is_named() {
    let environment = Environment::with_record();
    let damaged = environment.insert(&Record { session_token: "a", ..Record::default() });
    environment.insert(&Record { session_token: "b", ..Record::default() });
    environment.execute(&[
        "UPDATE sms_verification SET created_at = 'now' WHERE session_token = 'a'",
        "UPDATE sms_verification SET security_code = x'ff' WHERE session_token = 'b'",
        "INSERT INTO sms_delivery (verification_id, phone_number, backend, state, segments, tries,
            created_at, updated_at) VALUES ('x', '+14155552671', 'console', 'lost', 1, 1, '', '')",
    ]);
    let checks = doctor_unchanged(&environment, 1);
    let parts = ["3; the first: ", &damaged, "column created_at", "sqlite3"];
    checks.expect("database.rows", "failure", &parts);
    assert!(!format!("{checks:?}").contains(CODE), "{checks:#?}");
}

#[test]
fn numbers_that_are_not_e164_are_counted_and_the_first_is_named_by_its_id() {
    let environment = Environment::with_record();
    let mut ids = Vec::new();
    for (token, phone_number) in [("a", "(415) 555-2671"), ("b", "+0123"), ("c", "4155552671")] {
        let record = Record { session_token: token, phone_number, ..Record::default() };
        ids.push(uuid::Uuid::parse_str(&environment.insert(&record)).expect("a UUID"));
    }
    let checks = doctor_unchanged(&environment, 0);
    let first = ids[0].to_string();
    checks.expect(
        "database.phone_numbers",
        "warning",
        &["3; the first: ", &first, "sqlite3", "by its last digits"],
    );
}

#[test]
fn records_from_the_future_hint_at_a_site_without_time_zones() {
    let environment = Environment::with_record();
    environment.insert(&Record {
        session_token: "nearly now",
        created_at: Time::Ago(-20),
        ..Record::default()
    });
    environment.doctor(0, &[]).expect("database.created_at", "ok", &[]);
    environment.insert(&Record {
        session_token: "local time",
        created_at: Time::Ago(-7200),
        ..Record::default()
    });
    let checks = doctor_unchanged(&environment, 0);
    checks.expect("database.created_at", "warning", &["records from the future: 1", "USE_TZ"]);
}

#[test]
fn many_rows_are_all_looked_at() {
    let environment = Environment::with_record();
    environment.insert_many(5000, 60);
    environment.execute(&[
        "UPDATE sms_verification SET phone_number = '' WHERE rowid IN (1, 1999, 2000, 2001, 5001)",
    ]);
    let checks = environment.doctor(0, &[]);
    checks.expect("database.rows", "ok", &["5,001 records"]);
    checks.expect("database.phone_numbers", "warning", &["E.164: 5; "]);
}

#[test]
fn damage_is_told_and_does_not_change() {
    let environment = Environment::with_record();
    environment.insert_many(500, 60);
    let path = environment.path(DATABASE);
    let mut bytes = fs::read(&path).expect("the database");
    // The pages behind the schema lose their content; the first says what they should hold.
    let end = bytes.len();
    bytes[4096 * 4..end].fill(0x55);
    fs::write(&path, bytes).expect("the database");
    let checks = doctor_unchanged(&environment, 1);
    checks.expect("database.quick_check", "failure", &["Tree "]);
    assert!(!format!("{checks:?}").contains("***"), "{checks:#?}");
    assert!(!format!("{checks:?}").contains(CODE), "{checks:#?}");
}

#[test]
fn permissions_that_give_the_codes_away_are_told() {
    let environment = Environment::with_record();
    for (mode, status, part) in
        [(0o640, "ok", "640"), (0o644, "warning", "chmod o-r"), (0o666, "failure", "chmod o-rw")]
    {
        environment.set_mode(DATABASE, mode);
        let code = i32::from(status == "failure");
        environment.doctor(code, &[]).expect("database.permissions", status, &[part]);
    }
}

#[test]
fn a_database_that_may_not_be_written_or_read_is_told() {
    for (statement, mode, check) in [
        ("PRAGMA journal_mode = delete", 0o400, "database.writable"),
        ("PRAGMA journal_mode = wal", 0o400, "database.writable"),
        ("PRAGMA journal_mode = delete", 0o000, "database.file"),
    ] {
        let environment = Environment::console("");
        environment.column(statement);
        let path = environment.path(DATABASE);
        environment.set_mode(DATABASE, mode);
        let before = fs::read(&path).expect("the database");
        let arguments = ["--format", "json", "doctor"];
        let run = run_command(environment.without_privileges(&arguments)).expect_code(1);
        Checks::from_run(run).expect(check, "failure", &[]);
        assert_eq!(fs::read(&path).expect("the database"), before, "{statement}");
    }
}

#[test]
fn a_folder_that_may_not_be_written_is_told() {
    let environment = Environment::console("[database]\npath = \"data/site.sqlite3\"");
    fs::create_dir(environment.path("data")).expect("a new folder");
    fs::copy(environment.path(DATABASE), environment.path("data/site.sqlite3")).expect("a copy");
    environment.set_mode("data", 0o500);
    let arguments = ["--format", "json", "doctor"];
    let run = run_command(environment.without_privileges(&arguments)).expect_code(1);
    Checks::from_run(run).expect(
        "database.writable",
        "failure",
        &["its directory can't be written"],
    );
}

#[test]
fn what_a_crash_left_in_the_log_stays_there_and_is_read() {
    let running = Environment::with_record();
    let connection = running.database();
    connection.query_row("SELECT count(*) FROM sms_verification", [], |_| Ok(())).expect("rows");
    let other = Record { session_token: "in the log", ..Record::default() };
    running.insert(&other);
    let crashed = Environment::with_settings("backend = \"console\"\n");
    for name in [DATABASE, "phone-verify.sqlite3-wal"] {
        fs::copy(running.path(name), crashed.path(name)).expect("a copy");
        crashed.set_mode(name, 0o600);
    }
    drop(connection);
    let before = contents(&crashed);
    let checks = crashed.doctor(0, &[]);
    checks.expect("database.rows", "ok", &["2 records"]);
    let after = contents(&crashed);
    for name in [DATABASE, "phone-verify.sqlite3-wal"] {
        assert!(after[name].0 == before[name].0, "{name} has changed");
    }
}

#[test]
fn what_a_crash_left_half_done_stays_so_and_is_told() {
    let running = Environment::console("");
    let connection = running.database();
    connection
        .execute_batch(
            "PRAGMA cache_size = 1;
             BEGIN;
             CREATE TABLE other (filling);
             INSERT INTO other SELECT hex(randomblob(3000)) FROM pragma_function_list LIMIT 50;",
        )
        .expect("a transaction");
    let crashed = Environment::with_settings("backend = \"console\"\n");
    for name in [DATABASE, "phone-verify.sqlite3-journal"] {
        fs::copy(running.path(name), crashed.path(name)).expect("a copy");
    }
    let checks = doctor_unchanged(&crashed, 1);
    checks.expect("database.file", "failure", &["half done", "phone-verify list"]);
    crashed.run(&["list"]).expect_code(0);
    doctor_unchanged(&crashed, 0).expect("database.schema", "ok", &[]);
}

#[test]
fn a_writer_beside_it_is_not_disturbed() {
    let environment = Environment::console("");
    let writer = environment.database();
    for mode in ["delete", "wal"] {
        environment.column(&format!("PRAGMA journal_mode = {mode}"));
        writer.execute_batch("BEGIN IMMEDIATE; DELETE FROM sms_verification").expect("a lock");
        environment.doctor(0, &[]).expect("database.rows", "ok", &[]);
        writer.execute_batch("COMMIT").expect("it goes on");
    }
    environment.send(NUMBER);
}

#[test]
fn a_command_for_a_database_whose_path_has_a_blank_can_be_copied() {
    let environment = Environment::console("[database]\npath = \"the site/db.sqlite3\"");
    fs::create_dir(environment.path("the site")).expect("a new folder");
    let path = environment.path("the site/db.sqlite3");
    fs::copy(environment.path(DATABASE), &path).expect("a copy");
    environment.set_mode("the site/db.sqlite3", 0o644);
    let checks = environment.doctor(0, &[]);
    let quoted = "'the site/db.sqlite3'";
    let chmod = format!("`chmod o-r {quoted}`");
    checks.expect("database.permissions", "warning", &[&chmod]);
    let sqlite3 = format!("`sqlite3 {quoted} 'PRAGMA journal_mode = WAL'`");
    checks.expect("database.journal_mode", "warning", &[&sqlite3]);
}
