//! How an answer is read: what means accepted, and where its words stand.

use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::body::plain;
use crate::backends::answer::HttpAnswer;
use crate::backends::sms::{Accepted, AttemptError, SmsError, SmsErrorKind};
use crate::model::values::{number, parsed};
use crate::model::words;

/// The refusals whose reason is the account (RFC 9110): 401 is "Unauthorized", 402 "Payment Required".
const PROVIDERS_OWN: [u16; 2] = [401, 402];
/// The statuses that may be tried again unless the settings name others: "Too Many Requests" and "Service Unavailable".
const RETRIED: [u16; 2] = [429, 503];

/// How an answer is read.
#[derive(Debug)]
pub(super) struct Reading {
    /// The statuses that mean accepted; None stands for all from 200 to 299.
    pub(super) accepted_status: Option<Vec<Status<200, 299>>>,
    /// Where the answer says whether it accepts, and the values that say so.
    pub(super) accepted: Option<(Pointer, Vec<Scalar>)>,
    pub(super) message_id: Option<Pointer>,
    /// The places of the code and the words, the likeliest first: an API may refuse in more than one form.
    pub(super) error_code: Vec<Pointer>,
    pub(super) error_message: Vec<Pointer>,
    /// The statuses that may be tried again, if the settings name them.
    pub(super) retry_status: Option<Vec<Status<400, 599>>>,
}

/// An HTTP status in this range.
#[derive(Debug, PartialEq)]
pub(super) struct Status<const MIN: i64, const MAX: i64>(u16);

impl<'de, const MIN: i64, const MAX: i64> Deserialize<'de> for Status<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        number::<_, u16, u16, MIN, MAX>(deserializer).map(Self)
    }
}

/// A JSON pointer (RFC 6901) to something inside the answer.
#[derive(Debug)]
pub(super) struct Pointer(String);

impl<'de> Deserialize<'de> for Pointer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer, |text| {
            if !text.starts_with('/') {
                Err("must be a JSON pointer, such as /messages/0/id")
            } else if text.split('~').skip(1).any(|escape| !escape.starts_with(['0', '1'])) {
                Err("has a `~` that is no escape: a JSON pointer has ~0 for `~` and ~1 for `/`")
            } else {
                Ok(Self(text.to_owned()))
            }
        })
    }
}

/// A text, a number, or true or false.
#[derive(Debug)]
pub(super) struct Scalar(Value);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let form = "must be a text, a number, true or false, or a list of them";
        plain(toml::Value::deserialize(deserializer)?)
            .map(Self)
            .ok_or_else(|| D::Error::custom(form))
    }
}

/// Reads a value, or the values of a list.
pub(super) fn one_or_many<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    deserializer: D,
) -> Result<Option<Vec<T>>, D::Error> {
    let values = match toml::Value::deserialize(deserializer)? {
        toml::Value::Array(values) => values,
        value => vec![value],
    };
    let values = values.into_iter().map(T::deserialize).collect::<Result<_, _>>();
    values.map(Some).map_err(|error| D::Error::custom(error.message()))
}

impl Scalar {
    /// Returns whether both values have the same JSON type. If they don't, the settings may be wrong, and the SMS accepted though
    /// it looks refused.
    fn is_of_same_kind(&self, told: &Value) -> bool {
        std::mem::discriminant(&self.0) == std::mem::discriminant(told)
    }

    /// Returns whether two values are the same; a number may be written as 1 and as 1.0.
    fn is_same(&self, told: &Value) -> bool {
        let number = self.0.as_f64();
        self.0 == *told || number.is_some() && number == told.as_f64()
    }
}

impl Reading {
    pub(super) fn judge(&self, answer: &HttpAnswer) -> Result<Accepted, AttemptError> {
        let json = answer.body.as_ref().ok().and_then(|body| serde_json::from_slice(body).ok());
        let refusal = || self.refusal(answer, json.as_ref());
        match answer.status {
            status if self.retries(status) => Err(answer.throttled(refusal())),
            status if self.accepts(status) => self.judge_accepted(answer, json.as_ref()),
            200..=299 => Err(answer.not_understood("accepted_status does not name this status")),
            300..=399 => Err(answer.redirect()),
            400..=499 => Err(AttemptError::Final(refusal())),
            _ if at(&self.error_message, json.as_ref()).is_some() => {
                Err(AttemptError::Final(SmsError { kind: SmsErrorKind::Unknown, ..refusal() }))
            }
            _ => Err(answer.not_understood("an error of the provider's own")),
        }
    }

    fn retries(&self, status: u16) -> bool {
        match &self.retry_status {
            Some(statuses) => statuses.contains(&Status(status)),
            None => RETRIED.contains(&status),
        }
    }

    fn accepts(&self, status: u16) -> bool {
        match &self.accepted_status {
            Some(statuses) => statuses.contains(&Status(status)),
            None => (200..=299).contains(&status),
        }
    }

    /// Judges an answer whose status means accepted, where its words do not say otherwise.
    fn judge_accepted(
        &self,
        answer: &HttpAnswer,
        json: Option<&Value>,
    ) -> Result<Accepted, AttemptError> {
        answer.body.as_ref().map_err(|reason| answer.not_understood(reason))?;
        if let Some((pointer, values)) = &self.accepted {
            let told = json.and_then(|json| json.pointer(&pointer.0));
            let told = told.ok_or_else(|| {
                answer.not_understood("it is no JSON that holds what accepted_pointer names")
            })?;
            if !values.iter().any(|value| value.is_of_same_kind(told)) {
                return Err(answer.not_understood(
                    "what accepted_pointer finds is of another kind than accepted_value",
                ));
            }
            if !values.iter().any(|value| value.is_same(told)) {
                return Err(AttemptError::Final(self.refusal(answer, json)));
            }
        }
        let id = at(self.message_id.as_slice(), json);
        // Where nothing else says that the message was accepted, its id does.
        if id.is_none() && self.message_id.is_some() && self.accepted.is_none() {
            return Err(answer.not_understood("it has no message id at message_id_pointer"));
        }
        Ok(Accepted::with_id(id))
    }

    /// Returns the error of a refusal in the provider's own code and words, where the pointers find them.
    fn refusal(&self, answer: &HttpAnswer, json: Option<&Value>) -> SmsError {
        let code = at(&self.error_code, json);
        let message = at(&self.error_message, json);
        SmsError {
            is_providers_own: PROVIDERS_OWN.contains(&answer.status),
            ..answer.refused(code.as_deref(), message.as_deref())
        }
    }
}

/// Returns the first text with words, or number, that `pointers` lead to.
fn at(pointers: &[Pointer], json: Option<&Value>) -> Option<String> {
    pointers.iter().find_map(|pointer| match json?.pointer(&pointer.0)? {
        Value::String(text) => Some(words(text)).filter(|words| !words.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    })
}
