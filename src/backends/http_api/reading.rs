//! How an answer is read: what means accepted, and where its code and words are.

use serde_json::Value;

use super::options::Keys;
use super::values::Pointer;
use crate::backends::answer::{BodyMeaning, HttpAnswer, RefusalDetails, StatusMeaning, THROTTLED};
use crate::backends::sms::{Accepted, SmsError};
use crate::model::words;

/// What one key says of an answer, with the reason.
#[derive(PartialEq)]
enum Said {
    Accepted,
    Refused(&'static str),
    Nothing(&'static str),
}

impl Keys {
    pub(super) fn judge(&self, answer: &HttpAnswer) -> Result<Accepted, SmsError> {
        let json = if self.has_pointer() { answer.json_if_any::<Value>()? } else { None };
        let meaning = self.meaning(answer.status);
        let refusal = self.refusal(answer.status, json.as_ref());
        let says_no_more = || self.body_meaning_by_id(meaning, json.as_ref(), &refusal);
        let body_meaning =
            self.body_meaning(&answer.text(), json.as_ref()).unwrap_or_else(says_no_more);
        answer.judge(meaning, body_meaning, refusal)
    }

    /// Returns whether something besides the status tells acceptance from refusal.
    pub(super) fn reads_the_body(&self) -> bool {
        let Self { accepted_pointer, refused_pointer, message_id_pointer, .. } = self;
        let pointers = [accepted_pointer, refused_pointer, message_id_pointer];
        self.accepted_text.is_some() || pointers.into_iter().any(Option::is_some)
    }

    /// Returns whether an answer may be JSON.
    fn has_pointer(&self) -> bool {
        let Self { accepted_pointer, refused_pointer, message_id_pointer, .. } = self;
        let pointers = [accepted_pointer, refused_pointer, message_id_pointer];
        let mut lists = [&self.error_code_pointer, &self.error_message_pointer].into_iter();
        pointers.into_iter().any(Option::is_some) || lists.any(|list| !list.is_empty())
    }

    fn meaning(&self, status: u16) -> StatusMeaning {
        let is_retried = match &self.retry_status {
            Some(statuses) => statuses.iter().any(|known| known.0 == status),
            None => THROTTLED.contains(&status),
        };
        match (status, &self.accepted_status) {
            _ if is_retried => StatusMeaning::TryAgain,
            (200..=299, None) => StatusMeaning::Accepted,
            (_, Some(statuses)) if statuses.iter().any(|known| known.0 == status) => {
                StatusMeaning::Accepted
            }
            (200..=299, _) => StatusMeaning::Unknown("accepted_status doesn't have this status"),
            _ => StatusMeaning::of(status),
        }
    }

    /// Returns what the body says by the keys that are there for nothing else, or None if they don't decide.
    fn body_meaning(&self, text: &str, json: Option<&Value>) -> Option<BodyMeaning> {
        let said = [self.by_refused_pointer(json), self.by_text(text), self.by_pointer(json)];
        let accepts = said.contains(&Some(Said::Accepted));
        let refuses = said.iter().find_map(|said| match said {
            Some(Said::Refused(reason)) => Some(*reason),
            _ => None,
        });
        let nothing = said.iter().find_map(|said| match said {
            Some(Said::Nothing(reason)) => Some(*reason),
            _ => None,
        });
        match (refuses, nothing) {
            (Some(_), _) if accepts => Some(BodyMeaning::Unclear(
                "one key of the settings says that it was accepted, another that it was refused",
            )),
            (Some(reason), _) => Some(BodyMeaning::Refused(reason)),
            (None, Some(reason)) if accepts => Some(BodyMeaning::Unclear(reason)),
            (None, Some(reason)) => Some(BodyMeaning::Silent(reason)),
            (None, None) if accepts => {
                let id = at(self.message_id_pointer.as_slice(), json);
                Some(BodyMeaning::Accepted(Accepted::with_id(id)))
            }
            (None, None) if self.refused_pointer.is_some() && json.is_none() => Some(
                BodyMeaning::Silent("it isn't JSON, in which refused_pointer could find something"),
            ),
            (None, None) => None,
        }
    }

    fn by_refused_pointer(&self, json: Option<&Value>) -> Option<Said> {
        let found = json?.pointer(&self.refused_pointer.as_ref()?.0)?;
        (!found.is_null()).then_some(Said::Refused("refused_pointer finds a value"))
    }

    fn by_text(&self, text: &str) -> Option<Said> {
        Some(if text.starts_with(&self.accepted_text.as_ref()?.0) {
            Said::Accepted
        } else {
            Said::Refused("the answer doesn't begin with accepted_text")
        })
    }

    fn by_pointer(&self, json: Option<&Value>) -> Option<Said> {
        let (pointer, values) = (self.accepted_pointer.as_ref()?, self.accepted_value.as_ref()?);
        Some(match json.and_then(|json| json.pointer(&pointer.0)) {
            None => Said::Nothing("it isn't JSON with a value at accepted_pointer"),
            Some(found) if values.iter().any(|value| value.is_same(found)) => Said::Accepted,
            Some(found) if values.iter().any(|value| value.is_of_same_kind(found)) => {
                Said::Refused("accepted_pointer finds another value")
            }
            Some(_) => {
                Said::Nothing("the value at accepted_pointer has another type than accepted_value")
            }
        })
    }

    /// Returns what the body says if only the message's id can say that it was accepted. Beside a code or words of an error, an id
    /// doesn't contradict a status that refuses.
    fn body_meaning_by_id(
        &self,
        meaning: StatusMeaning,
        json: Option<&Value>,
        refusal: &RefusalDetails,
    ) -> BodyMeaning {
        let is_accepted = matches!(meaning, StatusMeaning::Accepted);
        let has_error = refusal.code.is_some() || refusal.message.is_some();
        match at(self.message_id_pointer.as_slice(), json) {
            Some(id) if is_accepted || !has_error => {
                BodyMeaning::Accepted(Accepted::with_id(Some(id)))
            }
            None if self.message_id_pointer.is_none() && is_accepted => {
                BodyMeaning::Accepted(Accepted::default())
            }
            _ => BodyMeaning::Silent("it has no message id at message_id_pointer"),
        }
    }

    /// Returns the provider's code and words, if the pointers find them.
    fn refusal(&self, status: u16, json: Option<&Value>) -> RefusalDetails {
        let code = at(&self.error_code_pointer, json);
        let message = at(&self.error_message_pointer, json);
        let is = |known: &str| code.as_deref() == Some(known) || status.to_string() == known;
        let is_providers_own = self.fallback_codes.iter().any(|known| is(&known.0)).then_some(true);
        RefusalDetails { code, message, more_info: None, is_providers_own }
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
