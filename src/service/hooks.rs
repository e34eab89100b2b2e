//! The hooks: programs of the operator that run after an event. If one fails, the event has happened all the same.

use std::{fmt, io};

use chrono::{DateTime, Utc};
use serde::Serialize;
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::outcome::{Failure, Kind, Outcome};
use crate::model::{PhoneNumber, SessionToken, timestamp, words};
use crate::settings::Settings;
use crate::store::{Attempt, SessionChoice};
use crate::system::program::{End, Program};
use crate::system::waiting::Wait;

/// How many hooks may run at once.
const MAX_AT_ONCE: usize = 8;

/// What a hook reads, as one JSON object on its stdin. It holds no security code and no secret.
#[derive(Debug, Clone, Serialize)]
pub struct Event {
    /// What happened.
    #[serde(rename = "event")]
    pub name: EventName,
    id: Option<Uuid>,
    /// The number in E.164, or the text as given if it isn't a number.
    phone_number: String,
    /// The token of the record or, if a sandbox accepted a code without a record, the token that was given.
    session_token: Option<SessionToken>,
    /// When the code was verified.
    #[serde(with = "timestamp")]
    verified_at: Option<DateTime<Utc>>,
    /// Whether the record was verified for the first time; None if there is no record, or if no code was verified.
    first_time: Option<bool>,
    error: Option<EventError>,
}

/// The events that have a hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EventName {
    /// A code was valid.
    Verified,
    /// A provider accepted an SMS.
    Sent,
    /// An SMS was not sent, or may not have been, or did not arrive.
    Failed,
}

#[derive(Debug, Clone, Serialize)]
struct EventError {
    kind: Kind,
    code: Option<String>,
}

impl fmt::Display for EventName {
    /// Writes the name, which is also the key of the hook in the settings.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(formatter)
    }
}

impl Event {
    /// Returns the event of a valid code.
    pub fn from_attempt(
        phone_number: &PhoneNumber,
        session: &SessionChoice,
        attempt: Attempt,
    ) -> Self {
        let Attempt { record, judged_at, .. } = attempt;
        let given = match session {
            SessionChoice::Token(session_token) => Some(session_token.clone()),
            SessionChoice::Newest => None,
        };
        Self {
            name: EventName::Verified,
            id: record.as_ref().map(|record| record.id),
            phone_number: phone_number.as_str().to_owned(),
            verified_at: Some(judged_at),
            first_time: record.as_ref().map(|record| !record.is_verified),
            session_token: record.map(|record| record.session_token).or(given),
            error: None,
        }
    }

    /// Returns the event of an outcome; None if it was not to be sent, or if the run stopped before.
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

/// Why a hook failed.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct HookError {
    message: String,
    /// Why it could not be started, if that is the reason.
    source: Option<io::Error>,
}

/// Runs the hooks of the settings, a few at a time.
pub struct HookRunner<'a> {
    settings: &'a Settings,
    turns: Semaphore,
}

impl<'a> HookRunner<'a> {
    /// Returns a runner of the settings' hooks.
    pub fn new(settings: &'a Settings) -> Self {
        Self { settings, turns: Semaphore::new(MAX_AT_ONCE) }
    }

    /// Returns whether `event` has a hook.
    pub fn has_hook(&self, event: EventName) -> bool {
        self.program(event).is_some()
    }

    fn program(&self, event: EventName) -> Option<&'a Program> {
        let hooks = &self.settings.hooks;
        let program = match event {
            EventName::Verified => &hooks.verified,
            EventName::Sent => &hooks.sent,
            EventName::Failed => &hooks.failed,
        };
        program.as_ref()
    }

    /// Returns the error of the event's hook with its reason.
    pub fn failure(&self, event: EventName, reason: impl fmt::Display) -> HookError {
        let program = self.program(event).map(|program| program.path().display().to_string());
        let program = program.unwrap_or_default();
        let message = format!("the hook `{event}` ({program}) failed: {reason}");
        HookError { message, source: None }
    }

    /// Runs the hook of the event, if there is one, and waits for its end.
    ///
    /// # Errors
    /// Returns an error if the hook can't be started, runs out of time, is ended by a signal, or doesn't exit with 0.
    pub async fn run(&self, event: &Event) -> Result<(), HookError> {
        let Some(program) = self.program(event.name) else { return Ok(()) };
        let failed = |reason| self.failure(event.name, reason);
        let _wait = Wait::start(format!("waiting for the hook `{}`", event.name));
        let _turn = self.turns.acquire().await;
        log::debug!("the hook `{}` starts", event.name);
        let Settings { hooks, secret_variables, .. } = self.settings;
        let result = program.run(event, hooks.timeout, secret_variables).await;
        let result = result.map_err(|error| {
            let reason = format!("it can't be started: {error}");
            HookError { source: Some(error), ..failed(reason) }
        })?;
        match (result.end, words(&result.last_error_line)) {
            (End::Exit(0), _) => Ok(()),
            (end, last_line) if last_line.is_empty() => Err(failed(end.to_string())),
            (end, last_line) => Err(failed(format!("{end}: {last_line}"))),
        }
    }
}
