//! Tables on a PostgreSQL server that another program has: they are left alone.

use crate::postgres_migrate::DJANGO;
use crate::support::postgres::Kind;
use crate::support::{CODE, Environment, NUMBER, VERIFY, WRONG_CODE};

#[test]
fn a_view_that_has_the_name_of_a_table_is_left_alone() {
    let tables = [
        ("sms_verification", &["migrate", "send", "status", "list", "verify", "purge"][..]),
        ("sms_delivery", &["migrate", "send"]),
        ("sms_wrong_code", &["status", "verify"]),
    ];
    // The server could change what a view selects, unless it is materialized.
    for ((table, refused), view) in
        tables.into_iter().flat_map(|it| [(it, "VIEW"), (it, "MATERIALIZED VIEW")])
    {
        let purge = ["purge", "--phone-number", NUMBER];
        let all =
            [&VERIFY, &["migrate"][..], &["status", NUMBER], &["list"], &["send", NUMBER], &purge];
        let Some(database) = Kind::Plain.database() else { return };
        database.migrate();
        database.insert_record();
        database.query(&format!(
            "INSERT INTO sms_delivery (verification_id, phone_number, backend, state, segments, tries,
                 created_at, updated_at)
             SELECT id, '{NUMBER}', 'console', 'accepted', 1, 1, created_at, created_at
                 FROM sms_verification;
             INSERT INTO sms_wrong_code (phone_number, created_at) VALUES ('{NUMBER}', now());
             ALTER TABLE {table} RENAME TO of_others;
             CREATE {view} {table} AS SELECT * FROM of_others"
        ));
        let environment = Environment::on_server(&database);
        let rows = || database.query("SELECT of_others::text FROM of_others");
        let before = rows();
        for command in all {
            let run = environment.run(command);
            let is_refused = refused.contains(&command[0]);
            assert_eq!(run.code, Some(i32::from(is_refused)), "{table}: {command:?} {run:#?}");
            let problem = format!(
                ": {table} is a view or a foreign table, and has to be a table\nhint: rename it"
            );
            assert_eq!(run.stderr.contains(&problem), is_refused, "{table}: {run:#?}");
            assert!(!run.stderr.contains(CODE), "{run:#?}");
            let is_warned = run.stderr.starts_with(&format!("warning: {table} is a view "));
            let expected = table == "sms_delivery" && command[0] == "status";
            assert_eq!(is_warned, expected, "{table}: {run:#?}");
            assert_eq!(rows(), before, "{table}: {command:?} {run:#?}");
        }
    }
}

#[test]
fn a_table_that_has_the_name_of_the_locks_is_left_alone() {
    let Some(database) = Kind::Plain.database() else { return };
    database.migrate();
    database.insert_record();
    database.query(
        "DROP TABLE phone_verify_lock; CREATE TABLE phone_verify_lock (id bigint, turn bigint)",
    );
    let environment = Environment::on_server(&database);
    let wrong_code = ["verify", "--any-session", NUMBER, WRONG_CODE];
    for command in [&["migrate"][..], &["send", NUMBER], &wrong_code] {
        let run = environment.run(command).expect_code(1);
        let problem = ": the table phone_verify_lock has columns that no version of phone-verify gave it\nhint: if it";
        assert!(run.stderr.contains(problem), "{run:#?}");
    }
    environment.run(&["list"]).expect_code(0);
    environment.doctor(1, &[]).expect("database.lock", "failure", &["phone_verify_lock"]);
}

#[test]
fn only_tables_that_are_there_are_to_be_vacuumed() {
    let Some(database) = Kind::Plain.database() else { return };
    database.query(&DJANGO.concat());
    database.insert_record();
    let run = Environment::on_server(&database).run(&["purge", NUMBER]).expect_code(0);
    assert!(run.stderr.contains("until `VACUUM FULL sms_verification`, and"), "{run:#?}");
}
