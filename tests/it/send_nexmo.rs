//! `send` through Nexmo (Vonage): the request, the acceptance, and the refusals inside answers of HTTP 200.

use crate::support::{Environment, FakeProvider, NUMBER, Reply, error_of};

/// What Vonage's documents call the statuses that refuse a message for good.
const REFUSALS: [(&str, &str); 12] = [
    ("2", "Missing to param"),
    ("3", "Invalid value for param: to"),
    ("4", "Bad Credentials"),
    ("5", "Internal Error"),
    ("6", "Unroutable message - rejected"),
    ("7", "Number barred"),
    ("8", "Partner account barred"),
    ("9", "Quota Exceeded - rejected"),
    ("11", "Account not enabled for HTTP"),
    ("12", "Message too long"),
    ("15", "Illegal Sender Address - rejected"),
    ("29", "Non White-listed Destination - rejected"),
];

#[test]
fn an_accepted_message_carries_the_stored_code_and_is_told_with_its_id() {
    let provider = FakeProvider::nexmo();
    let environment = provider.environment();
    let run = environment.run(&["--format", "json", "send", NUMBER]).expect_code(0);
    let record = environment.record();
    let accepted = provider.accepted().remove(0);
    assert_eq!(accepted.phone_number, NUMBER);
    assert!(accepted.text.contains(&record.security_code), "{accepted:#?}");
    let line = run.json();
    assert_eq!(line["message_id"], accepted.message_id.as_str());
    assert_eq!(line["backend"], "nexmo");
    environment.verify(&record).expect_code(0);
}

#[test]
fn vonage_is_another_name_for_nexmo() {
    for name in ["vonage", "phone_verify.backends.nexmo.NexmoBackend"] {
        let provider = FakeProvider::nexmo();
        let settings = provider.settings("", "").replace("\"nexmo\"", &format!("\"{name}\""));
        let environment = Environment::with_settings(&settings);
        let line = environment.run(&["--format", "json", "send", NUMBER]).expect_code(0).json();
        assert_eq!(line["backend"], "nexmo");
    }
}

#[test]
fn the_type_is_unicode_exactly_where_the_text_needs_it() {
    for (words, is_unicode) in [
        ("Code", false),
        ("Grüße, à bientôt", true),
        ("Grüße, à bientot", false),
        ("100 € [~{{}}|^]\\", false),
        ("naïve", true),
        ("Ваш код", true),
        ("\u{1f511}", true),
        ("it’s", true),
        ("`", true),
    ] {
        let provider = FakeProvider::nexmo();
        let message = format!("message = '''{words} {{security_code}}'''");
        let environment = provider.environment_with(&message, "");
        let record = environment.send(NUMBER);
        // That the text and the type agree is checked by the provider; this says which way.
        assert_eq!(provider.requests()[0].field("type") == "unicode", is_unicode, "{words}");
        let words = words.replace("{{", "{").replace("}}", "}");
        assert_eq!(provider.accepted()[0].text, format!("{words} {}", record.security_code));
    }
}

#[test]
fn a_long_message_is_not_refused_on_twilios_account() {
    let provider = FakeProvider::nexmo();
    let message = format!("message = \"{{security_code}}{}\"", "a".repeat(1700));
    provider.environment_with(&message, "").send(NUMBER);
    assert_eq!(provider.accepted()[0].text.len(), 1706);
}

#[test]
fn a_refusal_is_told_in_vonages_status_and_words() {
    for (status, words) in REFUSALS {
        let provider = FakeProvider::nexmo();
        provider.always(Reply::nexmo_error(status, words));
        let environment = provider.environment();
        let line = environment.send_json(1);
        assert_eq!(error_of(&line), ("rejected", Some(status)));
        let message = line["error"]["message"].as_str().expect("words");
        assert!(message.contains(words), "{message}");
        assert_eq!(environment.records(), []);
        assert_eq!(provider.requests().len(), 1, "a refusal is not tried again");
    }
}

#[test]
fn a_message_in_parts_is_accepted_when_each_of_them_is() {
    let provider = FakeProvider::nexmo();
    provider.next(Reply::nexmo_parts(&[("0", ""), ("0", ""), ("0", "")]).although_accepted());
    let environment = provider.environment();
    let line = environment.run(&["--format", "json", "send", NUMBER]).expect_code(0).json();
    assert_eq!(line["message_id"], "0A00000000000000");
    assert_eq!(environment.records().len(), 1);
}

#[test]
fn a_message_of_which_every_part_is_refused_is_refused() {
    let provider = FakeProvider::nexmo();
    let refusal = ("9", "Quota Exceeded - rejected");
    provider.next(Reply::nexmo_parts(&[refusal, refusal]));
    let environment = provider.environment();
    let line = environment.send_json(1);
    assert_eq!(error_of(&line), ("rejected", Some("9")));
    assert_eq!(environment.records(), []);
}

#[test]
fn a_refusal_counts_whatever_the_http_status_beside_it() {
    let provider = FakeProvider::nexmo();
    let body = "{\"messages\": [{\"status\": \"4\", \"error-text\": \"Bad Credentials\"}]}";
    provider.always(Reply::answer(401, body));
    let environment = provider.environment();
    assert_eq!(error_of(&environment.send_json(1)), ("rejected", Some("4")));
    assert_eq!(environment.records(), []);
}
