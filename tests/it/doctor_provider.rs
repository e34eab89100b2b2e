//! `doctor` on the provider: what it asks, what it makes of the answers, and that it sends nothing.

use std::io::{Read, Write};
use std::net::TcpListener;

use crate::support::{
    Checks, Environment, FakeProvider, NexmoAccount, Reception, Reply, TRUSTED_CERTIFICATE,
    TwilioAccount, page_of_numbers, run_command,
};

const TWILIO_CHECKS: [&str; 6] = ["name", "tls", "credentials", "sender", "balance", "clock"];

/// So much patience is enough on loopback.
const IMPATIENT: &str = "[delivery]\nconnect_timeout_seconds = 5\ntimeout_seconds = 10\n";

/// Returns an environment that leads to `provider`, with a database.
fn environment(provider: &FakeProvider) -> Environment {
    let environment = provider.environment_with("", IMPATIENT);
    environment.run(&["migrate"]).expect_code(0);
    environment
}

/// Runs `doctor` on a Twilio that answers the question whose path contains `path` with `reply`, and all others as usual.
#[track_caller]
fn twilio_answering(path: &'static str, reply: Reply, code: i32) -> Checks {
    let provider = FakeProvider::twilio();
    provider.answer_questions_with(move |request| match request.path.contains(path) {
        true => reply.clone(),
        false => Reply::resource(),
    });
    environment(&provider).doctor(code, &[])
}

#[test]
fn twilio_is_asked_for_account_number_and_balance_and_nothing_is_sent() {
    let provider = FakeProvider::twilio();
    let checks = environment(&provider).doctor(0, &[]);
    assert_eq!(checks.names("provider"), TWILIO_CHECKS);
    checks.expect("provider.name", "ok", &["127.0.0.1"]);
    checks.expect("provider.tls", "ok", &["no TLS"]);
    checks.expect("provider.sender", "ok", &["+14755292729"]);
    checks.expect("provider.balance", "ok", &["12.29 USD"]);
    checks.expect("provider.clock", "ok", &[]);
    let requests = provider.requests();
    assert_eq!(requests.len(), 3, "{requests:#?}");
    assert_eq!(requests.len(), provider.questions().len());
}

#[test]
fn vonage_is_asked_for_its_balance_and_nothing_is_sent() {
    let provider = FakeProvider::nexmo();
    let checks = environment(&provider).doctor(0, &[]);
    assert_eq!(checks.names("provider"), TWILIO_CHECKS);
    checks.expect("provider.credentials", "ok", &[]);
    checks.expect("provider.sender", "ok", &["AcmeInc isn't checked"]);
    checks.expect("provider.balance", "ok", &["10.28 EUR"]);
    assert_eq!(provider.questions().len(), 1);
    assert_eq!(provider.requests().len(), 1);
}

#[test]
fn offline_asks_nobody() {
    let provider = FakeProvider::twilio().never_called();
    let checks = environment(&provider).doctor(0, &["--offline"]);
    assert_eq!(checks.names("provider"), [""; 0]);
}

#[test]
fn credentials_that_are_refused_are_a_failure_in_the_providers_words() {
    let reply = Reply::twilio_error(401, 20003, "Authenticate");
    let checks = twilio_answering("/Accounts/", reply, 1);
    checks.expect("provider.credentials", "failure", &["Authenticate (20003)", "[options]"]);
    assert_eq!(checks.names("provider"), ["name", "tls", "credentials", "clock"]);
    let provider = FakeProvider::nexmo();
    let words = r#"{"error-code":"420","error-code-label":"authentication failed"}"#;
    provider.answer_questions_with(move |_| Reply::answer(401, words));
    let checks = environment(&provider).doctor(1, &[]);
    checks.expect("provider.credentials", "failure", &["authentication failed (420)"]);
}

#[test]
fn an_account_that_can_not_send_to_everybody_is_told() {
    let account = |status: &str, kind: &str| {
        let account = serde_json::json!({"sid": "AC", "status": status, "type": kind});
        Reply::answer(200, account.to_string())
    };
    for (reply, status, code, part) in [
        (account("active", "Trial"), "warning", 0, "trial"),
        (account("suspended", "Full"), "failure", 1, "suspended"),
        (account("closed", "Full"), "failure", 1, "closed"),
    ] {
        let path = "/Accounts/AC00000000000000000000000000000000.json";
        twilio_answering(path, reply, code).expect("provider.credentials", status, &[part]);
    }
}

