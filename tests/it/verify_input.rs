//! `verify`: where the code and the token come from, and what is no code and no token.

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::ffi::OsStringExt;
use std::process::{Child, ChildStdin, Command, Stdio};

use crate::support::{
    CODE, Environment, NUMBER, OTHER_NUMBER, Record, Run, SANDBOX_CODE, State, TOKEN, Time,
    WRONG_CODE, finish, run_command, wait_until,
};

/// A database with one live record, whose code works again and again.
fn environment() -> Environment {
    let environment = Environment::console("verify_security_code_only_once = false");
    environment.insert(&Record::default());
    environment
}

#[track_caller]
fn expect_valid(run: Run) {
    let run = run.expect_code(0);
    assert_eq!(run.stdout, "Security code is valid.\n");
    assert_eq!(run.stderr, "");
}

/// Asserts that `run` ended in a usage error that shows no code, and that it left the record as `before`.
#[track_caller]
fn expect_refusal(run: Run, environment: &Environment, before: &State) {
    let run = run.expect_code(2);
    assert_eq!(run.stdout, "", "{run:#?}");
    assert!(run.stderr.starts_with("error: "), "{run:#?}");
    assert!(!run.stderr.contains(CODE) && !run.stderr.contains("٩١٨٢٧٣"), "{run:#?}");
    assert!(!run.stderr.contains("panicked"), "{run:#?}");
    assert_eq!(environment.state(TOKEN), *before, "{run:#?}");
}

#[test]
fn the_code_is_read_from_stdin_where_it_is_left_out_or_a_dash() {
    let environment = environment();
    let left_out = ["verify", NUMBER, "--session-token", TOKEN];
    let dash = ["verify", NUMBER, "-", "--session-token", TOKEN];
    for input in ["918273\n", "918273", "918273\r\n", "  918273\t\n", "918273\n364655\n"] {
        expect_valid(environment.run_with_input(&left_out, input.as_bytes()));
        expect_valid(environment.run_with_input(&dash, input.as_bytes()));
    }
    let wrong = environment.run_with_input(&left_out, b"364655\n918273\n");
    assert_eq!(wrong.expect_code(11).stdout, "Security code is not valid. 4 attempts left.\n");
}

#[test]
fn white_space_around_a_code_and_a_token_is_dropped() {
    let environment = environment();
    let padded_token = format!("\t{TOKEN} \n");
    expect_valid(environment.run(&["verify", NUMBER, " 918273 ", "--session-token", TOKEN]));
    expect_valid(environment.run(&["verify", NUMBER, CODE, "--session-token", &padded_token]));
    let mut command = environment.command(&["verify", NUMBER, CODE]);
    command.env("PHONE_VERIFY_SESSION_TOKEN", &padded_token);
    expect_valid(run_command(command));
}

#[test]
fn a_code_is_read_as_people_type_it() {
    let environment = environment();
    let verify = ["verify", NUMBER, "--session-token", TOKEN];
    for code in [
        "918 273",
        "918-273",
        "918\u{2013}273",
        "9 1 8 - 2 7 3",
        "918\u{a0}273",
        "\u{feff}918273",
        "\u{200f}918273\u{200e}",
        "\u{202b}918\u{2066}273\u{2069}\u{202c}",
        "٩١٨٢٧٣",
        "۹۱۸۲۷۳",
        "９１８２７３",
        "९१८२७३",
        "9\u{fe0f}\u{20e3}1\u{fe0f}\u{20e3}8273",
        "918\u{3164}273\u{2800}",
    ] {
        expect_valid(environment.run(&["verify", NUMBER, code, "--session-token", TOKEN]));
        expect_valid(environment.run_with_input(&verify, format!("{code}\n").as_bytes()));
    }
    environment.run(&["verify", NUMBER, "918-274", "--session-token", TOKEN]).expect_code(11);
    assert_eq!(environment.state(TOKEN).failed_attempts, 1);
}

