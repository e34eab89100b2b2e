//! One SMS, and the provider's answer to it.

use std::time::Duration;

use crate::model::{DeliveryState, PhoneNumber, SecurityCode};

/// One SMS on its way out.
#[derive(Debug)]
pub struct Sms<'a> {
    /// The number that it goes to.
    pub phone_number: &'a PhoneNumber,
    /// The text, with the code.
    pub text: &'a str,
    /// The code in the text, to mask it if the provider repeats it.
    pub security_code: &'a SecurityCode,
}

/// The result of calling the provider.
#[derive(Debug)]
pub struct Attempted<T = Accepted> {
    /// How often it was called.
    pub tries: u32,
    /// Its last answer.
    pub result: Result<T, SmsError>,
}

/// The answer to an SMS that the provider accepted.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    /// The provider's id of the message. Sandboxes and the console have none.
    pub message_id: Option<String>,
    /// The text, if the operator has to see it because no phone gets it.
    pub shown_text: Option<String>,
}

impl Accepted {
    /// Returns the acceptance of a message with this id.
    pub(super) fn with_id(message_id: Option<String>) -> Self {
        Self { message_id: message_id.filter(|id| !id.is_empty()), shown_text: None }
    }
}

/// How certain it is that an SMS wasn't accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmsErrorKind {
    /// The provider refused it for good.
    Rejected,
    /// Nothing was accepted: the provider couldn't be reached, or throttled every attempt.
    Unavailable,
    /// It may or may not have been accepted.
    Unknown,
}

impl SmsErrorKind {
    /// Returns the state of such a delivery.
    pub fn delivery_state(self) -> DeliveryState {
        match self {
            Self::Rejected => DeliveryState::Rejected,
            Self::Unavailable => DeliveryState::Unavailable,
            Self::Unknown => DeliveryState::Unknown,
        }
    }
}

/// Why an SMS wasn't accepted, in the provider's code and words. Holds no security code and no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SmsError {
    /// How certain it is that nothing was accepted.
    pub kind: SmsErrorKind,
    /// The provider's own code, or the HTTP status if it gave none.
    pub code: Option<String>,
    /// The HTTP status of the provider's refusal, if it gave one.
    pub(super) status: Option<u16>,
    /// The provider's words, or what happened to the connection.
    pub message: String,
    /// Where the provider explains the error, or what an operator can do.
    pub more_info: Option<String>,
    /// Whether the reason is the provider's own (credentials, balance, sender, throttling, not reachable), so that another
    /// provider may well accept the SMS.
    pub is_providers_own: bool,
    /// Whether another attempt may succeed, and can't send the SMS a second time.
    pub(super) may_retry: bool,
    /// How long the provider asks to wait before that.
    pub(super) retry_after: Option<Duration>,
}

impl SmsError {
    pub(super) fn new(
        kind: SmsErrorKind,
        code: Option<String>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            code,
            status: None,
            message: message.into(),
            more_info: None,
            is_providers_own: kind == SmsErrorKind::Unavailable,
            may_retry: false,
            retry_after: None,
        }
    }

    /// Returns the error of an attempt that was not made, for this reason.
    pub(super) fn not_called(reason: impl Into<String>) -> Self {
        let error = Self::new(SmsErrorKind::Unavailable, None, reason);
        Self { is_providers_own: false, ..error }
    }
}
