//! A provider's answer over HTTP, and what its status means.

use std::time::Duration;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Error as _};

use super::sms::{SmsError, SmsErrorKind};
use crate::model::words;

/// An HTTP answer.
pub(super) struct HttpAnswer {
    /// The HTTP status.
    pub(super) status: u16,
    /// How long the provider asks to wait before the next attempt.
    pub(super) retry_after: Option<Duration>,
    /// The body, or why it couldn't be read.
    pub(super) body: Result<Vec<u8>, String>,
}

impl HttpAnswer {
    /// Returns the JSON of the answer, unless the status means the same at every provider.
    ///
    /// # Errors
    /// Returns an error that may be tried again for 429 and 503, a refusal for a redirect, and an unknown outcome for a 5xx or an
    /// answer that isn't the expected JSON.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, SmsError> {
        match self.status {
            429 | 503 => Err(self.throttled(self.refused(None, None))),
            300..=399 => Err(self.redirect()),
            500.. => Err(self.not_understood("an error of the provider's own")),
            _ => {
                let body = self.body.as_ref().map_err(|reason| self.not_understood(reason))?;
                serde_json::from_slice(body)
                    .map(|Object(value)| value)
                    .map_err(|_| self.not_understood("not the JSON that the provider documents"))
            }
        }
    }

    /// Returns the refusal for a redirect. Following it would take the message and the secrets to another place.
    pub(super) fn redirect(&self) -> SmsError {
        let message = "the answer is a redirect, which is not followed";
        self.refused(None, Some(message))
    }

    /// Returns the JSON of the answer, if it can be read, whatever the status.
    pub(super) fn lenient_json<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(self.body.as_ref().ok()?).ok().map(|Object(value)| value)
    }

    /// Returns the error of a refusal that may be tried again.
    pub(super) fn throttled(&self, refusal: SmsError) -> SmsError {
        SmsError {
            kind: SmsErrorKind::Unavailable,
            is_providers_own: true,
            may_retry: true,
            retry_after: self.retry_after,
            ..refusal
        }
    }

    /// Returns the error of an answer that doesn't say whether the message was accepted.
    pub(super) fn not_understood(&self, reason: &str) -> SmsError {
        let message = format!("the answer can't be understood (HTTP {}): {reason}", self.status);
        SmsError::new(SmsErrorKind::Unknown, Some(self.status.to_string()), message)
    }

    /// Returns the error of a refusal in the provider's code and words.
    pub(super) fn refused(&self, code: Option<&str>, message: Option<&str>) -> SmsError {
        let given = |text: Option<&str>| text.map(words).filter(|text| !text.is_empty());
        let code = given(code).unwrap_or_else(|| self.status.to_string());
        let message = given(message);
        let message = message.unwrap_or_else(|| format!("refused with HTTP {}", self.status));
        SmsError::new(SmsErrorKind::Rejected, Some(code), message)
    }
}

/// A JSON object. By itself, serde also reads a struct from a list, which no provider sends.
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: DeserializeOwned> Deserialize<'de> for Object<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let object = serde_json::Map::deserialize(deserializer)?;
        T::deserialize(serde_json::Value::Object(object)).map(Self).map_err(D::Error::custom)
    }
}
