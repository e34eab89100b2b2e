//! How a `send` to many numbers ends before its end: by a signal, or because nobody takes its results any more.

use std::fs::File;
use std::io::Write;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};

use regex::Regex;

use crate::support::{
    FOUR_IN_FLIGHT, FakeProvider, KEEP, NUMBER, Reply, Run, SEND_FILE, accept_all, expect_settled,
    expect_the_rest_on_resume, finish, hook, numbers, send_file_with, send_signal,
    set_up_four_in_flight, signal_until_it_ends, sorted, wait_for_arrivals, wait_until,
};

/// Asserts that the counts of the summary add up to `total`.
#[track_caller]
fn expect_sum(run: &Run, total: u64) {
    let summary = run.stderr.lines().last().expect("a summary");
    let words = "sent|failed|unknown|skipped|stopped|under way|not reached";
    let counts = Regex::new(&format!(r"(?:note:|,) ([\d,]+) (?:{words})\b")).expect("a pattern");
    // Those in brackets are parts of the others.
    let brackets = Regex::new(r" \([^)]*\)").expect("a pattern");
    let summary = brackets.replace_all(summary, "");
    let counts = counts.captures_iter(&summary);
    let sum: u64 =
        counts.map(|count| count[1].replace(',', "").parse::<u64>().expect("a number")).sum();
    assert_eq!(sum, total, "{summary}");
}

#[test]
fn a_signal_starts_no_further_request_and_settles_those_in_flight() {
    for (signal, code) in [("HUP", 129), ("INT", 130), ("TERM", 143)] {
        let (provider, environment) = set_up_four_in_flight(100);
        let held = provider.hold(4);
        let program = environment.start(&SEND_FILE);
        let in_flight = sorted(wait_for_arrivals(&held).iter().map(|request| request.field("To")));
        send_signal(&program, signal);
        accept_all(held);
        let run = finish(program).expect_code(code);
        assert_eq!(run.numbers_with("status", "sent"), in_flight);
        assert_eq!(provider.requested_numbers(), in_flight);
        assert_eq!(environment.numbers_of_records(), in_flight);
        expect_settled(&provider, &environment);
        let summary = run.stderr.lines().last().expect("a summary");
        assert!(summary.contains("4 sent"), "{run:#?}");
        expect_sum(&run, 100);
        expect_the_rest_on_resume(&provider, &environment, 100);
    }
}

#[test]
fn numbers_that_a_signal_left_waiting_are_counted_and_are_no_error_each() {
    let provider = FakeProvider::twilio();
    let tables = format!("{FOUR_IN_FLIGHT}\n[hooks]\n{}", hook("failed", KEEP));
    let environment = provider.environment_with("", &tables);
    environment.write_numbers(&numbers(100));
    let held = provider.hold(4);
    let program = environment.start(&SEND_FILE);
    wait_for_arrivals(&held);
    wait_until("more are stored than in flight", || environment.count() > 6);
    send_signal(&program, "INT");
    accept_all(held);
    let run = finish(program).expect_code(130);
    let waiting = run.json_lines().len() - 4;
    assert!(waiting > 2, "{run:#?}");
    for line in run.json_lines().iter().filter(|line| line["status"] == "failed") {
        assert_eq!(line["error"]["kind"], "unavailable", "{line:#}");
    }
    assert_eq!(run.numbers_with("status", "failed").len(), waiting);
    let lines: Vec<_> = run.stderr.lines().collect();
    assert_eq!(lines.len(), 3, "{run:#?}");
    let note = "note: stopping after the 4 requests under way; Ctrl-C again stops now";
    assert_eq!(lines[0], note);
    assert!(lines[1].starts_with("warning: "), "{run:#?}");
    assert!(lines[1].contains(&format!(" {waiting} numbers waiting got nothing")), "{run:#?}");
    assert!(lines[1].contains("--resume"), "{run:#?}");
    let counts = format!("4 sent, 0 failed, 0 unknown, 0 skipped, {waiting} stopped, in ");
    assert!(lines[2].contains(&counts), "{run:#?}");
    assert_eq!(environment.hook_events(), [""; 0], "a hook was told of what nobody tried to send");
    expect_the_rest_on_resume(&provider, &environment, 100);
}

#[test]
fn what_waits_behind_a_request_ends_before_its_answer_comes() {
    let (provider, environment) = set_up_four_in_flight(100);
    let held = provider.hold(4);
    let program = environment.start(&SEND_FILE);
    let in_flight = sorted(wait_for_arrivals(&held).iter().map(|request| request.field("To")));
    wait_until("more are stored than in flight", || environment.count() > 4);
    send_signal(&program, "INT");
    wait_until("nothing but the requests is left", || environment.count() == 4);
    assert_eq!(environment.numbers_in_state("sending"), in_flight);
    accept_all(held);
    finish(program).expect_code(130);
    expect_settled(&provider, &environment);
}

