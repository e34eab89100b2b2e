//! Tables and indexes that are not as they should be: another program's are left alone, and what is missing is told and added.

use serde_json::json;

use crate::support::{
    CODE, Environment, NUMBER, OTHER_NUMBER, Record, Run, TABLE, TOKEN, UNIQUE_INDEX,
};

const UNIQUE: &str = "sms_verification_security_code_phone_number_session_token_7e72282c_uniq";

/// Asserts that `run` refused another program's table `name` in words, without having sent or done anything.
#[track_caller]
fn expect_refusal(run: Run, name: &str) {
    let run = run.expect_code(1);
    assert_eq!(run.stdout, "", "{run:#?}");
    assert!(run.stderr.contains(name) && run.stderr.contains("hint: "), "{run:#?}");
    assert!(!run.stderr.contains("SELECT") && !run.stderr.contains("security code"), "{run:#?}");
}

#[test]
fn a_table_of_another_program_that_has_the_ledgers_name_is_left_alone() {
    for sql in [
        "CREATE TABLE sms_delivery (id integer primary key, phone_number text, created_at datetime not null, courier text)",
        "CREATE TABLE letters (id integer primary key, phone_number text, created_at datetime not null, courier text);
         CREATE VIEW sms_delivery AS SELECT * FROM letters",
    ] {
        let environment = Environment::with_database("");
        let table = if sql.contains("letters") { "letters" } else { "sms_delivery" };
        let insert = format!(
            "INSERT INTO {table} (phone_number, created_at, courier) VALUES
                ('{NUMBER}', '2020-01-01 00:00:00', 'Ann'), ('{NUMBER}', datetime('now'), 'Ben')"
        );
        environment.execute(&["DROP TABLE sms_delivery", sql, &insert]);
        environment.insert(&Record::default());
        let old = Record { session_token: "old", phone_number: OTHER_NUMBER, ..Record::default() };
        environment.insert(&old);
        // An erasure rebuilds the database, which drops SQLite's own table of sequences if it's empty.
        environment.execute(&["VACUUM"]);
        let before = (environment.schema(), environment.rows(table));

        for command in [&["migrate"][..], &["send", NUMBER]] {
            expect_refusal(environment.run(command), "sms_delivery");
        }
        assert_eq!(environment.count(), 2);
        environment.run(&["verify", NUMBER, CODE, "--session-token", TOKEN]).expect_code(0);
        assert_eq!(environment.run(&["list"]).expect_code(0).stderr, "");
        for command in [&["status", NUMBER][..], &["deliveries"], &["stats"]] {
            let run = environment.run(command).expect_code(0);
            assert!(run.stderr.starts_with("warning: "), "{run:#?}");
            assert!(run.stderr.contains("sms_delivery"), "{run:#?}");
            assert!(!run.stderr.contains("SELECT"), "{run:#?}");
        }
        environment.run(&["purge"]).expect_code(0);
        environment.run(&["purge", "--phone-number", NUMBER]).expect_code(0);
        assert_eq!(environment.count(), 1);
        assert_eq!((environment.schema(), environment.rows(table)), before);
    }
}

#[test]
fn a_table_without_rowids_and_a_virtual_one_are_refused_at_once() {
    let columns = "id, created_at, modified_at, phone_number, security_code, session_token, is_verified, failed_attempts";
    for sql in [
        &format!("{TABLE} WITHOUT ROWID"),
        &format!("CREATE VIRTUAL TABLE sms_verification USING fts5({columns})"),
        &format!("CREATE TABLE t ({columns}); CREATE VIEW sms_verification AS SELECT * FROM t"),
    ] {
        let environment = Environment::with_settings("backend = \"console\"\n");
        environment.execute(&[sql]);
        let before = environment.schema();
        for command in [&["migrate"][..], &["send", NUMBER], &["list"], &["purge"]] {
            expect_refusal(environment.run(command), "sms_verification");
        }
        let checks = environment.doctor(1, &[]);
        checks.expect("database.schema", "failure", &["has to be an ordinary table"]);
        assert_eq!(environment.schema(), before);
    }
}

#[test]
fn a_missing_unique_index_is_told_and_migrate_adds_it() {
    let environment = Environment::with_database("");
    environment.execute(&[&format!("DROP INDEX {UNIQUE}")]);
    let parts = [UNIQUE, "phone-verify migrate"];
    environment.doctor(0, &[]).expect("database.indexes", "warning", &parts);
    let alone = Environment::with_database("");
    alone.execute(&["DROP TABLE sms_delivery", &format!("DROP INDEX {UNIQUE}")]);
    alone.doctor(0, &[]).expect("database.indexes", "warning", &parts);
    let migrated = environment.run(&["--format", "json", "migrate"]).expect_code(0).json();
    assert_eq!(migrated["indexes_added"], json!([UNIQUE]));
    assert!(environment.schema().iter().any(|sql| sql == UNIQUE_INDEX));
    environment.doctor(0, &[]).expect("database.indexes", "ok", &[]);
}

