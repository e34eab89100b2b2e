//! Twilio's Programmable Messaging: `POST …/Accounts/{sid}/Messages.json`.
//!
//! Source: Twilio's "Messages resource" (https://www.twilio.com/docs/messaging/api/message-resource) and "Twilio API
//! responses" (https://www.twilio.com/docs/usage/twilios-response).

use reqwest::Url;
use secrecy::SecretString;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::answer::{AttemptError, HttpAnswer};
use super::examination::{AccountState, Balance, Examiner, Finding, SenderState, was_not_reached};
use super::http::{BasicAuth, Http, joined};
use super::{Accepted, Attempted, Caller, ConnectError, Sms, SmsError, SmsErrorKind};
use crate::model::{DeliveryOutcome, DeliveryState, words};
use crate::settings_table::{Table, TableError};
use crate::system::secret::Secret;

/// The most characters of a `Body` ("Messages resource").
pub(super) const MAX_BODY_LENGTH: usize = 1600;

const BASE_URL: &str = "https://api.twilio.com";

/// The refusals whose reason is the account ("Error and Warning Dictionary"): 20003 is a failed authentication, 21606 a
/// sender that can't send to this number.
const PROVIDERS_OWN: [i64; 2] = [20003, 21606];

/// What a live backend needs to know.
#[derive(Debug, Clone)]
pub struct Options {
    sid: String,
    user: String,
    password: (&'static str, Secret),
    sender: Sender,
    pub(super) base_url: Url,
}

#[derive(Debug, Clone)]
enum Sender {
    From(String),
    MessagingService(String),
}

/// The keys as they stand in the settings; a sandbox takes them incomplete.
pub(super) struct Draft {
    sid: Option<String>,
    secret: Option<Secret>,
    api_key_sid: Option<String>,
    api_key_secret: Option<Secret>,
    from: Option<String>,
    messaging_service_sid: Option<String>,
}

impl Draft {
    pub(super) fn read(table: &Table<'_>) -> Result<Self, TableError> {
        let text = |key| Ok(table.text(key)?.map(str::to_owned));
        Ok(Self {
            sid: text("sid")?,
            secret: table.secret("secret")?,
            api_key_sid: text("api_key_sid")?,
            api_key_secret: table.secret("api_key_secret")?,
            from: text("from")?,
            messaging_service_sid: text("messaging_service_sid")?,
        })
    }

    pub(super) fn complete(
        self,
        table: &Table<'_>,
        base_url: Option<Url>,
    ) -> Result<Options, TableError> {
        let sid = table.required("sid", self.sid, "")?;
        let credentials = match (self.secret, self.api_key_sid, self.api_key_secret) {
            (Some(secret), None, None) => Ok((sid.clone(), ("secret", secret))),
            (None, Some(user), Some(secret)) => Ok((user, ("api_key_secret", secret))),
            (None, Some(_), None) => Err(table.missing("api_key_secret")),
            (None, None, Some(_)) => Err(table.missing("api_key_sid")),
            (None, None, None) => {
                Err(table.error("secret", "is missing (or api_key_sid and api_key_secret)"))
            }
            (Some(_), _, _) => {
                Err(table.error("secret", "can't stand beside an API key: keep one of the two"))
            }
        };
        let keys = ["secret", "api_key_sid", "api_key_secret"];
        let stand_in = (String::new(), ("secret", Secret::Literal("".into())));
        let (user, password) = table.unless_told(&keys, credentials, stand_in)?;
        let sender = match (self.from, self.messaging_service_sid) {
            (Some(from), None) => Ok(Sender::From(from)),
            (None, Some(sid)) => Ok(Sender::MessagingService(sid)),
            (None, None) => Err(table.error("from", "is missing (or messaging_service_sid)")),
            (Some(_), Some(_)) => Err(table
                .error("from", "can't stand beside messaging_service_sid: keep one of the two")),
        };
        let keys = ["from", "messaging_service_sid"];
        let sender = table.unless_told(&keys, sender, Sender::From(String::new()))?;
        let base_url = base_url.unwrap_or_else(|| Url::parse(BASE_URL).expect("a constant URL"));
        Ok(Options { sid, user, password, sender, base_url })
    }
}

/// A Twilio account that is ready to send.
pub(super) struct Twilio {
    http: Http,
    caller: Caller,
    sid: String,
    account_url: Url,
    messages_url: Url,
    auth: BasicAuth,
    sender: Sender,
}

impl Twilio {
    pub(super) fn connect(
        options: &Options,
        http: Http,
        caller: Caller,
    ) -> Result<Self, ConnectError> {
        let (key, secret) = &options.password;
        let password = secret.reveal().map_err(|source| ConnectError::secret(key, source))?;
        let account_url = joined(&options.base_url, &["2010-04-01", "Accounts", &options.sid]);
        Ok(Self {
            http,
            caller,
            messages_url: joined(&account_url, &["Messages.json"]),
            account_url,
            sid: options.sid.clone(),
            auth: BasicAuth { user: options.user.clone(), password },
            sender: options.sender.clone(),
        })
    }

