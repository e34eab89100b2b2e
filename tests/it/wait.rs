//! `send --wait`: asks the provider until the message has arrived, has not, or the time is over.

use crate::support::{
    Environment, FakeProvider, NUMBER, NexmoAccount, OTHER_NUMBER, Reply, Run, TwilioAccount,
    code_in, finish, run_command,
};

const UNREACHABLE: &str = "Unreachable destination handset";

/// Sends to [`NUMBER`] with JSON and `wait`, which has to end with `code`.
#[track_caller]
fn send(environment: &Environment, wait: &str, code: i32) -> Run {
    environment.run(&["--format", "json", "send", NUMBER, wait]).expect_code(code)
}

#[test]
fn a_message_is_asked_about_until_it_has_arrived() {
    let provider = FakeProvider::twilio();
    for status in ["queued", "sent", "delivered"] {
        provider.answer_next_question(Reply::message_status(status));
    }
    let environment = provider.environment();
    let run = send(&environment, "--wait", 0);
    let line = run.json();
    assert_eq!((&line["status"], &line["delivery"]), (&"sent".into(), &"delivered".into()));
    let accepted = provider.accepted();
    assert_eq!(line["message_id"], accepted[0].message_id.as_str());
    assert!(provider.questions()[0].path.contains(&accepted[0].message_id));
    assert_eq!((accepted.len(), provider.questions().len()), (1, 3));
    assert_eq!(environment.delivery().state, "delivered");
    assert_eq!(run.stderr, "");
    environment.verify(&environment.record()).expect_code(0);
}

#[test]
fn in_text_a_delivered_message_is_told_as_delivered() {
    let provider = FakeProvider::twilio();
    provider.answer_next_question(Reply::message_status("delivered"));
    let environment = provider.environment();
    let run = environment.run(&["send", NUMBER, "--wait=30"]).expect_code(0);
    assert!(run.stdout.starts_with(&format!("{NUMBER} delivered")), "{run:#?}");
    assert!(run.stdout.contains(&environment.record().session_token), "{run:#?}");
}

#[test]
fn a_message_that_does_not_arrive_is_an_error_in_the_providers_words() {
    for status in ["undelivered", "failed"] {
        let provider = FakeProvider::twilio();
        provider.answer_next_question(Reply::message_status("sent"));
        provider.answer_next_question(Reply::undelivered(status, 30003, Some(UNREACHABLE)));
        let environment = provider.environment();
        let run = send(&environment, "--wait", 1);
        let line = run.json();
        assert_eq!(line["status"], "failed", "{line:#}");
        assert_eq!(line["error"]["kind"], "undelivered", "{line:#}");
        assert_eq!(line["error"]["code"], "30003", "{line:#}");
        assert_eq!(line["error"]["message"], UNREACHABLE, "{line:#}");
        for part in ["error: ", NUMBER, UNREACHABLE, "30003"] {
            assert!(run.stderr.contains(part), "{part} is missing: {run:#?}");
        }
        let row = environment.delivery();
        assert_eq!(row.state, "undelivered");
        assert_eq!(row.error_code.as_deref(), Some("30003"));
        assert_eq!(row.error_message.as_deref(), Some(UNREACHABLE));
        assert_eq!(row.message_id.as_ref(), Some(&provider.accepted()[0].message_id));
    }
}

#[test]
fn a_code_without_words_is_told_as_well() {
    let provider = FakeProvider::twilio();
    provider.answer_next_question(Reply::undelivered("failed", 30006, None));
    let environment = provider.environment();
    let run = send(&environment, "--wait", 1);
    assert_eq!(run.json()["error"]["code"], "30006");
    assert!(run.stderr.contains("30006"), "{run:#?}");
    assert_eq!(environment.delivery().error_message, None);
}

#[test]
fn what_the_provider_repeats_of_the_code_and_of_its_secret_is_masked() {
    let provider = FakeProvider::twilio_with(TwilioAccount {
        secret: "s3cret-of-the-account".to_owned(),
        ..TwilioAccount::default()
    });
    provider.answer_questions_with(|_| Reply::close());
    let environment = provider.environment_with("token_length = 12", "");
    let program = environment.start(&["-vvv", "send", NUMBER, "--wait"]);
    provider.wait_until("the message", |log| log.accepted.len() == 1);
    let code = code_in(&provider.accepted()[0].text).to_owned();
    let words = format!("{code} of s3cret-of-the-account is too plain");
    provider.answer_questions_with(move |_| Reply::undelivered("failed", 30007, Some(&words)));
    let run = finish(program).expect_code(1);
    let stored = environment.delivery().error_message.expect("words");
    for shown in [&run.stdout, &run.stderr, &stored] {
        assert!(!shown.contains(&code) && !shown.contains("s3cret"), "{shown}");
    }
    assert!(stored.contains("is too plain") && run.stderr.contains("is too plain"), "{run:#?}");
}

