//! Why a command could not do its work.

use std::sync::Arc;

/// What kind of failure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The command line or the settings are wrong: nothing was read, written or sent.
    Usage,
    /// It could not be done.
    Failed,
}

/// An error in words for an operator: what failed, why, and what to do.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: String,
    /// What the message tells in its own words.
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
    /// What to do, where there is something to do.
    pub hint: Option<String>,
}

impl Error {
    /// Returns the error of a command line or settings that can't be followed.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Usage, message.into())
    }

    /// Returns the error of something that could not be done.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Failed, message.into())
    }

    fn new(kind: ErrorKind, message: String) -> Self {
        Self { kind, message, source: None, hint: None }
    }

    /// Returns what kind of failure it is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Returns the error with what caused it, whose words the message has already.
    pub fn caused_by(self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self { source: Some(Arc::new(source)), ..self }
    }

    /// Returns the error with advice on what to do.
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// Returns the error with `what` failed before its message.
    pub fn within(self, what: &str) -> Self {
        Self { message: format!("{what}: {}", self.message), ..self }
    }
}
