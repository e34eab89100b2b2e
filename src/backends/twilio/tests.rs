use super::judge;
use crate::backends::answer::{HttpAnswer, judged};

#[test]
fn an_answer_is_judged_by_its_status_and_its_body() {
    let accepted = r#"{"sid": "SM1", "status": "queued", "error_code": null, "code": null}"#;
    let refused = r#"{"code": 21211, "message": "Invalid", "status": 400}"#;
    let both = r#"{"sid": "SM1", "code": 21211, "message": "Invalid"}"#;
    for (status, body, outcome) in [
        (201, accepted, "accepted SM1"),
        (200, accepted, "unknown 200"),
        (302, accepted, "unknown 302"),
        (400, accepted, "unknown 400"),
        (429, accepted, "unknown 429"),
        (503, accepted, "unknown 503"),
        (500, accepted, "unknown 500"),
        (201, refused, "unknown 201"),
        (302, refused, "refused 302"),
        (400, refused, "refused 21211"),
        (429, refused, "again 21211"),
        (503, refused, "again 21211"),
        (500, refused, "unknown 21211"),
        (201, "<html>", "unknown 201"),
        (302, "<html>", "refused 302"),
        (400, "<html>", "refused 400"),
        (401, "", "own 401"),
        (402, "{}", "own 402"),
        (429, "<html>", "again 429"),
        (500, "{}", "unknown 500"),
        (999, refused, "unknown 21211"),
        (303, accepted, "unknown 303"),
        (303, refused, "unknown 21211"),
        (303, "<html>", "unknown 303"),
        (201, both, "unknown 21211"),
        (302, both, "unknown 21211"),
        (400, both, "unknown 21211"),
        (429, both, "unknown 21211"),
        (503, both, "unknown 21211"),
        (500, both, "unknown 21211"),
        (201, "\u{feff}\r\n{\"sid\": \"SM1\"}\r\n", "accepted SM1"),
    ] {
        assert_eq!(judged(judge, status, body), outcome, "{status} {body}");
    }
}

#[test]
fn a_status_that_is_not_documented_is_told_from_an_error_of_the_provider() {
    for (status, reason) in
        [(202, "no answer with this status is documented"), (500, "an error of the provider's own")]
    {
        let error = judge(&HttpAnswer::with_body(status, "")).unwrap_err();
        assert!(error.message.ends_with(reason), "{status}: {error}");
    }
}

#[test]
fn a_code_is_a_number_or_a_string_of_its_digits() {
    for (body, outcome) in [
        (r#"{"code": 20003}"#, "own 20003"),
        (r#"{"code": "20003", "message": 5, "more_info": []}"#, "own 20003"),
        (r#"{"code": "21211", "sid": 5}"#, "refused 21211"),
        (r#"{"code": "21211", "sid": " "}"#, "refused 21211"),
        (r#"{"code": "21211", "sid": "SM1"}"#, "unknown 400"),
        (r#"{"code": "", "sid": "SM1"}"#, "unknown 400"),
        (r#"{"code": {}, "sid": "SM1"}"#, "unknown 400"),
        (r#"{"code": null, "sid": " "}"#, "refused 400"),
        (r#"{"code": "", "message": ""}"#, "refused 400"),
        (r#"{"code": [20003]}"#, "refused 400"),
    ] {
        assert_eq!(judged(judge, 400, body), outcome, "{body}");
    }
}

#[test]
fn a_body_that_begins_like_json_and_is_not_the_documented_json_leaves_the_outcome_unknown() {
    for body in [
        r#"{"code": 20003, "message": "Auth"#,
        r#"{"code": 20003}{"sid": "SM1"}"#,
        r#"{"code": 20003} OK"#,
        r#"{"sid": "SM1", "sid": null, "code": 20003}"#,
        r#"{"code": 20003, "details": [{"a": 1, "a": 2}]}"#,
        r#"[{"code": 20003}]"#,
        "\u{feff} \t{",
        "[",
    ] {
        for status in [201, 302, 400, 401, 429, 503, 500] {
            assert_eq!(judged(judge, status, body), format!("unknown {status}"), "{body}");
        }
    }
}
