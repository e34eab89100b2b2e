//! What a provider answered by HTTP, and how its status is judged.

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
    /// The body, or why it could not be had.
    pub(super) body: Result<Vec<u8>, String>,
}

impl HttpAnswer {
    /// Judges the statuses that mean the same at every provider, and returns the JSON that the answer holds.
    ///
    /// # Errors
    /// 429 and 503 may be tried again; a redirect is refused; a 5xx or an answer that is not the expected JSON leaves the
    /// outcome unknown.
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

    /// Returns the error of a redirect, which would lead the message, and the secrets with it, somewhere else.
    pub(super) fn redirect(&self) -> SmsError {
        let message = "the answer is a redirect, which is not followed";
        self.refused(None, Some(message))
    }

    /// Returns the JSON that the answer holds, where it can be read, whatever its status means.
    pub(super) fn told<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(self.body.as_ref().ok()?).ok().map(|Object(value)| value)
    }

    /// Returns the error of a refusal that another attempt may overcome.
    pub(super) fn throttled(&self, refusal: SmsError) -> SmsError {
        SmsError {
            kind: SmsErrorKind::Unavailable,
            is_providers_own: true,
            may_retry: true,
            // What is longer than a minute is too long in any case.
            retry_after: self.retry_after.map(|it| it.as_millis().try_into().unwrap_or(u16::MAX)),
            ..refusal
        }
    }

    /// Returns the error of an answer that does not tell whether the message was accepted.
    pub(super) fn not_understood(&self, reason: &str) -> SmsError {
        let message = format!("the answer can't be understood (HTTP {}): {reason}", self.status);
        SmsError::new(SmsErrorKind::Unknown, Some(self.status.to_string()), message)
    }

    /// Returns the error of a refusal in the provider's own code and words.
    pub(super) fn refused(&self, code: Option<&str>, message: Option<&str>) -> SmsError {
        let given = |text: Option<&str>| text.map(words).filter(|text| !text.is_empty());
        let code = given(code).unwrap_or_else(|| self.status.to_string());
        let message = given(message);
        let message = message.unwrap_or_else(|| format!("refused with HTTP {}", self.status));
        SmsError::new(SmsErrorKind::Rejected, Some(code), message)
    }
}

/// A JSON object. Serde by itself takes a list for a struct as well, which no provider means.
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: DeserializeOwned> Deserialize<'de> for Object<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let object = serde_json::Map::deserialize(deserializer)?;
        T::deserialize(serde_json::Value::Object(object)).map(Self).map_err(D::Error::custom)
    }
}
