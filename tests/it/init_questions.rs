//! `init` at a terminal: its questions.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use crate::support::{Environment, FakeProvider, NUMBER, Run, finish, run_command, wait_until};

/// The program at a terminal, and who types there.
struct Dialogue<'a> {
    environment: &'a Environment,
    terminal: Child,
    keyboard: ChildStdin,
    /// What the terminal has shown so far.
    shown: Arc<Mutex<String>>,
    reader: JoinHandle<()>,
}

impl<'a> Dialogue<'a> {
    /// Runs `line` at a terminal.
    fn start(environment: &'a Environment, line: &str) -> Self {
        let mut terminal = environment.at_terminal(80, &format!("tty >tty; {line}"));
        let mut terminal = terminal.stdin(Stdio::piped()).spawn().expect("script is installed");
        let keyboard = terminal.stdin.take().expect("stdin is piped");
        let mut screen = terminal.stdout.take().expect("stdout is piped");
        let shown = Arc::new(Mutex::new(String::new()));
        let copy = Arc::clone(&shown);
        let reader = thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(length @ 1..) = screen.read(&mut bytes) {
                let text = String::from_utf8_lossy(&bytes[..length]);
                copy.lock().expect("no thread panicked").push_str(&text);
            }
        });
        Self { environment, terminal, keyboard, shown, reader }
    }

    /// Waits until the terminal has shown `text`.
    fn once_it_shows(self, text: &str) -> Self {
        wait_until(text, || self.shown.lock().expect("no thread panicked").contains(text));
        self
    }

    fn types(mut self, keys: &str) -> Self {
        self.keyboard.write_all(keys.as_bytes()).expect("script reads");
        self
    }

    /// Waits until the terminal has this setting, such as `-echo`.
    fn once_it_has(self, setting: &str) -> Self {
        let setting = format!(" {setting} ");
        wait_until("the program changes the terminal", || {
            let device = self.environment.read("tty");
            let settings = Command::new("stty").args(["-a", "-F", device.trim()]).output();
            settings.is_ok_and(|it| String::from_utf8_lossy(&it.stdout).contains(&setting))
        });
        self
    }

    /// Types a secret once the terminal doesn't show it.
    fn types_hidden(self, secret: &str) -> Self {
        self.once_it_has("-echo").types(secret).once_it_has("echo")
    }

    /// Returns what the terminal showed in the end.
    fn end(self) -> Run {
        let run = finish(self.terminal);
        self.reader.join().expect("it doesn't panic");
        let stdout = self.shown.lock().expect("no thread panicked").clone();
        Run { stdout, ..run }
    }
}

/// Returns the account of `provider`, and the options of `init` that lead to it.
fn account(provider: &FakeProvider) -> (toml::Value, String) {
    let settings: toml::Table = provider.settings("", "").parse().expect("TOML");
    let base_url = format!("--set options.base_url={}", provider.base_url());
    (settings["options"].clone(), base_url)
}

#[test]
fn questions_lead_to_checked_settings_and_a_test_sms() {
    let provider = FakeProvider::twilio();
    let (account, base_url) = account(&provider);
    let [sid, secret, from] =
        ["sid", "secret", "from"].map(|key| account[key].as_str().expect("a string"));
    let environment = Environment::without_settings();
    let run = Dialogue::start(&environment, &format!("exec phone-verify init {base_url}"))
        .types(&format!("\n{sid}\n"))
        .types_hidden(&format!("{secret}\n"))
        .types(&format!("{from}\nAcme\n{NUMBER}\n"))
        .end()
        .expect_code(0);
    assert!(!run.stdout.contains(secret), "{run:#?}");
    for part in [
        "Wrote phone-verify.toml, phone-verify.secret.",
        "0 failures.",
        "verify +14155552671 --any-session",
    ] {
        assert!(run.stdout.contains(part), "{part} is missing: {run:#?}");
    }
    assert_eq!(environment.read("phone-verify.secret"), format!("{secret}\n"));
    assert_eq!(environment.mode("phone-verify.secret"), 0o600);
    assert!(!environment.read("phone-verify.toml").contains(secret));
    let accepted = provider.accepted();
    assert_eq!(accepted.len(), 1);
    assert!(accepted[0].text.starts_with("Welcome to Acme! "), "{accepted:#?}");
}

