//! `send` when the provider refuses the message, whichever provider it is.

use crate::support::{FakeProvider, HTTP_OPTIONS, NUMBER, Reply, refusal_of};

#[test]
fn a_refused_send_leaves_the_earlier_code_working() {
    for (provider, refusal) in [
        (FakeProvider::twilio(), Reply::twilio_error(400, 21211, "Invalid 'To' Phone Number")),
        (FakeProvider::nexmo(), Reply::nexmo_error("4", "Bad Credentials")),
    ] {
        let environment = provider.environment();
        let earlier = environment.send(NUMBER);
        provider.next(refusal);
        environment.send_json(1);
        assert_eq!(environment.record(), earlier);
        environment.verify(&earlier).expect_code(0);
    }
}

#[test]
fn in_text_a_refusal_is_an_error_with_the_providers_code_and_words() {
    let twilios = "Invalid 'To' Phone Number: +1415555XXXX";
    let vonages = "Quota Exceeded - rejected";
    for (provider, refusal, code, words) in [
        (FakeProvider::twilio(), Reply::twilio_error(400, 21211, twilios), "21211", twilios),
        (FakeProvider::nexmo(), Reply::nexmo_error("9", vonages), "9", vonages),
    ] {
        provider.always(refusal);
        let run = provider.environment().run(&["send", NUMBER]).expect_code(1);
        assert!(run.stderr.contains("error: "), "{run:#?}");
        for part in [NUMBER, code, words] {
            assert!(run.stderr.contains(part), "{run:#?}");
        }
        assert!(!run.stdout.contains("eyJ"), "no token of a record that is gone: {run:#?}");
    }
}

#[test]
fn a_code_is_told_with_its_cause_its_meaning_and_what_to_do_next() {
    let (twilio, vonage) = (FakeProvider::twilio(), FakeProvider::nexmo());
    let stop = Reply::twilio_error(400, 21610, "Attempt to send to unsubscribed recipient");
    for (environment, provider, reply, cause, next) in [
        (twilio.environment(), &twilio, stop, "number", "Ask the person to text START to +1475"),
        (
            vonage.environment(),
            &vonage,
            Reply::nexmo_error("9", "Quota"),
            "account",
            "Ask the admin",
        ),
        (vonage.environment(), &vonage, Reply::html(402), "account", "Ask the admin"),
    ] {
        provider.always(reply);
        let line = environment.send_json(1);
        let error = &line["error"];
        assert_eq!(error["cause"], cause, "{line:#}");
        let [explanation, advice] =
            ["explanation", "next"].map(|key| error[key].as_str().expect("a sentence"));
        assert!(advice.starts_with(next), "{line:#}");
        let run = environment.run(&["send", NUMBER]).expect_code(1);
        let hint = format!("hint: {explanation} {advice} https://");
        assert!(run.stderr.contains(&hint), "{run:#?}");
        let status = environment.run(&["--format", "json", "status", NUMBER]).json();
        for key in ["cause", "explanation", "next"] {
            assert_eq!(status["deliveries"][0][key], error[key], "{status:#}");
        }
        let text = environment.run(&["status", NUMBER]).expect_code(0).stdout;
        let meaning = explanation.trim_end_matches('.');
        let advice = advice.replace("send a new code", &format!("phone-verify send {NUMBER}"));
        let start = format!("{NUMBER}: {meaning}; there is no code\nnext: {advice}\n");
        assert!(text.starts_with(&start), "{text}");
    }
    // Nothing is made up for a code that nobody knows, for a provider's own code that looks like a status, or if nobody knows
    // whether the SMS was accepted.
    let api = FakeProvider::without_documents();
    let options = format!("{HTTP_OPTIONS}\nerror_code_pointer = \"/code\"");
    for (environment, provider, reply) in [
        (twilio.environment(), &twilio, Reply::twilio_error(400, 29999, "Something new")),
        (api.http_environment(&options, ""), &api, Reply::answer(400, r#"{"code": 401}"#)),
        (twilio.environment(), &twilio, Reply::answer(400, r#"{"sid": "SM1"}"#)),
    ] {
        provider.always(reply);
        let line = environment.send_json(1);
        assert!(line["error"]["cause"].is_null() && line["error"]["next"].is_null(), "{line:#}");
        let status = environment.run(&["--format", "json", "status", NUMBER]).json();
        assert!(status["deliveries"][0]["next"].is_null(), "{status:#}");
    }
}

#[test]
fn a_4xx_is_a_refusal_whatever_its_body_is_unless_that_says_accepted() {
    let replies = || {
        [
            (Reply::html(403), "403", "refused with HTTP 403"),
            (Reply::answer(404, ""), "404", "refused with HTTP 404"),
            (Reply::answer(400, "{\"sid\": null}"), "400", "refused with HTTP 400"),
            (Reply::answer(401, "{\"title\": \"Unauthorized\"}"), "401", "refused with HTTP 401"),
            (Reply::text(403, " No such\naccount "), "403", "No such account"),
        ]
    };
    for provider in [FakeProvider::twilio(), FakeProvider::nexmo()] {
        for (reply, code, message) in replies() {
            provider.next(reply);
            let environment = provider.environment();
            let line = environment.send_json(1);
            assert_eq!(refusal_of(&line), ("rejected", Some(code), message));
            assert_eq!(environment.records(), []);
        }
        assert_eq!(provider.requests().len(), replies().len(), "it was tried again");
    }
}
