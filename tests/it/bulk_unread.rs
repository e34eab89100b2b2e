//! A `send` to many numbers whose results or errors nobody reads, or not yet: everything else goes on.

use std::fs::File;
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::process::{Child, Stdio};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use crate::support::{
    DEFAULT_SIGNALS, Environment, FakeProvider, HeldRequest, Reply, Results, Run, SEND_FILE,
    expect_settled, expect_the_rest_on_resume, finish, numbers, send_signal, signal_until_it_ends,
    sorted, wait_until,
};

/// As many characters of a provider's words are shown.
const LONGEST_WORDS: usize = 500;
/// What fills a pipe that has no room.
const FILLING: char = '.';

/// Starts a `send` whose results nobody reads, and waits until it has made more of them than any pipe holds.
#[track_caller]
fn with_unread_results(environment: &Environment) -> Child {
    let program = environment.start(&SEND_FILE);
    wait_until("more was sent than the pipe has room for", || {
        environment.numbers_in_state("accepted").len() > 400
    });
    program
}

#[test]
fn a_reader_who_takes_his_time_keeps_no_answer_from_being_settled() {
    let provider = FakeProvider::twilio();
    let environment = provider.environment();
    environment.run(&["migrate"]).expect_code(0);
    environment.write_numbers(&numbers(2000));
    let held = provider.hold_next();
    let program = with_unread_results(&environment);
    let number = held.wait_for_arrival().field("To");
    held.release(Reply::accept());
    wait_until("the answer is settled", || {
        environment.numbers_in_state("accepted").contains(&number)
    });
    let run = finish(program).expect_code(0);
    assert_eq!(run.numbers_with("status", "sent"), sorted(numbers(2000)));
}

#[test]
fn a_program_whose_results_nobody_reads_can_be_stopped() {
    let provider = FakeProvider::twilio();
    let environment = provider.environment();
    environment.run(&["migrate"]).expect_code(0);
    environment.write_numbers(&numbers(2000));
    let mut program = with_unread_results(&environment);
    send_signal(&program, "INT");
    wait_until("what was in flight is settled", || {
        environment.numbers_in_state("sending").is_empty()
    });
    // It still waits for the reader, as the results are not lost as long as he may come back.
    signal_until_it_ends(&mut program, "INT");
    finish(program).expect_code(130);
    expect_settled(&provider, &environment);
    expect_the_rest_on_resume(&provider, &environment, 2000);
}

/// A `send` to `count` numbers, of which the provider holds the first and refuses all others, and a stderr that has no room.
struct Refused {
    provider: FakeProvider,
    environment: Environment,
    held: HeldRequest,
    stderr: (PipeReader, PipeWriter),
}

impl Refused {
    fn new(count: usize) -> Self {
        let provider = FakeProvider::twilio();
        let environment = provider.environment_with("", "[delivery]\ntimeout_seconds = 300");
        environment.run(&["migrate"]).expect_code(0);
        environment.write_numbers(&numbers(count));
        provider.always(Reply::twilio_error(400, 21211, &"x".repeat(LONGEST_WORDS)));
        let held = provider.hold_next();
        Self { provider, environment, held, stderr: full_pipe() }
    }

    /// Runs the program with its results at `stdout` until the first numbers are refused. Then the provider accepts what it
    /// holds, which the ledger has to know though nobody reads what the program says of the others.
    #[track_caller]
    fn start(self, stdout: impl Into<Stdio>) -> Unread {
        let Self { provider, environment, held, stderr: (stderr, writer) } = self;
        let mut command = environment.wrapped(&DEFAULT_SIGNALS, &SEND_FILE);
        let program = command.stdout(stdout).stderr(writer).spawn().expect("it starts");
        drop(command);
        let number = held.wait_for_arrival().field("To");
        wait_until("a number is refused", || !environment.numbers_in_state("rejected").is_empty());
        held.release(Reply::accept());
        wait_until("the answer is settled", || {
            environment.numbers_in_state("accepted") == [&*number]
        });
        Unread { provider, environment, program, stderr }
    }
}

/// A program that runs, and what it says that nobody has read.
struct Unread {
    provider: FakeProvider,
    environment: Environment,
    program: Child,
    stderr: PipeReader,
}

impl Unread {
    /// Reads what it says to its end, and returns that and the exit code.
    fn read(mut self) -> (String, Option<i32>) {
        let mut stderr = String::new();
        self.stderr.read_to_string(&mut stderr).expect("it is text");
        let run = finish(self.program);
        (stderr.trim_start_matches(FILLING).to_owned(), run.code)
    }

    /// Sends SIGINT until it ends.
    fn interrupt(mut self) -> (FakeProvider, Environment, Run) {
        signal_until_it_ends(&mut self.program, "INT");
        (self.provider, self.environment, finish(self.program))
    }
}

/// Returns a pipe that takes nothing before it is read.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    let flags = fcntl_getfl(&writer).expect("it is open");
    fcntl_setfl(&writer, flags | OFlags::NONBLOCK).expect("a pipe can refuse to wait");
    while writer.write(&[FILLING as u8]).is_ok() {}
    fcntl_setfl(&writer, flags).expect("and can wait again");
    (reader, writer)
}