#[test]
fn of_one_number_that_is_under_way_nobody_says_that_there_was_none() {
    let (provider, environment) = set_up_four_in_flight(1);
    let held = provider.hold_next();
    let mut program = environment.start(&["send", NUMBER]);
    held.wait_for_arrival();
    signal_until_it_ends(&mut program, "TERM");
    let run = finish(program).expect_code(143);
    let lines: Vec<_> = run.stderr.lines().collect();
    let note = "note: stopping after the request under way; a second signal stops now";
    assert_eq!((lines.len(), lines[0]), (2, note), "{run:#?}");
    assert!(lines[1].starts_with("warning: 1 number still under way: "), "{run:#?}");
    held.release(Reply::accept());
}

#[test]
fn a_run_that_was_stopped_before_its_end_says_so_and_one_at_its_end_does_not() {
    let (provider, environment) = set_up_four_in_flight(1);
    let held = provider.hold_next();
    let mut command = environment.command(&["send", "--file", "-"]);
    let mut program = command.stdin(Stdio::piped()).spawn().expect("the program starts");
    let mut stdin = program.stdin.take().expect("stdin is piped");
    writeln!(stdin, "{}", numbers(1)[0]).expect("it reads");
    held.wait_for_arrival();
    send_signal(&program, "TERM");
    held.release(Reply::accept());
    let run = finish(program).expect_code(143);
    assert!(
        run.stderr.contains("warning: stopped: what follows got nothing; --resume"),
        "{run:#?}"
    );

    let held = provider.hold_next();
    let program = environment.start(&SEND_FILE);
    held.wait_for_arrival();
    send_signal(&program, "TERM");
    held.release(Reply::accept());
    let run = finish(program).expect_code(143);
    assert!(!run.stderr.contains("--resume"), "{run:#?}");
}

#[test]
fn after_a_signal_each_answer_is_settled_as_ever() {
    let (provider, environment) = set_up_four_in_flight(100);
    let held = provider.hold(4);
    let program = environment.start(&SEND_FILE);
    let numbers: Vec<_> =
        wait_for_arrivals(&held).iter().map(|request| request.field("To")).collect();
    send_signal(&program, "TERM");
    let replies = [
        Reply::accept(),
        Reply::twilio_error(400, 21211, "Invalid 'To' Phone Number"),
        Reply::close(),
        // What could be tried again is not, as that would be another request.
        Reply::twilio_error(503, 20503, "Service Unavailable"),
    ];
    held.into_iter().zip(replies).for_each(|(held, reply)| held.release(reply));
    let run = finish(program).expect_code(143);
    assert_eq!(provider.requests().len(), 4);
    assert_eq!(run.numbers_with("status", "sent"), numbers[..1]);
    let states = environment.states_by_number();
    for (number, state) in numbers.iter().zip(["accepted", "rejected", "unknown", "unavailable"]) {
        assert!(
            states.contains(&(number.clone(), state.to_owned())),
            "{number} {state}: {states:?}"
        );
    }
    let kept = [numbers[0].clone(), numbers[2].clone()];
    assert_eq!(environment.numbers_of_records(), sorted(kept));
    let summary = run.stderr.lines().last().expect("a summary");
    for count in ["1 sent", "1 rejected", "1 unknown"] {
        assert!(summary.contains(count), "{count}: {summary}");
    }
}

#[test]
fn a_signal_waits_for_an_answer_no_longer_than_the_time_out() {
    let provider = FakeProvider::twilio();
    provider.always(Reply::never());
    let environment =
        provider.environment_with("", "[delivery]\nmax_in_flight = 2\ntimeout_seconds = 2");
    environment.write_numbers(&numbers(100));
    let program = environment.start(&SEND_FILE);
    provider.wait_until("two requests", |log| log.requests.len() == 2);
    send_signal(&program, "INT");
    let run = finish(program).expect_code(130);
    let numbers = provider.requested_numbers();
    assert_eq!(numbers.len(), 2, "{numbers:?}");
    assert_eq!(environment.numbers_in_state("unknown"), numbers);
    assert_eq!(environment.numbers_of_records(), numbers);
    assert!(run.stderr.lines().last().is_some_and(|line| line.contains("2 unknown")), "{run:#?}");
}

#[test]
fn a_second_signal_ends_the_program_at_once() {
    let (provider, environment) = set_up_four_in_flight(100);
    let held = provider.hold(4);
    let mut program = environment.start(&SEND_FILE);
    let in_flight = wait_for_arrivals(&held);
    signal_until_it_ends(&mut program, "INT");
    let run = finish(program).expect_code(130);
    assert!(run.stderr.contains("numbers still under way: --resume"), "{run:#?}");
    let note = "note: stopping after the 4 requests under way; Ctrl-C again stops now\n";
    assert!(run.stderr.starts_with(note), "{run:#?}");
    assert!(run.stderr.contains(" under way, in "), "{run:#?}");
    expect_sum(&run, 100);
    assert_eq!(provider.requests().len(), 4);
    let sending = environment.numbers_in_state("sending");
    for request in in_flight {
        assert!(sending.contains(&request.field("To")), "{sending:?}");
    }
    assert_eq!(environment.numbers_of_records(), sending, "whatever may be sent has its record");
    accept_all(held);
    provider.wait_until("all that was in flight", |log| log.accepted.len() == 4);
    // What was in flight, or about to be, is named; the rest is sent.
    let run = environment.run(&send_file_with(&["--resume"]));
    assert_eq!(run.numbers_with("reason", "unknown_outcome"), sending);
    let rest = numbers(100).into_iter().filter(|number| !sending.contains(number));
    assert_eq!(run.numbers_with("status", "sent"), sorted(rest));
    assert_eq!(provider.accepted().len(), 104 - sending.len());
}

