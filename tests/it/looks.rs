//! What a person sees at a terminal: everything fits its width, nothing steers it, and colour says nothing by itself.

use serde_json::Value;
use unicode_width::UnicodeWidthStr;

use crate::support::{
    CODE, Environment, FakeProvider, NUMBER, OTHER_NUMBER, Record, Reply, TOKEN, Time, run_command,
};

/// A longer number, from the range that Germany's regulator keeps free for films.
const LONG_NUMBER: &str = "+4917604069000";
/// Numbers as other programs may leave them: full-width digits, Arabic digits, and letters of a script from right to left.
const WIDE_NUMBER: &str = "電話０３１２３４";
const ARABIC_NUMBER: &str = "+١٤١٥٥٥٥٢٦٧١";
const HEBREW_NUMBER: &str = "טלפון 555";
/// Text that clears a screen (ECMA-48), also with the one-character CSI, and that reverses what follows it (UAX #9).
const STEERING: &str = "\u{1b}[2J\u{9b}2J\u{7f}\u{202e}end";

/// What sets apart a text of another direction (UAX #9).
const ISOLATES: [char; 2] = ['\u{2068}', '\u{2069}'];
const ESCAPE: char = '\u{1b}';

/// Returns what a terminal of so many columns shows of `line`, which has to end with `code`.
#[track_caller]
fn screen(environment: &Environment, columns: usize, line: &str, code: i32) -> String {
    let run = run_command(environment.at_terminal(columns, line)).expect_code(code);
    run.stdout.replace("\r\n", "\n")
}

/// Returns an environment with a record of each of these numbers, the newest first.
fn with_records(numbers: &[&str]) -> Environment {
    let environment = Environment::console("");
    for (age, phone_number) in (1..).zip(numbers) {
        let created_at = Time::Ago(300 + age);
        environment.insert(&Record { phone_number, created_at, ..Record::default() });
    }
    environment
}

/// Asserts that no line of `screen` is longer than `columns`.
#[track_caller]
fn expect_fits(screen: &str, columns: usize) {
    for line in screen.lines() {
        assert!(line.width() <= columns, "{} columns: {line:?} in\n{screen}", line.width());
    }
}

/// Returns the columns at which `text` stands in the lines that hold it.
fn places(screen: &str, text: &str) -> Vec<usize> {
    let starts = screen.lines().filter_map(|line| Some(line.split_once(text)?.0.width()));
    starts.collect()
}

#[test]
fn at_80_columns_the_table_has_all_its_columns_below_folded_names() {
    let environment = with_records(&[NUMBER, LONG_NUMBER]);
    let screen = screen(&environment, 80, "phone-verify --color never list", 0);
    expect_fits(&screen, 80);
    let lines: Vec<_> = screen.lines().collect();
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words(lines[0]), ["security_", "is_", "is_", "failed_", "created_"], "{screen}");
    let names = ["state", "phone_number", "code", "verified", "valid", "attempts", "at"];
    assert_eq!(words(lines[1]), names, "{screen}");
    for (line, number) in lines[2..].iter().zip([NUMBER, LONG_NUMBER]) {
        let words = words(line);
        let expected = ["live", number, CODE, "false", "true", "0", "5", "min", "ago"];
        assert_eq!(words, expected, "{screen}");
    }
    assert_eq!(lines.len(), 4, "{screen}");
}

#[test]
fn at_200_columns_even_the_wide_table_has_a_line_a_record() {
    let environment = with_records(&[NUMBER, LONG_NUMBER]);
    let screen = screen(&environment, 200, "phone-verify --color never list --wide", 0);
    expect_fits(&screen, 200);
    let lines: Vec<_> = screen.lines().collect();
    assert_eq!(lines.len(), 3, "{screen}");
    for name in ["id", "security_code", "failed_attempts", "expires_at", "delivery"] {
        assert!(lines[0].contains(name), "{name}: {screen}");
    }
    assert!(lines[1].contains(" (5 min ago)  ") && lines[1].contains(" (in 5 min)"), "{screen}");
}

