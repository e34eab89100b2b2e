//! Files that can't be followed, wholly or in places: a clear error before anything is sent, or a reported line among others
//! that are sent.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use crate::support::{
    Environment, FILE, FIRST, FOUR_IN_FLIGHT, FakeProvider, MAX_MEMORY, NUMBER, Results, Run,
    SECOND, SEND_FILE, accept_all, error_of, finish, numbers, peak_memory, run_command,
    send_file_with, wait_for_arrivals,
};

/// Asserts that `run` says in one error what is wrong with the file and did nothing else.
#[track_caller]
fn expect_file_error(environment: &Environment, run: Run, file: &str, reason: &str) -> Run {
    let run = run.expect_code(2);
    assert_eq!(run.stdout, "", "{run:#?}");
    let errors: Vec<_> = run.stderr.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "{run:#?}");
    assert!(errors[0].contains(file) && errors[0].contains(reason), "{reason}: {run:#?}");
    environment.expect_no_database();
    run
}

/// Asserts that a file of `bytes` is refused for `reason`, as a file and as stdin, whatever the command line has besides.
#[track_caller]
fn expect_refusal(bytes: &[u8], reason: &str) -> Run {
    let provider = FakeProvider::twilio().never_called();
    let environment = provider.environment();
    fs::write(environment.path(FILE), bytes).expect("a file");
    let arguments = ["--format", "json", "send", "--file", "-", NUMBER];
    let run = environment.run_with_input(&arguments, bytes);
    expect_file_error(&environment, run, "stdin", reason);
    let run = environment.run(&send_file_with(&[NUMBER]));
    expect_file_error(&environment, run, FILE, reason)
}

/// Sends to the file `text` and asserts that its lines `bad` are reported, each for a reason that contains these words, and
/// that [`FIRST`] and [`SECOND`] are sent to all the same, once each.
#[track_caller]
fn expect_bad_lines(settings: &str, text: &[u8], bad: &[(u64, &str)]) {
    let provider = FakeProvider::twilio();
    let environment = provider.environment_with(settings, "");
    fs::write(environment.path(FILE), text).expect("a file");
    let run = environment.run(&SEND_FILE).expect_code(3);
    let by_line = run.by_line();
    for (line, reason) in bad {
        let result = by_line.get(line).unwrap_or_else(|| panic!("no line {line}: {run:#?}"));
        assert_eq!(error_of(result).1, None);
        let message = result["error"]["message"].as_str().expect("words");
        assert!(message.contains(reason), "line {line}: {message}");
        assert!(run.stderr.contains(&format!("line {line}: ")), "{run:#?}");
    }
    assert_eq!(by_line.len(), bad.len() + 2, "{run:#?}");
    assert_eq!(run.numbers_with("status", "sent"), [FIRST, SECOND]);
    assert_eq!(provider.requested_numbers(), [FIRST, SECOND]);
    assert_eq!(environment.numbers_of_records(), [FIRST, SECOND]);
}

#[test]
fn a_file_that_is_not_there_or_can_not_be_read_is_an_error() {
    let provider = FakeProvider::twilio().never_called();
    let environment = provider.environment();
    let missing = environment.run(&["send", "--file", "missing", NUMBER]);
    expect_file_error(&environment, missing, "missing", "No such file");
    fs::create_dir(environment.path("folder")).expect("a folder");
    let folder = environment.run(&["send", "--file", "folder", NUMBER]);
    expect_file_error(&environment, folder, "folder", "directory");
    environment.write("unreadable", FIRST);
    environment.set_mode("unreadable", 0o000);
    let unreadable =
        run_command(environment.without_privileges(&["send", "--file", "unreadable", NUMBER]));
    expect_file_error(&environment, unreadable, "unreadable", "ermission denied");
}

