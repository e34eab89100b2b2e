//! What a person at a terminal sees while the program waits, and what of it stays: nothing.

use std::fs::{self, File};
use std::io::Write;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc;

use crate::support::{
    CODE, Environment, FakeProvider, NUMBER, Record, Reply, TOKEN, finish, hook, run_command,
    wait_until,
};

/// Takes the cursor to the first column and clears the line (ECMA-48).
const CLEAR: &str = "\r\u{1b}[K";
const CTRL_C: &[u8] = b"\x03";
/// A program that goes on once the file `go` is there.
const HELD: &str = "cat >/dev/null; until test -e go; do sleep 0.05; done";

/// A program at a terminal of 80 columns.
struct AtTerminal<'a> {
    environment: &'a Environment,
    terminal: Child,
    keyboard: ChildStdin,
}

impl<'a> AtTerminal<'a> {
    fn start(environment: &'a Environment, line: &str) -> Self {
        let screen = File::create(environment.path("screen")).expect("a file");
        let mut terminal = environment.at_terminal(80, &format!("exec {line}"));
        let mut terminal =
            terminal.stdin(Stdio::piped()).stdout(screen).spawn().expect("script is installed");
        let keyboard = terminal.stdin.take().expect("stdin is piped");
        Self { environment, terminal, keyboard }
    }

    /// Returns all that the terminal received so far.
    fn received(&self) -> String {
        fs::read_to_string(self.environment.path("screen")).unwrap_or_default()
    }

    #[track_caller]
    fn wait_for(&self, text: &str) {
        wait_until(&format!("the terminal shows: {text}"), || self.received().contains(text));
    }

    fn press(&mut self, keys: &[u8]) {
        self.keyboard.write_all(keys).expect("script reads");
    }

    /// Waits for the end, and returns what the screen shows then.
    #[track_caller]
    fn finish(self, code: i32) -> String {
        let Self { environment, terminal, keyboard } = self;
        finish(terminal).expect_code(code);
        drop(keyboard);
        let received = fs::read_to_string(environment.path("screen")).expect("it is text");
        let shown = |line: &str| line.rsplit(CLEAR).next().unwrap_or_default().to_owned();
        received.split("\r\n").map(shown).collect::<Vec<_>>().join("\n")
    }
}

/// Returns a Twilio that answers nothing but messages until something is sent to the sender.
fn twilio_that_is_asked(answer: Reply) -> (FakeProvider, mpsc::Sender<()>) {
    let provider = FakeProvider::twilio();
    let (go, held) = mpsc::channel();
    let held = std::sync::Mutex::new(held);
    provider.answer_questions_with(move |_| {
        // A sender that is gone holds nothing any more.
        let _ = held.lock().expect("no thread panicked").recv();
        answer.clone()
    });
    (provider, go)
}

#[test]
fn a_send_shows_what_it_waits_for_and_nothing_of_it_stays() {
    for (script, awaited) in [
        (HELD, "sending through command"),
        ("test -e go || exit 75", "sending through command failed; trying again in "),
    ] {
        let environment = Environment::with_sms_script(script, "", "");
        let line = format!("phone-verify --color never -v send {NUMBER}");
        let terminal = AtTerminal::start(&environment, &line);
        terminal.wait_for(awaited);
        environment.write("go", "");
        let screen = terminal.finish(0);
        assert!(!screen.contains(awaited) && !screen.contains('\u{1b}'), "{screen}");
        // What was logged meanwhile has lines of its own.
        assert!(screen.starts_with("info: the settings are phone-verify.toml\n"), "{screen}");
        assert!(screen.contains(&format!("\n{NUMBER} sent\n  expires  ")), "{screen}");
        assert!(screen.ends_with('\n'), "{screen:?}");
    }
}

#[test]
fn a_send_that_waits_for_its_sms_says_so() {
    let (provider, go) = twilio_that_is_asked(Reply::message_status("delivered"));
    provider.next(Reply::throttled().retry_after_seconds(3));
    let environment = provider.environment();
    let line = format!("phone-verify send --wait=600 {NUMBER}");
    let terminal = AtTerminal::start(&environment, &line);
    terminal.wait_for("sending through twilio failed (20429); trying again in ");
    terminal.wait_for("waiting for the SMS to arrive; giving up in ");
    drop(go);
    let screen = terminal.finish(0);
    assert!(screen.starts_with(&format!("{NUMBER} delivered\n")), "{screen}");
}