#[test]
fn a_stored_code_is_read_like_a_typed_one() {
    for (stored, typed, other) in [
        ("AB-12C", ["AB-12C", "\u{200f}AB-12C", "\u{feff}AB-12C", "AB\u{2011}12C"], "AB-12D"),
        ("918-273", ["918-273", "\u{202a}918-273\u{202c}", "918\u{2013}273", "918273"], "918-274"),
        (
            "٩١٨٢٧٣",
            ["٩١٨٢٧٣", "\u{2067}٩١٨ ٢٧٣\u{2069}", "918273", "9\u{fe0f}\u{20e3}18273"],
            "918274",
        ),
    ] {
        let environment = Environment::console("verify_security_code_only_once = false");
        environment.insert(&Record { security_code: stored, ..Record::default() });
        let verify = |code| environment.run(&["verify", NUMBER, code, "--session-token", TOKEN]);
        for code in typed {
            expect_valid(verify(code));
        }
        verify(other).expect_code(11);
    }
}

#[test]
fn an_empty_code_or_token_is_a_usage_error_and_counts_no_attempt() {
    let environment = environment();
    let before = environment.state(TOKEN);
    for code in ["", " ", "\n\t", "\u{2013}-", "\u{feff}\u{200f}"] {
        let run = environment.run(&["verify", NUMBER, code, "--session-token", TOKEN]);
        expect_refusal(run, &environment, &before);
        let run = environment
            .run_with_input(&["verify", NUMBER, "--session-token", TOKEN], code.as_bytes());
        expect_refusal(run, &environment, &before);
    }
    for token in ["", " \t"] {
        let run = environment.run(&["verify", NUMBER, CODE, "--session-token", token]);
        expect_refusal(run, &environment, &before);
        let mut command = environment.command(&["verify", NUMBER, CODE]);
        command.env("PHONE_VERIFY_SESSION_TOKEN", token);
        expect_refusal(run_command(command), &environment, &before);
    }
}

#[test]
fn a_code_or_token_that_no_record_can_hold_is_a_usage_error() {
    let environment = environment();
    let before = environment.state(TOKEN);
    let long_code = CODE.repeat(21);
    let long_token = "t".repeat(501);
    let run = environment.run(&["verify", NUMBER, &long_code, "--session-token", TOKEN]);
    expect_refusal(run, &environment, &before);
    let run = environment.run(&["verify", NUMBER, CODE, "--session-token", &long_token]);
    expect_refusal(run, &environment, &before);
    // The program need not read a line to its end before it refuses it.
    let endless_line = CODE.repeat(1_000_000);
    let run = environment
        .run_with_input(&["verify", NUMBER, "--session-token", TOKEN], endless_line.as_bytes());
    expect_refusal(run, &environment, &before);
}

#[test]
fn the_longest_code_and_token_of_the_table_are_checked() {
    let environment = Environment::console("");
    let (security_code, session_token) = ("9".repeat(120), "t".repeat(500));
    environment.insert(&Record {
        security_code: &security_code,
        session_token: &session_token,
        ..Record::default()
    });
    expect_valid(environment.run(&[
        "verify",
        NUMBER,
        &security_code,
        "--session-token",
        &session_token,
    ]));
}

#[test]
fn bytes_that_are_not_utf8_are_a_usage_error() {
    let environment = environment();
    let before = environment.state(TOKEN);
    let mut bytes = CODE.as_bytes().to_vec();
    bytes.push(0xff);
    let text = || OsString::from_vec(bytes.clone());

    let mut code = environment.command(&["verify", NUMBER]);
    code.arg(text()).args(["--session-token", TOKEN]);
    expect_refusal(run_command(code), &environment, &before);

    let mut token = environment.command(&["verify", NUMBER, WRONG_CODE, "--session-token"]);
    token.arg(text());
    expect_refusal(run_command(token), &environment, &before);

    let mut variable = environment.command(&["verify", NUMBER, WRONG_CODE]);
    variable.env("PHONE_VERIFY_SESSION_TOKEN", text());
    expect_refusal(run_command(variable), &environment, &before);

    let run = environment.run_with_input(&["verify", NUMBER, "--session-token", TOKEN], &bytes);
    expect_refusal(run, &environment, &before);
}

