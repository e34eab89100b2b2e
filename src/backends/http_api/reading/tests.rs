use super::Keys;
use crate::backends::answer::{HttpAnswer, judged};

/// Asserts what becomes of answers, if the settings have these keys.
#[track_caller]
fn expect(keys: &str, answers: &[(u16, &str, &str)]) {
    let keys: Keys = toml::from_str(keys).expect("valid keys");
    for (status, body, outcome) in answers {
        let judged = judged(|answer| keys.judge(answer), *status, body);
        assert_eq!(judged.trim_end(), *outcome, "{status} {body}");
    }
}

#[test]
fn a_value_at_refused_pointer_refuses() {
    let keys = "refused_pointer = \"/error\"\nerror_code_pointer = \"/error/code\"";
    let answers = [
        (200, "{}", "accepted"),
        (200, r#"{"error": null}"#, "accepted"),
        (200, r#"{"error": false}"#, "refused 200"),
        (200, r#"{"error": {"code": 5}}"#, "refused 5"),
        (200, "<html>", "unknown 200"),
        (200, "", "unknown 200"),
        (400, r#"{"error": null}"#, "refused 400"),
        (400, "<html>", "refused 400"),
        (429, r#"{"error": {"code": 5}}"#, "again 5"),
        (500, r#"{"error": {"code": 5}}"#, "unknown 500"),
    ];
    expect(keys, &answers);
    let with_id = format!("{keys}\nmessage_id_pointer = \"/id\"");
    let answers = [
        (200, r#"{"id": "SM1"}"#, "accepted SM1"),
        (200, r#"{"id": "SM1", "error": {"code": 5}}"#, "refused 5"),
        (200, "{}", "unknown 200"),
    ];
    expect(&with_id, &answers);
}

#[test]
fn the_whole_answer_may_be_what_accepts() {
    let answers = [
        (200, "1", "accepted"),
        (200, " 1.0\n", "accepted"),
        (200, "2", "refused 200"),
        (200, "\"1\"", "unknown 200"),
        (200, "OK", "unknown 200"),
        (429, "1", "unknown 429"),
    ];
    expect("accepted_pointer = \"\"\naccepted_value = 1", &answers);
}

#[test]
fn an_answer_that_does_not_begin_with_accepted_text_is_refused() {
    let answers = [
        (200, "OK", "accepted"),
        (200, " \r\n\tOK: 4711", "accepted"),
        (200, "\u{feff}OK", "accepted"),
        (200, "ok", "refused 200"),
        (200, "ERR: 105 OK", "refused 200"),
        (200, "", "refused 200"),
        (302, "OK", "unknown 302"),
        (403, "OK", "unknown 403"),
        (403, "ERR", "refused 403"),
        (401, "ERR", "own 401"),
        (503, "OK", "unknown 503"),
        (503, "ERR", "again 503"),
        (500, "OK", "unknown 500"),
    ];
    expect("accepted_text = \"OK\"", &answers);
    // No pointer says that there is JSON.
    expect(
        "accepted_text = \"[OK]\"",
        &[(200, "[OK] 1", "accepted"), (400, "[ERR", "refused 400")],
    );
}

#[test]
fn what_one_key_accepts_isnt_sent_again_if_another_finds_nothing() {
    let keys = "accepted_text = \"OK\"\naccepted_pointer = \"/ok\"\naccepted_value = true";
    let statuses = [(200, "unknown 200"), (400, "unknown 400"), (429, "unknown 429")];
    expect(keys, &statuses.map(|(status, outcome)| (status, "OK 4711", outcome)));
}

#[test]
fn of_several_keys_each_may_refuse() {
    let keys = "accepted_pointer = \"/ok\"\naccepted_value = true\nrefused_pointer = \"/error\"\nmessage_id_pointer = \"/id\"";
    let answers = [
        (200, r#"{"ok": true, "id": "SM1"}"#, "accepted SM1"),
        (200, r#"{"ok": true, "error": null}"#, "accepted"),
        (200, r#"{"ok": false}"#, "refused 200"),
        (200, r#"{"ok": false, "id": "SM1"}"#, "refused 200"),
        (200, r#"{"ok": false, "error": 5}"#, "refused 200"),
        (200, r#"{"error": 5}"#, "refused 200"),
        (200, r#"{"id": "SM1"}"#, "unknown 200"),
        (404, r#"{"ok": true}"#, "unknown 404"),
        (404, r#"{"ok": false}"#, "refused 404"),
    ];
    expect(keys, &answers);
    let text = "accepted_text = \"OK\"\nrefused_pointer = \"/error\"\nmessage_id_pointer = \"/id\"";
    expect(text, &[(200, "OK 4711", "accepted"), (200, r#"{"error": 5}"#, "refused 200")]);
}

#[test]
fn where_one_key_accepts_and_another_refuses_the_outcome_is_unknown() {
    let pointer = "accepted_pointer = \"/ok\"\naccepted_value = true\n";
    let refused = "refused_pointer = \"/error\"\n";
    let text = "accepted_text = \"{ \"\n";
    for (keys, body) in [
        ([pointer, refused, ""], r#"{"ok": true, "error": 5}"#),
        ([text, pointer, ""], r#"{"ok": true}"#),
        ([text, pointer, ""], r#"{ "ok": false}"#),
        ([text, refused, ""], r#"{ "error": 5}"#),
        ([text, pointer, refused], r#"{ "ok": true, "error": false}"#),
        ([text, pointer, refused], r#"{ "ok": "true", "error": 5}"#),
        ([text, pointer, refused], r#"{ "error": 5}"#),
    ] {
        for status in [200, 302, 303, 401, 404, 429, 503, 500] {
            expect(&keys.concat(), &[(status, body, &format!("unknown {status}"))]);
        }
    }
}

#[test]
fn a_body_that_begins_like_json_and_is_not_leaves_the_outcome_unknown_if_a_pointer_is_set() {
    for keys in [
        "accepted_pointer = \"/ok\"\naccepted_value = true",
        "refused_pointer = \"/error\"",
        "message_id_pointer = \"/id\"",
        "error_code_pointer = \"/code\"",
        "error_message_pointer = [\"/text\"]\naccepted_text = \"OK\"",
    ] {
        for body in
            [r#"{"ok": false"#, r#"{"ok": false} 1"#, r#"{"a": 1, "a": 1}"#, "\u{feff}[", " {ok"]
        {
            for status in [200, 302, 404, 429, 503, 500] {
                expect(keys, &[(status, body, &format!("unknown {status}"))]);
            }
        }
        expect(keys, &[(404, "<html>", "refused 404"), (429, "", "again 429")]);
    }
    // Words in another encoding than UTF-8 don't hide the rest.
    let keys: Keys = toml::from_str("error_code_pointer = \"/code\"").expect("valid keys");
    let mut answer = HttpAnswer::with_body(400, "");
    answer.body = Ok(b"{\"code\": 5, \"text\": \"Ung\xfcltig\"}".to_vec());
    assert_eq!(keys.judge(&answer).expect_err("refused").code.as_deref(), Some("5"));
}

#[test]
fn a_refusal_without_words_names_the_key_that_decided() {
    let pointer =
        "accepted_pointer = \"/ok\"\naccepted_value = true\nerror_message_pointer = \"/text\"";
    for (keys, status, body, words) in [
        (
            "accepted_text = \"OK\"",
            200,
            "ERR",
            "the answer doesn't begin with accepted_text (HTTP 200)",
        ),
        (
            "accepted_text = \"OK\"",
            202,
            "",
            "the answer doesn't begin with accepted_text (HTTP 202)",
        ),
        (
            "refused_pointer = \"/e\"",
            200,
            r#"{"e": 1}"#,
            "refused_pointer finds a value (HTTP 200)",
        ),
        (pointer, 200, r#"{"ok": false}"#, "accepted_pointer finds another value (HTTP 200)"),
        (pointer, 200, r#"{"ok": false, "text": "No"}"#, "No"),
        (pointer, 400, r#"{"ok": false}"#, "refused with HTTP 400"),
    ] {
        let keys: Keys = toml::from_str(keys).expect("valid keys");
        let error = keys.judge(&HttpAnswer::with_body(status, body)).expect_err("refused");
        assert_eq!(error.message, words, "{body}");
    }
}

#[test]
fn an_id_contradicts_a_status_that_refuses_unless_there_is_an_error_beside_it() {
    let keys = "message_id_pointer = \"/id\"\nerror_code_pointer = \"/code\"\nerror_message_pointer = \"/text\"";
    let answers = [
        (200, r#"{"id": "SM1", "text": "queued"}"#, "accepted SM1"),
        (400, r#"{"id": "SM1"}"#, "unknown 400"),
        (429, r#"{"id": "SM1"}"#, "unknown 429"),
        (400, r#"{"id": "SM1", "code": 5}"#, "refused 5"),
        (429, r#"{"id": "SM1", "text": "slow down"}"#, "again 429"),
        (400, "{}", "refused 400"),
    ];
    expect(keys, &answers);
}

#[test]
fn where_only_the_status_tells_it_decides() {
    let answers = [(200, "ERR", "accepted"), (400, "OK", "refused 400"), (402, "", "own 402")];
    expect("", &answers);
    let answers = [(302, "", "own 302"), (301, "", "refused 301"), (303, "", "unknown 303")];
    expect("fallback_codes = [302, 303]", &answers);
}

#[test]
fn statuses_of_the_settings_mean_what_they_say() {
    expect("accepted_status = [202]", &[(202, "", "accepted"), (200, "", "unknown 200")]);
    let answers = [(500, "", "again 500"), (503, "", "unknown 503")];
    expect("retry_status = [500]", &answers);
    let keys: Keys = toml::from_str("accepted_status = [202]").expect("valid keys");
    let error = keys.judge(&HttpAnswer::with_body(200, "")).expect_err("another status");
    assert!(error.message.ends_with("accepted_status doesn't have this status"), "{error}");
}

#[test]
fn only_some_keys_tell_acceptance_from_refusal() {
    for (keys, reads_the_body) in [
        ("", false),
        ("error_code_pointer = \"/code\"", false),
        ("accepted_text = \"OK\"", true),
        ("refused_pointer = \"/error\"", true),
        ("message_id_pointer = \"/id\"", true),
        ("accepted_pointer = \"/ok\"\naccepted_value = true", true),
    ] {
        let read: Keys = toml::from_str(keys).expect("valid keys");
        assert_eq!(read.reads_the_body(), reads_the_body, "{keys}");
    }
}

#[test]
fn a_pointer_begins_with_a_slash_and_a_code_isnt_empty() {
    for (keys, is_valid) in [
        ("refused_pointer = \"/a~0~1\"", true),
        ("refused_pointer = \"a\"", false),
        ("refused_pointer = \"/a~2\"", false),
        ("fallback_codes = [\"x\", 5]", true),
        ("fallback_codes = [\"\"]", false),
    ] {
        assert_eq!(toml::from_str::<Keys>(keys).is_ok(), is_valid, "{keys}");
    }
}
