//! How an answer is read: what means accepted, and where its code and words are.

use serde_json::Value;

use super::options::Keys;
use super::values::Pointer;
use crate::backends::answer::HttpAnswer;
use crate::backends::sms::{Accepted, SmsError, SmsErrorKind};
use crate::model::words;

/// The refusals whose reason is the account (RFC 9110): 401 is "Unauthorized", 402 "Payment Required".
const PROVIDERS_OWN: [u16; 2] = [401, 402];
/// The statuses that may be tried again unless the settings name others: "Too Many Requests" and "Service Unavailable".
const RETRIED: [u16; 2] = [429, 503];

impl Keys {
    pub(super) fn judge(&self, answer: &HttpAnswer) -> Result<Accepted, SmsError> {
        let json = answer.body.as_ref().ok().and_then(|body| serde_json::from_slice(body).ok());
        let refusal = || self.refusal(answer, json.as_ref());
        match answer.status {
            status if self.retries(status) => Err(answer.throttled(refusal())),
            status if self.accepts(status) => self.judge_accepted(answer, json.as_ref()),
            200..=299 => Err(answer.not_understood("accepted_status doesn't have this status")),
            300..=399 => Err(answer.redirect()),
            400..=499 => Err(refusal()),
            _ if at(&self.error_message_pointer, json.as_ref()).is_some() => {
                Err(SmsError { kind: SmsErrorKind::Unknown, ..refusal() })
            }
            _ => Err(answer.not_understood("an error of the provider's own")),
        }
    }

    fn retries(&self, status: u16) -> bool {
        match &self.retry_status {
            Some(statuses) => statuses.iter().any(|known| known.0 == status),
            None => RETRIED.contains(&status),
        }
    }

    fn accepts(&self, status: u16) -> bool {
        match &self.accepted_status {
            Some(statuses) => statuses.iter().any(|known| known.0 == status),
            None => (200..=299).contains(&status),
        }
    }

    /// Judges an answer whose status means accepted, unless its JSON says otherwise.
    fn judge_accepted(
        &self,
        answer: &HttpAnswer,
        json: Option<&Value>,
    ) -> Result<Accepted, SmsError> {
        answer.body.as_ref().map_err(|reason| answer.not_understood(reason))?;
        if let (Some(pointer), Some(values)) = (&self.accepted_pointer, &self.accepted_value) {
            let value = json.and_then(|json| json.pointer(&pointer.0));
            let found = value.ok_or_else(|| {
                answer.not_understood("it isn't JSON with a value at accepted_pointer")
            })?;
            if !values.iter().any(|value| value.is_of_same_kind(found)) {
                return Err(answer.not_understood(
                    "the value at accepted_pointer has another type than accepted_value",
                ));
            }
            if !values.iter().any(|value| value.is_same(found)) {
                return Err(self.refusal(answer, json));
            }
        }
        let id = at(self.message_id_pointer.as_slice(), json);
        // If nothing else says that the message was accepted, its id does.
        if id.is_none() && self.message_id_pointer.is_some() && self.accepted_pointer.is_none() {
            return Err(answer.not_understood("it has no message id at message_id_pointer"));
        }
        Ok(Accepted::with_id(id))
    }

    /// Returns the error of a refusal in the provider's code and words, if the pointers find them.
    fn refusal(&self, answer: &HttpAnswer, json: Option<&Value>) -> SmsError {
        let code = at(&self.error_code_pointer, json);
        let message = at(&self.error_message_pointer, json);
        SmsError {
            is_providers_own: PROVIDERS_OWN.contains(&answer.status),
            ..answer.refused(code.as_deref(), message.as_deref())
        }
    }
}

/// Returns the first number, or text with words, that one of `pointers` finds.
fn at(pointers: &[Pointer], json: Option<&Value>) -> Option<String> {
    pointers.iter().find_map(|pointer| match json?.pointer(&pointer.0)? {
        Value::String(text) => Some(words(text)).filter(|words| !words.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    })
}
