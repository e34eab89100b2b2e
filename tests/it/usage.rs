//! The command line itself: help, version, options that contradict each other, and completions.

use std::process::Command;

use crate::support::{
    CODE, DATABASE, Environment, FakeProvider, NUMBER, Record, Run, TABLE_0001, TOKEN, run_command,
};

const COMMANDS: [&str; 7] = ["send", "verify", "list", "purge", "migrate", "completions", "man"];

const SHELLS: [&str; 5] = ["bash", "elvish", "fish", "powershell", "zsh"];

/// Runs the program with the environment variable `name` set to `value`.
fn run_with(environment: &Environment, name: &str, value: &str, arguments: &[&str]) -> Run {
    let mut command = environment.command(arguments);
    command.env(name, value);
    run_command(command)
}

#[track_caller]
fn expect_usage_error(run: Run) {
    let run = run.expect_code(2);
    assert_eq!(run.stdout, "", "{run:#?}");
    assert!(run.stderr.starts_with("error: "), "{run:#?}");
}

#[test]
fn help_names_every_command_and_every_global_option() {
    let environment = Environment::with_settings("");
    for arguments in [["--help"], ["-h"], ["help"]] {
        let run = environment.run(&arguments).expect_code(0);
        assert_eq!(run.stderr, "");
        let options = [
            "--config",
            "--database",
            "--format",
            "--color",
            "--quiet",
            "--verbose",
            "-q",
            "-v",
            "-h",
            "-V",
            "PHONE_VERIFY_CONFIG",
            "PHONE_VERIFY_DATABASE",
            "PHONE_VERIFY_FORMAT",
        ];
        for name in COMMANDS.into_iter().chain(options) {
            assert!(run.stdout.contains(name), "{name} is not in {arguments:?}: {}", run.stdout);
        }
    }
}

#[test]
fn each_command_has_a_help_that_names_its_options() {
    let environment = Environment::with_settings("");
    for (command, options) in [
        ("send", &["PHONE_NUMBER", "--language", "--context", "--dry-run"][..]),
        ("verify", &["PHONE_NUMBER", "SECURITY_CODE", "--session-token", "--any-session"]),
        (
            "list",
            &[
                "--phone-number",
                "--verified",
                "--unverified",
                "--valid",
                "--expired",
                "--locked",
                "--since",
                "--limit",
                "--all",
                "--wide",
            ],
        ),
        ("purge", &["--older-than", "--unverified", "--phone-number", "--dry-run", "--force"]),
        ("migrate", &["--database"]),
        ("completions", &SHELLS),
        ("man", &[]),
    ] {
        for arguments in [[command, "--help"], [command, "-h"], ["help", command]] {
            let run = environment.run(&arguments).expect_code(0);
            assert_eq!(run.stderr, "");
            assert!(run.stdout.contains("Usage: phone-verify"), "{arguments:?}: {}", run.stdout);
            for option in options {
                assert!(run.stdout.contains(option), "{option} is not in {arguments:?}");
            }
        }
    }
}

#[test]
fn the_version_is_one_line() {
    let environment = Environment::with_settings("");
    let run = environment.run(&["-V"]).expect_code(0);
    assert_eq!(run.stdout, concat!("phone-verify ", env!("CARGO_PKG_VERSION"), "\n"));
    assert_eq!(run.stderr, "");
}

#[test]
fn the_long_version_tells_sqlites_version_too() {
    let environment = Environment::console("");
    let run = environment.run(&["--version"]).expect_code(0);
    let sqlite: String = environment
        .database()
        .query_row("SELECT sqlite_version()", [], |row| row.get(0))
        .expect("SQLite tells its version");
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(run.stdout, format!("phone-verify {version}\nSQLite {sqlite}\n"));
    assert_eq!(run.stderr, "");
}