#[test]
fn a_sender_that_can_not_send_is_a_failure() {
    for (listed, part) in [
        (page_of_numbers(&[]), "isn't a number of the account"),
        (page_of_numbers(&[("+14755292720", true)]), "isn't a number of the account"),
        (page_of_numbers(&[("+14755292729", false)]), "can't send SMS"),
    ] {
        let reply = Reply::answer(200, listed.to_string());
        let checks = twilio_answering("/IncomingPhoneNumbers", reply, 1);
        checks.expect(
            "provider.sender",
            "failure",
            &["+14755292729", part, "number of the account"],
        );
    }
}

#[test]
fn a_sender_that_is_no_number_is_not_asked_for() {
    for account in [
        TwilioAccount { from: "AcmeInc".to_owned(), ..TwilioAccount::default() },
        TwilioAccount {
            messaging_service_sid: Some("MG00000000000000000000000000000000".to_owned()),
            ..TwilioAccount::default()
        },
    ] {
        let provider = FakeProvider::twilio_with(account);
        let checks = environment(&provider).doctor(0, &[]);
        checks.expect("provider.sender", "ok", &["isn't checked"]);
        assert_eq!(provider.requests().len(), 2);
    }
}

#[test]
fn an_account_that_is_soon_empty_is_a_warning() {
    for balance in ["0.99", "0", "-3.5", "NaN", "1e999", "plenty", ""] {
        let body = serde_json::json!({"account_sid": "AC", "balance": balance, "currency": "USD"});
        let checks = twilio_answering("/Balance", Reply::answer(200, body.to_string()), 0);
        checks.expect("provider.balance", "warning", &[balance, "USD"]);
    }
    let body = serde_json::json!({"account_sid": "AC", "balance": "1", "currency": "USD"});
    let checks = twilio_answering("/Balance", Reply::answer(200, body.to_string()), 0);
    checks.expect("provider.balance", "ok", &["1 USD"]);
}

#[test]
fn a_secret_that_the_provider_repeats_is_masked_wherever_it_stands() {
    for (path, answer, check) in [
        (
            "/Accounts/AC00000000000000000000000000000000.json",
            serde_json::json!({"status": "no twilio-auth-token, no SMS", "type": "Full"}),
            "provider.credentials",
        ),
        (
            "/Balance",
            serde_json::json!({"balance": "0", "currency": "no twilio-auth-token, no SMS"}),
            "provider.balance",
        ),
    ] {
        let provider = FakeProvider::twilio();
        provider.answer_questions_with(move |request| match request.path.contains(path) {
            true => Reply::answer(200, answer.to_string()),
            false => Reply::resource(),
        });
        let run = environment(&provider).run(&["--format", "json", "doctor"]);
        let line = run.json_lines().into_iter().find(|line| line["check"] == check);
        let message = line.expect("the check")["message"].to_string();
        assert!(message.contains("no ***, no SMS"), "{message}");
        assert!(!run.stdout.contains("twilio-auth-token"), "{run:#?}");
    }
    // Key and secret leave as one text in Base64.
    let vonage = FakeProvider::nexmo();
    vonage.answer_questions_with(|request| {
        let label = request.header("authorization").expect("credentials");
        Reply::answer(401, serde_json::json!({"error-code-label": label}).to_string())
    });
    let checks = environment(&vonage).doctor(1, &[]);
    checks.expect("provider.credentials", "failure", &["Basic ***"]);
}

#[test]
fn what_is_not_told_is_a_warning_once_the_credentials_hold() {
    for reply in [
        Reply::twilio_error(404, 20404, "The requested resource was not found"),
        Reply::twilio_error(500, 20500, "Internal Server Error"),
        Reply::html(200),
        Reply::close(),
    ] {
        let checks = twilio_answering("/Balance", reply.clone(), 0);
        checks.expect("provider.balance", "warning", &["doesn't say"]);
        let checks = twilio_answering("/IncomingPhoneNumbers", reply, 0);
        checks.expect("provider.sender", "warning", &["doesn't say"]);
    }
}

