//! What a hook can see: no security code and no secret in what it is told, in its arguments, in its environment, in its files.

use crate::support::{
    CODE, Environment, FakeProvider, NUMBER, Record, TABLE, TOKEN, TwilioAccount, UNIQUE_INDEX,
    code_in, hook, run_command,
};

/// Keeps everything that a process can see of itself.
const DUMP: &str = "cat > seen
    tr '\\0' '\\n' < /proc/$$/cmdline >> seen
    tr '\\0' '\\n' < /proc/$$/environ | tee environment >> seen
    ls -l /proc/$$/fd > files";

const SECRET: &str = "s3cret-of-the-provider";
const SECRET_KEY: &str = "s3cret-key-of-the-site";
const OTHER_SECRET: &str = "s3cret-of-the-other-provider";

/// The environment of the program: three variables that the settings name as secrets, and one that they don't.
const VARIABLES: [(&str, &str); 4] = [
    ("PROVIDER_SECRET", SECRET),
    ("SIGNING_KEY", SECRET_KEY),
    ("OTHER_SECRET", OTHER_SECRET),
    ("SITE", "of the operator"),
];

/// Tables that name a secret that this run does not need, and hooks that run [`DUMP`].
fn tables() -> String {
    let fallback = "[fallback]\nbackend = \"nexmo\"\n[fallback.options]\nkey = \"abcd1234\"\n\
                    secret = { env = \"OTHER_SECRET\" }\nfrom = \"Site\"\n";
    let hooks = ["verified", "sent", "failed"].map(|event| hook(event, DUMP)).concat();
    format!("{fallback}[hooks]\n{hooks}")
}

/// Runs the program with [`VARIABLES`], and `input` on stdin; it has to end well.
#[track_caller]
fn run(environment: &Environment, arguments: &[&str], input: &str) {
    environment.write("input", input);
    let mut command = environment.command(arguments);
    let input = std::fs::File::open(environment.path("input")).expect("it was written");
    command.envs(VARIABLES).stdin(input);
    run_command(command).expect_code(0);
}

/// Asserts that the hook saw neither a secret nor `code` nor the name of a secret, and everything else.
#[track_caller]
fn expect_silence(environment: &Environment, event: &str, code: &str) {
    let seen = environment.read("seen");
    for forbidden in [SECRET, SECRET_KEY, OTHER_SECRET, code, "PROVIDER_SECRET=", "SIGNING_KEY="] {
        assert!(!seen.contains(forbidden), "{forbidden}: {seen}");
    }
    assert!(seen.starts_with(&format!("{{\"event\":\"{event}\"")), "{seen}");
    let variables = environment.read("environment");
    for inherited in ["SITE=of the operator\n", "TZ=UTC\n", "HOME="] {
        assert!(variables.contains(inherited), "{inherited}: {variables}");
    }
    let files = environment.read("files");
    assert!(files.contains("pipe:"), "{files}");
    for database in ["sqlite3", "socket:"] {
        assert!(!files.contains(database), "{files}");
    }
}

/// Settings that name `PROVIDER_SECRET`, for backends that take a secret in different ways.
const BACKENDS: [&str; 3] = [
    "backend = \"twilio\"\n[options]\nsid = \"AC\"\nfrom = \"+14755292729\"\n\
     secret = { env = \"PROVIDER_SECRET\" }\n",
    "backend = \"twilio-sandbox\"\n[options]\nsandbox_token = \"000000\"\n\
     secret = { env = \"PROVIDER_SECRET\" }\n",
    "backend = \"http\"\n[options]\nurl = \"https://sms.example/\"\n\
     bearer = { env = \"PROVIDER_SECRET\" }\n\
     json = { to = \"{phone_number}\", text = \"{message}\" }\n",
];

#[test]
fn the_hook_of_a_verification_sees_neither_code_nor_secret() {
    for backend in BACKENDS {
        for (argument, input) in [(CODE, ""), ("-", CODE)] {
            let secret_key = "secret_key = { env = \"SIGNING_KEY\" }\n";
            let settings = [secret_key, backend, &tables()].concat();
            let environment = Environment::with_settings(&settings);
            environment.execute(&[TABLE, UNIQUE_INDEX]);
            environment.insert(&Record::default());
            run(&environment, &["verify", NUMBER, argument, "--session-token", TOKEN], input);
            expect_silence(&environment, "verified", CODE);
        }
    }
}

#[test]
fn the_hook_of_a_send_sees_neither_code_nor_secret() {
    let provider = FakeProvider::twilio_with(TwilioAccount {
        secret: SECRET.to_owned(),
        ..TwilioAccount::default()
    });
    let keys = "secret_key = { env = \"SIGNING_KEY\" }\ntoken_length = 12";
    let settings = provider
        .settings(keys, &tables())
        .replace(&format!("\"{SECRET}\""), "{ env = \"PROVIDER_SECRET\" }");
    let environment = Environment::with_settings(&settings);
    run(&environment, &["send", NUMBER], "");
    expect_silence(&environment, "sent", code_in(&provider.accepted()[0].text));
}
