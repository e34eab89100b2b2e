//! Vonage's SMS API, Nexmo by its former name: `POST …/sms/json`.
//!
//! Source: Vonage's "SMS API reference" (https://developer.vonage.com/en/api/sms) and "SMS API error codes"
//! (https://developer.vonage.com/en/messaging/sms/guides/troubleshooting-sms).

use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::answer::{Answer, AttemptError, Object, message_id};
use super::http::{Http, joined};
use super::{Accepted, Attempted, Caller, ConnectError, Sms, SmsError, SmsErrorKind};
use crate::model::is_gsm7;
use crate::secret::Secret;
use crate::settings_table::{Table, TableError};

const BASE_URL: &str = "https://rest.nexmo.com";

/// The status of a part that was accepted.
const ACCEPTED: &str = "0";
/// The statuses of a part that may be tried again: 1 is "Throttled", 10 "Too Many Existing Binds".
const RETRIED: [&str; 2] = ["1", "10"];
/// The refusals whose reason is the account: 4 is "Invalid Credentials", 9 "Partner Quota Violation", 15 "Illegal Sender
/// Address".
const PROVIDERS_OWN: [&str; 3] = ["4", "9", "15"];

/// What a live backend needs to know.
#[derive(Debug, Clone)]
pub struct Options {
    key: String,
    secret: Secret,
    from: String,
    pub(super) base_url: Url,
}

/// The keys as they stand in the settings; a sandbox takes them incomplete.
pub(super) struct Draft {
    key: Option<String>,
    secret: Option<Secret>,
    from: Option<String>,
}

impl Draft {
    pub(super) fn read(table: &Table<'_>) -> Result<Self, TableError> {
        let text = |key| Ok(table.text(key)?.map(str::to_owned));
        Ok(Self { key: text("key")?, secret: table.secret("secret")?, from: text("from")? })
    }

    pub(super) fn complete(
        self,
        table: &Table<'_>,
        base_url: Option<Url>,
    ) -> Result<Options, TableError> {
        Ok(Options {
            key: self.key.ok_or_else(|| table.missing("key"))?,
            secret: self.secret.ok_or_else(|| table.missing("secret"))?,
            from: self.from.ok_or_else(|| table.missing("from"))?,
            base_url: base_url.unwrap_or_else(|| Url::parse(BASE_URL).expect("a constant URL")),
        })
    }
}

/// A Vonage account that is ready to send.
pub(super) struct Nexmo {
    http: Http,
    caller: Caller,
    url: Url,
    key: String,
    secret: SecretString,
    from: String,
}

impl Nexmo {
    pub(super) fn connect(
        options: &Options,
        http: Http,
        caller: Caller,
    ) -> Result<Self, ConnectError> {
        let secret =
            options.secret.reveal().map_err(|source| ConnectError::secret("secret", source))?;
        Ok(Self {
            http,
            caller,
            url: joined(&options.base_url, &["sms", "json"]),
            key: options.key.clone(),
            secret,
            from: options.from.clone(),
        })
    }

    /// Returns what must never be shown.
    pub(super) fn secrets(&self) -> Vec<SecretString> {
        vec![self.secret.clone()]
    }

    pub(super) async fn send(&self, sms: &Sms<'_>) -> Attempted {
        let mut form = vec![
            ("api_key", self.key.as_str()),
            ("api_secret", self.secret.expose_secret()),
            ("from", &self.from),
            ("to", sms.phone_number.digits()),
            ("text", sms.text),
        ];
        if !is_gsm7(sms.text) {
            form.push(("type", "unicode"));
        }
        self.caller
            .call(async || judge(&self.http.attempt(self.http.post(&self.url, &form)).await?))
            .await
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

fn judge(answer: &Answer) -> Result<Accepted, AttemptError> {
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
        let message_id = first.message_id.as_deref().map(message_id).filter(|id| !id.is_empty());
        return Ok(Accepted { message_id, ..Accepted::default() });
    };
    let mut refusal = answer.refused(Some(&worst.status), worst.error_text.as_deref());
    refusal.is_providers_own = PROVIDERS_OWN.contains(&worst.status.as_str());
    if failed.len() < parts.len() {
        let message = format!(
            "{} of {} parts of the message were refused: {}",
            failed.len(),
            parts.len(),
            refusal.message
        );
        return Err(AttemptError::Final(SmsError {
            kind: SmsErrorKind::Unknown,
            message,
            is_providers_own: false,
            ..refusal
        }));
    }
    if RETRIED.contains(&worst.status.as_str()) {
        return Err(answer.throttled(refusal));
    }
    Err(AttemptError::Final(refusal))
}
