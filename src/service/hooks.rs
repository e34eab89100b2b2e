//! The hooks: programs of the operator's that are run once something has happened for good. Whatever becomes of them, it has
//! happened.

use std::io;

use chrono::{DateTime, Utc};
use serde::Serialize;
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::outcome::{Failure, Kind, Outcome};
use super::verification::Verified;
use crate::model::{PhoneNumber, SessionToken, timestamp, words};
use crate::settings::{Hooks, Settings};
use crate::system::program::{End, Program};

/// How many hooks run at once.
const MAX_AT_ONCE: usize = 8;

/// What a hook reads, as one JSON object on its stdin. It holds no security code and no secret.
#[derive(Debug, Clone, Serialize)]
pub struct Event {
    /// What happened.
    #[serde(rename = "event")]
    pub name: EventName,
    id: Option<Uuid>,
    /// The number in E.164, or the text as given if it's no number.
    phone_number: String,
    /// The token that the record's code is verified with; None if there is no such record.
    session_token: Option<SessionToken>,
    /// When the code was verified; None if it was not.
    #[serde(with = "timestamp")]
    verified_at: Option<DateTime<Utc>>,
    /// Whether the record was not verified before; None if no code was verified, or a sandbox's without a record.
    first_time: Option<bool>,
    error: Option<EventError>,
}

/// The events that have a hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EventName {
    /// A code was valid.
    Verified,
    /// An SMS was accepted.
    Sent,
    /// A number was not sent to, or not certainly.
    Failed,
}

#[derive(Debug, Clone, Serialize)]
struct EventError {
    kind: Kind,
    code: Option<String>,
}

impl EventName {
    /// Returns the name, which is the key of the hook in the settings too.
    fn as_str(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Sent => "sent",
            Self::Failed => "failed",
        }
    }
}

impl Event {
    /// Returns the event that `phone_number` was verified.
    pub fn from_verified(phone_number: &PhoneNumber, verified: Verified) -> Self {
        Self {
            name: EventName::Verified,
            id: verified.id,
            phone_number: phone_number.as_str().to_owned(),
            session_token: verified.session_token,
            verified_at: Some(verified.verified_at),
            first_time: verified.first_time,
            error: None,
        }
    }

    /// Returns the event of what became of a number; None if nobody tried to send to it.
    pub fn from_outcome(phone_number: &str, outcome: &Outcome) -> Option<Self> {
        let (name, session_token, error) = match outcome {
            Outcome::Skipped { .. } | Outcome::DryRun { .. } => return None,
            Outcome::Failed { error, .. } if error.kind == Kind::Stopped => return None,
            Outcome::Sent { session_token, .. } => (EventName::Sent, Some(session_token), None),
            Outcome::Failed { session_token, error: Failure { kind, code, .. }, .. } => {
                let error = EventError { kind: *kind, code: code.clone() };
                (EventName::Failed, session_token.as_ref(), Some(error))
            }
        };
        Some(Self {
            name,
            id: outcome.id(),
            phone_number: phone_number.to_owned(),
            session_token: session_token.cloned(),
            verified_at: None,
            first_time: None,
            error,
        })
    }
}

/// Why a hook did not do its work.
#[derive(Debug, thiserror::Error)]
#[error("the hook `{}` ({program}) failed: {reason}", event.as_str())]
pub struct HookError {
    event: EventName,
    program: String,
    reason: String,
    /// Why it could not be started, if that is the reason.
    source: Option<io::Error>,
}

/// Runs the hooks of the settings, only so many at once.
pub struct HookRunner<'a> {
    hooks: &'a Hooks,
    secret_variables: &'a [String],
    at_once: Semaphore,
}

impl<'a> HookRunner<'a> {
    /// Returns the runner of the settings' hooks.
    pub fn new(settings: &'a Settings) -> Self {
        Self {
            hooks: &settings.hooks,
            secret_variables: &settings.secret_variables,
            at_once: Semaphore::new(MAX_AT_ONCE),
        }
    }

    /// Returns whether such an event has a hook.
    pub fn has_hook(&self, event: EventName) -> bool {
        self.program(event).is_some()
    }

    fn program(&self, event: EventName) -> Option<&'a Program> {
        match event {
            EventName::Verified => self.hooks.verified.as_ref(),
            EventName::Sent => self.hooks.sent.as_ref(),
            EventName::Failed => self.hooks.failed.as_ref(),
        }
    }

    /// Returns the error of the event's hook, for this reason.
    pub fn failure(&self, event: EventName, reason: impl Into<String>) -> HookError {
        let program = self.program(event).map(|program| program.path().display().to_string());
        HookError {
            event,
            program: program.unwrap_or_default(),
            reason: reason.into(),
            source: None,
        }
    }

    /// Runs the hook of the event, if there is one, and waits for its end.
    ///
    /// # Errors
    /// Returns an error if the hook can't be started, runs out of time, is ended by a signal or exits with anything but 0.
    pub async fn run(&self, event: &Event) -> Result<(), HookError> {
        let Some(program) = self.program(event.name) else { return Ok(()) };
        let failed = |reason| self.failure(event.name, reason);
        let _turn = self.at_once.acquire().await;
        log::debug!("the hook `{}` begins", event.name.as_str());
        let ended = program.run(event, self.hooks.timeout, self.secret_variables).await;
        let ended = ended.map_err(|error| {
            let reason = format!("it can't be started: {error}");
            HookError { source: Some(error), ..failed(reason) }
        })?;
        match (ended.end, words(&ended.last_error_line)) {
            (End::Exit(0), _) => Ok(()),
            (end, last_line) if last_line.is_empty() => Err(failed(end.to_string())),
            (end, last_line) => Err(failed(format!("{end}: {last_line}"))),
        }
    }
}
