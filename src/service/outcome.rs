//! The outcome for one number. The report, the summary, the exit code and the hooks all derive from it.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};
use uuid::Uuid;

use super::arrival::Arrival;
use super::recipient::Route;
use crate::backends::{Backend, BackendName, Cause, Explanation, SmsError, SmsErrorKind, explain};
use crate::model::{Encoding, NumberType, Segments, SessionToken, timestamp};
use crate::store::{Lapse, Refusal, StoreError};

/// The outcome for one number of a `send`. Serialized, it's the number's line in the JSON report.
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
        /// Whether the SMS arrived, with `--wait`.
        #[serde(rename = "delivery", skip_serializing_if = "is_not_delivered")]
        arrival: Option<Arrival>,
        /// The text, if the operator has to see it because it didn't go to a phone.
        #[serde(skip)]
        shown_text: Option<String>,
        /// Why the database doesn't say so, if it doesn't.
        #[serde(
            rename = "stored",
            skip_serializing_if = "Option::is_none",
            serialize_with = "serialize_false"
        )]
        unstored: Option<StoreError>,
    },
    /// It was not sent, or may not have been, or it did not arrive.
    Failed {
        /// The record's UUID, if a record was stored.
        #[serde(skip)]
        id: Option<Uuid>,
        /// The token, if the SMS may still arrive with a code that works.
        #[serde(skip_serializing_if = "Option::is_none")]
        session_token: Option<SessionToken>,
        /// Why.
        error: Failure,
        /// Why the database doesn't say so, if it doesn't.
        #[serde(
            rename = "stored",
            skip_serializing_if = "Option::is_none",
            serialize_with = "serialize_false"
        )]
        unstored: Option<StoreError>,
    },
    /// It didn't have to be sent.
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
        /// How many segments are paid for.
        segments: usize,
        /// What the number is for; None for a test number.
        number_type: Option<NumberType>,
    },
}

/// Why a send failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The kind.
    #[serde(serialize_with = "serialize_kind")]
    pub kind: Kind,
    /// The provider's own code.
    pub code: Option<String>,
    /// Why, in the provider's words if a provider refused.
    pub message: String,
    /// What the code means.
    #[serde(flatten)]
    pub explained: Explanation,
    /// The limit that forbids it, if there is one.
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

/// The kinds of outcomes, in the order in which a summary names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// It was sent or, in a dry run, would be.
    Sent,
    /// Skipped with `--resume`: an unexpired code was accepted already.
    AlreadySent,
    /// Skipped: the number was given before.
    Duplicate,
    /// Skipped with `--resume`: an unexpired code may or may not have been accepted.
    UnknownOutcome,
    /// The line can't be read as a number and its fields, or its message can't be sent.
    InvalidLine,
    /// It isn't a phone number.
    InvalidNumber,
    /// A limit forbids it.
    Limited,
    /// A newer code was sent to the number meanwhile.
    Superseded,
    /// The record was erased meanwhile.
    Erased,
    /// The code expired before its SMS could leave, or its expired record was purged meanwhile.
    Expired,
    /// The provider refused it, and would refuse it again.
    Rejected,
    /// Nothing was accepted, and another send may succeed.
    Unavailable,
    /// It was accepted and did not arrive.
    Undelivered,
    /// It may or may not have been accepted.
    Unknown,
    /// The run ended before its turn.
    Stopped,
}

/// What a number counts as in a summary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutcomeGroup {
    /// It was sent or, in a dry run, would be.
    Sent,
    /// It was skipped.
    Skipped,
    /// It failed.
    Failed,
    /// It may or may not have been sent.
    Unknown,
    /// The run ended before its turn.
    Stopped,
}

impl Kind {
    /// Returns the group of the kind.
    pub fn group(self) -> OutcomeGroup {
        match self {
            Self::Sent => OutcomeGroup::Sent,
            Self::AlreadySent | Self::Duplicate | Self::UnknownOutcome => OutcomeGroup::Skipped,
            Self::InvalidLine
            | Self::InvalidNumber
            | Self::Limited
            | Self::Superseded
            | Self::Erased
            | Self::Expired
            | Self::Rejected
            | Self::Unavailable
            | Self::Undelivered => OutcomeGroup::Failed,
            Self::Unknown => OutcomeGroup::Unknown,
            Self::Stopped => OutcomeGroup::Stopped,
        }
    }

    /// Returns whether the code lapsed before the outcome was known.
    pub fn is_lapse(self) -> bool {
        matches!(self, Self::Superseded | Self::Erased | Self::Expired)
    }
}

impl Outcome {
    /// Returns the outcome of a number that failed before any backend was called.
    pub fn failed(kind: Kind, message: impl ToString) -> Self {
        Failure::new(kind, message.to_string()).into()
    }

    /// Returns the outcome of a number that was still waiting when the run stopped.
    pub fn stopped() -> Self {
        Failure::stopped().into()
    }

