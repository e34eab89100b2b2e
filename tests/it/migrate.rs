//! `migrate`: the table it creates, the older ones it brings up to date, and its indexes.

use std::fs;

use crate::support::{
    CODE, Environment, NUMBER, OLDER_TABLES, Record, TABLE, TABLE_0001, TABLE_0002, TOKEN,
    UNIQUE_INDEX, UNIQUE_INDEX_0001, run_command,
};

fn environment() -> Environment {
    Environment::with_settings("backend = \"console\"\n")
}

/// Fills the table of migration 0001 or 0002 with rows, one of which no release of Django can have written.
fn fill_older_table(environment: &Environment) {
    let names = environment.column("SELECT name FROM pragma_table_info('sms_verification')");
    let (code, token) = if names.iter().any(|name| name == "otp") {
        ("otp", "session_code")
    } else {
        ("security_code", "session_token")
    };
    let verified = names.iter().any(|name| name == "is_verified");
    let (extra, one) = if verified { (", is_verified", ", 1") } else { ("", "") };
    let insert = |id: &str, created_at: &str, security_code: &str, session_token: &str| {
        format!(
            "INSERT INTO sms_verification (id, created_at, modified_at, phone_number, {code}, {token}{extra})
             VALUES ('{id}', {created_at}, '2020-02-02 02:02:02', '{NUMBER}', {security_code}, '{session_token}'{one})"
        )
    };
    environment.execute(&[
        &insert(
            "3f2504e04f8941d39a0c0305e82c3301",
            "strftime('%Y-%m-%d %H:%M:%S', 'now')",
            "'918273'",
            TOKEN,
        ),
        &insert(
            "00000000000040008000000000000001",
            "'2020-01-01 00:00:00.000001'",
            "'012345'",
            "é\u{1f600}",
        ),
        &insert("00000000000040008000000000000002", "'yesterday'", "X'00ff'", ""),
        &insert("not a uuid", "2024", "''", "nothing here"),
    ]);
}

/// Returns the rows of an older table as they have to be in the current one.
fn upgraded(rows: Vec<Vec<Option<String>>>, is_0001: bool) -> Vec<Vec<Option<String>>> {
    rows.into_iter()
        .map(|mut row| {
            if is_0001 {
                // 0001 has the code before the number, and knows nothing of verified records.
                row.swap(3, 4);
                row.push(Some("0".to_owned()));
            }
            row.push(Some("0".to_owned()));
            row
        })
        .collect()
}

/// Returns how SQLite runs `query`.
fn plan(environment: &Environment, query: &str) -> String {
    let database = environment.database();
    let mut statement =
        database.prepare(&format!("EXPLAIN QUERY PLAN {query}")).expect("the query is SQL");
    let steps: Vec<String> = statement
        .query_map([], |row| row.get("detail"))
        .and_then(Iterator::collect)
        .expect("a plan");
    steps.join("; ")
}

#[test]
fn a_new_database_has_the_table_and_the_indexes_of_django_and_ours() {
    let environment = environment();
    let run = environment.run(&["migrate"]).expect_code(0);
    // A Django site would find a table that it didn't create.
    let note = "note: if a Django site shares the database, its `python manage.py migrate` comes first; \
                since the table is there now, run `python manage.py migrate phone_verify --fake` there\n";
    assert_eq!(run.stderr, note, "{run:#?}");
    let schema = environment.schema();
    assert!(schema.iter().any(|sql| sql == TABLE), "{schema:#?}");
    assert!(schema.iter().any(|sql| sql == UNIQUE_INDEX), "{schema:#?}");
    assert_eq!(environment.own_indexes().len(), 2, "{schema:#?}");
    // Besides these: the ledger and its two indexes, and what comes with AUTOINCREMENT.
    assert_eq!(schema.len(), 8, "{schema:#?}");
}

#[test]
fn a_new_database_is_its_owners_alone_and_keeps_a_write_ahead_log() {
    let environment = environment();
    let open_to_all = environment.after_shell("umask 0", &["migrate"]);
    run_command(open_to_all).expect_code(0);
    assert_eq!(environment.mode("phone-verify.sqlite3"), 0o600);
    assert_eq!(environment.column("PRAGMA journal_mode"), ["wal"]);
}

#[test]
fn migrating_again_changes_nothing() {
    let environment = environment();
    environment.run(&["migrate"]).expect_code(0);
    environment.insert(&Record::default());
    let before = (environment.schema(), environment.rows("sms_verification"));
    let run = environment.run(&["migrate"]).expect_code(0);
    assert_eq!(run.stderr, "", "{run:#?}");
    assert_eq!((environment.schema(), environment.rows("sms_verification")), before);
}

#[test]
fn an_older_table_keeps_every_row_and_becomes_the_current_one() {
    let fresh = environment();
    fresh.run(&["migrate"]).expect_code(0);
    for (table, index) in OLDER_TABLES {
        let environment = environment();
        environment.execute(&[table, index]);
        fill_older_table(&environment);
        let before = environment.rows("sms_verification");
        environment.run(&["migrate"]).expect_code(0);

        assert_eq!(environment.schema(), fresh.schema());
        assert_eq!(environment.rows("sms_verification"), upgraded(before, table == TABLE_0001));
        assert_eq!(environment.column("PRAGMA integrity_check"), ["ok"]);
        assert_eq!(environment.column("PRAGMA journal_mode"), ["delete"]);
    }
}

