//! `migrate` in the database of a Django site, whose tables are Django's to change.

use crate::support::{
    CODE, Environment, NUMBER, OLDER_TABLES, Record, TABLE, TABLE_0001, TABLE_0002, TOKEN,
    UNIQUE_INDEX, UNIQUE_INDEX_0001,
};

/// Returns the SQL of what is Django's: its tables, which the ledger of deliveries is not, and their indexes.
fn django_schema(environment: &Environment) -> Vec<String> {
    environment.column(
        "SELECT sql FROM sqlite_schema WHERE tbl_name <> 'sms_delivery'
            AND (type = 'table' OR name LIKE '%_uniq') ORDER BY name",
    )
}

#[test]
fn a_current_table_gets_the_indexes_and_the_ledger_beside_it() {
    let environment = Environment::django_site(&[TABLE, UNIQUE_INDEX]);
    environment.insert(&Record::default());
    let rows = || [environment.rows("sms_verification"), environment.rows("django_migrations")];
    let before = (django_schema(&environment), rows());
    environment.run(&["migrate"]).expect_code(0);
    assert_eq!((django_schema(&environment), rows()), before);
    assert_eq!(environment.own_indexes().len(), 2);
    assert_eq!(environment.column("PRAGMA journal_mode"), ["delete"]);
    let schema = environment.schema();
    environment.run(&["migrate"]).expect_code(0);
    assert_eq!(environment.schema(), schema);
}

#[test]
fn an_older_or_missing_table_is_left_to_django() {
    for statements in [&[][..], &[TABLE_0001, UNIQUE_INDEX_0001], &[TABLE_0002, UNIQUE_INDEX]] {
        let environment = Environment::django_site(statements);
        let before = django_schema(&environment);
        let hint = "python manage.py migrate phone_verify";
        for command in [
            &["migrate"][..],
            &["send", NUMBER],
            &["send", NUMBER, "--dry-run", "--resume"],
            &["verify", NUMBER, CODE, "--any-session"],
            &["list"],
            &["status", NUMBER],
            &["purge"],
        ] {
            let run = environment.run(command).expect_code(1);
            let mut lines = run.stderr.lines();
            let error = lines.next().expect("an error");
            assert!(error.starts_with("error: database ") && error.contains("Django"), "{run:#?}");
            assert_eq!(lines.collect::<Vec<_>>(), [format!("hint: {hint}")], "{command:?}");
        }
        environment.doctor(1, &[]).expect("database.schema", "failure", &["Django", hint]);
        assert_eq!(django_schema(&environment), before);
    }
}

#[test]
fn the_rows_of_an_older_table_stay_as_they_are() {
    for (table, index) in OLDER_TABLES {
        let environment = Environment::django_site(&[table, index]);
        let width = if table == TABLE_0001 { "" } else { ", 0" };
        environment.execute(&[&format!(
            "INSERT INTO sms_verification VALUES ('3f2504e04f8941d39a0c0305e82c3301',
                '2026-01-15 23:30:00', '2026-01-15 23:30:00', 'a', 'b', 'c'{width})"
        )]);
        let before = environment.rows("sms_verification");
        environment.run(&["migrate"]).expect_code(1);
        assert_eq!(environment.rows("sms_verification"), before);
    }
}

/// Django's own upgrade of an older table is what follows our refusal: it must find nothing in its way.
#[test]
fn django_can_upgrade_the_table_after_us() {
    let environment = Environment::django_site(&[TABLE_0002, UNIQUE_INDEX]);
    environment.run(&["migrate"]).expect_code(1);
    let current = TABLE.replacen("\"sms_verification\"", "\"new__sms_verification\"", 1);
    environment.execute(&[
        "BEGIN",
        &current,
        "INSERT INTO new__sms_verification SELECT *, 0 FROM sms_verification",
        "DROP TABLE sms_verification",
        "ALTER TABLE new__sms_verification RENAME TO sms_verification",
        UNIQUE_INDEX,
        "COMMIT",
    ]);
    environment.run(&["migrate"]).expect_code(0);
    assert!(environment.schema().iter().any(|sql| sql == TABLE), "{:#?}", environment.schema());
}

#[test]
fn the_journal_mode_of_a_site_stays_whatever_is_done() {
    for mode in ["delete", "wal"] {
        let environment = Environment::django_site(&[TABLE, UNIQUE_INDEX]);
        environment.execute(&[&format!("PRAGMA journal_mode = {mode}")]);
        environment.insert(&Record::default());
        environment.run(&["migrate"]).expect_code(0);
        environment.run(&["verify", NUMBER, CODE, "--session-token", TOKEN]).expect_code(0);
        environment.run(&["send", NUMBER]).expect_code(0);
        environment.run(&["list"]).expect_code(0);
        environment.run(&["purge", "--older-than", "1s", "--force"]).expect_code(0);
        assert_eq!(environment.column("PRAGMA journal_mode"), [mode]);
    }
}