    /// Returns the outcome with why the database doesn't have it. What the stop left waiting has failed then: its record couldn't
    /// be removed, so `--resume` doesn't send to it.
    pub(super) fn but_unstored(mut self, why: StoreError) -> Self {
        if let Self::Failed { error, .. } = &mut self
            && error.kind == Kind::Stopped
        {
            error.kind = Kind::Unavailable;
        }
        if let Self::Sent { unstored, .. } | Self::Failed { unstored, .. } = &mut self {
            *unstored = Some(why);
        }
        self
    }

    /// Returns the outcome of a dry run for a number with this route.
    pub fn dry_run(text: String, route: &Route) -> Self {
        let (segments, number_type) = (route.segments(&text), route.number_type());
        Self::DryRun { encoding: Segments::of(&text).encoding, text, segments, number_type }
    }

    /// Returns the kind of the outcome.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Sent { .. } | Self::DryRun { .. } => Kind::Sent,
            Self::Failed { error, .. } => error.kind,
            Self::Skipped { reason } => *reason,
        }
    }

    /// Returns what is responsible for a failure, if its code says so.
    pub fn cause(&self) -> Option<Cause> {
        match self {
            Self::Failed { error, .. } => error.explained.cause,
            _ => None,
        }
    }

    /// Returns why the database doesn't have this outcome, if it doesn't.
    pub fn unstored(&self) -> Option<&StoreError> {
        match self {
            Self::Sent { unstored, .. } | Self::Failed { unstored, .. } => unstored.as_ref(),
            Self::Skipped { .. } | Self::DryRun { .. } => None,
        }
    }

    /// Returns the UUID of the number's record, if one was stored.
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
                Failure { limit, ..Failure::new(Kind::Limited, reason) }.into()
            }
        }
    }
}

impl From<Failure> for Outcome {
    /// Returns the outcome of a number that has no record.
    fn from(error: Failure) -> Self {
        Self::Failed { id: None, session_token: None, error, unstored: None }
    }
}

impl Failure {
    pub(super) fn new(kind: Kind, message: String) -> Self {
        Self {
            kind,
            code: None,
            message,
            explained: Explanation::default(),
            limit: None,
            backend: None,
            more_info: None,
        }
    }

    /// Returns the failure of a send that doesn't leave, because the database can't be used.
    pub(super) fn from_store(error: &StoreError) -> Self {
        let failure = Self::new(Kind::Unavailable, error.to_string());
        Self { more_info: error.hint.clone(), ..failure }
    }

    pub(super) fn stopped() -> Self {
        Self::new(Kind::Stopped, "the run ended before it was sent".to_owned())
    }

    /// Returns the failure of a send whose code lapsed. `is_accepted` says whether its SMS was accepted, if that is known.
    pub(super) fn lapsed(lapse: Lapse, is_accepted: Option<bool>) -> Self {
        let (kind, reason) = match lapse {
            Lapse::Superseded => (Kind::Superseded, "a newer code was sent to this number"),
            Lapse::Erased => (Kind::Erased, "its record is gone"),
            Lapse::Expired => (Kind::Expired, "it expired"),
        };
        let sms = match is_accepted {
            Some(false) => "this one was never sent",
            Some(true) => "the SMS with this one was accepted",
            None => "the SMS with this one may have been accepted",
        };
        Self::new(kind, format!("{reason}; {sms}"))
    }

    /// Returns the failure that `backend` reports in words and a code.
    pub(super) fn reported(
        kind: Kind,
        backend: &Backend,
        code: Option<String>,
        message: String,
    ) -> Self {
        let (name, sender) = (backend.name().clone(), backend.sender());
        // What a code means is only sure if the outcome is.
        let known = code.as_deref().filter(|_| kind != Kind::Unknown);
        let explained = explain(name.stored(), known, sender);
        Self { code, explained, backend: Some(name), ..Self::new(kind, message) }
    }

    pub(super) fn from_sms_error(backend: &Backend, error: SmsError) -> Self {
        let kind = match error.kind {
            SmsErrorKind::Rejected => Kind::Rejected,
            SmsErrorKind::Unavailable => Kind::Unavailable,
            SmsErrorKind::Unknown => Kind::Unknown,
        };
        let SmsError { code, message, more_info, .. } = error;
        Self { more_info, ..Self::reported(kind, backend, code, message) }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(formatter)
    }
}

/// Serializes the kind of a failure for a script, which needn't know if the run stopped: nothing was sent, and another run may
/// send it.
fn serialize_kind<S: Serializer>(kind: &Kind, serializer: S) -> Result<S::Ok, S::Error> {
    let kind = if *kind == Kind::Stopped { Kind::Unavailable } else { *kind };
    kind.serialize(serializer)
}

/// Serializes why an outcome isn't stored for a script, which needn't know why.
fn serialize_false<S: Serializer>(
    _: &Option<StoreError>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_bool(false)
}

#[expect(clippy::ref_option, reason = "serde passes the field's reference")]
fn is_not_delivered(arrival: &Option<Arrival>) -> bool {
    *arrival != Some(Arrival::Delivered)
}
