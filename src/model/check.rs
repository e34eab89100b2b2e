//! What was looked at, the result, and what to do about it.

use serde::{Serialize, Serializer};

/// The state of something that was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckStatus {
    /// As it should be.
    Ok,
    /// It works, and is weak, or will cause trouble.
    Warning,
    /// It does not work.
    Failure,
}

/// Something that was looked at. Neither a secret nor a security code is ever in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at: the area, a dot, and the matter.
    pub check: String,
    /// The result.
    pub status: CheckStatus,
    /// The same in words.
    pub message: String,
    /// What to do about it, where it is not as it should be.
    pub hint: Option<String>,
}

impl CheckStatus {
    /// Returns the status in one word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failure => "failure",
        }
    }
}

impl Serialize for CheckStatus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl Check {
    /// Returns the check of something that is as it should be.
    pub fn ok(check: impl Into<String>, message: impl Into<String>) -> Self {
        Self { check: check.into(), status: CheckStatus::Ok, message: message.into(), hint: None }
    }

    /// Returns the check of something that is weak, or will cause trouble.
    pub fn warning(
        check: impl Into<String>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        let hint = Some(hint.into());
        Self { status: CheckStatus::Warning, hint, ..Self::ok(check, message) }
    }

    /// Returns the check of something that does not work.
    pub fn failure(
        check: impl Into<String>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self { status: CheckStatus::Failure, ..Self::warning(check, message, hint) }
    }

    /// Returns the same check, or a warning if it's weak.
    pub fn unless(
        self,
        is_weak: bool,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        if is_weak { Self::warning(self.check, message, hint) } else { self }
    }

    /// Returns the same check in `area`.
    pub fn within(self, area: &str) -> Self {
        Self { check: format!("{area}.{}", self.check), ..self }
    }
}
