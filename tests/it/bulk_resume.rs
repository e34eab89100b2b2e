//! `send --resume`: a run that was stopped, even by `kill -9`, goes on without sending anything twice.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use crate::support::{
    Environment, FIRST, FakeProvider, NUMBER, Reply, Run, SECOND, SEND_FILE, THIRD, accept_all,
    finish, numbers, send_file_with, wait_for_arrivals, wait_until,
};

/// Where a run that may be killed leaves its results.
const RESULTS: &str = "results";
/// How many numbers are sent to, by runs that are killed again and again.
const MANY: usize = 3000;

/// A provider that counts its requests, and what it has seen.
struct Counting {
    provider: FakeProvider,
    requests: Arc<AtomicUsize>,
}

impl Counting {
    /// Returns a provider that leaves some clients in doubt: it closes the connection having accepted the message, or not.
    fn doubtful() -> Self {
        let provider = FakeProvider::twilio();
        let requests = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&requests);
        provider.answer_with(move |_| match counter.fetch_add(1, Ordering::SeqCst) % 100 {
            30 => Reply::close(),
            60 => Reply::close().although_accepted(),
            _ => Reply::accept(),
        });
        Self { provider, requests }
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    /// Runs `send` with `options`, and again, killing each run after some more requests, until one ends by itself. Returns what
    /// that one said and how many were killed.
    #[track_caller]
    fn run_until_done(
        &self,
        environment: &Environment,
        options: &[&str],
        random: &mut StdRng,
    ) -> (Vec<Value>, usize) {
        for killed in 0.. {
            // The first run is a new one.
            let options = if killed == 0 { &[] } else { options };
            let results = File::create(environment.path(RESULTS)).expect("a file");
            let mut program = environment
                .command(&send_file_with(options))
                .stdout(results)
                .stderr(Stdio::null())
                .spawn()
                .expect("the program starts");
            let deadly = self.requests() + random.random_range(1..500);
            let mut end = None;
            wait_until("the run is far enough, or at its end", || {
                end = program.try_wait().expect("a child");
                end.is_some() || self.requests() >= deadly
            });
            if let Some(end) = end {
                assert!(end.code().is_some_and(|code| [0, 1, 3].contains(&code)), "{end}");
                let results = fs::read_to_string(environment.path(RESULTS)).expect("it is text");
                let run = Run { code: end.code(), stdout: results, stderr: String::new() };
                return (run.json_lines(), killed);
            }
            program.kill().expect("it runs or has just ended");
            finish(program);
        }
        unreachable!("it returns")
    }

    /// Returns how often each number was accepted.
    fn acceptances(&self) -> BTreeMap<String, usize> {
        let mut acceptances: BTreeMap<_, _> = numbers(MANY).into_iter().map(|n| (n, 0)).collect();
        for accepted in self.provider.accepted() {
            *acceptances.get_mut(&accepted.phone_number).expect("it was asked for") += 1;
        }
        acceptances
    }
}

/// Asserts that the database is sound and that each number has a record, as each was sent to or may have been.
#[track_caller]
fn expect_a_record_for_each(environment: &Environment) {
    environment.expect_soundness();
    let with_record: BTreeSet<_> = environment.numbers_of_records().into_iter().collect();
    assert_eq!(with_record, numbers(MANY).into_iter().collect());
}

#[test]
fn killed_at_random_moments_and_resumed_no_number_is_accepted_twice_and_every_other_is_named() {
    for seed in 1..=2 {
        let counting = Counting::doubtful();
        let environment = counting.provider.environment();
        environment.write_numbers(&numbers(MANY));
        let mut random = StdRng::seed_from_u64(seed);
        let (results, killed) = counting.run_until_done(&environment, &["--resume"], &mut random);
        assert!(killed >= 3, "seed {seed}: only {killed} runs were killed");
        assert_eq!(results.len(), MANY, "each number has its result");
        let unknown: BTreeSet<&str> = results
            .iter()
            .filter(|result| {
                result["reason"] == "unknown_outcome" || result["error"]["kind"] == "unknown"
            })
            .map(|result| result["phone_number"].as_str().expect("a number"))
            .collect();
        for (number, times) in counting.acceptances() {
            assert!(times <= 1, "seed {seed}: {number} was accepted {times} times");
            assert!(
                times == 1 || unknown.contains(number.as_str()),
                "seed {seed}: {number} is lost"
            );
        }
        expect_a_record_for_each(&environment);
        // What is unknown stays so, and nothing else is left to do.
        let requests = counting.requests();
        let run = environment.run(&send_file_with(&["--resume"]));
        let named = run.numbers_with("reason", "unknown_outcome");
        assert_eq!(named, unknown.into_iter().collect::<Vec<_>>());
        assert_eq!(counting.requests(), requests);
    }
}