#[test]
fn a_number_with_spaces_needs_quotation_marks() {
    let environment = environment();
    let before = environment.state(TOKEN);
    let run = environment.run(&["verify", "+1", "415", "555", "2671", CODE, "--any-session"]);
    let error = "error: there are more arguments than a phone number and a code\n\
                 hint: quote a number that has spaces: '+1 415 555 2671'\n";
    assert_eq!(run.stderr, error);
    expect_refusal(run, &environment, &before);
}

#[test]
fn a_number_that_cannot_be_sent_to_is_to_be_checked() {
    let environment = Environment::with_database("default_region = \"US\"");
    let run = environment.run(&["verify", "0143", CODE, "--any-session"]).expect_code(14);
    let text = "No code is known for +10143.\nnext: check the number: it isn't valid; \
                `phone-verify status` finds one by its last digits\n";
    assert_eq!(run.stdout, text);
}

#[test]
fn the_token_is_read_from_the_environment_unless_the_option_is_given() {
    let environment = environment();
    let with_variable = |token: &str, arguments: &[&str]| {
        let mut command = environment.command(arguments);
        command.env("PHONE_VERIFY_SESSION_TOKEN", token);
        run_command(command)
    };
    expect_valid(with_variable(TOKEN, &["verify", NUMBER, CODE]));
    expect_valid(with_variable("another", &["verify", NUMBER, CODE, "--session-token", TOKEN]));
    with_variable("another", &["verify", NUMBER, CODE]).expect_code(14);
}

#[test]
fn exactly_one_of_token_and_any_session_must_be_given() {
    let environment = environment();
    let before = environment.state(TOKEN);
    let neither = environment.run(&["verify", NUMBER, CODE]);
    let lines: Vec<_> = neither.stderr.lines().collect();
    assert!(lines[0].contains("--session-token"), "{neither:#?}");
    assert!(lines[1].starts_with("hint: ") && lines[1].contains("--any-session"), "{neither:#?}");
    expect_refusal(neither, &environment, &before);
    let both = ["verify", NUMBER, CODE, "--session-token", TOKEN, "--any-session"];
    expect_refusal(environment.run(&both), &environment, &before);
}

#[test]
fn a_usage_error_never_shows_the_code() {
    let environment = environment();
    let before = environment.state(TOKEN);
    let code_option = format!("--code={CODE}");
    let any_session_value = format!("--any-session={CODE}");
    for arguments in [
        vec!["verify", NUMBER, WRONG_CODE, CODE, "--session-token", TOKEN],
        vec!["verify", NUMBER, CODE, CODE, CODE, "--session-token", TOKEN],
        vec!["verify", NUMBER, WRONG_CODE, "٩١٨٢٧٣", "--session-token", TOKEN],
        vec!["verify", NUMBER, CODE, "--session-tokn", TOKEN],
        vec!["verify", NUMBER, &code_option, "--session-token", TOKEN],
        vec!["verify", NUMBER, "--session-token", TOKEN, "--code", CODE],
        vec!["verify", NUMBER, &any_session_value],
        vec!["verify", NUMBER, "--any-session", "--session-tokn=918273"],
        vec!["verify", NUMBER, CODE],
        vec!["verify", "hello", CODE, "--any-session"],
        vec!["--format", "csv", "verify", NUMBER, CODE, "--session-token", TOKEN],
        vec!["--config", "missing.toml", "verify", NUMBER, CODE, "--session-token", TOKEN],
    ] {
        expect_refusal(environment.run(&arguments), &environment, &before);
    }
}

#[test]
fn help_never_shows_the_token_of_the_environment() {
    let environment = environment();
    for arguments in [["verify", "--help"], ["verify", "-h"], ["help", "verify"]] {
        let mut command = environment.command(&arguments);
        command.env("PHONE_VERIFY_SESSION_TOKEN", TOKEN);
        let run = run_command(command).expect_code(0);
        assert!(run.stdout.contains("PHONE_VERIFY_SESSION_TOKEN"), "{run:#?}");
        assert!(!run.stdout.contains(TOKEN) && !run.stderr.contains(TOKEN), "{run:#?}");
    }
}