#[test]
fn an_upgraded_record_can_be_verified() {
    let environment = environment();
    environment.execute(&[TABLE_0001, UNIQUE_INDEX_0001]);
    fill_older_table(&environment);
    let verify = ["verify", NUMBER, CODE, "--session-token", TOKEN];
    environment.run(&verify).expect_code(1);
    environment.run(&["migrate"]).expect_code(0);
    environment.run(&verify).expect_code(0);
}

#[test]
fn an_upgrade_leaves_what_others_made_alone() {
    let environment = environment();
    let others = [
        "CREATE TABLE auth_user (id integer PRIMARY KEY, sms_verification text REFERENCES sms_verification (id))",
        "CREATE INDEX by_sms ON auth_user (sms_verification)",
        "CREATE INDEX by_session_token ON sms_verification (session_token)",
        "CREATE VIEW verified_numbers AS SELECT phone_number FROM sms_verification WHERE is_verified",
        "CREATE TRIGGER count_users AFTER UPDATE ON sms_verification BEGIN DELETE FROM auth_user; END",
    ];
    environment.execute(&[TABLE_0002, UNIQUE_INDEX]);
    fill_older_table(&environment);
    environment.execute(&others);
    environment.execute(&["INSERT INTO auth_user VALUES (1, '3f2504e04f8941d39a0c0305e82c3301')"]);
    environment.run(&["migrate"]).expect_code(0);
    let schema = environment.schema();
    for sql in others {
        assert!(schema.iter().any(|it| it == sql), "{sql} is lost: {schema:#?}");
    }
    assert_eq!(environment.rows("auth_user").len(), 1);
    assert_eq!(environment.column("SELECT phone_number FROM verified_numbers").len(), 4);
}

#[test]
fn a_current_table_without_our_indexes_gets_them() {
    let environment = Environment::console("");
    environment.insert(&Record::default());
    let before = environment.rows("sms_verification");
    environment.run(&["migrate"]).expect_code(0);
    assert_eq!(environment.own_indexes().len(), 2);
    assert_eq!(environment.rows("sms_verification"), before);
    assert_eq!(environment.column("PRAGMA journal_mode"), ["delete"]);
}

#[test]
fn lookups_and_lists_use_the_indexes() {
    let environment = environment();
    environment.run(&["migrate"]).expect_code(0);
    let indexes = environment.own_indexes();
    let by_number = plan(
        &environment,
        "SELECT * FROM sms_verification WHERE phone_number = 'x' ORDER BY created_at DESC",
    );
    let newest_first =
        plan(&environment, "SELECT * FROM sms_verification ORDER BY created_at DESC LIMIT 20");
    let used =
        |plan: &str| indexes.iter().find(|name| plan.contains(&format!("USING INDEX {name}")));
    let (first, second) = (used(&by_number), used(&newest_first));
    assert!(first.is_some() && second.is_some() && first != second, "{by_number}; {newest_first}");
    for plan in [by_number, newest_first] {
        assert!(!plan.contains("TEMP B-TREE"), "{plan}");
    }
}

#[test]
fn a_table_of_another_schema_is_refused_and_left_alone() {
    let other_tables = [
        "CREATE TABLE sms_verification (id integer PRIMARY KEY, number text)",
        "CREATE TABLE sms_verification (id char(32) PRIMARY KEY, created_at datetime, otp text,
            security_code text, phone_number text)",
        "CREATE VIEW sms_verification AS SELECT 1 AS id",
    ];
    for sql in other_tables {
        let environment = environment();
        environment.execute(&[sql]);
        let before = environment.schema();
        let run = environment.run(&["migrate"]).expect_code(1);
        assert!(run.stderr.starts_with("error: "), "{run:#?}");
        assert!(run.stderr.contains("sms_verification"), "{run:#?}");
        assert_eq!(environment.schema(), before);
    }
}

#[test]
fn an_upgrade_that_fails_leaves_the_older_table_as_it_was() {
    for (table, index) in OLDER_TABLES {
        let environment = environment();
        environment.execute(&[table, index]);
        fill_older_table(&environment);
        // Rows enough that a copy of them does not fit below the limit on the size of a file.
        let rows = environment.rows("sms_verification");
        let columns = rows[0].len();
        let others = (2..=columns)
            .map(|number| {
                environment.column("SELECT name FROM pragma_table_info('sms_verification')")
                    [number - 1]
                    .clone()
            })
            .collect::<Vec<_>>()
            .join(", ");
        let token = if table == TABLE_0001 { "session_code" } else { "session_token" };
        let values = others.replace(token, &format!("{token} || i"));
        environment.execute(&[&format!(
            "WITH RECURSIVE counter (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM counter WHERE i < 2000)
             INSERT INTO sms_verification (id, {others})
             SELECT printf('%032x', i), {values} FROM counter, sms_verification WHERE id LIKE '3f%'"
        )]);
        let before = (environment.schema(), environment.rows("sms_verification"));
        let size = fs::metadata(environment.path("phone-verify.sqlite3")).expect("a file").len();

        // `ulimit -f` counts blocks of 512 bytes.
        let limit = format!("ulimit -f {}", size / 512 + 64);
        let run = run_command(environment.after_shell(&limit, &["migrate"])).expect_code(1);
        assert!(run.stderr.starts_with("error: "), "{run:#?}");
        assert_eq!((environment.schema(), environment.rows("sms_verification")), before);
        assert_eq!(environment.column("PRAGMA integrity_check"), ["ok"]);
        environment.run(&["migrate"]).expect_code(0);
    }
}
