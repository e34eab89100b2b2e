//! What `send` says of itself while it goes through many numbers, and at the end: on stderr, for people.

use std::fs::{self, File};

use unicode_width::UnicodeWidthStr;

use crate::support::{
    Environment, FILE, FakeProvider, Reply, Run, SEND_FILE, finish, numbers, run_command,
    wait_until,
};

const REJECTED: &str = "+12025550101";
const UNKNOWN: &str = "+12025550102";
const UNAVAILABLE: &str = "+12025550103";
const SENT: &str = "+12025550104";

/// Returns a provider that treats each of the numbers as its name says, and an environment with them in a file.
fn mixed_numbers() -> (FakeProvider, Environment) {
    let provider = FakeProvider::twilio();
    provider.answer_with(|request| match request.field("To").as_str() {
        REJECTED => Reply::twilio_error(400, 21211, "Invalid 'To' Phone Number"),
        UNKNOWN => Reply::close(),
        UNAVAILABLE => Reply::twilio_error(503, 20503, "Service Unavailable"),
        _ => Reply::accept(),
    });
    let environment = provider.environment_with("", "[delivery]\nmax_attempts = 1");
    let mut lines =
        [REJECTED, UNKNOWN, UNAVAILABLE, SENT, SENT, "nobody"].map(str::to_owned).to_vec();
    lines.extend(numbers(6));
    environment.write_numbers(&lines);
    (provider, environment)
}

/// Returns the line of stderr that sums the run up, if there is one.
fn summary(run: &Run) -> Option<&str> {
    run.stderr.lines().find(|line| line.contains(" sent, "))
}

#[test]
fn a_summary_tells_what_the_numbers_came_to_and_how_fast() {
    let (_provider, environment) = mixed_numbers();
    let run = environment.run(&SEND_FILE).expect_code(3);
    let summary = summary(&run).unwrap_or_else(|| panic!("no summary: {run:#?}"));
    assert_eq!(run.stderr.lines().last(), Some(summary), "{run:#?}");
    for count in [
        "7 sent",
        "3 failed",
        "1 rejected",
        "1 unavailable",
        "1 invalid number",
        "1 unknown",
        "1 skipped",
        "1 duplicate",
    ] {
        assert!(summary.contains(count), "{count}: {summary}");
    }
    let words: Vec<&str> = summary.split([' ', '(', ')']).collect();
    let before = |unit: &str| {
        let place = words.iter().position(|word| *word == unit).expect(unit);
        words[place - 1]
            .replace(',', "")
            .parse::<f64>()
            .unwrap_or_else(|_| panic!("no number before {unit}: {summary}"))
    };
    assert!(before("s") >= 0.0 && before("sent/s") > 0.0, "{summary}");
}

#[test]
fn quiet_there_is_no_summary_but_every_result_and_error() {
    let (_provider, environment) = mixed_numbers();
    let arguments = [&["-q"], &SEND_FILE[..]].concat();
    let run = environment.run(&arguments).expect_code(3);
    assert_eq!(run.json_lines().len(), 12);
    assert_eq!(summary(&run), None);
    for failed in [REJECTED, UNKNOWN, UNAVAILABLE, "nobody"] {
        assert!(run.stderr.contains(failed), "{failed}: {run:#?}");
    }
}

#[test]
fn a_single_number_is_not_summed_up() {
    let provider = FakeProvider::twilio();
    let run = provider.environment().run(&["send", SENT]).expect_code(0);
    assert_eq!(run.stderr, "");
}

#[test]
fn without_a_terminal_there_is_no_progress_bar() {
    let provider = FakeProvider::twilio();
    let environment = provider.environment();
    environment.write_numbers(&numbers(300));
    let run = environment.run(&["--color", "always", "send", "--file", FILE]).expect_code(0);
    assert_eq!(run.stderr.lines().count(), 1, "{run:#?}");
    assert!(!run.stderr.contains('\r') && !run.stderr.contains("\u{1b}[2K"), "{run:#?}");
    assert!(!run.stdout.contains('\r') && !run.stdout.contains('\u{1b}'), "{run:#?}");
}

/// A `send` of [`FILE`] whose stderr is a terminal, its results in the file `results`.
struct AtTerminal<'a> {
    environment: &'a Environment,
    program: std::process::Child,
}

impl<'a> AtTerminal<'a> {
    fn start(environment: &'a Environment, columns: usize, options: &str) -> Self {
        let line = format!(
            "echo $$ >pid; exec phone-verify {options} --format json send --file {FILE} >results"
        );
        let screen = File::create(environment.path("screen")).expect("a file");
        let program = environment
            .at_terminal(columns, &line)
            .stdout(screen)
            .spawn()
            .expect("script (util-linux) starts");
        Self { environment, program }
    }

    /// Returns what the terminal was told so far.
    fn screen(&self) -> String {
        fs::read_to_string(self.environment.path("screen")).expect("it is text")
    }

    /// Waits for the end and returns what the terminal was told.
    #[track_caller]
    fn finish(self, code: i32) -> String {
        let path = self.environment.path("screen");
        finish(self.program).expect_code(code);
        fs::read_to_string(path).expect("it is text")
    }
}