#[test]
fn a_command_line_that_makes_no_sense_is_a_usage_error_and_touches_nothing() {
    let environment = Environment::with_settings("backend = \"console\"\n");
    let cases: [&[&str]; 27] = [
        &["sned", NUMBER],
        &["list", "--al"],
        &["--no-such-option", "list"],
        &["list", "surplus"],
        &["migrate", "surplus"],
        &["man", "surplus"],
        &["send"],
        &["verify"],
        &["completions"],
        &["completions", "tcsh"],
        &["-q", "-v", "list"],
        &["--quiet", "--verbose", "migrate"],
        &["--format", "xml", "list"],
        &["--format", "csv", "verify", NUMBER, CODE, "--any-session"],
        &["--format", "csv", "purge"],
        &["--format", "csv", "migrate"],
        &["--color", "sometimes", "list"],
        &["list", "--verified", "--unverified"],
        &["list", "--valid", "--expired"],
        &["list", "--limit", "5", "--all"],
        &["purge", "--phone-number", NUMBER, "--older-than", "30d"],
        &["purge", "--phone-number", NUMBER, "--force"],
        &["send", NUMBER, "--dry-run", "--context", "name=Ann", "--context", "name=Bob"],
        &["verify", NUMBER, CODE, "--any-session", "--session-token", TOKEN],
        &["--config"],
        &["--database"],
        &["--database", "", "migrate"],
    ];
    for arguments in cases {
        expect_usage_error(environment.run(arguments));
        assert_eq!(environment.files(), ["phone-verify.toml"], "{arguments:?}");
    }
    for arguments in [&["status", NUMBER][..], &["purge"], &["migrate"]] {
        let run = run_with(&environment, "PHONE_VERIFY_FORMAT", "csv", arguments);
        expect_usage_error(run);
        assert_eq!(environment.files(), ["phone-verify.toml"], "{arguments:?}");
    }
}

#[test]
fn a_value_that_is_refused_is_answered_with_what_is_allowed() {
    let environment = Environment::with_settings("backend = \"console\"\n");
    let duration = "a number and a unit, such as 30d";
    for (arguments, problem, allowed) in [
        (["list", "--limit", "-1"], "'-1'", "1 or more; --all shows all"),
        (["list", "--limit", "0"], "'0'", "1 or more; --all shows all"),
        (["list", "--limit", "many"], "'many'", "1 or more; --all shows all"),
        (["send", "--wait=0", NUMBER], "'0'", "from 1 to 86400"),
        (["purge", "--older-than", "-5d"], "it is negative", duration),
        (["purge", "--older-than", "5"], "it can't be read", duration),
        (["purge", "--older-than", "0d"], "it is zero", duration),
        (["purge", "--older-than", "99999999999999d"], "it is too long", duration),
        (["list", "--since", "-5h"], "it is negative", "a duration such as 2h, or a time"),
        (["stats", "--since", "0"], "it is zero", "a duration such as 2h, or a time"),
        (["deliveries", "--since", "soon"], "it can't be read", "a duration such as 2h, or a time"),
        (["list", "267", "--all"], "4 or more last digits", "find"),
        (["status", "", "--refresh"], "the phone number is empty", ""),
    ] {
        let run = environment.run(&arguments);
        let line = run.stderr.lines().next().unwrap_or_default();
        assert!(line.contains(problem) && line.contains(allowed), "{arguments:?}: {run:#?}");
        expect_usage_error(run);
    }
}

#[test]
fn a_stray_word_is_answered_with_the_option_that_it_was_meant_for() {
    let environment = Environment::with_settings("backend = \"console\"\n");
    for (arguments, option) in [
        (&["list", "2h"][..], Some("--since 2h")),
        (&["list", "5"], Some("--limit 5")),
        (&["list", "--watch", "5"], Some("--watch=5")),
        (&["deliveries", "30m"], Some("--since 30m")),
        (&["purge", "30d"], Some("--older-than 30d")),
        (&["stats", "2h"], Some("--since 2h")),
        (&["status", "2h"], None),
        (&["purge", "5"], None),
    ] {
        let run = environment.run(arguments).expect_code(2);
        assert_eq!((&*run.stdout, environment.files().len()), ("", 1), "{run:#?}");
        let hint = option.map(|option| format!("hint: {option}"));
        assert_eq!(run.stderr.lines().nth(1), hint.as_deref(), "{run:#?}");
    }
}

