//! The documents of Twilio and Nexmo (Vonage): what a request has to be, and the answer that accepts it. They are written down
//! independently of the program, so that one checks the other.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::apis::Api;
use super::connection::Request;
use super::log::Accepted;
use super::reply::MessageStatus;

/// The account in the settings for Twilio.
const ACCOUNT_SID: &str = "AC00000000000000000000000000000000";

/// The characters of GSM 03.38: the default alphabet and its extension table.
const GSM_03_38: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿\
    abcdefghijklmnopqrstuvwxyzäöñüà\u{c}^{}\\[~]|€";

/// The documents that requests are checked against.
pub(super) enum Documents {
    Twilio(TwilioAccount),
    Nexmo(NexmoAccount),
    Web,
    Api(Api),
    Proxy,
}

/// An account at Twilio.
#[derive(Clone, Debug)]
pub(crate) struct TwilioAccount {
    /// An API key that signs in for the account. Without one, the account's sid signs in.
    pub(crate) api_key_sid: Option<String>,
    /// The secret of the account or of the API key.
    pub(crate) secret: String,
    /// A messaging service that sends instead of a number.
    pub(crate) messaging_service_sid: Option<String>,
    /// The number that sends.
    pub(crate) from: String,
}

impl Default for TwilioAccount {
    fn default() -> Self {
        Self {
            api_key_sid: None,
            secret: "twilio-auth-token".to_owned(),
            messaging_service_sid: None,
            from: "+14755292729".to_owned(),
        }
    }
}

/// An account at Nexmo (Vonage).
#[derive(Clone, Debug)]
pub(crate) struct NexmoAccount {
    pub(crate) api_key: String,
    pub(crate) api_secret: String,
    /// The sender of the messages.
    pub(crate) from: String,
}

impl Default for NexmoAccount {
    fn default() -> Self {
        Self {
            api_key: "abcd1234".to_owned(),
            api_secret: "nexmo-api-secret".to_owned(),
            from: "AcmeInc".to_owned(),
        }
    }
}

impl Documents {
    /// Returns the backend's name and the options for the account.
    pub(super) fn settings(&self) -> (&'static str, String) {
        match self {
            Self::Twilio(account) => ("twilio", account.options()),
            Self::Nexmo(account) => {
                let NexmoAccount { api_key, api_secret, from } = account;
                let options =
                    format!("key = \"{api_key}\"\nsecret = \"{api_secret}\"\nfrom = \"{from}\"\n");
                ("nexmo", options)
            }
            Self::Api(_) => panic!("a test writes the settings of an API itself"),
            Self::Web | Self::Proxy => ("twilio", TwilioAccount::default().options()),
        }
    }

    /// Returns what is wrong with a request according to the documents.
    pub(super) fn violations(&self, request: &Request) -> Vec<String> {
        let mut check = Check(Vec::new());
        match self {
            Self::Twilio(account) if request.is_question() => {
                account.check_question(request, &mut check);
            }
            Self::Twilio(account) => account.check(request, &mut check),
            Self::Nexmo(account) if request.is_question() => {
                account.check_question(request, &mut check);
            }
            Self::Nexmo(account) => account.check(request, &mut check),
            Self::Web => {
                check.that(request.method == "HEAD", "method", &request.method);
                check.that(request.path == "/", "path", &request.path);
                check.header(request, "authorization", None);
            }
            Self::Api(api) => (api.check)(request, &mut check),
            Self::Proxy => check.that(request.method == "CONNECT", "method", &request.method),
        }
        check.0
    }

    /// Returns whether the request asks for something, instead of sending a message.
    pub(super) fn is_question(&self, request: &Request) -> bool {
        !matches!(self, Self::Api(_)) && request.is_question()
    }

    /// Returns the recipient, E.164.
    pub(super) fn phone_number(&self, request: &Request) -> String {
        match self {
            Self::Twilio(_) => request.field("To"),
            Self::Nexmo(_) => format!("+{}", request.field("to")),
            Self::Api(api) => (api.phone_number)(request),
            Self::Web | Self::Proxy => String::new(),
        }
    }

