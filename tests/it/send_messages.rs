//! `send`: the text, its language and placeholders, and what `--dry-run` tells of it.

use serde_json::json;

use crate::support::{Environment, FakeProvider, NUMBER};

/// Returns an environment on the console backend with this `message` (a literal TOML string) and further settings.
fn with_message(message: &str, extra: &str) -> Environment {
    Environment::with_settings(&format!(
        "backend = \"console\"\nmessage = '''{message}'''\n{extra}\n"
    ))
}

/// Returns text, encoding and number of segments that a dry run tells.
#[track_caller]
fn dry_run(environment: &Environment, arguments: &[&str]) -> (String, String, u64) {
    let mut all = vec!["--format", "json", "send", "--dry-run", NUMBER];
    all.extend(arguments);
    let run = environment.run(&all).expect_code(0);
    environment.expect_no_database();
    let line = run.json();
    let text = |key: &str| line[key].as_str().expect("a text").to_owned();
    (text("text"), text("encoding"), line["segments"].as_u64().expect("a number"))
}

/// Returns the text that a dry run tells.
#[track_caller]
fn dry_text(environment: &Environment, arguments: &[&str]) -> String {
    dry_run(environment, arguments).0
}

#[test]
fn a_dry_run_shows_the_text_its_encoding_and_its_segments_and_sends_nothing() {
    let provider = FakeProvider::twilio().never_called();
    let environment = provider.environment();
    let line =
        environment.run(&["--format", "json", "send", "--dry-run", NUMBER]).expect_code(0).json();
    let text = "Welcome to Phone Verify! Please use security code 000000 to proceed.";
    let wanted = json!({
        "phone_number": NUMBER, "status": "dry_run", "text": text, "encoding": "GSM-7", "segments": 1,
        "number_type": "fixed_line_or_mobile",
    });
    assert_eq!(line, wanted);
    let run = environment.run(&["send", "--dry-run", NUMBER]).expect_code(0);
    for part in [text, "GSM-7", "1"] {
        assert!(run.stdout.contains(part), "{run:#?}");
    }
    environment.expect_no_database();
}

#[test]
fn a_dry_run_writes_nothing_to_a_database_that_is_there() {
    let environment = Environment::sandbox("");
    environment.send(NUMBER);
    let before = environment.records();
    environment.run(&["send", "--dry-run", NUMBER, "+12025550143"]).expect_code(0);
    assert_eq!(environment.records(), before);
}

#[test]
fn a_dry_run_has_as_many_zeros_as_a_code_has_digits_and_a_sandbox_its_own_code() {
    let environment = with_message("{security_code}", "token_length = 8");
    assert_eq!(dry_text(&environment, &[]), "00000000");
    let environment = Environment::sandbox("message = \"{security_code}\"");
    assert_eq!(dry_text(&environment, &[]), "123456");
}

#[test]
fn a_dry_run_judges_numbers_as_a_send_does() {
    let environment = Environment::sandbox("");
    environment.run(&["send", "--dry-run", "+15551234567"]).expect_code(2);
    let arguments = ["--format", "json", "send", "--dry-run", NUMBER, "nonsense", NUMBER];
    let lines = environment.run(&arguments).expect_code(3).json_lines();
    let mut statuses: Vec<_> = lines.iter().filter_map(|line| line["status"].as_str()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, ["dry_run", "failed", "skipped"]);
    environment.expect_no_database();
}

#[test]
fn segments_are_counted_as_the_networks_count_them() {
    // What follows the six digits of the code, the encoding, and the segments.
    let cases = [
        ("a".repeat(154), "GSM-7", 1),
        ("a".repeat(155), "GSM-7", 2),
        ("a".repeat(300), "GSM-7", 2),
        ("a".repeat(301), "GSM-7", 3),
        ("€".repeat(77), "GSM-7", 1),
        ("€".repeat(77) + "a", "GSM-7", 2),
        ("€".repeat(78), "GSM-7", 2),
        ("ш".repeat(64), "UCS-2", 1),
        ("ш".repeat(65), "UCS-2", 2),
        ("ш".repeat(128), "UCS-2", 2),
        ("ш".repeat(129), "UCS-2", 3),
        ("🔑".repeat(32), "UCS-2", 1),
        ("🔑".repeat(33), "UCS-2", 2),
        ("a".repeat(63) + "ш", "UCS-2", 1),
        ("a".repeat(64) + "ш", "UCS-2", 2),
    ];
    for (filler, encoding, segments) in cases {
        let environment = with_message(&format!("{{security_code}}{filler}"), "");
        let told = dry_run(&environment, &[]);
        assert_eq!(told, (format!("000000{filler}"), encoding.to_owned(), segments));
    }
}

