//! `send` through Twilio: the request, the acceptance, and the refusals in Twilio's own code and words.

use crate::support::{
    Environment, FakeProvider, NUMBER, Reply, TwilioAccount, code_in, error_of, finish,
};

#[test]
fn an_accepted_message_carries_the_stored_code_and_is_told_with_its_id() {
    let provider = FakeProvider::twilio();
    let environment = provider.environment();
    let run = environment.run(&["--format", "json", "send", NUMBER]).expect_code(0);
    let record = environment.record();
    let accepted = provider.accepted().remove(0);
    assert_eq!(accepted.phone_number, NUMBER);
    let code = &record.security_code;
    let text = format!("Welcome to Phone Verify! Please use security code {code} to proceed.");
    assert_eq!(accepted.text, text);
    let line = run.json();
    assert_eq!(line["message_id"], accepted.message_id.as_str());
    assert_eq!(line["backend"], "twilio");
    assert_eq!(line["session_token"], record.session_token.as_str());
    assert!(!run.stderr.contains(code), "{run:#?}");
    environment.verify(&record).expect_code(0);
}

#[test]
fn in_text_the_session_token_is_printed_and_the_code_is_not() {
    let provider = FakeProvider::twilio();
    let environment = provider.environment_with("token_length = 12", "");
    let run = environment.run(&["send", NUMBER]).expect_code(0);
    let record = environment.record();
    assert!(run.stdout.contains(&record.session_token), "{run:#?}");
    let shown = format!("{}{}", run.stdout, run.stderr);
    assert!(!shown.contains(&record.security_code), "{run:#?}");
}

#[test]
fn the_live_backend_takes_its_dotted_name_too() {
    let provider = FakeProvider::twilio();
    let settings = provider
        .settings("", "")
        .replace("\"twilio\"", "\"phone_verify.backends.twilio.TwilioBackend\"");
    let environment = Environment::with_settings(&settings);
    let line = environment.run(&["--format", "json", "send", NUMBER]).expect_code(0).json();
    assert_eq!(line["backend"], "twilio");
}

#[test]
fn a_messaging_service_may_send_and_an_api_key_may_sign_in_for_the_account() {
    let messaging_service = TwilioAccount {
        messaging_service_sid: Some("MG00000000000000000000000000000000".to_owned()),
        ..TwilioAccount::default()
    };
    let api_key = TwilioAccount {
        api_key_sid: Some("SK00000000000000000000000000000000".to_owned()),
        secret: "api-key-secret".to_owned(),
        ..TwilioAccount::default()
    };
    for account in [messaging_service, api_key] {
        let provider = FakeProvider::twilio_with(account);
        provider.environment().send(NUMBER);
        assert_eq!(provider.accepted().len(), 1);
    }
}

#[test]
fn a_base_url_may_end_with_a_slash() {
    let provider = FakeProvider::twilio();
    let base_url = provider.base_url() + "/";
    Environment::with_settings(&provider.settings_at(&base_url, "", "")).send(NUMBER);
    assert_eq!(provider.accepted().len(), 1);
}

#[test]
fn every_character_of_a_message_arrives_as_it_is() {
    let provider = FakeProvider::twilio();
    let message = "{security_code} ä€ 100% +1 a&b=c;d/e?f#g \"quoted\" \\ ~*\u{1f511}\nnext line";
    let environment = provider.environment_with(&format!("message = '''{message}'''"), "");
    let record = environment.send(NUMBER);
    let text = message.replace("{security_code}", &record.security_code);
    assert_eq!(provider.accepted()[0].text, text);
}

#[test]
fn a_sandbox_and_its_live_backend_share_their_settings() {
    let provider = FakeProvider::twilio().never_called();
    let settings = provider.settings("", "").replace("\"twilio\"", "\"twilio-sandbox\"");
    let settings = settings.replace("[options]", "[options]\nsandbox_token = \"424242\"");
    let environment = Environment::with_settings(&settings);
    assert_eq!(environment.send(NUMBER).security_code, "424242");
}