/// Sends SIGTERM to `program` and asserts that it ends though it had more to do.
#[track_caller]
fn terminate(program: Child) {
    send_signal(&program, "TERM");
    finish(program).expect_code(143);
}

#[test]
fn a_signal_ends_every_wait_before_a_request() {
    // For its turn.
    let provider = FakeProvider::twilio();
    let environment = provider.environment_with("", "[delivery]\nmax_per_second = 1");
    environment.write_numbers(&numbers(100));
    let program = environment.start(&SEND_FILE);
    provider.wait_until("the first acceptance", |log| log.accepted.len() == 1);
    terminate(program);
    assert!(provider.requests().len() < 100);
    expect_settled(&provider, &environment);
    assert_eq!(environment.numbers_of_records(), provider.accepted_numbers());

    // For another attempt.
    let (provider, environment) = set_up_four_in_flight(100);
    provider.always(Reply::throttled().retry_after_seconds(25));
    let program = environment.start(&SEND_FILE);
    provider.wait_until("four refusals", |log| log.finished == 4);
    terminate(program);
    assert_eq!(provider.requests().len(), 4);
    assert_eq!(environment.count(), 0);
    provider.always(Reply::accept());

    // For numbers.
    let provider = FakeProvider::twilio();
    let environment = provider.environment();
    let mut command = environment.command(&["send", "--file", "-"]);
    let mut program = command.stdin(Stdio::piped()).spawn().expect("the program starts");
    let mut stdin = program.stdin.take().expect("stdin is piped");
    writeln!(stdin, "{}", numbers(1)[0]).expect("it reads");
    provider.wait_until("the only acceptance", |log| log.accepted.len() == 1);
    terminate(program);
    expect_settled(&provider, &environment);
    drop(stdin);
}

#[test]
fn a_signal_with_many_connections_open_leaves_each_number_in_one_state() {
    let provider = FakeProvider::twilio();
    let environment = provider.environment();
    environment.write_numbers(&numbers(2000));
    let program = environment.command(&SEND_FILE).stdout(Stdio::null()).spawn().expect("it starts");
    provider.wait_until("some hundred requests", |log| log.requests.len() > 300);
    send_signal(&program, "INT");
    let run = finish(program).expect_code(130);
    expect_sum(&run, 2000);
    expect_settled(&provider, &environment);
    assert!(provider.requests().len() < 2000);
    assert_eq!(environment.numbers_of_records(), provider.accepted_numbers());
    expect_the_rest_on_resume(&provider, &environment, 2000);
}

/// Runs `send` with four in flight, has `lose` take its stdout away, and asserts that only few more requests start and that
/// nothing is lost.
#[track_caller]
fn expect_an_end_without_stdout(stdout: Stdio, lose: impl FnOnce(&mut Child), code: Option<i32>) {
    let (provider, environment) = set_up_four_in_flight(1000);
    let first = provider.hold(4);
    let gate = Arc::new(Mutex::new(()));
    let passage = Arc::clone(&gate);
    provider.answer_with(move |_| {
        drop(passage.lock());
        Reply::accept()
    });
    let closed = gate.lock().expect("nobody had it");
    let mut program = environment.command(&SEND_FILE).stdout(stdout).spawn().expect("it starts");
    wait_for_arrivals(&first);
    lose(&mut program);
    accept_all(first);
    // By then their results are on their way out; meanwhile as many others may have started.
    wait_until("the first four are settled", || {
        environment.numbers_in_state("accepted").len() == 4
    });
    drop(closed);
    let run = finish(program);
    if let Some(code) = code {
        assert_eq!(run.code, Some(code), "{run:#?}");
    }
    assert!(!run.stderr.contains("panicked"), "{run:#?}");
    // Those in flight when the first result could not be written, and those that started before its writer said so.
    let requests = provider.requests().len();
    assert!(requests < 500, "{requests} requests");
    expect_settled(&provider, &environment);
    assert_eq!(environment.numbers_of_records(), provider.accepted_numbers());
    expect_the_rest_on_resume(&provider, &environment, 1000);
}

#[test]
fn a_stdout_that_is_closed_amid_a_run_ends_it_and_nothing_is_lost() {
    expect_an_end_without_stdout(Stdio::piped(), |program| drop(program.stdout.take()), None);
}

#[test]
fn a_stdout_that_is_full_ends_the_run_and_nothing_is_lost() {
    let full = File::create("/dev/full").expect("it is there");
    expect_an_end_without_stdout(full.into(), |_| {}, Some(3));
}
