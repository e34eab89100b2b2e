//! The documents of the providers in `docs/providers.md`: what a request has to be, and the answer that accepts it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::connection::Request;
use super::documents::{Check, is_digits_of_e164};

/// The secret of the account, at each provider.
pub(crate) const API_SECRET: &str = "s3cr+t/of=the&account";

/// The documents of one provider.
#[derive(Clone, Copy)]
pub(crate) struct Api {
    pub(super) check: fn(&Request, &mut Check),
    pub(super) phone_number: fn(&Request) -> String,
    pub(super) text: fn(&Request) -> String,
    /// The status and the body of the answer that accepts a message and gives it this id.
    pub(super) acceptance: fn(&str) -> (u16, Value),
}

/// No documents: any request is right.
pub(super) const ANY: Api = Api {
    check: |_, _| {},
    phone_number: |_| String::new(),
    text: |_| String::new(),
    acceptance: |id| (200, json!({"id": id})),
};

pub(crate) const PLIVO: Api = Api {
    check: |request, check| {
        check.post(request, "/v1/Account/MAXXXXXXXXXXXXXXXXXX/Message/");
        let basic = STANDARD.encode(format!("MAXXXXXXXXXXXXXXXXXX:{API_SECRET}"));
        check.header(request, "authorization", Some(&format!("Basic {basic}")));
        let (dst, text) = (text_at(request, "/dst"), text_at(request, "/text"));
        check.that(dst.strip_prefix('+').is_some_and(is_digits_of_e164), "dst", &dst);
        check.json(request, &json!({"src": "+14755292729", "dst": dst, "text": text}));
    },
    phone_number: |request| text_at(request, "/dst"),
    text: |request| text_at(request, "/text"),
    acceptance: |id| {
        let api_id = "948b53a2-3f08-11e7-b6f4-061564b78b75";
        (202, json!({"api_id": api_id, "message": "message(s) queued", "message_uuid": [id]}))
    },
};

pub(crate) const MESSAGEBIRD: Api = Api {
    check: |request, check| {
        check.post(request, "/messages");
        check.header(request, "authorization", Some(&format!("AccessKey {API_SECRET}")));
        let (to, body) = (text_at(request, "/recipients"), text_at(request, "/body"));
        check.that(is_digits_of_e164(&to), "recipients", &to);
        let wanted = json!({"originator": "PhoneVerify", "recipients": to, "body": body, "datacoding": "auto"});
        check.json(request, &wanted);
    },
    phone_number: |request| format!("+{}", text_at(request, "/recipients")),
    text: |request| text_at(request, "/body"),
    acceptance: |id| {
        let message = json!({
            "id": id, "href": format!("https://rest.messagebird.com/messages/{id}"), "direction": "mt",
            "type": "sms", "originator": "PhoneVerify", "reference": null, "validity": null,
            "gateway": 10, "typeDetails": {}, "datacoding": "plain", "mclass": 1,
            "scheduledDatetime": null, "createdDatetime": "2016-05-03T14:26:57+00:00",
            "recipients": {"totalCount": 1, "totalSentCount": 1, "totalDeliveredCount": 0,
                "totalDeliveryFailedCount": 0},
        });
        (201, message)
    },
};

pub(crate) const TELNYX: Api = Api {
    check: |request, check| {
        check.post(request, "/v2/messages");
        check.header(request, "authorization", Some(&format!("Bearer {API_SECRET}")));
        let (to, text) = (text_at(request, "/to"), text_at(request, "/text"));
        check.that(to.strip_prefix('+').is_some_and(is_digits_of_e164), "to", &to);
        check.json(request, &json!({"from": "+14755292729", "to": to, "text": text}));
    },
    phone_number: |request| text_at(request, "/to"),
    text: |request| text_at(request, "/text"),
    acceptance: |id| {
        let message = json!({"record_type": "message", "direction": "outbound", "id": id, "type": "SMS",
            "encoding": "GSM-7", "parts": 1, "sent_at": null, "completed_at": null, "errors": []});
        (200, json!({"data": message}))
    },
};

pub(crate) const INFOBIP: Api = Api {
    check: |request, check| {
        check.post(request, "/sms/3/messages");
        check.header(request, "authorization", Some(&format!("App {API_SECRET}")));
        let to = text_at(request, "/messages/0/destinations/0/to");
        check.that(is_digits_of_e164(&to), "to", &to);
        let text = text_at(request, "/messages/0/content/text");
        let message = json!({"sender": "PhoneVerify", "destinations": [{"to": to}], "content": {"text": text}});
        check.json(request, &json!({"messages": [message]}));
    },
    phone_number: |request| format!("+{}", text_at(request, "/messages/0/destinations/0/to")),
    text: |request| text_at(request, "/messages/0/content/text"),
    acceptance: |id| {
        let status = json!({"groupId": 1, "groupName": "PENDING", "id": 26, "name": "MESSAGE_ACCEPTED",
            "description": "Message sent to next instance"});
        let message = json!({"messageId": id, "status": status, "destination": "41793026727",
            "details": {"messageCount": 1}});
        (200, json!({"bulkId": "2034072219640523072", "messages": [message]}))
    },
};

pub(crate) const TEXTBELT: Api = Api {
    check: |request, check| {
        check.post(request, "/text");
        check.header(request, "authorization", None);
        check.form(request, &["phone", "message", "key"]);
        check.field(request, "phone", |to| to.strip_prefix('+').is_some_and(is_digits_of_e164));
        check.field(request, "key", |key| key == API_SECRET);
        // An unencoded + is read as a space.
        check.that(request.body.contains("phone=%2B"), "encoding of +", &request.body);
    },
    phone_number: |request| request.field("phone"),
    text: |request| request.field("message"),
    acceptance: |id| (200, json!({"success": true, "textId": id, "quotaRemaining": 40})),
};

/// Returns the text at `pointer` in the JSON of the request, or an empty text.
fn text_at(request: &Request, pointer: &str) -> String {
    request.json().pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}
