//! `[fallback]`: when the second provider is called, when it is not, and what is kept of both.

use serde_json::Value;

use crate::support::{
    Delivery, Environment, FakeProvider, NUMBER, Reception, Reply, TWO_SHORT_ATTEMPTS, code_in,
    error_of,
};

/// Asserts that the row is of this backend and state, with this code, these words and so many tries.
#[track_caller]
fn expect_row(row: &Delivery, backend: &str, state: &str, error: Option<(&str, &str)>, tries: i64) {
    assert_eq!((row.backend.as_str(), row.state.as_str()), (backend, state), "{row:#?}");
    let told = row.error_code.as_deref().zip(row.error_message.as_deref());
    assert_eq!((told, row.tries), (error, tries), "{row:#?}");
    assert_eq!((row.phone_number.as_str(), row.segments), (NUMBER, 1));
}

/// Sends to [`NUMBER`] and asserts that `first` refused it, with the code and the words, after so many tries, and that
/// `second` sent it.
#[track_caller]
fn expect_second_sends(
    first: &FakeProvider,
    second: &FakeProvider,
    names: [&str; 2],
    (state, code, words, tries): (&str, &str, &str, i64),
) {
    let environment = first.environment_with_fallback(second);
    let run = environment.run(&["--format", "json", "send", NUMBER]).expect_code(0);
    let accepted = second.accepted().remove(0);
    let line = run.json();
    assert_eq!((&line["status"], &line["backend"]), (&"sent".into(), &names[1].into()), "{code}");
    assert_eq!(line["message_id"], accepted.message_id.as_str());
    let refused = if state == "rejected" { "refused it" } else { "was not available" };
    let note =
        format!("note: {} {refused}: {words} ({code}); sent through {}\n", names[0], names[1]);
    assert_eq!(run.stderr, note);
    assert_eq!(line.get("error"), None);
    let record = environment.record();
    assert_eq!(code_in(&accepted.text), record.security_code);
    let rows = environment.deliveries();
    assert_eq!(rows.len(), 2, "{code}: {rows:#?}");
    expect_row(&rows[0], names[0], state, Some((code, words)), tries);
    expect_row(&rows[1], names[1], "accepted", None, 1);
    assert_eq!(rows[1].message_id.as_ref(), Some(&accepted.message_id));
    assert!(rows.iter().all(|row| row.verification_id == record.id), "{rows:#?}");
    assert_eq!(environment.run(&["--format", "json", "list"]).json()["delivery"], "accepted");
    assert_eq!(first.accepted().len(), 0);
    environment.verify(&record).expect_code(0);
}

#[test]
fn vonage_sends_what_twilio_refuses_for_a_reason_of_its_own() {
    for (status, code, words, state, tries) in [
        (401, 20003, "Authenticate", "rejected", 1),
        (400, 21606, "The From phone number is not a valid sender", "rejected", 1),
        (429, 20429, "Too Many Requests", "unavailable", 2),
        (503, 20503, "Service Unavailable", "unavailable", 2),
    ] {
        let (twilio, vonage) = (FakeProvider::twilio(), FakeProvider::nexmo());
        twilio.always(Reply::twilio_error(status, code, words).retry_after_seconds(0));
        let refusal = (state, &*code.to_string(), words, tries);
        expect_second_sends(&twilio, &vonage, ["twilio", "nexmo"], refusal);
        assert_eq!(twilio.requests().len(), usize::try_from(tries).expect("a count"));
    }
}

#[test]
fn twilio_sends_what_vonage_refuses_for_a_reason_of_its_own() {
    for (status, words, state, tries) in [
        ("1", "Throttled", "unavailable", 2),
        ("4", "Invalid Credentials", "rejected", 1),
        ("9", "Partner Quota Violation", "rejected", 1),
        ("15", "Illegal Sender Address", "rejected", 1),
    ] {
        let (nexmo, twilio) = (FakeProvider::nexmo(), FakeProvider::twilio());
        nexmo.always(Reply::nexmo_error(status, words).retry_after_seconds(0));
        let refusal = (state, status, words, tries);
        expect_second_sends(&nexmo, &twilio, ["nexmo", "twilio"], refusal);
        assert_eq!(nexmo.requests().len(), usize::try_from(tries).expect("a count"));
    }
}

