//! A provider of the settings, and the same provider once it's ready to send.

use std::fmt;
use std::slice;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use tokio::time::Instant;

use super::calling::Calling;
use super::http::{Http, root_cause};
use super::masking::Mask;
use super::provider::{Connection, Provider};
use super::sms::{Accepted, Attempted, Sms, SmsError};
use crate::model::{Check, DeliveryOutcome, SecurityCode};
use crate::system::secret::{Secret, SecretError};

/// A backend's canonical name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct BackendName(pub(super) &'static str);

impl BackendName {
    /// Returns the name as settings, results and the ledger have it.
    pub fn as_str(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for BackendName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0)
    }
}

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
    /// Returns the backend's canonical name.
    pub fn name(&self) -> BackendName {
        self.name
    }

    /// Returns the code that a sandbox always sends, and accepts for any number.
    pub fn sandbox_token(&self) -> Option<&SecurityCode> {
        self.provider.sandbox_token()
    }

    /// Returns whether the backend sends SMS, rather than showing what it would send.
    pub fn is_live(&self) -> bool {
        self.provider.is_live()
    }

    /// Returns the most characters that the provider takes in one message; a sandbox keeps to its live backend's limit.
    pub fn max_message_length(&self) -> Option<usize> {
        self.provider.max_message_length()
    }
}

/// Why a backend can't be used at all.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// A secret of its options can't be looked up.
    #[error("{key}: {source}")]
    Secret {
        /// The key with its tables.
        key: String,
        /// Why.
        source: SecretError,
    },
    /// The HTTP client can't be built, as when the machine has no certificate store.
    #[error("the HTTP client can't be set up: {}", root_cause(.0))]
    Client(#[source] reqwest::Error),
}

impl ConnectError {
    /// Returns what to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Secret { .. } => "put the secret where the settings name it",
            Self::Client(_) => {
                "install the system's certificates, such as the package ca-certificates"
            }
        }
    }

    /// Returns the check of a provider that can't be asked because of it.
    pub fn check(&self) -> Check {
        let name = match self {
            Self::Secret { .. } => "credentials",
            Self::Client(_) => "tls",
        };
        Check::failure(name, format!("it can't be asked: {self}"), self.hint())
    }
}

/// A provider that is ready to send.
pub struct Backend {
    name: BackendName,
    provider: Arc<dyn Provider>,
    connection: Connection,
    /// The provider's secrets, which must never be shown.
    mask: Mask,
}

impl Backend {
    /// Returns the backend that `options` describe, its secrets looked up.
    ///
    /// # Errors
    /// Returns an error if a secret can't be looked up, or if the HTTP client can't be built.
    pub fn connect(options: &BackendOptions, calling: &Arc<Calling>) -> Result<Self, ConnectError> {
        let BackendOptions { name, table, secrets, provider } = options;
        let mut masked: Vec<SecretString> = Vec::new();
        // A sandbox needs none of those that its live provider has.
        for (key, secret) in secrets.iter().filter(|_| provider.is_live()) {
            let value = secret.reveal();
            let error = |source| ConnectError::Secret { key: key.clone(), source };
            masked.push(value.map_err(error)?.clone());
        }
        let derived = provider.derived_secrets();
        let error = |(key, source)| ConnectError::Secret { key: format!("{table}.{key}"), source };
        masked.extend(derived.map_err(error)?);
        let http = |url| Http::new(url, &calling.settings, &calling.clock);
        let connection = Connection {
            client: provider.url().map(http).transpose().map_err(ConnectError::Client)?,
            calling: Arc::clone(calling),
        };
        Ok(Self {
            name: *name,
            provider: Arc::clone(provider),
            connection,
            mask: Mask::of(masked.iter().map(|secret| secret.expose_secret())),
        })
    }

    /// Returns the backend's canonical name.
    pub fn name(&self) -> BackendName {
        self.name
    }

    /// Sends an SMS, trying again as long as it's certain that nothing was accepted.
    pub async fn send(&self, sms: &Sms<'_>) -> Attempted {
        let attempt = async || self.provider.send(&self.connection, sms).await;
        let Attempted { tries, result } = self.connection.calling.call(None, attempt).await;
        let codes = slice::from_ref(sms.security_code);
        // By chance a code may occur in an id. It has to stay if the provider is asked by it later.
        let is_asked_by_id = self.provider.delivery_status(&self.connection, "").is_some();
        let codes_in_ids = if is_asked_by_id { &[] } else { codes };
        let result = match result {
            Ok(accepted) => {
                let mask = accepted.message_id.is_some().then(|| self.mask.and(codes_in_ids));
                let shown = |id: String| mask.map_or_else(String::new, |mask| mask.code(&id));
                Ok(Accepted { message_id: accepted.message_id.map(shown), ..accepted })
            }
            Err(error) => Err(self.mask.and(codes).error(error)),
        };
        Attempted { tries, result }
    }

    /// Asks the provider what became of a message that may have held one of `security_codes`, as patiently as an SMS is sent or,
    /// if there is a `latest` moment, until then. Returns None if the provider has no such call.
    ///
    /// # Errors
    /// Returns an error if the provider was not reached, or did not say.
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
        let attempt = async || ask().expect("there is such a call").await;
        let mask = self.mask.and(security_codes);
        match self.connection.calling.call(latest, attempt).await.result {
            Ok(outcome) => Ok(Some(mask.outcome(outcome))),
            Err(error) => Err(mask.error(error)),
        }
    }

    /// Finds out, without sending anything, whether the provider can be reached and would take an SMS. Returns nothing if there
    /// is no provider.
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
        let shown = |check: Check| Check { message: self.mask.words(&check.message), ..check };
        checks.into_iter().map(shown).collect()
    }
}
