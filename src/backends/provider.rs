//! What every provider has: names in the settings, options, and a way to send.

use std::fmt::Debug;
use std::sync::Arc;

use futures_util::future::LocalBoxFuture;
use reqwest::Url;
use secrecy::SecretString;

use super::calling::Calling;
use super::codes::Codes;
use super::http::Http;
use super::masking::Mask;
use super::name::BackendName;
use super::sms::{Accepted, Sms, SmsError};
use crate::document::Section;
use crate::model::{Check, DeliveryOutcome, SecurityCode};
use crate::system::secret::SecretError;

/// A kind of provider that settings can name.
pub struct Kind {
    /// Its names in the settings. The first one is canonical.
    pub(super) names: &'static [&'static str],
    /// What it is, in a few words for a person who has to choose one.
    pub summary: &'static str,
    /// What that person is asked about its options.
    pub questions: &'static [Question],
    /// Its own codes.
    pub(super) codes: Option<&'static Codes>,
    /// Returns the provider with its options, or None if something is wrong with them.
    pub(super) read: fn(&mut Section<'_, '_>) -> Option<Arc<dyn Provider>>,
}

impl Kind {
    /// Returns its canonical name.
    pub fn name(&self) -> &'static str {
        self.names[0]
    }
}

/// A question about an option of a provider.
pub struct Question {
    /// The key of the option.
    pub key: &'static str,
    /// What is asked for.
    pub text: &'static str,
    /// What the answer is.
    pub input: Input,
    /// How an answer begins that belongs to another key, and that key.
    other: Option<(&'static str, &'static str)>,
}

/// What the answer to a question is.
#[derive(Clone, Copy)]
pub enum Input {
    /// A string.
    Text,
    /// A secret.
    Secret,
    /// A program and its arguments.
    Words,
}

impl Question {
    pub(super) const fn text(key: &'static str, text: &'static str) -> Self {
        Self { key, text, input: Input::Text, other: None }
    }

    pub(super) const fn secret(key: &'static str, text: &'static str) -> Self {
        Self { input: Input::Secret, ..Self::text(key, text) }
    }

    pub(super) const fn words(key: &'static str, text: &'static str) -> Self {
        Self { input: Input::Words, ..Self::text(key, text) }
    }

    /// Returns the question if an answer that begins with `prefix` belongs to `key`.
    pub(super) const fn or(self, prefix: &'static str, key: &'static str) -> Self {
        Self { other: Some((prefix, key)), ..self }
    }

    /// Returns the key that this answer belongs to.
    pub fn key_of(&self, answer: &str) -> &'static str {
        let other = self.other.filter(|(prefix, _)| answer.starts_with(prefix));
        other.map_or(self.key, |(_, key)| key)
    }
}

/// What is asked about the options of a sandbox.
pub(super) const SANDBOX_QUESTIONS: &[Question] =
    &[Question::text("sandbox_token", "Code that it always sends and accepts, such as 123456")];

/// How a provider is reached.
pub(super) struct Connection {
    /// The provider's name.
    pub(super) name: BackendName,
    pub(super) calling: Arc<Calling>,
    /// The HTTP client, if the provider has an address.
    pub(super) client: Option<Http>,
    /// Hides the provider's secrets.
    pub(super) mask: Mask,
}

impl Connection {
    /// Returns the client of a provider that has an address.
    pub(super) fn http(&self) -> &Http {
        self.client.as_ref().expect("the provider has an address")
    }
}

/// The result of one attempt.
pub(super) type Attempt<'a, T> = LocalBoxFuture<'a, Result<T, SmsError>>;

/// A provider with its options.
pub(super) trait Provider: Debug + Send + Sync {
    /// Sends an SMS, with one attempt.
    fn send<'a>(&'a self, connection: &'a Connection, sms: &'a Sms<'_>) -> Attempt<'a, Accepted>;

    /// Returns the name that its options give it, if they do.
    fn own_name(&self) -> Option<&str> {
        None
    }

    /// Returns the provider's address, if it has one.
    fn url(&self) -> Option<&Url> {
        None
    }

    /// Returns the number or the name that its SMS come from, if the settings say so.
    fn sender(&self) -> Option<&str> {
        None
    }

    /// Returns whether it sends SMS. Otherwise it only shows them.
    fn is_live(&self) -> bool {
        true
    }

    /// Returns the code that a sandbox sends and accepts for every number.
    fn sandbox_token(&self) -> Option<&SecurityCode> {
        None
    }

    /// Returns the most characters that it accepts in one message.
    fn max_message_length(&self) -> Option<usize> {
        None
    }

    /// Returns the check of its options, which are in `table`, if they may be weak.
    fn check_options(&self, _table: &str) -> Option<Check> {
        None
    }

    /// Returns what is derived from its secrets and must not be shown either.
    ///
    /// # Errors
    /// Returns the key of a secret that can't be used, and why.
    fn derived_secrets(&self) -> Result<Vec<SecretString>, (String, SecretError)> {
        Ok(Vec::new())
    }

    /// Asks for the state of a message, with one attempt. Returns None if the provider has no such call.
    fn delivery_status<'a>(
        &'a self,
        _connection: &'a Connection,
        _message_id: &'a str,
    ) -> Option<Attempt<'a, DeliveryOutcome>> {
        None
    }

    /// Checks, without sending anything, whether it would accept an SMS. Returns an error if it can't be reached.
    fn check<'a>(&'a self, _connection: &'a Connection) -> Attempt<'a, Vec<Check>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}
