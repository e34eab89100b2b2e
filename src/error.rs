//! Why a command could not do its work, and the exit codes: of errors and of answers, in one place.

use crate::backends::ConnectError;
use crate::model::VerificationStatus;
use crate::service::hooks::HookError;
use crate::settings::SettingsError;
use crate::store::StoreError;

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
    /// What to do, where there is something to do.
    pub hint: Option<String>,
}

impl Error {
    /// Returns the error of a command line or settings that can't be followed.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Usage, message: message.into(), hint: None }
    }

    /// Returns the error of something that could not be done.
    pub fn failed(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Failed, message: message.into(), hint: None }
    }

    /// Returns what kind of failure it is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
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
        Self { kind: ErrorKind::Failed, message: error.to_string(), hint: error.hint }
    }
}

impl From<SettingsError> for Error {
    fn from(error: SettingsError) -> Self {
        let hint = error.hint().map(str::to_owned);
        Self { hint, ..Self::usage(error.to_string()) }
    }
}

impl From<HookError> for Error {
    fn from(error: HookError) -> Self {
        Self::failed(error.to_string())
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
    /// It is done, and found something that does not work.
    Unfit,
    /// It broke off with an error of this kind, which was reported.
    BrokenOff(ErrorKind),
    /// The status of a security code.
    Status(VerificationStatus),
    /// What became of the numbers of a `send`.
    Sent(Tally),
    /// A code is valid, and the hook that was to be told of it failed.
    HookFailed,
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
    /// Hooks that failed.
    pub hooks_failed: u64,
}

impl Tally {
    /// Returns whether some numbers were sent to and some were not.
    pub fn is_mixed(&self) -> bool {
        self.sent > 0 && self.not_sent + self.invalid > 0
    }
}

/// The exit code where everything is done but what a hook was to do.
const HOOK_FAILED: u8 = 20;

/// The exit codes as the manual tells them: the code, the commands that alone end with it (any, where none is named), and
/// what it means.
pub const EXIT_CODES: [(u8, &[&str], &str); 13] = [
    (0, &[], "It is done; for verify: the code is valid."),
    (
        1,
        &[],
        "It could not be done: database, network, or the provider refused; for doctor: something does not work.",
    ),
    (
        2,
        &[],
        "Usage or settings error; nothing was read from or written to the database, nothing was sent.",
    ),
    (3, &["send"], "Of several numbers, some were sent and some were not."),
    (11, &["verify"], "SECURITY_CODE_INVALID: the code is wrong."),
    (12, &["verify"], "SECURITY_CODE_EXPIRED: the code has expired."),
    (
        13,
        &["verify"],
        "SECURITY_CODE_VERIFIED: the code was used before, and codes work only once.",
    ),
    (14, &["verify"], "SESSION_TOKEN_INVALID: there is no record for this number and token."),
    (
        15,
        &["verify"],
        "SECURITY_CODE_TOO_MANY_ATTEMPTS: too many wrong codes were tried; the record is locked.",
    ),
    (HOOK_FAILED, &["send", "verify"], "Everything is done, but a hook of the settings failed."),
    (129, &["send", "verify"], "A terminal that closed (SIGHUP) stopped it in order."),
    (130, &["send", "verify"], "Ctrl-C stopped it in order."),
    (143, &["send", "verify"], "SIGTERM stopped it in order."),
];

/// Returns the exit code of the program.
pub fn exit_code(result: &Result<Answer, Error>) -> u8 {
    let of_kind = |kind| match kind {
        ErrorKind::Usage => 2,
        ErrorKind::Failed => 1,
    };
    match result {
        Err(error) => of_kind(error.kind),
        Ok(Answer::BrokenOff(kind)) => of_kind(*kind),
        Ok(Answer::Incomplete | Answer::Unfit) => 1,
        Ok(Answer::Done | Answer::Status(VerificationStatus::SecurityCodeValid)) => 0,
        Ok(Answer::Status(status)) => 10 + status.number(),
        Ok(Answer::HookFailed) => HOOK_FAILED,
        // As a shell reports a program that a signal ended.
        Ok(Answer::Stopped(signal)) => u8::try_from(128 + signal).unwrap_or(1),
        Ok(Answer::Sent(tally)) => match tally {
            // That everything else is done is what the code of a failed hook says.
            Tally { not_sent: 0, invalid: 0, hooks_failed: 1.., .. } => HOOK_FAILED,
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
        let code = |sent, not_sent, invalid| exit_code_of(sent, not_sent, invalid, 0);
        assert_eq!(code(2, 0, 0), 0);
        assert_eq!(code(0, 2, 0), 1);
        assert_eq!(code(0, 1, 1), 1);
        assert_eq!(code(0, 0, 2), 2);
        assert_eq!([code(1, 1, 0), code(1, 0, 1), code(1, 1, 1)], [3, 3, 3]);
    }

    fn exit_code_of(sent: u64, not_sent: u64, invalid: u64, hooks_failed: u64) -> u8 {
        exit_code(&Ok(Answer::Sent(Tally { sent, not_sent, invalid, hooks_failed })))
    }

    #[test]
    fn a_failed_hook_shows_only_where_everything_else_is_done() {
        assert_eq!(exit_code(&Ok(Answer::HookFailed)), 20);
        assert_eq!(exit_code_of(2, 0, 0, 1), 20);
        assert_eq!(exit_code_of(0, 0, 0, 1), 20);
        assert_eq!(exit_code_of(1, 1, 0, 1), 3);
        assert_eq!(exit_code_of(0, 1, 0, 1), 1);
        assert_eq!(exit_code_of(0, 0, 1, 1), 2);
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