#[test]
fn a_file_that_the_results_are_written_into_is_an_error() {
    let provider = FakeProvider::twilio().never_called();
    let environment = provider.environment();
    environment.write("list", FIRST);
    fs::hard_link(environment.path("list"), environment.path("same")).expect("a link");
    for line in [
        "phone-verify send --file list >> list",
        "phone-verify send --file list 2>> list",
        "phone-verify send --file same >> list",
        "phone-verify send --file - < list >> list",
        "phone-verify send --dry-run --file list >> list",
    ] {
        environment.write("list", FIRST);
        let run = run_command(environment.shell(line)).expect_code(2);
        let told = run.stderr + environment.read("list").trim_start_matches(FIRST);
        assert!(told.starts_with("error: --file ") && told.contains("hint: "), "{line}: {told}");
    }
    environment.expect_no_database();
    // The results may go into another file.
    let run =
        run_command(environment.shell("phone-verify send --dry-run --file - < list > list.out"));
    run.expect_code(0);
}

#[test]
fn a_file_without_numbers_is_an_error() {
    for bytes in ["", "\n", " \n\t\n\r\n \n", "\u{feff}", "\u{feff}\r\n"] {
        expect_refusal(bytes.as_bytes(), "no numbers");
    }
}

#[test]
fn a_heading_without_numbers_sends_nothing_and_is_warned_of() {
    let environment = Environment::sandbox("");
    for text in ["phone_number\n", "phone_number,language\n\n \n"] {
        let run = environment.send_text(text, &[]).expect_code(0);
        assert_eq!(run.stdout, "");
        assert!(run.stderr.starts_with("warning: ") && run.stderr.contains("heading"), "{run:#?}");
    }
    environment.expect_no_database();
    let run = environment.send_text("phone_number\n", &["--quiet"]).expect_code(0);
    assert_eq!(run.stderr, "");
}

#[test]
fn utf_16_is_an_error_that_tells_how_to_convert_it() {
    let text = format!("{FIRST}\r\n{SECOND}\r\n");
    let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
    for (mark, bytes) in [(b"\xff\xfe", &little), (b"\xfe\xff", &big)] {
        let run = expect_refusal(&[mark, &bytes[..]].concat(), "UTF-16");
        assert!(run.stderr.contains("hint: ") && run.stderr.contains("iconv"), "{run:#?}");
        expect_refusal(bytes, "isn't text");
    }
}

