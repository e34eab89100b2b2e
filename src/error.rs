//! Why a command could not do its work, and the exit codes: of errors and of answers, in one place.

use crate::backends::ConnectError;
use crate::model::VerificationStatus;
use crate::settings::SettingsError;
use crate::store::StoreError;

/// What kind of failure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The command line or the settings are wrong: nothing was read, written or sent.
    Usage,
    /// It could not be done.
    Failed,
}

/// An error in words for an operator: what failed, why, and what to do.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: Kind,
    message: String,
    /// What to do, where there is something to do.
    pub hint: Option<String>,
}

impl Error {
    /// Returns the error of a command line or settings that can't be followed.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { kind: Kind::Usage, message: message.into(), hint: None }
    }

    /// Returns the error of something that could not be done.
    pub fn failed(message: impl Into<String>) -> Self {
        Self { kind: Kind::Failed, message: message.into(), hint: None }
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

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self { kind: Kind::Failed, message: error.to_string(), hint: error.hint }
    }
}

impl From<SettingsError> for Error {
    fn from(error: SettingsError) -> Self {
        let usage = Self::usage(error.to_string());
        match error {
            SettingsError::NotFound(_) => {
                usage.with_hint("copy phone-verify.toml.example, or name a file with --config")
            }
            SettingsError::Unreadable { .. } | SettingsError::Invalid(_) => usage,
        }
    }
}

impl From<ConnectError> for Error {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Secret { .. } => Self::usage(error.to_string()),
            ConnectError::Client(_) => Self::failed(error.to_string()).with_hint(
                "install the system's certificates, such as the package ca-certificates",
            ),
        }
    }
}

/// What a command that did its work has to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It is done.
    Done,
    /// It is done as far as it could be; each part that failed was reported.
    Incomplete,
    /// The status of a security code.
    Status(VerificationStatus),
    /// What became of the numbers of a `send`.
    Sent(Tally),
    /// A signal of this number asked the program to stop, and it did so in order.
    Stopped(i32),
}

/// How many numbers of a `send` came to what. Duplicates count nowhere.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Sent.
    pub sent: u64,
    /// Valid, and not sent or not certainly.
    pub not_sent: u64,
    /// No phone numbers.
    pub invalid: u64,
}

/// Returns the exit code of the program.
pub fn exit_code(result: &Result<Answer, Error>) -> u8 {
    match result {
        Err(Error { kind: Kind::Usage, .. }) => 2,
        Err(Error { kind: Kind::Failed, .. }) | Ok(Answer::Incomplete) => 1,
        Ok(Answer::Done | Answer::Status(VerificationStatus::SecurityCodeValid)) => 0,
        Ok(Answer::Status(status)) => 10 + status.number(),
        // As a shell reports a program that a signal ended.
        Ok(Answer::Stopped(signal)) => u8::try_from(128 + signal).unwrap_or(1),
        Ok(Answer::Sent(tally)) => match tally {
            Tally { not_sent: 0, invalid: 0, .. } => 0,
            Tally { sent: 0, not_sent: 0, .. } => 2,
            Tally { sent: 0, .. } => 1,
            _ => 3,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_send_to_several_numbers_tells_some_from_none() {
        let code = |sent, not_sent, invalid| {
            exit_code(&Ok(Answer::Sent(Tally { sent, not_sent, invalid })))
        };
        assert_eq!(code(2, 0, 0), 0);
        assert_eq!(code(0, 2, 0), 1);
        assert_eq!(code(0, 1, 1), 1);
        assert_eq!(code(0, 0, 2), 2);
        assert_eq!([code(1, 1, 0), code(1, 0, 1), code(1, 1, 1)], [3, 3, 3]);
    }

    #[test]
    fn a_status_is_ten_and_its_number_and_valid_is_zero() {
        use VerificationStatus::*;
        let code = |status| exit_code(&Ok(Answer::Status(status)));
        assert_eq!(code(SecurityCodeValid), 0);
        assert_eq!(code(SecurityCodeInvalid), 11);
        assert_eq!(code(SecurityCodeExpired), 12);
        assert_eq!(code(SecurityCodeVerified), 13);
        assert_eq!(code(SessionTokenInvalid), 14);
        assert_eq!(code(SecurityCodeTooManyAttempts), 15);
    }
}
