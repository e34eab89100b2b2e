//! Vonage's SMS API, Nexmo by its former name: `POST …/sms/json`.
//!
//! Source: Vonage's "SMS API reference" (<https://developer.vonage.com/en/api/sms>) and "SMS API error codes"
//! (<https://developer.vonage.com/en/messaging/sms/guides/troubleshooting-sms>).

use std::sync::Arc;

use reqwest::{Method, Url};
use secrecy::SecretString;
use serde::{Deserialize, Deserializer};
use serde_json::{Number, Value};

use super::answer::{
    BodyMeaning, HttpAnswer, Object, RefusalDetails, StatusMeaning, THROTTLED, text,
};
use super::checking::{accepted_credentials, balance, reached, refused_account, unchecked_sender};
use super::codes::Codes;
use super::console::Console;
use super::http::{BaseUrl, basic_credentials, joined};
use super::provider::{Attempt, Connection, Kind, Provider, Question, SANDBOX_QUESTIONS};
use super::sms::{Accepted, Sms, SmsError};
use crate::document::Section;
use crate::model::values::Text;
use crate::model::{Check, SecurityCode, is_gsm7, words};
use crate::system::secret::{Secret, SecretError};

pub(super) const KINDS: &[Kind] = &[
    Kind {
        names: &["nexmo", "vonage", "phone_verify.backends.nexmo.NexmoBackend"],
        summary: "Vonage, formerly Nexmo",
        questions: &[
            Question::text("key", "API key"),
            Question::secret("secret", "API secret"),
            Question::text("from", "Sender: a number or name"),
        ],
        codes: Some(&CODES),
        read: |options| read(options, false),
    },
    Kind {
        names: &[
            "nexmo-sandbox",
            "vonage-sandbox",
            "phone_verify.backends.nexmo.NexmoSandboxBackend",
        ],
        summary: "Vonage's settings; shows each SMS instead of sending it",
        questions: SANDBOX_QUESTIONS,
        codes: Some(&CODES),
        read: |options| read(options, true),
    },
];

const BASE_URL: &str = "https://rest.nexmo.com";

/// The status of a part that was accepted.
const ACCEPTED: &str = "0";
/// The statuses of a part that may be tried again: 1 is "Throttled", 10 "Too Many Existing Binds".
const RETRIED: [&str; 2] = ["1", "10"];
/// Its codes, of refusals and of deliveries.
pub(super) static CODES: Codes = Codes::new(include_str!("codes/nexmo.toml"));

/// What the settings may say. A sandbox takes its live provider's keys and the other way round, so that only `backend` changes
/// between test and live.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
struct Keys {
    key: Option<Text>,
    secret: Option<Secret>,
    from: Option<Text>,
    base_url: Option<BaseUrl>,
    sandbox_token: Option<SecurityCode>,
}

/// A Vonage account.
#[derive(Debug)]
struct Nexmo {
    key: Text,
    secret: Secret,
    from: Text,
    base_url: Url,
}

fn read(options: &mut Section<'_, '_>, is_sandbox: bool) -> Option<Arc<dyn Provider>> {
    let keys: Keys = options.read();
    let secret = options.secret("secret", keys.secret);
    if is_sandbox {
        let sandbox_token = Some(options.required("sandbox_token", keys.sandbox_token)?);
        return Some(Arc::new(Console { sandbox_token, max_message_length: None }));
    }
    let key = options.required("key", keys.key);
    let secret = options.required("secret", secret);
    let from = options.required("from", keys.from);
    let base_url = BaseUrl::or(keys.base_url, BASE_URL);
    Some(Arc::new(Nexmo { key: key?, secret: secret?, from: from?, base_url }))
}

impl Provider for Nexmo {
    fn send<'a>(&'a self, connection: &'a Connection, sms: &'a Sms<'_>) -> Attempt<'a, Accepted> {
        Box::pin(async {
            let mut form = vec![
                ("api_key", &*self.key),
                ("api_secret", self.secret.expose()),
                ("from", &self.from),
                ("to", sms.phone_number.digits()),
                ("text", sms.text),
            ];
            if !is_gsm7(sms.text) {
                form.push(("type", "unicode"));
            }
            let http = connection.http();
            let url = joined(&self.base_url, &["sms", "json"]);
            judge(&http.attempt(http.request(Method::POST, url).form(&form)).await?)
        })
    }

    fn url(&self) -> Option<&Url> {
        Some(&self.base_url)
    }

    fn derived_secrets(&self) -> Result<Vec<SecretString>, (String, SecretError)> {
        Ok(vec![basic_credentials(&self.key, &self.secret)])
    }