#[test]
fn an_api_key_that_may_not_ask_for_the_account_is_accepted_where_it_may_ask_for_more() {
    let account = || TwilioAccount {
        api_key_sid: Some("SK00000000000000000000000000000000".to_owned()),
        ..TwilioAccount::default()
    };
    let refusal = || Reply::twilio_error(401, 20003, "Authenticate");
    for (refused, balance, sender) in
        [("none", "ok", "ok"), ("/Balance", "warning", "ok"), ("/Incoming", "ok", "warning")]
    {
        let provider = FakeProvider::twilio_with(account());
        provider.answer_questions_with(move |request| match request.path.contains(refused) {
            true => refusal(),
            false => Reply::resource(),
        });
        provider.answer_next_question(refusal());
        let checks = environment(&provider).doctor(0, &[]);
        checks.expect("provider.credentials", "ok", &[]);
        checks.expect("provider.balance", balance, &[]);
        checks.expect("provider.sender", sender, &[]);
    }
    let provider = FakeProvider::twilio_with(account());
    provider.answer_questions_with(move |_| refusal());
    let checks = environment(&provider).doctor(1, &[]);
    checks.expect("provider.credentials", "failure", &["Authenticate"]);
}

#[test]
fn a_clock_that_is_wrong_is_a_warning() {
    for (ahead_by, part) in [(60, "behind"), (-60, "ahead of")] {
        let provider = FakeProvider::twilio();
        provider.answer_questions_with(move |_| Reply::resource_ahead_by(ahead_by));
        let checks = environment(&provider).doctor(0, &[]);
        checks.expect("provider.clock", "warning", &[part, "set the clock"]);
        // The date has whole seconds and has been under way, so no more is certain.
        let message = checks.message("provider.clock");
        let seconds = message.split(' ').find_map(|word| word.parse::<u64>().ok());
        assert!(seconds.is_some_and(|seconds| seconds <= 60), "{message}");
    }
    let provider = FakeProvider::nexmo();
    provider.answer_questions_with(|_| Reply::resource_ahead_by(20));
    environment(&provider).doctor(0, &[]).expect("provider.clock", "ok", &[]);
}

#[test]
fn a_question_is_asked_twice_at_most() {
    let provider = FakeProvider::twilio();
    provider.answer_next_question(Reply::throttled());
    environment(&provider).doctor(0, &[]).expect("provider.credentials", "ok", &[]);
    let provider = FakeProvider::twilio();
    provider.answer_questions_with(|_| Reply::throttled());
    let checks = environment(&provider).doctor(1, &[]);
    checks.expect("provider.credentials", "failure", &["429", "try again"]);
    assert_eq!(provider.requests().len(), 2);
}

#[test]
fn a_host_that_does_not_resolve_is_a_failure_of_its_name() {
    let provider = FakeProvider::twilio().never_called();
    let settings = provider.settings_at("https://provider.invalid", "", IMPATIENT);
    let checks = Environment::with_settings(&settings).doctor(1, &[]);
    checks.expect("provider.name", "failure", &["provider.invalid", "name server"]);
    assert_eq!(checks.names("provider"), ["name", "tls"]);
}

#[test]
fn a_host_that_is_not_reached_is_a_failure_of_its_connection() {
    let closed = TcpListener::bind("127.0.0.1:0").and_then(|port| port.local_addr());
    let base_url = format!("https://{}", closed.expect("a port that was free"));
    let provider = FakeProvider::twilio().never_called();
    let settings = provider.settings_at(&base_url, "", IMPATIENT);
    let checks = Environment::with_settings(&settings).doctor(1, &[]);
    checks.expect("provider.name", "ok", &[]);
    checks.expect("provider.tls", "failure", &["could not be reached"]);
}