/// The program at a terminal where it has asked for the code.
struct Asking {
    terminal: Child,
    keyboard: ChildStdin,
}

/// Runs `line` at a terminal, and waits until the program turns the terminal's echo off, as it does once it has asked.
fn asking(environment: &Environment, line: &str) -> Asking {
    let mut terminal = environment.at_terminal(80, &format!("tty >tty; {line}"));
    let mut terminal = terminal.stdin(Stdio::piped()).spawn().expect("script is installed");
    let device = || environment.read("tty");
    wait_until("the program turns the terminal's echo off", || {
        let settings = Command::new("stty").args(["-a", "-F", device().trim()]).output();
        settings.is_ok_and(|it| String::from_utf8_lossy(&it.stdout).contains(" -echo "))
    });
    let keyboard = terminal.stdin.take().expect("stdin is piped");
    Asking { terminal, keyboard }
}

impl Asking {
    /// Types `keys`, and returns what the terminal showed in the end.
    fn typed(mut self, keys: &str) -> Run {
        self.keyboard.write_all(keys.as_bytes()).expect("script reads");
        finish(self.terminal)
    }
}

#[test]
fn a_code_typed_at_a_terminal_is_not_shown() {
    let environment = environment();
    let line = format!("exec phone-verify verify {NUMBER} --session-token {TOKEN}");
    let run = asking(&environment, &line).typed(&format!("{CODE}\n")).expect_code(0);
    assert!(run.stdout.contains("Security code is valid."), "{run:#?}");
    assert!(!run.stdout.contains(CODE), "{run:#?}");
    // Something must have told the person what to type.
    assert_ne!(run.stdout.lines().next(), Some("Security code is valid."), "{run:#?}");
}

#[test]
fn a_question_is_asked_again_until_no_other_code_can_be_valid() {
    let left = |left: &str| format!("Security code is not valid. {left} left.");
    let valid = || "Security code is valid.".to_owned();
    let empty = || "error: the security code is empty".to_owned();
    let send = |left: &str| format!("{left}\r\nnext: phone-verify send {NUMBER}");
    let live = Record::default();
    for (record, code, dialogue) in [
        (
            &live,
            0,
            vec![
                (WRONG_CODE, left("4 attempts")),
                ("", empty()),
                (" - ", empty()),
                (CODE, valid()),
            ],
        ),
        (
            &Record { failed_attempts: 3, ..live.clone() },
            11,
            vec![(WRONG_CODE, left("1 attempt")), (WRONG_CODE, send(&left("No attempts")))],
        ),
        (
            &Record { created_at: Time::Ago(700), ..live.clone() },
            11,
            vec![(WRONG_CODE, send(&left("4 attempts")))],
        ),
    ] {
        let environment = Environment::console("");
        environment.insert(record);
        let verify = "exec phone-verify --color never verify";
        let asking = asking(&environment, &format!("{verify} {NUMBER} --session-token {TOKEN}"));
        let keys: String = dialogue.iter().map(|(typed, _)| format!("{typed}\n")).collect();
        // The end of the input would be an error, if it was asked once more.
        let keys = keys + "\u{4}";
        let answers = dialogue.iter().map(|(_, answer)| format!("Security code: \r\n{answer}\r\n"));
        assert_eq!(asking.typed(&keys).expect_code(code).stdout, answers.collect::<String>());
    }
}

