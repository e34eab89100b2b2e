//! The settings of `docs/providers.md`, as they stand there, against doubles of what each provider documents.

use serde_json::Value;

use crate::support::{
    API_SECRET, Api, Environment, FakeProvider, INFOBIP, MESSAGEBIRD, NUMBER, PLIVO, Reply, Run,
    TELNYX, TEXTBELT, code_in, error_of, read_block, refusal_of, run_command,
};

/// What stands between the quotes of TOML's literal strings, and whatever APIs stumble over.
const MESSAGE: &str = r#"{app} says: " {security_code} "{{is}} 100 % \your\ code" & 1+1=2 €🔑
second line"#;

/// A provider of the page, and the answers that its documents describe.
struct Documented {
    heading: &'static str,
    origin: &'static str,
    /// The environment variable that the settings take the secret from.
    variable: &'static str,
    api: Api,
    /// A refusal of the message: status, body, and the code and words that are shown.
    refusal: Refusal,
    unauthorized: Refusal,
    throttled: (u16, &'static str),
    /// What its documents have no answer like.
    undocumented: (u16, &'static str),
}

type Refusal = (u16, &'static str, &'static str, &'static str);

const PROVIDERS: [Documented; 5] = [
    Documented {
        heading: "Plivo",
        origin: "https://api.plivo.com",
        variable: "PLIVO_AUTH_TOKEN",
        api: PLIVO,
        refusal: (
            400,
            r#"{"api_id": "97ceeb52-58b6-11e1-86da-77300b68f8bb", "error": "invalid dst"}"#,
            "400",
            "invalid dst",
        ),
        unauthorized: (
            401,
            r#"{"error": "Authentication failed"}"#,
            "401",
            "Authentication failed",
        ),
        throttled: (429, r#"{"error": "You are sending too many requests"}"#),
        undocumented: (202, r#"{"message": "message(s) queued", "message_uuid": []}"#),
    },
    Documented {
        heading: "Bird (MessageBird)",
        origin: "https://rest.messagebird.com",
        variable: "MESSAGEBIRD_ACCESS_KEY",
        api: MESSAGEBIRD,
        refusal: (
            422,
            r#"{"errors": [{"code": 9, "description": "no (correct) recipients found", "parameter": "recipients"}]}"#,
            "9",
            "no (correct) recipients found",
        ),
        unauthorized: (
            401,
            r#"{"errors": [{"code": 2, "description": "Request not allowed (incorrect access_key)", "parameter": "access_key"}]}"#,
            "2",
            "Request not allowed (incorrect access_key)",
        ),
        throttled: (429, ""),
        undocumented: (201, r#"{"errors": []}"#),
    },
    Documented {
        heading: "Telnyx",
        origin: "https://api.telnyx.com",
        // The settings take it from the file `telnyx-api-key`.
        variable: "",
        api: TELNYX,
        refusal: (
            400,
            r#"{"errors": [{"code": "10002", "title": "Invalid phone number", "detail": "The phone number is invalid.", "source": {"pointer": "/to"}}]}"#,
            "10002",
            "The phone number is invalid.",
        ),
        unauthorized: (
            401,
            r#"{"errors": [{"code": "10009", "title": "Authentication failed"}]}"#,
            "10009",
            "Authentication failed",
        ),
        throttled: (429, r#"{"errors": [{"code": "10011", "title": "Too many requests"}]}"#),
        undocumented: (200, r#"{"data": null}"#),
    },
    Documented {
        heading: "Infobip",
        origin: "https://xxxxx.api.infobip.com",
        variable: "INFOBIP_API_KEY",
        api: INFOBIP,
        refusal: (
            200,
            r#"{"messages": [{"messageId": "2250be2d4219-3af1-78856-aabe-1362af1edfd2", "destination": "41793026727",
                "status": {"groupId": 5, "groupName": "REJECTED", "id": 12, "name": "REJECTED_NOT_ENOUGH_CREDITS",
                "description": "Not enough credits"}}]}"#,
            "REJECTED_NOT_ENOUGH_CREDITS",
            "Not enough credits",
        ),
        unauthorized: (
            401,
            r#"{"errorCode": "E401", "description": "Invalid authentication.", "action": "Check it.", "violations": [], "resources": []}"#,
            "E401",
            "Invalid authentication.",
        ),
        throttled: (
            429,
            r#"{"errorCode": "E429", "description": "Too many requests sent.", "action": "Check request rate limit.", "violations": [], "resources": []}"#,
        ),
        undocumented: (200, r#"{"bulkId": "2034072219640523072", "messages": []}"#),
    },
    Documented {
        heading: "Textbelt",
        origin: "https://textbelt.com",
        variable: "TEXTBELT_KEY",
        api: TEXTBELT,
        refusal: (
            200,
            r#"{"success": false, "error": "Out of quota", "quotaRemaining": 0}"#,
            "200",
            "Out of quota",
        ),
        // Its documents have one form for every refusal.
        unauthorized: (
            200,
            r#"{"success": false, "error": "Invalid key", "quotaRemaining": 0}"#,
            "200",
            "Invalid key",
        ),
        throttled: (429, ""),
        undocumented: (200, r#"{"status": "DELIVERED"}"#),
    },
];

impl Documented {
    /// Returns an environment on the settings of the page, which lead to `double` in place of the provider, and nothing else
    /// about them differs.
    fn environment(&self, double: &FakeProvider, tables: &str) -> Environment {
        let settings = read_block(self.heading, "toml");
        assert_eq!(settings.matches(self.origin).count(), 1, "{settings}");
        let settings = settings.replace(self.origin, &double.base_url());
        self.environment_of(&format!("message = '''{MESSAGE}'''\n{settings}\n{tables}"))
    }

    fn environment_of(&self, settings: &str) -> Environment {
        let environment = Environment::with_settings(settings);
        environment.write("telnyx-api-key", &format!("{API_SECRET}\n"));
        environment
    }

    fn run(&self, environment: &Environment, arguments: &[&str]) -> Run {
        let mut command = environment.command(arguments);
        if !self.variable.is_empty() {
            command.env(self.variable, API_SECRET);
        }
        run_command(command)
    }

    /// Sends to [`NUMBER`] and returns the line.
    #[track_caller]
    fn send(&self, environment: &Environment, code: i32) -> Value {
        let run = self.run(environment, &["--format", "json", "send", NUMBER]);
        assert_eq!(run.code, Some(code), "{}: {run:#?}", self.heading);
        assert!(!format!("{run:?}").contains(API_SECRET), "{run:#?}");
        run.json()
    }
}

#[test]
fn the_settings_are_valid_as_they_stand() {
    for provider in &PROVIDERS {
        let environment = provider.environment_of(&read_block(provider.heading, "toml"));
        let run = provider.run(&environment, &["send", "--dry-run", NUMBER]).expect_code(0);
        assert_eq!(run.stderr, "", "{}", provider.heading);
        environment.expect_no_database();
    }
}

#[test]
fn a_message_arrives_as_the_provider_documents_it_and_is_told_with_its_id() {
    for provider in &PROVIDERS {
        let double = FakeProvider::from_api(provider.api);
        let environment = provider.environment(&double, "");
        let line = provider.send(&environment, 0);
        let (record, accepted) = (environment.record(), double.accepted().remove(0));
        assert_eq!(accepted.phone_number, NUMBER);
        let text = MESSAGE.replace("{app}", "Phone Verify").replace("{{", "{").replace("}}", "}");
        assert_eq!(accepted.text, text.replace("{security_code}", &record.security_code));
        assert_eq!(line["message_id"], accepted.message_id.as_str(), "{}", provider.heading);
        let name = provider.heading.split(' ').next().expect("a word");
        assert_eq!(line["backend"], name);
        assert_eq!(environment.delivery().message_id.as_ref(), Some(&accepted.message_id));
        environment.verify(&record).expect_code(0);
    }
}

#[test]
fn a_refusal_is_told_in_the_providers_code_and_words_and_leaves_the_earlier_code_working() {
    for provider in &PROVIDERS {
        let double = FakeProvider::from_api(provider.api);
        let environment = provider.environment(&double, "");
        provider.send(&environment, 0);
        let earlier = environment.record();
        let (status, body, code, words) = provider.refusal;
        double.next(Reply::answer(status, body));
        let line = provider.send(&environment, 1);
        assert_eq!(refusal_of(&line), ("rejected", Some(code), words));
        assert_eq!(double.requests().len(), 2, "a refusal is not tried again");
        assert_eq!(environment.record(), earlier);
        environment.verify(&earlier).expect_code(0);
    }
}

#[test]
fn a_throttled_message_is_sent_again() {
    for provider in &PROVIDERS {
        let double = FakeProvider::from_api(provider.api);
        let (status, body) = provider.throttled;
        double.next(Reply::answer(status, body).retry_after_seconds(0));
        let environment = provider.environment(&double, "");
        let line = provider.send(&environment, 0);
        let requests = double.requests();
        assert_eq!((requests.len(), double.accepted().len()), (2, 1), "{}", provider.heading);
        assert_eq!(requests[0].body, requests[1].body);
        assert_eq!(line["message_id"], double.accepted()[0].message_id.as_str());
        assert_eq!(environment.delivery().tries, 2);
    }
}

#[test]
fn a_failed_authentication_calls_the_second_provider_where_the_answer_tells_it_from_a_bad_number() {
    for provider in &PROVIDERS {
        let (double, second) = (FakeProvider::from_api(provider.api), FakeProvider::twilio());
        let (status, body, code, words) = provider.unauthorized;
        double.always(Reply::answer(status, body));
        let second = if status == 401 { second } else { second.never_called() };
        let environment = provider.environment(&double, &second.fallback_tables());
        let line = provider.send(&environment, i32::from(status != 401));
        let first = environment.deliveries().remove(0);
        let told = (first.error_code.as_deref(), first.error_message.as_deref());
        assert_eq!(told, (Some(code), Some(words)), "{}", provider.heading);
        assert_eq!(double.requests().len(), 1);
        if status == 401 {
            assert_eq!(line["backend"], "twilio");
            assert_eq!(code_in(&second.accepted()[0].text), environment.record().security_code);
        } else {
            assert_eq!(error_of(&line), ("rejected", Some(code)));
        }
    }
}

#[test]
fn an_account_without_balance_calls_the_second_provider_where_its_code_is_documented() {
    for (heading, status, body) in [
        (
            "Bird (MessageBird)",
            422,
            r#"{"errors": [{"code": 25, "description": "Not enough balance", "parameter": null}]}"#,
        ),
        ("Infobip", 200, PROVIDERS[3].refusal.1),
    ] {
        let provider = PROVIDERS.iter().find(|it| it.heading == heading).expect("it is there");
        let (double, second) = (FakeProvider::from_api(provider.api), FakeProvider::twilio());
        double.always(Reply::answer(status, body));
        let environment = provider.environment(&double, &second.fallback_tables());
        assert_eq!(provider.send(&environment, 0)["backend"], "twilio");
        assert_eq!(environment.states(), ["rejected", "accepted"]);
    }
}

#[test]
fn an_answer_that_the_provider_does_not_document_is_unknown() {
    for provider in &PROVIDERS {
        let (status, body) = provider.undocumented;
        for reply in [
            Reply::answer(status, body),
            Reply::html(200),
            Reply::html(500),
            Reply::html(502),
            Reply::accept().cut_off(),
            Reply::close(),
        ] {
            let double = FakeProvider::from_api(provider.api);
            let environment = provider.environment(&double, "");
            provider.send(&environment, 0);
            double.next(reply.although_accepted());
            let line = provider.send(&environment, 1);
            assert_eq!(error_of(&line).0, "unknown", "{}: {line:#}", provider.heading);
            assert_eq!(double.requests().len(), 2, "it was tried again");
            let records = environment.records();
            assert_eq!(records.len(), 2);
            for record in &records {
                environment.verify(record).expect_code(0);
            }
        }
    }
}
