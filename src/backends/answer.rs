//! A provider's answer over HTTP, and the one rule by which it is judged.

use std::borrow::Cow;
use std::time::Duration;

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::codes::HTTP;
use super::sms::{Accepted, SmsError, SmsErrorKind};
use super::strict_json::StrictJson;
use crate::model::words;

/// The statuses that ask for another attempt (RFC 9110 and RFC 6585): "Too Many Requests" and "Service Unavailable".
pub(super) const THROTTLED: [u16; 2] = [429, 503];

/// Why an answer can't be understood.
const NO_SUCH_STATUS: &str = "no answer with this status is documented";
const NOT_DOCUMENTED: &str = "not the JSON that the provider documents";

/// An HTTP answer.
pub(super) struct HttpAnswer {
    /// The HTTP status.
    pub(super) status: u16,
    /// How long the provider asks to wait before the next attempt.
    pub(super) retry_after: Option<Duration>,
    /// Whether the body is `text/plain`.
    pub(super) is_plain_text: bool,
    /// The body, or why it couldn't be read.
    pub(super) body: Result<Vec<u8>, String>,
}

/// What an HTTP status says by itself.
#[derive(Clone, Copy)]
pub(super) enum StatusMeaning {
    /// The message was accepted, unless the body says otherwise.
    Accepted,
    /// Nothing was accepted, and another attempt may succeed.
    TryAgain,
    /// Nothing was accepted, because the provider is elsewhere.
    Redirect,
    /// Nothing was accepted.
    Refused,
    /// Nothing, for this reason.
    Unknown(&'static str),
}

impl StatusMeaning {
    /// Returns the meaning of a status that is neither accepted nor tried again.
    pub(super) fn of(status: u16) -> Self {
        match status {
            200..=299 => Self::Unknown(NO_SUCH_STATUS),
            // "See Other" (RFC 9110, section 15.4.4).
            303 => Self::Unknown("it says that the request was taken, and not what became of it"),
            300..=399 => Self::Redirect,
            400..=499 => Self::Refused,
            _ => Self::Unknown("an error of the provider's own"),
        }
    }
}

/// What the body of an answer says about the message.
pub(super) enum BodyMeaning {
    /// It was accepted.
    Accepted(Accepted),
    /// It was refused, which this part of it says.
    Refused(&'static str),
    /// Nothing, for this reason.
    Silent(&'static str),
    /// It may have been accepted in part or in whole, for this reason.
    Unclear(&'static str),
}

/// A refusal in the provider's code and words, if the body has them.
#[derive(Default)]
pub(super) struct RefusalDetails {
    pub(super) code: Option<String>,
    pub(super) message: Option<String>,
    pub(super) more_info: Option<String>,
    /// Whether the provider's code means that the reason is its own, if the code is known.
    pub(super) is_providers_own: Option<bool>,
}

impl HttpAnswer {
    /// Returns the object in the answer.
    ///
    /// # Errors
    /// Returns an unknown outcome if the answer isn't the expected JSON, or couldn't be read.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, SmsError> {
        let object = self.json_if_any()?.map(|Object(value)| value);
        object.ok_or_else(|| self.not_understood(NOT_DOCUMENTED))
    }

    /// Returns the JSON of the answer, or None if its body isn't an object or a list, nor begins like one.
    ///
    /// # Errors
    /// Returns an unknown outcome if such a body isn't the expected JSON, or couldn't be read: what is wrong with it may hide
    /// that the message was accepted.
    pub(super) fn json_if_any<T: DeserializeOwned>(&self) -> Result<Option<T>, SmsError> {
        self.whole_body()?;
        let text = self.text();
        match serde_json::from_str(&text).and_then(|StrictJson(json)| T::deserialize(json)) {
            Ok(json) => Ok(Some(json)),
            Err(_) if text.starts_with(['{', '[']) => Err(self.not_understood(NOT_DOCUMENTED)),
            Err(_) => Ok(None),
        }
    }

    /// Returns the body as text, without white space and a byte order mark in front.
    pub(super) fn text(&self) -> Cow<'_, str> {
        match String::from_utf8_lossy(self.body.as_deref().unwrap_or_default()) {
            Cow::Borrowed(text) => text.trim_start_matches(is_padding).into(),
            Cow::Owned(text) => text.trim_start_matches(is_padding).to_owned().into(),
        }
    }

    /// Judges the answer to an SMS by what its status and its body say. A contradiction leaves the outcome unknown.
    ///
    /// # Errors
    /// Returns an error unless both say that the message was accepted.
    pub(super) fn judge(
        &self,
        meaning: StatusMeaning,
        body: BodyMeaning,
        refusal: RefusalDetails,
    ) -> Result<Accepted, SmsError> {
        // What is missing of it may say that the message was accepted.
        self.whole_body()?;
        Err(match (meaning, body) {
            (StatusMeaning::Accepted, BodyMeaning::Accepted(accepted)) => return Ok(accepted),
            (StatusMeaning::Unknown(reason), BodyMeaning::Accepted(_))
            | (StatusMeaning::Accepted, BodyMeaning::Silent(reason)) => self.not_understood(reason),
            (_, BodyMeaning::Accepted(_)) => {
                self.not_understood("only its body says that the message was accepted")
            }
            (_, BodyMeaning::Unclear(reason)) => self.unknown(refusal, reason),
            (StatusMeaning::Accepted, BodyMeaning::Refused(reason)) => {
                self.refused(refusal, &format!("{reason} (HTTP {})", self.status))
            }
            (meaning, BodyMeaning::Refused(_) | BodyMeaning::Silent(_)) => {
                self.refuse(meaning, refusal)
            }
        })
    }

    /// Returns the error of an answer that isn't an acceptance.
    pub(super) fn refuse(&self, meaning: StatusMeaning, refusal: RefusalDetails) -> SmsError {
        let reason = format!("refused with HTTP {}", self.status);
        match meaning {
            StatusMeaning::Refused => self.refused(refusal, &reason),
            StatusMeaning::TryAgain => SmsError {
                kind: SmsErrorKind::Unavailable,
                is_providers_own: true,
                may_retry: true,
                retry_after: self.retry_after,
                ..self.refused(refusal, &reason)
            },
            // Following it would take the message and the secrets to another place.
            StatusMeaning::Redirect => {
                let reason = "the answer is a redirect, which is not followed";
                // The body of a redirect says nothing about the message, so its code doesn't count either.
                let is_providers_own = refusal.is_providers_own.filter(|_| refusal.code.is_none());
                let message = Some(reason.to_owned());
                self.refused(
                    RefusalDetails { message, is_providers_own, ..RefusalDetails::default() },
                    reason,
                )
            }
            StatusMeaning::Unknown(reason) => self.unknown(refusal, reason),
            // Only a message is accepted: this is the answer to a question.
            StatusMeaning::Accepted => self.unknown(refusal, NO_SUCH_STATUS),
        }
    }

    /// Returns the error of a refusal in the provider's code and words, or with the `reason` if there are no words.
    fn refused(&self, refusal: RefusalDetails, reason: &str) -> SmsError {
        let by_status = || HTTP.is_providers_own(&self.status.to_string());
        let is_providers_own = refusal.is_providers_own.or_else(by_status).unwrap_or(false);
        let message = self.words_of(&refusal).unwrap_or_else(|| reason.to_owned());
        let error = self.error(SmsErrorKind::Rejected, refusal, message);
        SmsError { is_providers_own, ..error }
    }

    /// Returns the error of an unknown outcome in the provider's code and words, or with the `reason` if there are no words.
    fn unknown(&self, refusal: RefusalDetails, reason: &str) -> SmsError {
        match self.words_of(&refusal) {
            Some(message) => self.error(SmsErrorKind::Unknown, refusal, message),
            None => self.not_understood(reason),
        }
    }

    fn error(&self, kind: SmsErrorKind, refusal: RefusalDetails, message: String) -> SmsError {
        let code = given(refusal.code.as_deref()).unwrap_or_else(|| self.status.to_string());
        let more_info = given(refusal.more_info.as_deref());
        let status = Some(self.status);
        SmsError { status, more_info, ..SmsError::new(kind, Some(code), message) }
    }

    fn words_of(&self, refusal: &RefusalDetails) -> Option<String> {
        let plain_text = || given(self.is_plain_text.then(|| self.text()).as_deref());
        given(refusal.message.as_deref()).or_else(plain_text)
    }

    /// Returns the error of an answer that doesn't say whether the message was accepted.
    pub(super) fn not_understood(&self, reason: &str) -> SmsError {
        let message = format!("the answer can't be understood (HTTP {}): {reason}", self.status);
        SmsError::new(SmsErrorKind::Unknown, Some(self.status.to_string()), message)
    }

    fn whole_body(&self) -> Result<(), SmsError> {
        self.body.as_ref().map(|_| ()).map_err(|reason| self.not_understood(reason))
    }
}

/// Returns whether `c` is dropped in front of a body: white space, or a byte order mark.
pub(super) fn is_padding(c: char) -> bool {
    c.is_whitespace() || c == '\u{feff}'
}

/// Reads a text, or nothing if the value has another type: what is wrong in one place must not hide what another place says.
pub(super) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(text) => Some(text),
        _ => None,
    })
}

