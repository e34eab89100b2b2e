//! Settings: the names of the backends and the options that each of them takes.

use crate::support::{Environment, NUMBER, expect_accepted, expect_refused, expect_settings_error};

const TWILIO_OPTIONS: &str = "sid = \"AC\"\nsecret = \"s\"\nfrom = \"+14755292729\"\n";
const NEXMO_OPTIONS: &str = "key = \"k\"\nsecret = \"s\"\nfrom = \"Example\"\n";

fn settings(backend: &str, options: &str) -> String {
    format!("backend = \"{backend}\"\n[options]\n{options}")
}

#[test]
fn every_name_of_a_live_backend_is_accepted_with_its_own_options() {
    let twilio = ["twilio", "phone_verify.backends.twilio.TwilioBackend"];
    let nexmo = ["nexmo", "vonage", "phone_verify.backends.nexmo.NexmoBackend"];
    for name in twilio {
        expect_accepted(&settings(name, TWILIO_OPTIONS));
        expect_refused(&settings(name, &format!("{TWILIO_OPTIONS}key = \"9876543\"\n")), 6, "key");
    }
    for name in nexmo {
        expect_accepted(&settings(name, NEXMO_OPTIONS));
        expect_refused(&settings(name, &format!("{NEXMO_OPTIONS}sid = \"9876543\"\n")), 6, "sid");
    }
}

#[test]
fn every_name_of_a_sandbox_means_its_canonical_one() {
    for (name, canonical, options) in [
        ("twilio-sandbox", "twilio-sandbox", TWILIO_OPTIONS),
        ("phone_verify.backends.twilio.TwilioSandboxBackend", "twilio-sandbox", TWILIO_OPTIONS),
        ("nexmo-sandbox", "nexmo-sandbox", NEXMO_OPTIONS),
        ("vonage-sandbox", "nexmo-sandbox", NEXMO_OPTIONS),
        ("phone_verify.backends.nexmo.NexmoSandboxBackend", "nexmo-sandbox", NEXMO_OPTIONS),
    ] {
        // A sandbox needs its token alone, and accepts what its live backend needs.
        for further in ["", options] {
            let environment = Environment::with_settings(&settings(
                name,
                &format!("sandbox_token = \"123456\"\n{further}"),
            ));
            let run = environment.run(&["--format", "json", "send", NUMBER]).expect_code(0);
            assert_eq!(run.json()["backend"], canonical, "{name}");
        }
    }
}

#[test]
fn the_console_needs_no_options() {
    let environment = Environment::with_settings("backend = \"console\"\n");
    let run = environment.run(&["--format", "json", "send", NUMBER]).expect_code(0);
    assert_eq!(run.json()["backend"], "console");
    assert!(run.stderr.contains("Please use security code"), "{run:#?}");
}

#[test]
fn only_the_name_of_the_backend_changes_between_test_and_live() {
    for (live, options) in [("twilio", TWILIO_OPTIONS), ("nexmo", NEXMO_OPTIONS)] {
        let both = format!("{options}sandbox_token = \"123456\"\n");
        expect_accepted(&settings(&format!("{live}-sandbox"), &both));
        expect_accepted(&settings(live, &both));
    }
}

#[test]
fn a_backend_that_does_not_exist_is_refused() {
    for name in [
        "9876543",
        "",
        "Twilio2",
        "phone_verify.backends.kavenegar.KavenegarBackend",
        "mysite.backends.9876543",
    ] {
        expect_refused(&format!("\nbackend = \"{name}\"\n"), 2, "backend");
    }
}

#[test]
fn a_backend_needs_its_own_options() {
    for (name, options, key) in [
        ("twilio", "secret = \"9876543\"\nfrom = \"+14755292729\"\n", "sid"),
        ("twilio", "sid = \"AC\"\nfrom = \"+14755292729\"\n", "secret"),
        ("twilio", "sid = \"AC\"\nsecret = \"9876543\"\n", "from"),
        (
            "twilio",
            "sid = \"AC\"\napi_key_sid = \"SK\"\nfrom = \"+14755292729\"\n",
            "api_key_secret",
        ),
        (
            "twilio",
            "sid = \"AC\"\napi_key_secret = \"9876543\"\nfrom = \"+14755292729\"\n",
            "api_key_sid",
        ),
        ("nexmo", "secret = \"9876543\"\nfrom = \"Example\"\n", "key"),
        ("nexmo", "key = \"k\"\nfrom = \"Example\"\n", "secret"),
        ("nexmo", "key = \"k\"\nsecret = \"9876543\"\n", "from"),
        ("twilio-sandbox", TWILIO_OPTIONS, "sandbox_token"),
        ("nexmo-sandbox", NEXMO_OPTIONS, "sandbox_token"),
        ("twilio-sandbox", "sandbox_token = \"\"\n", "sandbox_token"),
    ] {
        let environment = Environment::with_settings(&settings(name, options));
        let run = environment.run(&["send", NUMBER]);
        expect_settings_error(run, &environment, "phone-verify.toml", None, key);
    }
    // Without the table of options, too.
    for (name, key) in [("twilio", "sid"), ("nexmo", "key"), ("nexmo-sandbox", "sandbox_token")] {
        let environment = Environment::with_settings(&format!("backend = \"{name}\"\n"));
        let run = environment.run(&["send", NUMBER]).expect_code(2);
        assert!(run.stderr.contains(key), "{run:#?}");
    }
}

#[test]
fn twilio_takes_a_messaging_service_and_an_api_key() {
    expect_accepted(&settings(
        "twilio",
        "sid = \"AC\"\nsecret = \"s\"\nmessaging_service_sid = \"MG\"\n",
    ));
    expect_accepted(&settings(
        "twilio",
        "sid = \"AC\"\napi_key_sid = \"SK\"\napi_key_secret = \"s\"\nfrom = \"+14755292729\"\n",
    ));
}

#[test]
fn a_base_url_is_https_or_http_to_loopback() {
    for (name, options) in [("twilio", TWILIO_OPTIONS), ("nexmo", NEXMO_OPTIONS)] {
        let with = |url: &str| settings(name, &format!("{options}base_url = \"{url}\"\n"));
        for url in [
            "https://sms.example.com",
            "https://sms.example.com:8443/prefix",
            "http://127.0.0.1:8080",
            "http://127.8.9.10",
            "http://localhost:8080/",
            "http://[::1]:8080",
        ] {
            expect_accepted(&with(url));
        }
        for url in [
            "http://9876543.example.com",
            "http://127.0.0.1.9876543.example.com",
            "http://localhost.9876543.example.com",
            "http://127.0.0.1@9876543.example.com",
            "http://0.0.0.0/9876543",
            "ftp://127.0.0.1/9876543",
            "file:///9876543",
            "9876543.example.com",
            "https://sms.example.com/?9876543",
            "https://",
            "",
        ] {
            expect_refused(&with(url), 6, "base_url");
        }
    }
}
