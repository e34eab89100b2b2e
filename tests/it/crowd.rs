//! Numbers by the thousand, the files that hold them, and what a `send` of many says of each.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command};
use std::sync::mpsc;
use std::thread;

use serde_json::Value;

use crate::fake_provider::{FakeProvider, Held, Reply, Request};
use crate::processes::wait_until;
use crate::support::{DEADLINE, Environment, Run};

/// The file that [`Environment::write_numbers`] writes.
pub(crate) const FILE: &str = "numbers.txt";
/// The memory that the project allows itself for input of any length, in KiB.
pub(crate) const MAX_MEMORY: u64 = 64 * 1024;

/// Sends to the numbers of [`FILE`], and says so in JSON.
pub(crate) const SEND_FILE: [&str; 5] = ["--format", "json", "send", "--file", FILE];

/// Returns the first `count` of the 130,000 numbers that Australia and France keep free for fiction.
pub(crate) fn numbers(count: usize) -> Vec<String> {
    let australian = ["2", "3", "7", "8"]
        .iter()
        .flat_map(|area| ["5550", "7010"].map(|exchange| format!("+61{area}{exchange}")));
    let french = ["19900", "26191", "35301", "46571", "53649"].map(|range| format!("+33{range}"));
    let numbers: Vec<String> = australian
        .chain(french)
        .flat_map(|range| (0..10_000).map(move |last| format!("{range}{last:04}")))
        .take(count)
        .collect();
    assert_eq!(numbers.len(), count, "there are no more");
    numbers
}

/// Returns `first` and then the numbers of [`SEND_FILE`], as arguments of one command.
pub(crate) fn send_file_with<'a>(options: &[&'a str]) -> Vec<&'a str> {
    SEND_FILE.iter().chain(options).copied().collect()
}

impl Environment {
    /// Writes [`FILE`], a number a line.
    pub(crate) fn write_numbers(&self, numbers: &[String]) {
        self.write(FILE, &(numbers.join("\n") + "\n"));
    }

    /// Writes `text` to [`FILE`] and sends to the numbers in it, with further options.
    pub(crate) fn send_text(&self, text: &str, options: &[&str]) -> Run {
        self.write(FILE, text);
        self.run(&send_file_with(options))
    }

    /// Returns each number of the ledger and the state of its delivery, in the order of the numbers.
    pub(crate) fn states_by_number(&self) -> Vec<(String, String)> {
        let rows = self.deliveries().into_iter();
        let mut states: Vec<_> = rows.map(|row| (row.phone_number, row.state)).collect();
        states.sort();
        states
    }

    /// Returns the numbers that have a record, in their order, each as often as it has one.
    pub(crate) fn numbers_of_records(&self) -> Vec<String> {
        self.column("SELECT phone_number FROM sms_verification ORDER BY phone_number")
    }
}

impl Run {
    /// Returns the JSON lines by the line of the file that they speak of; each has to have one of its own.
    #[track_caller]
    pub(crate) fn by_line(&self) -> BTreeMap<u64, Value> {
        let mut by_line = BTreeMap::new();
        for value in self.json_lines() {
            let line = value["line"].as_u64().unwrap_or_else(|| panic!("no line: {value}"));
            assert!(by_line.insert(line, value).is_none(), "line {line} twice: {self:#?}");
        }
        by_line
    }

    /// Returns the numbers whose JSON line has `value` at `key`, in their order.
    #[track_caller]
    pub(crate) fn numbers_with(&self, key: &str, value: &str) -> Vec<String> {
        let mut numbers: Vec<String> = self
            .json_lines()
            .iter()
            .filter(|line| line[key] == value)
            .map(|line| line["phone_number"].as_str().expect("a number").to_owned())
            .collect();
        numbers.sort();
        numbers
    }
}

/// The results of a program that still runs, as it prints them.
pub(crate) struct Results(mpsc::Receiver<String>);

impl Results {
    /// Takes the stdout of `program`.
    pub(crate) fn of(program: &mut Child) -> Self {
        let stdout = program.stdout.take().expect("stdout is piped");
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                // Where nobody waits for it, the test is over.
                let _ = sender.send(line.expect("it is text"));
            }
        });
        Self(lines)
    }

    /// Waits for the next result, which has to be JSON.
    #[track_caller]
    pub(crate) fn next(&self) -> Value {
        let line = self.0.recv_timeout(DEADLINE).expect("there is another result");
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("not JSON: {line}"))
    }
}

impl FakeProvider {
    /// Returns the numbers of the messages that were accepted, in their order, each as often as it was accepted.
    pub(crate) fn accepted_numbers(&self) -> Vec<String> {
        sorted(self.accepted().into_iter().map(|accepted| accepted.phone_number))
    }

    /// Returns the numbers of the requests, in their order, each as often as it was asked for.
    pub(crate) fn requested_numbers(&self) -> Vec<String> {
        sorted(self.requests().iter().map(|request| request.field("To")))
    }

    /// Holds the next `count` unscripted requests.
    pub(crate) fn hold(&self, count: usize) -> Vec<Held> {
        (0..count).map(|_| self.hold_next()).collect()
    }
}

/// Returns `numbers` in their order.
pub(crate) fn sorted(numbers: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut numbers: Vec<String> = numbers.into_iter().collect();
    numbers.sort();
    numbers
}

/// Waits until all held requests have arrived, and returns them.
#[track_caller]
pub(crate) fn arrived(held: &[Held]) -> Vec<Request> {
    held.iter().map(Held::arrived).collect()
}

/// Lets the provider accept all these messages.
pub(crate) fn accept_all(held: Vec<Held>) {
    held.into_iter().for_each(|held| held.release(Reply::accept()));
}

/// Returns the most memory that `program` has held so far, in KiB. It has to run still.
#[track_caller]
pub(crate) fn peak_memory(program: &Child) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", program.id())).expect("it runs");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    peak.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// Sends `signal`, such as `INT`, to `program`, and waits until it has taken it.
#[track_caller]
pub(crate) fn send_signal(program: &Child, signal: &str) {
    let id = program.id().to_string();
    let status = Command::new("/bin/sh")
        .args(["-c", "kill -s \"$0\" \"$1\"", signal, &id])
        .status()
        .expect("a shell");
    assert!(status.success(), "no program took the signal {signal}");
    wait_until("the program takes the signal", || {
        let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        let field = |name| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("");
        // One that has ended takes nothing any more.
        field("State:").trim().starts_with('Z')
            || field("ShdPnd:").trim().bytes().all(|digit| digit == b'0')
    });
}

/// Sends `signal` to `program` again and again: two that come shortly after each other may count as one.
#[track_caller]
pub(crate) fn signal_until_it_ends(program: &mut Child, signal: &str) {
    wait_until("the program ends", || {
        let is_over = program.try_wait().expect("a child").is_some();
        if !is_over {
            send_signal(program, signal);
        }
        is_over
    });
}