#[test]
fn at_a_terminal_a_bar_shows_how_far_it_is() {
    let provider = FakeProvider::twilio();
    let environment = provider.environment_with("", "[delivery]\nmax_in_flight = 1");
    provider.next(Reply::accept());
    provider.next(Reply::accept());
    provider.next(Reply::twilio_error(400, 21211, "Invalid 'To' Phone Number"));
    let held = provider.hold_next();
    environment.write_numbers(&numbers(4));
    let terminal = AtTerminal::start(&environment, 120, "");
    held.wait_for_arrival();
    // Done and to do, what it came to, the rate, the time left.
    wait_until("the bar shows three of four", || {
        let screen = terminal.screen();
        let bar = screen.rsplit(['\r', '\n']).find(|line| line.contains("3/4"));
        bar.is_some_and(|bar| {
            ["2 sent", "1 failed", "/s", "left"].iter().all(|part| bar.contains(part))
        })
    });
    held.release(Reply::accept());
    let screen = terminal.finish(3);
    let end = screen.trim_end().rsplit(['\r', '\n']).next().expect("a last line");
    assert!(end.contains("3 sent, 1 failed"), "the summary is what stays: {screen:?}");
    let results = fs::read_to_string(environment.path("results")).expect("it is text");
    assert_eq!(results.lines().count(), 4);
    assert!(!results.contains('\r') && !results.contains('\u{1b}'), "{results:?}");
}

#[test]
fn the_total_of_the_bar_is_that_of_the_numbers_and_a_narrow_terminal_gets_the_counts_alone() {
    let provider = FakeProvider::twilio();
    let environment = provider.environment_with("", "[delivery]\nmax_in_flight = 1");
    for (text, columns) in [
        (format!("phone_number\n\n{SENT}\n \n{UNKNOWN}"), 80),
        (format!("Name;Telefon\r\n\"A\n\n;B\";{SENT};;\r\n;\r\n;{UNKNOWN};;"), 80),
        (format!("{SENT}\n\n{UNKNOWN}\n\n"), 20),
    ] {
        environment.write(FILE, &text);
        let held = [provider.hold_next(), provider.hold_next()];
        let terminal = AtTerminal::start(&environment, columns, "");
        let [first, second] = held;
        first.wait_for_arrival();
        first.release(Reply::accept());
        second.wait_for_arrival();
        wait_until("the bar shows one of two", || terminal.screen().contains("1/2 (1 sent"));
        second.release(Reply::accept());
        let screen = terminal.finish(0);
        let bars = screen.split(['\r', '\n', '\u{1b}']).filter(|line| line.contains("1/2 ("));
        for bar in bars {
            // What is left of a sequence that erases the line (ECMA-48) is no column.
            let bar = bar.trim_start_matches("[2K").trim_end();
            assert!(bar.width() <= columns, "{} columns: {bar:?}", bar.width());
            assert_eq!(columns == 80, bar.contains("left"), "{bar:?}");
        }
    }
}

#[test]
fn numbers_that_got_nothing_are_no_progress() {
    let provider = FakeProvider::twilio();
    let environment = provider.environment_with("", "[delivery]\nmax_in_flight = 1");
    environment.write_numbers(&numbers(100));
    let held = provider.hold_next();
    let terminal = AtTerminal::start(&environment, 120, "");
    held.wait_for_arrival();
    wait_until("more are stored than in flight", || environment.count() > 1);
    let program = environment.read("pid");
    run_command(environment.tool(&["kill", "-s", "INT", program.trim()])).expect_code(0);
    wait_until("those that wait have a result", || !environment.read("results").is_empty());
    let seen = terminal.screen().len();
    wait_until("the bar is drawn again", || terminal.screen()[seen..].matches("/100").count() > 1);
    let screen = terminal.screen();
    let bars = screen.matches("/100").count();
    assert_eq!(screen.matches(" 0/100").count(), bars, "{screen:?}");
    held.release(Reply::accept());
    terminal.finish(130);
}

#[test]
fn the_bar_makes_room_for_errors_and_for_the_log() {
    let (_provider, environment) = mixed_numbers();
    let screen = AtTerminal::start(&environment, 200, "--color never -vv").finish(3);
    for (start, count) in [("error: ", 4), ("info: ", 1), ("debug: ", 7)] {
        assert!(screen.matches(start).count() >= count, "{start}: {screen:?}");
        for (before, line) in screen.match_indices(start).map(|(at, _)| screen.split_at(at)) {
            assert!(before.is_empty() || before.ends_with(['\r', '\n', 'K']), "{screen:?}");
            let line = line.split("\r\n").next().unwrap_or_default();
            assert!(!line.contains('\u{1b}'), "{line:?} in {screen:?}");
        }
    }
}

#[test]
fn quiet_a_terminal_shows_nothing() {
    let provider = FakeProvider::twilio();
    let environment = provider.environment();
    environment.write_numbers(&numbers(50));
    assert_eq!(AtTerminal::start(&environment, 80, "--quiet").finish(0), "");
}
