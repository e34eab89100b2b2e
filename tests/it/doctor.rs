//! `doctor`: what it shows, to people and to scripts, and that it only looks.

use serde_json::json;
use unicode_width::UnicodeWidthStr;

use crate::support::{Environment, FakeProvider, NUMBER, Reply, run_command};

#[test]
fn a_sound_set_up_has_nothing_but_ok_checks() {
    let provider = FakeProvider::twilio();
    let limits = "[limits]\nresend_cooldown_seconds = 60\nmax_per_hour = 100\n";
    let settings = provider.settings("", limits);
    let settings = settings.replace("\"twilio-auth-token\"", "{ file = \"secret\" }");
    let environment = Environment::with_settings(&settings);
    environment.write("secret", "twilio-auth-token\n");
    environment.run(&["migrate"]).expect_code(0);
    environment.send(NUMBER);
    let checks = environment.doctor(0, &[]);
    assert_eq!(checks.complaints(), [""; 0], "{checks:#?}");
    for area in ["settings", "database", "provider"] {
        assert!(checks.names(area).len() > 4, "{checks:#?}");
    }
    checks.expect("database.rows", "ok", &["1 record and 1 delivery can"]);
}

#[test]
fn a_line_for_scripts_holds_four_keys() {
    let environment = Environment::sandbox("");
    environment.run(&["migrate"]).expect_code(0);
    let run = environment.run(&["--format", "json", "doctor"]).expect_code(0);
    let lines = run.json_lines();
    assert!(lines.len() > 15, "{run:#?}");
    for line in &lines {
        let keys: Vec<_> = line.as_object().expect("an object").keys().collect();
        assert_eq!(keys, ["check", "hint", "message", "status"]);
    }
    let schema = "the table sms_verification is current";
    let expected =
        json!({"check": "database.schema", "status": "ok", "message": schema, "hint": null});
    assert!(lines.contains(&expected), "{run:#?}");
    assert!(run.stdout.starts_with("{\"check\":\"settings.file\",\"status\":\"ok\",\"message\":"));
}

#[test]
fn warnings_alone_are_no_failure() {
    let environment = Environment::sandbox("");
    environment.run(&["migrate"]).expect_code(0);
    let checks = environment.doctor(0, &[]);
    assert!(checks.complaints().contains(&"settings.backend"), "{checks:#?}");
}

#[test]
fn people_see_groups_hints_on_lines_of_their_own_and_a_count() {
    let environment = Environment::sandbox("token_length = 4\nmin_token_length = 4");
    let run = environment.run(&["doctor"]).expect_code(1);
    let lines: Vec<_> = run.stdout.lines().map(str::trim_end).collect();
    assert_eq!((lines[0], run.stderr.as_str()), ("Settings", ""), "{run:#?}");
    assert!(lines.contains(&"Database") && !lines.contains(&"Provider"), "{run:#?}");
    let at = |start: &str| lines.iter().position(|line| line.trim_start().starts_with(start));
    let digits = at("warning  token_length: 4 digits").expect("the check");
    assert_eq!(lines[digits + 1].trim_start(), "hint: token_length = 6, or more");
    assert!(at("failure  file: ").is_some() && at("ok       keys: ").is_some(), "{run:#?}");
    let last = lines.last().expect("a line");
    let counts: Vec<usize> =
        last.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse().ok()).collect();
    assert_eq!(counts[0], counts[1..].iter().sum::<usize>(), "{last}");
    assert!(last.contains("1 failure.") && !run.stdout.contains('\u{1b}'), "{run:#?}");
}

#[test]
fn a_colour_goes_with_the_word_that_says_the_same() {
    let environment = Environment::sandbox("");
    let run = environment.run(&["--color", "always", "doctor"]).expect_code(1);
    assert!(run.stdout.contains('\u{1b}'), "{run:#?}");
    let plain = environment.run(&["doctor"]).expect_code(1);
    let mut stripped = String::new();
    for (number, part) in run.stdout.split('\u{1b}').enumerate() {
        let end = if number == 0 { 0 } else { part.find('m').expect("the end of a colour") + 1 };
        stripped.push_str(&part[end..]);
    }
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words(&stripped), words(&plain.stdout));
}

#[test]
fn at_a_terminal_the_checks_fit_its_width_below_each_other_and_steer_nothing() {
    let settings = "\"\u{1b}[2J\" = 1\nbackend = 1\ntoken_length = 0\n";
    let environment = Environment::with_settings(&settings.replace('\u{1b}', "\\u001b"));
    let narrow = environment.at_terminal(60, "phone-verify --color never doctor");
    let shown = run_command(narrow).expect_code(1).stdout.replace("\r\n", "\n");
    assert!(!shown.contains('\u{1b}'), "{shown:?}");
    assert!(shown.lines().all(|line| line.width() <= 60), "{shown}");
    let wrapped = shown.lines().filter(|line| line.starts_with("          "));
    assert!(wrapped.count() > 3, "{shown}");
    let told = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains("`token_length` must be a whole number from 1 to 120 hint: "), "{told}");
}

#[test]
fn a_usage_error_is_one() {
    let environment = Environment::sandbox("");
    environment.run(&["doctor", "--of"]).expect_code(2);
    environment.run(&["--format", "csv", "doctor"]).expect_code(2);
}

#[test]
fn quiet_shows_only_what_is_not_ok() {
    let environment = Environment::sandbox("");
    let all = environment.run(&["--format", "json", "doctor"]).expect_code(1).json_lines();
    let quiet = environment.run(&["--quiet", "--format", "json", "doctor"]).expect_code(1);
    let not_ok: Vec<_> = all.into_iter().filter(|check| check["status"] != "ok").collect();
    assert_eq!(quiet.json_lines(), not_ok);
    let run = environment.run(&["--quiet", "doctor"]).expect_code(1);
    assert!(run.stdout.starts_with("Settings\n warning  "), "{run:#?}");
    assert!(!run.stdout.contains(" ok ") && !run.stdout.contains("checks: "), "{run:#?}");
}

#[test]
fn neither_a_secret_nor_a_code_is_shown() {
    let provider = FakeProvider::twilio();
    let environment = provider.environment_with("secret_key = \"signing-s3cret\"", "");
    let record = environment.send(NUMBER);
    // Twilio tells the secret in its account; a provider that repeats it in its words is masked.
    let words = "twilio-auth-token is \u{1b}[31mnot enough";
    provider.answer_questions_with(move |request| match request.path.contains("/Balance") {
        true => Reply::twilio_error(403, 20003, words),
        false => Reply::resource(),
    });
    environment.execute(&["UPDATE sms_verification SET phone_number = security_code"]);
    for arguments in [&["-vvv", "doctor"][..], &["-vvv", "--format", "json", "doctor"]] {
        let run = environment.run(arguments).expect_code(0);
        for shown in [&run.stdout, &run.stderr] {
            for forbidden in
                ["twilio-auth-token", "signing-s3cret", &record.security_code, "\u{1b}"]
            {
                assert!(!shown.contains(forbidden), "{forbidden}: {shown}");
            }
        }
        assert!(run.stdout.contains("not enough"), "{run:#?}");
    }
}
