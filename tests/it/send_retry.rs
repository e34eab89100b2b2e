//! `send` to a provider that is busy or out of reach: what is tried again, how often, and after which pause.

use std::io::{BufRead, BufReader, Lines};
use std::net::SocketAddr;
use std::process::{Child, ChildStderr};

use serde_json::Value;

use crate::support::{
    Environment, FakeProvider, NUMBER, Reception, Reply, TRUSTED_CERTIFICATE, TWO_ATTEMPTS,
    error_of, finish, run_command,
};

/// Runs a send that has to fail as unavailable and returns its line.
#[track_caller]
fn unavailable_line(environment: &Environment) -> Value {
    let run = environment.run(&["--format", "json", "send", NUMBER]).expect_code(1);
    let line = run.json();
    assert_eq!(error_of(&line).0, "unavailable", "{run:#?}");
    assert!(line.get("session_token").is_none(), "{run:#?}");
    line
}

/// Asserts that `provider` got the same message `count` times.
#[track_caller]
fn expect_attempts(provider: &FakeProvider, count: usize) {
    let requests = provider.requests();
    assert_eq!(requests.len(), count, "{requests:#?}");
    assert!(requests.iter().all(|request| request.body == requests[0].body), "{requests:#?}");
}

#[test]
fn a_throttled_message_is_tried_again_and_sent_once() {
    for (provider, busy) in [
        (FakeProvider::twilio(), Reply::throttled()),
        (FakeProvider::twilio(), Reply::html(429)),
        (FakeProvider::twilio(), Reply::twilio_error(503, 20503, "Service Unavailable")),
        (FakeProvider::twilio(), Reply::html(503)),
        (FakeProvider::nexmo(), Reply::nexmo_error("1", "Throughput Rate Exceeded")),
        (FakeProvider::nexmo(), Reply::nexmo_error("10", "Too Many Existing Binds")),
        (FakeProvider::nexmo(), Reply::answer(429, "")),
        (FakeProvider::nexmo(), Reply::answer(503, "")),
    ] {
        provider.next(busy.retry_after_seconds(0));
        let environment = provider.environment();
        let record = environment.send(NUMBER);
        expect_attempts(&provider, 2);
        assert_eq!(provider.accepted().len(), 1);
        assert!(provider.accepted()[0].text.contains(&record.security_code));
        assert_eq!(environment.record(), record);
    }
}

#[test]
fn whether_a_code_still_counts_is_found_out_though_another_program_writes_to_the_database() {
    let provider = FakeProvider::twilio();
    let environment = provider.environment();
    let first = provider.hold_next();
    let program = environment.start(&["send", NUMBER]);
    first.wait_for_arrival();
    let second = provider.hold_next();
    let lock = environment.database();
    lock.execute_batch("BEGIN IMMEDIATE").expect("a lock");
    first.release(Reply::throttled().retry_after_seconds(0));
    second.wait_for_arrival();
    lock.execute_batch("ROLLBACK").expect("the lock is ours");
    second.release(Reply::accept());
    finish(program).expect_code(0);
}

#[test]
fn four_attempts_are_made_unless_told_otherwise() {
    for (delivery, attempts) in [
        ("", 4),
        ("[delivery]\nmax_attempts = 1", 1),
        ("[delivery]\nmax_attempts = 3", 3),
        ("[delivery]\nmax_attempts = 6", 6),
    ] {
        let provider = FakeProvider::twilio();
        provider.always(Reply::throttled().retry_after_seconds(0));
        let line = unavailable_line(&provider.environment_with("", delivery));
        assert_eq!(error_of(&line).1, Some("20429"));
        let message = line["error"]["message"].as_str().expect("words");
        assert!(message.contains("Too Many Requests"), "{message}");
        expect_attempts(&provider, attempts);
    }
}

#[test]
fn an_unavailable_provider_leaves_the_earlier_code_working() {
    let provider = FakeProvider::twilio();
    let environment = provider.environment_with("", TWO_ATTEMPTS);
    let earlier = environment.send(NUMBER);
    provider.always(Reply::throttled());
    unavailable_line(&environment);
    assert_eq!(environment.record(), earlier);
    environment.verify(&earlier).expect_code(0);
}

#[test]
fn in_text_an_unavailable_provider_is_an_error_with_its_words() {
    let provider = FakeProvider::nexmo();
    provider.always(Reply::nexmo_error("1", "Throughput Rate Exceeded"));
    let environment = provider.environment_with("", TWO_ATTEMPTS);
    let run = environment.run(&["send", NUMBER]).expect_code(1);
    assert!(run.stderr.contains("error: "), "{run:#?}");
    for part in [NUMBER, "Throughput Rate Exceeded"] {
        assert!(run.stderr.contains(part), "{run:#?}");
    }
    assert!(!run.stderr.contains("may or may not arrive"), "{run:#?}");
    expect_attempts(&provider, 2);
}

