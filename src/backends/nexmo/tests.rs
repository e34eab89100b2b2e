use super::judge;
use crate::backends::answer::judged;

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
        (302, own, "own 302"),
        (429, own, "again 9"),
        (500, own, "unknown 9"),
        (200, throttled, "again 1"),
        (403, throttled, "again 1"),
        (500, throttled, "unknown 1"),
        (200, &[r#""123456""#], "refused 123456"),
    ] {
        assert_eq!(outcome(status, parts), expected, "{status} {parts:?}");
    }
}

#[test]
fn a_status_that_is_not_a_number_in_a_string_leaves_the_outcome_unknown() {
    for status in [r#""abc""#, r#"" 0""#, r#""+4""#, r#""00""#, r#""""#, "0", "4", "null", "{}"] {
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
fn a_body_without_messages_leaves_it_to_the_status() {
    for body in ["", "<html>", "{}", r#"{"messages": []}"#, r#"{"messages": "0"}"#, "[[]]"] {
        for (status, expected) in [
            (200, "unknown 200"),
            (302, "refused 302"),
            (401, "own 401"),
            (404, "refused 404"),
            (429, "again 429"),
            (503, "again 503"),
            (500, "unknown 500"),
        ] {
            assert_eq!(judged(judge, status, body), expected, "{status} {body}");
        }
    }
}
