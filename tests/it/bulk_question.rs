//! What `send` says and asks before it sends to many numbers, and whether it was the same list before.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Stdio;

use crate::support::{
    Environment, FILE, FakeProvider, INVALID, Reply, Run, finish, numbers, run_command, wait_until,
};

const QUESTION: &str = "[y/N] ";

/// Runs `line` at a terminal, types `keys` once the question is asked, and returns how the program ended and what the terminal
/// showed.
#[track_caller]
fn answer(environment: &Environment, line: &str, keys: &str) -> Run {
    answer_after(|| {}, environment, line, keys)
}

/// Does the same, and lets `happen` happen while the question waits.
#[track_caller]
fn answer_after(happen: impl FnOnce(), environment: &Environment, line: &str, keys: &str) -> Run {
    let screen = environment.path("screen");
    let mut terminal = environment.at_terminal(200, line);
    terminal.env("NO_COLOR", "1");
    terminal.stdin(Stdio::piped()).stdout(File::create(&screen).expect("a file"));
    let mut terminal = terminal.spawn().expect("script is installed");
    let shown = || fs::read_to_string(&screen).expect("it is text");
    wait_until("the program asks", || shown().contains(QUESTION));
    happen();
    let mut keyboard = terminal.stdin.take().expect("stdin is piped");
    std::io::Write::write_all(&mut keyboard, keys.as_bytes()).expect("script reads");
    let run = finish(terminal);
    Run { stdout: shown(), ..run }
}

/// Returns a provider that so many requests will arrive at.
fn provider_of(requests: usize) -> FakeProvider {
    let provider = FakeProvider::twilio();
    if requests == 0 { provider.never_called() } else { provider }
}

/// Returns an environment whose file has 101 valid numbers, one of them twice, and one that is invalid.
fn many_numbers(provider: &FakeProvider) -> Environment {
    let environment = provider.environment();
    let mut lines = numbers(101);
    lines.extend([numbers(1)[0].clone(), INVALID.to_owned(), "+442079460018".to_owned()]);
    environment.write_numbers(&lines);
    environment
}

#[test]
fn only_a_yes_sends_to_many_numbers() {
    let (end_of_input, ctrl_c) = ("\u{4}", "\u{3}");
    for (keys, code, sent) in [
        ("y\n", 3, 102),
        ("YES\n", 3, 102),
        ("n\n", 1, 0),
        ("\n", 1, 0),
        ("yesterday\n", 1, 0),
        (end_of_input, 1, 0),
        (ctrl_c, 130, 0),
    ] {
        let provider = provider_of(sent);
        let environment = many_numbers(&provider);
        let line = format!("phone-verify send --file {FILE} --failures failed >results");
        let run = answer(&environment, &line, keys).expect_code(code);
        assert_eq!(provider.requests().len(), sent, "{keys:?}");
        let lines: Vec<_> = run.stdout.lines().collect();
        assert_eq!(
            lines[..2],
            [
                "note: 102 would be sent in 102 segments, 1 failed (1 invalid number), 1 skipped (1 duplicate)",
                "note: by region: 101 AU, 1 GB",
            ]
        );
        let is_sent = sent > 0;
        assert!(lines[2].starts_with("Send to 102 numbers? [y/N] "), "{run:#?}");
        assert_eq!(run.stdout.contains("102 sent, 1 failed"), is_sent, "{run:#?}");
        assert_eq!(environment.path("failed").exists(), is_sent);
        if code == 1 {
            let end = "error: nothing was sent, since the answer wasn't yes\r\n\
                       hint: --yes sends without a question\r\n";
            assert!(run.stdout.ends_with(end), "{run:#?}");
        }
        if !is_sent {
            environment.expect_no_database();
        }
    }
}

#[test]
fn a_file_that_changes_before_the_answer_is_not_sent_to() {
    type Change = fn(&Path);
    let changes: [Change; 4] = [
        |file| fs::write(file, "+12025550101\n").expect("it is written"),
        |file| {
            let other = file.with_extension("other");
            fs::copy(file, &other).expect("it is copied");
            fs::rename(other, file).expect("it is replaced");
        },
        |file| {
            fs::rename(file, file.with_extension("old")).expect("it is moved");
            symlink("/dev/null", file).expect("it is replaced");
        },
        |file| fs::remove_file(file).expect("it is removed"),
    ];
    for change in changes {
        let provider = provider_of(0);
        let environment = many_numbers(&provider);
        let line = format!("phone-verify send --file {FILE} --failures failed >results");
        let change = || change(&environment.path(FILE));
        let run = answer_after(change, &environment, &line, "y\n").expect_code(1);
        let end = "error: the file has changed since it was read, and nothing was sent\r\n\
                   hint: send again to see what is in it now\r\n";
        assert!(run.stdout.ends_with(end), "{run:#?}");
        assert!(!environment.path("failed").exists());
    }
}

#[test]
fn the_question_knows_what_the_limits_and_resume_hold_back() {
    let provider = FakeProvider::twilio();
    let settings = "[limits]\nallowed_regions = [\"AU\"]";
    let environment = provider.environment_with("", settings);
    environment.write_numbers(&numbers(1));
    environment.run(&["send", "--file", FILE]).expect_code(0);
    let mut lines = numbers(101);
    lines.push("+442079460018".to_owned());
    environment.write_numbers(&lines);
    let run = answer(&environment, &format!("phone-verify send --file {FILE} --resume"), "n\n");
    let notes = "note: 100 would be sent in 100 segments, 1 failed (1 limited), 1 skipped (1 already sent)\r\n\
                 note: by region: 100 AU\r\n\
                 Send to 100 numbers? [y/N] ";
    assert!(run.stdout.starts_with(notes), "{run:#?}");
}

