//! What became of one number. The report, the summary, the exit code and the hooks all derive from it.

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};
use uuid::Uuid;

use super::arrival::Arrival;
use crate::backends::{BackendName, SmsError, SmsErrorKind};
use crate::model::{Encoding, SessionToken, timestamp};
use crate::store::Refusal;

/// What became of one number of a `send`. Serialized, it's the number's line in the JSON report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Outcome {
    /// A provider accepted the SMS.
    Sent {
        /// The record's UUID.
        #[serde(skip)]
        id: Uuid,
        /// The token that the code is verified with.
        session_token: SessionToken,
        /// The backend that accepted it.
        backend: BackendName,
        /// The provider's id of the message.
        message_id: Option<String>,
        /// The last moment at which the code is accepted.
        #[serde(with = "timestamp")]
        expires_at: DateTime<Utc>,
        /// Whether the SMS arrived, if that was waited for.
        #[serde(rename = "delivery", skip_serializing_if = "is_not_delivered")]
        arrival: Option<Arrival>,
        /// The text, if it went to no phone and the operator has to see it instead.
        #[serde(skip)]
        shown_text: Option<String>,
    },
    /// It was not sent, or not certainly, or it did not arrive.
    Failed {
        /// The record's UUID, if a record was stored.
        #[serde(skip)]
        id: Option<Uuid>,
        /// The token, if the code works in case the SMS arrives.
        #[serde(skip_serializing_if = "Option::is_none")]
        session_token: Option<SessionToken>,
        /// Why.
        error: Failure,
    },
    /// It was not to be sent to.
    Skipped {
        /// Why.
        reason: Kind,
    },
    /// A dry run shows what would be sent.
    DryRun {
        /// The text.
        text: String,
        /// How the text travels.
        encoding: Encoding,
        /// How many segments it takes.
        segments: usize,
    },
}

/// Why a number was not sent to, or not certainly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The kind.
    pub kind: Kind,
    /// The provider's own code.
    pub code: Option<String>,
    /// Why, in the provider's words if it was a provider that refused.
    pub message: String,
    /// The limit that forbids it, if one does.
    #[serde(flatten)]
    pub limit: Option<Limit>,
    /// The backend that was called.
    #[serde(skip)]
    pub backend: Option<BackendName>,
    /// Where the provider explains the error, or what to do about it.
    #[serde(skip)]
    pub more_info: Option<String>,
}

/// The limit that keeps a number from being sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Limit {
    /// When the number may be sent to; None if waiting doesn't help.
    #[serde(with = "timestamp")]
    pub retry_at: Option<DateTime<Utc>>,
}

/// The kinds of outcomes, in the order in which a summary has them: sent, skipped, failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// It was sent or, in a dry run, would be.
    Sent,
    /// Skipped with `--resume`: an unexpired code was accepted already.
    AlreadySent,
    /// Skipped: the number was given before.
    Duplicate,
    /// Skipped with `--resume`: an unexpired code may or may not have been accepted.
    UnknownOutcome,
    /// The line can't be read as one number and what belongs to it, or its message can't go out.
    InvalidLine,
    /// It's no phone number.
    InvalidNumber,
    /// A limit forbids it.
    Limited,
    /// The provider refused it for good.
    Rejected,
    /// The run ended before its turn.
    Stopped,
    /// Nothing was accepted, and another send may succeed.
    Unavailable,
    /// It was accepted and did not arrive.
    Undelivered,
    /// It may or may not have been accepted.
    Unknown,
}

impl Outcome {
    /// Returns the outcome of a number that failed before any backend was called.
    pub fn failed(kind: Kind, message: impl ToString) -> Self {
        let error = Failure::new(kind, message.to_string());
        Self::Failed { id: None, session_token: None, error }
    }

    /// Returns the outcome of a number that the end of the run left waiting.
    pub fn stopped() -> Self {
        Self::failed(Kind::Stopped, "the run ended before it was sent")
    }

    /// Returns the kind of the outcome.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Sent { .. } | Self::DryRun { .. } => Kind::Sent,
            Self::Failed { error, .. } => error.kind,
            Self::Skipped { reason } => *reason,
        }
    }

    /// Returns the UUID of the number's record, if one was stored before a backend was called.
    pub fn id(&self) -> Option<Uuid> {
        match self {
            Self::Sent { id, .. } => Some(*id),
            Self::Failed { id, .. } => *id,
            Self::Skipped { .. } | Self::DryRun { .. } => None,
        }
    }
}

impl From<Refusal> for Outcome {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::AlreadySent => Self::Skipped { reason: Kind::AlreadySent },
            Refusal::UnknownOutcome => Self::Skipped { reason: Kind::UnknownOutcome },
            Refusal::Limited { reason, retry_at } => {
                let limit = Some(Limit { retry_at });
                let error = Failure { limit, ..Failure::new(Kind::Limited, reason) };
                Self::Failed { id: None, session_token: None, error }
            }
        }
    }
}

impl Failure {
    /// Returns a failure of this kind.
    pub(super) fn new(kind: Kind, message: String) -> Self {
        Self { kind, code: None, message, limit: None, backend: None, more_info: None }
    }

    /// Returns why `backend` did not take an SMS.
    pub(super) fn from_sms_error(backend: BackendName, error: SmsError) -> Self {
        let kind = match error.kind {
            SmsErrorKind::Rejected => Kind::Rejected,
            SmsErrorKind::Unavailable => Kind::Unavailable,
            SmsErrorKind::Unknown => Kind::Unknown,
        };
        let SmsError { code, message, more_info, .. } = error;
        Self { code, backend: Some(backend), more_info, ..Self::new(kind, message) }
    }
}

impl Kind {
    /// Returns the kind's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::AlreadySent => "already_sent",
            Self::Duplicate => "duplicate",
            Self::UnknownOutcome => "unknown_outcome",
            Self::InvalidLine => "invalid_line",
            Self::InvalidNumber => "invalid_number",
            Self::Limited => "limited",
            Self::Rejected => "rejected",
            Self::Stopped => "stopped",
            Self::Unavailable => "unavailable",
            Self::Undelivered => "undelivered",
            Self::Unknown => "unknown",
        }
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // A script need not know the difference: nothing was sent, and another run may send it.
        let kind = if *self == Self::Stopped { Self::Unavailable } else { *self };
        serializer.serialize_str(kind.as_str())
    }
}

#[expect(clippy::ref_option, reason = "serde passes the field's reference")]
fn is_not_delivered(arrival: &Option<Arrival>) -> bool {
    *arrival != Some(Arrival::Delivered)
}
