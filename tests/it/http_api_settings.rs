//! `backend = "http"`: settings that are refused.

use crate::support::{Environment, NUMBER};

/// Asserts that these options are refused, with file, line and key, and without any of their values.
#[track_caller]
fn expect_refused(options: &str, line: usize, key: &str, reason: &str) {
    let environment =
        Environment::with_settings(&format!("backend = \"http\"\n[options]\n{options}\n"));
    for format in ["text", "json"] {
        let run = environment.run(&["-vvv", "--format", format, "send", NUMBER]).expect_code(2);
        let place = format!("phone-verify.toml, line {line}: `{key}`");
        assert!(run.stderr.contains(&place), "{options}: {}", run.stderr);
        assert!(run.stderr.contains(reason), "{options}: {}", run.stderr);
        assert!(!format!("{run:?}").contains("v4lue"), "{options}: {run:#?}");
    }
    environment.expect_no_database();
}

/// Options with this address and a body that says what has to be said.
fn with_url(url: &str) -> String {
    format!("url = \"{url}\"\nform = {{ to = \"{{phone_number}}\", text = \"{{message}}\" }}")
}

/// Sound options and this one, on line 5.
fn with(option: &str) -> String {
    format!("{}\n{option}", with_url("https://v4lue.example"))
}

#[test]
fn an_address_is_https_or_this_machine_and_names_no_user() {
    for (url, reason) in [
        ("http://v4lue.example/send", "https"),
        ("http://192.0.2.1/v4lue", "https"),
        ("http://localhost.v4lue.example", "https"),
        ("ftp://localhost/v4lue", "https"),
        ("file:///v4lue", "https"),
        ("v4lue", "must be a URL"),
        ("https://", "must be a URL"),
        ("https://v4lue@sms.example", "user name"),
        ("https://user:v4lue@sms.example", "user name"),
        ("https://sms.example/#v4lue", "fragment"),
        ("https://sms.example/{v4lue}", "placeholder"),
        ("https://sms.example/{message", "`{{`"),
        ("https://sms.example/}v4lue", "`{{`"),
    ] {
        expect_refused(&with_url(url), 3, "options.url", reason);
    }
    expect_refused(
        "form = { to = \"{phone_number}\", text = \"{message}\" }",
        2,
        "options.url",
        "missing",
    );
    expect_refused("url = 5", 3, "options.url", "string");
    expect_refused("url = \"\"", 3, "options.url", "empty");
}

#[test]
fn a_name_is_short_can_be_seen_and_is_that_of_no_backend() {
    for (name, reason) in [
        (" ", "1 to 32 characters"),
        (&*"v4lue".repeat(7), "1 to 32 characters"),
        ("v4lue\\u001b", "1 to 32 characters"),
        ("Twilio", "the name of a backend"),
        ("vonage", "the name of a backend"),
        ("test", "the name of a backend"),
    ] {
        expect_refused(&with(&format!("name = \"{name}\"")), 5, "options.name", reason);
    }
}

#[test]
fn no_placeholder_stands_before_the_path() {
    for url in [
        "https://{phone_digits}.v4lue.example/",
        "https://{message}/v4lue",
        "https://v4lue.example:{phone_digits}/",
        "https://v4lue.example{message}/",
        "{message}",
        "https://{phone_digits}@v4lue.example/",
        "htt{phone_digits}://v4lue.example/",
    ] {
        expect_refused(&with_url(url), 3, "options.url", "must");
    }
}

#[test]
fn a_request_says_what_to_send_and_where_to_and_nothing_unknown() {
    let url = "url = \"https://v4lue.example/send\"";
    for (body, key, reason) in [
        ("", "options.url", "must hold {message}"),
        ("json = { to = \"{phone_number}\" }", "options.url", "must hold {message}"),
        ("form = { text = \"{message}\" }", "options.url", "{phone_number} or {phone_digits}"),
        ("json = { text = \"{{message}} {phone_number}\" }", "options.url", "must hold {message}"),
        ("form = { text = \"{security_code}\" }", "options.form", "no other placeholder"),
        ("json = { a = [{ b = \"{v4lue}\" }] }", "options.json", "no other placeholder"),
        ("json = { a = \"{message\" }", "options.json.a", "`{{`"),
        ("form = { a = \"{message}}\" }", "options.form.a", "`{{`"),
        ("json = { a = \"{}\" }", "options.json.a", "placeholder"),
    ] {
        let line = if key == "options.url" { 3 } else { 4 };
        expect_refused(&format!("{url}\n{body}"), line, key, reason);
    }
}

