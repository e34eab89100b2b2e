//! One SMS, and what comes of sending it.

use crate::model::{DeliveryState, PhoneNumber, SecurityCode};

/// One SMS on its way out.
#[derive(Debug)]
pub struct Sms<'a> {
    /// Where it goes.
    pub phone_number: &'a PhoneNumber,
    /// What it says.
    pub text: &'a str,
    /// The code that the text holds, so that it can be masked where the provider repeats it.
    pub security_code: &'a SecurityCode,
}

/// What came of calling the provider.
#[derive(Debug)]
pub struct Attempted<T = Accepted> {
    /// How often it was called.
    pub tries: u32,
    /// What it said in the end.
    pub result: Result<T, SmsError>,
}

/// What the provider answered to an SMS that it accepted.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    /// The provider's id of the message; sandboxes and console have none.
    pub message_id: Option<String>,
    /// The text, if it went to no phone and has to be shown to the operator instead.
    pub shown_text: Option<String>,
}

impl Accepted {
    /// Returns the acceptance of a message with this id.
    pub(super) fn with_id(message_id: Option<String>) -> Self {
        Self { message_id: message_id.filter(|id| !id.is_empty()), shown_text: None }
    }
}

/// What became of an SMS that was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmsErrorKind {
    /// The provider refused it for good.
    Rejected,
    /// Nothing was accepted: the provider was not reached, or throttled until the attempts were used up.
    Unavailable,
    /// It may or may not have been accepted.
    Unknown,
}

impl SmsErrorKind {
    /// Returns the state of a delivery that ended so.
    pub fn delivery_state(self) -> DeliveryState {
        match self {
            Self::Rejected => DeliveryState::Rejected,
            Self::Unavailable => DeliveryState::Unavailable,
            Self::Unknown => DeliveryState::Unknown,
        }
    }
}

/// Why an SMS was not accepted, in the provider's own code and words, without any code or secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SmsError {
    /// What became of the SMS.
    pub kind: SmsErrorKind,
    /// The provider's own code, or the HTTP status if it gave none.
    pub code: Option<String>,
    /// The provider's words, or what happened to the connection.
    pub message: String,
    /// Where the provider explains the error, or what to do about it.
    pub more_info: Option<String>,
    /// Whether the reason is the provider's own (credentials, balance, sender, throttling, not reachable), so that another
    /// provider may well accept the SMS.
    pub is_providers_own: bool,
    /// Whether another attempt may succeed, and can't send the SMS a second time.
    pub(super) may_retry: bool,
    /// How many milliseconds the provider asks to wait before.
    pub(super) retry_after: Option<u16>,
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
            message: message.into(),
            more_info: None,
            is_providers_own: kind == SmsErrorKind::Unavailable,
            may_retry: false,
            retry_after: None,
        }
    }
}