#[test]
fn the_second_sends_what_the_first_refuses_because_of_its_account_or_its_sender() {
    let twilios = [
        "10001", "20003", "20005", "21212", "21606", "21659", "21660", "21661", "21701", "21703",
        "21704", "21705",
    ];
    let twilio = |code: &str| Reply::answer(400, format!("{{\"code\": \"{code}\"}}"));
    let vonage = |status: &str| Reply::nexmo_error(status, "");
    let (first, second) = (FakeProvider::twilio(), FakeProvider::nexmo());
    let refusals = twilios.map(|code| (twilio(code), code));
    let by_status = |status: u16, code| (Reply::html(status), code);
    expect_handed_over(&first, &second, &[&refusals[..], &[by_status(401, "401")]].concat());
    let (first, second) = (FakeProvider::nexmo(), FakeProvider::twilio());
    let refusals = ["4", "8", "9", "11", "14", "15", "29", "32"].map(|code| (vonage(code), code));
    expect_handed_over(&first, &second, &[&refusals[..], &[by_status(402, "402")]].concat());
}

/// Asserts that `second` sends each message that `first` refuses with a reply, whose code the ledger keeps.
#[track_caller]
fn expect_handed_over(first: &FakeProvider, second: &FakeProvider, refusals: &[(Reply, &str)]) {
    for (reply, code) in refusals {
        first.next(reply.clone());
        let environment = first.environment_with_fallback(second);
        environment.send(NUMBER);
        assert_eq!(environment.states(), ["rejected", "accepted"], "{code}");
        let kept = environment.deliveries().remove(0).error_code;
        assert_eq!(kept.as_deref(), Some(*code));
    }
}

#[test]
fn throttling_that_http_alone_tells_is_the_providers_own_reason_too() {
    for status in [429, 503] {
        for (first, second) in [
            (FakeProvider::twilio(), FakeProvider::nexmo()),
            (FakeProvider::nexmo(), FakeProvider::twilio()),
        ] {
            first.always(Reply::html(status).retry_after_seconds(0));
            let environment = first.environment_with_fallback(&second);
            environment.send(NUMBER);
            assert_eq!(environment.states(), ["unavailable", "accepted"]);
            let code = environment.deliveries().remove(0).error_code;
            assert_eq!(code, Some(status.to_string()));
            assert_eq!((first.requests().len(), second.accepted().len()), (2, 1));
        }
    }
}

#[test]
fn a_provider_that_cannot_be_reached_is_replaced_by_the_second() {
    for reception in [Reception::Http, Reception::Close] {
        let first = FakeProvider::twilio_receiving(reception).never_called();
        let second = FakeProvider::nexmo();
        // What answers there speaks no TLS.
        let base_url = format!("https://127.0.0.1:{}", first.port());
        let tables = format!("{TWO_SHORT_ATTEMPTS}\n{}", second.fallback_tables());
        let environment = Environment::with_settings(&first.settings_at(&base_url, "", &tables));
        let line = environment.run(&["--format", "json", "send", NUMBER]).expect_code(0).json();
        assert_eq!(line["backend"], "nexmo");
        let rows = environment.deliveries();
        assert_eq!((rows[0].state.as_str(), rows[0].tries), ("unavailable", 2));
        assert!(rows[0].error_message.as_ref().is_some_and(|words| words.contains("reached")));
        assert_eq!(first.log().connections, 2);
    }
}

#[test]
fn a_message_that_got_through_in_the_end_is_not_sent_by_the_second_as_well() {
    let (first, second) = (FakeProvider::twilio(), FakeProvider::nexmo().never_called());
    first.next(Reply::throttled().retry_after_seconds(0));
    let environment = first.environment_with_fallback(&second);
    let line = environment.run(&["--format", "json", "send", NUMBER]).expect_code(0).json();
    assert_eq!(line["backend"], "twilio");
    assert_eq!(environment.delivery().tries, 2);
}

