//! `migrate` on a server: the tables it creates, the older ones it brings up to date, and its indexes.

use serde_json::{Value, json};

use crate::support::postgres::{Database, Kind};
use crate::support::{CODE, Environment, NUMBER, TOKEN, finish};

/// What `python manage.py sqlmigrate phone_verify` prints of django-phone-verify 3.3.0 on PostgreSQL, for its three migrations.
pub(crate) const DJANGO: [&str; 3] = [
    r#"CREATE TABLE "sms_verification" ("id" uuid NOT NULL PRIMARY KEY, "created_at" timestamp with time zone NOT NULL, "modified_at" timestamp with time zone NOT NULL, "otp" varchar(120) NOT NULL, "phone_number" varchar(128) NOT NULL, "session_code" varchar(500) NOT NULL);
       ALTER TABLE "sms_verification" ADD CONSTRAINT "sms_verification_otp_phone_number_session_code_f31b942e_uniq" UNIQUE ("otp", "phone_number", "session_code");"#,
    r#"ALTER TABLE "sms_verification" RENAME COLUMN "otp" TO "security_code";
       ALTER TABLE "sms_verification" RENAME COLUMN "session_code" TO "session_token";
       ALTER TABLE "sms_verification" ADD COLUMN "is_verified" boolean DEFAULT false NOT NULL;
       ALTER TABLE "sms_verification" ALTER COLUMN "is_verified" DROP DEFAULT;"#,
    r#"ALTER TABLE "sms_verification" ADD COLUMN "failed_attempts" integer DEFAULT 0 NOT NULL CHECK ("failed_attempts" >= 0);
       ALTER TABLE "sms_verification" ALTER COLUMN "failed_attempts" DROP DEFAULT;"#,
];
/// The unique constraint of the records.
pub(crate) const UNIQUE: &str = "sms_verification_otp_phone_number_session_code_f31b942e_uniq";
const OWN_INDEXES: [&str; 2] = ["phone_verify_phone_number_created_at", "phone_verify_created_at"];

/// Runs `migrate`, and returns its report.
#[track_caller]
pub(crate) fn migrate(environment: &Environment) -> Value {
    environment.run(&["--format", "json", "migrate"]).expect_code(0).json()
}

/// Returns the first column of what `query` finds.
#[track_caller]
pub(crate) fn column(database: &Database, query: &str) -> Vec<String> {
    let rows = database.query(query);
    rows.into_iter().map(|mut row| row.swap_remove(0).unwrap_or_default()).collect()
}

/// Returns the columns and the constraints of a table, as the server describes them.
fn description(database: &Database, table: &str) -> Vec<String> {
    column(
        database,
        &format!(
            "SELECT format('%s %s %s %s', attname, format_type(atttypid, atttypmod), attnotnull,
                 pg_get_expr(adbin, adrelid))
             FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
             WHERE attrelid = '{table}'::regclass AND attnum > 0 AND NOT attisdropped
             UNION ALL
             (SELECT format('%s %s', conname, pg_get_constraintdef(oid))
             FROM pg_constraint WHERE conrelid = '{table}'::regclass AND contype <> 'n'
             ORDER BY conname)"
        ),
    )
}

/// Returns the names of the valid indexes of a table, in alphabetical order.
pub(crate) fn indexes(database: &Database, table: &str) -> Vec<String> {
    column(
        database,
        &format!(
            "SELECT indexrelid::regclass::text FROM pg_index
             WHERE indrelid = '{table}'::regclass AND indisvalid ORDER BY 1"
        ),
    )
}

/// Fills a table of Django's migration `number` with a live record and an old one.
fn fill(database: &Database, number: usize) {
    let (code, token) =
        if number == 1 { ("otp", "session_code") } else { ("security_code", "session_token") };
    let (names, values) = match number {
        1 => ("", ""),
        2 => (", is_verified", ", TRUE"),
        _ => (", is_verified, failed_attempts", ", TRUE, 2"),
    };
    database.query(&format!(
        "INSERT INTO sms_verification (id, created_at, modified_at, phone_number, {code}, {token}{names})
         VALUES ('3f2504e0-4f89-41d3-9a0c-0305e82c3301', now(), now(), '{NUMBER}', '{CODE}', '{TOKEN}'{values}),
             ('00000000-0000-4000-8000-000000000001', '2020-01-01', '2020-01-01 00:00:00.000001', '{NUMBER}', '012345', 'é😀'{values})"
    ));
}

