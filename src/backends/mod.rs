//! The SMS providers behind one door: callers name none of them.

mod answer;
mod call_settings;
mod caller;
mod command;
mod examination;
mod http;
mod http_api;
mod masking;
mod nexmo;
mod options;
mod pace;
mod twilio;

use std::sync::Arc;

use secrecy::ExposeSecret;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::model::{DeliveryOutcome, DeliveryState, PhoneNumber, SecurityCode};
use crate::system::clock::Clock;
use crate::system::secret::SecretError;

pub use call_settings::CallSettings;
use caller::Caller;
pub use examination::{AccountState, Balance, Finding, Security, SenderState};
use masking::Mask;
pub use options::{BackendName, BackendOptions};
pub use pace::Pace;

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
    /// The text, where it went to no phone and has to be shown to the operator instead.
    pub shown_text: Option<String>,
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
    /// The provider's own code, or the HTTP status where it gave none.
    pub code: Option<String>,
    /// The provider's words, or what happened to the connection.
    pub message: String,
    /// Where the provider explains the error, or what to do about it.
    pub more_info: Option<String>,
    /// Whether the reason is the provider's own (credentials, balance, sender, throttling, not reachable), so that another
    /// provider may well accept the SMS.
    pub is_providers_own: bool,
}

impl SmsError {
    fn new(kind: SmsErrorKind, code: Option<String>, message: impl Into<String>) -> Self {
        let is_providers_own = kind == SmsErrorKind::Unavailable;
        Self { kind, code, message: message.into(), more_info: None, is_providers_own }
    }

    /// Returns whether the answer was a redirect. No provider has codes of three digits of its own that begin so.
    pub fn is_redirect(&self) -> bool {
        let status = self.code.as_deref().and_then(|code| code.parse::<u16>().ok());
        status.is_some_and(|status| (300..400).contains(&status))
    }

    /// Returns the error of an SMS that was not sent because the program was asked to stop.
    fn stopped() -> Self {
        let message = "the run ended before it was sent";
        Self { is_providers_own: false, ..Self::new(SmsErrorKind::Unavailable, None, message) }
    }

    /// Returns the error of a question whose turn did not come in time.
    fn too_late() -> Self {
        let message = "it could not be asked in time at the pace of max_per_second";
        Self { is_providers_own: false, ..Self::new(SmsErrorKind::Unavailable, None, message) }
    }
}

/// Why a backend can't be used at all.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// A secret of its options can't be looked up.
    #[error("{key}: {source}")]
    Secret {
        /// The key, with the tables that it stands in.
        key: String,
        /// Why.
        source: SecretError,
    },
    /// The HTTP client can't be built, as where the machine has no certificate store.
    #[error("the HTTP client can't be set up: {}", http::root_cause(.0))]
    Client(#[source] reqwest::Error),
}

impl ConnectError {
    fn secret(key: &str, source: SecretError) -> Self {
        Self::Secret { key: format!("options.{key}"), source }
    }

    /// Returns what to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Secret { .. } => "put the secret where the settings name it",
            Self::Client(_) => {
                "install the system's certificates, such as the package ca-certificates"
            }
        }
    }

    /// Returns the error of the same backend where it is the second one.
    pub fn of_fallback(self) -> Self {
        match self {
            Self::Secret { key, source } => Self::Secret { key: format!("fallback.{key}"), source },
            Self::Client(_) => self,
        }
    }
}

/// How providers are called, all of them together.
pub struct Calling {
    /// How patiently.
    pub settings: CallSettings,
    /// How fast.
    pub pace: Arc<Pace>,
    /// Whether the sends that are under way are to come to an end.
    pub stop: CancellationToken,
    /// The environment variables that hold secrets, which no program is to inherit.
    pub secret_variables: Vec<String>,
    /// The clock.
    pub clock: Clock,
}

/// A provider that is ready to send.
pub struct Backend {
    name: BackendName,
    provider: Provider,
    /// The provider's secrets, which must never be shown.
    mask: Mask,
}

enum Provider {
    Twilio(twilio::Twilio),
    Nexmo(nexmo::Nexmo),
    Command(command::Command),
    Http(Box<http_api::HttpApi>),
    /// Sandboxes and console: no network call, the operator sees what the phone would have shown.
    Operator(Caller),
}

