//! A provider in the settings, and the same provider ready to send.

use std::slice;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;

use super::calling::Calling;
use super::http::{Http, root_cause};
use super::masking::Mask;
use super::name::BackendName;
use super::provider::{Connection, Provider};
use super::proxy::{Proxy, ProxyError};
use super::sms::{Accepted, Attempted, Sms, SmsError};
use super::test_numbers::TestNumbers;
use crate::model::{Check, DeliveryOutcome, SecurityCode};
use crate::system::secret::{Secret, SecretError};

/// The provider that the settings name, with its options.
#[derive(Debug, Clone)]
pub struct BackendOptions {
    pub(super) name: BackendName,
    /// The full name of the table of its options.
    pub(super) table: String,
    /// The secrets in that table, with their full keys.
    pub(super) secrets: Vec<(String, Secret)>,
    pub(super) provider: Arc<dyn Provider>,
}

impl BackendOptions {
    /// Returns the backend's name.
    pub fn name(&self) -> &BackendName {
        &self.name
    }

    /// Returns the code that a sandbox sends and accepts for every number.
    pub fn sandbox_token(&self) -> Option<&SecurityCode> {
        self.provider.sandbox_token()
    }

    /// Returns the number or the name that its SMS come from, if the settings say so.
    pub fn sender(&self) -> Option<&str> {
        self.provider.sender()
    }

    /// Returns whether the backend sends SMS. Otherwise it only shows them.
    pub fn is_live(&self) -> bool {
        self.provider.is_live()
    }

    /// Returns the most characters that the provider accepts in one message. A sandbox has the limit of its live provider.
    pub fn max_message_length(&self) -> Option<usize> {
        self.provider.max_message_length()
    }

    /// Returns the check of the options, named after their table, if they may be weak.
    pub fn check(&self) -> Option<Check> {
        self.provider.check_options(&self.table)
    }
}

/// Why a backend can't be used at all.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// A secret of its options can't be looked up.
    #[error("{key}: {source}")]
    Secret {
        /// The full key.
        key: String,
        /// Why.
        source: SecretError,
    },
    /// The proxy of the environment can't be used.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    /// The HTTP client can't be built, for example because the machine has no certificate store.
    #[error("the HTTP client can't be set up: {}", root_cause(.0))]
    Client(#[source] reqwest::Error),
}

impl ConnectError {
    /// Returns what an operator can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Secret { .. } => "put the secret where the settings name it",
            Self::Proxy(_) => {
                "name an HTTP proxy, such as http://proxy.example:3128, or the provider's host in NO_PROXY"
            }
            Self::Client(_) => {
                "install the system's certificates, such as the package ca-certificates, or correct SSL_CERT_FILE"
            }
        }
    }

    /// Returns the failed check of the provider.
    pub fn check(&self) -> Check {
        let name = match self {
            Self::Secret { .. } => "credentials",
            Self::Proxy(_) => "proxy",
            Self::Client(_) => "tls",
        };
        Check::failure(name, format!("it can't be asked: {self}"), self.hint())
    }
}

/// A provider that is ready to send.
pub struct Backend {
    provider: Arc<dyn Provider>,
    connection: Connection,
}

impl Backend {
    /// Returns the backend that `options` describe, with its secrets looked up.
    ///
    /// # Errors
    /// Returns an error if a secret can't be looked up, if the proxy of the environment can't be used, or if the HTTP client can't
    /// be built.
    pub fn connect(options: &BackendOptions, calling: &Arc<Calling>) -> Result<Self, ConnectError> {
        let BackendOptions { name, table, secrets, provider } = options;
        let mut masked: Vec<SecretString> = Vec::new();
        // A sandbox doesn't need the secrets of its live provider.
        for (key, secret) in secrets.iter().filter(|_| provider.is_live()) {
            let value = secret.reveal();
            let error = |source| ConnectError::Secret { key: key.clone(), source };
            masked.push(value.map_err(error)?.clone());
        }
        let derived = provider.derived_secrets();
        let error = |(key, source)| ConnectError::Secret { key: format!("{table}.{key}"), source };
        masked.extend(derived.map_err(error)?);
        let http = |url| {
            let proxy = Proxy::of(url, |name| std::env::var_os(name))?;
            Http::new(proxy, &calling.settings, &calling.clock).map_err(ConnectError::Client)
        };
        let client = provider.url().map(http).transpose()?;
        let connection = Connection {
            name: name.clone(),
            calling: Arc::clone(calling),
            client,
            mask: Mask::of(masked.iter().map(|secret| secret.expose_secret())),
        };
        Ok(Self { provider: Arc::clone(provider), connection })
    }

    /// Returns the backend of test numbers, which accepts every SMS and sends none.
    pub fn of_test_numbers(calling: &Arc<Calling>) -> Self {
        Self::without_client(BackendName::TEST, Arc::new(TestNumbers), calling)
    }

