//! `[fallback]` where something goes wrong: both refuse, a secret is missing, the settings are wrong, the process is killed.

use crate::support::{
    Environment, FakeProvider, NUMBER, Reply, TwilioAccount, code_in, error_of, expect_accepted,
    expect_refused, finish, run_command,
};

/// Twilio's refusal of the account's credentials.
fn no_credentials() -> Reply {
    Reply::twilio_error(401, 20003, "Authenticate")
}

#[test]
fn where_both_refuse_the_last_ones_words_are_told_and_the_earlier_code_still_works() {
    let number_is_bad = Reply::nexmo_error("6", "Unroutable message");
    let no_balance = Reply::nexmo_error("9", "Partner Quota Violation");
    for (refusal, code, words) in
        [(number_is_bad, "6", "Unroutable message"), (no_balance, "9", "Partner Quota Violation")]
    {
        let (first, second) = (FakeProvider::twilio(), FakeProvider::nexmo());
        let environment = first.environment_with_fallback(&second);
        let earlier = environment.send(NUMBER);
        first.always(no_credentials());
        second.always(refusal);
        let run = environment.run(&["--format", "json", "send", NUMBER]).expect_code(1);
        let line = run.json();
        assert_eq!(error_of(&line), ("rejected", Some(code)));
        assert_eq!(line["error"]["message"], words);
        assert!(run.stderr.contains("nexmo") && run.stderr.contains(words), "{run:#?}");
        assert_eq!(environment.record(), earlier);
        environment.verify(&earlier).expect_code(0);
        let told: Vec<_> = environment
            .deliveries()
            .into_iter()
            .map(|row| (row.backend, row.state, row.error_code.unwrap_or_default()))
            .collect();
        let expected = [
            ("twilio", "accepted", ""),
            ("twilio", "rejected", "20003"),
            ("nexmo", "rejected", code),
        ];
        let expected = expected.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c.to_owned()));
        assert_eq!(told, expected);
    }
}

#[test]
fn a_second_provider_of_unknown_outcome_leaves_both_codes() {
    let (first, second) = (FakeProvider::twilio(), FakeProvider::nexmo());
    let environment = first.environment_with_fallback(&second);
    let earlier = environment.send(NUMBER);
    first.always(no_credentials());
    second.next(Reply::close().although_accepted());
    let line = environment.run(&["--format", "json", "send", NUMBER]).expect_code(1).json();
    assert_eq!(error_of(&line).0, "unknown");
    let newer = environment.record_of_token(line["session_token"].as_str().expect("a token"));
    assert_eq!(code_in(&second.accepted()[0].text), newer.security_code);
    environment.verify(&earlier).expect_code(0);
    environment.verify(&newer).expect_code(0);
    assert_eq!(environment.states(), ["accepted", "rejected", "unknown"]);
}

#[test]
fn status_shows_what_both_said() {
    let (first, second) = (FakeProvider::twilio(), FakeProvider::nexmo());
    first.always(no_credentials());
    let environment = first.environment_with_fallback(&second);
    environment.send(NUMBER);
    let text = environment.run(&["status", NUMBER]).expect_code(0).stdout;
    for part in ["accepted through nexmo", "rejected through twilio", "Authenticate", "20003"] {
        assert!(text.contains(part), "{part} is missing: {text}");
    }
}

#[test]
fn a_send_that_was_handed_over_counts_once_against_the_limits() {
    let (first, second) = (FakeProvider::twilio(), FakeProvider::nexmo());
    first.always(no_credentials());
    let tables = format!("{}[limits]\nmax_per_hour = 2\n", second.fallback_tables());
    let environment = first.environment_with("", &tables);
    environment.send(NUMBER);
    environment.send(NUMBER);
    let line = environment.run(&["--format", "json", "send", NUMBER]).expect_code(1).json();
    assert_eq!(error_of(&line), ("limited", None));
    assert_eq!(second.accepted().len(), 2);
}