#[test]
fn where_a_table_has_no_room_each_value_has_a_line_under_its_name() {
    let environment = with_records(&[NUMBER, OTHER_NUMBER]);
    let screen = screen(&environment, 80, "phone-verify --color never list --wide", 0);
    expect_fits(&screen, 80);
    let records: Vec<_> = screen.trim_end().split("\n\n").collect();
    assert_eq!(records.len(), 2, "{screen}");
    for (record, number) in records.iter().zip([NUMBER, OTHER_NUMBER]) {
        // All columns but `delivery`, which is empty.
        assert_eq!(record.lines().count(), 9, "{screen}");
        for line in [
            format!("phone_number     {number}\n"),
            format!("security_code    {CODE}\n"),
            "failed_attempts  0\n".to_owned(),
        ] {
            assert!(record.contains(&line), "{line}: {screen}");
        }
    }
}

#[test]
fn a_record_says_how_long_ago_it_was_created_and_when_its_code_expires() {
    let environment = with_records(&[NUMBER]);
    let run = environment.run(&["list"]).expect_code(0);
    assert!(run.stdout.ends_with(" (5 min ago)\n"), "{run:#?}");
    let run = environment.run(&["list", "--wide"]).expect_code(0);
    assert!(run.stdout.contains(" (5 min ago)  "), "{run:#?}");
    assert!(run.stdout.contains(" (in 5 min)"), "{run:#?}");
}

#[test]
fn what_is_no_terminal_gets_a_line_a_record_and_every_value_whole() {
    let security_code = "9".repeat(120);
    let environment = Environment::console("");
    environment.insert(&Record { security_code: &security_code, ..Record::default() });
    environment.insert(&Record { phone_number: ARABIC_NUMBER, ..Record::default() });
    let mut command = environment.command(&["list", "--wide"]);
    command.env("COLUMNS", "20").env("TERM", "xterm");
    let run = run_command(command).expect_code(0);
    assert_eq!(run.stdout.lines().count(), 3, "{run:#?}");
    assert!(run.stdout.contains(&security_code), "{run:#?}");
    assert!(run.stdout.contains(ARABIC_NUMBER), "{run:#?}");
    assert!(!run.stdout.contains(ISOLATES), "{run:#?}");
}

#[test]
fn wide_and_right_to_left_characters_leave_the_columns_where_they_are() {
    let environment = with_records(&[NUMBER, WIDE_NUMBER, ARABIC_NUMBER, HEBREW_NUMBER]);
    let screen = screen(&environment, 200, "phone-verify --color never list", 0);
    let codes = places(&screen, CODE);
    assert_eq!(codes, [codes[0]; 4], "{screen}");
    for number in [ARABIC_NUMBER, HEBREW_NUMBER] {
        let isolated = format!("{}{number}{}", ISOLATES[0], ISOLATES[1]);
        assert!(screen.contains(&isolated), "{number} would reorder its line: {screen}");
    }
    for number in [NUMBER, WIDE_NUMBER] {
        assert!(screen.contains(&format!("\nlive   {number} ")), "{number}: {screen}");
    }
}

#[test]
fn a_message_of_any_script_is_shown_as_it_is() {
    for message in [
        "電話番号の確認コードは {security_code} です。",
        "رمز التحقق الخاص بك هو {security_code}",
        "קוד האימות שלך הוא {security_code}",
    ] {
        let environment = Environment::with_settings(&format!(
            "backend = \"console\"\ntoken_length = 6\nmessage = \"{message}\"\n"
        ));
        let screen = screen(&environment, 120, &format!("phone-verify send --dry-run {NUMBER}"), 0);
        let text = message.replace("{security_code}", "000000");
        assert!(screen.contains(&text), "{screen}");
        assert!(screen.contains("UCS-2, 1 segment"), "{screen}");
    }
}

#[test]
fn no_stored_value_steers_the_terminal_in_any_format() {
    let environment = Environment::console("");
    let session_token = format!("token {STEERING}");
    let phone_number = format!("+1415 {STEERING}\nspoof");
    environment.insert(&Record {
        phone_number: &phone_number,
        security_code: STEERING,
        session_token: &session_token,
        ..Record::default()
    });
    for format in ["text", "json", "csv"] {
        let line = format!("phone-verify --color never --format {format} list");
        let screen = screen(&environment, 200, &line, 0);
        let steers = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!screen.contains(steers), "{format}: {screen:?}");
        if format != "json" {
            assert_eq!(screen.lines().count(), 2, "{format}: {screen}");
        }
        if format == "json" {
            let record: Value = serde_json::from_str(&screen).expect("it is still JSON");
            assert_eq!(record["phone_number"], phone_number.as_str());
            assert_eq!(record["security_code"], STEERING);
        }
    }
    // A script gets the values as they are.
    for format in ["json", "csv"] {
        let run = environment.run(&["--format", format, "list"]).expect_code(0);
        assert!(run.stdout.contains("\u{202e}end"), "{format}: {run:#?}");
    }
}

