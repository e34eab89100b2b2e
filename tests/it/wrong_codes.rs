//! `[limits] max_wrong_codes_per_number_per_day`: how many wrong codes a number may have, whatever is sent and purged meanwhile.

use serde_json::{Value, json};

use crate::support::{
    CODE, DAY, Environment, NUMBER, OTHER_NUMBER, PastDelivery, Record, Run, TOKEN, VERIFY,
    WRONG_CODE, is_on_server,
};

/// An empty database on the console backend, with this limit, and records that lock after two wrong codes.
fn limited_to(most: &str) -> Environment {
    Environment::with_database(&format!(
        "max_failed_attempts = 2\n[limits]\nmax_wrong_codes_per_number_per_day = {most}"
    ))
}

fn verify(environment: &Environment, code: &str, options: &[&str]) -> Run {
    let arguments = ["--format", "json", "verify", NUMBER, code, "--any-session"];
    environment.run(&[&arguments, options].concat())
}

/// Counts `count` wrong codes of the number, which were typed `age` seconds ago.
fn count_wrong_codes(environment: &Environment, count: usize, age: i64) {
    environment.execute(&[&format!(
        "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < {count})
         INSERT INTO sms_wrong_code (phone_number, created_at)
         SELECT '{NUMBER}', {} FROM n",
        environment.time_ago(age)
    )]);
}

/// Returns how many rows the table of wrong codes has.
fn counted(environment: &Environment) -> usize {
    environment.rows("sms_wrong_code").len()
}

/// Asserts that no wrong code is counted. In a file, there isn't even a table for them.
#[track_caller]
fn expect_none(environment: &Environment) {
    if is_on_server() {
        assert_eq!(counted(environment), 0);
    } else {
        assert!(!environment.schema().iter().any(|sql| sql.contains("sms_wrong_code")));
    }
}

fn status(environment: &Environment) -> Value {
    environment.run(&["--format", "json", "status", NUMBER]).expect_code(0).json()
}

#[test]
fn wrong_codes_count_across_resends_and_purges_until_the_limit_is_reached() {
    let environment = limited_to("3");
    environment.send(NUMBER);
    for attempts_left in [1, 0] {
        let run = verify(&environment, WRONG_CODE, &[]).expect_code(11);
        assert_eq!(run.json()["attempts_left"], attempts_left);
    }
    verify(&environment, WRONG_CODE, &[]).expect_code(15);
    environment.backdate("sms_verification", 601);
    environment.run(&["purge"]).expect_code(0);
    let record = environment.send(NUMBER);
    let run = verify(&environment, WRONG_CODE, &[]).expect_code(11).json();
    // Of the record one is left, of the number none.
    assert_eq!((&run["failed_attempts"], &run["attempts_left"]), (&json!(1), &json!(0)));
    let before = environment.rows("sms_verification");
    for code in [WRONG_CODE, &record.security_code] {
        let run = verify(&environment, code, &[]).expect_code(15);
        let expected = json!({
            "phone_number": NUMBER,
            "status": "SECURITY_CODE_TOO_MANY_ATTEMPTS",
            "valid": false,
            "message": "Too many wrong codes for this number within 24 hours",
            "failed_attempts": 1,
            "attempts_left": 0,
        });
        assert_eq!(run.json(), expected);
        for part in ["warning: ", "max_wrong_codes_per_number_per_day", "--ignore-limits"] {
            assert!(run.stderr.contains(part), "{run:#?}");
        }
    }
    let quiet = environment.run(&["-q", "verify", NUMBER, CODE, "--any-session"]).expect_code(15);
    assert_eq!(quiet.stdout, "Too many wrong codes for this number within 24 hours.\n");
    assert_eq!((environment.rows("sms_verification"), counted(&environment)), (before, 3));
    // Another number has a count of its own.
    environment.insert(&Record { phone_number: OTHER_NUMBER, ..Record::default() });
    environment.run(&["verify", OTHER_NUMBER, CODE, "--any-session"]).expect_code(0);
}

