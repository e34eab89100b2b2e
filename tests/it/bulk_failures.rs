//! `send --failures`: the numbers that failed, in a file that can be sent to again.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::process::Stdio;

use crate::support::{
    Environment, FILE, FIRST, FOUR_IN_FLIGHT, FakeProvider, INVALID, NUMBER, Reply, SECOND,
    SEND_FILE, THIRD, accept_all, finish, numbers, send_file_with, send_signal, wait_for_arrivals,
    wait_until,
};

/// The file of the failures.
const FAILED: &str = "failed.csv";
const KEEP_FAILURES: [&str; 2] = ["--failures", FAILED];

/// Returns a provider that refuses [`FIRST`], leaves [`SECOND`] in doubt, can't take [`THIRD`] and accepts the rest.
fn mixed() -> FakeProvider {
    let provider = FakeProvider::twilio();
    provider.answer_with(|request| match request.field("To").as_str() {
        FIRST => Reply::twilio_error(400, 21211, "Invalid,\n'To' Phone Number"),
        SECOND => Reply::close(),
        THIRD => Reply::twilio_error(503, 20503, "=Service Unavailable"),
        _ => Reply::accept(),
    });
    provider
}

#[test]
fn what_failed_is_in_a_file_that_can_be_sent_to_again() {
    let provider = mixed();
    let environment = provider.environment_with("", "[delivery]\nmax_attempts = 1");
    let text = format!(
        "\u{feff}name,reason, phone_number,Cause\n\
         \"Ada, \"\"A\"\"\",=1+1,{FIRST},x\n\
         Bob,,{SECOND},\n\
         ,,{THIRD},\n\
         Eve,,{NUMBER},\n\
         Eve,,{NUMBER},\n\
         Tom,,{INVALID},\n\
         Sue,,{FIRST},,more\n\
         \"Max,,{FIRST},\n"
    );
    let invalid = "it isn't valid: the numbering plan has no such number";
    let options = [&KEEP_FAILURES[..], &["nobody"]].concat();
    let run = environment.send_text(&text, &options).expect_code(3);
    let summary = run.stderr.lines().last().expect("a summary");
    let counts = "1 sent, 6 failed (2 invalid lines, 2 invalid numbers, 1 rejected: number, \
                  1 unavailable: temporary), 1 unknown, 1 skipped (1 duplicate), in ";
    assert!(summary.contains(counts), "{run:#?}");
    assert_eq!(environment.mode(FAILED), 0o600);
    let failed = environment.read(FAILED);
    let mut lines: Vec<_> = failed.lines().collect();
    assert_eq!(lines.remove(0), "name,phone_number,reason,code,cause");
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "\"Ada, \"\"A\"\"\",+12025550101,\"Invalid, 'To' Phone Number\",21211,number",
            "\"Max,,+12025550101,\",,,,,,,a quotation mark is not closed at the end of its field,,",
            ",+12025550103,'=Service Unavailable,20503,temporary",
            ",nobody,\"it contains letters; write the number alone, in digits\",,",
            "Sue,,+12025550101,,more,,,\"it has 5 fields, the heading 4\",,",
            &format!("Tom,{INVALID},{invalid},,"),
        ]
    );

    // The same again, with what can be sent by now.
    provider.always(Reply::accept());
    let again = ["--format", "json", "send", "--file", FAILED, "--failures", "again.csv"];
    let run = environment.run(&again).expect_code(3);
    assert_eq!(run.numbers_with("status", "sent"), [FIRST, THIRD]);
    let again = environment.read("again.csv");
    let mut lines: Vec<_> = again.lines().collect();
    assert_eq!(lines.remove(0), "name,phone_number,reason,code,cause");
    lines.sort_unstable();
    assert_eq!(lines.len(), 4, "{again}");
    assert_eq!(lines[3], format!("Tom,{INVALID},{invalid},,"));
}

#[test]
fn what_a_code_means_is_said_with_the_first_number_that_failed_with_it() {
    let provider = FakeProvider::twilio();
    provider.always(Reply::twilio_error(400, 21610, "Attempt to send to unsubscribed recipient"));
    let environment = provider.environment();
    environment.write(FILE, &format!("{FIRST}\n{SECOND}\n{THIRD}\nnobody\n{NUMBER}\n"));
    let run = environment.run(&SEND_FILE).expect_code(1);
    let lines = |start| run.stderr.lines().filter(|line| line.starts_with(start)).count();
    assert_eq!((lines("error: "), lines("hint: The person replied STOP")), (5, 1), "{run:#?}");
}