#[test]
fn the_colours_of_a_terminal_only_repeat_what_the_words_say() {
    let environment = Environment::console("");
    environment.insert(&Record {
        session_token: "live",
        created_at: Time::Ago(200),
        ..Record::default()
    });
    environment.insert(&Record { created_at: Time::Ago(700), ..Record::default() });
    let coloured = screen(&environment, 200, "phone-verify list", 0);
    // Green and yellow of the terminal's own palette, which is right for its background.
    assert!(coloured.contains("\u{1b}[32mlive\u{1b}[0m"), "{coloured:?}");
    assert!(coloured.contains("\u{1b}[33mexpired\u{1b}[0m"), "{coloured:?}");
    let plain = screen(&environment, 200, "phone-verify --color never list", 0);
    assert!(!plain.contains(ESCAPE), "{plain:?}");
    let without_colours = ["[1m", "[32m", "[33m", "[0m"]
        .iter()
        .fold(coloured, |text, code| text.replace(&format!("{ESCAPE}{code}"), ""));
    assert_eq!(without_colours, plain);
}

#[test]
fn a_dumb_terminal_gets_no_escape_sequences() {
    let environment = with_records(&[NUMBER]);
    environment.write("numbers.txt", &format!("{NUMBER}\n{OTHER_NUMBER}\n"));
    for (line, code) in [
        ("phone-verify list", 0),
        ("phone-verify --database missing.db list", 1),
        ("phone-verify send --file numbers.txt", 0),
        ("phone-verify --help", 0),
        ("phone-verify --nonsense", 2),
    ] {
        let mut terminal = environment.at_terminal(80, line);
        terminal.env("TERM", "dumb");
        let screen = run_command(terminal).expect_code(code).stdout;
        assert!(!screen.contains(ESCAPE), "{line}: {screen:?}");
    }
}

#[test]
fn help_and_complaints_follow_the_option_for_colours() {
    let environment = Environment::with_settings("");
    for (line, code) in [("--help", 0), ("list --nonsense", 2), ("purge --help", 0)] {
        let coloured = screen(&environment, 80, &format!("phone-verify {line}"), code);
        assert!(coloured.contains(ESCAPE), "{line}: {coloured:?}");
        for never in ["--color never", "--color=never"] {
            let plain = screen(&environment, 80, &format!("phone-verify {never} {line}"), code);
            assert!(!plain.contains(ESCAPE), "{line}: {plain:?}");
        }
    }
    let always = environment.run(&["--color=always", "--help"]).expect_code(0);
    assert!(always.stdout.contains(ESCAPE), "{always:#?}");
}

#[test]
fn an_error_and_a_hint_end_their_lines_between_words() {
    let environment = Environment::console("");
    let line = "phone-verify --color never purge --older-than=5s";
    let screen = screen(&environment, 40, line, 2);
    expect_fits(&screen, 40);
    let (error, hint) = screen.split_once("hint: ").expect("a hint");
    assert!(error.lines().count() > 1, "{screen}");
    let lines: Vec<_> = error.lines().map(str::trim).collect();
    let plain = environment.run(&["purge", "--older-than=5s"]).expect_code(2).stderr;
    assert_eq!(plain.lines().next(), Some(&*lines.join(" ")), "{screen}");
    assert!(hint.contains("--force"), "{screen}");
}

#[test]
fn the_help_of_every_command_fits_80_columns() {
    let environment = Environment::with_settings("");
    for command in
        ["", "send", "verify", "list", "purge", "status", "migrate", "doctor", "completions", "man"]
    {
        for help in ["-h", "--help"] {
            let screen = screen(&environment, 80, &format!("phone-verify {command} {help}"), 0);
            let plain =
                screen.split(ESCAPE).map(|part| part.split_once('m').map_or(part, |it| it.1));
            expect_fits(&plain.collect::<String>(), 80);
        }
    }
}