/// Sends to [`NUMBER`], which `first` alone may be asked for, and returns the line of the failure.
#[track_caller]
fn refused_by_first(
    first: &FakeProvider,
    second: FakeProvider,
    reply: Reply,
) -> (Environment, Value) {
    let second = second.never_called();
    first.always(reply);
    let environment = first.environment_with_fallback(&second);
    let line = environment.run(&["--format", "json", "send", NUMBER]).expect_code(1).json();
    assert_eq!(first.requests().len(), 1);
    assert_eq!(environment.delivery().state, error_of(&line).0);
    (environment, line)
}

#[test]
fn where_the_number_is_the_reason_the_second_is_not_called() {
    for (code, words) in [
        (21211, "Invalid 'To' Phone Number"),
        (21610, "Attempt to send to unsubscribed recipient"),
        (21614, "'To' number is not a valid mobile number"),
        // Neither is it called for a reason that nobody has named as the provider's own.
        (21617, "The concatenated message body exceeds the 1600 character limit"),
    ] {
        let twilio = FakeProvider::twilio();
        let reply = Reply::twilio_error(400, code, words);
        let (environment, line) = refused_by_first(&twilio, FakeProvider::nexmo(), reply);
        assert_eq!(error_of(&line), ("rejected", Some(code.to_string().as_str())));
        assert_eq!(environment.records(), []);
    }
    for (status, words) in [("6", "Unroutable message"), ("7", "Number barred")] {
        let nexmo = FakeProvider::nexmo();
        let (environment, line) =
            refused_by_first(&nexmo, FakeProvider::twilio(), Reply::nexmo_error(status, words));
        assert_eq!(error_of(&line), ("rejected", Some(status)));
        assert_eq!(environment.records(), []);
    }
}

#[test]
fn where_the_outcome_is_unknown_the_second_is_not_called() {
    let own = |status| Reply::twilio_error(status, 20003, "Authenticate");
    let contradiction = Reply::answer(401, r#"{"sid": "SM00000000000000000000000000000001"}"#);
    for reply in [
        Reply::answer(500, "{}"),
        own(500),
        own(502),
        contradiction,
        Reply::never(),
        Reply::close(),
    ] {
        let twilio = FakeProvider::twilio();
        let (environment, line) =
            refused_by_first(&twilio, FakeProvider::nexmo(), reply.although_accepted());
        assert_eq!(error_of(&line).0, "unknown");
        environment.verify(&environment.record()).expect_code(0);
    }
    let in_parts = Reply::nexmo_parts(&[("0", ""), ("9", "Partner Quota Violation")]);
    for reply in [in_parts, Reply::html(500), Reply::close()] {
        let nexmo = FakeProvider::nexmo();
        let (_, line) = refused_by_first(&nexmo, FakeProvider::twilio(), reply.although_accepted());
        assert_eq!(error_of(&line).0, "unknown");
    }
}

#[test]
fn the_note_names_both_as_the_settings_do_and_comes_once() {
    let (twilio, vonage) = (FakeProvider::twilio(), FakeProvider::nexmo());
    twilio.always(Reply::twilio_error(401, 20003, "Authenticate"));
    let settings = twilio.settings("", &vonage.fallback_tables());
    let environment = Environment::with_settings(&settings.replace("\"nexmo\"", "\"vonage\""));
    let list = "+12025550101\n+12025550102\n";
    let run = environment.send_text(list, &[]).expect_code(0);
    let notes: Vec<_> = run.stderr.lines().filter(|line| line.contains("through")).collect();
    assert_eq!(notes, ["note: twilio refused it: Authenticate (20003); sent through vonage"]);
    assert!(!environment.send_text(list, &["--quiet"]).stderr.contains("note"));
    // If the second one doesn't take it either, it isn't called sent.
    vonage.always(Reply::nexmo_error("3", "Invalid number"));
    let run = environment.run(&["send", NUMBER]).expect_code(1);
    let note = "note: twilio refused it: Authenticate (20003); tried through vonage\n";
    assert!(run.stderr.starts_with(note), "{run:#?}");
}