#[test]
fn a_line_that_cannot_be_used_fails_again_whatever_its_fields_become() {
    let provider = FakeProvider::twilio().never_called();
    let message = "message = \"Hi {name}: {security_code}\"";
    let environment = provider.environment_with(message, "");
    // Each line would be sent to, or with the words of the reason, if its fields or the reason took another place.
    for line in [
        "Doe, Jane,+12025550101,+12025550102",
        "Doe,Ann, Jane,+12025550101,+12025550102",
        "\"Doe, \"JJ\", Jane\",+12025550101",
        "Doe,+12025550101,\"+12025550102",
    ] {
        environment
            .send_text(&format!("name,home,phone_number\n{line}\n"), &KEEP_FAILURES)
            .expect_code(2);
        let failed = environment.read(FAILED);
        let run = environment.run(&["send", "--file", FAILED]).expect_code(2);
        assert!(run.stderr.contains("fields, the heading 6"), "{failed}{run:#?}");
        fs::remove_file(environment.path(FAILED)).expect("it is there");
    }
    environment.send_text("phone_number,name\n+12025550101,\"Ada\n", &KEEP_FAILURES).expect_code(2);
    environment.run(&["send", "--file", FAILED]).expect_code(2);
}

#[test]
fn fields_that_are_missing_at_the_end_of_a_record_are_empty_there() {
    let provider = mixed();
    let environment = provider.environment_with("", "[delivery]\nmax_attempts = 1");
    let text = format!("phone_number,first name,language\n{FIRST}\n{THIRD},Eve\n");
    environment.send_text(&text, &KEEP_FAILURES).expect_code(1);
    let failed = environment.read(FAILED);
    let mut lines: Vec<_> = failed.lines().skip(1).collect();
    lines.sort_unstable();
    let expected = [
        format!("{FIRST},,,\"Invalid, 'To' Phone Number\",21211,number"),
        format!("{THIRD},Eve,,'=Service Unavailable,20503,temporary"),
    ];
    assert_eq!(lines, expected);
}

#[test]
fn a_reason_never_fills_a_message_and_never_replaces_a_number() {
    let provider = FakeProvider::twilio().never_called();
    let message = "message = \"Order {Code}: {security_code}\"";
    for (keys, text, options) in [
        (message, format!("phone_number,code\n{FIRST},7\n"), &[][..]),
        (message, format!("{FIRST}\n"), &["--context", "Code=7"]),
        ("", format!("name,Cause\nEve,{FIRST}\n"), &["--column", "cause"]),
    ] {
        let environment = provider.environment_with(keys, "");
        let run = environment.send_text(&text, &[&KEEP_FAILURES, options].concat());
        let error = "error: --failures: its column `c";
        assert!(run.expect_code(2).stderr.starts_with(error), "{text}");
        assert!(!environment.path(FAILED).exists());
    }
}

#[test]
fn of_plain_numbers_the_column_is_phone_number() {
    let provider = mixed();
    let environment = provider.environment();
    environment.write(FILE, &format!("{FIRST}\nnobody at home\n{NUMBER}\n"));
    environment.run(&send_file_with(&KEEP_FAILURES)).expect_code(3);
    let failed = environment.read(FAILED);
    let lines: Vec<_> = failed.lines().collect();
    assert_eq!(lines[0], "phone_number,reason,code,cause");
    assert!(failed.contains(&format!("\n{FIRST},")), "{failed}");
    assert!(failed.contains("\nnobody at home,"), "{failed}");
    assert_eq!(lines.len(), 3, "{failed}");
    environment.run(&["send", FIRST, "--failures", "another"]).expect_code(1);
    assert_eq!(environment.read("another").lines().count(), 2);
}

#[test]
fn a_line_that_cannot_be_read_at_all_is_named_by_its_number() {
    let provider = FakeProvider::twilio();
    let environment = provider.environment();
    let text = [NUMBER.as_bytes(), b"\n+1415\xff\nnobody\n"].concat();
    fs::write(environment.path(FILE), text).expect("our file");
    environment.run(&send_file_with(&KEEP_FAILURES)).expect_code(3);
    let failed = environment.read(FAILED);
    let lines: Vec<_> = failed.lines().skip(1).collect();
    assert_eq!(lines[0], ",line 2: it is not UTF-8 text; export the file as UTF-8,,");
    assert!(lines[1].starts_with("nobody,") && lines.len() == 2, "{failed}");
}

#[test]
fn if_nothing_failed_there_is_no_file() {
    let provider = FakeProvider::twilio();
    let environment = provider.environment();
    environment.write_numbers(&numbers(5));
    environment.run(&send_file_with(&KEEP_FAILURES)).expect_code(0);
    assert!(!environment.path(FAILED).exists());
}

#[test]
fn nothing_is_overwritten_and_nothing_sent_if_the_file_cannot_be_created() {
    let provider = FakeProvider::twilio().never_called();
    let environment = provider.environment();
    environment.write_numbers(&numbers(5));
    environment.write("there", "a list\n");
    symlink("elsewhere", environment.path("link")).expect("a link");
    for (path, problem) in [
        ("there", "it exists already"),
        (FILE, "it exists already"),
        ("link", "it exists already"),
        (".", "it exists already"),
        ("none/failed.csv", "No such file"),
        ("-", "it isn't the name of a file"),
    ] {
        let run = environment.run(&send_file_with(&["--failures", path])).expect_code(2);
        assert!(run.stderr.starts_with(&format!("error: --failures {path}: ")), "{run:#?}");
        assert!(run.stderr.contains(problem) && run.stdout.is_empty(), "{run:#?}");
    }
    environment.run(&send_file_with(&["--dry-run", "--failures", FAILED])).expect_code(2);
    assert_eq!(environment.read("there"), "a list\n");
    assert!(!environment.path("elsewhere").exists() && !environment.path(FAILED).exists());
    environment.expect_no_database();
}

