//! Names of files, databases and keys that hold line breaks and characters that steer a terminal.

use crate::support::{Environment, NUMBER, run_command};

/// A name that would show an error that never was, clear the screen, and hide text.
const NAME: &str = "a\nerror: spoof\u{1b}[J\u{61c}\u{fff9}b\u{fffb}\u{e0041}\u{e007f}c";
/// The same name in a string of TOML.
const IN_TOML: &str = r#""a\nerror: spoof\u001b[J\u061c\ufff9b\ufffb\U000e0041\U000e007fc""#;

/// Asserts that what a terminal shows of `line` has the name in it, and nothing of it as a line of its own or as it is.
#[track_caller]
fn expect_harmless(environment: &Environment, line: &str) {
    let mut command = environment.at_terminal(400, line);
    command.env("NAME", NAME);
    let run = run_command(command);
    let screen = run.stdout.replace("\r\n", "\n");
    assert!(screen.contains("spoof"), "{line}: {screen:?}");
    assert!(
        !screen.lines().any(|line| line.trim().starts_with("error: spoof")),
        "{line}: {screen}"
    );
    let steers = |c: char| {
        c.is_control() && c != '\n'
            || matches!(c, '\u{61c}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
    };
    assert!(!screen.contains(steers), "{line}: {screen:?}");
    assert_ne!(run.code, Some(0), "{line}: {screen}");
}

#[test]
fn a_name_of_the_command_line_shows_as_one_line() {
    let environment = Environment::with_settings("backend = \"console\"\n");
    for arguments in [
        "--config \"$NAME\" list",
        "--config \"$NAME\" doctor --offline",
        "--database \"$NAME\" -vv list",
        "--database \"$NAME/b\" migrate",
        "--database \"$NAME\" doctor --offline",
        &format!("--database \"$NAME/b\" send {NUMBER}"),
        "send --file \"$NAME\"",
        "list --\"$NAME\"",
        "list \"$NAME\"",
        "\"$NAME\"",
        "--format \"$NAME\" list",
    ] {
        for format in ["text", "json"] {
            let line =
                format!("PHONE_VERIFY_FORMAT={format} phone-verify --color never {arguments}");
            expect_harmless(&environment, &line);
        }
    }
    expect_harmless(
        &environment,
        "phone-verify --format csv --color never --database \"$NAME\" list",
    );
}

#[test]
fn a_name_of_the_settings_shows_as_one_line() {
    for (settings, arguments) in [
        (format!("backend = \"console\"\n{IN_TOML} = 1\n"), "list"),
        (format!("backend = \"console\"\n[options]\n{IN_TOML} = 1\n"), "list"),
        (format!("backend = \"console\"\n[messages]\n{IN_TOML} = \"{{security_code}}\"\n"), "list"),
        (
            format!("backend = \"console\"\nsecret_key = {{ file = {IN_TOML} }}\n"),
            "send \"$NUMBER\"",
        ),
        (
            format!("backend = \"console\"\nsecret_key = {{ env = {IN_TOML} }}\n"),
            "send \"$NUMBER\"",
        ),
        (format!("backend = \"console\"\n[database]\npath = {IN_TOML}\n"), "list"),
        (format!("backend = \"console\"\n[hooks]\nsent = [{IN_TOML}]\n"), "send \"$NUMBER\""),
        (format!("backend = \"command\"\n[options]\ncommand = [{IN_TOML}]\n"), "doctor"),
    ] {
        let environment = Environment::with_settings(&settings);
        for command in [arguments, "doctor"] {
            for format in ["text", "json"] {
                let line = format!(
                    "NUMBER={NUMBER} && phone-verify --color never --format {format} {command}"
                );
                expect_harmless(&environment, &line);
            }
        }
    }
}
