//! Vonage's SMS API, Nexmo by its former name: `POST …/sms/json`.
//!
//! Source: Vonage's "SMS API reference" (<https://developer.vonage.com/en/api/sms>) and "SMS API error codes"
//! (<https://developer.vonage.com/en/messaging/sms/guides/troubleshooting-sms>).

use std::sync::Arc;

use reqwest::{Method, Url};
use secrecy::SecretString;
use serde::Deserialize;

use super::answer::{HttpAnswer, Object};
use super::checking::{
    accepted_credentials, balance, reached, refused_credentials, unchecked_sender,
};
use super::console::Console;
use super::http::{BaseUrl, basic_credentials, joined};
use super::provider::{Attempt, Connection, Kind, Provider};
use super::sms::{Accepted, Sms, SmsError, SmsErrorKind};
use crate::document::Section;
use crate::model::values::Text;
use crate::model::{Check, SecurityCode, is_gsm7, words};
use crate::system::secret::{Secret, SecretError};

pub(super) const KINDS: &[Kind] = &[
    Kind {
        names: &["nexmo", "vonage", "phone_verify.backends.nexmo.NexmoBackend"],
        read: |options| read(options, false),
    },
    Kind {
        names: &[
            "nexmo-sandbox",
            "vonage-sandbox",
            "phone_verify.backends.nexmo.NexmoSandboxBackend",
        ],
        read: |options| read(options, true),
    },
];

const BASE_URL: &str = "https://rest.nexmo.com";

/// The status of a part that was accepted.
const ACCEPTED: &str = "0";
/// The statuses of a part that may be tried again: 1 is "Throttled", 10 "Too Many Existing Binds".
const RETRIED: [&str; 2] = ["1", "10"];
/// The refusals whose reason is the account: 4 is "Invalid Credentials", 9 "Partner Quota Violation", 15 "Illegal Sender
/// Address".
const PROVIDERS_OWN: [&str; 3] = ["4", "9", "15"];

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
            let account = connection.ask::<Account>(&url, (&self.key, &self.secret), judge_refusal);
            let account = reached(account.await)?;
            Ok(match account {
                Err(error) => vec![refused_credentials(&error)],
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
    value: serde_json::Number,
}

/// Why the balance is refused (the same).
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct AccountError {
    error_code: Option<String>,
    error_code_label: Option<String>,
}

fn judge_refusal(answer: &HttpAnswer) -> SmsError {
    match answer.json::<AccountError>() {
        Ok(AccountError { error_code, error_code_label }) => {
            answer.refused(error_code.as_deref(), error_code_label.as_deref())
        }
        Err(error) => error,
    }
}

/// The answer: one entry for each part that the message was split into.
#[derive(Deserialize)]
struct Parts {
    #[serde(default)]
    messages: Vec<Object<Part>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Part {
    status: String,
    message_id: Option<String>,
    error_text: Option<String>,
}

fn judge(answer: &HttpAnswer) -> Result<Accepted, SmsError> {
    let Parts { messages } = answer.json()?;
    let parts: Vec<Part> = messages.into_iter().map(|Object(part)| part).collect();
    let failed: Vec<_> = parts.iter().filter(|part| part.status != ACCEPTED).collect();
    let Some(first) = parts.first() else {
        return Err(answer.not_understood("it names no messages"));
    };
    let Some(worst) =
        failed.iter().find(|part| !RETRIED.contains(&part.status.as_str())).or(failed.first())
    else {
        if !(200..=299).contains(&answer.status) {
            return Err(answer.not_understood("it calls a message accepted that it refuses"));
        }
        return Ok(Accepted::with_id(first.message_id.as_deref().map(words)));
    };
    let mut refusal = answer.refused(Some(&worst.status), worst.error_text.as_deref());
    refusal.is_providers_own = PROVIDERS_OWN.contains(&worst.status.as_str());
    let (count, all) = (failed.len(), parts.len());
    if count < all {
        let SmsError { code, message, .. } = refusal;
        let message = format!("{count} of {all} parts of the message were refused: {message}");
        return Err(SmsError::new(SmsErrorKind::Unknown, code, message));
    }
    let is_throttled = RETRIED.contains(&worst.status.as_str());
    Err(if is_throttled { answer.throttled(refusal) } else { refusal })
}