impl Backend {
    /// Returns the backend that `options` describe, its secrets looked up.
    ///
    /// # Errors
    /// A secret can't be looked up, or the HTTP client can't be built.
    pub fn connect(options: &BackendOptions, calling: &Calling) -> Result<Self, ConnectError> {
        let caller = Caller::new(calling);
        let http = |base_url| http::Http::new(base_url, &calling.settings, &calling.clock);
        let (provider, secrets) = match options {
            BackendOptions::Twilio(options) => {
                let twilio = twilio::Twilio::connect(options, http(&options.base_url)?, caller)?;
                let secrets = twilio.secrets();
                (Provider::Twilio(twilio), secrets)
            }
            BackendOptions::Nexmo(options) => {
                let nexmo = nexmo::Nexmo::connect(options, http(&options.base_url)?, caller)?;
                let secrets = nexmo.secrets();
                (Provider::Nexmo(nexmo), secrets)
            }
            BackendOptions::Command(options) => {
                (Provider::Command(command::Command::new(options, calling, caller)), Vec::new())
            }
            BackendOptions::Http(options) => {
                let http = http(&options.sample_url)?;
                let api = http_api::HttpApi::connect(options, http, caller)?;
                let secrets = api.secrets();
                (Provider::Http(Box::new(api)), secrets)
            }
            BackendOptions::Sandbox(_) | BackendOptions::Console => {
                (Provider::Operator(caller), Vec::new())
            }
        };
        let mask = Mask::of(secrets.iter().map(|secret| secret.expose_secret()));
        Ok(Self { name: options.name(), provider, mask })
    }

    /// Returns the backend's canonical name.
    pub fn name(&self) -> BackendName {
        self.name
    }

    /// Sends an SMS, trying again as long as it is certain that nothing was accepted.
    pub async fn send(&self, sms: &Sms<'_>) -> Attempted {
        let Attempted { tries, result } = match &self.provider {
            Provider::Twilio(twilio) => twilio.send(sms).await,
            Provider::Nexmo(nexmo) => nexmo.send(sms).await,
            Provider::Command(command) => command.send(sms).await,
            Provider::Http(api) => api.send(sms).await,
            Provider::Operator(caller) => caller.call(async || Ok(Accepted::shown(sms.text))).await,
        };
        let codes = std::slice::from_ref(sms.security_code);
        // By chance a code may occur in an id, by which Twilio is asked later; nobody else is asked by it.
        let codes_in_ids = if matches!(self.provider, Provider::Twilio(_)) { &[] } else { codes };
        let result = match result {
            Ok(accepted) if accepted.message_id.is_none() => Ok(accepted),
            Ok(accepted) => {
                Ok(answer::presentable_acceptance(accepted, &self.mask.and(codes_in_ids)))
            }
            Err(error) => Err(answer::presentable(error, &self.mask.and(codes))),
        };
        Attempted { tries, result }
    }

    /// Asks the provider what became of a message that may have held one of `security_codes`, as patiently as an SMS is sent
    /// or, where there is a `latest` moment, until then. Returns None where the provider has no such call.
    ///
    /// # Errors
    /// The provider was not reached, or did not tell.
    pub async fn delivery_status(
        &self,
        message_id: &str,
        security_codes: &[SecurityCode],
        latest: Option<Instant>,
    ) -> Result<Option<DeliveryOutcome>, SmsError> {
        let status = match &self.provider {
            Provider::Twilio(twilio) => twilio.delivery_status(message_id, latest).await.map(Some),
            _ => Ok(None),
        };
        let mask = self.mask.and(security_codes);
        match status {
            Ok(told) => Ok(told.map(|outcome| answer::presentable_outcome(outcome, &mask))),
            Err(error) => Err(answer::presentable(error, &mask)),
        }
    }

    /// Finds out, without sending anything, whether the provider can be reached and would take an SMS. Returns nothing where
    /// there is no provider.
    pub async fn examine(&self) -> Vec<Finding> {
        let findings = match &self.provider {
            Provider::Twilio(twilio) => twilio.examine().await,
            Provider::Nexmo(nexmo) => nexmo.examine().await,
            Provider::Command(command) => command.examine(),
            Provider::Http(api) => api.examine().await,
            Provider::Operator(_) => Vec::new(),
        };
        findings.into_iter().map(|finding| finding.presentable(&self.mask)).collect()
    }
}

impl Accepted {
    fn shown(text: &str) -> Self {
        Self { message_id: None, shown_text: Some(text.to_owned()) }
    }
}
