//! What a record looks like in the table, which a Django site reads as well.

use crate::support::{CODE, Environment, NUMBER, Record, TABLE, TOKEN, UNIQUE_INDEX, WRONG_CODE};

/// Returns `text` with 0 for each digit, and with f for each hexadecimal letter if `is_hex`.
fn shape(text: &str, is_hex: bool) -> String {
    text.chars()
        .map(|c| match c {
            '0'..='9' => '0',
            'a'..='f' if is_hex => '0',
            c => c,
        })
        .collect()
}

/// Asserts that `time` is in the form in which Django writes times to SQLite.
#[track_caller]
fn expect_time(time: &str) {
    let shape = shape(time, false);
    let is_whole = shape == "0000-00-00 00:00:00";
    assert!(is_whole || shape == "0000-00-00 00:00:00.000000", "{time}");
    assert!(!time.ends_with(".000000"), "{time}");
}

#[test]
fn a_new_record_is_stored_as_django_stores_it() {
    let environment = Environment::with_settings("backend = \"console\"\n");
    environment.run(&["send", "+1 (415) 555-2671"]).expect_code(0);
    let value = |column: &str| {
        environment
            .column(&format!("SELECT CAST({column} AS text) FROM sms_verification"))
            .pop()
            .expect("a record")
    };
    let types = "typeof(id) || typeof(created_at) || typeof(modified_at) || typeof(phone_number)
        || typeof(security_code) || typeof(session_token) || typeof(is_verified) || typeof(failed_attempts)";
    assert_eq!(value(types), "texttexttexttexttexttextintegerinteger");

    let id = value("id");
    assert_eq!(shape(&id, true), "0".repeat(32), "{id}");
    // RFC 9562: the version is the 13th digit, and the variant is in the 17th.
    assert_eq!(&id[12..13], "4", "{id}");
    assert!("89ab".contains(&id[16..17]), "{id}");
    expect_time(&value("created_at"));
    assert_eq!(value("modified_at"), value("created_at"));
    assert_eq!(value("phone_number"), NUMBER);
    assert_eq!(value("is_verified"), "0");
    assert_eq!(value("failed_attempts"), "0");
}

#[test]
fn a_change_is_stored_as_django_stores_it() {
    let environment = Environment::console("");
    environment.insert(&Record::default());
    for code in [WRONG_CODE, CODE] {
        environment.run(&["verify", NUMBER, code, "--session-token", TOKEN]);
        expect_time(&environment.state(TOKEN).modified_at);
    }
    assert_eq!(environment.state(TOKEN).is_verified, 1);
}

/// An attempt that can't be written down must not be answered either: whoever guesses would have no limit.
#[test]
fn an_id_in_another_form_does_not_lift_the_limit_of_attempts() {
    for id in ["3F2504E04F8941D39A0C0305E82C3301", "3f2504e0-4f89-41d3-9a0c-0305e82c3301"] {
        let environment = Environment::console("");
        environment.insert(&Record::default());
        environment.execute(&[&format!("UPDATE sms_verification SET id = '{id}'")]);
        let run = environment.run(&["verify", NUMBER, WRONG_CODE, "--session-token", TOKEN]);
        let counted = environment.state(TOKEN).failed_attempts == 1;
        assert_eq!(run.code, Some(if counted { 11 } else { 1 }), "{id}: {run:#?}");
        let run = environment.run(&["verify", NUMBER, CODE, "--session-token", TOKEN]);
        let verified = environment.state(TOKEN).is_verified == 1;
        assert_eq!(run.code, Some(if verified { 0 } else { 1 }), "{id}: {run:#?}");
    }
}

#[test]
fn nothing_but_the_database_is_left_behind() {
    let environment = Environment::with_settings("backend = \"console\"\n");
    let commands: [&[&str]; 5] = [
        &["migrate"],
        &["send", NUMBER],
        &["verify", NUMBER, CODE, "--any-session"],
        &["list"],
        &["purge"],
    ];
    for command in commands {
        environment.run(command);
        assert_eq!(
            environment.files(),
            ["phone-verify.sqlite3", "phone-verify.toml"],
            "{command:?}"
        );
    }
}

#[test]
fn a_program_whose_streams_are_closed_does_not_write_into_the_database() {
    let environment = Environment::with_settings("backend = \"console\"\n");
    environment.execute(&[TABLE, UNIQUE_INDEX]);
    for command in
        [&["send", NUMBER][..], &["list"], &["purge"], &["verify", NUMBER, "-", "--any-session"]]
    {
        let run = environment.after_shell("exec <&- >&- 2>&-", command).output();
        let code = run.expect("the program starts").status.code();
        assert!(matches!(code, Some(0..=2)), "{command:?}: {code:?}");
    }
    assert_eq!(environment.column("PRAGMA integrity_check"), ["ok"]);
    assert_eq!(environment.count(), 1);
}

#[test]
fn what_another_program_stored_cannot_steer_the_terminal() {
    let environment = Environment::console("");
    environment.insert(&Record {
        phone_number: "+1\u{1b}[31m415\u{7}",
        security_code: "1\u{9b}2\r3",
        ..Record::default()
    });
    let table = environment.run(&["list", "--wide"]).expect_code(0).stdout;
    assert!(!table.chars().any(|c| c.is_control() && c != '\n'), "{table:?}");
}