    /// Returns a backend that has no address and no secrets.
    pub(super) fn without_client(
        name: &str,
        provider: Arc<dyn Provider>,
        calling: &Arc<Calling>,
    ) -> Self {
        let connection = Connection {
            name: BackendName::new(name, name),
            calling: Arc::clone(calling),
            client: None,
            mask: Mask::default(),
        };
        Self { provider, connection }
    }

    /// Returns the backend's name.
    pub fn name(&self) -> &BackendName {
        &self.connection.name
    }

    /// Returns the number or the name that its SMS come from, if the settings say so.
    pub fn sender(&self) -> Option<&str> {
        self.provider.sender()
    }

    /// Sends an SMS, and tries again while it is certain that nothing was accepted. Before each attempt, `may_leave` is told how
    /// many there were, and returns why it must not be made.
    pub async fn send(
        &self,
        sms: &Sms<'_>,
        may_leave: impl AsyncFn(u32) -> Result<(), String>,
    ) -> Attempted {
        let Connection { name, calling, mask, .. } = &self.connection;
        let codes = slice::from_ref(sms.security_code);
        let masked = |error| mask.and(codes).error(error);
        let answer = || calling.answer(self.provider.send(&self.connection, sms));
        let attempt = async || answer().await.map_err(masked);
        let purpose = format!("sending through {name}");
        let sending = calling.call_while(&purpose, may_leave, None, attempt);
        let Attempted { tries, result } = sending.await;
        // An id may contain a code by chance. It has to stay if the provider is asked by id later.
        let is_asked_by_id = self.provider.delivery_status(&self.connection, "").is_some();
        let codes_in_ids = if is_asked_by_id { &[] } else { codes };
        let shown = |id: String| mask.and(codes_in_ids).code(&id);
        let result = result
            .map(|accepted| Accepted { message_id: accepted.message_id.map(shown), ..accepted });
        Attempted { tries, result }
    }

    /// Asks the provider for the state of a message that may have held one of `security_codes`. It tries as often as for an SMS or,
    /// if `latest` is given, until then. Returns None if the provider has no such call.
    ///
    /// # Errors
    /// Returns an error if the provider can't be reached or doesn't answer the question.
    pub async fn delivery_status(
        &self,
        message_id: &str,
        security_codes: &[SecurityCode],
        latest: Option<Instant>,
    ) -> Result<Option<DeliveryOutcome>, SmsError> {
        let ask = || self.provider.delivery_status(&self.connection, message_id);
        if ask().is_none() {
            return Ok(None);
        }
        let Connection { name, calling, mask, .. } = &self.connection;
        let mask = mask.and(security_codes);
        let attempt = async || match ask().expect("there is such a call").await {
            Ok(outcome) => Ok(Some(mask.outcome(outcome))),
            Err(error) => Err(mask.error(error)),
        };
        let purpose = format!("asking {name} whether the SMS arrived");
        calling.call(&purpose, latest, attempt).await.result
    }

    /// Checks, without sending anything, whether the provider can be reached and would accept an SMS. Returns no checks if there is
    /// no provider.
    pub async fn check(&self) -> Vec<Check> {
        let connection = &self.connection;
        let found = self.provider.check(connection).await;
        let checks = match (self.provider.url(), found) {
            (None, found) => found.unwrap_or_default(),
            (Some(url), Err(error)) => connection.reached(url, Some(&error)).await,
            (Some(url), Ok(found)) => {
                let way = connection.reached(url, None).await;
                way.into_iter().chain(found).chain([connection.clock()]).collect()
            }
        };
        let shown =
            |check: Check| Check { message: connection.mask.words(&check.message), ..check };
        checks.into_iter().map(shown).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde::Deserialize;

    use super::*;
    use crate::backends::{self, CallSettings};
    use crate::document::Document;
    use crate::model::values::Text;
    use crate::system::clock::Clock;

    #[test]
    fn an_alias_is_shown_but_not_stored_and_a_class_is_neither() {
        let calling = Arc::new(Calling::new(CallSettings::default(), Clock::system()));
        for (given, shown, name) in [
            ("vonage", "vonage", "nexmo"),
            ("nexmo", "nexmo", "nexmo"),
            ("phone_verify.backends.nexmo.NexmoBackend", "nexmo", "nexmo"),
            ("console", "console", "console"),
        ] {
            let options = match name {
                "nexmo" => {
                    "[options]\nkey = \"k\"\nsecret = \"s\"\nfrom = \"F\"\nbase_url = \"http://127.0.0.1\""
                }
                _ => "",
            };
            let mut document = Document::parse(options, Path::new("")).expect("TOML");
            let text = Text::deserialize(toml::Value::from(given)).expect("a text");
            let options = backends::read(&mut document.root(), Some(text)).expect("valid options");
            let backend = Backend::connect(&options, &calling).expect("a backend");
            assert_eq!((&*backend.name().to_string(), &**backend.name().stored()), (shown, name));
        }
    }
}
