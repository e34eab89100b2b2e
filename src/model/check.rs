//! What was looked at, how it stands with it, and what to do about it.

/// How it stands with something that was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckStatus {
    /// As it should be.
    Ok,
    /// It works, and is weak, or will cause trouble.
    Warning,
    /// It does not work.
    Failure,
}

/// Something that was looked at. Neither a secret nor a security code is ever in it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Check {
    /// What was looked at: the area, a dot, and the matter.
    pub check: String,
    /// How it stands with it.
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
}