#[test]
fn the_gsm_7_alphabet_and_its_extensions_stay_gsm_7_and_everything_else_is_ucs_2() {
    let alphabet = "@£$¥èéùìòÇØøÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ!\"#¤%&()*+,-./:;<=>?¡ÄÖÑÜ§¿äöñüà";
    for character in alphabet.chars().chain("^\\[~]|€".chars()) {
        let environment = with_message(&format!("{{security_code}} {character}"), "");
        assert_eq!(dry_run(&environment, &[]).1, "GSM-7", "{character}");
    }
    for character in "`çÀêłμ’–…\u{a0}\tДẞ".chars() {
        let environment = with_message(&format!("{{security_code}} {character}"), "");
        assert_eq!(dry_run(&environment, &[]).1, "UCS-2", "{character}");
    }
    let environment = with_message("{security_code} {{it's}}\nhere", "");
    let told = ("000000 {it's}\nhere".to_owned(), "GSM-7".to_owned(), 1);
    assert_eq!(dry_run(&environment, &[]), told);
}

#[test]
fn the_app_name_goes_into_the_default_message() {
    let environment = Environment::sandbox("app_name = \"Tea Shop\"");
    let run = environment.run(&["send", NUMBER]).expect_code(0);
    let text = "Welcome to Tea Shop! Please use security code 123456 to proceed.";
    assert!(run.stderr.contains(text), "{run:#?}");
}

#[test]
fn a_language_picks_its_message_and_falls_back_to_the_nearest() {
    let settings = "backend = \"console\"\nmessage = \"Code {security_code}\"\n[messages]\n\
                    de = \"Ihr Code: {security_code}\"\n\"pt-BR\" = \"Seu código: {security_code}\"\n";
    let environment = Environment::with_settings(settings);
    for (tag, text) in [
        ("de", "Ihr Code: 000000"),
        ("DE", "Ihr Code: 000000"),
        ("de-AT", "Ihr Code: 000000"),
        ("pt-br", "Seu código: 000000"),
        ("pt", "Code 000000"),
        ("fr-CA", "Code 000000"),
    ] {
        assert_eq!(dry_text(&environment, &["--language", tag]), text, "{tag}");
    }
    let run = environment.run(&["send", "--language", "de-AT", NUMBER]).expect_code(0);
    let text = format!("Ihr Code: {}", environment.record().security_code);
    assert!(run.stderr.contains(&text), "{run:#?}");
}

#[test]
fn a_language_without_a_message_is_warned_of_once() {
    let environment = Environment::sandbox(
        "message = \"Code {security_code}\"\nmessages.de = \"Ihr Code: {security_code} {name}\"",
    );
    let warning =
        |tag: &str| format!("warning: no message for {tag}: the default message is used\n");
    let stderr = |arguments: &[&str]| {
        let mut all = vec!["send", "--dry-run", NUMBER, "--quiet"];
        let quiet = environment.run(&[&all[..], arguments].concat());
        assert_eq!(quiet.expect_code(0).stderr, "");
        all.pop();
        environment.run(&[&all[..], arguments].concat()).expect_code(0).stderr
    };
    assert_eq!(stderr(&["--language", "fr-CA"]), warning("fr-CA"));
    assert_eq!(stderr(&["--language", "de-AT", "--context", "name=x"]), "");
    assert_eq!(stderr(&["--language", ""]), "");
    let context = ["--context", "name=x", "--context", "nmae=y"];
    assert_eq!(stderr(&context), "warning: --context nmae: no message uses it\n");
    let list = "phone_number,language,name,other\n+12025550101,fr,a,b\n+12025550102,de,a,b\n\
        +12025550103,FR,a,b\n+12025550104,it,a,b\n+12025550105,,a,b\n";
    let run = environment.send_text(list, &["--dry-run"]).expect_code(0);
    let warnings: String = run
        .stderr
        .lines()
        .filter(|line| line.starts_with("warning: "))
        .map(|line| format!("{line}\n"))
        .collect();
    assert_eq!(warnings, warning("fr") + &warning("it"));
    assert!(run.stderr.contains("; not used: `other`\n"), "{run:#?}");
    assert!(!run.stderr.contains("info: "), "{run:#?}");
    let run = environment.send_text(list, &["--dry-run", "-v"]).expect_code(0);
    assert!(run.stderr.contains("info: --file: no message uses the column other\n"), "{run:#?}");
    assert!(!run.stderr.contains("column name"), "{run:#?}");
}

