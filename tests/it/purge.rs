//! `purge`: which records go, which stay, and what it says about it.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::support::{
    CODE, DAY, Environment, NUMBER, OTHER_NUMBER, Record, Run, TOKEN, Time, is_on_server, now,
    run_command,
};

/// A database whose tokens say how old their records are, and whether they are verified.
fn environment(settings: &str) -> Environment {
    let environment = Environment::console(settings);
    for (session_token, age, is_verified) in [
        ("1-live", 500, false),
        ("2-live-verified", 500, true),
        ("3-expired", 700, false),
        ("4-expired-verified", 700, true),
        ("5-three-days", 3 * DAY, false),
        ("6-forty-days", 40 * DAY, false),
        ("7-forty-days-verified", 40 * DAY, true),
    ] {
        environment.insert(&Record {
            session_token,
            is_verified,
            created_at: Time::Ago(age),
            ..Record::default()
        });
    }
    environment
}

/// Returns the first characters of the tokens that are left.
fn left(environment: &Environment) -> String {
    environment.tokens().iter().map(|token| &token[..1]).collect()
}

/// Asserts that `run` said that it deleted `count` records, and nothing else.
#[track_caller]
fn expect_deleted(run: Run, count: usize) {
    let run = run.expect_code(0);
    let noun = if count == 1 { "record" } else { "records" };
    assert_eq!(run.stdout, format!("Deleted {count} {noun}.\n"));
    assert_eq!(run.stderr, "", "{run:#?}");
}

/// Does the same for the records of a number, of which a server keeps traces.
#[track_caller]
fn expect_erased(mut run: Run, count: usize) {
    if is_on_server() {
        let warning = "warning: the server keeps copies of deleted rows in its files";
        assert!(run.stderr.starts_with(warning), "{run:#?}");
        run.stderr.clear();
    }
    expect_deleted(run, count);
}

#[test]
fn each_option_removes_its_records() {
    let cases: [(&str, &[&str], &str); 14] = [
        ("", &[], "12"),
        ("", &["--unverified"], "1247"),
        ("", &["--older-than", "30d"], "12345"),
        ("", &["--older-than", "12h"], "1234"),
        ("", &["--older-than", "10m"], "12"),
        ("", &["--older-than", "30d", "--unverified"], "123457"),
        ("", &["--older-than", "100d"], "1234567"),
        ("", &["--older-than", "1s", "--force"], ""),
        ("", &["--older-than", "1s", "--force", "--unverified"], "247"),
        ("", &["--phone-number", NUMBER], ""),
        ("security_code_expiration_time = 3600", &[], "1234"),
        ("record_retention_days = 30", &[], "12345"),
        ("record_retention_days = 30", &["--unverified"], "123457"),
        ("record_retention_days = 30", &["--older-than", "1d"], "1234"),
    ];
    for (settings, options, expected) in cases {
        let environment = environment(settings);
        let run = environment.run(&[&["purge"], options].concat());
        let erases = options.contains(&"--phone-number");
        let expect = if erases { expect_erased } else { expect_deleted };
        expect(run, 7 - expected.len());
        assert_eq!(left(&environment), expected, "{settings} {options:?}");
    }
}

#[test]
fn records_are_deleted_though_there_is_no_ledger() {
    let environment = environment("");
    environment.execute(&["DROP TABLE IF EXISTS sms_delivery"]);
    expect_deleted(environment.run(&["purge", "--older-than", "30d"]), 2);
    assert_eq!(left(&environment), "12345");
}

#[test]
fn a_dry_run_counts_what_would_go_and_changes_nothing() {
    if is_on_server() {
        return;
    }
    let cases: [(&[&str], usize); 5] = [
        (&[], 5),
        (&["--unverified"], 3),
        (&["--older-than", "30d", "--unverified"], 1),
        (&["--older-than", "100d"], 0),
        (&["--phone-number", NUMBER], 7),
    ];
    for (options, count) in cases {
        let environment = environment("");
        let before = std::fs::read(environment.path("phone-verify.sqlite3")).expect("a database");
        let run = environment.run(&[&["purge", "--dry-run"], options].concat()).expect_code(0);
        let noun = if count == 1 { "record" } else { "records" };
        assert_eq!(run.stdout, format!("Would delete {count} {noun}.\n"));
        let json = [&["--format", "json", "purge", "--dry-run"], options].concat();
        let run = environment.run(&json).expect_code(0);
        assert_eq!(run.json()["deleted"], count);
        assert_eq!(run.json()["dry_run"], true);
        let after = std::fs::read(environment.path("phone-verify.sqlite3")).expect("a database");
        assert!(before == after, "{options:?} changed the database");
    }
}