    /// Returns the message.
    pub(super) fn text(&self, request: &Request) -> String {
        match self {
            Self::Twilio(_) => request.field("Body"),
            Self::Api(api) => (api.text)(request),
            _ => request.field("text"),
        }
    }

    /// Returns the id of the message that was accepted as number `number`.
    pub(super) fn message_id(&self, number: usize) -> String {
        match self {
            Self::Twilio(_) => format!("SM{number:032x}"),
            Self::Api(_) => format!("{number:08x}-bfc7-4daf-9d06-726c558bf3b8"),
            _ => format!("0C{number:014X}"),
        }
    }

    /// Returns status, headers and body of the answer that accepts a message.
    pub(super) fn acceptance(
        &self,
        request: &Request,
        message_id: &str,
    ) -> (u16, Vec<(String, String)>, String) {
        let (status, body) = match self {
            Self::Twilio(account) => (201, account.acceptance(request, message_id)),
            Self::Api(api) => (api.acceptance)(message_id),
            _ => (200, nexmo_acceptance(request, message_id)),
        };
        json_answer(status, &body)
    }

    /// Returns status, headers and body of the answer to a question that isn't about a message.
    pub(super) fn resource(&self, request: &Request) -> (u16, Vec<(String, String)>, String) {
        match self {
            Self::Twilio(account) => json_answer(200, &account.resource_at(&request.path)),
            Self::Nexmo(_) => json_answer(200, &json!({"value": 10.28, "autoReload": false})),
            Self::Api(_) | Self::Web | Self::Proxy => (404, Vec::new(), String::new()),
        }
    }

    /// Returns status, headers and body of the answer to a question about `message`: its resource, or an error if it wasn't
    /// accepted.
    pub(super) fn message_resource(
        &self,
        request: &Request,
        message: Option<&Accepted>,
        status: &MessageStatus,
    ) -> (u16, Vec<(String, String)>, String) {
        match (self, message) {
            (Self::Twilio(account), Some(message)) => {
                json_answer(200, &account.resource(message, status))
            }
            _ => {
                let words = format!("The requested resource {} was not found", request.path);
                let more_info = "https://www.twilio.com/docs/errors/20404";
                let error =
                    json!({"code": 20404, "message": words, "more_info": more_info, "status": 404});
                json_answer(404, &error)
            }
        }
    }
}

fn json_answer(status: u16, body: &serde_json::Value) -> (u16, Vec<(String, String)>, String) {
    let content_type = ("Content-Type".to_owned(), "application/json;charset=utf-8".to_owned());
    (status, vec![content_type], body.to_string())
}

impl TwilioAccount {
    fn options(&self) -> String {
        let secret = match &self.api_key_sid {
            Some(key) => format!("api_key_sid = \"{key}\"\napi_key_secret = \"{}\"\n", self.secret),
            None => format!("secret = \"{}\"\n", self.secret),
        };
        let sender = match &self.messaging_service_sid {
            Some(sid) => format!("messaging_service_sid = \"{sid}\"\n"),
            None => format!("from = \"{}\"\n", self.from),
        };
        format!("sid = \"{ACCOUNT_SID}\"\n{secret}{sender}")
    }

    fn check(&self, request: &Request, check: &mut Check) {
        let path = format!("/2010-04-01/Accounts/{ACCOUNT_SID}/Messages.json");
        check.that(request.path == path, "path", &request.path);
        self.check_authorization(request, check);
        let sender = match &self.messaging_service_sid {
            Some(sid) => ("MessagingServiceSid", sid),
            None => ("From", &self.from),
        };
        check.form(request, &["To", sender.0, "Body"]);
        check.field(request, sender.0, |value| value == sender.1);
        check.field(request, "To", |value| value.strip_prefix('+').is_some_and(is_digits_of_e164));
        check.that(request.body.contains("To=%2B"), "encoding of +", &request.body);
        check.field(request, "Body", |body| (1..=1600).contains(&body.chars().count()));
    }