#[test]
fn a_file_that_cannot_be_read_ahead_is_asked_for_by_name() {
    let provider = FakeProvider::twilio();
    let environment = provider.environment();
    environment.write_numbers(&numbers(2));
    let line = format!("mkfifo pipe; cat {FILE} >pipe & phone-verify send --file pipe >results");
    let run = answer(&environment, &line, "y\n").expect_code(0);
    assert!(run.stdout.starts_with("Send to the numbers of pipe? [y/N] "), "{run:#?}");
    assert_eq!(provider.requests().len(), 2);
}

#[test]
fn nobody_is_asked_who_cannot_answer_or_need_not() {
    for (line, code, sent) in [
        ("phone-verify send --file numbers.txt --yes", 3, 102),
        ("phone-verify send -y --file numbers.txt", 3, 102),
        ("phone-verify send --file numbers.txt </dev/null", 3, 102),
        ("phone-verify send --file numbers.txt 2>errors", 3, 102),
        ("phone-verify send --file - <numbers.txt", 3, 102),
        ("phone-verify send --file numbers.txt --dry-run", 3, 0),
        ("phone-verify send --file numbers.txt --failures numbers.txt", 2, 0),
        ("head -100 numbers.txt >few; phone-verify send --file few", 0, 100),
        ("yes nobody | head -200 >invalid; phone-verify send --file invalid", 2, 0),
        // The second time, there is nothing to ask about.
        (
            "phone-verify send -y --file numbers.txt; phone-verify send --resume --file numbers.txt",
            3,
            102,
        ),
    ] {
        let provider = provider_of(sent);
        let environment = many_numbers(&provider);
        let run = run_command(environment.at_terminal(200, line)).expect_code(code);
        assert!(!run.stdout.contains(QUESTION), "{run:#?}");
        assert_eq!(provider.requests().len(), sent, "{line}");
    }
}

/// Returns the line of stderr that warns of the same list, if there is one.
fn warning(run: &Run) -> Option<&str> {
    run.stderr.lines().find(|line| line.contains("--resume"))
}

#[test]
fn the_same_list_again_is_warned_of_and_sent() {
    let provider = FakeProvider::twilio();
    provider.answer_with(|request| match request.field("To").as_str() {
        "+61255500001" => Reply::close(),
        "+61255500002" => Reply::twilio_error(400, 21211, "Invalid 'To' Phone Number"),
        _ => Reply::accept(),
    });
    let environment = provider.environment();
    environment.write_numbers(&numbers(3));
    let first = environment.run(&["send", "--file", FILE]).expect_code(3);
    assert_eq!(warning(&first), None);
    // Accepted, unknown, refused.
    let again = environment.run(&["send", "--file", FILE]).expect_code(3);
    let words = "warning: 2 of the first 3 numbers were sent a code that may still be valid; \
                 if this is the same list again, --resume skips them";
    assert_eq!(warning(&again), Some(words));
    assert_eq!(provider.requests().len(), 6);
    let text = numbers(3).join("\n");
    let piped = environment.run_with_input(&["send", "--file", "-"], text.as_bytes());
    assert_eq!(warning(&piped), Some(words));
    for arguments in [
        &["send", "--file", FILE, "--resume"][..],
        &["send", "--file", FILE, "--dry-run"],
        &["send", "+61255500000"],
        // One of two isn't most of them.
        &["send", "+61255500000", "+61255500002"],
    ] {
        let run = environment.run(arguments);
        assert!(!run.stderr.contains("same list"), "{arguments:?}: {run:#?}");
    }
    environment.backdate("sms_delivery", 601);
    let later = environment.run(&["send", "--file", FILE]).expect_code(3);
    assert_eq!(warning(&later), None);
}

#[test]
fn of_a_long_list_the_first_twenty_numbers_decide() {
    let provider = FakeProvider::twilio();
    let environment = provider.environment();
    environment.write_numbers(&numbers(11));
    environment.run(&["send", "--file", FILE]).expect_code(0);
    environment.write_numbers(&numbers(1000));
    let run = environment.run(&["send", "--file", FILE]).expect_code(0);
    assert!(run.stderr.contains("warning: 11 of the first 20 numbers"), "{run:#?}");
    let mut others = numbers(1030).split_off(1010);
    others.extend(numbers(1000));
    environment.write_numbers(&others);
    let run = environment.run(&["send", "--file", FILE]).expect_code(0);
    assert_eq!(warning(&run), None);
}

#[test]
fn the_same_list_again_is_warned_of_before_the_question() {
    let provider = FakeProvider::twilio();
    let environment = many_numbers(&provider);
    environment.run(&["send", "--file", FILE]).expect_code(3);
    let run = answer(&environment, &format!("phone-verify send --file {FILE}"), "n\n");
    let lines: Vec<_> = run.stdout.lines().collect();
    assert!(lines[2].starts_with("warning: 20 of the first 20 numbers"), "{run:#?}");
    assert!(lines[3].starts_with("Send to 102 numbers?"), "{run:#?}");
    let run = answer(&environment, &format!("phone-verify send --file {FILE}"), "y\n");
    assert_eq!(run.stdout.matches("same list").count(), 1, "{run:#?}");
}