#[test]
fn json_tells_the_count_and_the_cutoff() {
    let environment = environment("");
    let run = environment.run(&["--format", "json", "purge"]).expect_code(0);
    let mut answer = run.json();
    let cutoff = answer["cutoff"].take();
    assert_eq!(
        answer,
        json!({"deleted": 5, "deleted_deliveries": 0, "deleted_wrong_codes": 0, "dry_run": false, "cutoff": null})
    );
    // RFC 3339, UTC, six decimals, Z; and as long ago as a code lives.
    let cutoff = cutoff.as_str().expect("a time").to_owned();
    let shape: String = cutoff.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert_eq!(shape, "0000-00-00T00:00:00.000000Z");
    let cutoff: DateTime<Utc> = cutoff.parse().expect("a time");
    let age = (now() - cutoff).num_seconds();
    assert!((600..900).contains(&age), "{cutoff}");
}

#[test]
fn a_number_is_erased_with_its_live_records_and_no_other_number_is_touched() {
    let environment = environment("");
    environment.insert(&Record {
        phone_number: OTHER_NUMBER,
        session_token: "8-of-another-number",
        created_at: Time::Ago(40 * DAY),
        ..Record::default()
    });
    let number = "+1 (415) 555-2671";
    let run =
        environment.run(&["--format", "json", "purge", "--phone-number", number]).expect_code(0);
    let expected = json!({"deleted": 7, "deleted_deliveries": 0, "deleted_wrong_codes": 0, "dry_run": false, "cutoff": Value::Null});
    assert_eq!(run.json(), expected);
    assert_eq!(left(&environment), "8");
    expect_erased(environment.run(&["purge", "--phone-number", NUMBER]), 0);
}

#[test]
fn a_number_is_erased_together_with_its_damaged_rows() {
    if is_on_server() {
        return;
    }
    let environment = environment("");
    environment
        .execute(&["UPDATE sms_verification SET created_at = 'yesterday', failed_attempts = 'x'"]);
    expect_erased(environment.run(&["purge", "--phone-number", NUMBER]), 7);
    assert_eq!(environment.count(), 0);
}

#[test]
fn a_row_whose_number_is_not_valid_can_be_erased() {
    let environment = environment("");
    environment.insert(&Record { phone_number: "+15551234567", ..Record::default() });
    expect_erased(environment.run(&["purge", "--phone-number", "+15551234567"]), 1);
}

#[test]
fn one_record_is_not_called_records() {
    let environment = Environment::console("");
    environment.insert(&Record { created_at: Time::Ago(700), ..Record::default() });
    let run = environment.run(&["purge", "--dry-run"]).expect_code(0);
    assert_eq!(run.stdout, "Would delete 1 record.\n");
    expect_deleted(environment.run(&["purge"]), 1);
    expect_deleted(environment.run(&["purge"]), 0);
}

#[test]
fn a_duration_that_is_none_is_a_usage_error_even_with_force() {
    let environment = environment("");
    for duration in [
        "-1d",
        "-30d",
        "0s",
        "0d",
        "0",
        "",
        "yesterday",
        "30x",
        "300000y",
        "99999999999999d",
        "99999999999999999999999999s",
    ] {
        let older_than = format!("--older-than={duration}");
        let run = environment.run(&["purge", &older_than, "--force"]).expect_code(2);
        assert_eq!(run.stdout, "", "{duration}");
        assert!(run.stderr.starts_with("error: "), "{run:#?}");
        assert_eq!(left(&environment), "1234567", "{duration}");
    }
    environment.run(&["purge", "--older-than", "-1d"]).expect_code(2);
}

#[test]
fn a_duration_shorter_than_a_code_lives_needs_force() {
    for (settings, duration) in
        [("", "599s"), ("", "1s"), ("security_code_expiration_time = 3600", "59m")]
    {
        let environment = environment(settings);
        let run = environment.run(&["purge", "--older-than", duration]).expect_code(2);
        assert!(run.stderr.contains("--force"), "{run:#?}");
        assert_eq!(run.stdout, "");
        assert_eq!(left(&environment), "1234567");
        environment.run(&["purge", "--older-than", duration, "--force"]).expect_code(0);
        assert!(left(&environment).len() < 7);
    }
}

#[test]
fn a_number_and_an_age_together_are_a_usage_error() {
    let environment = environment("");
    let run =
        environment.run(&["purge", "--phone-number", NUMBER, "--older-than", "30d"]).expect_code(2);
    assert!(run.stderr.contains("--older-than"), "{run:#?}");
    assert_eq!(left(&environment), "1234567");
}