#[test]
fn a_server_without_tls_is_named_as_such() {
    let server = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let base_url = format!("https://{}", server.local_addr().expect("an address"));
    // As a web server does that expects HTTP. It ends with the test.
    std::thread::spawn(move || {
        for mut stream in server.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let provider = FakeProvider::twilio().never_called();
    let settings = provider.settings_at(&base_url, "", IMPATIENT);
    let checks = Environment::with_settings(&settings).doctor(1, &[]);
    checks.expect("provider.tls", "failure", &["could not be reached: it answers without TLS"]);
}

#[test]
fn a_certificate_that_is_not_trusted_is_a_failure_of_tls() {
    let provider = FakeProvider::twilio_receiving(Reception::Tls);
    let environment = environment(&provider);
    let doctor = |certificate: Option<&str>, code| {
        let mut command = environment.command(&["--format", "json", "doctor"]);
        if let Some(certificate) = certificate {
            environment.write("trusted.pem", certificate);
            command.env("SSL_CERT_FILE", environment.path("trusted.pem"));
        }
        let run = run_command(command);
        Checks::from_run(run.expect_code(code))
    };
    let checks = doctor(None, 1);
    checks.expect("provider.tls", "failure", &["certificate", "ca-certificates"]);
    assert_eq!(checks.names("provider"), ["name", "tls"]);
    doctor(Some(TRUSTED_CERTIFICATE), 0).expect("provider.tls", "ok", &["trusted"]);
}

#[test]
fn a_proxy_that_lets_nothing_through_is_a_failure() {
    let proxy = FakeProvider::proxy();
    let settings = proxy.settings_at("https://provider.invalid", "", IMPATIENT);
    let environment = Environment::with_settings(&settings);
    let mut command = environment.command(&["--format", "json", "doctor"]);
    command.env("HTTPS_PROXY", proxy.base_url());
    let run = run_command(command);
    let checks = Checks::from_run(run.expect_code(1));
    checks.expect("provider.name", "failure", &["HTTPS_PROXY"]);
    checks.expect("provider.tls", "failure", &["proxy"]);
}

#[test]
fn the_second_provider_is_looked_at_as_well() {
    let first = FakeProvider::twilio();
    let second = FakeProvider::nexmo_with(NexmoAccount::default());
    let environment = first.environment_with("", &second.fallback_tables());
    environment.run(&["migrate"]).expect_code(0);
    second.answer_next_question(Reply::answer(401, r#"{"error-code":"401"}"#));
    let checks = environment.doctor(1, &[]);
    checks.expect("provider.credentials", "ok", &[]);
    checks.expect("fallback.credentials", "failure", &["401"]);
    let text = environment.run(&["doctor"]).expect_code(0).stdout;
    assert!(text.contains("\nProvider\n") && text.contains("\nFallback\n"), "{text}");
}

#[test]
fn a_program_is_looked_for_and_not_run() {
    let environment = Environment::with_settings(
        "backend = \"command\"\n[options]\ncommand = [\"./send\", \"now\"]\n",
    );
    environment.run(&["migrate"]).expect_code(0);
    environment.doctor(1, &[]).expect("provider.command", "failure", &["send can't be run"]);
    environment.write("send", "#!/bin/sh\ntouch was-run\n");
    environment.set_mode("send", 0o700);
    environment.doctor(0, &[]).expect("provider.command", "ok", &["send"]);
    assert!(!environment.path("was-run").exists());
}

#[test]
fn any_http_api_is_reached_at_its_root_and_told_nothing() {
    let web = FakeProvider::web();
    let environment = Environment::with_settings(&format!(
        "backend = \"http\"\n[options]\nurl = \"{}/sms/{{phone_digits}}?q={{message}}\"\nmethod = \"GET\"\n\
         bearer = \"s3cret\"\n",
        web.base_url()
    ));
    environment.run(&["migrate"]).expect_code(0);
    let checks = environment.doctor(0, &[]);
    assert_eq!(checks.names("provider"), ["name", "tls", "clock"]);
    assert_eq!(web.requests().len(), 1);
}

#[test]
fn credentials_that_are_refused_without_the_providers_words_are_refused_all_the_same() {
    for status in [401, 403] {
        for reply in [Reply::answer(status, ""), Reply::html(status)] {
            let twilio = twilio_answering("/Accounts/", reply.clone(), 1);
            let provider = FakeProvider::nexmo();
            provider.answer_questions_with(move |_| reply.clone());
            for checks in [twilio, environment(&provider).doctor(1, &[])] {
                let message = format!("refuses them: refused with HTTP {status}\"");
                checks.expect("provider.credentials", "failure", &[&message, "[options]"]);
            }
        }
    }
}

#[test]
fn a_redirect_leads_to_the_base_url_and_not_to_the_secret() {
    let reply = Reply::answer(302, "").header("Location", "https://provider.invalid/");
    let checks = twilio_answering("/Accounts/", reply.clone(), 1);
    let parts = ["the answer is a redirect, which is not followed (302)", "base_url"];
    checks.expect("provider.api", "failure", &parts);
    let provider = FakeProvider::nexmo();
    provider.answer_questions_with(move |_| reply.clone());
    environment(&provider).doctor(1, &[]).expect("provider.api", "failure", &parts);
}

#[test]
fn an_answer_that_refuses_nothing_is_not_called_a_refusal() {
    let checks = twilio_answering("/Accounts/", Reply::answer(201, "{}"), 1);
    let parts = ["the answer can't be understood (HTTP 201): no answer with this status"];
    checks.expect("provider.credentials", "failure", &parts);
}

#[test]
fn an_address_at_which_there_is_nothing_is_not_blamed_on_the_credentials() {
    let words = "The requested resource was not found";
    let twilio = twilio_answering("/Accounts/", Reply::twilio_error(404, 20404, words), 1);
    let provider = FakeProvider::nexmo();
    provider.answer_questions_with(|_| Reply::html(404));
    let nexmo = environment(&provider).doctor(1, &[]);
    for (checks, words) in [(twilio, "not found (20404)"), (nexmo, "refused with HTTP 404\"")] {
        let parts = ["nothing at this address: ", words, "the account and base_url"];
        checks.expect("provider.api", "failure", &parts);
        assert_eq!(checks.names("provider"), ["name", "tls", "api", "clock"]);
    }
}

#[test]
fn the_http_status_is_told_once() {
    for (reply, part) in [
        (Reply::answer(429, "{}"), "refused with HTTP 429\""),
        (Reply::html(500), "(HTTP 500): an error of the provider's own\""),
    ] {
        let provider = FakeProvider::nexmo();
        provider.answer_questions_with(move |_| reply.clone());
        environment(&provider).doctor(1, &[]).expect("provider.credentials", "failure", &[part]);
    }
}

#[test]
fn a_clock_that_is_far_off_is_told_in_days_and_a_provider_without_one_is_no_fault() {
    let provider = FakeProvider::nexmo();
    provider.answer_questions_with(|_| Reply::resource_ahead_by(-400 * 86_400));
    let checks = environment(&provider).doctor(0, &[]);
    checks.expect("provider.clock", "warning", &["clock is 400 days ahead of"]);
    let provider = FakeProvider::nexmo();
    provider.answer_questions_with(|_| Reply::answer(200, r#"{"value":10.28,"autoReload":false}"#));
    let checks = environment(&provider).doctor(0, &[]);
    checks.expect("provider.clock", "ok", &["isn't compared"]);
}

#[test]
fn a_certificate_that_has_expired_says_how_long_ago() {
    let provider = FakeProvider::twilio_receiving(Reception::ExpiredTls).never_called();
    let checks = environment(&provider).doctor(1, &[]);
    checks.expect("provider.tls", "failure", &["certificate expired ", " days ago"]);
    assert!(!format!("{checks:?}").contains("UNIX"), "{checks:#?}");
}

#[test]
fn a_certificate_that_is_not_valid_yet_says_from_when_on_it_is() {
    let provider = FakeProvider::twilio_receiving(Reception::FutureTls).never_called();
    let checks = environment(&provider).doctor(1, &[]);
    checks.expect("provider.tls", "failure", &["certificate is not valid yet: ", " days"]);
    assert!(!format!("{checks:?}").contains("UNIX"), "{checks:#?}");
}

#[test]
fn a_certificate_of_an_authority_is_told_in_words() {
    let provider = FakeProvider::twilio_receiving(Reception::AuthorityTls).never_called();
    let checks = environment(&provider).doctor(1, &[]);
    let words = "reached: its certificate is a CA certificate, not a server's";
    checks.expect("provider.tls", "failure", &[words]);
}
