//! What a provider answered, made fit to be judged and shown: bounded, without control characters, secrets masked.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde::de::{DeserializeOwned, Error as _};

use super::masking::Mask;
use super::{Accepted, SmsError, SmsErrorKind};
use crate::model::{DeliveryOutcome, words};

/// The most characters of a provider's words that are shown.
const MAX_WORDS: usize = 500;
/// The most characters of a provider's code or id that are shown.
const MAX_CODE: usize = 64;

/// An HTTP answer.
pub(super) struct HttpAnswer {
    /// The HTTP status.
    pub(super) status: u16,
    /// How long the provider asks to wait before the next attempt.
    pub(super) retry_after: Option<Duration>,
    /// The provider's time, where it tells it.
    pub(super) date: Option<DateTime<Utc>>,
    /// The body, or why it could not be had.
    pub(super) body: Result<Vec<u8>, String>,
}

/// Why one attempt did not succeed.
pub(super) enum AttemptError {
    /// Nothing was accepted and another attempt may succeed, after the time that the provider asked for.
    Retry(SmsError, Option<Duration>),
    /// Another attempt would be refused again, or might send the SMS a second time.
    Final(SmsError),
}

impl HttpAnswer {
    /// Judges the statuses that mean the same at every provider, and returns the JSON that the answer holds.
    ///
    /// # Errors
    /// 429 and 503 may be tried again; a redirect is refused; a 5xx or an answer that is not the expected JSON leaves the
    /// outcome unknown.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, AttemptError> {
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
    pub(super) fn redirect(&self) -> AttemptError {
        let message = "the answer is a redirect, which is not followed";
        AttemptError::Final(self.refused(None, Some(message)))
    }

    /// Returns the JSON that the answer holds, where it can be read, whatever its status means.
    pub(super) fn told<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(self.body.as_ref().ok()?).ok().map(|Object(value)| value)
    }

    /// Returns the error of a refusal that another attempt may overcome.
    pub(super) fn throttled(&self, refusal: SmsError) -> AttemptError {
        let error = SmsError { kind: SmsErrorKind::Unavailable, is_providers_own: true, ..refusal };
        AttemptError::Retry(error, self.retry_after)
    }

    /// Returns the error of an answer that does not tell whether the message was accepted.
    pub(super) fn not_understood(&self, reason: &str) -> AttemptError {
        let message = format!("the answer can't be understood (HTTP {}): {reason}", self.status);
        AttemptError::Final(SmsError::new(
            SmsErrorKind::Unknown,
            Some(self.status.to_string()),
            message,
        ))
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

/// Returns an error that can be shown: with what `mask` holds masked, and not too long. What is cut off is cut off last,
/// so that no half of a secret is left.
pub(super) fn presentable(error: SmsError, mask: &Mask) -> SmsError {
    let shown = |text: String, most| presentable_text(&text, most, mask);
    SmsError {
        code: error.code.map(|code| shown(code, MAX_CODE)),
        message: shown(error.message, MAX_WORDS),
        more_info: error.more_info.map(|more_info| shown(more_info, MAX_WORDS)),
        ..error
    }
}

/// Returns an acceptance that can be shown, as [`presentable`] does with an error.
pub(super) fn presentable_acceptance(accepted: Accepted, mask: &Mask) -> Accepted {
    let shown = |id: String| presentable_text(&id, MAX_CODE, mask);
    Accepted { message_id: accepted.message_id.map(shown), ..accepted }
}

/// Returns what a provider told of a message, as [`presentable`] does with an error.
pub(super) fn presentable_outcome(outcome: DeliveryOutcome, mask: &Mask) -> DeliveryOutcome {
    let shown = |text: String, most| presentable_text(&text, most, mask);
    DeliveryOutcome {
        error_code: outcome.error_code.map(|code| shown(code, MAX_CODE)),
        error_message: outcome.error_message.map(|message| shown(message, MAX_WORDS)),
        ..outcome
    }
}

/// Returns a provider's words with what `mask` holds masked.
pub(super) fn presentable_words(text: &str, mask: &Mask) -> String {
    presentable_text(&words(text), MAX_WORDS, mask)
}

fn presentable_text(text: &str, most: usize, mask: &Mask) -> String {
    mask.masked(text).chars().take(most).collect()
}

/// A JSON object. Serde by itself takes a list for a struct as well, which no provider means.
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: DeserializeOwned> Deserialize<'de> for Object<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let object = serde_json::Map::deserialize(deserializer)?;
        T::deserialize(serde_json::Value::Object(object)).map(Self).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_id_shows_no_secret() {
        let accepted = Accepted { message_id: Some("SM-s3cret-1".into()), shown_text: None };
        let shown = presentable_acceptance(accepted, &Mask::of(["s3cret"])).message_id;
        assert_eq!(shown.as_deref(), Some("SM-***-1"));
    }
}
