//! Nothing leaks: whatever happens, no secret and no security code is in what the program prints, at any verbosity.

use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::support::{
    Environment, FakeProvider, NUMBER, NexmoAccount, Reception, Reply, Request, Run,
    TWO_SHORT_ATTEMPTS, TwilioAccount, code_in, run_command,
};

/// A secret with what forms and URLs encode, so that an encoded one is looked for too.
const SECRET: &str = "s3cr+t/of=the&account%20";
/// The key that signs session tokens.
const SECRET_KEY: &str = "k3y-of-the-session-tokens";
/// Codes so long that no other digits of an output look like one.
const KEYS: &str = "secret_key = \"k3y-of-the-session-tokens\"\ntoken_length = 12";
/// Everything that was printed, and everything that must not be in it.
#[derive(Default)]
struct Watch {
    outputs: Vec<(String, String)>,
    forbidden: Vec<String>,
}

impl Watch {
    /// Starts with the secrets, also as forms and HTTP Basic encode them.
    fn new() -> Self {
        let users = ["AC00000000000000000000000000000000", "SK00000000000000000000000000000000"];
        let basic = users.map(|user| STANDARD.encode(format!("{user}:{SECRET}")));
        let mut forbidden = vec![SECRET.to_owned(), encoded(SECRET), SECRET_KEY.to_owned()];
        forbidden.extend(basic);
        Self { outputs: Vec::new(), forbidden }
    }

    /// Runs a command as talkative as it gets, and keeps what it printed.
    fn run(&mut self, environment: &Environment, what: &str, arguments: &[&str]) -> Run {
        self.run_command(what, environment.command(arguments))
    }

    fn run_command(&mut self, what: &str, mut command: Command) -> Run {
        command.env("RUST_BACKTRACE", "full").env("RUST_LOG", "trace");
        let run = run_command(command);
        self.outputs.push((what.to_owned(), format!("{}{}", run.stdout, run.stderr)));
        run
    }

    /// Sends in text and in JSON, both with `-vvv`; both have to end with `code`.
    #[track_caller]
    fn send(&mut self, environment: &Environment, what: &str, code: i32) {
        for format in ["text", "json"] {
            let arguments = ["-vvv", "--format", format, "send", NUMBER];
            self.run(environment, what, &arguments).expect_code(code);
        }
        let codes = environment.records().into_iter().map(|record| record.security_code);
        self.forbidden.extend(codes);
    }

    /// Forbids the codes that the provider was sent, those of deleted records among them.
    fn forbid_codes_at(&mut self, provider: &FakeProvider, field: &str) {
        let texts = provider.requests().into_iter().map(|request| request.field(field));
        self.forbidden.extend(texts.map(|text| code_in(&text).to_owned()));
    }

    /// Asserts that nothing forbidden was printed.
    #[track_caller]
    fn check(&self) {
        for (what, output) in &self.outputs {
            assert!(!output.contains("panicked"), "{what}: {output}");
            for forbidden in &self.forbidden {
                assert!(!output.contains(forbidden), "{what} shows {forbidden}: {output}");
            }
        }
    }
}

/// Returns `text` as a form has it.
fn encoded(text: &str) -> String {
    let mut url = reqwest::Url::parse("http://form/").expect("a URL");
    url.query_pairs_mut().append_key_only(text);
    url.query().expect("a query").to_owned()
}

/// Returns all that a provider knows of a request: a sentence that repeats the form, decoded and not, and the header.
fn echo(request: &Request) -> String {
    let authorization = request.header("authorization").unwrap_or("none");
    format!("you sent {:?} as {} with {authorization}", request.form(), request.body)
}

fn twilio() -> FakeProvider {
    FakeProvider::twilio_with(TwilioAccount {
        secret: SECRET.to_owned(),
        ..TwilioAccount::default()
    })
}

fn nexmo() -> FakeProvider {
    FakeProvider::nexmo_with(NexmoAccount {
        api_secret: SECRET.to_owned(),
        ..NexmoAccount::default()
    })
}