    /// Asks for the account's balance. The API says something about a sender only when it sends.
    fn check<'a>(&'a self, connection: &'a Connection) -> Attempt<'a, Vec<Check>> {
        Box::pin(async {
            // The documents also put the credentials into the query, but a proxy may log that.
            let url = joined(&self.base_url, &["account", "get-balance"]);
            let account = connection.ask::<Account>(
                "balance",
                &url,
                (&self.key, &self.secret),
                judge_refusal,
            );
            let account = reached(account.await)?;
            Ok(match account {
                Err(error) => vec![refused_account(&error)],
                Ok(Account { value }) => vec![
                    accepted_credentials(),
                    unchecked_sender(&self.from),
                    balance(Ok((value.to_string(), "EUR".to_owned()))),
                ],
            })
        })
    }
}

/// What an account has left, in EUR ("Account API", <https://developer.vonage.com/en/api/account>).
#[derive(Deserialize)]
struct Account {
    value: Number,
}

/// Why the balance is refused (the same).
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct AccountError {
    #[serde(deserialize_with = "text")]
    error_code: Option<String>,
    #[serde(deserialize_with = "text")]
    error_code_label: Option<String>,
}

fn judge_refusal(answer: &HttpAnswer) -> SmsError {
    let AccountError { error_code: code, error_code_label: message } =
        answer.json().unwrap_or_default();
    answer.refuse(
        meaning(answer.status),
        RefusalDetails { code, message, ..RefusalDetails::default() },
    )
}

/// The answer: one entry for each part that the message was split into.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Parts {
    messages: Vec<Object<Part>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Part {
    #[serde(deserialize_with = "status")]
    status: Option<String>,
    #[serde(deserialize_with = "text")]
    message_id: Option<String>,
    #[serde(deserialize_with = "text")]
    error_text: Option<String>,
}

/// Reads a status, a string or a number.
fn status<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(status) => Some(status),
        Value::Number(status) => Some(status.to_string()),
        _ => None,
    })
}

impl Part {
    /// Returns whether its status is a number as documented, without a sign or a zero in front.
    fn is_clear(&self) -> bool {
        self.status.as_ref().is_some_and(|status| {
            status == ACCEPTED || !status.starts_with(['0', '+']) && status.parse::<u64>().is_ok()
        })
    }

    fn is_accepted(&self) -> bool {
        self.status.as_deref() == Some(ACCEPTED)
    }

    fn is_retried(&self) -> bool {
        self.status.as_deref().is_some_and(|status| RETRIED.contains(&status))
    }
}

pub(super) fn judge(answer: &HttpAnswer) -> Result<Accepted, SmsError> {
    let Object(Parts { messages }) = answer.json_if_any()?.unwrap_or_default();
    let parts: Vec<Part> = messages.into_iter().map(|Object(part)| part).collect();
    let is_throttled = !parts.is_empty() && parts.iter().all(Part::is_retried);
    let meaning = match meaning(answer.status) {
        StatusMeaning::Accepted | StatusMeaning::Refused if is_throttled => StatusMeaning::TryAgain,
        meaning => meaning,
    };
    answer.judge(meaning, body_meaning(&parts), refusal(&parts))
}

fn meaning(status: u16) -> StatusMeaning {
    match status {
        200..=299 => StatusMeaning::Accepted,
        _ if THROTTLED.contains(&status) => StatusMeaning::TryAgain,
        _ => StatusMeaning::of(status),
    }
}

fn body_meaning(parts: &[Part]) -> BodyMeaning {
    let Some(first) = parts.first() else {
        return BodyMeaning::Silent("it isn't JSON with messages");
    };
    if !parts.iter().all(Part::is_clear) {
        return BodyMeaning::Unclear("a part has a status that isn't documented");
    }
    match parts.iter().filter(|part| part.is_accepted()).count() {
        0 => BodyMeaning::Refused("every part of the message was refused"),
        count if count == parts.len() => {
            BodyMeaning::Accepted(Accepted::with_id(first.message_id.as_deref().map(words)))
        }
        _ => BodyMeaning::Unclear("some parts of the message were refused"),
    }
}

/// Returns the refusal of the parts that weren't accepted, by the one that isn't just throttled, if there is one.
fn refusal(parts: &[Part]) -> RefusalDetails {
    let refused: Vec<_> = parts.iter().filter(|part| !part.is_accepted()).collect();
    let worst = refused.iter().find(|part| !part.is_retried()).or(refused.first());
    let Some(worst) = worst else { return RefusalDetails::default() };
    let (count, all) = (refused.len(), parts.len());
    let were = if count == 1 { "was" } else { "were" };
    let message = worst.error_text.as_ref().map(|text| match count {
        _ if count == all => text.clone(),
        _ => format!("{count} of {all} parts of the message {were} refused: {text}"),
    });
    let code = worst.status.clone();
    let is_providers_own = code.as_deref().and_then(|code| CODES.is_providers_own(code));
    RefusalDetails { code, message, more_info: None, is_providers_own }
}

#[cfg(test)]
mod tests;
