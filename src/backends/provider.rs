//! What every provider is: a name in the settings, options, and a way to send.

use std::fmt::Debug;
use std::sync::Arc;

use futures_util::future::LocalBoxFuture;
use reqwest::Url;
use secrecy::SecretString;

use super::calling::Calling;
use super::http::Http;
use super::sms::{Accepted, Sms, SmsError};
use crate::document::Section;
use crate::model::{Check, DeliveryOutcome, SecurityCode};
use crate::system::secret::SecretError;

/// A kind of provider that settings can name.
pub(super) struct Kind {
    /// Its names in the settings. The first one is canonical.
    pub(super) names: &'static [&'static str],
    /// Reads its options, unless something is wrong with them.
    pub(super) read: fn(&mut Section<'_, '_>) -> Option<Arc<dyn Provider>>,
}

/// What a provider is reached with.
pub(super) struct Connection {
    pub(super) calling: Arc<Calling>,
    /// The client, if the provider has an address.
    pub(super) client: Option<Http>,
}

impl Connection {
    /// Returns the client of a provider that has an address.
    pub(super) fn http(&self) -> &Http {
        self.client.as_ref().expect("the provider has an address")
    }
}

/// What comes of one attempt.
pub(super) type Attempt<'a, T> = LocalBoxFuture<'a, Result<T, SmsError>>;

/// A provider with its options.
pub(super) trait Provider: Debug + Send + Sync {
    /// Sends an SMS, trying once.
    fn send<'a>(&'a self, connection: &'a Connection, sms: &'a Sms<'_>) -> Attempt<'a, Accepted>;

    /// Returns the address that it's called at, if it's called by HTTP.
    fn url(&self) -> Option<&Url> {
        None
    }

    /// Returns whether it sends SMS, rather than showing what it would send.
    fn is_live(&self) -> bool {
        true
    }

    /// Returns the code that a sandbox always sends, and accepts for any number.
    fn sandbox_token(&self) -> Option<&SecurityCode> {
        None
    }

    /// Returns the most characters that it takes in one message.
    fn max_message_length(&self) -> Option<usize> {
        None
    }

    /// Returns what is made of its secrets, now that they are looked up, and must not be shown either.
    ///
    /// # Errors
    /// Returns the key of a secret that can't be used, and why.
    fn derived_secrets(&self) -> Result<Vec<SecretString>, (String, SecretError)> {
        Ok(Vec::new())
    }

    /// Asks what became of a message, trying once, if there is such a call.
    fn delivery_status<'a>(
        &'a self,
        _connection: &'a Connection,
        _message_id: &'a str,
    ) -> Option<Attempt<'a, DeliveryOutcome>> {
        None
    }

    /// Finds out, without sending anything, whether it would take an SMS. Fails if it can't be reached.
    fn check<'a>(&'a self, _connection: &'a Connection) -> Attempt<'a, Vec<Check>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}
