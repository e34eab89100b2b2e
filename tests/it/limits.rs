//! `[limits]`: how much may be sent, counted from the ledger.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::support::{
    DATABASE, DAY, Environment, FakeProvider, NUMBER, OTHER_NUMBER, PastDelivery, Reply, Run,
    SEND_FILE, STATES, error_of, expect_refused, format_rfc3339, is_on_server, send_file_with,
};

/// A number of another region.
const BRITISH: &str = "+442079460018";

/// Returns an environment with these limits on the console backend, whose ledger is empty.
fn limited_to(limits: &str) -> Environment {
    Environment::with_database(&format!("[limits]\n{limits}"))
}

/// Asserts that a send to `number` is refused for `limit`, and that nothing is written. Returns its line.
#[track_caller]
fn expect_limited(environment: &Environment, number: &str, limit: &str) -> Value {
    let written = || (environment.records(), environment.deliveries());
    let before = written();
    let run = environment.run(&["--format", "json", "send", number]).expect_code(1);
    let line = run.json();
    assert_eq!(error_of(&line), ("limited", None));
    assert!(
        line["error"]["message"].as_str().is_some_and(|words| words.contains(limit)),
        "{line:#}"
    );
    assert!(line.get("session_token").is_none(), "{line:#}");
    for part in ["error: ", number, limit, "--ignore-limits"] {
        assert!(run.stderr.contains(part), "{part} is missing: {run:#?}");
    }
    assert!(!run.stderr.contains("message: "), "it was sent: {run:#?}");
    assert_eq!(written(), before);
    line
}

/// Returns the moment that lies `seconds` after a stored time, as JSON shows it.
fn later(stored: &str, seconds: i64) -> String {
    let time: DateTime<Utc> = format_rfc3339(stored).parse().expect("a time");
    (time + TimeDelta::seconds(seconds)).to_rfc3339_opts(SecondsFormat::Micros, true)
}

#[test]
fn without_limits_everything_is_sent() {
    let environment = limited_to("");
    for _ in 0..5 {
        environment.send(NUMBER);
    }
}

#[test]
fn a_number_waits_for_the_cooldown_between_two_codes() {
    let environment = limited_to("resend_cooldown_seconds = 600");
    environment.send(NUMBER);
    let row = environment.delivery();
    let line = expect_limited(&environment, NUMBER, "resend_cooldown_seconds");
    assert_eq!(line["error"]["retry_at"], later(&row.created_at, 600));
    environment.send(OTHER_NUMBER);
    environment.backdate("sms_delivery", 500);
    expect_limited(&environment, NUMBER, "resend_cooldown_seconds");
    environment.backdate("sms_delivery", 600);
    environment.send(NUMBER);
}

#[test]
fn a_number_gets_so_many_codes_within_a_day() {
    let environment = limited_to("max_per_number_per_day = 3");
    for age in [DAY + 1, DAY - 60, 7200] {
        environment.insert_delivery(&PastDelivery { age, ..PastDelivery::default() });
    }
    environment.send(NUMBER);
    let oldest = environment.deliveries().remove(1);
    let line = expect_limited(&environment, NUMBER, "max_per_number_per_day");
    assert_eq!(line["error"]["retry_at"], later(&oldest.created_at, DAY));
    environment.send(OTHER_NUMBER);
}

#[test]
fn all_numbers_together_get_so_many_codes_within_an_hour() {
    let environment = limited_to("max_per_hour = 3");
    for age in [3601, 3500, 60] {
        environment.insert_delivery(&PastDelivery {
            phone_number: BRITISH,
            age,
            ..PastDelivery::default()
        });
    }
    environment.send(NUMBER);
    let oldest = environment.deliveries().remove(1);
    let line = expect_limited(&environment, OTHER_NUMBER, "max_per_hour");
    assert_eq!(line["error"]["retry_at"], later(&oldest.created_at, 3600));
}

