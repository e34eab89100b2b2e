//! What became of each number, as JSON on stdout and as text for people.

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};
use uuid::Uuid;

use crate::backends::{BackendName, SmsError, SmsErrorKind};
use crate::exit::Error;
use crate::model::{DeliveryState, Encoding, SessionToken, counted, timestamp};
use crate::output::{Report, time_and_distance};
use crate::service::hooks::{Event, EventError, EventName};

/// A number, where it was given, and its record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin<'a> {
    /// The number in E.164, or the text as given.
    pub(super) phone_number: &'a str,
    /// The line of the file; None on the command line.
    pub(super) line: Option<u64>,
    /// The record's UUID, once one was stored.
    pub(super) verification_id: Option<Uuid>,
}

impl<'a> Origin<'a> {
    /// Returns a number that has no record yet.
    pub(super) fn new(phone_number: &'a str, line: Option<u64>) -> Self {
        Self { phone_number, line, verification_id: None }
    }
}

/// What became of a number.
#[derive(Debug, Serialize)]
pub(super) struct NumberReport<'a> {
    pub(super) phone_number: &'a str,
    #[serde(flatten)]
    pub(super) status: Status<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) line: Option<u64>,
    #[serde(skip)]
    pub(super) now: DateTime<Utc>,
}

/// What became of it.
#[derive(Debug, Serialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub(super) enum Status<'a> {
    Sent {
        session_token: &'a SessionToken,
        backend: BackendName,
        message_id: Option<&'a str>,
        #[serde(with = "timestamp")]
        expires_at: DateTime<Utc>,
        #[serde(skip_serializing_if = "Option::is_none")]
        delivery: Option<DeliveryState>,
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

/// Why a number was not sent to, or not certainly.
#[derive(Debug, Serialize)]
pub(super) struct Failure<'a> {
    pub(super) kind: FailureKind,
    pub(super) code: Option<&'a str>,
    pub(super) message: &'a str,
    #[serde(flatten)]
    pub(super) limit: Option<Limit>,
}

/// When a limited number may be sent to; None where waiting does not help.
#[derive(Debug, Serialize)]
pub(super) struct Limit {
    #[serde(serialize_with = "timestamp::serialize_optional")]
    pub(super) retry_at: Option<DateTime<Utc>>,
}

/// What kind of failure it is.
#[derive(Debug, Clone, Copy)]
pub(super) enum FailureKind {
    InvalidNumber,
    InvalidLine,
    Limited,
    Undelivered,
    Sms(SmsErrorKind),
}

impl FailureKind {
    /// Returns the kind as scripts read it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::InvalidNumber => "invalid_number",
            Self::InvalidLine => "invalid_line",
            Self::Limited => "limited",
            Self::Undelivered => "undelivered",
            Self::Sms(kind) => kind.delivery_state().as_str(),
        }
    }
}

/// Returns a number as it was given, on one line.
pub(super) fn as_given(number: &str) -> String {
    number.split_whitespace().collect::<Vec<_>>().join(" ")
}

impl Serialize for FailureKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'a> Failure<'a> {
    /// Returns a failure that is no limit's.
    pub(super) fn new(kind: FailureKind, code: Option<&'a str>, message: &'a str) -> Self {
        Self { kind, code, message, limit: None }
    }
}

impl Status<'_> {
    /// Returns what a hook is told of; None where nothing was to be sent.
    pub(super) fn event(&self, origin: Origin<'_>) -> Option<Event> {
        let (name, session_token, error) = match self {
            Status::Sent { session_token, .. } => (EventName::Sent, Some(*session_token), None),
            Status::Failed { session_token, error } => {
                let code = error.code.map(str::to_owned);
                let error = EventError { kind: error.kind.as_str(), code };
                (EventName::Failed, *session_token, Some(error))
            }
            Status::Skipped { .. } | Status::DryRun { .. } => return None,
        };
        Some(Event {
            name,
            id: origin.verification_id,
            phone_number: origin.phone_number.to_owned(),
            session_token: session_token.cloned(),
            verified_at: None,
            first_time: None,
            error,
        })
    }
}

impl Report for NumberReport<'_> {
    /// A number of the command line may take several lines; one of a file takes one.
    fn text(&self) -> String {
        let Self { status, now, .. } = self;
        let number = as_given(self.phone_number);
        let mut text = match self.line {
            Some(line) if number.is_empty() => format!("line {line}: "),
            Some(line) => format!("line {line}: {number} "),
            None if number.is_empty() => "(empty) ".to_owned(),
            None => format!("{number} "),
        };
        let field: fn(&str) -> String = match self.line {
            Some(_) => |name| format!(", {name} "),
            None => |name| format!("\n  {name:13}  "),
        };
        match status {
            Status::Sent { session_token, message_id, expires_at, delivery, .. } => {
                text += delivery.map_or("sent", |_| "delivered");
                text += &[field("expires"), time_and_distance(*expires_at, *now)].concat();
                if let Some(message_id) = message_id {
                    text += &[&field("message id"), *message_id].concat();
                }
                // It comes last, as no line of a terminal is long enough for it.
                text += &[&field("session token"), session_token.as_str()].concat();
            }
            Status::Failed { session_token: Some(session_token), error } => {
                text += match error.kind {
                    FailureKind::Undelivered => "sent, not delivered",
                    _ => "may or may not arrive",
                };
                text += &[&field("session token"), session_token.as_str()].concat();
            }
            Status::Failed { .. } => text += "not sent",
            Status::Skipped { reason } => {
                text += &format!("skipped ({})", reason.replace('_', " "));
            }
            Status::DryRun { text: message, encoding, segments } => {
                let segments = counted(*segments, "segment");
                text += &format!("{encoding}, {segments}: {message}");
            }
        }
        text
    }
}

/// Returns the error for an operator: what failed, why in the provider's words, and what to do.
pub(super) fn in_words(phone_number: &str, backend: BackendName, error: &SmsError) -> Error {
    let SmsError { kind, code, message, more_info, .. } = error;
    let what = match kind {
        SmsErrorKind::Rejected => format!("{phone_number} was not sent: {backend} refused it"),
        SmsErrorKind::Unavailable => format!("{phone_number} was not sent"),
        SmsErrorKind::Unknown => format!("the SMS to {phone_number} may or may not arrive"),
    };
    let error = Error::failed(format!("{what}: {message}{}", in_brackets(code.as_deref())));
    match (kind, more_info) {
        (SmsErrorKind::Unknown, _) => {
            error.with_hint("ask the person before sending again: the code works if it arrives")
        }
        (_, Some(more_info)) => error.with_hint(more_info),
        (SmsErrorKind::Unavailable, None) => error.with_hint("send it again later"),
        (SmsErrorKind::Rejected, None) => error,
    }
}

/// Returns the warning that it is not known whether an SMS arrived, with what the provider said where it did not tell.
pub(super) fn not_known_yet(
    phone_number: &str,
    backend: BackendName,
    error: Option<&SmsError>,
) -> String {
    let reason = error.map_or_else(String::new, |error| {
        format!(", as {backend} did not tell: {error}{}", in_brackets(error.code.as_deref()))
    });
    format!(
        "{phone_number} was sent; whether it arrived is not known yet{reason}; ask again: phone-verify status {phone_number} --refresh"
    )
}

/// Returns the provider's code as it stands behind its words.
pub(super) fn in_brackets(code: Option<&str>) -> String {
    code.map(|code| format!(" ({code})")).unwrap_or_default()
}
