//! `backend = "http"`: the request, as the settings describe it.

use serde_json::{Value, json};

use crate::support::{
    Environment, FakeProvider, HTTP_OPTIONS, NUMBER, Reply, Request, run_command,
};

/// What forms, URLs, JSON and templates each have a meaning of their own for.
const TEXT: &str = "\"quotes\" 'single' {braces} {phone_number} back\\slash \\u0041 + & = % %41 ?#/;: ~ é € 🔑\r\n\tend\u{1}\u{1b}\u{7f}";

/// Sends to [`NUMBER`], which has to work, with these variables, and returns the only request.
#[track_caller]
fn request_with(options: &str, variables: &[(&str, &str)]) -> Request {
    let double = FakeProvider::without_documents();
    let environment = double.http_environment(options, "");
    let mut command = environment.command(&["send", NUMBER]);
    command.envs(variables.iter().copied());
    run_command(command).expect_code(0);
    let mut requests = double.requests();
    assert_eq!(requests.len(), 1, "{requests:#?}");
    requests.remove(0)
}

#[track_caller]
fn request(options: &str) -> Request {
    request_with(options, &[])
}

/// Sends [`TEXT`] by these options and returns the request, and the text that it has to carry.
#[track_caller]
fn request_of_text(options: &str) -> (Request, String) {
    let double = FakeProvider::without_documents();
    let settings = double.http_settings(options, "");
    let environment = Environment::with_settings(&format!(
        "message = \"{{text}} {{security_code}}\"\n{settings}"
    ));
    let context = format!("text={TEXT}");
    environment.run(&["send", NUMBER, "--context", &context]).expect_code(0);
    let text = format!("{TEXT} {}", environment.record().security_code);
    (double.requests().remove(0), text)
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

#[test]
fn in_a_form_every_character_arrives_as_it_is() {
    for method in ["POST", "PUT", "PATCH"] {
        let options = format!(
            "method = \"{method}\"\nurl = \"{{url}}/send\"\nform = {{ to = \"{{phone_number}}\", text = \"<{{message}}>\" }}"
        );
        let (request, text) = request_of_text(&options);
        assert_eq!((request.method.as_str(), request.path.as_str()), (method, "/send"));
        assert_eq!(request.header("content-type"), Some("application/x-www-form-urlencoded"));
        assert_eq!(request.form(), [pair("text", &format!("<{text}>")), pair("to", NUMBER)]);
        assert!(request.body.contains("to=%2B1415"), "{}", request.body);
    }
}

#[test]
fn in_json_every_character_arrives_as_it_is() {
    for method in ["POST", "PUT", "PATCH"] {
        let options = format!("method = \"{method}\"\n{HTTP_OPTIONS}");
        let (request, text) = request_of_text(&options);
        assert_eq!((request.method.as_str(), request.path.as_str()), (method, "/send"));
        assert_eq!(request.header("content-type"), Some("application/json"));
        assert_eq!(request.json(), json!({"to": NUMBER, "text": text}));
    }
}

#[test]
fn with_get_the_fields_go_into_the_query_behind_what_the_url_has() {
    let (request, text) = request_of_text(
        "method = \"GET\"\nurl = \"{url}/send?v=1%2B\"\nform = { to = \"{phone_number}\", text = \"{message}\" }",
    );
    assert_eq!((request.method.as_str(), request.body.as_str()), ("GET", ""));
    assert!(request.path.starts_with("/send?"), "{}", request.path);
    assert_eq!(request.query(), [pair("v", "1+"), pair("text", &text), pair("to", NUMBER)]);
    assert_eq!(request.header("content-type"), None);
}

#[test]
fn a_url_that_is_too_long_is_certainly_not_sent() {
    let double = FakeProvider::without_documents().never_called();
    let options = "method = \"GET\"\nurl = \"{url}/send?to={phone_number}&text={message}\"";
    let settings = double.http_settings(options, "");
    let message = format!("message = \"{{security_code}}{}\"", "a".repeat(70_000));
    let environment = Environment::with_settings(&format!("{message}\n{settings}"));
    let run = environment.run(&["--format", "json", "send", NUMBER]).expect_code(1);
    assert_eq!(run.json()["error"]["kind"], "unavailable");
    assert!(run.stderr.contains("the request can't be made"), "{run:#?}");
    assert_eq!(environment.records(), []);
}

#[test]
fn in_the_query_of_the_url_every_character_arrives_as_it_is() {
    for method in ["GET", "POST"] {
        let options = format!(
            "method = \"{method}\"\nurl = \"{{url}}/send?to={{phone_number}}&text=({{message}})&v=1\""
        );
        let (request, text) = request_of_text(&options);
        assert_eq!((request.method.as_str(), request.body.as_str()), (method, ""));
        let text = format!("({text})");
        assert_eq!(request.query(), [pair("to", NUMBER), pair("text", &text), pair("v", "1")]);
    }
}

#[test]
fn a_request_without_a_body_says_so_unless_it_is_a_get() {
    let url = "url = \"{url}/send?to={phone_number}&text={message}\"";
    for (method, form, length) in [
        ("GET", "", None),
        ("POST", "", Some("0")),
        ("PUT", "", Some("0")),
        ("PATCH", "form = {}", Some("0")),
    ] {
        let request = request(&format!("method = \"{method}\"\n{url}\n{form}"));
        assert_eq!((request.method.as_str(), request.body.as_str()), (method, ""));
        assert_eq!(request.header("content-length"), length, "{method}");
    }
}

#[test]
fn in_the_path_every_character_arrives_as_it_is() {
    let (request, text) = request_of_text("url = \"{url}/a%20b/{phone_digits}/{message}/send\"");
    let url = reqwest::Url::parse(&format!("http://localhost{}", request.path)).expect("a URL");
    let segments: Vec<&str> = url.path_segments().expect("a path").collect();
    assert_eq!(segments[..2], ["a%20b", NUMBER.trim_start_matches('+')]);
    assert_eq!((segments.len(), segments[3], url.query()), (4, "send", None));
    // A + in a path is a +, so that it is no form that is decoded here.
    let mut decoder = url.clone();
    decoder.set_query(Some(&format!("text={}", segments[2].replace('+', "%2B"))));
    assert_eq!(decoder.query_pairs().next().expect("a pair").1, text);
}

#[test]
fn the_placeholders_are_the_number_with_its_plus_and_without_and_the_message() {
    let request = request(
        "url = \"{url}/send\"\njson = { a = \"{phone_number}|{phone_digits}\", b = \"{{message}} {message}\" }",
    );
    let told = request.json();
    assert_eq!(told["a"], "+14155552671|14155552671");
    let text = told["b"].as_str().expect("a text");
    assert!(text.starts_with("{message} Welcome to Phone Verify!"), "{text}");
}

#[test]
fn json_may_have_any_shape_and_keeps_what_is_no_text() {
    let request = request(
        r#"url = "{url}/send"
[options.json]
"{message}" = "the key stays"
count = 3
price = 0.5
large = -9007199254740993
flag = false
empty = { list = [], table = {} }
[[options.json.messages]]
to = ["{phone_number}", "{phone_digits}", 7, true, ["{message}"]]
"#,
    );
    let text = request.json().pointer("/messages/0/to/4/0").cloned().unwrap_or_default();
    assert!(text.as_str().is_some_and(|text| text.starts_with("Welcome")), "{text}");
    let to = json!([NUMBER, "14155552671", 7, true, [text]]);
    let wanted: Value = json!({
        "{message}": "the key stays", "count": 3, "price": 0.5, "large": -9_007_199_254_740_993_i64,
        "flag": false, "empty": {"list": [], "table": {}}, "messages": [{"to": to}],
    });
    assert_eq!(request.json(), wanted);
}

#[test]
fn json_may_be_a_list_and_numbers_and_booleans_go_into_forms_as_they_are_written() {
    let list =
        request("url = \"{url}/send\"\njson = [{ to = \"{phone_number}\", text = \"{message}\" }]");
    assert_eq!(list.json()[0]["to"], NUMBER);
    let form = request(
        "url = \"{url}/send\"\nform = { to = \"{phone_digits}\", text = \"{message}\", ttl = 600, unicode = true, rate = 1.5 }",
    );
    for (name, value) in [("ttl", "600"), ("unicode", "true"), ("rate", "1.5")] {
        assert_eq!(form.field(name), value);
    }
}

#[test]
fn headers_go_along_and_may_say_what_the_body_is() {
    let options = format!(
        "{HTTP_OPTIONS}\nheaders = {{ Accept = \"application/json\", X-Braces = \"{{{{a}}}}\", X-Key = {{ env = \"A_KEY\" }}, \
         X-Number = 5, Content-Type = \"application/vnd.api+json\" }}"
    );
    let request = request_with(&options, &[("A_KEY", "s3cret key=+")]);
    for (name, value) in [
        ("accept", "application/json"),
        ("x-braces", "{a}"),
        ("x-key", "s3cret key=+"),
        ("x-number", "5"),
        ("content-type", "application/vnd.api+json"),
    ] {
        let sent: Vec<_> = request.headers.iter().filter(|(other, _)| other == name).collect();
        assert_eq!(sent.len(), 1, "{name}");
        assert_eq!(sent[0].1, value);
    }
    assert_eq!(request.header("authorization"), None);
}

#[test]
fn each_way_to_sign_in_makes_its_authorization_header() {
    for (option, header) in [
        // RFC 7617, section 2.
        (
            "basic_auth = { username = \"Aladdin\", password = \"open sesame\" }",
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
        ),
        ("basic_auth = { username = \"u\", password = { env = \"A_KEY\" } }", "Basic dTprKzo="),
        ("bearer = { env = \"A_KEY\" }", "Bearer k+:"),
        ("authorization = { scheme = \"App\", credentials = { env = \"A_KEY\" } }", "App k+:"),
    ] {
        let request = request_with(&format!("{option}\n{HTTP_OPTIONS}"), &[("A_KEY", "k+:")]);
        assert_eq!(request.header("authorization"), Some(header));
    }
}

#[test]
fn secrets_stand_in_forms_queries_and_json_as_they_are() {
    let variables = [("A_KEY", "k{message}\"\\+& \né")];
    let key = "key = { env = \"A_KEY\" }, text = \"{message}\", to = \"{phone_number}\"";
    let form = request_with(&format!("url = \"{{url}}\"\nform = {{ {key} }}"), &variables);
    assert_eq!(form.field("key"), variables[0].1);
    let json =
        request_with(&format!("url = \"{{url}}\"\njson = {{ a = {{ {key} }} }}"), &variables);
    assert_eq!(json.json()["a"]["key"], variables[0].1);
    let query = request_with(
        &format!("url = \"{{url}}\"\nmethod = \"GET\"\nform = {{ {key} }}"),
        &variables,
    );
    assert_eq!(query.query()[0], pair("key", variables[0].1));
}

#[test]
fn this_machine_may_be_named_in_each_way_without_tls() {
    let options = |url: &str| HTTP_OPTIONS.replace("{url}", url);
    for url in ["http://localhost:1", "http://127.0.0.2:1", "http://[::1]:1", "https://sms.example"]
    {
        let double = FakeProvider::without_documents().never_called();
        let environment = double.http_environment(&options(url), "");
        environment.run(&["send", "--dry-run", NUMBER]).expect_code(0);
    }
}

#[test]
fn many_numbers_share_connections() {
    let double = FakeProvider::without_documents();
    let environment = double.http_environment(HTTP_OPTIONS, "[delivery]\nmax_in_flight = 2");
    let numbers: Vec<String> = (100..140).map(|last| format!("+12025550{last}")).collect();
    environment.write("numbers.txt", &numbers.join("\n"));
    environment.run(&["send", "--file", "numbers.txt"]).expect_code(0);
    let mut sent: Vec<_> =
        double.requests().iter().map(|request| request.json()["to"].to_string()).collect();
    sent.sort();
    sent.dedup();
    assert_eq!((sent.len(), environment.records().len()), (40, 40));
    assert!(double.log().connections <= 4, "{}", double.log().connections);
}

#[test]
fn neither_status_nor_wait_can_ask_it_what_became_of_a_message() {
    let double = FakeProvider::without_documents();
    let environment =
        double.http_environment(&format!("{HTTP_OPTIONS}\nmessage_id_pointer = \"/id\""), "");
    double.next(Reply::answer(200, "{\"id\": \"SM-7\"}"));
    let run = environment.run(&["send", NUMBER, "--wait=1"]).expect_code(0);
    assert!(run.stderr.contains("http has no call that reports"), "{run:#?}");
    let run = environment.run(&["status", NUMBER, "--refresh"]).expect_code(0);
    assert!(run.stderr.contains("http has no call that reports"), "{run:#?}");
    for part in ["accepted through http", "SM-7"] {
        assert!(run.stdout.contains(part), "{run:#?}");
    }
    assert_eq!(double.requests().len(), 1);
}
