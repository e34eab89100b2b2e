//! The possible answers to a security code.

/// The answer to a security code. The names, the order and the messages are those of django-phone-verify's `BaseBackend` and
/// serializer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum VerificationStatus {
    /// The code is right.
    SecurityCodeValid,
    /// The code is wrong.
    SecurityCodeInvalid,
    /// The code is right, but has expired.
    SecurityCodeExpired,
    /// The code was used before, and codes work only once.
    SecurityCodeVerified,
    /// There is no record for this number and token.
    SessionTokenInvalid,
    /// Too many wrong codes: the record is locked.
    SecurityCodeTooManyAttempts,
}

impl VerificationStatus {
    /// Returns the message that a Django site shows.
    pub fn message(self) -> &'static str {
        match self {
            Self::SecurityCodeValid => "Security code is valid.",
            Self::SecurityCodeInvalid => "Security code is not valid",
            Self::SecurityCodeExpired => "Security code has expired",
            Self::SecurityCodeVerified => "Security code is already verified",
            Self::SessionTokenInvalid => "Session Token mis-match",
            Self::SecurityCodeTooManyAttempts => {
                "Too many failed verification attempts. Please request a new code."
            }
        }
    }
}
