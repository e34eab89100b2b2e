//! How an answer is read: what means accepted, and where its code and words are.

use serde_json::Value;

use super::options::Keys;
use super::values::Pointer;
use crate::backends::answer::{HttpAnswer, Meaning, Refusal, THROTTLED, Verdict};
use crate::backends::sms::{Accepted, SmsError};
use crate::model::words;

impl Keys {
    pub(super) fn judge(&self, answer: &HttpAnswer) -> Result<Accepted, SmsError> {
        let body = answer.body.as_deref().unwrap_or_default();
        let json = serde_json::from_slice(body).ok();
        let meaning = self.meaning(answer.status);
        let refusal = self.refusal(answer.status, json.as_ref());
        let says_no_more = || self.verdict_by_id(meaning, json.as_ref(), &refusal);
        let verdict = self.verdict(body, json.as_ref()).unwrap_or_else(says_no_more);
        answer.judge(meaning, verdict, refusal)
    }

    /// Returns whether something besides the status tells acceptance from refusal.
    pub(super) fn reads_the_body(&self) -> bool {
        let Self { accepted_pointer, refused_pointer, message_id_pointer, .. } = self;
        let pointers = [accepted_pointer, refused_pointer, message_id_pointer];
        self.accepted_text.is_some() || pointers.into_iter().any(Option::is_some)
    }

    fn meaning(&self, status: u16) -> Meaning {
        let is_retried = match &self.retry_status {
            Some(statuses) => statuses.iter().any(|known| known.0 == status),
            None => THROTTLED.contains(&status),
        };
        match (status, &self.accepted_status) {
            _ if is_retried => Meaning::TryAgain,
            (200..=299, None) => Meaning::Accepted,
            (_, Some(statuses)) if statuses.iter().any(|known| known.0 == status) => {
                Meaning::Accepted
            }
            (200..=299, _) => Meaning::Unknown("accepted_status doesn't have this status"),
            _ => Meaning::of(status),
        }
    }

    /// Returns what the body says by the keys that are there for nothing else, or None if they don't decide.
    fn verdict(&self, body: &[u8], json: Option<&Value>) -> Option<Verdict> {
        let find = |pointer: &Pointer| json.and_then(|json| json.pointer(&pointer.0));
        let refused = self.refused_pointer.as_ref();
        if refused.and_then(find).is_some_and(|value| !value.is_null()) {
            return Some(Verdict::Refused);
        }
        if let Some(text) = &self.accepted_text
            && !String::from_utf8_lossy(body).trim_start().starts_with(&text.0)
        {
            return Some(Verdict::Refused);
        }
        if let (Some(pointer), Some(values)) = (&self.accepted_pointer, &self.accepted_value) {
            let Some(found) = find(pointer) else {
                let reason = "it isn't JSON with a value at accepted_pointer";
                return Some(Verdict::Silent(reason));
            };
            if !values.iter().any(|value| value.is_of_same_kind(found)) {
                return Some(Verdict::Silent(
                    "the value at accepted_pointer has another type than accepted_value",
                ));
            }
            if !values.iter().any(|value| value.is_same(found)) {
                return Some(Verdict::Refused);
            }
        } else if self.accepted_text.is_none() {
            let is_unread = refused.is_some() && json.is_none();
            let reason = "it isn't JSON, in which refused_pointer could find something";
            return is_unread.then_some(Verdict::Silent(reason));
        }
        let id = at(self.message_id_pointer.as_slice(), json);
        Some(Verdict::Accepted(Accepted::with_id(id)))
    }

    /// Returns what the body says if only the message's id can say that it was accepted. Beside a code or words of an error, an id
    /// doesn't contradict a status that refuses.
    fn verdict_by_id(&self, meaning: Meaning, json: Option<&Value>, refusal: &Refusal) -> Verdict {
        let is_accepted = matches!(meaning, Meaning::Accepted);
        let has_error = refusal.code.is_some() || refusal.message.is_some();
        match at(self.message_id_pointer.as_slice(), json) {
            Some(id) if is_accepted || !has_error => Verdict::Accepted(Accepted::with_id(Some(id))),
            None if self.message_id_pointer.is_none() && is_accepted => {
                Verdict::Accepted(Accepted::default())
            }
            _ => Verdict::Silent("it has no message id at message_id_pointer"),
        }
    }

    /// Returns the provider's code and words, if the pointers find them.
    fn refusal(&self, status: u16, json: Option<&Value>) -> Refusal {
        let code = at(&self.error_code_pointer, json);
        let message = at(&self.error_message_pointer, json);
        let is = |known: &str| code.as_deref() == Some(known) || status.to_string() == known;
        let is_providers_own = self.fallback_codes.iter().any(|known| is(&known.0)).then_some(true);
        Refusal { code, message, more_info: None, is_providers_own }
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

#[cfg(test)]
mod tests;