#[test]
fn a_usage_error_advises_nothing_that_is_refused_too() {
    let environment = Environment::with_settings("backend = \"console\"\n");
    for (arguments, part) in [
        (&["verify", NUMBER, "--code", CODE, "--any-session"][..], "tip: "),
        (&["purge", "--force"], "--force [PHONE_NUMBER]"),
    ] {
        let run = environment.run(arguments).expect_code(2);
        assert!(run.stderr.contains("Usage: ") && !run.stderr.contains(part), "{run:#?}");
    }
    let run = environment.run(&["--dry-run", "send"]).expect_code(2);
    assert!(run.stderr.contains("tip: 'send --dry-run' exists"), "{run:#?}");
}

#[test]
fn without_a_command_the_usage_is_shown() {
    let run = Environment::with_settings("").run(&[]).expect_code(2);
    assert_eq!(run.stdout, "");
    assert!(run.stderr.contains("Usage: phone-verify"), "{run:#?}");
}

#[test]
fn the_database_and_the_format_are_read_from_the_environment_unless_an_option_is_given() {
    let environment = Environment::with_settings("backend = \"console\"\n");
    run_with(&environment, "PHONE_VERIFY_DATABASE", "variable.db", &["migrate"]).expect_code(0);
    assert_eq!(environment.files(), ["phone-verify.toml", "variable.db"]);
    let option = ["--database", "option.db", "migrate"];
    run_with(&environment, "PHONE_VERIFY_DATABASE", "variable.db2", &option).expect_code(0);
    assert_eq!(environment.files(), ["option.db", "phone-verify.toml", "variable.db"]);

    environment.run(&["migrate"]).expect_code(0);
    environment.insert(&Record::default());
    let json = run_with(&environment, "PHONE_VERIFY_FORMAT", "json", &["list"]).expect_code(0);
    assert_eq!(json.json()["phone_number"], NUMBER);
    let option = ["--format", "csv", "list"];
    let csv = run_with(&environment, "PHONE_VERIFY_FORMAT", "json", &option).expect_code(0);
    assert!(csv.stdout.starts_with("id,phone_number,"), "{csv:#?}");
    expect_usage_error(run_with(&environment, "PHONE_VERIFY_FORMAT", "xml", &["list"]));
}

#[test]
fn advice_repeats_the_settings_and_the_database_that_were_given() {
    let environment = Environment::with_settings("");
    environment.write("a site.toml", "backend = \"console\"\n");
    let given = ["--config", "a site.toml", "--database", "it's.sqlite3"];
    let program = r"phone-verify --config 'a site.toml' --database 'it'\''s.sqlite3'";
    let run = |arguments: &[&str], code| {
        environment.run(&[&given[..], arguments].concat()).expect_code(code)
    };
    let missing = run(&["list"], 1);
    assert!(missing.stderr.contains(&format!("`{program} migrate` creates it")), "{missing:#?}");
    for format in ["text", "json"] {
        let checks = run(&["--format", format, "doctor", "--offline"], 1);
        assert!(checks.stdout.contains(&program.replace('\\', r"\\")) == (format == "json"));
        assert!(checks.stdout.contains(program) == (format == "text"), "{checks:#?}");
    }
    run(&["migrate"], 0);
    let next = format!("next: {program} send {NUMBER}\n");
    let unknown = run(&["verify", NUMBER, CODE, "--any-session"], 14);
    assert!(unknown.stdout.ends_with(&next), "{unknown:#?}");
    let status = run(&["status", NUMBER], 0);
    assert!(status.stdout.contains(&next), "{status:#?}");
    let status = [&given[2..], &["status", NUMBER]].concat();
    let status = run_with(&environment, "PHONE_VERIFY_CONFIG", given[1], &status).expect_code(0);
    let next = next.replace(" --config 'a site.toml'", "");
    assert!(status.stdout.contains(&next), "{status:#?}");
    environment.execute(&[TABLE_0001]);
    let copy = environment.run(&["copy", "--from", DATABASE, "--to", "new.sqlite3"]).expect_code(1);
    let hint = format!("hint: phone-verify --database {DATABASE} migrate\n");
    assert!(copy.stderr.ends_with(&hint), "{copy:#?}");
}