/// Returns the words of `text`, if it has any.
fn given(text: Option<&str>) -> Option<String> {
    text.map(words).filter(|text| !text.is_empty())
}

/// A JSON object. By itself, serde also reads a struct from a list, which no provider sends.
#[derive(Default)]
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: DeserializeOwned> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let object = Map::deserialize(deserializer)?;
        T::deserialize(Value::Object(object)).map(Self).map_err(D::Error::custom)
    }
}

#[cfg(test)]
impl HttpAnswer {
    /// Returns an answer with this status and this body.
    pub(super) fn with_body(status: u16, body: &str) -> Self {
        let body = Ok(body.as_bytes().to_vec());
        Self { status, retry_after: None, is_plain_text: false, body }
    }
}

/// Returns what `judge` makes of an answer: `accepted` and the id, or `refused`, `own` (refused for a reason of the provider's
/// own), `again` or `unknown`, and the code.
#[cfg(test)]
pub(super) fn judged(
    judge: impl Fn(&HttpAnswer) -> Result<Accepted, SmsError>,
    status: u16,
    body: &str,
) -> String {
    let mut answer = HttpAnswer::with_body(status, body);
    let result = judge(&answer);
    answer.body = Err("it broke off".to_owned());
    let cut_off = judge(&answer).expect_err("half an answer accepts nothing");
    for error in [Some(&cut_off), result.as_ref().err()].into_iter().flatten() {
        let is_unknown = error.kind == SmsErrorKind::Unknown;
        assert!(!is_unknown || !error.may_retry && !error.is_providers_own, "{error:?}");
        assert!(!is_unknown || !error.message.contains("refused with"), "{error:?}");
    }
    assert_eq!(cut_off.kind, SmsErrorKind::Unknown);
    match result {
        Ok(accepted) => format!("accepted {}", accepted.message_id.unwrap_or_default()),
        Err(SmsError { kind, code, may_retry, is_providers_own, .. }) => {
            let what = match kind {
                SmsErrorKind::Unknown => "unknown",
                SmsErrorKind::Unavailable if may_retry => "again",
                SmsErrorKind::Rejected if is_providers_own => "own",
                SmsErrorKind::Rejected => "refused",
                SmsErrorKind::Unavailable => "unavailable",
            };
            format!("{what} {}", code.unwrap_or_default())
        }
    }
}
