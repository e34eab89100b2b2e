//! Twilio's Programmable Messaging: `POST …/Accounts/{sid}/Messages.json`.
//!
//! Source: Twilio's "Messages resource" (<https://www.twilio.com/docs/messaging/api/message-resource>) and "Twilio API
//! responses" (<https://www.twilio.com/docs/usage/twilios-response>).

use std::sync::Arc;

use reqwest::{Method, Url};
use secrecy::SecretString;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::answer::{
    BodyMeaning, HttpAnswer, Object, RefusalDetails, StatusMeaning, THROTTLED, text,
};
use super::checking::{
    accepted_credentials, balance, reached, refused_account, unchecked_sender, words_and_code,
};
use super::codes::Codes;
use super::console::Console;
use super::http::{BaseUrl, basic_credentials, joined};
use super::provider::{Attempt, Connection, Kind, Provider, Question, SANDBOX_QUESTIONS};
use super::sms::{Accepted, Sms, SmsError};
use crate::document::Section;
use crate::model::values::Text;
use crate::model::{Check, CheckStatus, DeliveryOutcome, DeliveryState, SecurityCode, words};
use crate::system::secret::{Secret, SecretError};

pub(super) const KINDS: &[Kind] = &[
    Kind {
        names: &["twilio", "phone_verify.backends.twilio.TwilioBackend"],
        summary: "Twilio",
        questions: &[
            Question::text("sid", "Account SID (AC…)"),
            Question::secret("secret", "Auth token"),
            Question::text("from", "Sender: a number or name, or a messaging service (MG…)")
                .or("MG", "messaging_service_sid"),
        ],
        codes: Some(&CODES),
        read: |options| read(options, false),
    },
    Kind {
        names: &["twilio-sandbox", "phone_verify.backends.twilio.TwilioSandboxBackend"],
        summary: "Twilio's settings; shows each SMS instead of sending it",
        questions: SANDBOX_QUESTIONS,
        codes: Some(&CODES),
        read: |options| read(options, true),
    },
];

/// The most characters of a `Body` ("Messages resource").
const MAX_BODY_LENGTH: usize = 1600;

const BASE_URL: &str = "https://api.twilio.com";

/// Its codes, of refusals and of deliveries.
pub(super) static CODES: Codes = Codes::new(include_str!("codes/twilio.toml"));

/// What the settings may say. A sandbox takes its live provider's keys and the other way round, so that only `backend` changes
/// between test and live.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
struct Keys {
    sid: Option<Text>,
    secret: Option<Secret>,
    api_key_sid: Option<Text>,
    api_key_secret: Option<Secret>,
    from: Option<Text>,
    messaging_service_sid: Option<Text>,
    base_url: Option<BaseUrl>,
    sandbox_token: Option<SecurityCode>,
}

/// A Twilio account.
#[derive(Debug)]
struct Twilio {
    sid: Text,
    /// The account, or the API key.
    user: Text,
    password: Secret,
    /// The sender, and the field of a request that holds it.
    sender: (&'static str, Text),
    base_url: Url,
}

fn read(options: &mut Section<'_, '_>, is_sandbox: bool) -> Option<Arc<dyn Provider>> {
    let keys: Keys = options.read();
    let secret = options.secret("secret", keys.secret);
    let api_key_secret = options.secret("api_key_secret", keys.api_key_secret);
    if is_sandbox {
        let sandbox_token = Some(options.required("sandbox_token", keys.sandbox_token)?);
        return Some(Arc::new(Console {
            sandbox_token,
            max_message_length: Some(MAX_BODY_LENGTH),
        }));
    }
    let sid = options.required("sid", keys.sid);
    const AUTH: [&str; 3] = ["secret", "api_key_sid", "api_key_secret"];
    let credentials = match (secret, keys.api_key_sid, api_key_secret) {
        (Some(secret), None, None) => Ok((sid.clone(), secret)),
        (None, Some(user), Some(secret)) => Ok((Some(user), secret)),
        (None, Some(_), None) => Err((["api_key_secret", "secret", "api_key_sid"], "is missing")),
        (None, None, Some(_)) => Err((["api_key_sid", "secret", "api_key_secret"], "is missing")),
        (None, None, None) => Err((AUTH, "is missing (or api_key_sid and api_key_secret)")),
        (Some(_), _, _) => {
            Err((AUTH, "can't be used together with an API key: keep one of the two"))
        }
    };
    let sender = match (keys.from, keys.messaging_service_sid) {
        (Some(from), None) => Ok(("From", from)),
        (None, Some(sid)) => Ok(("MessagingServiceSid", sid)),
        (None, None) => Err("is missing (or messaging_service_sid)"),
        (Some(_), Some(_)) => {
            Err("can't be used together with messaging_service_sid: keep one of the two")
        }
    };
    let credentials = credentials.map_err(|(keys, what)| options.error(&keys, what));
    let sender = options.checked(&["from", "messaging_service_sid"], sender)?;
    let (user, password) = credentials.ok()?;
    let base_url = BaseUrl::or(keys.base_url, BASE_URL);
    Some(Arc::new(Twilio { sid: sid?, user: user?, password, sender, base_url }))
}

impl Twilio {
    /// Returns the address of a resource of the account.
    fn resource(&self, path: &[&str]) -> Url {
        joined(&self.base_url, &[&["2010-04-01", "Accounts"], path].concat())
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        connection: &Connection,
        check: &str,
        url: Url,
    ) -> Result<T, SmsError> {
        connection.ask(check, &url, (&self.user, &self.password), judge_refusal).await
    }

