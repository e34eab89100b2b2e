//! `list`: which records the filters leave.

use crate::support::{Environment, NUMBER, OTHER_NUMBER, Record, Time};

/// A database whose records differ in everything that a filter looks at; their tokens say in what.
fn environment() -> Environment {
    let environment = Environment::console("");
    for (session_token, phone_number, is_verified, failed_attempts, age) in [
        ("live", NUMBER, false, 0, 60),
        ("live-verified", NUMBER, true, 0, 120),
        ("live-locked", OTHER_NUMBER, false, 5, 180),
        ("live-nearly-locked", OTHER_NUMBER, false, 4, 240),
        ("expired", NUMBER, false, 0, 7_000),
        ("expired-verified", OTHER_NUMBER, true, 0, 100_000),
        ("expired-locked", OTHER_NUMBER, false, 6, 200_000),
    ] {
        environment.insert(&Record {
            session_token,
            phone_number,
            is_verified,
            failed_attempts,
            created_at: Time::Ago(age),
            ..Record::default()
        });
    }
    environment
}

/// Returns the tokens of the records that `list` shows with `options`.
#[track_caller]
fn tokens(environment: &Environment, options: &[&str]) -> Vec<String> {
    let arguments = [&["--format", "json", "list"], options].concat();
    let run = environment.run(&arguments).expect_code(0);
    run.json_lines()
        .iter()
        .map(|record| record["session_token"].as_str().expect("a token").to_owned())
        .collect()
}

#[test]
fn each_filter_leaves_its_records() {
    let environment = environment();
    let cases: [(&[&str], &[&str]); 16] = [
        (&["--phone-number", NUMBER], &["live", "live-verified", "expired"]),
        (
            &["--phone-number", "+1 (202) 555-0143", "--valid"],
            &["live-locked", "live-nearly-locked"],
        ),
        (&["--phone-number", "+12025550199"], &[]),
        (&["--verified"], &["live-verified", "expired-verified"]),
        (
            &["--unverified"],
            &["live", "live-locked", "live-nearly-locked", "expired", "expired-locked"],
        ),
        (&["--valid"], &["live", "live-verified", "live-locked", "live-nearly-locked"]),
        (&["--expired"], &["expired", "expired-verified", "expired-locked"]),
        (&["--locked"], &["live-locked", "expired-locked"]),
        (&["--since", "150s"], &["live", "live-verified"]),
        (
            &["--since", "3h"],
            &["live", "live-verified", "live-locked", "live-nearly-locked", "expired"],
        ),
        (&["--since", "2d", "--expired"], &["expired", "expired-verified"]),
        (&["--since", "30s"], &[]),
        (&["--locked", "--valid"], &["live-locked"]),
        (&["--verified", "--valid", "--phone-number", NUMBER], &["live-verified"]),
        (&["--expired", "--limit", "2"], &["expired", "expired-verified"]),
        (&["--verified", "--limit", "1"], &["live-verified"]),
    ];
    for (options, expected) in cases {
        assert_eq!(tokens(&environment, options), expected, "{options:?}");
    }
}

#[test]
fn the_limit_counts_the_records_that_the_filters_leave() {
    let environment = environment();
    environment.insert_many(30, 0);
    assert_eq!(tokens(&environment, &["--verified"]), ["live-verified", "expired-verified"]);
    assert_eq!(
        tokens(&environment, &["--phone-number", NUMBER, "--limit", "2"]),
        ["live", "live-verified"]
    );
}

#[test]
fn the_filters_hold_for_every_format() {
    let environment = environment();
    let csv = environment.run(&["--format", "csv", "list", "--locked"]).expect_code(0);
    assert_eq!(csv.stdout.lines().count(), 3, "{}", csv.stdout);
    let table = environment.run(&["list", "--locked"]).expect_code(0);
    assert_eq!(table.stdout.matches(OTHER_NUMBER).count(), 2, "{}", table.stdout);
    assert!(!table.stdout.contains(NUMBER), "{}", table.stdout);
}

#[test]
fn locked_follows_max_failed_attempts() {
    let environment = environment();
    environment.write("phone-verify.toml", "backend = \"console\"\nmax_failed_attempts = 6\n");
    assert_eq!(tokens(&environment, &["--locked"]), ["expired-locked"]);
}

#[test]
fn since_takes_a_time_with_its_offset() {
    let environment = Environment::console("");
    for (session_token, created_at) in
        [("before", "2026-01-15 23:29:59.999999"), ("at", "2026-01-15 23:30:00")]
    {
        environment.insert(&Record {
            session_token,
            created_at: Time::At(created_at),
            ..Record::default()
        });
    }
    for time in
        ["2026-01-15T23:30:00Z", "2026-01-16T08:30:00+09:00", "2026-01-15T18:30:00.000000-05:00"]
    {
        assert_eq!(tokens(&environment, &["--since", time]), ["at"], "{time}");
    }
    assert_eq!(tokens(&environment, &["--since", "2026-01-15T23:29:59Z"]), ["at", "before"]);
}

#[test]
fn a_filter_that_cannot_be_read_is_a_usage_error() {
    let environment = environment();
    let cases: [&[&str]; 12] = [
        &["--since", "yesterday"],
        &["--since", ""],
        &["--since", "-1h"],
        &["--since=-1h"],
        &["--since", "2026-13-45T00:00:00Z"],
        &["--since", "99999999999999999999d"],
        &["--limit", "-1"],
        &["--limit", "many"],
        &["--limit", "99999999999999999999"],
        &["--phone-number", "hello"],
        &["--phone-number", ""],
        &["a-positional-argument"],
    ];
    for options in cases {
        let run = environment.run(&[&["list"], options].concat()).expect_code(2);
        assert_eq!(run.stdout, "", "{options:?}");
        assert!(run.stderr.starts_with("error: "), "{run:#?}");
    }
}

#[test]
fn a_row_whose_number_is_not_valid_can_be_found() {
    let environment = Environment::console("");
    environment.insert(&Record { phone_number: "+15551234567", ..Record::default() });
    assert_eq!(tokens(&environment, &["--phone-number", "+15551234567"]).len(), 1);
}

#[test]
fn an_error_about_a_filter_names_its_option() {
    let environment = environment();
    for options in
        [["--since", "yesterday"], ["--limit", "many"], ["--limit", "99999999999999999999"]]
    {
        let run = environment.run(&[&["list"], &options[..]].concat()).expect_code(2);
        assert!(run.stderr.contains(options[0]), "{run:#?}");
    }
}