#[test]
fn an_answer_that_can_not_be_used_is_asked_for_again() {
    let provider = FakeProvider::twilio();
    let (account, base_url) = account(&provider);
    let [sid, secret] = ["sid", "secret"].map(|key| account[key].as_str().expect("a string"));
    let environment = Environment::without_settings();
    let init = format!("exec env TOKEN={secret} phone-verify --color never init {base_url}");
    let run = Dialogue::start(&environment, &init)
        .types(&format!("twillio\nhttp\ntwilio\n\n{sid}\n"))
        .types_hidden("\n")
        .types("NO NAME\nTOKEN\n")
        .types("\u{1b}[A\nMG00000000000000000000000000000000\n\n+15551234567\n\n")
        .end()
        .expect_code(0);
    let errors: Vec<_> = run.stdout.split("error: ").skip(1).collect();
    let expected = [
        "`backend` must be twilio, ",
        "`options.base_url` is unknown",
        "`options.sid` must not be empty",
        "the name of a variable ",
        "the answer holds a control character",
    ];
    assert_eq!(errors.len(), expected.len(), "{run:#?}");
    for (error, expected) in errors.iter().zip(expected) {
        assert!(error.starts_with(expected), "{error}");
    }
    assert!(run.stdout.contains("+15551234567 not sent: it isn't valid"), "{run:#?}");
    let settings: toml::Table = environment.read("phone-verify.toml").parse().expect("TOML");
    assert_eq!(settings["options"]["secret"]["env"].as_str(), Some("TOKEN"));
    assert!(settings["options"]["messaging_service_sid"].is_str());
    assert!(settings.get("app_name").is_none() && provider.accepted().is_empty());
}

#[test]
fn a_program_is_asked_for_with_its_arguments() {
    let environment = Environment::without_settings();
    Dialogue::start(&environment, "exec phone-verify init")
        .types("command\n\n./sms  --now\n\n\n")
        .end();
    let settings: toml::Table = environment.read("phone-verify.toml").parse().expect("TOML");
    assert_eq!(settings["options"]["command"].to_string(), "[\"./sms\", \"--now\"]");
}

#[test]
fn a_question_that_is_broken_off_leaves_no_file_and_the_terminal_as_it_was() {
    for (keys, is_hidden) in [("", false), ("\nAC\n", true)] {
        let environment = Environment::without_settings();
        let line = "trap : INT; phone-verify init; echo code $?; stty -a";
        let dialogue = Dialogue::start(&environment, line);
        let dialogue = dialogue.once_it_shows("Provider [twilio]: ").types(keys);
        let dialogue = if is_hidden { dialogue.once_it_has("-echo") } else { dialogue };
        let run = dialogue.types("\u{3}").end().expect_code(0);
        assert!(run.stdout.contains("code 130\r\n"), "{run:#?}");
        assert!(run.stdout.contains(" icanon ") && run.stdout.contains(" echo "), "{run:#?}");
        assert_eq!(environment.files(), ["tty"]);
    }
}

#[test]
fn ctrl_c_ends_the_checks_after_the_questions() {
    let environment = Environment::without_settings();
    // A provider that never answers.
    let provider = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = provider.local_addr().expect("an address");
    let base_url = format!("--set options.base_url=http://{address}");
    let line = format!("trap : INT; phone-verify init {base_url}; echo code $?");
    let dialogue = Dialogue::start(&environment, &line)
        .types("nexmo\nkey\n")
        .types_hidden("secret\n")
        .types("Acme\n\n");
    let _request = provider.accept().expect("a request");
    let run = dialogue.types("\u{3}").end().expect_code(0);
    assert!(run.stdout.contains("code 130\r\n"), "{run:#?}");
    assert!(environment.files().contains(&"phone-verify.toml".to_owned()));
}

#[test]
fn what_the_command_line_gives_is_not_asked_for() {
    let environment = Environment::without_settings();
    let init = "exec phone-verify init --set app_name=Acme --set options.sandbox_token=246810";
    let run = Dialogue::start(&environment, init).types("twilio-sandbox\n\n").end().expect_code(0);
    assert!(!run.stdout.contains("Name of your app"), "{run:#?}");
    assert!(run.stdout.contains("Phone number for a test SMS"), "{run:#?}");
    let doctor = run_command(environment.command(&["doctor"])).expect_code(0);
    assert!(doctor.stdout.contains("0 failures."), "{doctor:#?}");
}