#[test]
fn a_reader_of_the_errors_who_takes_his_time_keeps_no_answer_from_being_settled() {
    let refused = Refused::new(1000);
    let results = refused.environment.path("results");
    let stdout = File::create(&results).expect("a file");
    let results = File::open(&results).expect("the same file");
    let (stderr, code) = refused.start(stdout).read();
    assert_eq!(code, Some(3), "{stderr}");
    let (errors, others): (Vec<_>, Vec<_>) =
        stderr.lines().partition(|line| line.starts_with("error: "));
    assert_eq!(errors.len(), 999);
    assert!(errors.iter().all(|line| line.contains(&"x".repeat(LONGEST_WORDS))), "{errors:#?}");
    let others: Vec<_> = others.into_iter().filter(|line| !line.starts_with("hint: ")).collect();
    assert_eq!(others.len(), 1, "{others:#?}");
    assert!(others[0].contains("1 sent, 999 failed"), "{others:#?}");
    assert_eq!(stderr.lines().last(), Some(others[0]));
    assert_eq!(std::io::read_to_string(results).expect("it is text").lines().count(), 1000);
}

#[test]
fn results_reach_their_reader_though_nobody_reads_the_errors() {
    let mut unread = Refused::new(50).start(Stdio::piped());
    let results = Results::from_program(&mut unread.program);
    let numbers_with_result: Vec<_> = (0..50)
        .map(|_| results.next()["phone_number"].as_str().expect("a number").to_owned())
        .collect();
    assert_eq!(sorted(numbers_with_result), sorted(numbers(50)));
    let (stderr, code) = unread.read();
    assert_eq!(code, Some(3), "{stderr}");
}

#[test]
fn a_program_whose_errors_nobody_reads_takes_no_more_numbers_and_can_be_stopped() {
    let unread = Refused::new(2000).start(Stdio::null());
    send_signal(&unread.program, "INT");
    wait_until("what was in flight is settled", || {
        unread.environment.numbers_in_state("sending").is_empty()
    });
    let (provider, environment, run) = unread.interrupt();
    run.expect_code(130);
    expect_settled(&provider, &environment);
    assert!(provider.requests().len() < 2000, "it went on");
}

#[test]
fn the_error_that_ends_a_run_is_told_last() {
    let full = File::create("/dev/full").expect("it is there");
    let (stderr, code) = Refused::new(100).start(full).read();
    assert_eq!(code, Some(3), "some were sent: {stderr}");
    let last = stderr.lines().last().expect("an error");
    assert!(last.starts_with("error: the results can't be written to stdout: "), "{stderr}");
}

#[test]
fn a_run_whose_last_error_nobody_reads_can_be_ended() {
    let full = File::create("/dev/full").expect("it is there");
    let unread = Refused::new(100).start(full);
    let (_provider, _environment, run) = unread.interrupt();
    // Whichever came first: the error, or whoever asked it to stop.
    assert!(matches!(run.code, Some(3 | 130)), "{run:#?}");
}

#[test]
fn without_anybody_at_stderr_every_number_has_its_result() {
    let provider = FakeProvider::twilio();
    provider.always(Reply::twilio_error(400, 21211, "Invalid 'To' Phone Number"));
    let environment = provider.environment();
    environment.write_numbers(&numbers(300));
    let (reader, stderr) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut command = environment.wrapped(&DEFAULT_SIGNALS, &SEND_FILE);
    let run = finish(command.stderr(stderr).spawn().expect("it starts")).expect_code(1);
    assert_eq!(run.numbers_with("status", "failed"), sorted(numbers(300)));
}

#[test]
fn results_and_errors_that_go_to_one_reader_break_none_of_each_others_lines() {
    let provider = FakeProvider::twilio();
    provider.always(Reply::twilio_error(400, 21211, &"x".repeat(LONGEST_WORDS)));
    let environment = provider.environment();
    environment.run(&["migrate"]).expect_code(0);
    environment.write_numbers(&numbers(1000));
    let (mut reader, writer) = full_pipe();
    let mut command = environment.wrapped(&DEFAULT_SIGNALS, &SEND_FILE);
    let stdout = writer.try_clone().expect("a handle");
    let program = command.stdout(stdout).stderr(writer).spawn().expect("it starts");
    drop(command);
    wait_until("many are refused", || environment.numbers_in_state("rejected").len() > 200);
    let mut text = String::new();
    reader.read_to_string(&mut text).expect("it is text");
    finish(program).expect_code(1);
    let lines: Vec<_> = text.trim_start_matches(FILLING).lines().collect();
    for number in numbers(1000) {
        let of_number = lines.iter().filter(|line| line.contains(&number));
        let starts: Vec<_> = of_number.map(|line| &line[..7]).collect();
        assert_eq!(starts, ["error: ", "{\"phone"], "{number}");
    }
    assert_eq!(
        lines.iter().filter(|line| line.ends_with("x (21211)")).count(),
        1000,
        "{}",
        lines[0]
    );
    assert_eq!(lines.iter().filter(|line| line.ends_with('}')).count(), 1000);
}