#[test]
fn a_refusal_is_told_in_twilios_code_and_words() {
    for (status, code, words) in [
        (400, 21211, "Invalid 'To' Phone Number: +1415555XXXX"),
        (401, 20003, "Authenticate"),
        (400, 21610, "Attempt to send to unsubscribed recipient"),
        (400, 21606, "The 'From' phone number provided is not a valid message-capable number"),
        (403, 20005, "Account not active"),
        (404, 20404, "The requested resource was not found"),
    ] {
        let provider = FakeProvider::twilio();
        provider.always(Reply::twilio_error(status, code, words));
        let environment = provider.environment();
        let line = environment.send_json(1);
        assert_eq!(error_of(&line), ("rejected", Some(code.to_string().as_str())));
        let message = line["error"]["message"].as_str().expect("words");
        assert!(message.contains(words), "{message}");
        assert!(line.get("session_token").is_none(), "{line:#}");
        assert_eq!(environment.records(), []);
        assert_eq!(provider.requests().len(), 1, "a refusal is not tried again");
    }
}

#[test]
fn a_code_that_is_not_known_here_comes_with_the_page_that_twilio_names() {
    let provider = FakeProvider::twilio();
    provider.always(Reply::twilio_error(400, 29999, "Something new"));
    let run = provider.environment().run(&["send", NUMBER]).expect_code(1);
    assert!(run.stderr.contains("hint: https://www.twilio.com/docs/errors/29999"), "{run:#?}");
}