#[test]
fn an_operator_who_ignores_the_limit_gets_an_answer_and_a_valid_code_ends_the_count() {
    let environment = limited_to("1");
    let record = environment.send(NUMBER);
    verify(&environment, WRONG_CODE, &[]).expect_code(11);
    let run = verify(&environment, WRONG_CODE, &["--ignore-limits"]).expect_code(11);
    assert_eq!((run.json()["attempts_left"].as_u64(), run.stderr.as_str()), (Some(0), ""));
    assert_eq!(counted(&environment), 2);
    // A locked record stays locked.
    let locked = verify(&environment, &record.security_code, &["--ignore-limits"]).expect_code(15);
    assert_eq!(locked.stderr, "");
    let record = environment.send(NUMBER);
    verify(&environment, &record.security_code, &[]).expect_code(15);
    verify(&environment, &record.security_code, &["--ignore-limits"]).expect_code(0);
    assert_eq!(counted(&environment), 0);
    environment.send(NUMBER);
    verify(&environment, WRONG_CODE, &[]).expect_code(11);
}

#[test]
fn only_an_erasure_removes_what_still_counts() {
    let environment = limited_to("3");
    environment.insert(&Record::default());
    verify(&environment, WRONG_CODE, &[]).expect_code(11);
    // Wrong codes that don't count any more, and others from the future.
    count_wrong_codes(&environment, 5, DAY + 1);
    count_wrong_codes(&environment, 5, -DAY);
    assert_eq!(status(&environment)["wrong_codes"], 1);
    for options in [
        &["--dry-run"][..],
        &["--phone-number", NUMBER, "--unverified"],
        &["--phone-number", OTHER_NUMBER],
    ] {
        environment.run(&[&["purge"], options].concat()).expect_code(0);
        assert_eq!(counted(&environment), 11, "{options:?}");
    }
    environment.run(&["purge", "--older-than", "1s", "--force"]).expect_code(0);
    assert_eq!(counted(&environment), 6);
    count_wrong_codes(&environment, 2, DAY - 60);
    environment.insert(&Record::default());
    verify(&environment, CODE, &[]).expect_code(15);
    let run = environment.run(&["purge", "--phone-number", NUMBER]).expect_code(0);
    assert_eq!(
        (run.stdout.as_str(), counted(&environment)),
        ("Deleted 1 record and 8 wrong codes.\n", 0)
    );
}

#[test]
fn only_invalid_answers_count() {
    let environment = limited_to("3");
    environment.insert(&Record { is_verified: true, ..Record::default() });
    verify(&environment, CODE, &[]).expect_code(13);
    environment.backdate("sms_verification", 601);
    verify(&environment, CODE, &[]).expect_code(12);
    expect_none(&environment);
}

#[test]
fn a_hundred_are_the_most_unless_the_settings_say_otherwise() {
    for (settings, count, code) in [
        ("", 99, 11),
        ("", 100, 15),
        ("[limits]\nmax_wrong_codes_per_number_per_day = 101", 100, 11),
        ("[limits]\nmax_wrong_codes_per_number_per_day = 0", 1000, 11),
    ] {
        let environment = Environment::with_database("");
        environment.insert(&Record::default());
        verify(&environment, WRONG_CODE, &[]).expect_code(11);
        environment.write("phone-verify.toml", &format!("backend = \"console\"\n{settings}"));
        count_wrong_codes(&environment, count - 1, 60);
        verify(&environment, WRONG_CODE, &[]).expect_code(code);
    }
}

#[test]
fn without_a_limit_nothing_is_counted() {
    let environment = limited_to("0");
    environment.insert(&Record::default());
    verify(&environment, WRONG_CODE, &[]).expect_code(11);
    expect_none(&environment);
    let status = status(&environment);
    assert_eq!(
        (&status["wrong_codes"], &status["wrong_codes_allowed"]),
        (&json!(null), &json!(null))
    );
}

