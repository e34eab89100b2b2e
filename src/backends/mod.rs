//! The SMS providers behind one door: callers name none of them.

mod answer;
pub mod delivery;
mod http;
mod nexmo;
mod options;
mod twilio;

use secrecy::{ExposeSecret, SecretString};

use crate::clock::Clock;
use crate::model::{PhoneNumber, SecurityCode};
use crate::secret::SecretError;

pub use delivery::Delivery;
pub use options::{BackendName, BackendOptions};

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

/// What the provider answered to an SMS that it accepted.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    /// The provider's id of the message; sandboxes and console have none.
    pub message_id: Option<String>,
    /// The text, where it went to no phone and has to be shown to the operator instead.
    pub shown_text: Option<String>,
}

/// What became of an SMS that was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SmsErrorKind {
    /// The provider refused it for good.
    Rejected,
    /// Nothing was accepted: the provider was not reached, or throttled until the attempts were used up.
    Unavailable,
    /// It may or may not have been accepted.
    Unknown,
}

/// Why an SMS was not accepted, in the provider's own code and words, without any code or secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SmsError {
    /// What became of the SMS.
    pub kind: SmsErrorKind,
    /// The provider's own code, or the HTTP status where it gave none.
    pub code: Option<String>,
    /// The provider's words, or what happened to the connection.
    pub message: String,
    /// Where the provider explains the error.
    pub more_info: Option<String>,
}

impl SmsError {
    fn new(kind: SmsErrorKind, code: Option<String>, message: impl Into<String>) -> Self {
        Self { kind, code, message: message.into(), more_info: None }
    }

    fn masked(self, secrets: &[&str]) -> Self {
        let mask = |text: String| answer::masked(&text, secrets);
        Self {
            kind: self.kind,
            code: self.code.map(mask),
            message: mask(self.message),
            more_info: self.more_info.map(mask),
        }
    }
}

/// Why a backend can't be used at all.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// A secret of its options can't be looked up.
    #[error("options.{key}: {source}")]
    Secret {
        /// The key in `[options]`.
        key: &'static str,
        /// Why.
        source: SecretError,
    },
    /// The HTTP client can't be built, as where the machine has no certificate store.
    #[error("the HTTP client can't be set up: {0}")]
    Client(String),
}

/// A provider that is ready to send.
pub struct Backend {
    name: BackendName,
    provider: Provider,
    secrets: Vec<SecretString>,
}

enum Provider {
    Twilio(twilio::Twilio),
    Nexmo(nexmo::Nexmo),
    /// Sandboxes and console: no network call, the operator sees what the phone would have shown.
    Operator,
}

impl Backend {
    /// Returns the backend that `options` describe, its secrets looked up.
    ///
    /// # Errors
    /// A secret can't be looked up, or the HTTP client can't be built.
    pub fn connect(
        options: &BackendOptions,
        delivery: &Delivery,
        clock: &Clock,
    ) -> Result<Self, ConnectError> {
        let (provider, secrets) = match options {
            BackendOptions::Twilio(options) => {
                let twilio = twilio::Twilio::connect(options, delivery, clock)?;
                let secrets = twilio.secrets();
                (Provider::Twilio(twilio), secrets)
            }
            BackendOptions::Nexmo(options) => {
                let nexmo = nexmo::Nexmo::connect(options, delivery, clock)?;
                let secrets = nexmo.secrets();
                (Provider::Nexmo(nexmo), secrets)
            }
            BackendOptions::Sandbox(_) | BackendOptions::Console => {
                (Provider::Operator, Vec::new())
            }
        };
        Ok(Self { name: options.name(), provider, secrets })
    }

    /// Returns the backend's canonical name.
    pub fn name(&self) -> BackendName {
        self.name
    }

    /// Sends an SMS, trying again as long as it is certain that nothing was accepted.
    ///
    /// # Errors
    /// The provider did not accept it, or it is unknown whether it did.
    pub async fn send(&self, sms: &Sms<'_>) -> Result<Accepted, SmsError> {
        let result = match &self.provider {
            Provider::Twilio(twilio) => twilio.send(sms).await,
            Provider::Nexmo(nexmo) => nexmo.send(sms).await,
            Provider::Operator => {
                Ok(Accepted { message_id: None, shown_text: Some(sms.text.to_owned()) })
            }
        };
        result.map_err(|error| {
            let mut secrets: Vec<&str> = self.secrets.iter().map(|s| s.expose_secret()).collect();
            secrets.push(sms.security_code.reveal());
            error.masked(&secrets)
        })
    }
}