    /// Returns what must never be shown: the password, and the header that holds it.
    pub(super) fn secrets(&self) -> Vec<SecretString> {
        vec![self.auth.password.clone(), self.auth.header()]
    }

    pub(super) async fn send(&self, sms: &Sms<'_>) -> Attempted {
        let sender = match &self.sender {
            Sender::From(from) => ("From", from.as_str()),
            Sender::MessagingService(sid) => ("MessagingServiceSid", sid.as_str()),
        };
        let form = [("To", sms.phone_number.as_str()), sender, ("Body", sms.text)];
        self.caller
            .call(async || {
                let request = self.auth.apply(self.http.post(&self.messages_url, &form));
                judge(&self.http.attempt(request).await?)
            })
            .await
    }

    /// Asks for the account, its number that sends, and its balance.
    pub(super) async fn examine(&self) -> Vec<Finding> {
        let examiner = Examiner::new(&self.http, &self.caller, &self.account_url);
        let mut url = self.account_url.clone();
        url.set_path(&[url.path(), ".json"].concat());
        let account = self.ask::<Account>(&examiner, &url).await;
        let mut findings = Vec::from(examiner.reached(&account).await);
        if !account.as_ref().is_err_and(was_not_reached) {
            findings.extend(self.examine_account(&examiner, account).await);
            findings.push(examiner.clock());
        }
        findings
    }

    async fn examine_account(
        &self,
        examiner: &Examiner<'_>,
        account: Result<Account, SmsError>,
    ) -> Vec<Finding> {
        let has_api_key = self.auth.user != self.sid;
        let credentials = match account.map(AccountState::from) {
            Err(error) if !has_api_key => return vec![Finding::Credentials(Err(error))],
            credentials => credentials,
        };
        let (sender, state) = self.examine_sender(examiner).await;
        let url = joined(&self.account_url, &["Balance.json"]);
        let balance = self.ask::<AccountBalance>(examiner, &url).await;
        // Of API keys only a main one may ask for the account ("API keys overview"); what another one may ask tells as well.
        let is_accepted =
            balance.is_ok() || state.as_ref().is_ok_and(|state| *state != SenderState::NotTold);
        match credentials {
            Err(error) if !is_accepted => vec![Finding::Credentials(Err(error))],
            credentials => vec![
                Finding::Credentials(credentials.or(Ok(AccountState::Active))),
                Finding::Sender { sender, state },
                Finding::Balance(balance.map(|AccountBalance { balance: amount, currency }| {
                    Balance { amount, currency }
                })),
            ],
        }
    }

    /// Asks whether the sender is a number of the account that can send SMS. Other senders are told of nowhere.
    async fn examine_sender(
        &self,
        examiner: &Examiner<'_>,
    ) -> (String, Result<SenderState, SmsError>) {
        let number = match &self.sender {
            Sender::From(from) if from.starts_with('+') => from,
            Sender::From(other) | Sender::MessagingService(other) => {
                return (other.clone(), Ok(SenderState::NotTold));
            }
        };
        let mut url = joined(&self.account_url, &["IncomingPhoneNumbers.json"]);
        url.query_pairs_mut().append_pair("PhoneNumber", number);
        let numbers = self.ask::<IncomingPhoneNumbers>(examiner, &url).await;
        let state = numbers.map(|IncomingPhoneNumbers { incoming_phone_numbers }| {
            // A part of a number finds it too.
            let found = incoming_phone_numbers.iter().find(|found| found.phone_number == *number);
            match found.map(|found| found.capabilities.sms) {
                Some(true) => SenderState::CanSend,
                Some(false) => SenderState::NoSms,
                None => SenderState::NotFound,
            }
        });
        (number.clone(), state)
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        examiner: &Examiner<'_>,
        url: &Url,
    ) -> Result<T, SmsError> {
        examiner.ask(|| self.auth.apply(self.http.get(url)), judge_refusal).await
    }

