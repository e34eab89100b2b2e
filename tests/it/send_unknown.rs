//! `send` where nobody can tell whether the message was accepted: both codes are kept, and the person is told.

use serde_json::Value;

use crate::support::{
    Environment, FakeProvider, NUMBER, Reception, Reply, StoredRecord, error_of, finish,
};

/// Sends to a number that has a code already, and asserts that the outcome is told as unknown, that both codes
/// work, and that nothing was sent twice. Returns the line.
#[track_caller]
fn unknown_line(provider: &FakeProvider, what: &str, reply: Reply) -> Value {
    let environment = provider.environment();
    let earlier = environment.send(NUMBER);
    // Only now, since a busy machine may need its time for an answer that does come.
    environment
        .write("phone-verify.toml", &provider.settings("", "[delivery]\ntimeout_seconds = 2"));
    let requests_before = provider.requests().len();
    provider.next(reply);
    let run = environment.run(&["--format", "json", "send", NUMBER]).expect_code(1);
    let line = run.json();
    assert_eq!(error_of(&line).0, "unknown", "{what}: {run:#?}");
    assert_both_codes_work(&environment, &earlier, &line);
    assert_eq!(provider.requests().len() - requests_before, 1, "{what} was tried again");
    line
}

/// Asserts that the earlier record and the one of `line` are there and can be verified.
#[track_caller]
fn assert_both_codes_work(environment: &Environment, earlier: &StoredRecord, line: &Value) {
    let token = line["session_token"].as_str().expect("a token, since the code may arrive");
    let newer = environment.record_of_token(token);
    assert_eq!(environment.records(), [earlier.clone(), newer.clone()]);
    environment.verify(earlier).expect_code(0);
    environment.verify(&newer).expect_code(0);
}

#[test]
fn a_request_that_gets_no_answer_is_unknown() {
    let provider = FakeProvider::twilio();
    for (what, reply) in [("silence", Reply::never()), ("a lost connection", Reply::close())] {
        let line = unknown_line(&provider, what, reply.although_accepted());
        assert_eq!(error_of(&line).1, None);
    }
}

#[test]
fn half_an_answer_is_unknown() {
    let provider = FakeProvider::twilio();
    unknown_line(&provider, "half an acceptance", Reply::accept().cut_off());
    // Half a refusal proves nothing either, even where that half can be read as JSON.
    let padded = format!("{{\"code\": 21211, \"status\": 400}}{}", " ".repeat(200));
    for status in [400, 429] {
        unknown_line(&provider, "half a refusal", Reply::answer(status, &*padded).cut_off());
    }
}

#[test]
fn a_server_error_is_unknown_and_told_with_the_code_there_is() {
    let provider = FakeProvider::twilio();
    for (code, reply) in [
        ("500", Reply::answer(500, "{}")),
        ("20500", Reply::twilio_error(500, 20500, "Internal Server Error")),
        ("500", Reply::html(500)),
        ("502", Reply::html(502)),
        ("504", Reply::html(504)),
    ] {
        let line = unknown_line(&provider, code, reply.although_accepted());
        assert_eq!(error_of(&line).1, Some(code));
        let message = line["error"]["message"].as_str().expect("words");
        assert!(!message.contains("refused"), "{message}");
    }
}

#[test]
fn an_answer_that_twilio_does_not_document_is_unknown() {
    let provider = FakeProvider::twilio();
    for (what, reply) in [
        ("HTML with 200", Reply::html(200)),
        ("HTML with 201", Reply::html(201)),
        ("201 without a body", Reply::answer(201, "")),
        ("201 without a sid", Reply::answer(201, "{\"status\": \"queued\"}")),
        ("201 with a sid of null", Reply::answer(201, "{\"sid\": null}")),
        ("201 with a list", Reply::answer(201, "[\"sid\"]")),
        ("201 with half JSON", Reply::answer(201, "{\"sid\": \"SM0000")),
    ] {
        unknown_line(&provider, what, reply.although_accepted());
    }
}