#[test]
fn a_dry_run_reports_what_a_send_would_be_refused() {
    let limits = "resend_cooldown_seconds = 60\nmax_per_hour = 3\nallowed_regions = [\"US\"]";
    let environment = limited_to(limits);
    environment.send(NUMBER);
    let numbers = [NUMBER, BRITISH, OTHER_NUMBER, "+12025550101", "+12025550102"];
    environment.write_numbers(&numbers.map(str::to_owned));
    let rows = || (environment.rows("sms_verification"), environment.rows("sms_delivery"));
    let before = rows();
    let dry = environment.run(&send_file_with(&["--dry-run"])).expect_code(3);
    assert_eq!(rows(), before);
    let real = environment.run(&SEND_FILE).expect_code(3);
    let refusals = |run: &Run| {
        let failed = run.json_lines().into_iter().filter(|line| line["status"] == "failed");
        // The second of a refusal depends on when it was asked.
        let told = |line: Value| {
            assert_eq!(error_of(&line).0, "limited", "{line:#}");
            let error = &line["error"];
            (line["line"].clone(), error["message"].clone(), error["retry_at"].is_null())
        };
        let mut told: Vec<_> = failed.map(told).collect();
        told.sort_by_key(|(line, ..)| line.as_u64());
        told
    };
    assert_eq!(refusals(&dry).len(), 3, "{dry:#?}");
    assert_eq!(refusals(&dry), refusals(&real));
    assert_eq!(dry.numbers_with("status", "dry_run"), real.numbers_with("status", "sent"));
    let summary = "2 would be sent in 2 segments, 3 failed (3 limited), 0 skipped";
    assert!(dry.stderr.contains(summary), "{dry:#?}");
    // What was sent since counts, unless the limits are ignored.
    let run = environment.run(&["send", "--dry-run", OTHER_NUMBER]).expect_code(1);
    assert!(run.stderr.contains("limits.") && run.stderr.contains("--ignore-limits"), "{run:#?}");
    environment.run(&["send", "--dry-run", "--ignore-limits", OTHER_NUMBER]).expect_code(0);
    let run = environment.run(&["--format", "json", "send", "--dry-run", "--resume", NUMBER]);
    assert_eq!(run.expect_code(0).json()["reason"], "already_sent");
}

#[test]
fn a_dry_run_fails_where_a_send_would_and_changes_no_byte() {
    if is_on_server() {
        return;
    }
    let limits =
        "backend = \"console\"\n[limits]\nmax_per_hour = 3\n[database]\npath = \"missing/db\"";
    let without_directory = Environment::with_settings(limits);
    let foreign = Environment::with_database("[limits]\nmax_per_hour = 3");
    foreign.execute(&["DROP TABLE sms_delivery", "CREATE TABLE sms_delivery (of_others)"]);
    for environment in [without_directory, foreign] {
        let errors = [&["send", "--dry-run", NUMBER][..], &["send", NUMBER]].map(|arguments| {
            let run = environment.run(arguments).expect_code(1);
            assert!(run.stderr.starts_with("error: database "), "{run:#?}");
            run.stderr
        });
        assert_eq!(errors[0], errors[1]);
    }
    // What a crash left in the log stays there.
    let environment = limited_to("max_per_hour = 3");
    let connection = environment.database();
    // The last connection that has read it empties the log.
    connection.execute_batch("SELECT count(*) FROM sms_delivery").expect("a ledger");
    environment.send(NUMBER);
    let crashed = Environment::with_settings("backend = \"console\"\n[limits]\nmax_per_hour = 1");
    for name in [DATABASE, "phone-verify.sqlite3-wal"] {
        std::fs::copy(environment.path(name), crashed.path(name)).expect("a copy");
    }
    drop(connection);
    let bytes = || std::fs::read(crashed.path("phone-verify.sqlite3-wal")).expect("the log");
    let before = bytes();
    assert!(!before.is_empty());
    crashed.run(&["send", "--dry-run", OTHER_NUMBER]).expect_code(1);
    assert_eq!(bytes(), before);
}

#[test]
fn before_the_first_send_a_dry_run_counts_its_own_numbers_and_creates_nothing() {
    let environment =
        Environment::with_settings("backend = \"console\"\n[limits]\nmax_per_hour = 1");
    let run = environment.run(&["--format", "json", "send", "--dry-run", NUMBER, OTHER_NUMBER]);
    let run = run.expect_code(3);
    assert_eq!(run.numbers_with("status", "dry_run"), [NUMBER]);
    assert_eq!(run.numbers_with("status", "failed"), [OTHER_NUMBER]);
    environment.expect_no_database();
}

#[test]
fn only_the_allowed_regions_are_sent_to_and_waiting_does_not_help() {
    for (regions, allowed, other) in [
        ("[\"GB\"]", BRITISH, NUMBER),
        ("[\"us\", \"CA\"]", NUMBER, BRITISH),
        // Canada's numbers begin as those of the United States do.
        ("[\"US\"]", NUMBER, "+16135550143"),
        ("[\"CA\"]", "+16135550143", NUMBER),
    ] {
        let environment = limited_to(&format!("allowed_regions = {regions}"));
        let line = expect_limited(&environment, other, "allowed_regions");
        assert_eq!(line["error"]["retry_at"], Value::Null, "{regions}");
        environment.send(allowed);
    }
}

