//! `backend = "http"`: its secrets, where they come from and where they may show.

use serde_json::{Value, json};

use crate::support::{
    Environment, FakeProvider, HTTP_OPTIONS, NUMBER, Reply, Request, code_in, refusal_of,
    run_command,
};

const SECRET: &str = "s3cr+t/of=the&account \"%20\\é";

/// Options that hold a secret, each at another place, and its key.
const SECRETS: [(&str, &str); 7] = [
    ("bearer = SECRET", "options.bearer"),
    ("basic_auth = { username = \"u\", password = SECRET }", "options.basic_auth.password"),
    (
        "authorization = { scheme = \"App\", credentials = SECRET }",
        "options.authorization.credentials",
    ),
    ("headers = { X-Key = SECRET }", "options.headers.X-Key"),
    (
        "form = { to = \"{phone_number}\", text = \"{message}\", apikey = SECRET }",
        "options.form.apikey",
    ),
    (
        "json = { to = \"{phone_number}\", text = \"{message}\", a = { apikey = SECRET } }",
        "options.json",
    ),
    (
        "method = \"GET\"\nform = { to = \"{phone_number}\", text = \"{message}\", apikey = SECRET }",
        "options.form.apikey",
    ),
];

/// Returns options with that secret in this form.
fn with_secret(option: &str, secret: &str) -> String {
    let option = option.replace("SECRET", secret);
    let rest = if option.contains("{message}") { "url = \"{url}/send\"" } else { HTTP_OPTIONS };
    format!("{rest}\n{option}")
}

#[test]
fn a_secret_that_cannot_be_looked_up_is_named_before_anything_is_sent_or_stored() {
    for (option, key) in SECRETS {
        for (secret, place) in
            [("{ env = \"NO_SUCH\" }", "NO_SUCH"), ("{ file = \"no-such-file\" }", "no-such-file")]
        {
            let double = FakeProvider::without_documents().never_called();
            let environment = double.http_environment(&with_secret(option, secret), "");
            let run = environment.run(&["send", NUMBER]).expect_code(2);
            assert!(run.stderr.contains(key) && run.stderr.contains(place), "{run:#?}");
            environment.expect_no_database();
            // Nothing else needs it.
            environment.run(&["send", "--dry-run", NUMBER]).expect_code(0);
        }
    }
}

#[test]
fn a_secret_that_no_header_can_hold_is_refused_before_anything_is_sent_or_stored() {
    for secret in ["v4\nlue", "v4\nX-Injected: lue", "v4\rlue", "v4lue\u{7f}"] {
        // HTTP Basic encodes what it is given, and a body can hold everything.
        for (option, key) in SECRETS {
            let is_bare = ["bearer", "authorization", "headers"].iter().any(|at| key.contains(at));
            let double = if is_bare {
                FakeProvider::without_documents().never_called()
            } else {
                FakeProvider::without_documents()
            };
            let environment =
                double.http_environment(&with_secret(option, "{ env = \"A_KEY\" }"), "");
            let mut command = environment.command(&["-vvv", "send", NUMBER]);
            command.env("A_KEY", secret);
            let run = run_command(command).expect_code(if is_bare { 2 } else { 0 });
            assert!(!run.stderr.contains("v4"), "{run:#?}");
            if is_bare {
                assert!(run.stderr.contains(key) && run.stderr.contains("no header"), "{run:#?}");
                environment.expect_no_database();
            }
        }
    }
}

#[test]
fn a_literal_secret_in_a_file_that_others_can_read_earns_a_warning() {
    let literal = "\"v4lue\"";
    for (secret, mode, warns) in
        [(literal, 0o644, true), (literal, 0o600, false), ("{ env = \"A_KEY\" }", 0o644, false)]
    {
        for (option, _) in SECRETS {
            let double = FakeProvider::without_documents();
            let environment = double.http_environment(&with_secret(option, secret), "");
            environment.set_mode("phone-verify.toml", mode);
            let mut command = environment.command(&["send", NUMBER]);
            command.env("A_KEY", "v4lue");
            let run = run_command(command).expect_code(0);
            assert_eq!(run.stderr.contains("holds a secret"), warns, "{option}: {run:#?}");
        }
    }
}