    /// Asks whether the sender is a number of the account that can send SMS. None if that isn't known: of other senders the API
    /// says nothing.
    async fn check_sender(&self, connection: &Connection) -> Option<Check> {
        const CHECK: &str = "sender";
        const OWN_NUMBER: &str = "name a number of the account that can send SMS";
        let (field, number) = &self.sender;
        if *field != "From" || !number.starts_with('+') {
            return None;
        }
        let mut url = self.resource(&[&self.sid, "IncomingPhoneNumbers.json"]);
        url.query_pairs_mut().append_pair("PhoneNumber", number);
        let numbers = self.ask::<IncomingPhoneNumbers>(connection, CHECK, url).await;
        // A part of a number finds it too.
        let state = numbers.map(|numbers| {
            let mut numbers = numbers.incoming_phone_numbers.into_iter();
            numbers.find(|found| found.phone_number == **number)
        });
        let number = &**number;
        Some(match state.map(|found| found.map(|found| found.capabilities.sms)) {
            Ok(Some(true)) => Check::ok(CHECK, format!("{number} can send SMS")),
            Ok(Some(false)) => {
                Check::failure(CHECK, format!("{number} can't send SMS"), OWN_NUMBER)
            }
            Ok(None) => {
                Check::failure(CHECK, format!("{number} isn't a number of the account"), OWN_NUMBER)
            }
            Err(error) => {
                let message = format!(
                    "the provider doesn't say whether {number} can send: {}",
                    words_and_code(&error)
                );
                Check::warning(CHECK, message, "look at the provider's console")
            }
        })
    }
}

impl Provider for Twilio {
    fn send<'a>(&'a self, connection: &'a Connection, sms: &'a Sms<'_>) -> Attempt<'a, Accepted> {
        Box::pin(async {
            let (field, sender) = &self.sender;
            let form = [("To", sms.phone_number.as_str()), (field, sender), ("Body", sms.text)];
            let http = connection.http();
            let url = self.resource(&[&self.sid, "Messages.json"]);
            let request = http.request(Method::POST, url).form(&form);
            let request = request.basic_auth(&*self.user, Some(self.password.expose()));
            judge(&http.attempt(request).await?)
        })
    }

    fn sender(&self) -> Option<&str> {
        Some(&self.sender.1)
    }

    fn url(&self) -> Option<&Url> {
        Some(&self.base_url)
    }

    fn max_message_length(&self) -> Option<usize> {
        Some(MAX_BODY_LENGTH)
    }

    fn derived_secrets(&self) -> Result<Vec<SecretString>, (String, SecretError)> {
        Ok(vec![basic_credentials(&self.user, &self.password)])
    }

    fn delivery_status<'a>(
        &'a self,
        connection: &'a Connection,
        message_id: &'a str,
    ) -> Option<Attempt<'a, DeliveryOutcome>> {
        let ask = async move {
            let http = connection.http();
            let url = self.resource(&[&self.sid, "Messages", &format!("{message_id}.json")]);
            let request = http.get(&url, &self.user, &self.password);
            judge_status(&http.attempt(request).await?)
        };
        Some(Box::pin(ask))
    }

    /// Asks for the account, its number that sends, and its balance.
    fn check<'a>(&'a self, connection: &'a Connection) -> Attempt<'a, Vec<Check>> {
        Box::pin(async {
            let account_url = self.resource(&[&format!("{}.json", &*self.sid)]);
            let account =
                reached(self.ask::<Account>(connection, "credentials", account_url).await)?;
            // Of API keys only a main one may ask for the account ("API keys overview"); what another one may ask counts too.
            if let Err(error) = &account
                && self.user == self.sid
            {
                return Ok(vec![refused_account(error)]);
            }
            let sender = self.check_sender(connection).await;
            let url = self.resource(&[&self.sid, "Balance.json"]);
            let left = self.ask::<Balance>(connection, "balance", url).await;
            let is_answer = |check: &Check| check.status != CheckStatus::Warning;
            let credentials = match account {
                Ok(account) => account.check(),
                Err(_) if left.is_ok() || sender.as_ref().is_some_and(is_answer) => {
                    accepted_credentials()
                }
                Err(error) => return Ok(vec![refused_account(&error)]),
            };
            let sender = sender.unwrap_or_else(|| unchecked_sender(&self.sender.1));
            let balance = balance(left.map(|left| (left.balance, left.currency)));
            Ok(vec![credentials, sender, balance])
        })
    }
}