#[test]
fn killed_at_random_moments_and_resumed_with_resend_unknown_every_number_is_accepted() {
    let counting = Counting::doubtful();
    let environment = counting.provider.environment();
    environment.write_numbers(&numbers(MANY));
    let mut random = StdRng::seed_from_u64(3);
    let options = ["--resume", "--resend-unknown"];
    let (_, killed) = counting.run_until_done(&environment, &options, &mut random);
    assert!(killed >= 3, "only {killed} runs were killed");
    // What a killed run was sending when it ended waits until no run can be at it any more.
    environment.backdate("sms_delivery", 360);
    // The last run may have left some in doubt itself.
    counting.provider.always(Reply::accept());
    let run = environment.run(&send_file_with(&options)).expect_code(0);
    assert_eq!(run.numbers_with("reason", "unknown_outcome"), [""; 0]);
    for (number, times) in counting.acceptances() {
        assert!(times >= 1, "{number} was never accepted");
    }
    expect_a_record_for_each(&environment);
}

/// Sends to [`FIRST`], which is accepted, [`SECOND`], whose outcome is unknown, and [`THIRD`], which is refused.
fn one_of_each(provider: &FakeProvider) -> Environment {
    provider.answer_with(|request| match request.field("To").as_str() {
        FIRST => Reply::accept(),
        SECOND => Reply::close(),
        _ => Reply::twilio_error(400, 21211, "Invalid 'To' Phone Number"),
    });
    let environment = provider.environment();
    environment.write_numbers(&[FIRST, SECOND, THIRD].map(str::to_owned));
    environment.run(&SEND_FILE).expect_code(3);
    provider.always(Reply::accept());
    environment
}

fn skipped(number: &str, reason: &str, line: u64) -> Value {
    json!({"phone_number": number, "status": "skipped", "reason": reason, "line": line})
}

#[test]
fn resuming_skips_what_was_accepted_names_what_is_unknown_and_sends_the_rest() {
    let provider = FakeProvider::twilio();
    let environment = one_of_each(&provider);
    let earlier = environment.records();
    let run = environment.run(&send_file_with(&["--resume"])).expect_code(3);
    let by_line = run.by_line();
    assert_eq!(by_line[&1], skipped(FIRST, "already_sent", 1));
    assert_eq!(by_line[&2], skipped(SECOND, "unknown_outcome", 2));
    assert_eq!(by_line[&3]["status"], "sent");
    let warning = format!(
        "warning: line 2: {SECOND} is skipped: whether an earlier SMS was accepted is unknown\n\
         note: --resend-unknown sends to such numbers again\n"
    );
    assert!(run.stderr.contains(&warning) && !run.stderr.contains(FIRST), "{run:#?}");
    assert!(run.stderr.lines().last().is_some_and(|summary| {
        ["1 sent", "2 skipped", "1 already sent", "1 unknown outcome"]
            .iter()
            .all(|count| summary.contains(count))
    }));
    assert_eq!(provider.accepted_numbers(), [FIRST, THIRD]);
    // Nor does a later run take for done what nobody knows.
    environment.run(&send_file_with(&["--resume"])).expect_code(3);
    environment.run(&["send", "--resume", SECOND]).expect_code(1);
    environment.run(&["send", "--resume", FIRST]).expect_code(0);
    // The codes of those that were skipped go on working.
    for record in &earlier {
        environment.verify(record).expect_code(0);
    }
    assert_eq!(environment.numbers_of_records(), [FIRST, SECOND, THIRD]);
}

#[test]
fn in_text_form_too_a_number_of_unknown_outcome_is_named() {
    let provider = FakeProvider::twilio();
    let environment = one_of_each(&provider);
    let run = environment.run(&["send", "--file", "numbers.txt", "--resume"]);
    let told = run.stdout.lines().find(|line| line.contains(SECOND)).expect("a result");
    assert!(told.contains("line 2") && told.contains("unknown"), "{run:#?}");
}

#[test]
fn resend_unknown_sends_to_what_is_unknown_and_not_to_what_was_accepted() {
    let provider = FakeProvider::twilio();
    let environment = one_of_each(&provider);
    let run = environment.run(&send_file_with(&["--resume", "--resend-unknown"])).expect_code(0);
    assert_eq!(run.by_line()[&1], skipped(FIRST, "already_sent", 1));
    assert_eq!(run.numbers_with("status", "sent"), [SECOND, THIRD]);
    assert_eq!(provider.accepted_numbers(), [FIRST, SECOND, THIRD]);
    // Accepted in the end, a number has no doubt left.
    let run = environment.run(&send_file_with(&["--resume"])).expect_code(0);
    assert_eq!(run.numbers_with("reason", "already_sent"), [FIRST, SECOND, THIRD]);
}