#[test]
fn status_shows_the_count_and_what_to_do_once_the_limit_is_reached() {
    let environment =
        Environment::with_database("[limits]\nmax_wrong_codes_per_number_per_day = 2");
    environment.insert(&Record::default());
    for (wrong_codes, verdict) in
        [(0, "verifiable"), (1, "verifiable"), (2, "too_many_wrong_codes")]
    {
        let json = status(&environment);
        assert_eq!(
            (&json["wrong_codes"], &json["verdict"]),
            (&json!(wrong_codes), &json!(verdict))
        );
        assert_eq!(json["wrong_codes_allowed"], 2);
        let text = environment.run(&["status", NUMBER]).expect_code(0).stdout;
        let line = format!("\nwrong codes: {wrong_codes} of 2 within 24 hours\n");
        assert_eq!(text.contains(&line), wrong_codes > 0, "{text}");
        verify(&environment, WRONG_CODE, &[]);
    }
    let next = format!(
        "wait, or if you know the person: phone-verify send {NUMBER}, then phone-verify verify {NUMBER} --any-session --ignore-limits"
    );
    assert_eq!(status(&environment)["next"], next);
    // What can't be sent isn't to be sent.
    let cooldown = format!(
        "wait, or if you know the person: phone-verify send {NUMBER}, in 10 min (limits.resend_cooldown_seconds is reached), then phone-verify verify {NUMBER} --any-session --ignore-limits"
    );
    let region =
        "nothing can be sent to this number: limits.allowed_regions does not allow the region US";
    for (limit, next) in [
        ("resend_cooldown_seconds = 630", cooldown.as_str()),
        ("allowed_regions = [\"GB\"]", region),
    ] {
        let environment = limited_to(&format!("1\n{limit}"));
        environment.insert(&Record::default());
        verify(&environment, WRONG_CODE, &[]);
        environment.insert_delivery(&PastDelivery { age: 30, ..PastDelivery::default() });
        let json = status(&environment);
        assert_eq!(
            (&json["verdict"], &json["next"]),
            (&json!("too_many_wrong_codes"), &json!(next))
        );
    }
}

#[test]
fn processes_that_guess_at_once_share_the_limit() {
    for statement in ["PRAGMA journal_mode = delete", "PRAGMA journal_mode = wal"] {
        // The table of a Django site, which nobody has migrated.
        let environment = Environment::console(
            "max_failed_attempts = 1000\n[limits]\nmax_wrong_codes_per_number_per_day = 7",
        );
        if !is_on_server() {
            environment.column(statement);
        }
        for session_token in ["1", "2", "3"] {
            environment.insert(&Record { session_token, ..Record::default() });
        }
        let guess = |i: usize| {
            let token = (i % 3 + 1).to_string();
            environment.command(&["verify", NUMBER, WRONG_CODE, "--session-token", &token])
        };
        let runs = environment.run_behind_a_lock((0..30).map(guess).collect());
        for (code, count) in [(11, 7), (15, 23)] {
            assert_eq!(
                runs.iter().filter(|run| run.code == Some(code)).count(),
                count,
                "{runs:#?}"
            );
        }
        assert_eq!(counted(&environment), 7);
    }
}

#[test]
fn a_wrong_code_that_cannot_be_counted_is_not_answered_and_counts_for_its_record() {
    if is_on_server() {
        return;
    }
    let table = "CREATE TABLE sms_wrong_code (id integer NOT NULL PRIMARY KEY,
        phone_number varchar(128) NOT NULL, created_at datetime NOT NULL";
    for statements in [
        &[table, ", further text NOT NULL)"][..],
        &[
            table,
            "); CREATE TRIGGER kept BEFORE INSERT ON sms_wrong_code BEGIN SELECT RAISE(IGNORE); END",
        ],
        &[
            table,
            "); CREATE TRIGGER kept AFTER INSERT ON sms_wrong_code BEGIN DELETE FROM sms_wrong_code; END",
        ],
        &["CREATE TABLE sms_wrong_code (of_others)"],
    ] {
        let environment = Environment::with_database("max_failed_attempts = 2");
        environment.execute(&[&statements.concat()]);
        environment.insert(&Record::default());
        for failed_attempts in [1, 2] {
            let run = verify(&environment, WRONG_CODE, &[]).expect_code(1);
            assert_eq!(run.stdout, "", "{run:#?}");
            assert!(run.stderr.starts_with("error: database "), "{run:#?}");
            assert_eq!(environment.state(TOKEN).failed_attempts, failed_attempts);
        }
        assert_ne!(verify(&environment, CODE, &[]).code, Some(0), "{statements:?}");
        assert_eq!(environment.state(TOKEN).is_verified, 0, "{statements:?}");
    }
}