#[test]
fn an_error_says_what_failed_why_and_what_to_do() {
    let environment = Environment::with_settings("backend = \"console\"\n");
    let run = environment.run(&["list"]).expect_code(1);
    let lines: Vec<_> = run.stderr.lines().collect();
    assert_eq!(lines.len(), 2, "{run:#?}");
    assert_eq!(lines[0].matches(": ").count().min(2), 2, "what and why are missing: {run:#?}");
    assert!(lines[0].starts_with("error: "), "{run:#?}");
    assert!(lines[1].starts_with("hint: "), "{run:#?}");
}

/// An escape sequence starts every colour (ECMA-48).
const ESCAPE: char = '\u{1b}';

#[test]
fn colour_is_never_sent_to_a_pipe_unless_always_is_asked_for() {
    let environment = Environment::with_settings("backend = \"console\"\n");
    for (options, coloured) in [
        (&[][..], false),
        (&["--color", "auto"], false),
        (&["--color", "never"], false),
        (&["--color", "always"], true),
    ] {
        // The database is not there: an error is what both kinds of output have in common.
        let run = environment.run(&[options, &["list"]].concat()).expect_code(1);
        assert_eq!(run.stderr.contains(ESCAPE), coloured, "{options:?}: {run:#?}");
    }
    let always = ["--color", "always", "list"];
    let run = run_with(&environment, "NO_COLOR", "1", &always).expect_code(1);
    assert!(run.stderr.contains(ESCAPE), "an option comes before the environment: {run:#?}");

    environment.run(&["migrate"]).expect_code(0);
    environment.insert(&Record::default());
    let run = environment.run(&["--color", "never", "list"]).expect_code(0);
    assert!(!run.stdout.contains(ESCAPE), "{run:#?}");
    let run = environment.run(&["--color", "always", "--format", "json", "list"]).expect_code(0);
    assert_eq!(run.json()["phone_number"], NUMBER);
}

#[test]
fn at_a_terminal_no_color_turns_colour_off() {
    let environment = Environment::with_settings("backend = \"console\"\n");
    let on_a_terminal = |options: &str, no_color: &str| {
        let mut terminal = environment.at_terminal(80, &format!("phone-verify {options} list"));
        terminal.env("NO_COLOR", no_color);
        run_command(terminal).expect_code(1).stdout
    };
    // An empty NO_COLOR counts as none (<https://no-color.org>).
    assert!(on_a_terminal("", "").contains(ESCAPE));
    assert!(on_a_terminal("--color auto", "").contains(ESCAPE));
    assert!(!on_a_terminal("", "1").contains(ESCAPE));
    assert!(!on_a_terminal("--color never", "").contains(ESCAPE));
}

#[test]
fn verbose_logs_to_stderr_and_leaves_stdout_as_it_is() {
    let environment = Environment::console("");
    environment.insert(&Record::default());
    let plain = environment.run(&["--format", "json", "list"]).expect_code(0);
    assert_eq!(plain.stderr, "");
    for verbose in [&["-vvv"][..], &["-v", "-v", "-v"], &["--verbose", "--verbose", "--verbose"]] {
        let arguments = [verbose, &["--format", "json", "list"]].concat();
        let run = environment.run(&arguments).expect_code(0);
        assert_eq!(run.stdout, plain.stdout, "{verbose:?}");
        assert_ne!(run.stderr, "", "{verbose:?}");
    }
}

#[test]
fn verbose_names_the_files_the_backend_and_each_call() {
    let provider = FakeProvider::twilio();
    let environment = provider.environment();
    let run = environment.run(&["-v", "send", NUMBER]).expect_code(0);
    for line in [
        "info: the settings are phone-verify.toml\n",
        "info: the database is phone-verify.sqlite3\n",
        "info: the backend is twilio\n",
        "info: 127.0.0.1 answered HTTP 201 after ",
    ] {
        assert!(run.stderr.contains(line), "{line}: {run:#?}");
    }
}

