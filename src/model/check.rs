//! The checks that `doctor` reports.

use std::fmt;

use serde::Serialize;

use super::without_error_number;

/// The result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckStatus {
    /// All is well.
    Ok,
    /// It works, but it's weak or will cause trouble.
    Warning,
    /// It doesn't work.
    Failure,
}

/// One check. It never holds a secret or a security code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was checked: the area, a dot, and the name of the check.
    pub check: String,
    /// The result.
    pub status: CheckStatus,
    /// The result in words.
    pub message: String,
    /// What to do about it, if something is wrong.
    pub hint: Option<String>,
}

impl fmt::Display for CheckStatus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(formatter)
    }
}

impl Check {
    /// Returns a check that found nothing wrong.
    pub fn ok(check: impl Into<String>, message: impl Into<String>) -> Self {
        let message = without_error_number(message.into());
        Self { check: check.into(), status: CheckStatus::Ok, message, hint: None }
    }

    /// Returns the check of something that is weak or will cause trouble.
    pub fn warning(
        check: impl Into<String>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        let hint = Some(hint.into());
        Self { status: CheckStatus::Warning, hint, ..Self::ok(check, message) }
    }

    /// Returns the check of something that doesn't work.
    pub fn failure(
        check: impl Into<String>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self { status: CheckStatus::Failure, ..Self::warning(check, message, hint) }
    }

    /// Returns this check, or a warning in its place if `is_weak`.
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
