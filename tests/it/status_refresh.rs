//! `status --refresh`: asks the provider what became of the messages that it accepted, and stores what is final.

use crate::support::{
    Delivery, Environment, FakeProvider, NUMBER, NexmoAccount, OTHER_NUMBER, PastDelivery, REFRESH,
    Record, Reply, Run, Time, TwilioAccount, code_in,
};

/// Sends to [`NUMBER`], lets Twilio answer the question about it with `reply`, and returns the row before and after, and what
/// `status --refresh` printed.
#[track_caller]
fn refreshed(reply: Reply, code: i32) -> (Delivery, Delivery, Run) {
    let provider = FakeProvider::twilio();
    let environment = provider.environment();
    environment.send(NUMBER);
    let before = environment.delivery();
    provider.answer_next_question(reply);
    let run = environment.run(&REFRESH).expect_code(code);
    let questions = provider.questions();
    let message_id = &provider.accepted()[0].message_id;
    assert!(questions.len() == 1 && questions[0].path.contains(message_id), "{questions:#?}");
    (before, environment.delivery(), run)
}

#[test]
fn the_answer_is_shown_and_stored_if_it_is_final() {
    for (told, state) in [
        ("delivered", "delivered"),
        ("undelivered", "undelivered"),
        ("failed", "undelivered"),
        ("sent", "accepted"),
        ("queued", "accepted"),
        ("sending", "accepted"),
    ] {
        let (before, after, run) = refreshed(Reply::message_status(told), 0);
        assert_eq!(run.json()["deliveries"][0]["state"], state, "{told}: {run:#?}");
        assert_eq!(after.updated_at > before.updated_at, state != "accepted", "{after:#?}");
        let updated_at = after.updated_at.clone();
        assert_eq!(after, Delivery { state: state.to_owned(), updated_at, ..before }, "{told}");
        assert_eq!(run.stderr, "");
    }
}

#[test]
fn why_it_did_not_arrive_is_stored_and_shown_in_the_providers_words() {
    let words = "Unreachable destination handset";
    let (before, after, run) = refreshed(Reply::undelivered("undelivered", 30003, Some(words)), 0);
    assert_eq!(after.error_code.as_deref(), Some("30003"));
    assert_eq!(after.error_message.as_deref(), Some(words));
    assert_eq!(after.message_id, before.message_id);
    let shown = &run.json()["deliveries"][0];
    assert_eq!((&shown["error_code"], &shown["error_message"]), (&"30003".into(), &words.into()));
    assert_eq!(run.json()["records"][0]["delivery"], "undelivered");
    assert!(run.json()["next"].as_str().is_some_and(|next| next.contains("send")), "{run:#?}");
}

#[test]
fn a_code_that_comes_without_words_is_shown_as_well() {
    let provider = FakeProvider::twilio();
    let environment = provider.environment();
    environment.send(NUMBER);
    provider.answer_next_question(Reply::undelivered("failed", 30006, None));
    let text = environment.run(&["status", NUMBER, "--refresh"]).expect_code(0).stdout;
    assert!(text.contains("undelivered") && text.contains("30006"), "{text}");
}

#[test]
fn what_twilio_tells_is_shown_without_the_code_and_the_secret_that_it_repeats() {
    let provider = FakeProvider::twilio_with(TwilioAccount {
        secret: "s3cret-of-the-account".to_owned(),
        ..TwilioAccount::default()
    });
    let environment = provider.environment_with("token_length = 12", "");
    let record = environment.send(NUMBER);
    let code = code_in(&provider.accepted()[0].text).to_owned();
    let words = format!("\u{1b}[31m{code} of s3cret-of-the-account\nis too plain");
    // Whether the newest codes of other numbers are known doesn't matter.
    for session_token in 0..20 {
        environment.insert(&Record {
            phone_number: OTHER_NUMBER,
            session_token: &session_token.to_string(),
            created_at: Time::Ago(-2),
            ..Record::default()
        });
    }
    for format in ["text", "json"] {
        environment.execute(&["UPDATE sms_delivery SET state = 'accepted'"]);
        provider.answer_next_question(Reply::undelivered("failed", 30007, Some(&words)));
        let arguments = ["-vvv", "--format", format, "status", NUMBER, "--refresh"];
        let run = environment.run(&arguments).expect_code(0);
        let stored = environment.delivery().error_message.expect("words");
        for shown in [run.stdout, run.stderr, stored.clone()] {
            for forbidden in ["s3cret-of-the-account", &record.security_code, "\u{1b}"] {
                assert!(!shown.contains(forbidden), "{shown}");
            }
        }
        assert!(stored.contains("is too plain"), "{stored}");
    }
}

#[test]
fn words_without_end_are_cut_to_what_the_ledger_holds() {
    let words = "no ".repeat(20_000);
    let (_, after, _) = refreshed(Reply::undelivered("failed", 30008, Some(&words)), 0);
    let length = after.error_message.expect("words").chars().count();
    assert!((100..=500).contains(&length), "{length}");
}

#[test]
fn a_provider_that_does_not_tell_is_an_error_and_the_screen_is_shown_all_the_same() {
    for (reply, words) in [
        (Reply::twilio_error(401, 20003, "Authenticate"), "Authenticate (20003)"),
        (
            Reply::twilio_error(404, 20404, "The requested resource was not found"),
            "not found (20404)",
        ),
        (Reply::twilio_error(500, 20500, "Internal Server Error"), "Internal Server Error (20500)"),
        (Reply::html(200), ""),
        (Reply::answer(200, "{\"sid\": \"SM0\"}"), ""),
        (Reply::close(), ""),
    ] {
        let (before, after, run) = refreshed(reply, 1);
        assert_eq!(after, before);
        assert_eq!(run.json()["deliveries"][0]["state"], "accepted");
        assert!(run.stderr.starts_with("error: "), "{run:#?}");
        assert!(run.stderr.contains("twilio") && run.stderr.contains(words), "{run:#?}");
    }
}

