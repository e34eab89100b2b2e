use super::Keys;
use crate::backends::answer::judged;

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
}

#[test]
fn of_several_keys_each_may_refuse() {
    let keys = "accepted_text = \"{\"\naccepted_pointer = \"/ok\"\naccepted_value = true\nrefused_pointer = \"/error\"\n\
        message_id_pointer = \"/id\"";
    let answers = [
        (200, r#"{"ok": true, "id": "SM1"}"#, "accepted SM1"),
        (200, r#"{"ok": true, "error": 5}"#, "refused 200"),
        (200, r#"{"ok": false}"#, "refused 200"),
        (200, r#"[{"ok": true}]"#, "refused 200"),
        (200, r#"{"id": "SM1"}"#, "unknown 200"),
        (200, "{ok", "unknown 200"),
        (404, r#"{"ok": true}"#, "unknown 404"),
        (404, r#"{"ok": true, "error": 5}"#, "refused 404"),
    ];
    expect(keys, &answers);
    let text = "accepted_text = \"OK\"\nrefused_pointer = \"/error\"\nmessage_id_pointer = \"/id\"";
    expect(text, &[(200, "OK 4711", "accepted"), (200, r#"{"error": 5}"#, "refused 200")]);
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
    expect("fallback_codes = [302]", &[(302, "", "own 302"), (301, "", "refused 301")]);
}