#[test]
fn where_the_time_is_over_that_is_said_and_is_no_error() {
    let provider = FakeProvider::twilio();
    let environment = provider.environment();
    let run = send(&environment, "--wait=2", 0);
    assert_eq!(run.json()["status"], "sent");
    assert!(run.json().get("delivery").is_none_or(serde_json::Value::is_null), "{run:#?}");
    let hint = format!("phone-verify status {NUMBER} --refresh");
    for part in ["warning: ", "not known yet", &hint] {
        assert!(run.stderr.contains(part), "{part} is missing: {run:#?}");
    }
    // It pauses between two questions.
    assert!((1..=2).contains(&provider.questions().len()), "{:#?}", provider.questions());
    assert_eq!(environment.delivery().state, "accepted");
    provider.answer_next_question(Reply::message_status("delivered"));
    environment.run(&["status", NUMBER, "--refresh"]).expect_code(0);
    assert_eq!(environment.delivery().state, "delivered");
}

#[test]
fn a_question_that_fails_is_asked_again() {
    for reply in [
        Reply::twilio_error(500, 20500, "Internal Server Error"),
        Reply::throttled(),
        Reply::close(),
        Reply::html(200),
    ] {
        let provider = FakeProvider::twilio();
        provider.answer_next_question(reply);
        provider.answer_next_question(Reply::message_status("delivered"));
        let environment = provider.environment();
        assert_eq!(send(&environment, "--wait", 0).json()["delivery"], "delivered");
        assert_eq!(provider.questions().len(), 2);
    }
}

#[test]
fn a_provider_that_never_tells_is_as_good_as_no_news() {
    let provider = FakeProvider::twilio();
    provider.answer_questions_with(|_| Reply::never());
    let environment = provider.environment_with("", "[delivery]\ntimeout_seconds = 2");
    let run = send(&environment, "--wait=1", 0);
    assert_eq!(run.json()["status"], "sent");
    assert!(run.stderr.contains("not known yet"), "{run:#?}");
    assert_eq!(environment.delivery().state, "accepted");
}

#[test]
fn backends_without_such_a_call_say_so_and_nobody_waits() {
    let provider = FakeProvider::nexmo();
    let environment = provider.environment();
    let run = send(&environment, "--wait=86400", 0);
    assert_eq!(run.json()["status"], "sent");
    assert!(run.stderr.contains("nexmo has no call"), "{run:#?}");
    assert_eq!(provider.requests().len(), 1);
    let run = send(&Environment::sandbox(""), "--wait=86400", 0);
    assert!(run.stderr.contains("twilio-sandbox has no call"), "{run:#?}");
    let run = run_command(environment.command(&["-q", "send", NUMBER, "--wait"])).expect_code(0);
    assert_eq!(run.stderr, "");
}

#[test]
fn a_message_that_was_not_accepted_is_not_waited_for() {
    for reply in [
        Reply::twilio_error(400, 21211, "Invalid 'To' Phone Number"),
        Reply::close().although_accepted(),
    ] {
        let provider = FakeProvider::twilio();
        provider.next(reply);
        send(&provider.environment(), "--wait=86400", 1);
        assert_eq!(provider.questions().len(), 0);
    }
}