#[test]
fn a_provider_out_of_reach_is_an_error_and_the_screen_is_shown_all_the_same() {
    let provider = FakeProvider::twilio();
    let environment = provider.environment();
    environment.send(NUMBER);
    // Nobody listens at this port of another loopback address.
    let base_url = format!("http://127.0.0.2:{}", provider.port());
    let tables = "[delivery]\nmax_attempts = 1";
    environment.write("phone-verify.toml", &provider.settings_at(&base_url, "", tables));
    let run = environment.run(&REFRESH).expect_code(1);
    assert_eq!(run.json()["verdict"], "verifiable");
    assert!(run.stderr.contains("error: ") && run.stderr.contains("reached"), "{run:#?}");
    assert_eq!(environment.delivery().state, "accepted");
}

#[test]
fn vonage_has_no_such_call_and_that_is_said() {
    let provider = FakeProvider::nexmo();
    let environment = provider.environment();
    environment.send(NUMBER);
    let before = environment.delivery();
    let run = environment.run(&REFRESH).expect_code(0);
    assert!(run.stderr.contains("nexmo has no call"), "{run:#?}");
    assert_eq!(environment.delivery(), before);
    assert_eq!(provider.requests().len(), 1, "only the message was sent");
}

#[test]
fn a_sandbox_has_no_such_call_either() {
    let environment = Environment::sandbox("");
    environment.send(NUMBER);
    let before = environment.delivery();
    let run = environment.run(&REFRESH).expect_code(0);
    assert!(run.stderr.contains("twilio-sandbox has no call"), "{run:#?}");
    assert_eq!(run.json()["deliveries"][0]["state"], "accepted");
    assert_eq!(environment.delivery(), before);
    environment.send(NUMBER);
    let of_two = environment.run(&REFRESH).expect_code(0);
    assert_eq!(of_two.stderr, run.stderr, "it is said once");
}

#[test]
fn only_messages_that_were_accepted_and_are_on_their_way_are_asked_about() {
    let provider = FakeProvider::twilio();
    let environment = provider.environment();
    environment.send(NUMBER);
    for state in ["delivered", "undelivered", "rejected", "unavailable", "unknown", "sending"] {
        environment.insert_delivery(&PastDelivery {
            state,
            message_id: Some("SM1"),
            ..PastDelivery::default()
        });
    }
    environment.insert_delivery(&PastDelivery {
        phone_number: OTHER_NUMBER,
        message_id: Some("SM1"),
        ..PastDelivery::default()
    });
    environment.run(&REFRESH).expect_code(0);
    assert_eq!(provider.questions().len(), 1);
}

#[test]
fn without_refresh_nobody_is_asked_and_no_secret_is_needed() {
    let provider = FakeProvider::twilio();
    let environment = provider.environment();
    environment.send(NUMBER);
    let settings = provider.settings("", "");
    let without_secret = settings.replace("\"twilio-auth-token\"", "{ env = \"NOT_SET\" }");
    environment.write("phone-verify.toml", &without_secret);
    environment.run(&["status", NUMBER]).expect_code(0);
    let run = environment.run(&["status", NUMBER, "--refresh"]).expect_code(2);
    assert!(run.stderr.contains("NOT_SET"), "{run:#?}");
    assert_eq!(provider.questions().len(), 0);
}

#[test]
fn a_backend_that_the_settings_no_longer_name_cannot_be_asked() {
    let provider = FakeProvider::nexmo();
    let environment = provider.environment();
    environment.send(NUMBER);
    environment.execute(&["UPDATE sms_delivery SET backend = 'twilio'"]);
    let run = environment.run(&REFRESH).expect_code(0);
    assert!(run.stderr.contains("warning: ") && run.stderr.contains("twilio"), "{run:#?}");
    assert_eq!(environment.delivery().state, "accepted");
}

#[test]
fn the_second_provider_is_asked_about_what_it_sent() {
    let first = FakeProvider::nexmo_with(NexmoAccount::default());
    let second = FakeProvider::twilio();
    first.always(Reply::nexmo_error("9", "Partner quota exceeded"));
    let environment = first.environment_with("", &second.fallback_tables());
    environment.send(NUMBER);
    second.answer_next_question(Reply::message_status("delivered"));
    let run = environment.run(&REFRESH).expect_code(0);
    assert_eq!(environment.states(), ["rejected", "delivered"], "{run:#?}");
}

#[test]
fn of_two_accounts_at_twilio_the_one_that_sent_it_tells() {
    let first = FakeProvider::twilio();
    let second = FakeProvider::twilio_with(TwilioAccount {
        secret: "auth-token-of-the-second-account".to_owned(),
        ..TwilioAccount::default()
    });
    let environment = first.environment_with("", &second.fallback_tables());
    first.always(Reply::twilio_error(401, 20003, "Authenticate"));
    environment.send(NUMBER);
    second.answer_next_question(Reply::message_status("delivered"));
    environment.run(&REFRESH).expect_code(0);
    assert_eq!(environment.states(), ["rejected", "delivered"]);
    assert_eq!(second.questions().len(), 1);
}