#[test]
fn of_several_limits_the_one_that_lasts_longest_is_told() {
    let environment = limited_to(
        "resend_cooldown_seconds = 60\nmax_per_number_per_day = 1\nmax_per_hour = 1\nallowed_regions = [\"US\"]",
    );
    environment.send(NUMBER);
    let row = environment.delivery();
    let line = expect_limited(&environment, NUMBER, "max_per_number_per_day");
    assert_eq!(line["error"]["retry_at"], later(&row.created_at, DAY));
}

#[test]
fn a_delivery_whose_time_is_damaged_is_in_no_ones_way() {
    if is_on_server() {
        return;
    }
    for value in ["CAST(X'ff' AS TEXT)", "created_at || CAST(X'00ff' AS TEXT)"] {
        let environment = limited_to("resend_cooldown_seconds = 60");
        environment.send(NUMBER);
        environment.execute(&[&format!("UPDATE sms_delivery SET created_at = {value}")]);
        environment.send(NUMBER);
        environment.run(&["send", NUMBER]).expect_code(1);
    }
}

#[test]
fn the_provider_hears_nothing_of_a_limited_number() {
    let provider = FakeProvider::twilio();
    let environment = provider.environment_with("", "[limits]\nresend_cooldown_seconds = 60");
    let earlier = environment.send(NUMBER);
    expect_limited(&environment, NUMBER, "resend_cooldown_seconds");
    assert_eq!(provider.requests().len(), 1);
    environment.verify(&earlier).expect_code(0);
}

#[test]
fn sent_and_perhaps_sent_counts_and_certainly_not_sent_does_not() {
    for limit in ["resend_cooldown_seconds = 600", "max_per_number_per_day = 1", "max_per_hour = 1"]
    {
        for state in STATES {
            let environment = limited_to(limit);
            environment.insert_delivery(&PastDelivery { state, ..PastDelivery::default() });
            if ["rejected", "unavailable"].contains(&state) {
                environment.send(NUMBER);
            } else {
                expect_limited(&environment, NUMBER, "limits.");
            }
        }
    }
}

#[test]
fn a_refused_send_may_be_followed_by_another_at_once() {
    let provider = FakeProvider::twilio();
    provider.next(Reply::twilio_error(400, 21211, "Invalid 'To' Phone Number"));
    let limits = "[limits]\nresend_cooldown_seconds = 600\nmax_per_hour = 1";
    let environment = provider.environment_with("", limits);
    environment.run(&["send", NUMBER]).expect_code(1);
    environment.send(NUMBER);
    expect_limited(&environment, NUMBER, "limits.");
}

#[test]
fn neither_a_purge_of_the_records_nor_a_resend_resets_a_limit() {
    let environment = limited_to("max_per_number_per_day = 2");
    environment.send(NUMBER);
    environment.send(NUMBER);
    assert_eq!(environment.records().len(), 1, "a resend leaves one record");
    expect_limited(&environment, NUMBER, "max_per_number_per_day");
    environment.backdate("sms_verification", 601);
    environment.run(&["purge"]).expect_code(0);
    assert_eq!(environment.records(), []);
    expect_limited(&environment, NUMBER, "max_per_number_per_day");
}

#[test]
fn an_operator_may_ignore_the_limits_and_what_is_sent_so_counts_too() {
    let environment = limited_to("max_per_number_per_day = 2\nallowed_regions = [\"US\"]");
    for _ in 0..3 {
        environment.run(&["send", NUMBER, BRITISH, "--ignore-limits"]).expect_code(0);
    }
    assert_eq!(environment.deliveries().len(), 6);
    // One of three has left the window, so two are still in it.
    environment
        .execute(&["UPDATE sms_delivery SET created_at = '2020-01-01 00:00:00' WHERE id <= 2"]);
    expect_limited(&environment, NUMBER, "max_per_number_per_day");
}

#[test]
fn of_several_numbers_only_the_limited_ones_are_not_sent() {
    let environment = limited_to("max_per_hour = 3\nallowed_regions = [\"US\"]");
    let numbers = ["+12025550100", BRITISH, "+12025550101", "+12025550102", "+12025550103"];
    let arguments = [&["--format", "json", "send"][..], &numbers].concat();
    let lines = environment.run(&arguments).expect_code(3).json_lines();
    let count = |status: &str| lines.iter().filter(|line| line["status"] == status).count();
    assert_eq!((count("sent"), count("failed")), (3, 2));
    assert_eq!(environment.deliveries().len(), 3);
    let run = environment.run(&arguments).expect_code(1);
    assert_eq!(run.json_lines().len(), 5);
    assert!(run.json_lines().iter().all(|line| error_of(line) == ("limited", None)), "{run:#?}");
}