/// Sends once with `options` in a file that others can read, to a provider that refuses with the words "bad `word`". Returns
/// what was said on stderr, and the request.
#[track_caller]
fn refused_with(options: &str, word: &str) -> (String, Request) {
    let double = FakeProvider::without_documents();
    double.always(Reply::answer(400, json!({"text": format!("bad {word}")}).to_string()));
    let options = format!("{options}\nerror_message_pointer = \"/text\"");
    let environment = double.http_environment(&options, "");
    environment.set_mode("phone-verify.toml", 0o644);
    let stderr = environment.run(&["send", NUMBER]).expect_code(1).stderr;
    (stderr, double.requests().remove(0))
}

/// Asserts that `word` is kept as a secret where these options hold it, or that it is not. Returns the request.
#[track_caller]
fn expect_kept(options: &str, word: &str, is_kept: bool) -> Request {
    let (stderr, request) = refused_with(options, word);
    let told = if is_kept { "bad ***" } else { &format!("bad {word}") };
    assert!(stderr.contains(told), "{options}: {stderr}");
    assert_eq!(stderr.contains("holds a secret"), is_kept, "{options}: {stderr}");
    request
}

#[test]
fn the_name_of_a_key_says_that_its_text_is_a_secret() {
    for key in [
        "api_key",
        "apikey",
        "AccessToken",
        "Secret",
        "PASSWORD",
        "Proxy-Authorization",
        "passwd",
        "PASS",
        "User-Pass",
        "userPass",
        "APIPass",
        "user_pwd",
        "auth",
        "X-Auth",
        "httpAuth2",
        "credentials",
        "AppCredential",
    ] {
        expect_kept(&format!("{HTTP_OPTIONS}\nheaders = {{ {key} = \"v4lue\" }}"), "v4lue", true);
    }
    for key in ["sender", "author", "X-Authority", "passage", "compass", "ByPassage", "upward"] {
        expect_kept(&format!("{HTTP_OPTIONS}\nheaders = {{ {key} = \"v4lue\" }}"), "v4lue", false);
    }
}

#[test]
fn all_that_stands_at_the_key_of_a_secret_is_one() {
    let rest = "to = \"{phone_number}\", text = \"{message}\"";
    for value in ["{ value = \"v4lue\" }", "[\"v4lue\"]", "[{ a = { b = [\"v4lue\"] } }]"] {
        let options = format!("url = \"{{url}}\"\njson = {{ api_key = {value}, {rest} }}");
        expect_kept(&options, "v4lue", true);
    }
}

#[test]
fn a_number_at_the_key_of_a_secret_stays_a_number_and_is_one_where_it_can_not_be_guessed() {
    for (value, is_kept) in [("123456789", true), ("-12345", true), ("2", false), ("999", false)] {
        let fields =
            format!("api_key = {value}, to = \"{{phone_number}}\", text = \"{{message}}\"");
        let json = format!("url = \"{{url}}\"\njson = {{ {fields} }}");
        assert_eq!(expect_kept(&json, value, is_kept).json()["api_key"].to_string(), value);
        let form = format!("url = \"{{url}}\"\nform = {{ {fields} }}");
        assert_eq!(expect_kept(&form, value, is_kept).field("api_key"), value);
    }
}

#[test]
fn a_secret_is_kept_as_it_stands_with_its_braces() {
    for secret in ["v4{lue", "v4{{lue}}e", "{v4lue}", "}v4lue{"] {
        let header = format!("{HTTP_OPTIONS}\nheaders = {{ X-Api-Key = \"{secret}\" }}");
        let request = expect_kept(&header, secret, true);
        assert_eq!(request.header("x-api-key"), Some(secret));
        let rest = "to = \"{phone_number}\", text = \"{message}\"";
        let form = format!("url = \"{{url}}\"\nform = {{ api_key = \"{secret}\", {rest} }}");
        assert_eq!(expect_kept(&form, secret, true).field("api_key"), secret);
    }
}

#[test]
fn a_text_with_a_placeholder_is_no_secret_whatever_its_key_says() {
    let fields = "to_key = \"{phone_digits}\", token_text = \"{{v4lue}} {message}\"";
    let options = format!("url = \"{{url}}\"\njson = {{ {fields} }}");
    let told = expect_kept(&options, "v4lue", false).json();
    assert_eq!(told["to_key"], "14155552671");
    let text = told["token_text"].as_str().expect("a text");
    assert!(text.starts_with("{v4lue} Welcome"), "{text}");
}