#[test]
fn an_empty_code_or_text_is_none() {
    let provider = FakeProvider::twilio();
    provider.always(Reply::answer(400, r#"{"code": "", "message": "", "more_info": ""}"#));
    let line = provider.environment().send_json(1);
    assert_eq!(error_of(&line), ("rejected", Some("400")));
    assert_eq!(line["error"]["message"], "refused with HTTP 400");
}

#[test]
fn a_refusal_without_a_code_is_told_with_its_http_status() {
    let provider = FakeProvider::twilio();
    provider.always(Reply::answer(403, "{\"message\": \"Forbidden here\"}"));
    let line = provider.environment().send_json(1);
    assert_eq!(error_of(&line), ("rejected", Some("403")));
    let message = line["error"]["message"].as_str().expect("words");
    assert!(message.contains("Forbidden here"), "{message}");
}

#[test]
fn a_redirect_is_a_refusal_and_is_not_followed() {
    for status in [301, 302, 307, 308] {
        let provider = FakeProvider::twilio();
        let elsewhere = provider.base_url() + "/elsewhere";
        provider.always(Reply::answer(status, "").header("Location", &elsewhere));
        let environment = provider.environment();
        let line = environment.send_json(1);
        assert_eq!(error_of(&line), ("rejected", Some(status.to_string().as_str())));
        assert_eq!(provider.requests().len(), 1);
        assert_eq!(environment.records(), []);
    }
}

#[test]
fn an_accepted_send_deletes_the_older_records_of_its_number_alone() {
    let provider = FakeProvider::twilio();
    let environment = provider.environment();
    let other = environment.send("+12025550143");
    let older = environment.send(NUMBER);
    let newer = environment.send(NUMBER);
    assert_eq!(environment.records(), [other, newer.clone()]);
    environment.verify(&older).expect_code(14);
    environment.verify(&newer).expect_code(0);
}

#[test]
fn of_several_numbers_some_may_be_refused() {
    let provider = FakeProvider::twilio();
    provider.answer_with(|request| match request.field("To").as_str() {
        NUMBER => Reply::accept(),
        _ => Reply::twilio_error(400, 21211, "Invalid 'To' Phone Number"),
    });
    let environment = provider.environment();
    let arguments = ["--format", "json", "send", "+12025550143", NUMBER, "+12025550144"];
    let lines = environment.run(&arguments).expect_code(3).json_lines();
    let sent: Vec<_> = lines.iter().filter(|line| line["status"] == "sent").collect();
    assert_eq!((lines.len(), sent.len()), (3, 1), "{lines:#?}");
    assert_eq!(sent[0]["phone_number"], NUMBER);
    assert_eq!(environment.record().phone_number, NUMBER);
}

#[test]
fn where_every_number_is_refused_nothing_was_sent() {
    let provider = FakeProvider::twilio();
    provider.always(Reply::twilio_error(401, 20003, "Authenticate"));
    let environment = provider.environment();
    let run = environment.run(&["send", "+12025550143", NUMBER]).expect_code(1);
    for part in ["+12025550143", NUMBER, "20003"] {
        assert!(run.stderr.contains(part), "{run:#?}");
    }
    assert_eq!(environment.records(), []);
}

#[test]
fn a_number_given_twice_gets_one_message() {
    let provider = FakeProvider::twilio();
    let environment = provider.environment();
    let lines =
        environment.run(&["--format", "json", "send", NUMBER, NUMBER]).expect_code(0).json_lines();
    assert_eq!(lines.len(), 2, "{lines:#?}");
    assert_eq!(provider.accepted().len(), 1);
    assert_eq!(code_in(&provider.accepted()[0].text), environment.record().security_code);
}

#[test]
fn the_database_is_free_while_the_provider_is_called() {
    let provider = FakeProvider::twilio();
    let environment = provider.environment();
    environment.send("+12025550143");
    let held = provider.hold_next();
    let program = environment.start(&["send", NUMBER]);
    held.wait_for_arrival();
    let database = environment.database();
    database.busy_timeout(std::time::Duration::ZERO).expect("no patience");
    database
        .execute_batch("BEGIN IMMEDIATE; UPDATE sms_verification SET failed_attempts = 1; COMMIT;")
        .expect("nobody holds a lock");
    let stored = environment.records().into_iter().any(|record| record.phone_number == NUMBER);
    assert!(stored, "the record is stored before the provider is called");
    held.release(Reply::accept());
    finish(program).expect_code(0);
}

#[test]
fn a_send_that_is_answered_late_spares_the_newer_code() {
    for (late, told) in [
        (Reply::accept(), "superseded"),
        (Reply::twilio_error(400, 21211, "Invalid 'To' Phone Number"), "not sent"),
        (Reply::close().although_accepted(), "superseded"),
    ] {
        let provider = FakeProvider::twilio();
        let environment = provider.environment();
        let held = provider.hold_next();
        let program = environment.start(&["send", NUMBER]);
        held.wait_for_arrival();
        let newer = environment.send(NUMBER);
        held.release(late);
        let run = finish(program).expect_code(1);
        assert_eq!(run.stdout, format!("{NUMBER} {told}\n"));
        assert_eq!(environment.record(), newer);
        environment.verify(&newer).expect_code(0);
    }
}

#[test]
fn a_secret_that_cannot_be_had_stops_a_send_before_anything_is_written() {
    let provider = FakeProvider::twilio().never_called();
    for (source, named) in [
        ("{ env = \"TWILIO_SECRET\" }", "TWILIO_SECRET"),
        ("{ file = \"missing-secret\" }", "missing-secret"),
    ] {
        let settings = provider.settings("", "").replace("\"twilio-auth-token\"", source);
        let environment = Environment::with_settings(&settings);
        let run = environment.run(&["send", NUMBER]).expect_code(2);
        assert!(run.stderr.contains("error: "), "{run:#?}");
        assert!(run.stderr.contains("secret") && run.stderr.contains(named), "{run:#?}");
        environment.expect_no_database();
    }
}

#[test]
fn many_numbers_share_connections() {
    let provider = FakeProvider::twilio();
    let numbers: Vec<String> = (100..200).map(|last| format!("+12025550{last}")).collect();
    let mut arguments = vec!["send"];
    arguments.extend(numbers.iter().map(String::as_str));
    provider.environment().run(&arguments).expect_code(0);
    let log = provider.log();
    assert_eq!(log.accepted.len(), 100);
    assert!(log.connections < 100, "{} connections for 100 requests", log.connections);
}