#[test]
fn a_provider_that_is_asked_is_named_with_the_question() {
    for (command, answer, awaited, code) in [
        (
            &format!("status --refresh {NUMBER}"),
            Reply::message_status("delivered"),
            "asking twilio whether the SMS arrived",
            0,
        ),
        (&"doctor".to_owned(), Reply::resource(), "asking twilio about its credentials", 0),
    ] {
        let (provider, go) = twilio_that_is_asked(answer);
        let environment = provider.environment();
        environment.send(NUMBER);
        let terminal = AtTerminal::start(&environment, &format!("phone-verify {command}"));
        terminal.wait_for(awaited);
        drop(go);
        let screen = terminal.finish(code);
        assert!(!screen.contains("asking"), "{screen}");
    }
}

#[test]
fn a_lock_and_a_hook_are_waited_for_visibly() {
    let environment = Environment::with_hooks("", &hook("verified", HELD));
    let lock = environment.database();
    lock.execute_batch("BEGIN IMMEDIATE").expect("a lock");
    let line = format!("phone-verify verify {NUMBER} {CODE} --session-token {TOKEN}");
    let terminal = AtTerminal::start(&environment, &line);
    terminal.wait_for("waiting for the database");
    lock.execute_batch("ROLLBACK").expect("the lock is ours");
    terminal.wait_for("waiting for the hook `verified`");
    environment.write("go", "");
    assert_eq!(terminal.finish(0), "Security code is valid.\n");
}

#[test]
fn ctrl_c_leaves_nothing_of_a_wait_on_the_screen() {
    let environment = Environment::console("");
    environment.insert(&Record::default());
    let lock = environment.database();
    lock.execute_batch("BEGIN IMMEDIATE").expect("a lock");
    let line = format!("phone-verify verify {NUMBER} {CODE} --session-token {TOKEN}");
    let mut terminal = AtTerminal::start(&environment, &line);
    terminal.wait_for("waiting for the database");
    terminal.press(CTRL_C);
    assert_eq!(terminal.finish(130), "");

    // A send that is asked to stop first hears what became of its SMS.
    let environment = Environment::with_sms_script(HELD, "", "");
    let mut terminal = AtTerminal::start(&environment, &format!("phone-verify send {NUMBER}"));
    terminal.wait_for("sending through command");
    terminal.press(CTRL_C);
    terminal.wait_for("^C");
    environment.write("go", "");
    let screen = terminal.finish(130);
    assert!(screen.contains(&format!("{NUMBER} sent\n")), "{screen}");
    assert!(!screen.contains("sending") && !screen.contains("^C"), "{screen}");

    // One that waits to try again doesn't.
    let provider = FakeProvider::twilio();
    provider.next(Reply::throttled().retry_after_seconds(27));
    let environment = provider.environment();
    let mut terminal = AtTerminal::start(&environment, &format!("phone-verify send {NUMBER}"));
    terminal.wait_for("sending through twilio failed (20429); trying again in 2");
    terminal.press(CTRL_C);
    let screen = terminal.finish(130);
    assert!(!screen.contains("trying") && !screen.contains("^C"), "{screen}");
}

#[test]
fn a_pipe_a_dumb_terminal_and_a_quiet_one_see_no_waiting() {
    // The second attempt comes after half a second at the earliest, and the third one after another second.
    let script = "cat >/dev/null; echo >>runs; test $(wc -l <runs) = 3 || exit 75";
    for (variable, options) in [("xterm", "--quiet"), ("dumb", "")] {
        let environment = Environment::with_sms_script(script, "", "");
        let line = format!("phone-verify --color never {options} send {NUMBER}");
        let mut terminal = environment.at_terminal(200, &line);
        terminal.env("TERM", variable);
        let screen = run_command(terminal).expect_code(0).stdout;
        assert!(screen.starts_with(&format!("{NUMBER} sent\r\n")), "{screen:?}");
        assert!(!screen.contains('\u{1b}'), "{screen:?}");
    }
    let environment = Environment::with_sms_script(script, "", "");
    assert_eq!(environment.run(&["send", NUMBER]).expect_code(0).stderr, "");
}