#[test]
fn a_request_has_one_body_and_one_way_to_sign_in() {
    let json = "json = { to = \"{phone_number}\", text = \"{message}\" }";
    expect_refused(&with(json), 5, "options.json", "form");
    let get = format!("url = \"https://v4lue.example\"\n{json}\nmethod = \"GET\"");
    expect_refused(&get, 4, "options.json", "GET");
    for method in ["\"DELETE\"", "\"post\"", "\"v4lue\""] {
        expect_refused(&with(&format!("method = {method}")), 5, "options.method", "GET, POST, PUT");
    }
    let basic = "basic_auth = { username = \"u\", password = \"v4lue\" }";
    let other = "authorization = { scheme = \"App\", credentials = \"v4lue\" }";
    for (one, another) in
        [(basic, "bearer = \"v4lue\""), (other, "bearer = \"v4lue\""), (basic, other)]
    {
        let both = format!("{}\n{one}\n{another}", with_url("https://v4lue.example"));
        let run = Environment::with_settings(&format!("backend = \"http\"\n[options]\n{both}\n"))
            .run(&["send", NUMBER])
            .expect_code(2);
        assert!(run.stderr.contains("keep one of them"), "{run:#?}");
        assert!(!run.stderr.contains("v4lue"), "{run:#?}");
    }
}

#[test]
fn values_of_another_form_are_refused() {
    for (option, key) in [
        ("accepted_status = 200", "options.accepted_status"),
        ("accepted_status = []", "options.accepted_status"),
        ("accepted_status = [199]", "options.accepted_status"),
        ("accepted_status = [300]", "options.accepted_status"),
        ("accepted_status = [\"v4lue\"]", "options.accepted_status"),
        ("retry_status = [399]", "options.retry_status"),
        ("retry_status = [600]", "options.retry_status"),
        ("retry_status = [200]", "options.retry_status"),
        ("retry_status = [429, \"v4lue\"]", "options.retry_status"),
        ("message_id_pointer = \"v4lue\"", "options.message_id_pointer"),
        ("message_id_pointer = \"\"", "options.message_id_pointer"),
        ("message_id_pointer = \"/v4lue~2b\"", "options.message_id_pointer"),
        ("message_id_pointer = \"/v4lue~\"", "options.message_id_pointer"),
        ("message_id_pointer = [\"/v4lue\"]", "options.message_id_pointer"),
        ("error_code_pointer = \"v4lue\"", "options.error_code_pointer"),
        ("error_code_pointer = \"\"", "options.error_code_pointer"),
        ("error_code_pointer = 5", "options.error_code_pointer"),
        ("error_code_pointer = [\"/a\", \"v4lue\"]", "options.error_code_pointer"),
        ("error_message_pointer = [true]", "options.error_message_pointer"),
        ("error_message_pointer = { a = \"/v4lue\" }", "options.error_message_pointer"),
        ("accepted_pointer = \"v4lue\"\naccepted_value = 1", "options.accepted_pointer"),
        ("accepted_pointer = \"/a\"\naccepted_value = { a = \"v4lue\" }", "options.accepted_value"),
        ("accepted_pointer = \"/a\"\naccepted_value = []", "options.accepted_value"),
        ("headers = \"v4lue\"", "options.headers"),
        ("headers = { X-A = \"{message}\" }", "options.headers.X-A"),
        ("headers = { X-A = [\"v4lue\"] }", "options.headers.X-A"),
        ("headers = { \"X A\" = \"v4lue\" }", "options.headers.X A"),
        ("headers = { authorization = \"v4lue\" }", "options.headers.authorization"),
        ("headers = { Host = \"v4lue\" }", "options.headers.Host"),
        ("headers = { X-A = \"v4lue\", x-a = \"v4lue\" }", "options.headers.X-A"),
        ("headers = { Content-Length = \"5\" }", "options.headers.Content-Length"),
        ("basic_auth = \"v4lue\"", "options.basic_auth"),
        ("basic_auth = { username = \"v4lue\" }", "options.basic_auth.password"),
        ("basic_auth = { password = \"v4lue\" }", "options.basic_auth.username"),
        // RFC 7617, section 2: what stands behind the first colon is the password.
        (
            "basic_auth = { username = \"u:v4lue\", password = \"v4lue\" }",
            "options.basic_auth.username",
        ),
        (
            "basic_auth = { username = \"u\", password = \"v4lue\", realm = \"v4lue\" }",
            "options.basic_auth.realm",
        ),
        ("bearer = 5", "options.bearer"),
        ("bearer = { env = \"A\", file = \"v4lue\" }", "options.bearer"),
        ("headers = { X-A = { env = \"A\", file = \"v4lue\" } }", "options.headers.X-A"),
        ("bearer = { value = \"v4lue\" }", "options.bearer"),
        ("authorization = { credentials = \"v4lue\" }", "options.authorization.scheme"),
        ("authorization = { scheme = \"App\" }", "options.authorization.credentials"),
        ("base_url = \"https://v4lue.example\"", "options.base_url"),
        ("accepted_statuses = [200]", "options.accepted_statuses"),
    ] {
        let options = with(option);
        let line = 5 + usize::from(key == "options.accepted_value");
        expect_refused(&options, line, key, "");
    }
    for (option, key) in [
        ("accepted_pointer = \"/v4lue\"", "options.accepted_value"),
        ("accepted_value = \"v4lue\"", "options.accepted_pointer"),
    ] {
        expect_refused(&with(option), 2, key, "missing");
    }
}

