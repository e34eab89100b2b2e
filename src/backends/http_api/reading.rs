//! How an answer is read: what means accepted, and where its words stand.

use serde_json::Value;

use crate::backends::answer::{AttemptError, HttpAnswer};
use crate::backends::{Accepted, SmsError, SmsErrorKind};
use crate::model::words;
use crate::settings_table::{Table, TableError, Tree};

/// The refusals whose reason is the account (RFC 9110): 401 is "Unauthorized", 402 "Payment Required".
const PROVIDERS_OWN: [u16; 2] = [401, 402];
/// The statuses that may be tried again unless the settings name others: "Too Many Requests" and "Service Unavailable".
const RETRIED: [u16; 2] = [429, 503];

/// How an answer is read. The pointers are JSON pointers (RFC 6901).
#[derive(Debug, Clone)]
pub(super) struct Reading {
    /// The statuses that mean accepted; None stands for all from 200 to 299.
    accepted_status: Option<Vec<u16>>,
    /// Where the answer tells whether it accepts, and the values that say so.
    accepted: Option<(String, Vec<Value>)>,
    message_id: Option<String>,
    /// The places of the code and the words, the likeliest first: an API may refuse in more than one form.
    error_code: Vec<String>,
    error_message: Vec<String>,
    retry_status: Vec<u16>,
}

impl Reading {
    pub(super) fn read(table: &Table<'_>) -> Result<Self, TableError> {
        let pointers = |key| read_pointers(table, key);
        let statuses = |key, range| {
            let numbers = table.integers(key, range)?;
            let status = |number: i64| u16::try_from(number).ok();
            Ok(numbers.map(|numbers| numbers.into_iter().filter_map(status).collect()))
        };
        let accepted_status = statuses("accepted_status", 200..=299)?;
        let accepted_values = read_values(table, "accepted_value")?;
        let accepted_pointer = table.parsed("accepted_pointer", checked_pointer)?;
        let accepted_values = not_empty(table, "accepted_value", accepted_values)?;
        let accepted = match (accepted_pointer, accepted_values) {
            (Some(pointer), Some(values)) => Ok(Some((pointer, values))),
            (None, None) => Ok(None),
            (Some(_), None) => Err(table.missing("accepted_value")),
            (None, Some(_)) => Err(table.missing("accepted_pointer")),
        };
        let keys = ["accepted_pointer", "accepted_value"];
        let accepted = table.unless_told(&keys, accepted, None)?;
        Ok(Self {
            accepted_status: not_empty(table, "accepted_status", accepted_status)?,
            accepted,
            message_id: table.parsed("message_id_pointer", checked_pointer)?,
            error_code: pointers("error_code_pointer")?,
            error_message: pointers("error_message_pointer")?,
            retry_status: statuses("retry_status", 400..=599)?.unwrap_or(RETRIED.to_vec()),
        })
    }

    pub(super) fn judge(&self, answer: &HttpAnswer) -> Result<Accepted, AttemptError> {
        let json = answer.body.as_ref().ok().and_then(|body| serde_json::from_slice(body).ok());
        let refusal = || self.refusal(answer, json.as_ref());
        match answer.status {
            status if self.retry_status.contains(&status) => Err(answer.throttled(refusal())),
            status if self.accepts(status) => self.judge_accepted(answer, json.as_ref()),
            200..=299 => Err(answer.not_understood("accepted_status does not name this status")),
            300..=399 => Err(answer.redirect()),
            400..=499 => Err(AttemptError::Final(refusal())),
            _ if at(&self.error_message, json.as_ref()).is_some() => {
                let unknown = SmsErrorKind::Unknown;
                Err(AttemptError::Final(SmsError { kind: unknown, ..refusal() }))
            }
            _ => Err(answer.not_understood("an error of the provider's own")),
        }
    }

    fn accepts(&self, status: u16) -> bool {
        match &self.accepted_status {
            Some(statuses) => statuses.contains(&status),
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
            let told = json.and_then(|json| json.pointer(pointer));
            let told = told.ok_or_else(|| {
                answer.not_understood("it is no JSON that holds what accepted_pointer names")
            })?;
            if !values.iter().any(|value| is_of_same_kind(value, told)) {
                return Err(answer.not_understood(
                    "what accepted_pointer finds is of another kind than accepted_value",
                ));
            }
            if !values.iter().any(|value| is_same(value, told)) {
                return Err(AttemptError::Final(self.refusal(answer, json)));
            }
        }
        let id = at(self.message_id.as_slice(), json);
        // Where nothing else says that the message was accepted, its id does.
        if id.is_none() && self.message_id.is_some() && self.accepted.is_none() {
            return Err(answer.not_understood("it has no message id at message_id_pointer"));
        }
        Ok(Accepted { message_id: id, ..Accepted::default() })
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

/// Returns whether both values have the same JSON type. Where they don't, the settings may be wrong, and the SMS accepted though
/// it looks refused.
fn is_of_same_kind(value: &Value, told: &Value) -> bool {
    std::mem::discriminant(value) == std::mem::discriminant(told)
}

/// Returns whether two values are the same; a number may be written as 1 and as 1.0.
fn is_same(value: &Value, told: &Value) -> bool {
    let number = value.as_f64();
    value == told || number.is_some() && number == told.as_f64()
}

/// Returns the first text with words, or number, that `pointers` lead to.
fn at(pointers: &[String], json: Option<&Value>) -> Option<String> {
    pointers.iter().find_map(|pointer| match json?.pointer(pointer)? {
        Value::String(text) => Some(words(text)).filter(|words| !words.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    })
}

/// Checks that `text` is a JSON pointer to something inside the answer.
fn checked_pointer(text: &str) -> Result<String, &'static str> {
    if !text.starts_with('/') {
        Err("must be a JSON pointer, such as /messages/0/id")
    } else if text.split('~').skip(1).any(|escape| !escape.starts_with(['0', '1'])) {
        Err("has a `~` that is no escape: a JSON pointer has ~0 for `~` and ~1 for `/`")
    } else {
        Ok(text.to_owned())
    }
}

/// Reads a JSON pointer, or the pointers of a list.
fn read_pointers(table: &Table<'_>, key: &str) -> Result<Vec<String>, TableError> {
    let pointer = |value: Value| {
        let text = value.as_str().ok_or("must be a JSON pointer, or a list of them")?;
        checked_pointer(text)
    };
    let pointers = read_values(table, key)?.unwrap_or_default().into_iter().map(pointer);
    pointers.collect::<Result<_, _>>().map_err(|problem| table.error(key, problem))
}

/// Refuses an empty list of what means accepted: every message would be paid for and none counted as sent.
fn not_empty<T>(
    table: &Table<'_>,
    key: &str,
    list: Option<Vec<T>>,
) -> Result<Option<Vec<T>>, TableError> {
    match list {
        Some(list) if list.is_empty() => Err(table.error(key, "must not be an empty list")),
        list => Ok(list),
    }
}

/// Reads a value, or the values of a list.
fn read_values(table: &Table<'_>, key: &str) -> Result<Option<Vec<Value>>, TableError> {
    let value = |tree| match tree {
        Tree::Text(text) => Ok(Value::String(text)),
        Tree::Plain(value) => Ok(value),
        _ => Err(table.error(key, "must be a text, a number, true or false, or a list of them")),
    };
    let values = table.tree(key, &[])?.map(|tree| match tree {
        Tree::List(items) => items.into_iter().map(value).collect(),
        single => value(single).map(|value| vec![value]),
    });
    values.transpose()
}
