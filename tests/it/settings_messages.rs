//! Settings: the message, its placeholders and its translations.

use crate::support::{
    Environment, NUMBER, Run, TABLE, UNIQUE_INDEX, expect_accepted, expect_refused,
};

/// Returns what `send --dry-run` says about the message of these settings.
#[track_caller]
fn dry_run(settings: &str, options: &[&str]) -> Run {
    let arguments = [&["--format", "json", "send", "--dry-run", NUMBER], options].concat();
    Environment::with_settings(settings).run(&arguments)
}

/// Returns the text that `send --dry-run` shows for these settings.
#[track_caller]
fn text(settings: &str, options: &[&str]) -> String {
    let run = dry_run(&format!("backend = \"console\"\n{settings}\n"), options).expect_code(0);
    run.json()["text"].as_str().expect("a text").to_owned()
}

#[test]
fn the_message_has_a_default_in_which_the_app_is_called_phone_verify() {
    assert_eq!(
        text("", &[]),
        "Welcome to Phone Verify! Please use security code 000000 to proceed."
    );
    assert_eq!(
        text("app_name = \"Example\"\ntoken_length = 8", &[]),
        "Welcome to Example! Please use security code 00000000 to proceed."
    );
}

#[test]
fn placeholders_are_filled_from_the_settings_and_the_context() {
    let settings = "app_name = \"Example\"\nmessage = \"{name}: {security_code}, {app} {security_code} {name}\"";
    assert_eq!(text(settings, &["--context", "name=Ada"]), "Ada: 000000, Example 000000 Ada");
    assert_eq!(
        text("message = \"{a} {b} {security_code}\"", &["--context", "a=x=y", "--context", "b="]),
        "x=y  000000"
    );
}

#[test]
fn doubled_braces_are_braces() {
    assert_eq!(text("message = \"{{{security_code}}} {{app}} }}{{\"", &[]), "{000000} {app} }{");
}

#[test]
fn values_go_in_as_they_are_and_are_not_filled_again() {
    assert_eq!(
        text(
            "app_name = \"{security_code} {name} {{\"\nmessage = \"{app} {name} {security_code}\"",
            &["--context", "name={app} }} {"]
        ),
        "{security_code} {name} {{ {app} }} { 000000"
    );
}

#[test]
fn a_message_that_cannot_be_filled_is_refused_by_every_command() {
    for message in [
        "no code 9876543",
        "{app} 9876543",
        "{{security_code}} 9876543",
        "{security_code",
        "{security_code} {app 9876543",
        "{security_code} 9876543 {",
        "{security_code} {}",
        "{securitycode} 9876543",
    ] {
        expect_refused(&format!("backend = \"console\"\nmessage = \"{message}\"\n"), 2, "message");
        let settings = format!(
            "backend = \"console\"\n[messages]\nen = \"{{security_code}}\"\nde = \"{message}\"\n"
        );
        expect_refused(&settings, 4, "de");
    }
}

#[test]
fn an_unknown_placeholder_is_refused_before_anything_is_written_or_sent() {
    let environment = Environment::with_settings(
        "backend = \"console\"\nmessage = \"{name} {security_code}\"\n[messages]\nde = \"{first_name} {security_code}\"\n",
    );
    environment.execute(&[TABLE, UNIQUE_INDEX]);
    for (options, placeholder) in [
        (&[][..], "name"),
        (&["--context", "first_name=Ada"], "name"),
        (&["--language", "de", "--context", "name=Ada"], "first_name"),
        (&["--dry-run"], "name"),
    ] {
        let run = environment.run(&[&["send", NUMBER], options].concat()).expect_code(2);
        assert_eq!(run.stdout, "", "{run:#?}");
        assert!(run.stderr.starts_with("error: "), "{run:#?}");
        assert!(run.stderr.contains(placeholder), "{run:#?}");
        assert_eq!(run.stderr.lines().filter(|line| line.contains("Ada")).count(), 0, "{run:#?}");
    }
    assert_eq!(environment.count(), 0);
    // The other commands send no message, and so need no value for it.
    environment.run(&["list"]).expect_code(0);
    environment.run(&["send", NUMBER, "--context", "name=Ada"]).expect_code(0);
}

#[test]
fn the_context_may_not_name_what_the_settings_fill() {
    for context in ["app=x", "security_code=111111", "name", "", "=x"] {
        let run = dry_run("backend = \"console\"\n", &["--context", context]).expect_code(2);
        assert_eq!(run.stdout, "", "{context}");
        assert!(run.stderr.contains("--context") || run.stderr.contains(context), "{run:#?}");
    }
}

#[test]
fn a_language_falls_back_to_its_shorter_tags_and_then_to_the_message() {
    let settings = "message = \"default {security_code}\"\n[messages]\nde = \"de {security_code}\"\n\
                    pt-BR = \"br {security_code}\"\nzh-Hant = \"hant {security_code}\"";
    for (language, expected) in [
        ("de", "de"),
        ("de-AT", "de"),
        ("DE-at", "de"),
        ("pt-BR", "br"),
        ("PT-br", "br"),
        ("pt", "default"),
        ("pt-PT", "default"),
        ("zh-Hant-TW", "hant"),
        ("zh-Hans", "default"),
        ("fr", "default"),
        ("d", "default"),
        ("den", "default"),
    ] {
        let text = text(settings, &["--language", language]);
        assert_eq!(text, format!("{expected} 000000"), "{language}");
    }
    assert_eq!(text(settings, &[]), "default 000000");
}

#[test]
fn the_language_reaches_the_message_that_is_sent() {
    let environment = Environment::with_settings(
        "backend = \"console\"\n[messages]\nde = \"Ihr Code: {security_code}\"\n",
    );
    let run = environment.run(&["send", NUMBER, "--language", "de-CH"]).expect_code(0);
    let codes = environment.column("SELECT security_code FROM sms_verification");
    assert!(run.stderr.contains(&format!("Ihr Code: {}", codes[0])), "{run:#?}");
    assert!(!run.stdout.contains(&codes[0]), "{run:#?}");
}

#[test]
fn messages_may_be_empty_of_tags() {
    expect_accepted("backend = \"console\"\n[messages]\n");
}

#[test]
fn what_is_no_language_tag_is_refused() {
    for tag in ["", "not a tag!", "de-", "-de", "deutschland"] {
        let settings =
            format!("backend = \"console\"\n[messages]\n\"{tag}\" = \"{{security_code}}\"\n");
        expect_refused(&settings, 3, "messages");
    }
    expect_accepted(
        "backend = \"console\"\n[messages]\nzh-Hant-TW = \"{security_code}\"\npt_BR = \"{security_code}\"\n",
    );
}
