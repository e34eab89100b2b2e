//! What became of a number, as JSON on stdout and as text for people.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::backends::{BackendName, SmsError, SmsErrorKind};
use crate::error::Error;
use crate::model::{Encoding, InvalidPhoneNumber, PhoneNumber, Segments, SessionToken, timestamp};
use crate::output::{Output, Report, distance, local_time};
use crate::service::register::Registration;

#[derive(Debug, Serialize)]
struct NumberReport<'a> {
    phone_number: &'a str,
    #[serde(flatten)]
    status: Status<'a>,
}

#[derive(Debug, Serialize)]
#[serde(tag = "status", rename_all = "snake_case")]
enum Status<'a> {
    Sent {
        session_token: &'a SessionToken,
        backend: BackendName,
        message_id: Option<&'a str>,
        #[serde(with = "timestamp")]
        expires_at: DateTime<Utc>,
        #[serde(skip)]
        now: DateTime<Utc>,
    },
    Failed {
        #[serde(skip_serializing_if = "Option::is_none")]
        session_token: Option<&'a SessionToken>,
        error: Failure<'a>,
    },
    Skipped {
        reason: &'static str,
    },
    DryRun {
        text: &'a str,
        encoding: Encoding,
        segments: usize,
    },
}

#[derive(Debug, Serialize)]
struct Failure<'a> {
    kind: FailureKind,
    code: Option<&'a str>,
    message: &'a str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum FailureKind {
    InvalidNumber,
    #[serde(untagged)]
    Sms(SmsErrorKind),
}

impl Report for NumberReport<'_> {
    fn text(&self) -> String {
        let phone_number = self.phone_number;
        match &self.status {
            Status::Sent { session_token, message_id, expires_at, now, .. } => {
                let mut text = format!("{phone_number} sent\n");
                text += &format!("  session token  {}\n", session_token.as_str());
                if let Some(message_id) = message_id {
                    text += &format!("  message id     {message_id}\n");
                }
                let (expires_at, distance) = (local_time(*expires_at), distance(*expires_at, *now));
                text + &format!("  expires        {expires_at} ({distance})")
            }
            Status::Failed { session_token: Some(session_token), .. } => {
                let session_token = session_token.as_str();
                format!("{phone_number} may or may not arrive\n  session token  {session_token}")
            }
            Status::Failed { .. } => format!("{phone_number} not sent"),
            Status::Skipped { reason } => format!("{phone_number} skipped ({reason})"),
            Status::DryRun { text, encoding, segments } => {
                let plural = if *segments == 1 { "" } else { "s" };
                format!("{phone_number} {encoding}, {segments} segment{plural}: {text}")
            }
        }
    }
}

/// Reports a text that is no phone number.
pub(super) fn invalid(output: &mut Output, invalid: &InvalidPhoneNumber) -> Result<(), Error> {
    let message = invalid.to_string();
    let error = Failure { kind: FailureKind::InvalidNumber, code: None, message: &message };
    let phone_number = &invalid.phone_number;
    show(output, phone_number, Status::Failed { session_token: None, error })?;
    output.error(&Error::usage(format!("phone number {phone_number}: {message}")));
    Ok(())
}

/// Reports a number that was given before.
pub(super) fn duplicate(output: &mut Output, phone_number: &PhoneNumber) -> Result<(), Error> {
    show(output, phone_number.as_str(), Status::Skipped { reason: "duplicate" })
}

/// Reports what would be sent to a number.
pub(super) fn dry_run(
    output: &mut Output,
    phone_number: &PhoneNumber,
    text: &str,
    Segments { encoding, count }: Segments,
) -> Result<(), Error> {
    show(output, phone_number.as_str(), Status::DryRun { text, encoding, segments: count })
}

/// Reports what became of a number that was sent to.
pub(super) fn registration(
    output: &mut Output,
    registration: &Registration,
    backend: BackendName,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let Registration { phone_number, session_token, expires_at, result, .. } = registration;
    match result {
        Ok(accepted) => {
            if let Some(text) = &accepted.shown_text {
                output.message(phone_number.as_str(), text);
            }
            let message_id = accepted.message_id.as_deref();
            let expires_at = *expires_at;
            let status = Status::Sent { session_token, backend, message_id, expires_at, now };
            show(output, phone_number.as_str(), status)
        }
        Err(sms_error) => {
            let SmsError { kind, code, message, .. } = sms_error;
            let session_token = (*kind == SmsErrorKind::Unknown).then_some(session_token);
            let error = Failure { kind: FailureKind::Sms(*kind), code: code.as_deref(), message };
            let shown =
                show(output, phone_number.as_str(), Status::Failed { session_token, error });
            output.error(&in_words(phone_number, backend, sms_error));
            shown
        }
    }
}

fn show(output: &mut Output, phone_number: &str, status: Status<'_>) -> Result<(), Error> {
    output.report(&NumberReport { phone_number, status })
}

/// Returns the error for an operator: what failed, why in the provider's words, and what to do.
fn in_words(phone_number: &PhoneNumber, backend: BackendName, error: &SmsError) -> Error {
    let SmsError { kind, code, message, more_info } = error;
    let what = match kind {
        SmsErrorKind::Rejected => format!("{phone_number} was not sent: {backend} refused it"),
        SmsErrorKind::Unavailable => format!("{phone_number} was not sent"),
        SmsErrorKind::Unknown => {
            format!("the SMS to {phone_number} may or may not arrive")
        }
    };
    let code = code.as_ref().map(|code| format!(" ({code})")).unwrap_or_default();
    let error = Error::failed(format!("{what}: {message}{code}"));
    match (kind, more_info) {
        (SmsErrorKind::Unknown, _) => {
            error.with_hint("ask the person before sending again: the code works if it arrives")
        }
        (_, Some(more_info)) => error.with_hint(more_info),
        (SmsErrorKind::Unavailable, None) => error.with_hint("send it again later"),
        (SmsErrorKind::Rejected, None) => error,
    }
}
