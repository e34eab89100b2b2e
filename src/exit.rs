//! How the program ends: every exit code with its meaning, and the error that an operator sees.

use std::sync::Arc;

use crate::model::VerificationStatus;

/// How the program ends. The value of each variant is its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Everything is done.
    Done = 0,
    /// It could not be done.
    Failed = 1,
    /// The command line or the settings are wrong: nothing was read, written or sent.
    Usage = 2,
    /// A `send` reached some of its numbers.
    PartlySent = 3,
    /// `verify`: SECURITY_CODE_INVALID. This and the next four are 10 plus django-phone-verify's status number.
    CodeInvalid = 11,
    /// `verify`: SECURITY_CODE_EXPIRED.
    CodeExpired = 12,
    /// `verify`: SECURITY_CODE_VERIFIED.
    CodeUsed = 13,
    /// `verify`: SESSION_TOKEN_INVALID.
    TokenInvalid = 14,
    /// `verify`: SECURITY_CODE_TOO_MANY_ATTEMPTS.
    TooManyAttempts = 15,
    /// Everything is done except what a hook was to do.
    HookFailed = 20,
    /// SIGHUP stopped it in order. This and the next two are 128 plus the signal's number, as a shell reports it.
    HungUp = 129,
    /// SIGINT stopped it in order.
    Interrupted = 130,
    /// SIGTERM stopped it in order.
    Terminated = 143,
}

impl Exit {
    /// Every way to end, by exit code.
    pub const ALL: [Self; 13] = [
        Self::Done,
        Self::Failed,
        Self::Usage,
        Self::PartlySent,
        Self::CodeInvalid,
        Self::CodeExpired,
        Self::CodeUsed,
        Self::TokenInvalid,
        Self::TooManyAttempts,
        Self::HookFailed,
        Self::HungUp,
        Self::Interrupted,
        Self::Terminated,
    ];

    /// Returns the exit code.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// Returns what the exit code means, as a sentence of the help and the manual page.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Done => "It is done; for verify: the code is valid.",
            Self::Failed => {
                "It could not be done: database, network, or the provider refused; for doctor: something does not work."
            }
            Self::Usage => {
                "Usage or settings error; nothing was read from or written to the database, nothing was sent."
            }
            Self::PartlySent => "Of several numbers, some were sent and some were not.",
            Self::CodeInvalid => "SECURITY_CODE_INVALID: the code is wrong.",
            Self::CodeExpired => "SECURITY_CODE_EXPIRED: the code has expired.",
            Self::CodeUsed => {
                "SECURITY_CODE_VERIFIED: the code was used before, and codes work only once."
            }
            Self::TokenInvalid => {
                "SESSION_TOKEN_INVALID: there is no record for this number and token."
            }
            Self::TooManyAttempts => {
                "SECURITY_CODE_TOO_MANY_ATTEMPTS: too many wrong codes were tried; the record is locked."
            }
            Self::HookFailed => "Everything is done, but a hook of the settings failed.",
            Self::HungUp => "A terminal that closed (SIGHUP) stopped it in order.",
            Self::Interrupted => "Ctrl-C stopped it in order.",
            Self::Terminated => "SIGTERM stopped it in order.",
        }
    }

    /// Returns the commands that can end like this. An empty list stands for all of them.
    pub fn commands(self) -> &'static [&'static str] {
        match self {
            Self::Done | Self::Failed | Self::Usage => &[],
            Self::PartlySent => &["send"],
            Self::CodeInvalid
            | Self::CodeExpired
            | Self::CodeUsed
            | Self::TokenInvalid
            | Self::TooManyAttempts => &["verify"],
            Self::HookFailed | Self::HungUp | Self::Interrupted | Self::Terminated => {
                &["send", "verify"]
            }
        }
    }
}

impl From<VerificationStatus> for Exit {
    fn from(status: VerificationStatus) -> Self {
        match status {
            VerificationStatus::SecurityCodeValid => Self::Done,
            VerificationStatus::SecurityCodeInvalid => Self::CodeInvalid,
            VerificationStatus::SecurityCodeExpired => Self::CodeExpired,
            VerificationStatus::SecurityCodeVerified => Self::CodeUsed,
            VerificationStatus::SessionTokenInvalid => Self::TokenInvalid,
            VerificationStatus::SecurityCodeTooManyAttempts => Self::TooManyAttempts,
        }
    }
}

/// An error in words for an operator: what failed, why, and what to do.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    exit: Exit,
    message: String,
    /// The cause, whose words the message already has.
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
    /// What to do, if anything helps.
    pub hint: Option<String>,
}

impl Error {
    /// Returns the error of a command line or settings that can't be followed.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, message: message.into(), source: None, hint: None }
    }

    /// Returns the error of something that could not be done.
    pub fn failed(message: impl Into<String>) -> Self {
        Self { exit: Exit::Failed, ..Self::usage(message) }
    }

    /// Returns how the program ends if this error ends it.
    pub fn exit(&self) -> Exit {
        self.exit
    }

    /// Returns the error with its cause, whose words the message already has.
    pub fn caused_by(self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self { source: Some(Arc::new(source)), ..self }
    }

    /// Returns the error with advice on what to do.
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// Returns the error with `what` and a colon in front of its message.
    pub fn within(self, what: &str) -> Self {
        Self { message: format!("{what}: {}", self.message), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_are_in_order_and_distinct() {
        assert!(Exit::ALL.is_sorted_by(|a, b| a.code() < b.code()));
    }

    #[test]
    fn a_status_is_ten_and_its_number_and_valid_is_zero() {
        use VerificationStatus::*;
        assert_eq!(Exit::from(SecurityCodeValid).code(), 0);
        for status in [
            SecurityCodeInvalid,
            SecurityCodeExpired,
            SecurityCodeVerified,
            SessionTokenInvalid,
            SecurityCodeTooManyAttempts,
        ] {
            assert_eq!(Exit::from(status).code(), 10 + status as u8);
        }
    }
}