#[test]
fn the_secrets_of_both_are_masked() {
    let secret = "s3cret-of-twilio";
    let account = TwilioAccount { secret: secret.to_owned(), ..TwilioAccount::default() };
    let (first, second) = (FakeProvider::twilio_with(account), FakeProvider::nexmo());
    first.answer_with(move |request| {
        let words = format!("{secret} does not open {}", request.field("Body"));
        Reply::twilio_error(401, 20003, &words)
    });
    second.answer_with(|request| {
        let words = format!("nexmo-api-secret does not open {}", request.field("text"));
        Reply::nexmo_error("4", &words)
    });
    let environment = first.environment_with_fallback(&second);
    for format in ["text", "json"] {
        let run = environment.run(&["-vvv", "--format", format, "send", NUMBER]).expect_code(1);
        let mut shown = format!("{}{}", run.stdout, run.stderr);
        assert!(shown.contains("does not open"), "{shown}");
        for row in environment.deliveries() {
            let words = row.error_message.expect("words");
            assert!(words.contains("does not open"), "{words}");
            shown.push_str(&words);
        }
        let code =
            code_in(&second.requests().pop().expect("it was called").field("text")).to_owned();
        for forbidden in [secret, "nexmo-api-secret", &code] {
            assert!(!shown.contains(forbidden), "{shown}");
        }
    }
}

#[test]
fn the_secrets_of_both_are_looked_up_before_anything_is_written() {
    let first = FakeProvider::twilio().never_called();
    let second = FakeProvider::nexmo().never_called();
    let settings = first.settings("", &second.fallback_tables());
    for (literal, key) in [
        ("\"twilio-auth-token\"", "options.secret"),
        ("\"nexmo-api-secret\"", "fallback.options.secret"),
    ] {
        for (place, name) in
            [("{ env = \"NOT_SET\" }", "NOT_SET"), ("{ file = \"not-there\" }", "not-there")]
        {
            let environment = Environment::with_settings(&settings.replace(literal, place));
            let run = environment.run(&["send", NUMBER]).expect_code(2);
            assert!(run.stderr.starts_with(&format!("error: {key}: ")), "{run:#?}");
            assert!(run.stderr.contains(name), "{run:#?}");
            environment.expect_no_database();
            // Commands that call nobody do not look.
            environment.run(&["migrate"]).expect_code(0);
            environment.run(&["purge"]).expect_code(0);
            environment.run(&["send", "--dry-run", NUMBER]).expect_code(0);
        }
    }
}

#[test]
fn the_second_providers_secret_may_come_from_the_environment() {
    let (first, second) = (FakeProvider::twilio(), FakeProvider::nexmo());
    first.always(no_credentials());
    let settings = first.settings("", &second.fallback_tables());
    let settings = settings.replace("\"nexmo-api-secret\"", "{ env = \"SECOND_SECRET\" }");
    let environment = Environment::with_settings(&settings);
    let mut command = environment.command(&["send", NUMBER]);
    command.env("SECOND_SECRET", "nexmo-api-secret");
    run_command(command).expect_code(0);
    assert_eq!(second.accepted().len(), 1);
}

#[test]
fn a_message_has_to_fit_the_second_provider_too() {
    let first = FakeProvider::nexmo().never_called();
    let second = FakeProvider::twilio().never_called();
    let message = format!("message = \"{{security_code}}{}\"", "a".repeat(1595));
    let environment = first.environment_with(&message, &second.fallback_tables());
    let run = environment.run(&["send", NUMBER]).expect_code(2);
    assert!(run.stderr.contains("1601") && run.stderr.contains("1600"), "{run:#?}");
    environment.expect_no_database();
}