#[test]
fn an_answer_larger_than_a_mebibyte_is_unknown() {
    let provider = FakeProvider::twilio();
    let body = "a".repeat(1024 * 1024);
    let acceptance = format!(r#"{{"sid": "SM1", "status": "queued", "body": "{body}"}}"#);
    unknown_line(&provider, "a huge acceptance", Reply::answer(201, acceptance));
    let endless = Reply::answer(400, " ".repeat(3 * 1024 * 1024));
    unknown_line(&provider, "a huge refusal", endless);
}

#[test]
fn an_answer_that_vonage_does_not_document_is_unknown() {
    let provider = FakeProvider::nexmo();
    for (what, reply) in [
        ("HTTP 500", Reply::html(500)),
        ("HTML with 200", Reply::html(200)),
        ("no messages", Reply::answer(200, "{\"message-count\": \"0\"}")),
        ("an empty list of messages", Reply::nexmo_parts(&[])),
        ("a list around the messages", Reply::answer(200, "[[{\"status\": \"0\"}]]")),
        ("messages that are no list", Reply::answer(200, "{\"messages\": \"0\"}")),
        (
            "an entry without status",
            Reply::answer(200, "{\"messages\": [{\"to\": \"14155552671\"}]}"),
        ),
        ("a status in words", Reply::nexmo_error("abc", "Throttled")),
        ("a status with a space", Reply::answer(200, "{\"messages\": [{\"status\": \" 0\"}]}")),
        ("a status that is empty", Reply::nexmo_error("", "")),
        ("a status of 0.0", Reply::answer(200, "{\"messages\": [{\"status\": 0.0}]}")),
        ("a status of null", Reply::answer(200, "{\"messages\": [{\"status\": null}]}")),
        ("an answer cut off", Reply::accept().cut_off()),
        ("a lost connection", Reply::close()),
    ] {
        unknown_line(&provider, what, reply.although_accepted());
    }
}

#[test]
fn a_message_of_which_only_some_parts_were_refused_is_unknown() {
    let provider = FakeProvider::nexmo();
    let refusal = ("9", "Quota Exceeded - rejected");
    for parts in [[("0", ""), refusal], [refusal, ("0", "")], [("0", ""), ("1", "Throttled")]] {
        let reply = Reply::nexmo_parts(&parts).although_accepted();
        unknown_line(&provider, "an answer in parts", reply);
    }
}

#[test]
fn a_connection_closed_without_an_answer_is_unknown_even_if_nobody_read_the_request() {
    let provider = FakeProvider::twilio_receiving(Reception::Close).never_called();
    let environment = provider.environment();
    let run = environment.run(&["--format", "json", "send", NUMBER]).expect_code(1);
    assert_eq!(error_of(&run.json()).0, "unknown", "{run:#?}");
    assert_eq!(environment.records().len(), 1);
    assert_eq!(provider.log().connections, 1, "it was tried again");
}

#[test]
fn in_text_the_person_is_told_that_the_message_may_or_may_not_arrive() {
    let provider = FakeProvider::twilio();
    provider.next(Reply::close().although_accepted());
    let environment = provider.environment();
    let run = environment.run(&["send", NUMBER]).expect_code(1);
    assert!(run.stderr.contains("error: "), "{run:#?}");
    assert!(run.stderr.contains("may or may not arrive"), "{run:#?}");
    assert!(run.stderr.contains(NUMBER), "{run:#?}");
    // Whoever gets the code needs the token to have it verified.
    let shown = format!("{}{}", run.stdout, run.stderr);
    assert!(shown.contains(&environment.record().session_token), "{run:#?}");
}

#[test]
fn the_next_accepted_send_clears_what_an_unknown_one_left() {
    let provider = FakeProvider::twilio();
    let environment = provider.environment();
    environment.send(NUMBER);
    provider.next(Reply::close());
    environment.run(&["send", NUMBER]).expect_code(1);
    assert_eq!(environment.records().len(), 2);
    let newest = environment.send(NUMBER);
    assert_eq!(environment.record(), newest);
}

#[test]
fn a_refusal_after_an_unknown_send_deletes_its_own_record_alone() {
    let provider = FakeProvider::twilio();
    let environment = provider.environment();
    let earlier = environment.send(NUMBER);
    provider.next(Reply::close().although_accepted());
    let unknown = environment.run(&["--format", "json", "send", NUMBER]).expect_code(1).json();
    provider.next(Reply::twilio_error(400, 21211, "Invalid 'To' Phone Number"));
    environment.run(&["send", NUMBER]).expect_code(1);
    assert_both_codes_work(&environment, &earlier, &unknown);
}

#[test]
fn of_several_numbers_one_may_stay_unknown() {
    let provider = FakeProvider::twilio();
    provider.answer_with(|request| match request.field("To").as_str() {
        NUMBER => Reply::accept(),
        _ => Reply::close(),
    });
    let environment = provider.environment();
    let arguments = ["--format", "json", "send", NUMBER, "+12025550143"];
    let lines = environment.run(&arguments).expect_code(3).json_lines();
    let unknown =
        lines.iter().find(|line| line["phone_number"] == "+12025550143").expect("its line");
    assert_eq!(error_of(unknown), ("unknown", None));
    assert_eq!(environment.records().len(), 2);
}

#[test]
fn a_send_that_is_accepted_late_spares_a_newer_one_of_unknown_outcome() {
    let provider = FakeProvider::twilio();
    let environment = provider.environment();
    let held = provider.hold_next();
    let program = environment.start(&["send", NUMBER]);
    held.wait_for_arrival();
    let late = environment.record();
    provider.next(Reply::close().although_accepted());
    let newer = environment.run(&["--format", "json", "send", NUMBER]).expect_code(1).json();
    held.release(Reply::accept());
    finish(program).expect_code(0);
    assert_both_codes_work(&environment, &late, &newer);
}

#[test]
fn an_acceptance_that_the_http_status_contradicts_is_unknown() {
    let vonages = r#"{"messages": [{"status": "0", "message-id": "0A00000000000001"}]}"#;
    let twilios = r#"{"sid": "SM00000000000000000000000000000001", "status": "queued"}"#;
    for (provider, accepted) in
        [(FakeProvider::nexmo(), vonages), (FakeProvider::twilio(), twilios)]
    {
        for status in [302, 400, 401, 404, 429, 503] {
            let reply = Reply::answer(status, accepted).although_accepted();
            let line = unknown_line(&provider, "a contradiction", reply);
            let message = format!(
                "the answer can't be understood (HTTP {status}): only its body says that the message was accepted"
            );
            assert_eq!(line["error"]["message"], message);
        }
    }
    let refusal = r#"{"code": 21211, "message": "Invalid 'To' Phone Number"}"#;
    unknown_line(&FakeProvider::twilio(), "no status of HTTP's", Reply::answer(999, refusal));
}