#[test]
fn an_empty_database_gets_djangos_table_and_ours() {
    for kind in Kind::ALL {
        let (Some(database), Some(django)) = (kind.database(), kind.database()) else { continue };
        django.query(&DJANGO.concat());
        let environment = Environment::on_server(&database);
        let added = json!({"table": "created", "ledger": "created", "indexes_added": OWN_INDEXES});
        assert_eq!(migrate(&environment), added, "{kind:?}");
        let expected = description(&django, "sms_verification");
        assert_eq!(description(&database, "sms_verification"), expected, "{kind:?}");
        assert_eq!(
            indexes(&database, "sms_verification"),
            [OWN_INDEXES[1], OWN_INDEXES[0], UNIQUE, "sms_verification_pkey"]
        );
        let tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1";
        let expected = ["phone_verify_lock", "sms_delivery", "sms_verification", "sms_wrong_code"];
        assert_eq!(column(&database, tables), expected);
        let none = json!({"table": "none", "ledger": "none", "indexes_added": []});
        assert_eq!(migrate(&environment), none, "{kind:?}");
    }
}

#[test]
fn an_older_table_keeps_its_rows_and_becomes_the_current_one() {
    for kind in Kind::ALL {
        for number in 1..=2 {
            let (Some(database), Some(django)) = (kind.database(), kind.database()) else {
                continue;
            };
            for database in [&database, &django] {
                database.query(&DJANGO[..number].concat());
                fill(database, number);
            }
            django.query(&DJANGO[number..].concat());
            let environment = Environment::on_server(&database);
            let verify = ["verify", NUMBER, CODE, "--session-token", TOKEN];
            let run = environment.run(&verify).expect_code(1);
            assert!(run.stderr.contains("older version\nhint: phone-verify migrate"), "{run:#?}");
            assert_eq!(migrate(&environment)["table"], "upgraded", "{kind:?}");
            let expected = description(&django, "sms_verification");
            assert_eq!(description(&database, "sms_verification"), expected, "{kind:?}");
            let rows = "SELECT id, security_code, phone_number, session_token, is_verified, failed_attempts
                 FROM sms_verification ORDER BY id";
            assert_eq!(database.query(rows), django.query(rows), "{kind:?}");
            // Those of 0002 are verified already.
            environment.run(&verify).expect_code(if number == 1 { 0 } else { 13 });
        }
    }
}

#[test]
fn a_current_table_gets_only_what_is_missing() {
    for kind in Kind::ALL {
        let Some(database) = kind.database() else { continue };
        database.query(&DJANGO.concat());
        fill(&database, 3);
        let environment = Environment::on_server(&database);
        let run = environment.run(&["send", NUMBER]).expect_code(0);
        assert!(run.stdout.contains(NUMBER), "{run:#?}");
        let added = json!({"table": "none", "ledger": "none", "indexes_added": OWN_INDEXES});
        assert_eq!(migrate(&environment), added, "{kind:?}");
    }
}

#[test]
fn django_brings_its_own_table_up_to_date() {
    for kind in Kind::ALL {
        for number in 0..=3 {
            let Some(database) = kind.database() else { continue };
            database.query("CREATE TABLE django_migrations (id integer)");
            database.query(&DJANGO[..number].concat());
            let environment = Environment::on_server(&database);
            if number == 3 {
                database.query(&format!("ALTER TABLE sms_verification DROP CONSTRAINT {UNIQUE}"));
                let run = environment.run(&["migrate"]).expect_code(0);
                assert!(
                    run.stderr.contains("Django manages this database, and has to add it"),
                    "{run:#?}"
                );
                assert_eq!(indexes(&database, "sms_verification").len(), 3);
                continue;
            }
            let run = environment.run(&["migrate"]).expect_code(1);
            assert!(run.stderr.contains("hint: python manage.py migrate phone_verify"), "{run:#?}");
            let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
            assert_eq!(column(&database, tables), [if number == 0 { "1" } else { "2" }]);
        }
    }
}

#[test]
fn a_missing_unique_constraint_is_added_unless_rows_are_the_same() {
    for kind in Kind::ALL {
        let Some(database) = kind.database() else { continue };
        let environment = Environment::on_server(&database);
        migrate(&environment);
        database.query(&format!("ALTER TABLE sms_verification DROP CONSTRAINT {UNIQUE}"));
        assert_eq!(migrate(&environment)["indexes_added"], json!([UNIQUE]), "{kind:?}");

        database.query(&format!("ALTER TABLE sms_verification DROP CONSTRAINT {UNIQUE}"));
        let copy = "INSERT INTO sms_verification SELECT gen_random_uuid(), created_at, modified_at, security_code,
             phone_number, session_token, is_verified, failed_attempts FROM sms_verification";
        fill(&database, 3);
        database.query(copy);
        let run = environment.run(&["migrate"]).expect_code(0);
        assert!(run.stderr.contains("records have the same security code"), "{run:#?}");
        assert!(!run.stderr.contains(CODE), "{run:#?}");
        environment.doctor(0, &[]).expect("database.indexes", "warning", &[UNIQUE, "migrate"]);
    }
}