#[test]
fn what_failed_is_in_the_file_even_if_the_run_is_killed() {
    let provider = FakeProvider::twilio();
    let environment = provider.environment_with("", "[delivery]\nmax_in_flight = 1");
    let mut lines = vec![FIRST.to_owned(), INVALID.to_owned()];
    lines.extend(numbers(1));
    environment.write_numbers(&lines);
    provider.next(Reply::twilio_error(400, 21211, "Invalid 'To' Phone Number"));
    let held = provider.hold_next();
    let mut program = environment.start(&send_file_with(&KEEP_FAILURES));
    held.wait_for_arrival();
    wait_until("both failures are there", || environment.read(FAILED).lines().count() == 3);
    program.kill().expect("it runs");
    finish(program);
    held.release(Reply::accept());
    let failed = environment.read(FAILED);
    for number in [FIRST, INVALID] {
        assert!(failed.contains(&format!("\n{number},")), "{failed}");
    }
}

#[test]
fn what_the_end_of_the_run_left_waiting_is_not_in_it_and_the_summary_adds_up() {
    let provider = FakeProvider::twilio();
    let environment = provider.environment_with("", FOUR_IN_FLIGHT);
    let mut lines = numbers(900);
    lines.insert(0, INVALID.to_owned());
    environment.write_numbers(&lines);
    let held = provider.hold(4);
    let program = environment.start(&send_file_with(&KEEP_FAILURES));
    wait_for_arrivals(&held);
    send_signal(&program, "INT");
    accept_all(held);
    let run = finish(program).expect_code(130);
    assert_eq!(environment.read(FAILED).lines().count(), 2, "{run:#?}");
    let summary = run.stderr.lines().last().expect("a summary");
    let stopped = run.json_lines().len() - 5;
    let not_reached = 901 - 5 - stopped;
    assert!(stopped > 0 && not_reached > 0, "{summary}");
    let counts = format!(
        "note: 4 sent, 1 failed (1 invalid number), 0 unknown, 0 skipped, {stopped} stopped, \
         {not_reached} not reached, in "
    );
    assert!(summary.starts_with(&counts), "{summary}");
}

#[test]
fn a_file_of_failures_that_cannot_be_written_on_stops_the_run_in_order() {
    let provider = FakeProvider::twilio();
    let environment = provider.environment();
    let held = provider.hold_next();
    // Room for the database, but not for all failures.
    let arguments = ["send", "--file", "-", "--failures", FAILED];
    let mut command = environment.after_shell("ulimit -f 8192", &arguments);
    let mut program = command.stdin(Stdio::piped()).spawn().expect("the program starts");
    let mut stdin = program.stdin.take().expect("stdin is piped");
    write!(stdin, "phone_number,note\n{NUMBER},\n").expect("it reads");
    held.wait_for_arrival();
    for line in 0..200 {
        // Once it has stopped, it may not read on.
        let _ = writeln!(stdin, "nobody,{line} {}", "x".repeat(60_000));
    }
    held.release(Reply::accept());
    let run = finish(program).expect_code(3);
    let lines: Vec<_> = run.stderr.lines().collect();
    let error = format!("error: --failures {FAILED}: can't be written: File too large");
    assert!(lines[lines.len() - 1].starts_with(&error), "{}", last(&run.stderr));
    assert!(lines[lines.len() - 2].starts_with("note: 1 sent, "), "{}", last(&run.stderr));
    assert_eq!(environment.numbers_in_state("accepted"), [NUMBER]);
    // What is in it can be read.
    let failed = environment.read(FAILED);
    assert!(failed.lines().count() > 50 && failed.ends_with(",,\n"), "{}", last(&failed));
    assert!(failed.lines().skip(1).all(|line| line.ends_with("\",,")), "{}", last(&failed));
}

/// Returns the end of a long text.
fn last(text: &str) -> &str {
    &text[text.len().saturating_sub(2000)..]
}

#[test]
fn it_holds_no_code_and_no_token() {
    let provider = FakeProvider::twilio();
    provider.answer_with(|request| Reply::twilio_error(400, 21211, &request.field("Body")));
    let environment: Environment = provider.environment();
    environment.write_numbers(&numbers(3));
    environment.run(&[&SEND_FILE[..], &KEEP_FAILURES].concat()).expect_code(1);
    let failed = environment.read(FAILED);
    assert_eq!(failed.lines().count(), 4, "{failed}");
    for request in provider.requests() {
        let text = request.field("Body");
        let code = crate::support::code_in(&text);
        assert!(!failed.contains(code), "{failed}");
    }
    assert!(!failed.contains("eyJ"), "{failed}");
}
