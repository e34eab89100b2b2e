//! Vonage's SMS API, Nexmo by its former name: `POST …/sms/json`.
//!
//! Source: Vonage's "SMS API reference" (https://developer.vonage.com/en/api/sms) and "SMS API error codes"
//! (https://developer.vonage.com/en/messaging/sms/guides/troubleshooting-sms).

use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::answer::{Answer, AttemptError, short};
use super::http::Http;
use super::{Accepted, ConnectError, Delivery, Sms, SmsError, SmsErrorKind};
use crate::clock::Clock;
use crate::model::is_gsm7;
use crate::secret::Secret;
use crate::settings_table::{Table, TableError};

const BASE_URL: &str = "https://rest.nexmo.com";

/// The status of a part that was accepted.
const ACCEPTED: &str = "0";
/// The statuses of a part that may be tried again: 1 is "Throttled", 10 "Too Many Existing Binds".
const RETRIED: [&str; 2] = ["1", "10"];

/// What a live backend needs to know.
#[derive(Debug, Clone)]
pub struct Options {
    key: String,
    secret: Secret,
    from: String,
    base_url: Url,
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
    url: Url,
    key: String,
    secret: SecretString,
    from: String,
}

impl Nexmo {
    pub(super) fn connect(
        options: &Options,
        delivery: &Delivery,
        clock: &Clock,
    ) -> Result<Self, ConnectError> {
        let secret = options
            .secret
            .reveal()
            .map_err(|source| ConnectError::Secret { key: "secret", source })?;
        Ok(Self {
            url: super::http::joined(&options.base_url, &["sms", "json"]),
            key: options.key.clone(),
            secret,
            from: options.from.clone(),
            http: Http::new(delivery, clock)?,
        })
    }

    /// Returns what must never be shown.
    pub(super) fn secrets(&self) -> Vec<SecretString> {
        vec![self.secret.clone()]
    }

    pub(super) async fn send(&self, sms: &Sms<'_>) -> Result<Accepted, SmsError> {
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
        self.http.post_form(&self.url, None, &form, judge).await
    }
}

/// The answer: one entry for each part that the message was split into.
#[derive(Deserialize)]
struct Parts {
    #[serde(default)]
    messages: Vec<Part>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Part {
    status: String,
    message_id: Option<String>,
    error_text: Option<String>,
}

fn judge(answer: &Answer) -> Result<Accepted, AttemptError> {
    let parts = answer.json::<Parts>()?.messages;
    let failed: Vec<_> = parts.iter().filter(|part| part.status != ACCEPTED).collect();
    let Some(first) = parts.first() else {
        return Err(answer.not_understood("it names no messages"));
    };
    let Some(worst) =
        failed.iter().find(|part| !RETRIED.contains(&part.status.as_str())).or(failed.first())
    else {
        let message_id = first.message_id.as_deref().map(short).filter(|id| !id.is_empty());
        return Ok(Accepted { message_id, ..Accepted::default() });
    };
    let refusal = answer.refused(Some(&worst.status), worst.error_text.as_deref());
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
            ..refusal
        }));
    }
    if RETRIED.contains(&worst.status.as_str()) {
        return Err(answer.throttled(refusal));
    }
    Err(AttemptError::Final(refusal))
}