#[test]
fn in_text_it_is_said_when_the_number_may_be_sent_to_again() {
    let environment = limited_to("resend_cooldown_seconds = 3600");
    environment.send(NUMBER);
    let run = environment.run(&["send", NUMBER]).expect_code(1);
    assert_eq!(run.stdout, format!("{NUMBER} not sent\n"));
    let row = environment.delivery();
    let retry_at = later(&row.created_at, 3600);
    // The environment's time zone is UTC.
    let local = retry_at[..19].replace('T', " ");
    let hint = run.stderr.lines().find(|line| line.starts_with("hint: ")).expect("a hint");
    assert!(hint.contains(&local) && hint.contains("in 60 min"), "{hint}: {retry_at}");
}

#[test]
fn twenty_processes_at_once_send_no_more_than_an_hour_allows() {
    let provider = FakeProvider::twilio();
    let environment = provider.environment_with("", "[limits]\nmax_per_hour = 5");
    environment.run(&["migrate"]).expect_code(0);
    let numbers: Vec<_> = (0..20).map(|last| format!("+120255501{last:02}")).collect();
    let commands = numbers
        .iter()
        .map(|number| environment.command(&["--format", "json", "send", number]))
        .collect();
    let (mut sent, mut limited) = (0, 0);
    for run in environment.run_behind_a_lock(commands) {
        match run.code {
            Some(0) => sent += 1,
            _ => {
                let line = run.expect_code(1).json();
                assert_eq!(error_of(&line), ("limited", None));
                limited += 1;
            }
        }
    }
    assert_eq!((sent, limited, provider.requests().len()), (5, 15, 5));
    assert_eq!(environment.deliveries().len(), 5);
}

#[test]
fn twenty_processes_at_once_send_one_code_to_a_number_that_has_to_wait() {
    let provider = FakeProvider::twilio();
    let environment = provider.environment_with("", "[limits]\nresend_cooldown_seconds = 600");
    environment.run(&["migrate"]).expect_code(0);
    let commands = (0..20).map(|_| environment.command(&["send", NUMBER])).collect();
    let runs = environment.run_behind_a_lock(commands);
    assert_eq!(runs.iter().filter(|run| run.code == Some(0)).count(), 1);
    assert_eq!(runs.iter().filter(|run| run.code == Some(1)).count(), 19);
    assert_eq!((provider.requests().len(), environment.records().len()), (1, 1));
}

#[test]
fn a_wrong_limit_is_a_settings_error() {
    for (key, values) in [
        ("resend_cooldown_seconds", &["0", "-1", "1.5", "\"9876543\"", "true", "31536001"][..]),
        ("max_per_number_per_day", &["0", "-5", "99999999999", "\"9876543\"", "[1]"]),
        ("max_per_hour", &["0", "-5", "99999999999", "\"9876543\"", "{}"]),
        (
            "allowed_regions",
            &[
                "\"US\"",
                "[]",
                "[\"9876543\"]",
                "[\"US\", \"ZZ\"]",
                "[\"UK\"]",
                "[\"EU\"]",
                "[1]",
                "1",
                "[\"001\"]",
                "[\"\"]",
            ],
        ),
        ("allowed_types", &["\"mobile\"", "[]", "[\"9876543\"]", "[\"Mobile\"]", "[1]", "1"]),
        ("max_per_minute", &["9876543"]),
    ] {
        for value in values {
            expect_refused(&format!("backend = \"console\"\n[limits]\n{key} = {value}\n"), 3, key);
        }
    }
    expect_refused("backend = \"console\"\nlimits = 9876543\n", 2, "limits");
}

/// What purge removes is not counted any more, so it must not go while a limit looks back to it.
#[test]
fn the_ledger_may_not_be_kept_for_less_than_the_cooldown() {
    for (cooldown, days) in [(DAY + 1, 1), (91 * DAY, 90)] {
        expect_refused(
            &format!(
                "backend = \"console\"\n[delivery]\nrecord_retention_days = {days}\n[limits]\n\
                 resend_cooldown_seconds = {cooldown}\n"
            ),
            5,
            "resend_cooldown_seconds",
        );
    }
    let environment = limited_to(&format!("resend_cooldown_seconds = {}", 90 * DAY));
    environment.insert_delivery(&PastDelivery { age: 89 * DAY, ..PastDelivery::default() });
    environment.run(&["purge"]).expect_code(0);
    let line = expect_limited(&environment, NUMBER, "resend_cooldown_seconds");
    assert_ne!(line["error"]["retry_at"], json!(null));
}