/// Returns all that a provider knows of a request, which it has no business to repeat.
fn echo(request: &Request) -> String {
    let Request { path, headers, body, .. } = request;
    let headers: Vec<_> = headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    let (form, json) = (request.field("apikey"), request.json());
    let key = json.pointer("/a/apikey").and_then(Value::as_str).unwrap_or(&form);
    format!("your key is {key}, you sent {body} to {path} with {}", headers.join(", "))
}

#[test]
fn no_situation_shows_a_secret_or_a_code() {
    type Situation = (&'static str, fn(&Request) -> Reply);
    let situations: [Situation; 7] = [
        ("accepted", |request| told(200, request)),
        ("refused", |request| told(400, request)),
        ("throttled", |request| told(429, request).retry_after_seconds(0)),
        ("a server error", |request| told(500, request)),
        ("a redirect", |request| told(302, request).header("Location", &request.path)),
        ("no JSON", |request| Reply::answer(400, echo(request))),
        ("a lost connection", |_| Reply::close()),
    ];
    let pointers = "message_id_pointer = \"/id\"\nerror_code_pointer = \"/code\"\nerror_message_pointer = \"/text\"";
    let variable = "{ env = \"A_KEY\" }";
    for (option, _) in SECRETS {
        for (what, reply) in situations {
            let double = FakeProvider::without_documents();
            double.answer_with(reply);
            let options = format!("{pointers}\n{}", with_secret(option, variable));
            let settings = double.http_settings(&options, "[delivery]\nmax_attempts = 2");
            let environment = Environment::with_settings(&format!("token_length = 12\n{settings}"));
            let mut command = environment.command(&["-vvv", "--format", "json", "send", NUMBER]);
            command.env("A_KEY", SECRET).env("RUST_LOG", "trace").env("RUST_BACKTRACE", "full");
            let run = run_command(command);
            let shown = format!("{}{}{:?}", run.stdout, run.stderr, environment.deliveries());
            for forbidden in forbidden(&double) {
                assert!(!shown.contains(&forbidden), "{what}, {option}: {forbidden} in {shown}");
            }
            assert!(run.code == Some(0) || run.code == Some(1), "{run:#?}");
        }
    }
}

#[test]
fn a_code_with_something_between_its_digits_and_a_secret_in_small_letters_are_masked_too() {
    let double = FakeProvider::without_documents();
    double.answer_with(|request| {
        let text = request.json();
        let code = code_in(text["text"].as_str().expect("a text")).to_owned();
        let spelled = code.chars().map(String::from).collect::<Vec<_>>().join(" ");
        let body = json!({"code": format!("{}-{}", &code[..6], &code[6..]), "text": format!("{spelled} a%2fb")});
        Reply::answer(400, body.to_string())
    });
    let pointers = "error_code_pointer = \"/code\"\nerror_message_pointer = \"/text\"";
    let settings =
        double.http_settings(&format!("{HTTP_OPTIONS}\nbearer = \"a/b\"\n{pointers}"), "");
    let environment = Environment::with_settings(&format!("token_length = 12\n{settings}"));
    let run = environment.run(&["--format", "json", "send", NUMBER]).expect_code(1);
    assert_eq!(refusal_of(&run.json()), ("rejected", Some("***"), "*** ***"));
}

fn told(status: u16, request: &Request) -> Reply {
    let text = echo(request);
    let body = json!({"id": text, "code": text, "text": text});
    Reply::answer(status, body.to_string())
}

/// Returns the secret in each form, the authorization that was sent, and the codes that were.
fn forbidden(double: &FakeProvider) -> Vec<String> {
    let form: String = reqwest::Url::parse_with_params("http://form/", [("", SECRET)])
        .expect("a URL")
        .query()
        .expect("a query")
        .trim_start_matches('=')
        .to_owned();
    let mut forbidden = vec![SECRET.to_owned(), form, "s3cr".to_owned()];
    for request in double.requests() {
        let credentials = request.header("authorization").and_then(|value| value.split_once(' '));
        forbidden.extend(credentials.map(|(_, credentials)| credentials.to_owned()));
        let all = format!("{} {}", request.path, request.body);
        let is_code =
            |word: &&str| word.len() == 12 && word.bytes().all(|byte| byte.is_ascii_digit());
        let code = all.split(|c: char| !c.is_ascii_digit()).find(is_code).expect("a code");
        forbidden.push(code.to_owned());
    }
    forbidden
}