#[test]
fn what_tells_a_refusal_has_its_own_forms() {
    for (option, key, reason) in [
        ("accepted_pointer = 5\naccepted_value = 1", "accepted_pointer", "must be a string"),
        ("accepted_text = \"\"", "accepted_text", "must not be empty"),
        ("accepted_text = \" v4lue\"", "accepted_text", "must not begin with white space"),
        ("accepted_text = \"\\uFEFFv4lue\"", "accepted_text", "or a byte order mark"),
        ("accepted_text = [\"v4lue\"]", "accepted_text", "must be a string"),
        ("refused_pointer = \"v4lue\"", "refused_pointer", "must be a JSON pointer"),
        ("refused_pointer = \"\"", "refused_pointer", "must not be empty"),
        ("refused_pointer = [\"/v4lue\"]", "refused_pointer", "must be a string"),
        ("fallback_codes = \"v4lue\"", "fallback_codes", "must be a list"),
        ("fallback_codes = 25", "fallback_codes", "must be a list"),
        ("fallback_codes = [\"\"]", "fallback_codes", "must be a text or a whole number"),
        ("fallback_codes = [\"v4lue\", 2.5]", "fallback_codes", "must be a text or a whole number"),
        ("fallback_codes = [true]", "fallback_codes", "must be a text or a whole number"),
    ] {
        expect_refused(&with(option), 5, &format!("options.{key}"), reason);
    }
}

#[test]
fn a_form_is_flat_and_json_holds_what_json_has() {
    let url = "url = \"https://v4lue.example/{phone_digits}/{message}\"";
    for (body, key) in [
        ("form = { a = [\"v4lue\"] }", "options.form"),
        ("form = { a = { b = \"v4lue\" } }", "options.form"),
        ("form = \"v4lue\"", "options.form"),
        ("form = [\"v4lue\"]", "options.form"),
        ("json = { a = 2026-01-01 }", "options.json.a"),
        ("json = { a = nan }", "options.json.a"),
        ("json = { a = [inf] }", "options.json.a"),
        ("json = { a = { env = 5 } }", "options.json.a.env"),
    ] {
        expect_refused(&format!("{url}\n{body}"), 4, key, "must");
    }
}

#[test]
fn the_second_providers_options_are_held_to_the_same() {
    let settings = "backend = \"console\"\n[fallback]\nbackend = \"http\"\n[fallback.options]\nurl = \"http://v4lue.example\"\n";
    let run = Environment::with_settings(settings).run(&["send", NUMBER]).expect_code(2);
    assert!(run.stderr.contains("line 5: `fallback.options.url` must be https"), "{run:#?}");
    assert!(!run.stderr.contains("v4lue"), "{run:#?}");
}
