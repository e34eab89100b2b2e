use super::judge;
use crate::backends::answer::{HttpAnswer, judged};

/// Returns what becomes of an answer with a part of each of these statuses, as JSON.
fn outcome(http_status: u16, statuses: &[&str]) -> String {
    let part =
        |status| format!(r#"{{"status": {status}, "message-id": "0A", "error-text": "No"}}"#);
    let parts: Vec<_> = statuses.iter().map(part).collect();
    judged(judge, http_status, &format!(r#"{{"messages": [{}]}}"#, parts.join(", ")))
}

#[test]
fn an_answer_is_judged_by_its_status_and_its_parts() {
    let accepted = &[r#""0""#, r#""0""#][..];
    let in_part = &[r#""0""#, r#""9""#];
    let (refused, own, throttled) = (&[r#""6""#, r#""1""#], &[r#""9""#], &[r#""1""#, r#""10""#]);
    for (status, parts, expected) in [
        (200, accepted, "accepted 0A"),
        (302, accepted, "unknown 302"),
        (401, accepted, "unknown 401"),
        (429, accepted, "unknown 429"),
        (503, accepted, "unknown 503"),
        (500, accepted, "unknown 500"),
        (200, in_part, "unknown 9"),
        (401, in_part, "unknown 9"),
        (429, in_part, "unknown 9"),
        (200, refused, "refused 6"),
        (400, refused, "refused 6"),
        (200, own, "own 9"),
        (302, own, "refused 302"),
        (429, own, "again 9"),
        (500, own, "unknown 9"),
        (200, throttled, "again 1"),
        (403, throttled, "again 1"),
        (500, throttled, "unknown 1"),
        (200, &[r#""123456""#], "refused 123456"),
        (303, own, "unknown 9"),
        (200, &["0", r#""0""#], "accepted 0A"),
        (401, &["0"], "unknown 401"),
        (200, &["4"], "own 4"),
        (401, &["4"], "own 4"),
        (200, &["1", "10"], "again 1"),
        (200, &["0", "9"], "unknown 9"),
    ] {
        assert_eq!(outcome(status, parts), expected, "{status} {parts:?}");
    }
}

#[test]
fn a_status_that_is_not_digits_leaves_the_outcome_unknown() {
    for status in [
        r#""abc""#, r#"" 0""#, r#""+4""#, r#""00""#, r#""""#, "0.0", "4.0", "-4", "-0", "4e0",
        "1e30", "true", "null", "{}", "[0]",
    ] {
        for http_status in [200, 401, 429, 500] {
            for parts in [&[status][..], &[r#""4""#, status], &[status, r#""0""#]] {
                let outcome = outcome(http_status, parts);
                assert!(outcome.starts_with("unknown "), "{http_status} {parts:?}: {outcome}");
            }
        }
    }
    let missing = r#"{"messages": [{"error-text": "No"}]}"#;
    assert_eq!(judged(judge, 200, missing), "unknown 200");
}

#[test]
fn the_words_of_a_refusal_say_of_how_many_parts_they_are() {
    for (statuses, words) in
        [(["6", "9"], "No"), (["0", "9"], "1 of 2 parts of the message was refused: No")]
    {
        let part = |status| format!(r#"{{"status": "{status}", "error-text": "No"}}"#);
        let body = format!(r#"{{"messages": [{}]}}"#, statuses.map(part).join(", "));
        let error = judge(&HttpAnswer::with_body(200, &body)).unwrap_err();
        assert_eq!(error.message, words, "{statuses:?}");
    }
}

#[test]
fn a_body_without_messages_leaves_it_to_the_status() {
    for body in ["", "<html>", "{}", r#"{"messages": []}"#, "0", "\"0\"", "\u{feff}"] {
        for (status, expected) in [
            (200, "unknown 200"),
            (302, "refused 302"),
            (401, "own 401"),
            (404, "refused 404"),
            (429, "again 429"),
            (503, "again 503"),
            (500, "unknown 500"),
            (303, "unknown 303"),
        ] {
            assert_eq!(judged(judge, status, body), expected, "{status} {body}");
        }
    }
}

#[test]
fn messages_that_are_not_a_list_of_objects_leave_the_outcome_unknown() {
    for body in [
        r#"{"messages": "0"}"#,
        r#"{"messages": null}"#,
        r#"{"messages": {"status": "4"}}"#,
        r#"{"messages": [{"status": "4"}, null]}"#,
        r#"{"messages": [["4"]]}"#,
        r#"{"messages": [{"status": "0", "status": "4"}]}"#,
        r#"{"messages": [{"status": "4"}], "messages": []}"#,
        r#"{"messages": [{"status": "4"}"#,
        "[[]]",
    ] {
        for status in [200, 400, 401, 429, 503, 500] {
            assert_eq!(judged(judge, status, body), format!("unknown {status}"), "{body}");
        }
    }
}

#[test]
fn a_refusal_without_words_says_what_was_refused() {
    let answer = HttpAnswer::with_body(200, r#"{"messages": [{"status": "6"}]}"#);
    let error = judge(&answer).expect_err("refused");
    assert_eq!(error.message, "every part of the message was refused (HTTP 200)");
}
