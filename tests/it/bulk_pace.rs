//! How `send` goes through many numbers: many at once but never too many, no faster than allowed, on connections that stay,
//! every record stored before its SMS leaves, in memory that does not grow.

use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension};

use crate::support::{
    Environment, FakeProvider, MAX_MEMORY, Reply, Results, SEND_FILE, accept_all, code_in, finish,
    numbers, peak_memory, sorted, wait_for_arrivals,
};

#[test]
fn as_many_requests_as_allowed_are_under_way_at_once_and_no_more() {
    for (delivery, max_in_flight) in
        [("", 32), ("[delivery]\nmax_in_flight = 5", 5), ("[delivery]\nmax_in_flight = 1", 1)]
    {
        let provider = FakeProvider::twilio();
        let environment = provider.environment_with("", delivery);
        environment.write_numbers(&numbers(100));
        let held = provider.hold(max_in_flight);
        let program = environment.start(&SEND_FILE);
        wait_for_arrivals(&held);
        assert_eq!(provider.log().in_flight, max_in_flight);
        accept_all(held);
        let run = finish(program).expect_code(0);
        assert_eq!(run.by_line().len(), 100);
        let log = provider.log();
        assert_eq!(log.most_in_flight, max_in_flight);
        assert_eq!(log.accepted.len(), 100);
    }
}

#[test]
fn connections_are_kept_and_used_again() {
    let provider = FakeProvider::twilio();
    let environment = provider.environment_with("", "[delivery]\nmax_in_flight = 8");
    environment.write_numbers(&numbers(400));
    environment.run(&SEND_FILE).expect_code(0);
    let log = provider.log();
    assert_eq!(log.accepted.len(), 400);
    // A request may open one while that of another is just becoming free.
    assert!(log.connections <= 2 * 8, "{} connections", log.connections);
}

#[test]
fn every_record_is_committed_before_its_request_arrives() {
    let provider = FakeProvider::twilio();
    let environment = provider.environment();
    environment.write_numbers(&numbers(300));
    environment.run(&["migrate"]).expect_code(0);
    let path = environment.path("phone-verify.sqlite3");
    let missing = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&missing);
    provider.answer_with(move |request| {
        let number = request.field("To");
        let text = request.field("Body");
        let state = state_of_record(&path, &number, code_in(&text));
        if state.as_deref() != Some("sending") {
            seen.lock().expect("no thread panicked").push((number, state));
        }
        Reply::accept()
    });
    environment.run(&SEND_FILE).expect_code(0);
    assert_eq!(provider.accepted().len(), 300);
    assert_eq!(*missing.lock().expect("no thread panicked"), []);
}

/// Returns the state of the delivery of the record of `number` with `code`, as another process sees it; None where there is none.
fn state_of_record(path: &Path, number: &str, code: &str) -> Option<String> {
    let connection = Connection::open(path).expect("a database");
    connection.busy_timeout(Duration::from_secs(10)).expect("a busy timeout");
    connection
        .query_row(
            "SELECT state FROM sms_verification JOIN sms_delivery
                ON sms_delivery.verification_id = sms_verification.id
             WHERE sms_verification.phone_number = ?1 AND security_code = ?2",
            [number, code],
            |row| row.get(0),
        )
        .optional()
        .expect("the database can be read")
}

/// The pace of the test below.
const MAX_PER_SECOND: u32 = 10;
/// How much longer one request may take from its start to the provider's log than another, on a busy machine.
const JITTER: Duration = Duration::from_millis(90);

#[test]
fn no_more_requests_start_in_any_one_second_than_allowed_and_none_in_a_burst() {
    let provider = FakeProvider::twilio();
    let arrivals = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&arrivals);
    provider.answer_with(move |_| {
        let mut arrivals = log.lock().expect("no thread panicked");
        arrivals.push(Instant::now());
        // Some have to be tried again, and their further attempts count as well.
        if arrivals.len() % 4 == 0 { Reply::throttled() } else { Reply::accept() }
    });
    let delivery = format!("[delivery]\nmax_per_second = {MAX_PER_SECOND}\nmax_attempts = 20");
    let environment = provider.environment_with("", &delivery);
    let numbers = numbers(20);
    environment.write_numbers(&numbers);
    let started = Instant::now();
    environment.run(&SEND_FILE).expect_code(0);
    assert_eq!(provider.accepted_numbers(), sorted(numbers));
    let arrivals = arrivals.lock().expect("no thread panicked");
    assert!(arrivals.len() >= 26, "there were retries: {}", arrivals.len());
    let share = Duration::from_secs(1) / MAX_PER_SECOND;
    for (earlier, first) in arrivals.iter().enumerate() {
        // What arrives late makes this comparison no less true.
        assert!(
            *first - started >= share * u32::try_from(earlier).expect("few"),
            "{earlier}: {arrivals:#?}"
        );
        for (later, last) in arrivals.iter().enumerate().skip(earlier + 1) {
            let least = share * u32::try_from(later - earlier).expect("few");
            assert!(*last - *first + JITTER >= least, "{earlier} to {later}: {arrivals:#?}");
        }
    }
}

#[test]
fn a_slow_pace_stores_no_record_long_before_its_sms() {
    let provider = FakeProvider::twilio();
    let environment =
        provider.environment_with("", "[delivery]\nmax_per_second = 1\nmax_in_flight = 4");
    environment.write_numbers(&numbers(30));
    let mut program = environment.start(&SEND_FILE);
    provider.wait_until("the second request", |log| log.requests.len() == 2);
    // A record whose turn comes in half a minute must not grow old already.
    let stored = environment.count();
    program.kill().expect("it still runs");
    finish(program);
    assert!(stored <= 4, "{stored} records for 2 requests");
}

/// Sends to `count` numbers from a pipe with `arguments` and returns the peak of the memory in KiB.
#[track_caller]
fn peak_memory_of(environment: &Environment, arguments: &[&str], count: usize) -> u64 {
    let mut program = environment
        .command(arguments)
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    let results = Results::from_program(&mut program);
    let mut stdin = program.stdin.take().expect("stdin is piped");
    let input = numbers(count).join("\n") + "\n";
    stdin.write_all(input.as_bytes()).expect("the program reads");
    for _ in 0..count {
        let result = results.next();
        assert!(result["status"] == "sent" || result["status"] == "dry_run", "{result}");
    }
    // While stdin stays open the program is there to be asked.
    let peak = peak_memory(&program);
    drop(stdin);
    finish(program).expect_code(0);
    peak
}

#[test]
fn the_memory_for_a_dry_run_does_not_grow_with_the_numbers() {
    let environment = Environment::with_settings("backend = \"console\"\n");
    let arguments = ["--format", "json", "send", "--dry-run", "--file", "-"];
    let peak = peak_memory_of(&environment, &arguments, 130_000);
    assert!(peak < MAX_MEMORY, "{peak} KiB");
}

#[test]
fn the_memory_for_sending_does_not_grow_with_the_numbers() {
    let environment = Environment::with_settings("backend = \"console\"\n");
    let arguments = ["--format", "json", "send", "--file", "-"];
    let peak = peak_memory_of(&environment, &arguments, 50_000);
    assert!(peak < MAX_MEMORY, "{peak} KiB");
    assert_eq!(environment.count(), 50_000);
}