    /// Checks a request for one message, the account, its balance or the number that sends: `GET` of
    /// `…/Accounts/{sid}/Messages/{sid}.json` ("Messages resource"), `…/Accounts/{sid}.json` ("REST API: Accounts"),
    /// `…/Accounts/{sid}/Balance.json` ("Check your Twilio account balance"), or
    /// `…/Accounts/{sid}/IncomingPhoneNumbers.json?PhoneNumber=…` ("IncomingPhoneNumber resource").
    fn check_question(&self, request: &Request, check: &mut Check) {
        let from = self.from.replace('+', "%2B");
        let number = format!("/IncomingPhoneNumbers.json?PhoneNumber={from}");
        let account = format!("/2010-04-01/Accounts/{ACCOUNT_SID}");
        let asked = request.path.strip_prefix(&account).unwrap_or_default();
        let message = asked.strip_prefix("/Messages/").and_then(|name| name.strip_suffix(".json"));
        let is_known = [".json", "/Balance.json", &number].contains(&asked);
        check.that(is_known || message.is_some_and(is_message_sid), "path", &request.path);
        check.that(request.method == "GET", "method", &request.method);
        self.check_authorization(request, check);
        check.that(request.body.is_empty(), "body", &request.body);
    }

    /// Returns the account, its balance or its numbers. The account includes its secret, as at Twilio.
    fn resource_at(&self, path: &str) -> serde_json::Value {
        if path.contains("/Balance.json") {
            return json!({"account_sid": ACCOUNT_SID, "balance": "12.29", "currency": "USD"});
        }
        if path.contains("/IncomingPhoneNumbers.json") {
            return page_of_numbers(&[(&self.from, true)]);
        }
        json!({
            "auth_token": self.secret, "date_created": "Fri, 13 Mar 2009 02:25:01 +0000",
            "date_updated": "Fri, 13 Mar 2009 02:25:01 +0000", "friendly_name": "Acme",
            "owner_account_sid": ACCOUNT_SID, "sid": ACCOUNT_SID, "status": "active", "type": "Full",
            "uri": format!("/2010-04-01/Accounts/{ACCOUNT_SID}.json"),
        })
    }

    fn check_authorization(&self, request: &Request, check: &mut Check) {
        let user = self.api_key_sid.as_deref().unwrap_or(ACCOUNT_SID);
        check.basic_auth(request, user, &self.secret);
    }

    fn acceptance(&self, request: &Request, message_id: &str) -> serde_json::Value {
        let message = Accepted {
            phone_number: request.field("To"),
            text: request.field("Body"),
            message_id: message_id.to_owned(),
        };
        let status = "queued".to_owned();
        self.resource(&message, &MessageStatus { status, error_code: None, error_message: None })
    }

    /// Returns the resource of a message.
    fn resource(&self, message: &Accepted, status: &MessageStatus) -> serde_json::Value {
        let Accepted { phone_number, text, message_id } = message;
        json!({
            "account_sid": ACCOUNT_SID, "api_version": "2010-04-01", "body": text,
            "date_created": "Thu, 24 Aug 2023 05:01:45 +0000", "date_sent": null,
            "date_updated": "Thu, 24 Aug 2023 05:01:45 +0000", "direction": "outbound-api",
            "error_code": status.error_code, "error_message": status.error_message, "from": self.from,
            "num_media": "0", "num_segments": "1",
            "messaging_service_sid": self.messaging_service_sid, "price": null, "price_unit": null,
            "sid": message_id, "status": status.status, "to": phone_number,
            "subresource_uris": {"media": format!("/2010-04-01/Accounts/{ACCOUNT_SID}/Messages/{message_id}/Media.json")},
            "uri": format!("/2010-04-01/Accounts/{ACCOUNT_SID}/Messages/{message_id}.json"),
        })
    }
}

/// Returns a page of an account's numbers, each with whether it can send SMS ("IncomingPhoneNumber resource").
pub(crate) fn page_of_numbers(numbers: &[(&str, bool)]) -> serde_json::Value {
    let number = |(number, sms): &(&str, bool)| {
        json!({
            "account_sid": ACCOUNT_SID, "friendly_name": number, "phone_number": number,
            "capabilities": {"fax": false, "mms": *sms, "sms": *sms, "voice": true},
            "sid": "PN00000000000000000000000000000000", "status": "in-use",
        })
    };
    let listed: Vec<_> = numbers.iter().map(number).collect();
    json!({"incoming_phone_numbers": listed, "page": 0, "page_size": 50, "next_page_uri": null})
}