#[test]
fn context_fills_further_placeholders_as_it_stands() {
    let environment = with_message("{name}, {security_code} is for {app}. {{{name}}}", "");
    for (context, text) in [
        ("name=Tea", "Tea, 000000 is for Phone Verify. {Tea}"),
        ("name=a=b", "a=b, 000000 is for Phone Verify. {a=b}"),
        ("name=", ", 000000 is for Phone Verify. {}"),
        (
            "name={security_code}{{",
            "{security_code}{{, 000000 is for Phone Verify. {{security_code}{{}",
        ),
    ] {
        assert_eq!(dry_text(&environment, &["--context", context]), text);
    }
    let environment = with_message("{greeting} {name}: {security_code}", "");
    let arguments = ["--context", "name=Tea", "--context", "greeting=Hello"];
    assert_eq!(dry_text(&environment, &arguments), "Hello Tea: 000000");
}

#[test]
fn context_may_not_name_the_code_or_the_app_and_has_to_fill_every_placeholder() {
    let environment = with_message("{name} {security_code}", "");
    for (arguments, named) in [
        (vec![], "name"),
        (vec!["--context", "other=x"], "name"),
        (vec!["--context", "name=x", "--context", "app=x"], "app"),
        (vec!["--context", "name=x", "--context", "security_code=1"], "security_code"),
        (vec!["--context", "name"], "--context"),
        (vec!["--context", "=x"], "--context"),
    ] {
        let mut all = vec!["send", NUMBER];
        all.extend(&arguments);
        let run = environment.run(&all).expect_code(2);
        assert!(run.stderr.starts_with("error: "), "{run:#?}");
        assert!(run.stderr.contains(named), "{run:#?}");
        assert_eq!(run.stdout, "");
        environment.expect_no_database();
    }
}

#[test]
fn a_message_beyond_1600_characters_is_refused_for_twilio_before_anything_is_written() {
    let provider = FakeProvider::twilio().never_called();
    let long = format!("message = \"{{security_code}}{}\"", "a".repeat(1595));
    for environment in [provider.environment_with(&long, ""), Environment::sandbox(&long)] {
        for arguments in [vec!["send", NUMBER], vec!["send", "--dry-run", NUMBER]] {
            let run = environment.run(&arguments).expect_code(2);
            assert!(run.stderr.contains("1600"), "{run:#?}");
            environment.expect_no_database();
        }
    }
}

#[test]
fn a_message_of_1600_characters_goes_out_whole() {
    let provider = FakeProvider::twilio();
    let long = format!("message = \"{{security_code}}{}\"", "ä".repeat(1594));
    let environment = provider.environment_with(&long, "");
    let record = environment.send(NUMBER);
    let text = record.security_code + &"ä".repeat(1594);
    assert_eq!(provider.accepted()[0].text, text);
}

#[test]
fn context_that_makes_the_message_too_long_is_refused_too() {
    let provider = FakeProvider::twilio().never_called();
    let environment = provider.environment_with("message = \"{security_code}{note}\"", "");
    let note = format!("note={}", "n".repeat(1595));
    environment.run(&["send", "--context", &note, NUMBER]).expect_code(2);
    environment.expect_no_database();
}