#[test]
fn on_a_terminal_of_any_width_every_command_works_and_every_value_is_whole() {
    let environment = Environment::sandbox("");
    environment.run(&["send", NUMBER]).expect_code(0);
    let token = environment.column("SELECT session_token FROM sms_verification").remove(0);
    let wrong_code = format!("phone-verify verify {NUMBER} {CODE} --session-token {TOKEN}");
    for columns in [1, 20, 60] {
        for (line, code, shown) in [
            ("phone-verify list", 0, NUMBER),
            ("phone-verify list --wide", 0, NUMBER),
            ("phone-verify --format csv list", 0, &token),
            ("phone-verify --format json list", 0, &token),
            (&format!("phone-verify status {NUMBER}"), 0, NUMBER),
            (&format!("phone-verify send {OTHER_NUMBER} nonsense"), 3, OTHER_NUMBER),
            (&wrong_code, 14, "Session"),
            ("phone-verify purge", 0, "Deleted"),
            ("phone-verify --help", 0, "purge"),
            ("phone-verify --database missing.db list", 1, "missing.db"),
        ] {
            let screen = screen(&environment, columns, line, code);
            assert!(screen.contains(shown), "{shown} at {columns} columns: {screen}");
            assert!(!screen.contains("panicked"), "{screen}");
        }
    }
}

#[test]
fn a_command_in_a_hint_of_doctor_stays_on_one_line_at_any_width() {
    let path = "a-folder-with-a-long-name/phone-verify-with-a-long-name.toml";
    let environment = Environment::sandbox("secret_key = \"s3cret\"");
    std::fs::create_dir(environment.path("a-folder-with-a-long-name")).expect("a new folder");
    std::fs::rename(environment.path("phone-verify.toml"), environment.path(path))
        .expect("it is there");
    let line = format!("chmod 604 {path}; phone-verify --color never --config {path} doctor");
    for columns in [30, 80] {
        let screen = screen(&environment, columns, &line, 1);
        assert!(screen.contains(&format!("`chmod o-r {path}`")), "{screen}");
        let count = screen.trim_end().rsplit("\n\n").next().expect("a count");
        expect_fits(count, columns);
        assert!(screen.contains("security_code_expiration_time:"), "{screen}");
    }
}

#[test]
fn the_values_below_each_other_end_their_lines_between_words() {
    let environment = with_records(&[NUMBER]);
    let screen = screen(&environment, 40, "phone-verify --color never list", 0);
    expect_fits(&screen, 40);
    let value = screen.split_once("created_at").expect("a time").1;
    assert!(value.lines().nth(1).is_some_and(|line| line.starts_with(&" ".repeat(17))), "{screen}");
    let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(value.ends_with(" (5 min ago)"), "{screen}");
}

#[test]
fn a_failure_is_told_once_to_whoever_sees_both_streams_together() {
    let provider = FakeProvider::twilio();
    provider.always(Reply::twilio_error(400, 21211, "Invalid 'To' Phone Number"));
    let environment = provider.environment();
    environment.write("numbers.txt", "+15551234567\n");
    let invalid = "it isn't valid: the numbering plan has no such number";
    for (line, code, result, reason) in [
        (
            &format!("send {NUMBER}"),
            1,
            &format!("{NUMBER} not sent"),
            "twilio refused it: Invalid 'To' Phone Number (21211)\nhint: ",
        ),
        (
            &"send --file numbers.txt".to_owned(),
            2,
            &"line 1: +15551234567 not sent".to_owned(),
            invalid,
        ),
    ] {
        let line = format!("phone-verify --color never {line}");
        let once = screen(&environment, 400, &line, code);
        assert!(once.contains(&format!("{result}: {reason}")), "{once}");
        assert!(!once.contains("error:"), "{once}");
        // Whoever sees one stream alone reads it there, as a script does.
        let of_stdout = screen(&environment, 400, &format!("{line} 2>stderr"), code);
        assert_eq!(of_stdout, format!("{result}\n"));
        let of_stderr = screen(&environment, 400, &format!("{line} >stdout"), code);
        assert!(of_stderr.contains("error: ") && of_stderr.contains(reason), "{of_stderr}");
        assert_eq!(environment.read("stdout"), of_stdout);
        assert!(environment.read("stderr").contains(reason));
    }
    let json = screen(&environment, 400, &format!("phone-verify --format json send {NUMBER}"), 1);
    let json: Value = serde_json::from_str(&json).expect("one line of JSON alone");
    assert_eq!(json["error"]["code"], "21211");
}
