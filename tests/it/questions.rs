//! How a provider is asked what became of a message, by `send --wait` and by `status --refresh`: as politely as it is sent to.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::support::{
    Environment, FakeProvider, NUMBER, OTHER_NUMBER, PastDelivery, REFRESH, Reply, Run,
};

const THROTTLED: &str = "Too Many Requests";

/// Sends to [`NUMBER`] with JSON and `wait`.
fn send(environment: &Environment, wait: &str) -> Run {
    environment.run(&["--format", "json", "send", NUMBER, wait])
}

/// Notes when each request arrives, of whatever sort.
fn arrivals(provider: &FakeProvider, answer: Reply) -> Arc<Mutex<Vec<Instant>>> {
    let arrivals = Arc::new(Mutex::new(Vec::new()));
    let note = |log: &Arc<Mutex<Vec<Instant>>>| {
        let log = Arc::clone(log);
        move || log.lock().expect("no thread panicked").push(Instant::now())
    };
    let (note_message, note_question) = (note(&arrivals), note(&arrivals));
    provider.answer_with(move |_| {
        note_message();
        Reply::accept()
    });
    provider.answer_questions_with(move |_| {
        note_question();
        answer.clone()
    });
    arrivals
}

/// Asserts that so many requests arrived, and that each had its turn at one a second. What arrives late makes this no less true.
#[track_caller]
fn expect_one_a_second(arrivals: &Mutex<Vec<Instant>>, count: usize, started: Instant) {
    let arrivals = arrivals.lock().expect("no thread panicked");
    assert_eq!(arrivals.len(), count);
    for (seconds, arrival) in (0..).zip(arrivals.iter()) {
        let earliest = started + Duration::from_secs(seconds);
        assert!(*arrival >= earliest, "{seconds}: {started:?}, {arrivals:#?}");
    }
}

#[test]
fn questions_that_wait_for_the_sms_keep_to_the_pace_of_the_settings() {
    let provider = FakeProvider::twilio();
    let environment = provider.environment_with("", "[delivery]\nmax_per_second = 1");
    let arrivals = arrivals(&provider, Reply::message_status("delivered"));
    let started = Instant::now();
    environment.run(&["send", NUMBER, OTHER_NUMBER, "--wait"]).expect_code(0);
    expect_one_a_second(&arrivals, 4, started);
}

#[test]
fn questions_of_a_refresh_keep_to_the_pace_of_the_settings() {
    let provider = FakeProvider::twilio();
    let environment = provider.environment_with("", "[delivery]\nmax_per_second = 1");
    environment.send(NUMBER);
    let message_id = Some(provider.accepted()[0].message_id.clone());
    for _ in 0..2 {
        environment.insert_delivery(&PastDelivery {
            message_id: message_id.as_deref(),
            ..PastDelivery::default()
        });
    }
    let arrivals = arrivals(&provider, Reply::message_status("delivered"));
    let started = Instant::now();
    environment.run(&REFRESH).expect_code(0);
    expect_one_a_second(&arrivals, 3, started);
}

#[test]
fn doctor_keeps_to_the_pace_of_the_settings_too() {
    let provider = FakeProvider::twilio();
    let environment = provider.environment_with("", "[delivery]\nmax_per_second = 1");
    let arrivals = arrivals(&provider, Reply::resource());
    let started = Instant::now();
    environment.run(&["migrate"]).expect_code(0);
    environment.run(&["doctor"]).expect_code(0);
    expect_one_a_second(&arrivals, 3, started);
}

// The provider objects to whoever comes back before the time that it asked for.
#[test]
fn a_throttled_question_is_asked_again_when_the_provider_allows_it() {
    let provider = FakeProvider::twilio();
    provider.answer_next_question(Reply::throttled().retry_after_seconds(3));
    provider.answer_next_question(Reply::message_status("delivered"));
    let environment = provider.environment_with("", "[delivery]\nmax_attempts = 1");
    assert_eq!(send(&environment, "--wait").expect_code(0).json()["delivery"], "delivered");
    assert_eq!(provider.questions().len(), 2);
}