#[test]
fn wrong_settings_of_the_second_provider_are_named_by_file_line_and_key() {
    let nexmo = "key = \"k\"\nsecret = \"s\"\nfrom = \"Example\"\n";
    let settings = |fallback: &str| format!("backend = \"console\"\n[fallback]\n{fallback}");
    let with_options = |backend: &str, options: &str| {
        settings(&format!("backend = \"{backend}\"\n[fallback.options]\n{options}"))
    };
    for (backend, options, line, key) in [
        ("twilio-sandbox", "sandbox_token = \"987654\"\n", 3, "fallback.backend"),
        ("vonage-sandbox", "sandbox_token = \"987654\"\n", 3, "fallback.backend"),
        ("carrier-pigeon", nexmo, 3, "fallback.backend"),
        ("nexmo", "key = \"k\"\nfrom = \"Example\"\n", 4, "fallback.options.secret"),
        ("nexmo", "key = \"k\"\nsecret = \"s\"\n", 4, "fallback.options.from"),
        ("twilio", "sid = \"AC\"\nsecret = \"s\"\n", 4, "fallback.options.from"),
        ("twilio", "sid = \"AC\"\nfrom = \"+14755292729\"\n", 4, "fallback.options.secret"),
        ("nexmo", &format!("{nexmo}sid = \"9876543\"\n"), 8, "fallback.options.sid"),
        (
            "nexmo",
            &format!("{nexmo}base_url = \"http://example.com\"\n"),
            8,
            "fallback.options.base_url",
        ),
        (
            "nexmo",
            "key = \"k\"\nsecret = 9876543\nfrom = \"Example\"\n",
            6,
            "fallback.options.secret",
        ),
    ] {
        expect_refused(&with_options(backend, options), line, key);
    }
    expect_refused(&settings("backend = \"nexmo-sandbox\"\n"), 3, "can't be a sandbox");
    expect_refused(&settings("backend = \"nexmo\"\n"), 2, "fallback.options.key");
    expect_refused(&settings("[fallback.options]\nkey = \"k\"\n"), 2, "fallback.backend");
    expect_refused(&settings("backend = \"console\"\nafter = 9876543\n"), 4, "fallback.after");
    expect_refused("backend = \"console\"\nfallback = \"nexmo\"\n", 2, "fallback");
    expect_accepted(&with_options("vonage", nexmo));
}

#[test]
fn killed_before_it_could_hand_the_message_over_it_has_sent_nothing() {
    let (first, second) = (FakeProvider::twilio(), FakeProvider::nexmo().never_called());
    let environment = first.environment_with_fallback(&second);
    let earlier = environment.send(NUMBER);
    let held = first.hold_next();
    let mut program = environment.start(&["send", NUMBER]);
    held.wait_for_arrival();
    let database = environment.database();
    database.execute_batch("BEGIN IMMEDIATE").expect("no transaction is open while it waits");
    held.release(no_credentials());
    first.wait_until("the refusal", |log| log.finished == 2);
    program.kill().expect("it waits for the lock");
    assert_eq!(finish(program).code, None);
    database.execute_batch("ROLLBACK").expect("the lock was held to here");
    environment.verify(&earlier).expect_code(0);
    assert_eq!(environment.states(), ["accepted", "sending"]);
}

#[test]
fn killed_while_the_second_holds_the_request_the_code_has_its_record() {
    let (first, second) = (FakeProvider::twilio(), FakeProvider::nexmo());
    let environment = first.environment_with_fallback(&second);
    let earlier = environment.send(NUMBER);
    first.always(no_credentials());
    let held = second.hold_next();
    let mut program = environment.start(&["send", NUMBER]);
    let request = held.wait_for_arrival();
    let rows = environment.deliveries();
    let states: Vec<_> =
        rows.iter().map(|row| (row.backend.as_str(), row.state.as_str())).collect();
    assert_eq!(states, [("twilio", "accepted"), ("twilio", "rejected"), ("nexmo", "sending")]);
    program.kill().expect("it waits for the answer");
    assert_eq!(finish(program).code, None);
    held.release(Reply::accept());
    second.wait_until("the acceptance", |log| log.accepted.len() == 1);
    let records = environment.records();
    assert_eq!((records.len(), &records[0]), (2, &earlier));
    assert_eq!(records[1].security_code, code_in(&request.field("text")));
    assert_eq!(records[1].id, rows[2].verification_id);
    environment.verify(&records[1]).expect_code(0);
    environment.verify(&earlier).expect_code(0);
}

#[test]
fn a_message_that_cannot_be_handed_over_in_the_ledger_is_not_sent_by_the_second() {
    let (first, second) = (FakeProvider::twilio(), FakeProvider::nexmo().never_called());
    let environment = first.environment_with_fallback(&second);
    let earlier = environment.send(NUMBER);
    environment.execute(&[
        "CREATE TRIGGER refuse BEFORE INSERT ON sms_delivery WHEN NEW.backend = 'nexmo'
        BEGIN SELECT raise(ABORT, 'no second row'); END",
    ]);
    first.always(no_credentials());
    let run = environment.run(&["send", NUMBER]).expect_code(1);
    assert!(run.stderr.contains("a trigger refused the change"), "{run:#?}");
    assert_eq!(
        environment.states(),
        ["accepted", "sending"],
        "the first row changes with the second, or not at all"
    );
    environment.verify(&earlier).expect_code(0);
}
