//! How a provider is asked what became of a message, by `send --wait` and by `status --refresh`: as politely as it is sent to.

use crate::fake_provider::{FakeProvider, Reply};
use crate::support::{Environment, NUMBER, Run};

/// Sends to [`NUMBER`] with JSON and `wait`.
fn send(environment: &Environment, wait: &str) -> Run {
    environment.run(&["--format", "json", "send", NUMBER, wait])
}

#[test]
fn what_was_told_and_could_not_be_stored_is_an_error() {
    for (told, code, words) in [("delivered", 1, "delivered"), ("failed", 1, "30003")] {
        let provider = FakeProvider::twilio();
        provider.next_answer(Reply::undelivered(told, 30003, None));
        let environment = provider.environment();
        environment.run(&["migrate"]).expect_code(0);
        environment.execute(&["CREATE TRIGGER closed BEFORE UPDATE ON sms_delivery
             WHEN OLD.state = 'accepted' BEGIN SELECT RAISE(ABORT, 'the books are closed'); END"]);
        let run = send(&environment, "--wait").expect_code(code);
        assert!(run.stdout.contains(words), "what became of the SMS is told: {run:#?}");
        let error = run.stderr.lines().find(|line| line.contains("the books are closed"));
        assert!(
            error.is_some_and(|line| line.starts_with("error: ") && line.contains(NUMBER)),
            "{run:#?}"
        );
        assert_eq!(environment.delivery().state, "accepted");
    }
}
