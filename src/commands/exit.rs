//! What a command that did its work answers, and the exit codes: of errors and of answers, in one place.

use tokio::signal::unix::SignalKind;

use crate::error::{Error, ErrorKind};
use crate::model::VerificationStatus;

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

const DONE: u8 = 0;
const FAILED: u8 = 1;
const USAGE: u8 = 2;
const PARTLY_SENT: u8 = 3;
/// Everything is done but what a hook was to do.
const HOOK_FAILED: u8 = 20;

/// Returns the exit code of a status: 0 for a valid code, else 10 and the number of django-phone-verify.
const fn of_status(status: VerificationStatus) -> u8 {
    match status {
        VerificationStatus::SecurityCodeValid => DONE,
        status => 10 + status.number(),
    }
}

/// Returns the exit code of a program that a signal stopped, as a shell reports it.
const fn of_signal(signal: SignalKind) -> u8 {
    // No signal has a number above 64.
    128 + signal.as_raw_value() as u8
}

/// The exit codes as the manual tells them: the code, the commands that alone end with it (any, where none is named), and
/// what it means.
pub const EXIT_CODES: [(u8, &[&str], &str); 13] = {
    use VerificationStatus::*;
    [
        (DONE, &[], "It is done; for verify: the code is valid."),
        (
            FAILED,
            &[],
            "It could not be done: database, network, or the provider refused; for doctor: something does not work.",
        ),
        (
            USAGE,
            &[],
            "Usage or settings error; nothing was read from or written to the database, nothing was sent.",
        ),
        (PARTLY_SENT, &["send"], "Of several numbers, some were sent and some were not."),
        (of_status(SecurityCodeInvalid), &["verify"], "SECURITY_CODE_INVALID: the code is wrong."),
        (
            of_status(SecurityCodeExpired),
            &["verify"],
            "SECURITY_CODE_EXPIRED: the code has expired.",
        ),
        (
            of_status(SecurityCodeVerified),
            &["verify"],
            "SECURITY_CODE_VERIFIED: the code was used before, and codes work only once.",
        ),
        (
            of_status(SessionTokenInvalid),
            &["verify"],
            "SESSION_TOKEN_INVALID: there is no record for this number and token.",
        ),
        (
            of_status(SecurityCodeTooManyAttempts),
            &["verify"],
            "SECURITY_CODE_TOO_MANY_ATTEMPTS: too many wrong codes were tried; the record is locked.",
        ),
        (
            HOOK_FAILED,
            &["send", "verify"],
            "Everything is done, but a hook of the settings failed.",
        ),
        (
            of_signal(SignalKind::hangup()),
            &["send", "verify"],
            "A terminal that closed (SIGHUP) stopped it in order.",
        ),
        (of_signal(SignalKind::interrupt()), &["send", "verify"], "Ctrl-C stopped it in order."),
        (of_signal(SignalKind::terminate()), &["send", "verify"], "SIGTERM stopped it in order."),
    ]
};

/// Returns the exit code of the program.
pub fn exit_code(result: &Result<Answer, Error>) -> u8 {
    match result {
        Err(error) => of_error(error.kind()),
        Ok(Answer::BrokenOff(kind)) => of_error(*kind),
        Ok(Answer::Incomplete | Answer::Unfit) => FAILED,
        Ok(Answer::Done) => DONE,
        Ok(Answer::Status(status)) => of_status(*status),
        Ok(Answer::HookFailed) => HOOK_FAILED,
        Ok(Answer::Stopped(signal)) => of_signal(SignalKind::from_raw(*signal)),
        Ok(Answer::Sent(tally)) => match tally {
            // That everything else is done is what the code of a failed hook says.
            Tally { not_sent: 0, invalid: 0, hooks_failed: 1.., .. } => HOOK_FAILED,
            Tally { not_sent: 0, invalid: 0, .. } => DONE,
            Tally { sent: 0, not_sent: 0, .. } => USAGE,
            Tally { sent: 0, .. } => FAILED,
            _ => PARTLY_SENT,
        },
    }
}

fn of_error(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::Usage => USAGE,
        ErrorKind::Failed => FAILED,
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

    #[test]
    fn a_failure_is_1_a_usage_error_2_and_a_signal_128_and_its_number() {
        let of_kind = |kind| exit_code(&Ok(Answer::BrokenOff(kind)));
        assert_eq!([of_kind(ErrorKind::Failed), of_kind(ErrorKind::Usage)], [1, 2]);
        assert_eq!(exit_code(&Err(Error::failed(""))), 1);
        assert_eq!(exit_code(&Err(Error::usage(""))), 2);
        assert_eq!(
            [1, 2, 15].map(|signal| exit_code(&Ok(Answer::Stopped(signal)))),
            [129, 130, 143]
        );
    }

    #[test]
    fn the_manual_tells_the_codes_in_their_order_and_each_once() {
        assert!(EXIT_CODES.is_sorted_by(|a, b| a.0 < b.0), "{EXIT_CODES:?}");
    }
}