#[test]
fn records_that_stand_against_the_unique_index_are_told_and_kept() {
    for older in [false, true] {
        let environment = Environment::with_database("");
        environment.execute(&[&format!("DROP INDEX {UNIQUE}")]);
        environment.insert(&Record::default());
        environment.insert(&Record::default());
        if older {
            environment.execute(&["ALTER TABLE sms_verification DROP COLUMN failed_attempts"]);
        }
        let run = environment.run(&["migrate"]).expect_code(0);
        let (warning, name) = (run.stderr.contains("warning: "), run.stderr.contains(UNIQUE));
        assert!(warning && name && run.stderr.contains("the same security code"), "{run:#?}");
        assert!(!run.stderr.contains(CODE), "{run:#?}");
        assert_eq!(environment.count(), 2);
        environment.doctor(0, &[]).expect("database.indexes", "warning", &[UNIQUE]);
    }
}

#[test]
fn what_else_stands_against_the_unique_index_is_an_error() {
    let environment = Environment::with_database("");
    // A collation that only another program has.
    environment.execute(&[&format!(
        "DROP INDEX {UNIQUE};
         PRAGMA writable_schema = ON;
         UPDATE sqlite_schema SET sql = replace(sql, 'varchar(500) NOT NULL', 'text NOT NULL COLLATE of_others')
         WHERE name = 'sms_verification'"
    )]);
    let before = environment.schema();
    let run = environment.run(&["migrate"]).expect_code(1);
    assert!(run.stderr.contains("no such collation sequence: of_others"), "{run:#?}");
    assert_eq!(environment.schema(), before);
}

#[test]
fn the_unique_index_is_left_to_django_where_it_manages_the_database() {
    let environment = Environment::with_database("");
    environment
        .execute(&["CREATE TABLE django_migrations (id integer)", &format!("DROP INDEX {UNIQUE}")]);
    let before = environment.schema();
    let run = environment.run(&["migrate"]).expect_code(0);
    assert!(run.stderr.contains(UNIQUE) && run.stderr.contains("Django"), "{run:#?}");
    assert_eq!(environment.schema(), before);
    let checks = environment.doctor(0, &[]);
    let parts = [UNIQUE, "sqlite3 ", "CREATE UNIQUE INDEX"];
    checks.expect("database.indexes", "warning", &parts);
}

#[test]
fn an_index_counts_by_what_it_is_on_and_not_by_its_name() {
    let environment = Environment::with_database("");
    environment.execute(&[
        "DROP INDEX phone_verify_created_at",
        "CREATE INDEX phone_verify_created_at ON sms_verification (modified_at)",
        "DROP INDEX phone_verify_delivery_created_at",
        "CREATE INDEX phone_verify_delivery_created_at ON sms_delivery (created_at) WHERE tries > 1",
        "DROP INDEX phone_verify_phone_number_created_at",
        "CREATE INDEX of_somebody_else ON sms_verification (phone_number, created_at)",
    ]);
    let missing = ["phone_verify_created_at", "phone_verify_delivery_created_at"];
    let checks = environment.doctor(0, &[]);
    checks.expect("database.indexes", "warning", &missing);
    let before = environment.schema();
    let migrated = environment.run(&["--format", "json", "migrate"]).expect_code(0).json();
    assert_eq!(migrated["indexes_added"], json!(missing.map(|name| format!("{name}_2"))));
    environment.doctor(0, &[]).expect("database.indexes", "ok", &[]);
    let after = environment.schema();
    assert!(before.iter().all(|of_others| after.contains(of_others)), "{after:#?}");
}

#[test]
fn a_table_that_was_renamed_keeps_its_indexes() {
    let environment = Environment::with_database("");
    environment.execute(&["ALTER TABLE sms_verification RENAME TO backup"]);
    let before = environment.schema();
    environment.run(&["migrate"]).expect_code(0);
    environment.doctor(0, &[]).expect("database.indexes", "ok", &[]);
    let after = environment.schema();
    assert!(before.iter().all(|of_others| after.contains(of_others)), "{after:#?}");
}

#[test]
fn no_index_is_asked_for_where_there_is_no_table() {
    let environment = Environment::with_settings("backend = \"console\"\n");
    environment.write("phone-verify.sqlite3", "");
    assert!(!environment.doctor(1, &[]).names("database").contains(&"indexes"));
}

#[test]
fn a_database_in_utf_16_is_read_limited_and_purged_as_any_other() {
    let environment = Environment::with_settings(
        "backend = \"console\"\n[limits]\nresend_cooldown_seconds = 600\n",
    );
    environment.execute(&["PRAGMA encoding = 'UTF-16le'", "CREATE TABLE of_others (id integer)"]);
    environment.run(&["migrate"]).expect_code(0);
    environment.insert(&Record { phone_number: OTHER_NUMBER, ..Record::default() });
    environment.insert_more(2500);
    let listed = environment.run(&["--format", "json", "list", "--all"]).expect_code(0);
    assert_eq!(listed.json_lines().len(), 2501);
    environment.run(&["send", NUMBER]).expect_code(0);
    let limited = environment.run(&["send", NUMBER]).expect_code(1);
    assert!(limited.stderr.contains("not sent"), "{limited:#?}");
    environment.execute(&["UPDATE sms_verification SET created_at = '2020-01-01 00:00:00'"]);
    let purged = environment.run(&["purge"]).expect_code(0);
    assert_eq!(purged.stdout, "Deleted 2,502 records.\n");
}
