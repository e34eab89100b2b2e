//! What became of each number, as JSON on stdout and as text for people.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::backends::{BackendName, SmsErrorKind};
use crate::model::{DeliveryState, Encoding, SessionToken, timestamp};
use crate::output::{Report, distance, local_time};

/// A number and where it was given.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin<'a> {
    /// The number in E.164, or the text as given.
    pub(super) phone_number: &'a str,
    /// The line of the file; None on the command line.
    pub(super) line: Option<u64>,
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
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum FailureKind {
    InvalidNumber,
    InvalidLine,
    Limited,
    Undelivered,
    #[serde(untagged)]
    Sms(SmsErrorKind),
}

impl FailureKind {
    /// Returns the kind as people read it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::InvalidNumber => "invalid number",
            Self::InvalidLine => "invalid line",
            Self::Limited => "limited",
            Self::Undelivered => "undelivered",
            Self::Sms(kind) => kind.delivery_state().as_str(),
        }
    }
}

impl<'a> Failure<'a> {
    /// Returns a failure that is no limit's.
    pub(super) fn new(kind: FailureKind, code: Option<&'a str>, message: &'a str) -> Self {
        Self { kind, code, message, limit: None }
    }
}

impl Report for NumberReport<'_> {
    /// A number of the command line may take several lines; one of a file takes one.
    fn text(&self) -> String {
        let Self { phone_number, status, now, .. } = self;
        let (mut text, field): (_, fn(&str) -> String) = match self.line {
            Some(line) => (format!("line {line}: {phone_number} "), |name| format!(", {name} ")),
            None => (format!("{phone_number} "), |name| format!("\n  {name:13}  ")),
        };
        match status {
            Status::Sent { session_token, message_id, expires_at, delivery, .. } => {
                text += delivery.map_or("sent", |_| "delivered");
                text += &[&field("session token"), session_token.as_str()].concat();
                if let Some(message_id) = message_id {
                    text += &[&field("message id"), *message_id].concat();
                }
                let (expires_at, distance) = (local_time(*expires_at), distance(*expires_at, *now));
                text += &format!("{}{expires_at} ({distance})", field("expires"));
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
                let plural = if *segments == 1 { "" } else { "s" };
                text += &format!("{encoding}, {segments} segment{plural}: {message}");
            }
        }
        text
    }
}
