//! `[[test_numbers]]`: numbers that get no SMS and always the same code.

use serde_json::{Value, json};

use crate::support::{Environment, FakeProvider, INVALID, KEEP, NUMBER, OTHER_NUMBER, Run, hook};

const TEST_CODE: &str = "73-9142 X";

/// Returns the table of a test number.
fn test_number(number: &str, until: &str) -> String {
    format!(
        "[[test_numbers]]\nphone_number = \"{number}\"\nsecurity_code = \"{TEST_CODE}\"\nuntil = {until}\n"
    )
}

/// Returns the tables of two test numbers: one of the numbering plan, and one that nobody can have.
fn both_numbers() -> String {
    test_number(NUMBER, "9999-12-31") + &test_number(INVALID, "9999-12-31")
}

/// Sends with JSON and asserts that all is done and no code is shown.
#[track_caller]
fn send(environment: &Environment, arguments: &[&str]) -> Run {
    let run = environment.run(&[&["--format", "json", "send"], arguments].concat());
    let shown = format!("{}{}", run.stdout, run.stderr);
    assert!(!shown.contains(TEST_CODE) && !shown.contains("739142"), "{run:#?}");
    run.expect_code(0)
}

#[test]
fn no_provider_is_called_and_everything_else_is_as_usual() {
    let (provider, second) =
        (FakeProvider::twilio().never_called(), FakeProvider::nexmo().never_called());
    let tables = second.fallback_tables() + "[hooks]\n" + &hook("sent", KEEP) + &both_numbers();
    let environment = provider.environment_with("token_length = 8", &tables);
    for number in [NUMBER, INVALID] {
        let run = send(&environment, &[number, "--wait"]);
        let line = run.json();
        let record = environment.record_of_token(&run.session_token());
        assert_eq!((&line["status"], &line["backend"]), (&json!("sent"), &json!("test")));
        assert_eq!((&line["message_id"], line.get("delivery")), (&Value::Null, None));
        assert_eq!(run.stderr, "");
        assert_eq!((&*record.phone_number, &*record.security_code), (number, TEST_CODE));
        let delivery = environment.deliveries().pop().expect("a delivery");
        assert_eq!((&*delivery.backend, &*delivery.state), ("test", "accepted"));
        assert_eq!((delivery.segments, delivery.tries), (0, 1));
        assert_eq!(environment.hook_events().pop().expect("an event")["phone_number"], number);
        environment.run(&["verify", number, "739142x", "--any-session"]).expect_code(11);
        environment.run(&["verify", number, "739142X", "--any-session"]).expect_code(0);
    }
    let text = environment.run(&["send", INVALID]).expect_code(0).stdout;
    assert!(
        text.starts_with(&format!("{INVALID} sent (test number, no SMS)\n  expires")),
        "{text}"
    );
}

#[test]
fn no_limit_and_no_resume_holds_it_back_and_it_counts_for_none() {
    let limits = "[limits]\nresend_cooldown_seconds = 600\nmax_per_number_per_day = 1\nmax_per_hour = 1\n\
                  allowed_regions = [\"GB\"]\nallowed_types = [\"fixed_line\"]\n";
    let environment = Environment::with_database(&format!("{limits}{}", both_numbers()));
    for _ in 0..3 {
        send(&environment, &[NUMBER, INVALID]);
        send(&environment, &[NUMBER, INVALID, "--resume"]);
        send(&environment, &[NUMBER, INVALID, "--dry-run"]);
    }
    // The hour has room for one, beside test numbers in the same transaction and before it.
    let ordinary = "+442079460018";
    send(&environment, &[NUMBER, ordinary, INVALID]);
    let refused = environment.run(&["send", "+442079460019"]).expect_code(1);
    assert!(refused.stderr.contains("max_per_hour"), "{refused:#?}");
    // It is an ordinary number now: the region isn't allowed, but the test counts for no cooldown.
    let limits =
        limits.replace("\"GB\"", "\"US\"").replace("\"fixed_line\"", "\"fixed_line_or_mobile\"");
    let limits = limits.replace("max_per_hour = 1", "max_per_hour = 9");
    let ended = test_number(NUMBER, "2020-01-01");
    environment.write("phone-verify.toml", &format!("backend = \"console\"\n{limits}{ended}"));
    let sent = environment.run(&["--format", "json", "send", NUMBER]).expect_code(0);
    assert_eq!(sent.json()["backend"], "console");
    environment.run(&["send", NUMBER]).expect_code(1);
}

#[test]
fn a_dry_run_says_that_nothing_is_paid_for() {
    let environment = Environment::console(&both_numbers());
    let run = environment.run(&["send", "--dry-run", INVALID, OTHER_NUMBER]).expect_code(0);
    let message = "Welcome to Phone Verify! Please use security code 000000 to proceed.";
    assert_eq!(
        run.stdout,
        format!(
            "{INVALID} test number, no SMS: {message}\n\
             {OTHER_NUMBER} GSM-7, 1 segment, fixed line or mobile: {message}\n"
        )
    );
    assert_eq!(run.stderr, "note: 2 would be sent in 1 segment, 0 failed, 0 skipped\n");
    let line = send(&environment, &["--dry-run", INVALID]).json();
    assert_eq!((&line["segments"], &line["number_type"]), (&json!(0), &Value::Null));
}

#[test]
fn a_zero_after_the_country_code_makes_it_no_other_number() {
    let provider = FakeProvider::twilio().never_called();
    let environment = provider.environment_with("", &test_number("+4402079460018", "9999-12-31"));
    for number in ["+4402079460018", "+44 (0)20 7946 0018", "+442079460018"] {
        let line = send(&environment, &[number]).json();
        assert_eq!(
            (&line["phone_number"], &line["backend"]),
            (&json!("+442079460018"), &json!("test"))
        );
    }
}

#[test]
fn after_its_last_day_it_is_an_ordinary_number() {
    let environment = Environment::console(&test_number(INVALID, "2020-01-01"));
    let run = environment.run(&["--format", "json", "send", INVALID]).expect_code(2);
    assert_eq!(run.json()["error"]["kind"], "invalid_number");
}
