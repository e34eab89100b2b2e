//! `list`: a row that can't be read is named and left out, and hides no other row.

use crate::support::{CODE, Environment, NUMBER, PastDelivery, Record, Run, TOKEN, Time};

/// SQL values that a column can't hold if a row is to be read.
const DAMAGE: [(&str, &str); 15] = [
    ("created_at", "'yesterday'"),
    ("created_at", "'2026-13-45 99:99:99'"),
    ("created_at", "''"),
    ("created_at", "2026"),
    ("created_at", "X'00ff'"),
    ("created_at", "CAST(X'ff00' AS TEXT)"),
    ("created_at", "created_at || char(0)"),
    ("modified_at", "'never'"),
    ("modified_at", "17.5"),
    ("phone_number", "X'ff00ff'"),
    ("security_code", "X'39313832373300ff'"),
    ("session_token", "X'fffe'"),
    ("is_verified", "'perhaps'"),
    ("failed_attempts", "'many'"),
    ("failed_attempts", "1.5"),
];

/// A database with a sound row, and one whose `column` holds `value`; returns the damaged row's id too.
fn damaged(column: &str, value: &str) -> (Environment, String) {
    let environment = Environment::console("");
    let id = environment.insert(&Record {
        session_token: "damaged",
        created_at: Time::Ago(120),
        ..Record::default()
    });
    environment.insert(&Record::default());
    environment
        .execute(&[&format!("UPDATE sms_verification SET {column} = {value} WHERE id = '{id}'")]);
    (environment, id)
}

/// Asserts that stderr names the table, the column and the row, and shows no code.
#[track_caller]
fn expect_named(run: &Run, column: &str, id: &str) {
    assert!(run.stderr.contains("error: "), "{run:#?}");
    for name in ["sms_verification", column] {
        assert!(run.stderr.contains(name), "{name} is not named: {run:#?}");
    }
    assert!(run.stderr.replace('-', "").contains(id), "{id} is not named: {run:#?}");
    // The code of the damaged row, and its bytes in hexadecimal.
    for shown in [CODE, "393138323733", "57, 49, 56"] {
        assert!(!run.stderr.contains(shown), "{run:#?}");
    }
}

#[test]
fn a_damaged_row_is_named_and_the_others_are_shown() {
    for (column, value) in DAMAGE {
        let (environment, id) = damaged(column, value);
        let run = environment.run(&["--format", "json", "list"]).expect_code(1);
        expect_named(&run, column, &id);
        assert_eq!(run.json()["session_token"], TOKEN, "{column} = {value}");
    }
}

#[test]
fn a_damaged_row_is_named_beside_a_table_and_csv_too() {
    let (environment, id) = damaged("created_at", "'yesterday'");
    let table = environment.run(&["-q", "list"]).expect_code(1);
    expect_named(&table, "created_at", &id);
    assert_eq!(table.stdout.matches(CODE).count(), 1, "{table:#?}");

    let csv = environment.run(&["--format", "csv", "list", "--all"]).expect_code(1);
    expect_named(&csv, "created_at", &id);
    assert_eq!(csv.stdout.lines().count(), 2, "{csv:#?}");
}

#[test]
fn a_row_whose_id_is_damaged_is_named_by_what_it_holds() {
    let (environment, id) = damaged("security_code", "'918273'");
    environment
        .execute(&[&format!("UPDATE sms_verification SET id = 'not-a-uuid' WHERE id = '{id}'")]);
    let run = environment.run(&["--format", "json", "list"]).expect_code(1);
    expect_named(&run, "id", "notauuid");
    assert_eq!(run.json()["session_token"], TOKEN);
}