    /// Asks what became of a message: `GET …/Messages/{sid}.json`, again until `latest` where there is such a moment.
    pub(super) async fn delivery_status(
        &self,
        message_id: &str,
        latest: Option<Instant>,
    ) -> Result<DeliveryOutcome, SmsError> {
        let url = joined(&self.account_url, &["Messages", &format!("{message_id}.json")]);
        let attempt = async || {
            let request = self.auth.apply(self.http.get(&url));
            judge_status(&self.http.attempt(request).await?)
        };
        self.caller.call_until(latest, attempt).await.result
    }
}

/// A message that was accepted, of which only the id matters.
#[derive(Deserialize)]
struct AcceptedMessage {
    sid: Option<String>,
}

/// What became of a message.
#[derive(Deserialize)]
struct MessageStatus {
    status: Option<String>,
    error_code: Option<i64>,
    error_message: Option<String>,
}

/// An account ("Accounts", https://www.twilio.com/docs/usage/api/account).
#[derive(Deserialize)]
struct Account {
    status: String,
    r#type: Option<String>,
}

impl From<Account> for AccountState {
    fn from(account: Account) -> Self {
        match (account.status.as_str(), account.r#type.as_deref()) {
            ("active", Some("Trial")) => Self::Trial,
            ("active", _) => Self::Active,
            _ => Self::Closed(account.status),
        }
    }
}

/// What an account has left ("Balance", https://www.twilio.com/docs/usage/api/balance).
#[derive(Deserialize)]
struct AccountBalance {
    balance: String,
    currency: String,
}

/// Numbers of an account ("IncomingPhoneNumber resource",
/// https://www.twilio.com/docs/phone-numbers/api/incomingphonenumber-resource).
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

/// An error: `{"code","message","more_info","status"}`.
#[derive(Deserialize)]
struct Refusal {
    code: Option<i64>,
    message: Option<String>,
    more_info: Option<String>,
}

impl Refusal {
    fn told_by(&self, answer: &HttpAnswer) -> SmsError {
        let code = self.code.map(|code| code.to_string());
        let mut error = answer.refused(code.as_deref(), self.message.as_deref());
        error.more_info = self.more_info.as_deref().map(words);
        error.is_providers_own = self.code.is_some_and(|code| PROVIDERS_OWN.contains(&code));
        error
    }
}

fn judge(answer: &HttpAnswer) -> Result<Accepted, AttemptError> {
    match answer.status {
        201 => match answer.json::<AcceptedMessage>()?.sid.as_deref().map(words) {
            Some(sid) if !sid.is_empty() => {
                Ok(Accepted { message_id: Some(sid), ..Accepted::default() })
            }
            _ => Err(answer.not_understood("it names no sid")),
        },
        200..=299 => Err(answer.not_understood("only 201 means that a message was accepted")),
        _ => Err(judge_refusal(answer)),
    }
}

/// Judges an answer that is not the one that was asked for.
fn judge_refusal(answer: &HttpAnswer) -> AttemptError {
    match answer.status {
        // Beside these the provider's words tell more than the status, where there are any.
        429 | 503 if let Some(refusal) = answer.told::<Refusal>() => {
            answer.throttled(refusal.told_by(answer))
        }
        500.. if let Some(refusal) = answer.told::<Refusal>() => {
            let error = SmsError { kind: SmsErrorKind::Unknown, ..refusal.told_by(answer) };
            AttemptError::Final(SmsError { is_providers_own: false, ..error })
        }
        _ => match answer.json::<Refusal>() {
            Ok(refusal) => AttemptError::Final(refusal.told_by(answer)),
            Err(error) => error,
        },
    }
}

/// Judges the answer to the question what became of a message. The statuses are those of "Messages resource", "Message
/// Status values".
fn judge_status(answer: &HttpAnswer) -> Result<DeliveryOutcome, AttemptError> {
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
