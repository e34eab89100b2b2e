//! How the program ends: every exit code with its meaning, and the error that an operator sees.

use std::sync::Arc;

use clap::ValueEnum;

use crate::model::{VerificationStatus, without_error_number};

/// How the program ends. The value of a variant is its exit code. Its comment is its meaning, which `verify --help` and the
/// manual pages print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[repr(u8)]
pub enum Exit {
    /// It is done; for verify: the code is valid.
    Done = 0,
    /// It could not be done: database, network, or the provider refused; for doctor: something does not work.
    Failed = 1,
    /// Usage or settings error; nothing was written to the database, nothing was sent.
    Usage = 2,
    /// Of several numbers, some were sent and some were not.
    PartlySent = 3,
    // The next five are 10 plus the status number of django-phone-verify.
    /// SECURITY_CODE_INVALID: the code is wrong.
    CodeInvalid = 11,
    /// SECURITY_CODE_EXPIRED: the code has expired.
    CodeExpired = 12,
    /// SECURITY_CODE_VERIFIED: the code was used before, and codes work only once.
    CodeUsed = 13,
    /// SESSION_TOKEN_INVALID: there is no record for this number and token.
    TokenInvalid = 14,
    /// SECURITY_CODE_TOO_MANY_ATTEMPTS: too many wrong codes were tried; the record is locked, or the number's limit
    /// is reached.
    TooManyAttempts = 15,
    /// Everything is done, but a hook of the settings failed.
    HookFailed = 20,
    // The next three are 128 plus the number of the signal, as a shell reports it.
    /// A terminal that closed (SIGHUP) stopped it in order.
    HungUp = 129,
    /// Ctrl-C stopped it in order.
    Interrupted = 130,
    /// SIGTERM stopped it in order.
    Terminated = 143,
}

impl Exit {
    /// Returns the exit code.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// Returns how the program ends if this is how one part of its work ended, and `later` how a later one did.
    pub fn and(self, later: Self) -> Self {
        if self == Self::Done { later } else { self }
    }

    /// Returns what the exit code means, without a full stop.
    pub fn meaning(self) -> String {
        let value = self.to_possible_value().expect("no variant is skipped");
        value.get_help().expect("each variant has a comment").to_string()
    }

    /// Returns the commands that can end like this. An empty list means all of them.
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
                &["send", "verify", "init"]
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
    /// How the program ends if this error ends it.
    pub exit: Exit,
    message: String,
    /// The cause, which the message already describes.
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
    /// What to do, if anything helps.
    pub hint: Option<String>,
}

impl Error {
    /// Returns an error in the command line or in the settings.
    pub fn usage(message: impl ToString) -> Self {
        let message = without_error_number(message.to_string());
        Self { exit: Exit::Usage, message, source: None, hint: None }
    }

    /// Returns an error in anything else.
    pub fn failed(message: impl ToString) -> Self {
        Self { exit: Exit::Failed, ..Self::usage(message) }
    }

    /// Returns the error of a machine that has no thread left.
    pub fn no_thread(error: std::io::Error) -> Self {
        Self::failed(format!("can't start a thread: {error}"))
    }

    /// Returns the error with its cause, which the message already describes.
    pub fn caused_by(self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self { source: Some(Arc::new(source)), ..self }
    }

    /// Returns the error with advice on what to do.
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// Returns the error with `context` and a colon in front of its message.
    pub fn within(self, context: &str) -> Self {
        Self { message: format!("{context}: {}", self.message), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_are_in_order_and_distinct() {
        assert!(Exit::value_variants().is_sorted_by(|a, b| a.code() < b.code()));
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
