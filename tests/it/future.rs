//! Rows whose time lies in the future, because a clock was wrong or a site stores local times.

use serde_json::json;

use crate::support::{
    CODE, DAY, Environment, NUMBER, PastDelivery, Record, Time, WRONG_CODE, add_dashes,
    is_on_server,
};

/// How far ahead a row may be.
const TOLERANCE: i64 = 60;

/// An empty database, with one record of this age.
fn environment(age: i64) -> Environment {
    let environment = Environment::with_database("");
    environment.insert(&Record { created_at: Time::Ago(age), ..Record::default() });
    environment
}

fn tokens(environment: &Environment, arguments: &[&str]) -> Vec<String> {
    let run = environment.run(&[&["--format", "json", "list"], arguments].concat());
    let lines = run.expect_code(0).json_lines();
    lines.iter().map(|line| line["session_token"].as_str().expect("a token").to_owned()).collect()
}

#[test]
fn a_record_from_the_future_counts_as_expired_and_is_not_purged() {
    let year = 365 * DAY;
    for (age, is_valid) in [
        (0, true),
        // The clock moves on while the program starts.
        (10 - TOLERANCE, true),
        (-TOLERANCE - 100, false),
        (-10 * year, false),
    ] {
        let environment = environment(age);
        let run = environment.run(&["--format", "json", "list"]).expect_code(0);
        assert_eq!(run.json()["is_valid"], is_valid, "{age}");
        for (filter, expected) in [("--valid", is_valid), ("--expired", !is_valid)] {
            assert_eq!(tokens(&environment, &[filter]).len(), usize::from(expected), "{age}");
        }
        let status = environment.run(&["--format", "json", "status", NUMBER]).expect_code(0);
        let status = status.json();
        assert_eq!(status["verdict"], if is_valid { "verifiable" } else { "none" }, "{age}");
        assert_eq!(status["records"][0]["is_valid"], is_valid, "{age}");
        for options in [&[][..], &["--older-than", "30d"], &["--unverified"], &["--dry-run"]] {
            let run = environment.run(&[&["purge"], options].concat()).expect_code(0);
            let warning =
                "warning: 1 record and 0 deliveries are from the future, so they aren't old: ";
            assert_eq!(run.stderr.starts_with(warning), !is_valid, "{age}: {run:#?}");
            assert_eq!(run.stderr.is_empty(), is_valid, "{age}: {run:#?}");
        }
        environment.run(&["verify", NUMBER, CODE, "--any-session"]).expect_code(if is_valid {
            0
        } else {
            14
        });
        assert_eq!(environment.count(), 1, "{age}");
    }
    let environment = environment(-DAY);
    let text = environment.run(&["status", NUMBER]).expect_code(0).stdout;
    assert!(
        text.contains("\n  expired, not verified, ") && !text.contains("  expires  "),
        "{text}"
    );
    for (code, exit) in [(WRONG_CODE, 11), (CODE, 12)] {
        let token = ["--session-token", &environment.tokens()[0]];
        environment.run(&[&["verify", NUMBER, code][..], &token].concat()).expect_code(exit);
    }
}

#[test]
fn the_newest_record_is_the_newest_that_is_not_from_the_future() {
    let environment = Environment::with_database("");
    for (session_token, security_code, age) in
        [("1", WRONG_CODE, 300), ("2", CODE, 60), ("3", WRONG_CODE, -7200)]
    {
        let created_at = Time::Ago(age);
        let record = Record { session_token, security_code, created_at, ..Record::default() };
        environment.insert(&record);
    }
    assert_eq!(tokens(&environment, &[]), ["3", "2", "1"], "a list is in the order of its times");
    let status = environment.run(&["--format", "json", "status", NUMBER]).expect_code(0).json();
    assert_eq!(status["verdict"], "verifiable");
    assert!(status["message"].as_str().is_some_and(|words| words.contains("in 9 min")), "{status}");
    environment.run(&["verify", NUMBER, CODE, "--any-session"]).expect_code(0);
    environment.send(NUMBER);
    assert_eq!(environment.count(), 1, "an accepted send removes them all");
}

#[test]
fn the_newest_delivery_is_the_newest_that_is_not_from_the_future() {
    let environment = Environment::with_database("");
    let id = environment.insert(&Record::default());
    let delivery = PastDelivery { verification_id: &id, ..PastDelivery::default() };
    environment.insert_delivery(&PastDelivery {
        state: "rejected",
        age: -7200,
        ..delivery.clone()
    });
    environment.insert_delivery(&PastDelivery { state: "undelivered", age: 60, ..delivery });
    let list = environment.run(&["--format", "json", "list"]).expect_code(0).json();
    assert_eq!(list["delivery"], "undelivered");
    let status = environment.run(&["--format", "json", "status", NUMBER]).expect_code(0).json();
    assert_eq!(status["records"][0]["id"], add_dashes(&id));
    let states = [&status["deliveries"][0]["state"], &status["deliveries"][1]["state"]];
    assert_eq!(states, [&json!("rejected"), &json!("undelivered")]);
    assert_eq!(status["next"], format!("phone-verify send {NUMBER}"));
}

#[test]
fn a_delivery_from_the_future_holds_no_limit_and_stops_no_resumption() {
    for (limit, name) in [
        ("resend_cooldown_seconds = 300", "resend_cooldown_seconds"),
        ("max_per_number_per_day = 1", "max_per_number_per_day"),
        ("max_per_hour = 1", "max_per_hour"),
    ] {
        let environment = Environment::with_database(&format!("[limits]\n{limit}"));
        environment
            .insert_delivery(&PastDelivery { age: -10 * 365 * DAY, ..PastDelivery::default() });
        environment.insert_delivery(&PastDelivery { age: -100, ..PastDelivery::default() });
        let run = environment.run(&["send", NUMBER, "--resume"]).expect_code(0);
        assert!(run.stdout.contains(" sent\n"), "{run:#?}");
        let run = environment.run(&["send", NUMBER]).expect_code(1);
        assert!(run.stderr.contains(name), "{run:#?}");
    }
}

#[test]
fn purge_keeps_deliveries_from_the_future_and_doctor_finds_them() {
    if is_on_server() {
        return;
    }
    let environment = Environment::with_database("");
    for age in [-DAY, -TOLERANCE - 100, 10 - TOLERANCE, DAY] {
        environment.insert_delivery(&PastDelivery { age, ..PastDelivery::default() });
    }
    let checks = environment.doctor(0, &[]);
    let found = ["deliveries from the future: 2; the first: 1"];
    checks.expect("database.created_at", "warning", &found);
    let run = environment.run(&["purge"]).expect_code(0);
    assert!(run.stderr.starts_with("warning: 0 records and 2 deliveries are from the future"));
    assert_eq!(environment.deliveries().len(), 4);
}
