//! The proxies of the environment: which one is asked, what errors say about it, and what can't be used.

use crate::support::{
    Checks, Environment, FakeProvider, NUMBER, PastDelivery, Reception, Reply, Run,
    TRUSTED_CERTIFICATE, TWO_SHORT_ATTEMPTS, run_command,
};

/// Proxies that can't be used, and what is wrong with each.
const UNUSABLE: [(&str, &str); 4] = [
    ("socks5h://127.0.0.1:1080", "SOCKS is not supported"),
    ("ftp://127.0.0.1", "neither http nor https"),
    ("http://user:p4ssword@127.0.0.1:99999", "isn't a URL"),
    ("http://user:12/p4ssword@127.0.0.1", "follows its host and port"),
];

/// Returns an environment on a Twilio whose address has TLS, so that a proxy is asked for it.
fn environment() -> Environment {
    let provider = FakeProvider::twilio().never_called();
    let base_url = "https://provider.invalid";
    Environment::with_settings(&provider.settings_at(base_url, "", TWO_SHORT_ATTEMPTS))
}

fn run(environment: &Environment, variables: &[(&str, &str)], arguments: &[&str]) -> Run {
    let mut command = environment.command(arguments);
    command.envs(variables.iter().copied());
    run_command(command)
}

#[test]
fn a_proxy_that_can_not_be_used_is_a_settings_error_before_anything_is_stored() {
    for (proxy, problem) in UNUSABLE {
        for variable in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
            let environment = environment();
            let run = run(&environment, &[(variable, proxy)], &["send", NUMBER]).expect_code(2);
            let error = format!("error: the proxy in {variable} can't be used: ");
            assert!(run.stderr.starts_with(&error), "{run:#?}");
            assert!(run.stderr.contains(problem) && run.stderr.contains("\nhint: "), "{run:#?}");
            assert!(!run.stderr.contains("p4ss"), "{run:#?}");
            assert_eq!(run.stdout, "");
            environment.expect_no_database();
        }
    }
}

#[test]
fn a_proxy_that_can_not_be_used_is_told_by_whatever_would_call_the_provider_and_by_nothing_else() {
    let environment = environment();
    environment.run(&["migrate"]).expect_code(0);
    let socks = [("ALL_PROXY", "socks5://127.0.0.1:1080")];
    let refresh = ["status", NUMBER, "--refresh"];
    assert!(run(&environment, &socks, &refresh).expect_code(2).stderr.contains("ALL_PROXY"));
    for arguments in
        [&["send", "--dry-run", NUMBER][..], &["status", NUMBER], &["list"], &["purge"]]
    {
        run(&environment, &socks, arguments).expect_code(0);
    }
    let doctor = |arguments: &[&str], code| {
        let arguments = [&["--format", "json", "doctor"], arguments].concat();
        Checks::from_run(run(&environment, &socks, &arguments).expect_code(code))
    };
    let checks = doctor(&[], 1);
    checks.expect("provider.proxy", "failure", &["ALL_PROXY", "SOCKS", "NO_PROXY"]);
    assert_eq!(checks.names("provider"), ["proxy"]);
    assert_eq!(doctor(&["--offline"], 0).names("provider"), [""; 0]);
}

#[test]
fn a_proxy_that_is_not_asked_needs_not_work() {
    let socks = ("ALL_PROXY", "socks5://127.0.0.1:1080");
    let provider = FakeProvider::twilio();
    run(&provider.environment(), &[socks], &["send", NUMBER]).expect_code(0);
    let provider = FakeProvider::twilio_receiving(Reception::Tls);
    let environment = provider.environment();
    environment.write("trusted.pem", TRUSTED_CERTIFICATE);
    let trusted = environment.path("trusted.pem");
    let trusted = ("SSL_CERT_FILE", trusted.to_str().expect("a path in UTF-8"));
    run(&environment, &[socks, trusted, ("NO_PROXY", "127.0.0.1")], &["send", NUMBER])
        .expect_code(0);
}

#[test]
fn an_error_names_the_proxy_and_neither_its_user_nor_its_password() {
    for (status, reason) in [
        (407, "the proxy asks for a user name and a password\nhint: give the proxy's user name"),
        (502, "the proxy refuses the connection\nhint: "),
    ] {
        let proxy = FakeProvider::proxy();
        proxy.always(Reply::answer(status, "p4ssword"));
        let address = proxy.base_url();
        let with_password = address.replace("http://", "http://us3r:p4ssword@");
        let variables = [("HTTPS_PROXY", &*with_password)];
        let environment = environment();
        let send = run(&environment, &variables, &["-vvv", "send", NUMBER]).expect_code(1);
        let error = format!(
            "{NUMBER} was not sent: the provider could not be reached through the proxy {address}: {reason}"
        );
        assert!(send.stderr.contains(&error), "{send:#?}");
        let authorization = proxy.requests()[0].header("proxy-authorization").map(str::to_owned);
        assert_eq!(authorization.as_deref(), Some("Basic dXMzcjpwNHNzd29yZA=="));
        let doctor = run(&environment, &variables, &["doctor"]).expect_code(1);
        assert!(doctor.stdout.contains(&address), "{doctor:#?}");
        let shown = format!("{send:?}{doctor:?}");
        assert!(!shown.contains("us3r") && !shown.contains("p4ssword"), "{shown}");
    }
}

#[test]
fn a_proxy_that_is_not_there_is_named_as_well() {
    let proxy = FakeProvider::proxy().never_called();
    let address = proxy.base_url();
    drop(proxy);
    let send = run(&environment(), &[("all_proxy", &address)], &["send", NUMBER]).expect_code(1);
    assert!(send.stderr.contains(&format!("through the proxy {address}: ")), "{send:#?}");
    assert!(send.stderr.contains(": the connection was refused\n"), "{send:#?}");
}

#[test]
fn an_unknown_issuer_leads_to_the_variable_that_names_its_certificate() {
    const PROBLEM: &str =
        "the provider could not be reached: the issuer of its certificate is unknown";
    let provider = FakeProvider::twilio_receiving(Reception::Tls).never_called();
    let environment = provider.environment_with("", TWO_SHORT_ATTEMPTS);
    let send = environment.run(&["send", NUMBER]).expect_code(1);
    assert!(send.stderr.contains(PROBLEM), "{send:#?}");
    let (_, hint) = send.stderr.split_once("\nhint: ").expect("a hint");
    assert!(hint.contains("SSL_CERT_FILE"), "{send:#?}");
    environment.doctor(1, &[]).expect("provider.tls", "failure", &[PROBLEM, "SSL_CERT_FILE"]);
    environment.run(&["migrate"]).expect_code(0);
    let accepted = PastDelivery { message_id: Some("SM0"), ..PastDelivery::default() };
    environment.insert_delivery(&accepted);
    let status = environment.run(&["status", NUMBER, "--refresh"]).expect_code(1);
    assert!(
        status.stderr.contains(PROBLEM) && status.stderr.contains("SSL_CERT_FILE"),
        "{status:#?}"
    );
}