#[test]
fn a_refresh_asks_again_when_the_provider_allows_it() {
    let provider = FakeProvider::twilio();
    let environment = provider.environment();
    environment.send(NUMBER);
    provider.answer_next_question(Reply::throttled().retry_after_seconds(1));
    provider.answer_next_question(Reply::message_status("delivered"));
    let run = environment.run(&REFRESH).expect_code(0);
    assert_eq!(run.json()["deliveries"][0]["state"], "delivered");
    assert_eq!(run.stderr, "");
    assert_eq!(provider.questions().len(), 2);
}

#[test]
fn a_refresh_that_is_throttled_to_the_end_is_an_error() {
    let provider = FakeProvider::twilio();
    let environment = provider.environment_with("", "[delivery]\nmax_attempts = 2");
    environment.send(NUMBER);
    provider.answer_questions_with(|_| Reply::throttled());
    let run = environment.run(&REFRESH).expect_code(1);
    assert!(run.stderr.starts_with("error: ") && run.stderr.contains(THROTTLED), "{run:#?}");
    assert_eq!(provider.questions().len(), 2);
    assert_eq!(environment.delivery().state, "accepted");
}

#[test]
fn a_wait_that_the_provider_asks_for_does_not_outlast_the_patience() {
    let provider = FakeProvider::twilio();
    provider.answer_questions_with(|_| Reply::throttled().retry_after_seconds(20));
    let environment = provider.environment();
    let run = send(&environment, "--wait=2").expect_code(0);
    assert_eq!(run.json()["status"], "sent");
    for part in ["warning: ", "not known yet", THROTTLED, "20429"] {
        assert!(run.stderr.contains(part), "{part} is missing: {run:#?}");
    }
    assert_eq!(provider.questions().len(), 1);
}

#[test]
fn a_provider_that_refuses_the_question_is_not_asked_again_and_its_words_are_a_warning() {
    for (status, code, words) in
        [(401, 20003, "Authenticate"), (404, 20404, "The requested resource was not found")]
    {
        let provider = FakeProvider::twilio();
        provider.answer_next_question(Reply::message_status("queued"));
        provider.answer_questions_with(move |_| Reply::twilio_error(status, code, words));
        let environment = provider.environment();
        let run = send(&environment, "--wait=20").expect_code(0);
        assert_eq!(run.json()["status"], "sent");
        let hint = format!("phone-verify status {NUMBER} --refresh");
        for part in
            ["warning: ", NUMBER, "not known yet", "twilio", words, &code.to_string(), &hint]
        {
            assert!(run.stderr.contains(part), "{part} is missing: {run:#?}");
        }
        assert_eq!(provider.questions().len(), 2);
        assert_eq!(environment.delivery().state, "accepted");
    }
}

#[test]
fn what_was_told_and_could_not_be_stored_is_an_error() {
    for (told, code, words) in [("delivered", 1, "delivered"), ("failed", 1, "30003")] {
        let provider = FakeProvider::twilio();
        provider.answer_next_question(Reply::undelivered(told, 30003, None));
        let environment = provider.environment();
        environment.run(&["migrate"]).expect_code(0);
        environment.execute(&["CREATE TRIGGER closed BEFORE UPDATE ON sms_delivery
             WHEN OLD.state = 'accepted' BEGIN SELECT RAISE(ABORT, 'the books are closed'); END"]);
        let run = send(&environment, "--wait").expect_code(code);
        assert!(run.stdout.contains(words), "what became of the SMS is told: {run:#?}");
        let error = run.stderr.lines().find(|line| line.contains("a trigger refused the change"));
        assert!(
            error.is_some_and(|line| line.starts_with("error: ") && line.contains(NUMBER)),
            "{run:#?}"
        );
        assert_eq!(environment.delivery().state, "accepted");
    }
}