#[test]
fn text_that_is_no_number_erases_nothing() {
    let environment = environment("");
    for number in ["hello", "", "+"] {
        environment.run(&["purge", "--phone-number", number]).expect_code(2);
    }
    assert_eq!(left(&environment), "1234567");
}

/// SQLite sorts numbers before every text, and texts such as these before this century's times: a comparison alone would
/// take these rows for old ones.
#[test]
fn a_damaged_time_is_never_taken_for_an_old_one() {
    if is_on_server() {
        return;
    }
    for damage in [
        "2024",
        "20240101.5",
        "''",
        "'1 January 2020'",
        "'2020-13-45 00:00:00'",
        "'2020-01-01 00:00:00 or so'",
        "'0000'",
        "'2020-01-01 00:00:00' || char(0) || 'or so'",
        "'2020-01-01 00:00:00' || CAST(X'ff' AS TEXT)",
        "CAST(X'ff' AS TEXT)",
    ] {
        let environment = environment("");
        environment.execute(&[&format!(
            "UPDATE sms_verification SET created_at = {damage} WHERE session_token = '6-forty-days'"
        )]);
        for options in [&["purge"][..], &["purge", "--older-than", "20d"]] {
            let run = environment.run(options).expect_code(1);
            let told = "column created_at: it is not a time such as 2026-11-23 07:46:40.746691; the row is kept";
            assert!(run.stderr.contains(told), "{damage}: {run:#?}");
            assert!(!run.stderr.contains(CODE), "{damage}: {run:#?}");
        }
        assert_eq!(left(&environment), "126", "{damage}");
    }
}

#[test]
fn times_are_compared_as_times_with_and_without_decimals() {
    if is_on_server() {
        return;
    }
    let environment = Environment::console("");
    environment
        .insert(&Record { created_at: Time::At("2026-01-15 23:30:00"), ..Record::default() });
    environment.execute(&["UPDATE sms_verification
         SET created_at = strftime('%Y-%m-%d %H:%M:%S', 'now', '-500 seconds')"]);
    expect_deleted(environment.run(&["purge"]), 0);
    environment.execute(&["UPDATE sms_verification
         SET created_at = strftime('%Y-%m-%d %H:%M:%S', 'now', '-610 seconds')"]);
    expect_deleted(environment.run(&["purge"]), 1);
}

#[test]
fn what_cron_runs_needs_no_secret_of_the_provider() {
    let environment = environment("");
    environment.write(
        "phone-verify.toml",
        "backend = \"twilio\"\nsecret_key = { env = \"UNSET_SECRET_KEY\" }\n\
         [options]\nsid = \"AC\"\nsecret = { file = \"no-such-file\" }\nfrom = \"+14755292729\"\n",
    );
    expect_deleted(environment.run(&["purge"]), 5);
    environment.run(&["migrate"]).expect_code(0);
    environment.run(&["list"]).expect_code(0);
    let verify = ["verify", NUMBER, CODE, "--session-token", "1-live"];
    environment.run(&verify).expect_code(0);
}

#[test]
fn quiet_has_a_result_for_scripts_only() {
    let environment = environment("");
    let dry = environment.run(&["-q", "--format", "json", "purge", "--dry-run"]).expect_code(0);
    assert_eq!(dry.json()["deleted"], 5);
    let run = environment.run(&["-q", "purge"]).expect_code(0);
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("", ""));
    assert_eq!(left(&environment), "12");
}

#[test]
fn a_purge_is_done_though_nobody_reads_its_result() {
    let environment = environment("");
    let run = environment.run_into_closed_pipe(&["purge"]);
    assert_eq!(run.stderr, "", "{run:#?}");
    assert_eq!(left(&environment), "12");
}

#[test]
fn a_result_that_cannot_be_written_is_an_error() {
    let environment = environment("");
    let run = environment.run_into("/dev/full", &["purge"]).expect_code(1);
    assert!(run.stderr.starts_with("error: "), "{run:#?}");
}

#[test]
fn purge_takes_the_time_of_the_table_as_utc_whatever_the_local_time() {
    for zone in ["JST-9", "HST10"] {
        let environment = environment("");
        let mut command = environment.command(&["purge"]);
        command.env("TZ", zone);
        expect_deleted(run_command(command), 5);
        assert!(environment.tokens().iter().all(|token| token.contains("live")), "{TOKEN}");
    }
}