#[test]
fn of_several_messages_each_is_waited_for() {
    let provider = FakeProvider::twilio();
    let environment = provider.environment();
    let program = environment.start(&["--format", "json", "send", NUMBER, OTHER_NUMBER, "--wait"]);
    provider.wait_until("both messages", |log| log.accepted.len() == 2);
    let accepted = provider.accepted();
    let arrives = accepted.iter().find(|accepted| accepted.phone_number == NUMBER);
    let arrives = arrives.expect("both were accepted").message_id.clone();
    provider.answer_questions_with(move |request| {
        if request.path.contains(&arrives) {
            Reply::message_status("delivered")
        } else {
            Reply::undelivered("undelivered", 30005, Some("Unknown destination handset"))
        }
    });
    let lines = finish(program).expect_code(3).json_lines();
    let line = |number: &str| {
        lines.iter().find(|line| line["phone_number"] == number).expect("a line a number")
    };
    assert_eq!(line(NUMBER)["delivery"], "delivered");
    assert_eq!(line(OTHER_NUMBER)["error"]["code"], "30005");
    let mut states: Vec<_> =
        environment.deliveries().into_iter().map(|row| (row.phone_number, row.state)).collect();
    states.sort();
    let expected = [(OTHER_NUMBER, "undelivered"), (NUMBER, "delivered")];
    assert_eq!(states, expected.map(|(number, state)| (number.to_owned(), state.to_owned())));
}

#[test]
fn wrong_values_are_usage_errors_and_nothing_is_sent() {
    let provider = FakeProvider::twilio().never_called();
    let environment = provider.environment();
    for wait in ["--wait=0", "--wait=-1", "--wait=soon", "--wait=", "--wait=1.5", "--wait=86401"] {
        let run = environment.run(&["send", NUMBER, wait]).expect_code(2);
        assert!(run.stderr.contains("--wait"), "{run:#?}");
        assert_eq!(run.stdout, "");
    }
    let run = environment.run(&["send", NUMBER, "--wait", "--dry-run"]).expect_code(2);
    assert!(run.stderr.contains("--dry-run") && run.stderr.contains("--wait"), "{run:#?}");
    environment.expect_no_database();
}

#[test]
fn a_number_behind_wait_is_a_number_and_no_time() {
    let provider = FakeProvider::twilio();
    provider.answer_next_question(Reply::message_status("delivered"));
    let environment = provider.environment();
    let run = environment.run(&["--format", "json", "send", "--wait", NUMBER]).expect_code(0);
    assert_eq!(run.json()["delivery"], "delivered");
}

#[test]
fn a_time_that_stands_apart_is_no_number_and_nothing_is_sent() {
    let provider = FakeProvider::twilio().never_called();
    let environment = provider.environment();
    for arguments in [["send", NUMBER, "--wait", "5"], ["send", "--wait", "5", NUMBER]] {
        let run = environment.run(&arguments).expect_code(2);
        assert_eq!(run.stdout, "", "{run:#?}");
        let hint = run.stderr.lines().find(|line| line.starts_with("hint: "));
        assert!(hint.is_some_and(|hint| hint.contains("--wait=5")), "{run:#?}");
    }
    environment.expect_no_database();
}

#[test]
fn that_nobody_can_tell_is_said_once_for_all_numbers() {
    let run = Environment::sandbox("").run(&["send", "--wait", NUMBER, OTHER_NUMBER]);
    assert_eq!(run.expect_code(0).stderr.matches("has no call").count(), 1);
}

#[test]
fn asked_to_stop_while_it_waits_it_tells_what_was_sent() {
    for (signal, code) in [("-INT", 130), ("-TERM", 143)] {
        let provider = FakeProvider::twilio();
        let environment = provider.environment();
        let program = environment.start(&["--format", "json", "send", NUMBER, "--wait=86400"]);
        provider.wait_until("a question", |log| log.requests.len() > 1);
        run_command(environment.tool(&["kill", signal, &program.id().to_string()])).expect_code(0);
        let run = finish(program).expect_code(code);
        assert_eq!(run.json()["status"], "sent", "{run:#?}");
        assert_eq!(environment.delivery().state, "accepted");
    }
}

#[test]
fn the_account_that_sent_it_is_the_one_that_is_asked() {
    let second_account = TwilioAccount {
        secret: "auth-token-of-the-second-account".to_owned(),
        ..TwilioAccount::default()
    };
    let refusal = Reply::nexmo_error("9", "Partner quota exceeded");
    for (first, refusal) in [
        (FakeProvider::nexmo_with(NexmoAccount::default()), refusal),
        (FakeProvider::twilio(), Reply::twilio_error(401, 20003, "Authenticate")),
    ] {
        let second = FakeProvider::twilio_with(second_account.clone());
        first.always(refusal);
        second.answer_next_question(Reply::message_status("delivered"));
        let environment = first.environment_with("", &second.fallback_tables());
        assert_eq!(send(&environment, "--wait", 0).json()["delivery"], "delivered");
        assert_eq!((first.questions().len(), second.questions().len()), (0, 1));
    }
}