#[test]
fn a_count_that_a_valid_code_cannot_end_is_an_error() {
    if is_on_server() {
        return;
    }
    let environment = Environment::with_record();
    verify(&environment, WRONG_CODE, &[]).expect_code(11);
    environment.execute(&[
        "CREATE TRIGGER kept BEFORE DELETE ON sms_wrong_code BEGIN SELECT RAISE(IGNORE); END",
    ]);
    let run = verify(&environment, CODE, &[]).expect_code(1);
    assert!(run.stderr.contains("trigger"), "{run:#?}");
    assert_eq!(environment.state(TOKEN).is_verified, 0);
    // What can be erased is erased.
    environment.run(&["purge", "--phone-number", NUMBER]).expect_code(1);
    assert_eq!((environment.count(), environment.states().len(), counted(&environment)), (0, 0, 1));
}

#[test]
fn a_limit_that_is_reached_is_told_of_a_locked_record_and_of_none() {
    let environment = limited_to("2");
    environment.insert(&Record::default());
    for _ in 0..2 {
        verify(&environment, WRONG_CODE, &[]).expect_code(11);
    }
    let run = verify(&environment, CODE, &[]).expect_code(15);
    assert!(
        run.stderr.starts_with("warning: limits.max_wrong_codes_per_number_per_day"),
        "{run:#?}"
    );
    assert_eq!(status(&environment)["verdict"], "too_many_wrong_codes");
    environment.backdate("sms_verification", 601);
    environment.run(&["purge"]).expect_code(0);
    let json = status(&environment);
    assert_eq!(json["verdict"], "too_many_wrong_codes");
    assert!(
        json["next"].as_str().is_some_and(|next| next.starts_with("wait, or if you know")),
        "{json:#}"
    );
}

#[test]
fn a_table_of_another_program_is_named_and_left_alone() {
    if is_on_server() {
        return;
    }
    let environment = Environment::with_record();
    environment.execute(&["CREATE TABLE sms_wrong_code (id, guess)"]);
    let before = (environment.rows("sms_verification"), environment.schema());
    for arguments in [&VERIFY[..], &["status", NUMBER]] {
        let run = environment.run(arguments).expect_code(1);
        assert!(run.stderr.contains("table sms_wrong_code has columns"), "{run:#?}");
    }
    assert_eq!((environment.rows("sms_verification"), environment.schema()), before);
    let checks = environment.doctor(1, &[]);
    checks.expect("database.wrong_codes", "failure", &["table sms_wrong_code has columns"]);
    for arguments in
        [&["migrate"][..], &["list"], &["send", NUMBER], &["purge", "--phone-number", NUMBER]]
    {
        environment.run(arguments).expect_code(0);
    }
    environment.write(
        "phone-verify.toml",
        "backend = \"console\"\n[limits]\nmax_wrong_codes_per_number_per_day = 0",
    );
    let record = environment.send(NUMBER);
    environment.verify(&record).expect_code(0);
}

#[test]
fn doctor_finds_a_missing_index_and_migrate_adds_it() {
    if is_on_server() {
        return;
    }
    let environment = Environment::with_record();
    verify(&environment, WRONG_CODE, &[]).expect_code(11);
    environment.doctor(0, &[]).expect("database.wrong_codes", "ok", &["current"]);
    let index = "phone_verify_wrong_code_phone_number_created_at";
    environment.execute(&[&format!("DROP INDEX {index}")]);
    environment.doctor(0, &[]).expect("database.indexes", "warning", &[index, "migrate"]);
    let migrated = environment.run(&["--format", "json", "migrate"]).expect_code(0).json();
    assert_eq!(migrated["indexes_added"], json!([index]));
}