#[test]
fn an_index_under_another_name_does_and_a_useless_one_is_made_again() {
    for kind in Kind::ALL {
        let Some(database) = kind.database() else { continue };
        let environment = Environment::on_server(&database);
        migrate(&environment);
        database.query(
            "ALTER INDEX phone_verify_created_at RENAME TO mine;
             CREATE INDEX phone_verify_created_at ON sms_verification (modified_at);
             CREATE INDEX phone_verify_phone_number_created_at_of_others
                 ON sms_verification (is_verified);
             UPDATE pg_index SET indisvalid = FALSE FROM pg_class
                 WHERE oid = indexrelid AND relname LIKE 'phone_verify_phone_number_created_at%'",
        );
        let checks = environment.doctor(0, &[]);
        checks.expect(
            "database.indexes",
            "warning",
            &["slow: phone_verify_phone_number_created_at"],
        );
        let added = json!(["phone_verify_phone_number_created_at"]);
        assert_eq!(migrate(&environment)["indexes_added"], added, "{kind:?}");
        let kept =
            "SELECT to_regclass('phone_verify_phone_number_created_at_of_others') IS NOT NULL";
        assert_eq!(column(&database, kept), ["t"], "{kind:?}");

        // Neither does another order, a part of the rows, or fewer columns.
        database.query(
            "DROP INDEX mine;
             CREATE INDEX descending ON sms_verification (created_at DESC);
             CREATE INDEX partial ON sms_verification (created_at) WHERE is_verified;",
        );
        let added = json!(["phone_verify_created_at_2"]);
        assert_eq!(migrate(&environment)["indexes_added"], added, "{kind:?}");
        environment.doctor(0, &[]).expect("database.indexes", "ok", &[]);
    }
}

#[test]
fn names_that_something_else_has_are_left_to_it() {
    for kind in Kind::ALL {
        let Some(database) = kind.database() else { continue };
        database.query(&DJANGO.concat());
        database.query(
            "ALTER TABLE sms_verification RENAME TO old;
             CREATE SEQUENCE phone_verify_created_at;
             CREATE TABLE phone_verify_delivery_created_at ();",
        );
        let environment = Environment::on_server(&database);
        let added = json!(["phone_verify_phone_number_created_at", "phone_verify_created_at_2"]);
        assert_eq!(migrate(&environment)["indexes_added"], added, "{kind:?}");
        let second = format!("{UNIQUE}_2");
        assert!(indexes(&database, "sms_verification").contains(&second), "{kind:?}");
        let second = "phone_verify_delivery_created_at_2".to_owned();
        assert!(indexes(&database, "sms_delivery").contains(&second), "{kind:?}");
        environment.run(&["send", NUMBER]).expect_code(0);
        environment.doctor(0, &[]).expect("database.indexes", "ok", &[]);
    }
}

#[test]
fn several_migrations_at_once_are_harmless() {
    for kind in Kind::ALL {
        let Some(database) = kind.database() else { continue };
        database.query(DJANGO[0]);
        fill(&database, 1);
        let environment = Environment::on_server(&database);
        let children: Vec<_> =
            (0..6).map(|_| environment.start(&["--format", "json", "migrate"])).collect();
        let reports: Vec<_> =
            children.into_iter().map(|child| finish(child).expect_code(0).json()).collect();
        let upgraded = reports.iter().filter(|report| report["table"] == "upgraded").count();
        assert_eq!(upgraded, 1, "{kind:?}: {reports:#?}");
        assert_eq!(indexes(&database, "sms_verification").len(), 4, "{kind:?}");
        let invalid = "SELECT count(*) FROM pg_index WHERE NOT indisvalid";
        assert_eq!(column(&database, invalid), ["0"], "{kind:?}");
    }
}

#[test]
fn a_server_that_quotes_all_names_has_the_same_tables() {
    for kind in Kind::ALL {
        let Some(database) = kind.database() else { continue };
        let name = database.name();
        database.query(&format!("ALTER DATABASE {name} SET quote_all_identifiers = on"));
        let environment = Environment::on_server(&database);
        migrate(&environment);
        environment.run(&["send", NUMBER]).expect_code(0);
        let expected = json!({"table": "none", "ledger": "none", "indexes_added": []});
        assert_eq!(migrate(&environment), expected, "{kind:?}");
    }
}