#[test]
fn a_binary_file_is_an_error() {
    expect_refusal(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0>\0\x01\0\0\0", "isn't text");
    expect_refusal(b"SQLite format 3\0\x10\0\x01\x01\0@  \0\0\0\x05\n", "isn't text");
}

#[test]
fn bytes_that_are_no_text_are_an_error() {
    let bytes: Vec<u8> = (1..=255).rev().cycle().step_by(7).take(20_000).collect();
    let run = expect_refusal(&bytes, "line 1: it is not UTF-8 text");
    assert!(run.stderr.lines().all(|line| !line.contains('\u{1b}')), "{run:#?}");
}

#[test]
fn a_heading_that_can_not_be_followed_is_an_error() {
    let row = format!("\n{FIRST},a,b\n");
    for (heading, reason) in [
        ("phone_number,language,language", "`language` twice"),
        ("phone_number,Language,LANGUAGE", "`Language` and `LANGUAGE`"),
        ("phone_number,name,phone_number", "`phone_number` twice"),
        ("phone_number,\"name", "line 1: a quotation mark is not closed"),
        ("sep=ab\nphone_number,name", "line 1: `sep=`"),
    ] {
        expect_refusal((heading.to_owned() + &row).as_bytes(), reason);
    }
}

#[test]
fn a_byte_order_mark_and_line_ends_of_other_systems_are_no_part_of_a_number_or_a_value() {
    for (text, line) in [
        (format!("\u{feff}{FIRST}\n"), 1),
        (format!("{FIRST}\r\n"), 1),
        (format!("\u{feff}\r\n{FIRST}"), 2),
        (format!("\u{feff}phone_number\r\n{FIRST}\r\n"), 2),
        (format!("\u{feff}phone_number,name\r\n\r\n{FIRST},.\r\n\r\n"), 3),
        (format!("\u{feff}\"name\",\"phone_number\"\r\n\".\",\"{FIRST}\"\r\n"), 2),
    ] {
        let provider = FakeProvider::twilio();
        let environment = provider.environment_with("message = \"{security_code}{name}\"", "");
        let run = environment.send_text(&text, &["--context", "name=."]).expect_code(0);
        assert_eq!(run.json()["line"], line, "{run:#?}");
        assert_eq!(provider.requested_numbers(), [FIRST]);
        let text = provider.accepted()[0].text.clone();
        assert!(text.ends_with(|end: char| end == '.' || end.is_ascii_digit()), "{text:?}");
    }
}

#[test]
fn a_line_that_is_no_text_is_reported_and_the_rest_is_sent() {
    let mut text = format!("{FIRST}\n").into_bytes();
    text.extend(b"+1202555\xff0103\n+1202555\x000104\n");
    text.extend(format!("{SECOND}\n").bytes());
    // Nothing but the first buffer is looked at before the first number is sent.
    let mut late = vec![b'\n'; 200_000];
    late.extend(&text);
    expect_bad_lines("", &late, &[(200_002, "UTF-8"), (200_003, "")]);
}

#[test]
fn a_row_with_too_many_fields_or_without_one_that_is_used_is_reported_and_the_rest_is_sent() {
    let text = format!(
        "phone_number,name,place,unused\n\
         +12025550103,Ada\n\
         {FIRST},Ada,Ulm\n\
         +12025550104\n\
         +12025550105,Ada,Ulm,,x\n\
         ,Ada,Ulm\n\
         {SECOND},,,\n"
    );
    let bad = [(2, "{place}"), (4, "{name}"), (5, "it has 5 fields, the heading 4"), (6, "empty")];
    expect_bad_lines("message = \"{name}{place}{security_code}\"", text.as_bytes(), &bad);
}

#[test]
fn a_file_that_changes_while_it_is_read_is_not_read_on() {
    let provider = FakeProvider::twilio();
    let environment = provider.environment_with("", FOUR_IN_FLIGHT);
    let spaces = " ".repeat(50);
    let lines: Vec<_> = numbers(3000).iter().map(|number| format!("{number}{spaces}")).collect();
    environment.write_numbers(&lines);
    let held = provider.hold(4);
    let program = environment.start(&SEND_FILE);
    wait_for_arrivals(&held);
    // The lines are the same, but those behind the first buffer begin elsewhere now.
    let shifted = lines.join("\n").replace(&spaces, "");
    fs::write(environment.path(FILE), shifted).expect("a file");
    accept_all(held);
    let run = finish(program).expect_code(3);
    let end = format!("error: --file {FILE}: can't read on: it has changed meanwhile\n");
    assert!(run.stderr.ends_with(&end), "{run:#?}");
    assert_eq!(run.numbers_with("status", "sent"), provider.requested_numbers());
    assert!(provider.requests().len() < 1100);
}

#[test]
fn a_carriage_return_ends_a_line_and_hides_no_number_behind_it() {
    for text in [
        format!("phone_number,name\n{FIRST},Ada\rnobody,Bo\n\n{SECOND},Ada\n"),
        format!("phone_number,name\r{FIRST},Ada\rnobody,Bo\r\r{SECOND},Ada"),
        format!("phone_number,name\r\n{FIRST},Ada\r\nnobody,Bo\r\n\r\n{SECOND},Ada\r\n"),
        format!("\u{feff}\r{FIRST}\rnobody\r\n{SECOND}"),
    ] {
        expect_bad_lines("", text.as_bytes(), &[(3, "letters")]);
    }
}

#[test]
fn a_context_before_its_prefix_is_no_number_and_stops_nothing() {
    // What the reader of numbers panics at stands in one line; the lines behind it are read all the same.
    let text =
        format!("{FIRST}\n;phone-context=x;tel:\n;phone-context=+1;tel:4155552671\n{SECOND}\n");
    expect_bad_lines("", text.as_bytes(), &[(2, "can't be read"), (3, "can't be read")]);
}

#[test]
fn an_unclosed_quotation_mark_swallows_no_further_line() {
    let text = format!(
        "phone_number,name\n{FIRST},Ada\n+12025550103,\"Ada\n\"+12025550104,Ada\n{SECOND},Ada\n"
    );
    expect_bad_lines("", text.as_bytes(), &[(3, "quotation mark"), (4, "quotation mark")]);
}

#[test]
fn a_row_whose_message_can_not_be_filled_is_reported_and_the_rest_is_sent() {
    let provider = FakeProvider::twilio();
    let environment =
        provider.environment_with("", "[messages]\nde = \"{name}, {place}: {security_code}\"");
    let text =
        format!("phone_number,language,name\n{FIRST},,\n+12025550103,de,Ada\n{SECOND},fr,\n");
    let run = environment.send_text(&text, &[]).expect_code(3);
    let by_line = run.by_line();
    let message = by_line[&3]["error"]["message"].as_str().expect("words");
    assert!(message.contains("place"), "{message}");
    assert_eq!(by_line[&3]["phone_number"], "+12025550103");
    assert_eq!(provider.requested_numbers(), [FIRST, SECOND]);
    assert_eq!(environment.numbers_of_records(), [FIRST, SECOND]);
}

#[test]
fn a_row_whose_message_is_too_long_is_reported_and_the_rest_is_sent() {
    // Six digits, and 1,594 characters of which each counts once though it has two bytes.
    let settings = "message = \"{security_code}{name}\"";
    let (fits, too_long) = ("é".repeat(1594), "é".repeat(1595));
    let text = format!("phone_number,name\n{FIRST},{fits}\n+12025550103,{too_long}\n{SECOND},\n");
    expect_bad_lines(settings, text.as_bytes(), &[(3, "1601")]);
}

#[test]
fn a_line_without_an_end_in_sight_is_reported_and_takes_no_memory() {
    let provider = FakeProvider::twilio();
    let environment = provider.environment();
    let mut program = environment
        .command(&["--format", "json", "send", "--file", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let results = Results::from_program(&mut program);
    let mut stdin = program.stdin.take().expect("stdin is piped");
    writeln!(stdin, "{FIRST}").expect("it reads");
    let digits = vec![b'1'; 10_000_000];
    // More than the program may hold.
    for _ in 0..8 {
        stdin.write_all(&digits).expect("it reads");
    }
    write!(stdin, "\n{SECOND}\n").expect("it reads");
    let mut by_line = [results.next(), results.next(), results.next()];
    by_line.sort_by_key(|result| result["line"].as_u64());
    let peak = peak_memory(&program);
    drop(stdin);
    finish(program).expect_code(3);
    assert!(peak < MAX_MEMORY, "{peak} KiB");
    assert_eq!(by_line[0]["phone_number"], FIRST);
    assert_eq!(by_line[1]["line"], 2);
    assert_eq!(error_of(&by_line[1]).1, None);
    assert_eq!(by_line[2]["phone_number"], SECOND);
    assert_eq!(provider.requested_numbers(), [FIRST, SECOND]);
}

#[test]
fn a_line_of_ten_megabytes_at_the_very_beginning_is_an_error() {
    let text = "1".repeat(10_000_000) + &format!("\n{FIRST}\n{SECOND}\n");
    expect_refusal(text.as_bytes(), "line 1: it is longer than 64 KiB");
}

#[test]
fn what_a_line_holds_does_not_steer_the_terminal() {
    let environment = Environment::sandbox("");
    environment.write("numbers.txt", &format!("{FIRST}\n+1\u{1b}]0;title\u{7}99\n"));
    let run = environment.run(&["send", "--file", "numbers.txt"]).expect_code(3);
    assert!(run.stdout.contains("title"), "{run:#?}");
    let output = [run.stdout.as_str(), run.stderr.as_str()].concat();
    assert!(!output.contains(['\u{1b}', '\u{7}']), "{run:#?}");
}