#[test]
fn every_damaged_row_is_named() {
    let (environment, first) = damaged("created_at", "'yesterday'");
    let second = environment.insert(&Record { session_token: "second", ..Record::default() });
    environment.execute(&["UPDATE sms_verification SET failed_attempts = 'many'
         WHERE session_token = 'second'"]);
    let run = environment.run(&["--format", "json", "list"]).expect_code(1);
    expect_named(&run, "created_at", &first);
    expect_named(&run, "failed_attempts", &second);
    assert_eq!(run.json()["session_token"], TOKEN);
}

#[test]
fn a_filter_on_a_sound_column_does_not_stop_at_a_damaged_row() {
    let (environment, _) = damaged("created_at", "'yesterday'");
    for options in [["--valid"], ["--unverified"]] {
        let run = environment.run(&[&["--format", "json", "list"], &options[..]].concat());
        assert!(run.stdout.contains(TOKEN), "{run:#?}");
        assert_eq!(run.stdout.lines().count(), 1, "{run:#?}");
    }
}

/// Damage that leaves the row at the place in the order where it is: more bytes behind its time.
const AT_ITS_PLACE: [&str; 3] =
    ["created_at || CAST(X'ff' AS TEXT)", "created_at || char(0)", "created_at || ' or so'"];

#[test]
fn a_damaged_row_at_the_end_of_a_page_hides_no_other() {
    for value in AT_ITS_PLACE {
        let environment = Environment::console("");
        environment.insert_many(1500, 60);
        // A page of the list has 1000 rows.
        environment.execute(&[&format!(
            "UPDATE sms_verification SET created_at = {value} WHERE rowid =
                 (SELECT rowid FROM sms_verification ORDER BY created_at DESC LIMIT 1 OFFSET 999)"
        )]);
        let run = environment.run(&["--format", "csv", "list", "--all"]).expect_code(1);
        assert_eq!(run.stdout.lines().count(), 1 + 1499, "{value}: {}", run.stderr);
        assert!(run.stderr.contains("column created_at"), "{value}: {}", run.stderr);
    }
}

#[test]
fn a_damaged_row_that_is_the_newest_is_no_end_of_the_list() {
    for value in AT_ITS_PLACE.into_iter().chain(["X'00ff'", "CAST(X'ff00' AS TEXT)", "'yesterday'"])
    {
        let environment = Environment::console("");
        let id = environment.insert(&Record { session_token: "damaged", ..Record::default() });
        environment.insert(&Record { created_at: Time::Ago(120), ..Record::default() });
        environment.execute(&[&format!(
            "UPDATE sms_verification SET created_at = {value} WHERE id = '{id}'"
        )]);
        let run = environment.run(&["--format", "json", "list", "--limit", "1"]).expect_code(1);
        expect_named(&run, "created_at", &id);
        assert_eq!(run.json()["session_token"], TOKEN, "{value}");
    }
}

#[test]
fn a_damaged_delivery_hides_no_record() {
    for value in ["X'ff'", "CAST(X'ff' AS TEXT)", "17", "'lost'"] {
        let environment = Environment::with_database("");
        let id = environment.insert(&Record::default());
        environment
            .insert_delivery(&PastDelivery { verification_id: &id, ..PastDelivery::default() });
        environment.execute(&[&format!("UPDATE sms_delivery SET state = {value}")]);
        let run = environment.run(&["--format", "json", "list"]).expect_code(0);
        assert_eq!(run.json()["session_token"], TOKEN, "{value}");
        assert_eq!(run.json()["delivery"], serde_json::Value::Null, "{value}");
        assert_eq!(run.stderr, "", "{value}");
    }
}

#[test]
fn a_damaged_row_is_not_verified_and_hides_no_other() {
    for (column, value) in [
        ("created_at", "'yesterday'"),
        ("created_at", "2026"),
        ("failed_attempts", "'many'"),
        ("is_verified", "'perhaps'"),
        ("security_code", "X'39313832373300ff'"),
    ] {
        let (environment, id) = damaged(column, value);
        let before = environment.rows("sms_verification");
        let number = NUMBER;
        let run =
            environment.run(&["verify", number, CODE, "--session-token", "damaged"]).expect_code(1);
        assert_eq!(run.stdout, "", "{column} = {value}");
        expect_named(&run, column, &id);
        assert_eq!(environment.rows("sms_verification"), before, "{column} = {value}");
        environment.run(&["verify", number, CODE, "--session-token", TOKEN]).expect_code(0);
    }
}

#[test]
fn a_row_that_is_wider_than_any_screen_is_shown_with_the_others() {
    for column in ["phone_number", "security_code"] {
        let (environment, _) = damaged(column, "printf('%070000d', 7)");
        let run = environment.run(&["list", "--wide"]).expect_code(0);
        assert!(run.stdout.matches('0').count() >= 69_999, "{column}");
        assert!(run.stdout.contains(CODE) && run.stderr.is_empty(), "{column}");
    }
}