#[test]
fn a_question_that_is_broken_off_leaves_the_terminal_as_it_was() {
    let expect_broken_off = |keys: &str, signal: &str, code: i32| {
        let environment = environment();
        let before = environment.state(TOKEN);
        let verify = format!("exec phone-verify verify {NUMBER} --session-token {TOKEN}");
        let line = format!("sh -c 'echo $$ >pid; {verify}'; echo code $?; stty -a");
        let asking = asking(&environment, &format!("trap : INT; {line}"));
        let program = environment.read("pid");
        run_command(environment.tool(&["kill", "-s", signal, program.trim()])).expect_code(0);
        let run = asking.typed(keys).expect_code(0);
        assert!(run.stdout.contains(&format!("code {code}\r\n")), "{run:#?}");
        assert!(run.stdout.contains(" icanon ") && run.stdout.contains(" echo "), "{run:#?}");
        assert_eq!(environment.state(TOKEN), before);
    };
    // Signal 0 is none: here Ctrl-C alone is typed.
    expect_broken_off("\u{3}", "0", 130);
    expect_broken_off("", "TERM", 143);
}

#[test]
fn an_error_in_place_of_a_typed_code_has_a_line_of_its_own() {
    let end_of_input = "\u{4}";
    let environment = environment();
    let line = format!("exec phone-verify --color never verify {NUMBER} --session-token {TOKEN}");
    let run = asking(&environment, &line).typed(end_of_input).expect_code(2);
    assert!(run.stdout.lines().any(|line| line.starts_with("error: ")), "{run:#?}");
    // After a result it only ends the questions.
    let keys = format!("{WRONG_CODE}\n{end_of_input}");
    let run = asking(&environment, &line).typed(&keys).expect_code(11);
    let answer =
        "Security code: \r\nSecurity code is not valid. 4 attempts left.\r\nSecurity code: \r\n";
    assert_eq!(run.stdout, answer);
}

#[test]
fn a_line_is_enough_where_stdin_stays_open() {
    let environment = environment();
    let mut child = environment
        .command(&["verify", NUMBER, "--session-token", TOKEN])
        .stdin(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut keyboard = child.stdin.take().expect("stdin is piped");
    keyboard.write_all(format!("{CODE}\n").as_bytes()).expect("the program reads");
    wait_until("the program answers a line", || child.try_wait().expect("a child").is_some());
    drop(keyboard);
    expect_valid(finish(child));
}

#[test]
fn a_code_in_the_numbers_place_is_not_repeated() {
    let environment = environment();
    let run = environment.run(&["verify", CODE, NUMBER, "--any-session"]).expect_code(2);
    assert!(run.stderr.starts_with("error: phone number: it "), "{run:#?}");
    assert!(!run.stderr.contains(CODE), "{run:#?}");
}

#[test]
fn no_code_is_asked_for_that_nothing_could_be_compared_with() {
    let line = format!("phone-verify --color never verify {NUMBER} --any-session");
    let environment = Environment::with_database("");
    let run = run_command(environment.at_terminal(80, &line)).expect_code(14);
    let answer = format!("No code is known for {NUMBER}.\r\nnext: phone-verify send {NUMBER}\r\n");
    assert_eq!(run.stdout, answer);
    // Nor are a code of another number and one from the future.
    let (other, future) = (Record::default(), Record::default());
    environment.insert(&Record { phone_number: OTHER_NUMBER, ..other });
    environment.insert(&Record { created_at: Time::Ago(-3600), session_token: "later", ..future });
    let run = run_command(environment.at_terminal(80, &line)).expect_code(14);
    assert_eq!(run.stdout, answer);
}

#[test]
fn a_code_is_asked_for_that_may_be_valid() {
    let any = "--any-session";
    let token = format!("--session-token {TOKEN}");
    let (known, unknown) = (Environment::console(""), Environment::console(""));
    known.insert(&Record::default());
    let sandbox = Environment::sandbox("");
    for environment in [&unknown, &sandbox] {
        environment.run(&["migrate"]).expect_code(0);
    }
    // With a token, only the check says that there is no such record.
    for (environment, session, code, exit) in
        [(&known, any, CODE, 0), (&unknown, &token, CODE, 14), (&sandbox, any, SANDBOX_CODE, 0)]
    {
        let line = format!("exec phone-verify verify {NUMBER} {session}");
        asking(environment, &line).typed(&format!("{code}\n")).expect_code(exit);
    }
}
