//! `backend = "http"`: how an answer is judged.

use serde_json::{Value, json};

use crate::support::{
    Environment, FakeProvider, HTTP_OPTIONS, NUMBER, Reply, error_of, refusal_of,
};

/// Keeps what takes time short.
const DELIVERY: &str = "[delivery]\ntimeout_seconds = 2\nmax_attempts = 2";

/// Lets a provider of these options answer a send with `reply`. Returns the line, and asserts that it was called once.
#[track_caller]
fn answered(options: &str, reply: Reply, code: i32) -> Value {
    let double = FakeProvider::without_documents();
    double.next(reply);
    let environment = double.http_environment(&format!("{HTTP_OPTIONS}\n{options}"), DELIVERY);
    let line = environment.send_json(code);
    assert_eq!(double.requests().len(), 1, "it was tried again");
    let kept = code == 0 || error_of(&line).0 == "unknown";
    assert_eq!(environment.records().len(), usize::from(kept));
    line
}

#[track_caller]
fn expect_accepted(options: &str, status: u16, body: &str, message_id: Option<&str>) {
    let line = answered(options, Reply::answer(status, body), 0);
    assert_eq!(line["message_id"].as_str(), message_id, "{options}: {body}");
}

/// Asserts that the answer is a failure of this kind, with this code and words that contain `words`.
#[track_caller]
fn expect_failed(options: &str, reply: Reply, kind: &str, code: Option<&str>, words: &str) {
    let line = answered(options, reply, 1);
    assert_eq!(error_of(&line), (kind, code), "{options}: {line:#}");
    let told = line["error"]["message"].as_str().expect("words");
    assert!(told.contains(words), "{options}: {told}");
}

#[test]
fn every_2xx_is_accepted_where_the_settings_say_no_more() {
    for status in [200, 201, 202, 204, 226, 299] {
        expect_accepted("", status, "", None);
        expect_accepted("", status, "<html>", None);
    }
}

#[test]
fn only_the_statuses_of_the_settings_are_accepted_and_another_2xx_is_unknown() {
    let options = "accepted_status = [201, 202]";
    expect_accepted(options, 201, "{}", None);
    expect_accepted(options, 202, "{}", None);
    expect_failed(options, Reply::answer(200, "{}"), "unknown", Some("200"), "accepted_status");
}