#[test]
fn what_another_run_may_be_sending_is_not_sent_again() {
    let provider = FakeProvider::twilio();
    let environment = provider.environment();
    let held = provider.hold(1);
    let first = environment.start(&["send", NUMBER]);
    wait_for_arrivals(&held);
    let run = environment.run(&["send", "--resume", "--resend-unknown", NUMBER]).expect_code(1);
    let why = format!(
        "warning: {NUMBER} is skipped: another run may be sending to it\n\
         note: if no other run is at work, try again in 5 min\n"
    );
    assert!(run.stderr.starts_with(&why), "{run:#?}");
    accept_all(held);
    finish(first).expect_code(0);
    assert_eq!(provider.accepted_numbers(), [NUMBER]);
}

#[test]
fn resend_unknown_needs_resume() {
    let provider = FakeProvider::twilio().never_called();
    let environment = provider.environment();
    environment.write_numbers(&[FIRST.to_owned()]);
    let run = environment.run(&send_file_with(&["--resend-unknown"])).expect_code(2);
    assert!(run.stderr.contains("--resume"), "{run:#?}");
    environment.expect_no_database();
}

#[test]
fn without_resume_every_number_is_sent_to_again() {
    let provider = FakeProvider::twilio();
    let environment = one_of_each(&provider);
    environment.run(&SEND_FILE).expect_code(0);
    assert_eq!(provider.accepted_numbers(), [FIRST, FIRST, SECOND, THIRD]);
}

#[test]
fn resuming_sends_again_where_the_code_has_expired() {
    let provider = FakeProvider::twilio();
    let environment = one_of_each(&provider);
    let resume = send_file_with(&["--resume"]);
    // Codes live for 600 seconds.
    move_to(&environment, 500);
    let run = environment.run(&resume);
    assert_eq!(run.numbers_with("reason", "already_sent"), [FIRST]);
    assert_eq!(run.numbers_with("reason", "unknown_outcome"), [SECOND]);
    move_to(&environment, 601);
    let run = environment.run(&resume).expect_code(0);
    assert_eq!(run.numbers_with("status", "sent"), [FIRST, SECOND, THIRD]);
    assert_eq!(provider.accepted_numbers(), [FIRST, FIRST, SECOND, THIRD, THIRD]);
}

/// Moves everything that was sent to the moment `seconds` ago.
fn move_to(environment: &Environment, seconds: u32) {
    for table in ["sms_verification", "sms_delivery"] {
        environment.execute(&[&format!(
            "UPDATE {table} SET created_at = {}",
            environment.time_ago(seconds)
        )]);
    }
}

#[test]
fn resuming_looks_at_numbers_of_the_command_line_too() {
    let provider = FakeProvider::twilio();
    let environment = one_of_each(&provider);
    let run =
        environment.run(&["--format", "json", "send", "--resume", FIRST, NUMBER]).expect_code(0);
    let expected = json!({"phone_number": FIRST, "status": "skipped", "reason": "already_sent"});
    assert!(run.json_lines().contains(&expected), "{run:#?}");
    assert_eq!(run.numbers_with("status", "sent"), [NUMBER]);
}

#[test]
fn resuming_a_run_that_never_began_sends_to_everybody() {
    let provider = FakeProvider::twilio();
    let environment = provider.environment();
    environment.write_numbers(&[FIRST, SECOND].map(str::to_owned));
    let run = environment.run(&send_file_with(&["--resume"])).expect_code(0);
    assert_eq!(run.numbers_with("status", "sent"), [FIRST, SECOND]);
}

#[test]
fn resuming_does_not_depend_on_records_that_were_purged() {
    let provider = FakeProvider::twilio();
    let environment = one_of_each(&provider);
    environment.execute(&["DELETE FROM sms_verification"]);
    let by_line = environment.run(&send_file_with(&["--resume"])).by_line();
    assert_eq!(by_line[&1], skipped(FIRST, "already_sent", 1));
    assert_eq!(by_line[&2], skipped(SECOND, "unknown_outcome", 2));
}

#[test]
fn a_delivery_whose_state_cannot_be_read_may_have_been_accepted_and_is_not_sent_again() {
    let provider = FakeProvider::twilio();
    let environment = provider.environment();
    environment.write_numbers(&[NUMBER.to_owned()]);
    environment.run(&SEND_FILE).expect_code(0);
    environment.execute(&["UPDATE sms_delivery SET state = 'later version'"]);
    let run = environment.run(&send_file_with(&["--resume"]));
    assert_eq!(run.json()["reason"], "unknown_outcome", "{run:#?}");
    assert_eq!(provider.accepted().len(), 1);
}
