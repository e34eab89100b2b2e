//! Fuzz targets of providers' answers: a line with the HTTP status, and the body.

use serde_json::Value;

use super::answer::HttpAnswer;
use super::masking::Mask;
use super::sms::{Accepted, SmsError, SmsErrorKind};
use super::{nexmo, twilio};
use crate::model::SecurityCode;
use crate::model::fuzz::assert_harmless;

const SECRET: &str = "s3cret/K3y";
const CODE: &str = "918273";

/// An SMS counts as sent only if all of its parts were accepted, and as not sent only if none was.
pub(crate) fn nexmo(input: &[u8]) {
    let (answer, body) = answer(input);
    let statuses: Vec<Value> = match body.as_ref().map(|body| &body["messages"]) {
        Some(Value::Array(parts)) => parts.iter().map(|part| part["status"].clone()).collect(),
        _ => Vec::new(),
    };
    let is_accepted = |status: &Value| *status == "0" || *status == 0;
    match judge(nexmo::judge, answer) {
        Ok(_) => assert!(!statuses.is_empty() && statuses.iter().all(is_accepted)),
        Err(error) => assert!(!is_certain(&error) || !statuses.iter().any(is_accepted)),
    }
}

/// An SMS counts as sent only if its answer has the sid of a message and no code of an error, and as not sent only without a sid.
pub(crate) fn twilio(input: &[u8]) {
    let (answer, body) = answer(input);
    let status = answer.status;
    let body = body.unwrap_or_default();
    let has_sid = body["sid"].as_str().is_some_and(|sid| !crate::model::words(sid).is_empty());
    match judge(twilio::judge, answer) {
        Ok(_) => assert!(status == 201 && has_sid && body["code"].is_null()),
        Err(error) => assert!(!is_certain(&error) || !has_sid),
    }
}

/// Returns the answer in `input`, and its body as any reader of JSON takes it.
pub(super) fn answer(input: &[u8]) -> (HttpAnswer, Option<Value>) {
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let status = str::from_utf8(&input[..end]).ok().and_then(|status| status.trim().parse().ok());
    let body = input.get(end + 1..).unwrap_or_default();
    let answer = HttpAnswer {
        status: status.unwrap_or(200),
        retry_after: None,
        is_plain_text: body.first() == Some(&b'!'),
        body: Ok(body.to_vec()),
    };
    let json = serde_json::from_str(&answer.text()).ok();
    (answer, json)
}

/// Returns what `judge` makes of `answer`. Neither it nor anything in it may lead to a second SMS or control a terminal, and what is
/// shown of it repeats no secret.
pub(super) fn judge(
    judge: impl Fn(&HttpAnswer) -> Result<Accepted, SmsError>,
    mut answer: HttpAnswer,
) -> Result<Accepted, SmsError> {
    let result = judge(&answer);
    answer.body = Err("it broke off".to_owned());
    let cut_off = judge(&answer).expect_err("half an answer accepts nothing");
    assert_eq!(cut_off.kind, SmsErrorKind::Unknown);
    for error in [Some(&cut_off), result.as_ref().err()].into_iter().flatten() {
        assert!(!error.may_retry || error.kind == SmsErrorKind::Unavailable, "{error:?}");
        assert!(!error.is_providers_own || is_certain(error), "{error:?}");
    }
    let mask = Mask::of([SECRET]).and(&[SecurityCode::from_stored(CODE.to_owned())]);
    let shown = match &result {
        Ok(accepted) => vec![mask.code(accepted.message_id.as_deref().unwrap_or_default())],
        Err(error) => {
            let SmsError { message, code, more_info, .. } = mask.error(error.clone());
            assert!(!message.is_empty());
            [Some(message), code, more_info].into_iter().flatten().collect()
        }
    };
    for text in shown {
        assert_harmless(&text);
        assert!(!text.contains('\n'), "{text:?}");
        let text = text.to_lowercase();
        assert!(![&SECRET.to_lowercase(), CODE].iter().any(|it| text.contains(*it)), "{text:?}");
    }
    result
}

/// Returns whether it is certain that nothing was accepted.
pub(super) fn is_certain(error: &SmsError) -> bool {
    error.kind != SmsErrorKind::Unknown
}