#[test]
fn vonages_own_throttling_uses_up_the_attempts_and_keeps_its_status() {
    for status in ["1", "10"] {
        let provider = FakeProvider::nexmo();
        provider.always(Reply::nexmo_error(status, "Busy").retry_after_seconds(0));
        let line = unavailable_line(&provider.environment());
        assert_eq!(error_of(&line).1, Some(status));
        expect_attempts(&provider, 4);
    }
}

#[test]
fn a_retry_may_end_in_a_refusal_or_in_the_unknown() {
    for (reply, kind) in [
        (Reply::twilio_error(400, 21211, "Invalid 'To' Phone Number"), "rejected"),
        (Reply::close().although_accepted(), "unknown"),
        (Reply::answer(500, "{}").although_accepted(), "unknown"),
    ] {
        let provider = FakeProvider::twilio();
        provider.next(Reply::throttled().retry_after_seconds(0));
        provider.next(reply);
        let environment = provider.environment();
        let line = environment.run(&["--format", "json", "send", NUMBER]).expect_code(1).json();
        assert_eq!(error_of(&line).0, kind);
        assert_eq!(environment.records().len(), usize::from(kind == "unknown"));
        expect_attempts(&provider, 2);
    }
}

#[test]
fn retry_after_is_honoured_in_both_of_its_forms() {
    // The provider itself objects to whoever comes back before the time that it told.
    for busy in [Reply::throttled().retry_after_seconds(4), Reply::html(503).retry_after_date(4)] {
        let provider = FakeProvider::twilio();
        provider.next(busy);
        provider.environment().send(NUMBER);
        expect_attempts(&provider, 2);
    }
}

#[test]
fn a_retry_after_that_makes_no_sense_or_lies_in_the_past_does_not_stop_the_retry() {
    for value in ["soon", "-1", "", "99999999999999999999999", "Thu, 24 Aug 2023 05:01:45 GMT"] {
        let provider = FakeProvider::twilio();
        provider.next(Reply::throttled().header("Retry-After", value));
        provider.environment().send(NUMBER);
        expect_attempts(&provider, 2);
    }
}

#[test]
fn a_retry_after_of_a_day_is_cut_to_30_seconds() {
    let provider = FakeProvider::twilio();
    provider.always(Reply::throttled().header("Retry-After", "86400"));
    let (mut program, _, line) = start_until_retry(&provider.environment());
    assert!(line.contains("30"), "{line}");
    program.kill().expect("it waits for its next attempt");
    finish(program);
    expect_attempts(&provider, 1);
}

/// Starts a send and reads its log until it says that it is going to try again; returns that line and what follows.
#[track_caller]
fn start_until_retry(environment: &Environment) -> (Child, Lines<BufReader<ChildStderr>>, String) {
    let mut program = environment.start(&["-v", "send", NUMBER]);
    let mut log = BufReader::new(program.stderr.take().expect("stderr is piped")).lines();
    let line = log.by_ref().map_while(Result::ok).find(|line| line.contains("again"));
    (program, log, line.expect("a retry is logged"))
}

#[test]
fn a_connection_that_is_refused_is_tried_again() {
    // Nobody listens at this port of another loopback address, and no one else gets it.
    let elsewhere = FakeProvider::twilio().never_called();
    let address = SocketAddr::from(([127, 0, 0, 2], elsewhere.port()));
    let settings =
        elsewhere.settings_at(&format!("http://{address}"), "", "[delivery]\nmax_attempts = 8");
    let environment = Environment::with_settings(&settings);
    let (program, log, _) = start_until_retry(&environment);
    let provider = FakeProvider::twilio_at(address);
    // The rest is read to its end so that the program never waits for a reader.
    let rest: Vec<String> = log.map_while(Result::ok).collect();
    let run = finish(program);
    assert_eq!(run.code, Some(0), "{run:#?} {rest:#?}");
    expect_attempts(&provider, 1);
}

#[test]
fn a_provider_that_is_not_there_is_unavailable() {
    let provider = FakeProvider::twilio().never_called();
    let base_url = format!("http://127.0.0.2:{}", provider.port());
    let settings = provider.settings_at(&base_url, "", TWO_ATTEMPTS);
    let environment = Environment::with_settings(&settings);
    assert_eq!(error_of(&unavailable_line(&environment)).1, None);
    assert_eq!(environment.records(), []);
}

