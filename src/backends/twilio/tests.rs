use super::judge;
use crate::backends::answer::judged;

#[test]
fn an_answer_is_judged_by_its_status_and_its_body() {
    let accepted = r#"{"sid": "SM1", "status": "queued", "error_code": null, "code": null}"#;
    let refused = r#"{"code": 21211, "message": "Invalid", "status": 400}"#;
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
    ] {
        assert_eq!(judged(judge, status, body), outcome, "{status} {body}");
    }
}

#[test]
fn a_code_is_a_number_or_a_string_of_its_digits() {
    for (body, outcome) in [
        (r#"{"code": 20003}"#, "own 20003"),
        (r#"{"code": "20003", "message": 5, "more_info": []}"#, "own 20003"),
        (r#"{"code": "21211", "sid": 5}"#, "refused 21211"),
        (r#"{"code": "21211", "sid": "SM1"}"#, "refused 21211"),
        (r#"{"code": null, "sid": " "}"#, "refused 400"),
        (r#"{"code": "", "message": ""}"#, "refused 400"),
        (r#"{"code": [20003]}"#, "refused 400"),
        (r#"[{"code": 20003}]"#, "refused 400"),
    ] {
        assert_eq!(judged(judge, 400, body), outcome, "{body}");
    }
}