#[test]
fn completions_are_printed_for_every_shell() {
    let environment = Environment::with_settings("");
    for shell in SHELLS {
        let run = environment.run(&["completions", shell]).expect_code(0);
        assert_eq!(run.stderr, "");
        for name in ["phone-verify", "purge", "older-than"] {
            assert!(run.stdout.contains(name), "{name} is not in {shell}'s completions");
        }
    }
    let script = environment.run(&["completions", "bash"]).stdout;
    environment.write("completions.bash", &script);
    let path = environment.path("completions.bash");
    let bash = Command::new("bash").arg("-n").arg(path).output().expect("bash is installed");
    assert!(bash.status.success(), "{bash:?}");
}

#[test]
fn bash_completes_commands_and_what_belongs_behind_them() {
    let environment = Environment::with_settings("");
    environment.write("numbers.csv", "");
    environment.write("completions.bash", &environment.run(&["completions", "bash"]).stdout);
    for (words, completed) in [
        (&["phone-verify", "doc"][..], "doctor"),
        (&["phone-verify", "doctor", "--of"], "--offline"),
        (&["phone-verify", "completions", "zs"], "zsh"),
        (&["phone-verify", "man", "sen"], "send"),
        (&["phone-verify", "man", "phone-verify.t"], "phone-verify.toml"),
        // A file is completed only for what takes one.
        (&["phone-verify", "send", "numb"], ""),
        (&["phone-verify", "list", "--since", "numb"], "numb"),
        (&["phone-verify", "send", "--file", "numb"], "numbers.csv"),
    ] {
        // As bash itself calls the function: the command, the word and the one before it.
        let script = "source ./completions.bash
            compopt() { :; }
            [[ $(complete -p phone-verify) != *default* ]] || echo files
            [[ $(complete -p phone-verify) =~ '-F '([^ ]+) ]]
            COMP_WORDS=(\"$@\") COMP_CWORD=$(($# - 1))
            \"${BASH_REMATCH[1]}\" phone-verify \"${@: -1}\" \"${@: -2:1}\"
            printf '%s\n' \"${COMPREPLY[@]}\"";
        let mut bash =
            environment.tool(&["/bin/bash", "--norc", "--noprofile", "-c", script, "bash"]);
        bash.args(words);
        let run = run_command(bash);
        assert_eq!((run.stdout.trim(), &*run.stderr), (completed, ""), "{words:?}");
    }
}

#[test]
fn completions_and_the_manual_end_quietly_where_nobody_reads() {
    let environment = Environment::with_settings("");
    for arguments in [&["completions", "zsh"][..], &["man"], &["--help"]] {
        let run = environment.run_into_closed_pipe(arguments);
        assert_eq!(run.stderr, "", "{arguments:?}: {run:#?}");
    }
    for arguments in [&["completions", "zsh"][..], &["man"]] {
        let run = environment.run_into("/dev/full", arguments).expect_code(1);
        assert!(run.stderr.starts_with("error: "), "{arguments:?}: {run:#?}");
    }
}

#[test]
fn an_empty_variable_is_none() {
    let environment = Environment::console("");
    let empty = |arguments: &[&str]| {
        let mut command = environment.command(arguments);
        for name in ["CONFIG", "DATABASE", "FORMAT", "SESSION_TOKEN"] {
            command.env(format!("PHONE_VERIFY_{name}"), "");
        }
        run_command(command)
    };
    empty(&["send", NUMBER]).expect_code(0);
    empty(&["verify", NUMBER, "1", "--any-session"]).expect_code(11);
    let run = empty(&["verify", NUMBER, "1"]).expect_code(2);
    assert!(run.stderr.contains("--any-session"), "{run:#?}");
    let run = empty(&["list", "--config", ""]).expect_code(2);
    assert!(run.stderr.contains("--config"), "{run:#?}");
}

#[test]
fn a_help_that_can_not_be_written_is_an_error() {
    let environment = Environment::console("");
    for arguments in [&["--help"][..], &["--version"], &["verify", "--help"]] {
        let run = environment.run_into("/dev/full", arguments).expect_code(1);
        assert!(run.stderr.starts_with("error: "), "{run:#?}");
        environment.run_into_closed_pipe(arguments).expect_code(0);
    }
}