#[test]
fn a_failed_tls_handshake_is_tried_again() {
    for reception in [Reception::Http, Reception::Silence, Reception::Close] {
        let provider = FakeProvider::twilio_receiving(reception).never_called();
        let base_url = format!("https://127.0.0.1:{}", provider.port());
        let settings = provider.settings_at(&base_url, "", TWO_ATTEMPTS);
        let environment = Environment::with_settings(&settings);
        assert_eq!(error_of(&unavailable_line(&environment)).1, None);
        assert_eq!(provider.log().connections, 2, "{reception:?}");
        assert_eq!(environment.records(), []);
    }
}

#[test]
fn a_certificate_that_nobody_trusts_is_refused_and_one_that_is_trusted_serves() {
    let provider = FakeProvider::twilio_receiving(Reception::Tls);
    let environment = provider.environment_with("", TWO_ATTEMPTS);
    unavailable_line(&environment);
    assert_eq!(provider.log().connections, 2);
    assert_eq!(provider.requests().len(), 0);
    environment.write("trusted.pem", TRUSTED_CERTIFICATE);
    let mut command = environment.command(&["--format", "json", "send", NUMBER]);
    command.env("SSL_CERT_FILE", environment.path("trusted.pem"));
    let run = run_command(command);
    assert_eq!(run.expect_code(0).json()["message_id"], provider.accepted()[0].message_id.as_str());
}

#[test]
fn a_proxy_from_the_environment_is_asked() {
    for (variable, base_url, target) in [
        ("HTTPS_PROXY", "https://provider.invalid", "provider.invalid:443"),
        ("https_proxy", "https://provider.invalid:8443", "provider.invalid:8443"),
        ("ALL_PROXY", "https://provider.invalid", "provider.invalid:443"),
    ] {
        let proxy = FakeProvider::proxy();
        let settings = proxy.settings_at(base_url, "", TWO_ATTEMPTS);
        let environment = Environment::with_settings(&settings);
        let mut command = environment.command(&["--format", "json", "send", NUMBER]);
        command.env(variable, proxy.base_url());
        let line = run_command(command).expect_code(1).json();
        assert_eq!(error_of(&line).0, "unavailable");
        let targets: Vec<String> =
            proxy.requests().into_iter().map(|request| request.path).collect();
        assert_eq!(targets, [target, target]);
    }
}

#[test]
fn without_a_base_url_the_providers_own_address_is_used() {
    // The proxy keeps the test on loopback: it is told where to go, and goes nowhere.
    for (settings, target) in [
        (FakeProvider::twilio().never_called().settings("", TWO_ATTEMPTS), "api.twilio.com:443"),
        (FakeProvider::nexmo().never_called().settings("", TWO_ATTEMPTS), "rest.nexmo.com:443"),
    ] {
        let proxy = FakeProvider::proxy();
        let lines: Vec<&str> =
            settings.lines().filter(|line| !line.starts_with("base_url")).collect();
        let environment = Environment::with_settings(&lines.join("\n"));
        let mut command = environment.command(&["send", NUMBER]);
        command.env("ALL_PROXY", proxy.base_url()).env("HTTPS_PROXY", proxy.base_url());
        run_command(command).expect_code(1);
        assert_eq!(proxy.requests()[0].path, target);
    }
}

#[test]
fn a_provider_on_this_machine_is_called_without_a_proxy_which_would_read_the_secrets() {
    for variable in ["HTTP_PROXY", "http_proxy", "ALL_PROXY"] {
        let proxy = FakeProvider::proxy().never_called();
        let provider = FakeProvider::twilio();
        let environment = provider.environment();
        let mut command = environment.command(&["send", NUMBER]);
        command.env(variable, proxy.base_url());
        run_command(command).expect_code(0);
        expect_attempts(&provider, 1);
    }
}

#[test]
fn messages_that_are_throttled_together_come_back_at_different_times() {
    let provider = FakeProvider::twilio();
    provider.always(Reply::throttled());
    let environment = provider.environment_with("", TWO_ATTEMPTS);
    let numbers = ["+12025550101", "+12025550102", "+12025550103", "+12025550104"];
    let run = environment.run(&[&["-v", "send"][..], &numbers].concat()).expect_code(1);
    let mut pauses: Vec<&str> =
        run.stderr.lines().filter(|line| line.contains("again in")).collect();
    assert_eq!(pauses.len(), numbers.len(), "{run:#?}");
    pauses.sort_unstable();
    pauses.dedup();
    assert!(pauses.len() > 1, "{run:#?}");
}