/// What a provider does with a message: its name, the exit code, and the reply.
type Situation = (&'static str, i32, fn(&Request) -> Reply);

/// Sends to a provider in each of the situations, and asserts that no output shows a secret or a code. `field` is the field of
/// the provider's requests that has the message.
#[track_caller]
fn expect_no_leak(provider: fn() -> FakeProvider, field: &str, situations: &[Situation]) {
    let mut watch = Watch::new();
    for &(what, code, reply) in situations {
        let provider = provider();
        provider.answer_with(reply);
        watch.send(&provider.environment_with(KEYS, TWO_SHORT_ATTEMPTS), what, code);
        watch.forbid_codes_at(&provider, field);
    }
    watch.check();
}

#[test]
fn no_situation_of_a_send_through_twilio_shows_a_secret_or_a_code() {
    let situations: [Situation; 10] = [
        ("accepted", 0, |_| Reply::accept()),
        ("refused with an echo", 1, |request| Reply::twilio_error(400, 21211, &echo(request))),
        ("refused without", 1, |_| Reply::twilio_error(401, 20003, "Authenticate")),
        ("throttled with an echo", 1, |request| Reply::twilio_error(429, 20429, &echo(request))),
        ("a server error with an echo", 1, |request| {
            Reply::twilio_error(500, 20500, &echo(request))
        }),
        ("an echo that is no JSON", 1, |request| Reply::answer(400, echo(request))),
        ("half an echo", 1, |request| Reply::answer(400, echo(request)).cut_off()),
        ("a redirect with an echo", 1, |request| {
            let location = format!("https://provider.invalid/?{}", request.body);
            Reply::answer(307, echo(request)).header("Location", &location)
        }),
        ("a lost connection", 1, |_| Reply::close()),
        ("silence", 1, |_| Reply::never()),
    ];
    expect_no_leak(twilio, "Body", &situations);
}

#[test]
fn no_situation_of_a_send_through_nexmo_shows_a_secret_or_a_code() {
    let situations: [Situation; 6] = [
        ("accepted", 0, |_| Reply::accept()),
        ("refused with an echo", 1, |request| Reply::nexmo_error("4", &echo(request))),
        ("throttled with an echo", 1, |request| Reply::nexmo_error("1", &echo(request))),
        ("refused in part with an echo", 1, |request| {
            Reply::nexmo_parts(&[("0", ""), ("9", &echo(request))])
        }),
        ("a status that is an echo", 1, |request| Reply::nexmo_error(&echo(request), "")),
        ("an echo that is no JSON", 1, |request| Reply::answer(200, echo(request))),
    ];
    expect_no_leak(nexmo, "text", &situations);
}

#[test]
fn an_api_key_is_kept_as_secret_as_the_accounts_own() {
    let mut watch = Watch::new();
    let provider = FakeProvider::twilio_with(TwilioAccount {
        api_key_sid: Some("SK00000000000000000000000000000000".to_owned()),
        secret: SECRET.to_owned(),
        ..TwilioAccount::default()
    });
    provider.answer_with(|request| Reply::twilio_error(401, 20003, &echo(request)));
    watch.send(&provider.environment_with(KEYS, TWO_SHORT_ATTEMPTS), "an API key, refused", 1);
    watch.forbid_codes_at(&provider, "Body");
    watch.check();
}

#[test]
fn a_masked_refusal_keeps_its_other_words() {
    let provider = twilio();
    provider.answer_with(|request| {
        let code = code_in(&request.field("Body")).to_owned();
        Reply::twilio_error(400, 21602, &format!("the body {code} of {SECRET} is too plain"))
    });
    let environment = provider.environment_with(KEYS, TWO_SHORT_ATTEMPTS);
    let line = environment.run(&["--format", "json", "send", NUMBER]).expect_code(1).json();
    let message = line["error"]["message"].as_str().expect("words");
    assert!(!message.contains(SECRET), "{message}");
    assert!(!message.contains(code_in(&provider.requests()[0].field("Body"))), "{message}");
    for words in ["the body ", " of ", " is too plain"] {
        assert!(message.contains(words), "{message}");
    }
}

#[test]
fn no_part_of_a_secret_is_left_where_long_words_are_cut() {
    // Wherever the cut is, in one of these it goes through the middle of a secret.
    for shift in ["", "12345678", "1234567890123456"] {
        let provider = twilio();
        let words = shift.to_owned() + &format!("{SECRET} ").repeat(400);
        provider.always(Reply::twilio_error(400, 21211, &words));
        let environment = provider.environment_with(KEYS, TWO_SHORT_ATTEMPTS);
        for format in ["text", "json"] {
            let run = environment.run(&["--format", format, "send", NUMBER]).expect_code(1);
            let output = format!("{}{}", run.stdout, run.stderr);
            assert!(!output.contains(&SECRET[..6]), "{output}");
        }
    }
}

#[test]
fn a_provider_out_of_reach_gives_nothing_away() {
    let mut watch = Watch::new();
    for reception in [Reception::Http, Reception::Close, Reception::Silence] {
        let provider = FakeProvider::twilio_receiving(reception).never_called();
        let base_url = format!("https://127.0.0.1:{}", provider.port());
        let settings = provider.settings_at(&base_url, KEYS, TWO_SHORT_ATTEMPTS);
        let settings = settings.replace("twilio-auth-token", SECRET);
        let environment = Environment::with_settings(&settings);
        let shown = format!("no TLS: {reception:?}");
        watch.send(&environment, &shown, 1);
    }
    assert!(watch.outputs.iter().all(|(_, output)| output.contains(NUMBER)));
    watch.check();
}

#[test]
fn settings_that_cannot_be_read_are_complained_of_without_their_values() {
    let secret = |line: &str| format!("backend = \"twilio\"\n{KEYS}\n[options]\n{line}\n");
    let sandbox = |line: &str| format!("backend = \"twilio-sandbox\"\n[options]\n{line}\n");
    let cases = [
        secret(&format!("secret = \"{SECRET}")),
        secret(&format!("secret = {SECRET}")),
        secret(&format!("secret = [\"{SECRET}\"]")),
        secret(&format!("secret = {{ value = \"{SECRET}\" }}")),
        secret(&format!("secret = {{ env = \"HOME\", file = \"{SECRET}\" }}")),
        secret(&format!("secret = \"{SECRET}\" \"{SECRET}\"")),
        secret(&format!("secret = \"{SECRET}\"\nsecret = \"{SECRET}\"")),
        secret(&format!("secret = \"\\q{SECRET}\"")),
        secret(&format!("secrets = \"{SECRET}\"")),
        secret(&format!("sid = \"AC\"\nsecret = \"{SECRET}\"")),
        secret(&format!("sid = \"AC\"\nsecret = \"{SECRET}\"\nfrom = 5")),
        secret(&format!("base_url = \"http://user:{}@provider.invalid\"", encoded(SECRET))),
        secret(&format!("base_url = \"{SECRET}\"")),
        format!("backend = \"{SECRET}\"\n"),
        format!("backend = \"console\"\nsecret_key = 1{SECRET_KEY}\n"),
        format!("backend = \"console\"\nsecret_key = [\"{SECRET_KEY}\"]\n"),
        format!("backend = \"console\"\nsecretkey = \"{SECRET_KEY}\"\n"),
        format!("backend = \"console\"\ntoken_length = \"{SECRET_KEY}\"\n"),
        sandbox("sandbox_token = 987654321098"),
        sandbox("sandbox_token = [\"987654321098\"]"),
        sandbox("sandbox_tokens = \"987654321098\""),
    ];
    let mut watch = Watch::new();
    watch.forbidden.push("987654321098".to_owned());
    for settings in &cases {
        let environment = Environment::with_settings(settings);
        for format in ["text", "json"] {
            let arguments = ["-vvv", "--format", format, "send", NUMBER];
            let run = watch.run(&environment, settings, &arguments).expect_code(2);
            assert!(run.stderr.contains("error: "), "{run:#?}");
        }
        environment.expect_no_database();
    }
    watch.check();
}

#[test]
fn a_secret_from_a_file_or_a_variable_is_no_more_visible() {
    let mut watch = Watch::new();
    let provider = twilio();
    provider.answer_with(|request| Reply::twilio_error(401, 20003, &echo(request)));
    let literal = format!("secret = \"{SECRET}\"");
    let settings = provider.settings(KEYS, TWO_SHORT_ATTEMPTS);
    let environment = Environment::with_settings(&settings);
    environment.write("secret", &format!("{SECRET}\n"));
    environment
        .write("phone-verify.toml", &settings.replace(&literal, "secret = { file = \"secret\" }"));
    watch.send(&environment, "a secret from a file", 1);
    let from_variable = settings.replace(&literal, "secret = { env = \"TWILIO_SECRET\" }");
    environment.write("phone-verify.toml", &from_variable);
    let mut command = environment.command(&["-vvv", "send", NUMBER]);
    command.env("TWILIO_SECRET", SECRET);
    watch.run_command("a secret from a variable", command).expect_code(1);
    watch.forbid_codes_at(&provider, "Body");
    watch.check();
}

#[test]
fn verifying_and_keeping_house_show_no_code() {
    let mut watch = Watch::new();
    let provider = twilio();
    let environment = provider.environment_with(KEYS, "");
    watch.send(&environment, "the send", 0);
    let record = environment.record();
    let (code, token) = (record.security_code.as_str(), record.session_token.as_str());
    let wrong = "999999999999";
    watch.forbidden.push(wrong.to_owned());
    for (expected, arguments) in [
        (11, ["verify", NUMBER, wrong, "--session-token", token].as_slice()),
        (0, &["verify", NUMBER, code, "--session-token", token]),
        (13, &["verify", NUMBER, code, "--session-token", token]),
        (14, &["verify", NUMBER, code, "--session-token", "another"]),
        (2, &["verify", NUMBER, code, code, "--session-token", token]),
        (2, &["verify", NUMBER, code]),
        (2, &["verify", NUMBER, code, "--session-token"]),
        (2, &["verify", "nonsense", code, "--any-session"]),
        (0, &["purge"]),
        (0, &["migrate"]),
    ] {
        for format in ["text", "json"] {
            // A code works once, so only the first of the two can be VALID.
            let expected = if expected == 0 && arguments.contains(&code) && format == "json" {
                13
            } else {
                expected
            };
            let mut all = vec!["-vvv", "--format", format];
            all.extend(arguments);
            watch.run(&environment, &all.join(" "), &all).expect_code(expected);
        }
    }
    watch.check();
}

#[test]
fn list_shows_codes_on_stdout_alone_and_a_send_to_the_operator_in_its_message_alone() {
    let environment = Environment::with_settings("backend = \"console\"\ntoken_length = 12\n");
    let sent = environment.run(&["-vvv", "send", NUMBER]).expect_code(0);
    let code = environment.record().security_code;
    assert!(!sent.stdout.contains(&code), "{sent:#?}");
    assert_eq!(sent.stderr.matches(&code).count(), 1, "{sent:#?}");
    let list = environment.run(&["-vvv", "list"]).expect_code(0);
    assert!(list.stdout.contains(&code), "{list:#?}");
    assert!(!list.stderr.contains(&code), "{list:#?}");
}
