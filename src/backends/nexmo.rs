//! Vonage's SMS API, Nexmo by its former name: `POST …/sms/json`.
//!
//! Source: Vonage's "SMS API reference" (https://developer.vonage.com/en/api/sms) and "SMS API error codes"
//! (https://developer.vonage.com/en/messaging/sms/guides/troubleshooting-sms).

use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::answer::{AttemptError, HttpAnswer, Object};
use super::examination::{AccountState, Balance, Examiner, Finding, SenderState, was_not_reached};
use super::http::{BasicAuth, Http, joined};
use super::{Accepted, Attempted, Caller, ConnectError, Sms, SmsError, SmsErrorKind};
use crate::model::{is_gsm7, words};
use crate::settings_table::{Table, TableError};
use crate::system::secret::Secret;

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
            key: table.required("key", self.key, "")?,
            secret: table.required("secret", self.secret, Secret::Literal("".into()))?,
            from: table.required("from", self.from, "")?,
            base_url: base_url.unwrap_or_else(|| Url::parse(BASE_URL).expect("a constant URL")),
        })
    }
}

/// A Vonage account that is ready to send.
pub(super) struct Nexmo {
    http: Http,
    caller: Caller,
    url: Url,
    balance_url: Url,
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
            balance_url: joined(&options.base_url, &["account", "get-balance"]),
            key: options.key.clone(),
            secret,
            from: options.from.clone(),
        })
    }

    /// Returns what must never be shown: the secret, and the header that holds it.
    pub(super) fn secrets(&self) -> Vec<SecretString> {
        vec![self.secret.clone(), self.auth().header()]
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

    fn auth(&self) -> BasicAuth {
        BasicAuth { user: self.key.clone(), password: self.secret.clone() }
    }

    /// Asks for the account's balance. The API tells of a sender only when it sends.
    pub(super) async fn examine(&self) -> Vec<Finding> {
        let examiner = Examiner::new(&self.http, &self.caller, &self.balance_url);
        // The documents have the credentials in the query as well, where a proxy may log them.
        let auth = self.auth();
        let request = || auth.apply(self.http.get(&self.balance_url));
        let balance = examiner.ask::<AccountBalance>(request, judge_refusal).await;
        let mut findings = Vec::from(examiner.reached(&balance).await);
        match balance {
            Err(error) if was_not_reached(&error) => return findings,
            Err(error) => findings.push(Finding::Credentials(Err(error))),
            Ok(AccountBalance { value }) => {
                let (amount, currency) = (value.to_string(), "EUR".to_owned());
                findings.extend([
                    Finding::Credentials(Ok(AccountState::Active)),
                    Finding::Sender { sender: self.from.clone(), state: Ok(SenderState::NotTold) },
                    Finding::Balance(Ok(Balance { amount, currency })),
                ]);
            }
        }
        findings.push(examiner.clock());
        findings
    }
}

/// What an account has left, in EUR ("Account API", https://developer.vonage.com/en/api/account).
#[derive(Deserialize)]
struct AccountBalance {
    value: serde_json::Number,
}

/// Why the account is not told of (the same).
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct AccountError {
    error_code: Option<String>,
    error_code_label: Option<String>,
}

fn judge_refusal(answer: &HttpAnswer) -> AttemptError {
    match answer.json::<AccountError>() {
        Ok(AccountError { error_code, error_code_label }) => {
            AttemptError::Final(answer.refused(error_code.as_deref(), error_code_label.as_deref()))
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

fn judge(answer: &HttpAnswer) -> Result<Accepted, AttemptError> {
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
        let message_id = first.message_id.as_deref().map(words).filter(|id| !id.is_empty());
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