impl NexmoAccount {
    /// Checks a request for the balance: `GET …/account/get-balance` with HTTP Basic ("Account API", "Get Account Balance").
    fn check_question(&self, request: &Request, check: &mut Check) {
        check.that(request.path == "/account/get-balance", "path", &request.path);
        check.that(request.method == "GET", "method", &request.method);
        let NexmoAccount { api_key, api_secret, .. } = self;
        check.basic_auth(request, api_key, api_secret);
        check.that(request.body.is_empty(), "body", &request.body);
    }

    fn check(&self, request: &Request, check: &mut Check) {
        check.that(request.path == "/sms/json", "path", &request.path);
        check.header(request, "authorization", None);
        let is_unicode = request.field("text").contains(|character| !GSM_03_38.contains(character));
        let mut keys = vec!["api_key", "api_secret", "from", "to", "text"];
        keys.extend(is_unicode.then_some("type"));
        check.form(request, &keys);
        check.field(request, "api_key", |value| value == self.api_key);
        check.field(request, "api_secret", |value| value == self.api_secret);
        check.field(request, "from", |value| value == self.from);
        check.field(request, "to", is_digits_of_e164);
        check.field(request, "text", |value| !value.is_empty());
        if is_unicode {
            check.field(request, "type", |value| value == "unicode");
        }
    }
}

fn nexmo_acceptance(request: &Request, message_id: &str) -> serde_json::Value {
    json!({
        "message-count": "1",
        "messages": [{
            "to": request.field("to"), "message-id": message_id, "status": "0",
            "remaining-balance": "3.14159265", "message-price": "0.03330000", "network": "12345",
        }],
    })
}

/// The mistakes of a request.
pub(super) struct Check(Vec<String>);

impl Check {
    pub(super) fn that(&mut self, holds: bool, what: &str, value: &str) {
        if !holds {
            self.0.push(format!("{what}: {value}"));
        }
    }

    fn basic_auth(&mut self, request: &Request, user: &str, password: &str) {
        let basic = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        self.header(request, "authorization", Some(&basic));
    }

    /// Checks that the request posts to `path`.
    pub(super) fn post(&mut self, request: &Request, path: &str) {
        self.that(request.method == "POST", "method", &request.method);
        self.that(request.path == path, "path", &request.path);
    }

    /// Checks that a header has this value, or that the request doesn't have the header.
    pub(super) fn header(&mut self, request: &Request, name: &str, value: Option<&str>) {
        let sent = request.header(name);
        self.that(sent == value, name, sent.unwrap_or("none"));
    }

    /// Checks that the request posts a form of exactly the fields `keys`, each once.
    pub(super) fn form(&mut self, request: &Request, keys: &[&str]) {
        self.that(request.method == "POST", "method", &request.method);
        self.header(request, "content-type", Some("application/x-www-form-urlencoded"));
        let mut sent: Vec<String> = request.form().into_iter().map(|(key, _)| key).collect();
        sent.sort();
        let mut wanted = keys.to_vec();
        wanted.sort_unstable();
        self.that(sent == wanted, "form fields", &sent.join(", "));
    }

    pub(super) fn field(&mut self, request: &Request, name: &str, is_right: impl Fn(&str) -> bool) {
        let value = request.field(name);
        self.that(is_right(&value), name, &value);
    }

    /// Checks that the request carries exactly this JSON.
    pub(super) fn json(&mut self, request: &Request, wanted: &serde_json::Value) {
        self.header(request, "content-type", Some("application/json"));
        self.that(request.json() == *wanted, "JSON", &request.body);
    }
}

/// Returns whether this is the id of a message at Twilio: `SM` and 32 hexadecimal digits.
fn is_message_sid(sid: &str) -> bool {
    let digits = sid.strip_prefix("SM").unwrap_or_default();
    digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Returns whether these are the digits of an E.164 number, without its `+`.
pub(super) fn is_digits_of_e164(digits: &str) -> bool {
    (7..=15).contains(&digits.len())
        && !digits.starts_with('0')
        && digits.bytes().all(|byte| byte.is_ascii_digit())
}