/// The state of a message.
#[derive(Deserialize)]
struct MessageStatus {
    status: Option<String>,
    error_code: Option<i64>,
    error_message: Option<String>,
}

/// An account ("Accounts", <https://www.twilio.com/docs/usage/api/account>).
#[derive(Deserialize)]
struct Account {
    status: String,
    r#type: Option<String>,
}

impl Account {
    fn check(self) -> Check {
        const CHECK: &str = "credentials";
        match (self.status.as_str(), self.r#type.as_deref()) {
            ("active", Some("Trial")) => Check::warning(
                CHECK,
                "a trial account: it sends only to numbers that its owner has verified",
                "upgrade the account with the provider",
            ),
            ("active", _) => accepted_credentials(),
            (state, _) => Check::failure(
                CHECK,
                format!("the account can't send: it is {state}"),
                "ask the provider why; an account without balance is suspended",
            ),
        }
    }
}

/// What an account has left ("Balance", <https://www.twilio.com/docs/usage/api/balance>).
#[derive(Deserialize)]
struct Balance {
    balance: String,
    currency: String,
}

/// Numbers of an account ("IncomingPhoneNumber resource",
/// <https://www.twilio.com/docs/phone-numbers/api/incomingphonenumber-resource>).
#[derive(Deserialize)]
struct IncomingPhoneNumbers {
    incoming_phone_numbers: Vec<IncomingPhoneNumber>,
}

#[derive(Deserialize)]
struct IncomingPhoneNumber {
    phone_number: String,
    capabilities: Capabilities,
}

#[derive(Deserialize)]
struct Capabilities {
    sms: bool,
}

/// The answer to an SMS: the message that was accepted, of which only the id matters, or an error,
/// `{"code","message","more_info","status"}`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Answer {
    #[serde(deserialize_with = "text")]
    sid: Option<String>,
    code: Value,
    #[serde(deserialize_with = "text")]
    message: Option<String>,
    #[serde(deserialize_with = "text")]
    more_info: Option<String>,
}

impl Answer {
    fn body_meaning(&self) -> BodyMeaning {
        match self.sid.as_deref().map(words).filter(|sid| !sid.is_empty()) {
            Some(sid) if self.code.is_null() => BodyMeaning::Accepted(Accepted::with_id(Some(sid))),
            Some(_) => {
                BodyMeaning::Unclear("it has both the sid of a message and the code of an error")
            }
            None => BodyMeaning::Silent("it isn't a message with a sid"),
        }
    }

    fn refusal(self) -> RefusalDetails {
        let Self { code, message, more_info, .. } = self;
        let code = match code {
            Value::Number(code) => Some(code.to_string()),
            Value::String(code) => Some(words(&code)).filter(|code| !code.is_empty()),
            _ => None,
        };
        let is_providers_own = code.as_deref().and_then(|code| CODES.is_providers_own(code));
        RefusalDetails { code, message, more_info, is_providers_own }
    }
}

pub(super) fn judge(answer: &HttpAnswer) -> Result<Accepted, SmsError> {
    let Object(body) = answer.json_if_any::<Object<Answer>>()?.unwrap_or_default();
    answer.judge(meaning(answer.status), body.body_meaning(), body.refusal())
}

fn meaning(status: u16) -> StatusMeaning {
    match status {
        201 => StatusMeaning::Accepted,
        _ if THROTTLED.contains(&status) => StatusMeaning::TryAgain,
        _ => StatusMeaning::of(status),
    }
}

/// Returns the error of an answer to a question that isn't the expected one.
fn judge_refusal(answer: &HttpAnswer) -> SmsError {
    let body = answer.json::<Answer>().unwrap_or_default();
    answer.refuse(meaning(answer.status), body.refusal())
}

/// Returns the state in an answer about a message. The statuses are those of "Messages resource", "Message
/// Status values".
fn judge_status(answer: &HttpAnswer) -> Result<DeliveryOutcome, SmsError> {
    if answer.status != 200 {
        return Err(judge_refusal(answer));
    }
    let message: MessageStatus = answer.json()?;
    let state = match message.status.as_deref() {
        Some("delivered" | "read" | "received") => DeliveryState::Delivered,
        Some("undelivered" | "failed" | "canceled") => DeliveryState::Undelivered,
        Some(_) => DeliveryState::Accepted,
        None => return Err(answer.not_understood("it names no status")),
    };
    Ok(DeliveryOutcome {
        state,
        message_id: None,
        error_code: message.error_code.map(|code| code.to_string()),
        error_message: message.error_message.as_deref().map(words),
    })
}

#[cfg(test)]
mod tests;