#[test]
fn the_value_at_accepted_pointer_has_to_be_one_of_those_that_accept() {
    for (value, body, other) in [
        ("true", r#"{"a": [{"ok": true}]}"#, r#"{"a": [{"ok": false}]}"#),
        ("0", r#"{"a": [{"ok": 0}]}"#, r#"{"a": [{"ok": 1}]}"#),
        ("\"0\"", r#"{"a": [{"ok": "0"}]}"#, r#"{"a": [{"ok": "1"}]}"#),
        ("[\"sent\", \"queued\"]", r#"{"a": [{"ok": "queued"}]}"#, r#"{"a": [{"ok": "Queued"}]}"#),
        ("[1, \"one\", true]", r#"{"a": [{"ok": 1}]}"#, r#"{"a": [{"ok": "two"}]}"#),
        ("1", r#"{"a": [{"ok": 1.0}]}"#, r#"{"a": [{"ok": 1.5}]}"#),
    ] {
        let options = format!("accepted_pointer = \"/a/0/ok\"\naccepted_value = {value}");
        expect_accepted(&options, 200, body, None);
        let refusal = Reply::answer(200, other);
        let words = "accepted_pointer finds another value (HTTP 200)";
        expect_failed(&options, refusal, "rejected", Some("200"), words);
    }
}

#[test]
fn a_value_of_another_kind_than_those_that_accept_leaves_the_outcome_unknown() {
    for (value, told) in [
        ("true", "\"true\""),
        ("0", "\"0\""),
        ("\"0\"", "0"),
        ("1.5", "{}"),
        ("[1, \"one\"]", "null"),
    ] {
        let options = format!("accepted_pointer = \"/ok\"\naccepted_value = {value}");
        let reply = Reply::answer(200, format!("{{\"ok\": {told}}}"));
        expect_failed(&options, reply, "unknown", Some("200"), "accepted_value");
    }
}

#[test]
fn where_accepted_pointer_finds_nothing_the_outcome_is_unknown() {
    let options = "accepted_pointer = \"/ok\"\naccepted_value = true\nmessage_id_pointer = \"/id\"";
    for body in ["", "{}", "[true]", "<html>", "\"ok\"", "{\"id\": \"SM-1\"}"] {
        expect_failed(
            options,
            Reply::answer(200, body),
            "unknown",
            Some("200"),
            "accepted_pointer",
        );
    }
    // What accepts is told already.
    expect_accepted(options, 200, "{\"ok\": true}", None);
}

#[test]
fn where_only_the_id_can_tell_an_answer_without_one_is_unknown() {
    let options = "message_id_pointer = \"/messages/0/id\"";
    expect_accepted(options, 200, r#"{"messages": [{"id": "SM-1"}]}"#, Some("SM-1"));
    expect_accepted(options, 200, r#"{"messages": [{"id": 4711}]}"#, Some("4711"));
    for body in [
        "",
        "<html>",
        "{}",
        r#"{"messages": []}"#,
        r#"{"messages": [{"id": null}]}"#,
        r#"{"messages": [{"id": ""}]}"#,
        r#"{"messages": [{"id": "\u0007 "}]}"#,
        r#"{"messages": [{"id": {"a": 1}}]}"#,
        r#"{"messages": [{"id": ["a"]}]}"#,
        r#"{"messages": [{"id": true}]}"#,
    ] {
        let reply = Reply::answer(200, body);
        expect_failed(options, reply, "unknown", Some("200"), "message_id_pointer");
    }
}

#[test]
fn pointers_are_those_of_rfc_6901() {
    let options = "message_id_pointer = \"/a~1b/m~0n/ /0\"";
    expect_accepted(options, 200, r#"{"a/b": {"m~n": {" ": ["SM-1"]}}}"#, Some("SM-1"));
}

#[test]
fn a_message_id_is_one_short_line() {
    let options = "message_id_pointer = \"/id\"";
    expect_accepted(options, 200, r#"{"id": " SM\u001b[31m\n1\u202e "}"#, Some("SM[31m 1"));
    let long = json!({"id": "i".repeat(1000)}).to_string();
    expect_accepted(options, 200, &long, Some("i".repeat(64).as_str()));
}

#[test]
fn a_4xx_is_refused_in_the_code_and_words_that_the_pointers_find() {
    let options = "error_code_pointer = \"/e/0/code\"\nerror_message_pointer = \"/e/0/text\"";
    for (body, code, words) in [
        (r#"{"e": [{"code": "E1", "text": "no such number"}]}"#, "E1", "no such number"),
        (r#"{"e": [{"code": 42, "text": 43}]}"#, "42", "43"),
        (r#"{"e": [{"code": "E1"}]}"#, "E1", "refused with HTTP 400"),
        (r#"{"e": [{"text": "no such number"}]}"#, "400", "no such number"),
        (r#"{"e": [{"code": {"a": 1}, "text": [2]}]}"#, "400", "refused with HTTP 400"),
        (r#"{"e": [{"code": null, "text": null}]}"#, "400", "refused with HTTP 400"),
        (r#"{"e": [{"code": "E1", "text": "bad \u001b[31m\n number"}]}"#, "E1", "bad [31m  number"),
        ("<html>", "400", "refused with HTTP 400"),
        ("", "400", "refused with HTTP 400"),
    ] {
        expect_failed(options, Reply::answer(400, body), "rejected", Some(code), words);
    }
    for status in [400, 403, 404, 409, 422, 451, 499] {
        let code = status.to_string();
        expect_failed("", Reply::html(status), "rejected", Some(&code), "refused with HTTP");
    }
}

#[test]
fn of_several_places_the_first_that_holds_something_counts() {
    let options = "error_code_pointer = [\"/code\", \"/a/code\"]\nerror_message_pointer = [\"/a/text\", \"/text\"]\n\
        accepted_pointer = \"/ok\"\naccepted_value = true";
    for (status, body, code, words) in [
        (
            400,
            r#"{"code": "E1", "a": {"code": "E2", "text": "inner"}, "text": "outer"}"#,
            "E1",
            "inner",
        ),
        (200, r#"{"ok": false, "a": {"code": "E2"}, "text": "outer"}"#, "E2", "outer"),
        (
            200,
            r#"{"ok": false, "code": null, "a": {"code": 3, "text": {}}, "text": "outer"}"#,
            "3",
            "outer",
        ),
        (
            400,
            r#"{"code": "", "a": {"code": "E2", "text": " \u0007"}, "text": "outer"}"#,
            "E2",
            "outer",
        ),
        (400, r#"{"code": "", "a": {"text": ""}, "text": "\n"}"#, "400", "refused with HTTP 400"),
    ] {
        expect_failed(options, Reply::answer(status, body), "rejected", Some(code), words);
    }
}

#[test]
fn a_refusal_leaves_the_earlier_code_working_and_an_unknown_outcome_both() {
    for (reply, kind, kept) in [
        (Reply::answer(400, ""), "rejected", 1),
        (Reply::answer(307, ""), "rejected", 1),
        (Reply::answer(500, ""), "unknown", 2),
        (Reply::close(), "unknown", 2),
    ] {
        let double = FakeProvider::without_documents();
        let environment = double.http_environment(HTTP_OPTIONS, DELIVERY);
        let earlier = environment.send(NUMBER);
        double.next(reply.although_accepted());
        let line = environment.send_json(1);
        assert_eq!(error_of(&line).0, kind);
        assert_eq!(line["session_token"].is_string(), kind == "unknown");
        assert_eq!(environment.records().len(), kept);
        for record in environment.records() {
            environment.verify(&record).expect_code(0);
        }
        assert_eq!(environment.records()[0].session_token, earlier.session_token);
    }
}

#[test]
fn a_redirect_is_not_followed_and_refused_unless_it_says_that_the_request_was_taken() {
    let elsewhere = FakeProvider::without_documents().never_called();
    let reply = |status| Reply::answer(status, "").header("Location", &elsewhere.base_url());
    for status in [301, 302, 307, 308] {
        let code = status.to_string();
        let words = "a redirect, which is not followed";
        expect_failed("", reply(status), "rejected", Some(&code), words);
        let reply = Reply::text(status, "moved").header("Location", &elsewhere.base_url());
        expect_failed("", reply, "rejected", Some(&code), words);
    }
    expect_failed("", reply(303), "unknown", Some("303"), "the request was taken");
}

#[test]
fn a_5xx_is_unknown_and_told_in_the_words_there_are() {
    let options = "error_code_pointer = \"/code\"\nerror_message_pointer = \"/text\"";
    for status in [500, 502, 504, 599] {
        let code = status.to_string();
        let reply = Reply::answer(status, r#"{"code": "E9", "text": "out of order"}"#);
        expect_failed(options, reply, "unknown", Some("E9"), "out of order");
        expect_failed(options, Reply::html(status), "unknown", Some(&code), "can't be understood");
    }
    let reply = Reply::answer(999, r#"{"code": "E9"}"#);
    expect_failed(options, reply, "unknown", Some("999"), "can't be understood");
    let reply = Reply::answer(500, r#"{"code": "E9", "text": " "}"#);
    expect_failed(options, reply, "unknown", Some("500"), "can't be understood");
}

#[test]
fn an_answer_that_can_not_be_read_is_unknown_even_where_nothing_has_to_be_in_it() {
    let encoded =
        |status, encoding| Reply::answer(status, "\u{1f}").header("Content-Encoding", encoding);
    answered("", encoded(200, "Identity"), 0);
    let padded = |length| Reply::answer(200, " ".repeat(length));
    answered("", padded(1024 * 1024), 0);
    for (reply, code, words) in [
        (padded(1024 * 1024 + 1), Some("200"), "larger than 1 MiB"),
        (Reply::answer(200, "{\"id\": \"SM-1\"}").cut_off(), Some("200"), "broke off"),
        (
            encoded(200, "gzip"),
            Some("200"),
            "its Content-Encoding is gzip, which was not asked for",
        ),
        (encoded(429, "identity, BR"), Some("429"), "its Content-Encoding is BR"),
        (encoded(401, "zstd"), Some("401"), "its Content-Encoding is zstd"),
        (Reply::close(), None, "lost"),
        (Reply::never(), None, "in time"),
    ] {
        expect_failed("", reply.although_accepted(), "unknown", code, words);
    }
}

/// Sends through a provider of these options that answers the first time with `busy`.
#[track_caller]
fn tried_again(options: &str, busy: Reply) {
    let double = FakeProvider::without_documents();
    double.next(busy);
    let environment = double.http_environment(&format!("{HTTP_OPTIONS}\n{options}"), DELIVERY);
    environment.send_json(0);
    let requests = double.requests();
    assert_eq!((requests.len(), double.accepted().len()), (2, 1), "{options}");
    assert_eq!(requests[0].body, requests[1].body);
    assert_eq!(environment.delivery().tries, 2);
}

#[test]
fn what_the_settings_say_may_be_tried_again_is() {
    for status in [429, 503] {
        tried_again("", Reply::html(status).retry_after_seconds(0));
    }
    let options = "retry_status = [420, 502]";
    for status in [420, 502] {
        tried_again(options, Reply::html(status).retry_after_seconds(0));
    }
    for options in [options, "retry_status = []"] {
        expect_failed(options, Reply::html(429), "rejected", Some("429"), "refused");
        expect_failed(options, Reply::html(503), "unknown", Some("503"), "can't be understood");
    }
}

#[test]
fn retry_after_is_honoured_in_both_of_its_forms() {
    // The provider itself objects to whoever comes back before the time that it told.
    for busy in [Reply::html(429).retry_after_seconds(3), Reply::html(503).retry_after_date(3)] {
        tried_again("", busy);
    }
}

#[test]
fn throttled_to_the_end_it_is_unavailable_in_the_providers_code_and_words() {
    let double = FakeProvider::without_documents();
    let body = r#"{"code": "E429", "text": "slow down"}"#;
    double.always(Reply::answer(429, body).retry_after_seconds(0));
    let options = "error_code_pointer = \"/code\"\nerror_message_pointer = \"/text\"";
    let environment = double.http_environment(&format!("{HTTP_OPTIONS}\n{options}"), DELIVERY);
    let line = environment.send_json(1);
    assert_eq!(refusal_of(&line), ("unavailable", Some("E429"), "slow down"));
    assert_eq!(double.requests().len(), 2);
    assert_eq!(environment.records(), []);
}

#[test]
fn the_second_provider_is_called_where_the_answer_blames_the_account_and_nowhere_else() {
    for (reply, called) in [
        (Reply::html(401), true),
        (Reply::html(402), true),
        (Reply::html(429).retry_after_seconds(0), true),
        (Reply::html(403), false),
        (Reply::html(400), false),
        (Reply::html(500), false),
        (Reply::close(), false),
    ] {
        let (double, second) = (FakeProvider::without_documents(), FakeProvider::twilio());
        double.always(reply);
        let second = if called { second } else { second.never_called() };
        let tables = format!("{DELIVERY}\n{}", second.fallback_tables());
        let environment = double.http_environment(HTTP_OPTIONS, &tables);
        let line = environment.send_json(i32::from(!called));
        assert_eq!(line["backend"] == "twilio", called, "{line:#}");
    }
}

#[test]
fn the_second_provider_is_called_for_the_codes_of_the_settings_as_well() {
    let options = "accepted_pointer = \"/ok\"\naccepted_value = true\nerror_code_pointer = \"/code\"\n\
        error_message_pointer = \"/text\"\nfallback_codes = [\"E25\", 7, 403]";
    for (reply, called) in [
        (Reply::answer(200, r#"{"ok": false, "code": "E25"}"#), true),
        (Reply::answer(200, r#"{"ok": false, "code": 7}"#), true),
        (Reply::answer(400, r#"{"code": "7"}"#), true),
        (Reply::html(403), true),
        // The account is a reason by itself.
        (Reply::html(401), true),
        (Reply::answer(200, r#"{"ok": false, "code": "E2"}"#), false),
        (Reply::answer(400, r#"{"code": "e25"}"#), false),
        (Reply::html(400), false),
        // Neither is certain that nothing was accepted.
        (Reply::answer(403, r#"{"ok": true, "code": "E25"}"#), false),
        (Reply::answer(500, r#"{"code": "E25", "text": "out of order"}"#), false),
    ] {
        let (double, second) = (FakeProvider::without_documents(), FakeProvider::twilio());
        double.always(reply);
        let second = if called { second } else { second.never_called() };
        let tables = format!("{DELIVERY}\n{}", second.fallback_tables());
        let environment = double.http_environment(&format!("{HTTP_OPTIONS}\n{options}"), &tables);
        let line = environment.send_json(i32::from(!called));
        assert_eq!(line["backend"] == "twilio", called, "{line:#}");
    }
}

#[test]
fn a_refusal_in_plain_text_is_told_in_its_own_words() {
    let long = format!("no {}", "o".repeat(1000));
    let shown = format!("no {}", "o".repeat(497));
    for (options, reply, code, words) in [
        ("", Reply::text(400, "Invalid\r\nnumber \u{1b}[31m"), "400", "Invalid  number [31m"),
        ("", Reply::text(400, long), "400", &shown),
        ("", Reply::text(400, " \n"), "400", "refused with HTTP 400"),
        ("accepted_text = \"OK\"", Reply::text(200, "ERR: 105"), "200", "ERR: 105"),
    ] {
        let line = answered(options, reply, 1);
        assert_eq!(refusal_of(&line), ("rejected", Some(code), words));
    }
    let double = FakeProvider::without_documents();
    double.answer_with(|request| {
        let text = request.json()["text"].as_str().unwrap_or_default().to_owned();
        Reply::text(400, format!("k3y is not for {text}"))
    });
    let options = format!("{HTTP_OPTIONS}\nbearer = \"k3y\"");
    let environment = double.http_environment(&options, "");
    let line = environment.send_json(1);
    let message =
        "*** is not for Welcome to Phone Verify! Please use security code *** to proceed.";
    assert_eq!(line["error"]["message"], message);
}

#[test]
fn a_provider_out_of_reach_is_tried_again_and_then_replaced_by_the_second() {
    let second = FakeProvider::nexmo();
    let tables = format!("{DELIVERY}\n{}", second.fallback_tables());
    // Nothing listens at this port any more.
    let first = FakeProvider::without_documents().never_called();
    let environment = Environment::with_settings(&first.http_settings(HTTP_OPTIONS, &tables));
    drop(first);
    assert_eq!(environment.send_json(0)["backend"], "nexmo");
    let first = environment.deliveries().remove(0);
    assert_eq!((first.state.as_str(), first.tries), ("unavailable", 2));
}

#[test]
fn it_may_be_the_second_provider() {
    let (first, second) = (FakeProvider::twilio(), FakeProvider::without_documents());
    first.always(Reply::twilio_error(401, 20003, "Authenticate"));
    let options = HTTP_OPTIONS.replace("{url}", &second.base_url());
    let fallback = format!("[fallback]\nbackend = \"http\"\n[fallback.options]\n{options}");
    let environment = first.environment_with("", &fallback);
    assert_eq!(environment.send_json(0)["backend"], "http");
    assert_eq!(environment.states(), ["rejected", "accepted"]);
    let told = second.requests()[0].json();
    assert!(
        told["text"]
            .as_str()
            .is_some_and(|text| text.contains(&environment.record().security_code))
    );
}
