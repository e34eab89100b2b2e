//! Numbers by the thousand, the files that hold them, and the results of a `send` to them.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::Child;
use std::sync::mpsc;
use std::thread;

use serde_json::Value;

use super::{DEADLINE, Environment, FakeProvider, HeldRequest, Reply, Request, Run};

/// The first numbers of a file.
pub(crate) const FIRST: &str = "+12025550101";
pub(crate) const SECOND: &str = "+12025550102";
pub(crate) const THIRD: &str = "+12025550103";
/// A number that isn't valid: 555 isn't an area code.
pub(crate) const INVALID: &str = "+15551234567";

/// The file that [`Environment::write_numbers`] writes.
pub(crate) const FILE: &str = "numbers.txt";
/// The arguments that send to the numbers of [`FILE`] and print the results as JSON.
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
    assert_eq!(numbers.len(), count, "there aren't as many");
    numbers
}

/// Returns [`SEND_FILE`] with further arguments.
pub(crate) fn send_file_with<'a>(options: &[&'a str]) -> Vec<&'a str> {
    SEND_FILE.iter().chain(options).copied().collect()
}

impl Environment {
    /// Writes `numbers` to [`FILE`], one on each line.
    pub(crate) fn write_numbers(&self, numbers: &[String]) {
        self.write(FILE, &(numbers.join("\n") + "\n"));
    }

    /// Writes `text` to [`FILE`] and sends to the numbers in it, with further options.
    pub(crate) fn send_text(&self, text: &str, options: &[&str]) -> Run {
        self.write(FILE, text);
        self.run(&send_file_with(options))
    }

    /// Returns the numbers of the deliveries in `state`, in order.
    pub(crate) fn numbers_in_state(&self, state: &str) -> Vec<String> {
        let deliveries = self.states_by_number().into_iter();
        deliveries.filter(|delivery| delivery.1 == state).map(|delivery| delivery.0).collect()
    }

    /// Returns the number and the state of each delivery, in the order of the numbers.
    pub(crate) fn states_by_number(&self) -> Vec<(String, String)> {
        let rows = self.deliveries().into_iter();
        let mut states: Vec<_> = rows.map(|row| (row.phone_number, row.state)).collect();
        states.sort();
        states
    }

    /// Returns the numbers of all records, in order.
    pub(crate) fn numbers_of_records(&self) -> Vec<String> {
        self.column("SELECT phone_number FROM sms_verification ORDER BY phone_number")
    }
}

impl Run {
    /// Returns the results by the line of the file that they are about, and asserts that no line has two.
    #[track_caller]
    pub(crate) fn by_line(&self) -> BTreeMap<u64, Value> {
        let mut by_line = BTreeMap::new();
        for value in self.json_lines() {
            let line = value["line"].as_u64().unwrap_or_else(|| panic!("no line: {value}"));
            assert!(by_line.insert(line, value).is_none(), "line {line} twice: {self:#?}");
        }
        by_line
    }

    /// Returns the numbers whose result has `value` at `key`, in order.
    #[track_caller]
    pub(crate) fn numbers_with(&self, key: &str, value: &str) -> Vec<String> {
        let lines = self.json_lines().into_iter().filter(|line| line[key] == value);
        sorted(lines.map(|line| line["phone_number"].as_str().expect("a number").to_owned()))
    }
}

/// The results of a running program, as it prints them.
pub(crate) struct Results(mpsc::Receiver<String>);

impl Results {
    /// Takes the stdout of `program`.
    pub(crate) fn from_program(program: &mut Child) -> Self {
        let stdout = program.stdout.take().expect("stdout is piped");
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                // If the receiver is gone, the test is over.
                let _ = sender.send(line.expect("it is text"));
            }
        });
        Self(lines)
    }

    /// Waits for the next result.
    #[track_caller]
    pub(crate) fn next(&self) -> Value {
        let line = self.0.recv_timeout(DEADLINE).expect("there is another result");
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("not JSON: {line}"))
    }
}

impl FakeProvider {
    /// Returns the numbers of all accepted messages, in order.
    pub(crate) fn accepted_numbers(&self) -> Vec<String> {
        sorted(self.accepted().into_iter().map(|accepted| accepted.phone_number))
    }

    /// Returns the numbers of all requests, in order.
    pub(crate) fn requested_numbers(&self) -> Vec<String> {
        sorted(self.requests().iter().map(|request| request.field("To")))
    }

    /// Holds the next `count` messages that have no scripted reply.
    pub(crate) fn hold(&self, count: usize) -> Vec<HeldRequest> {
        (0..count).map(|_| self.hold_next()).collect()
    }
}

/// Returns `numbers` in order.
pub(crate) fn sorted(numbers: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut numbers: Vec<String> = numbers.into_iter().collect();
    numbers.sort();
    numbers
}

/// Waits until all held requests have arrived, and returns them.
#[track_caller]
pub(crate) fn wait_for_arrivals(held: &[HeldRequest]) -> Vec<Request> {
    held.iter().map(HeldRequest::wait_for_arrival).collect()
}

/// Accepts all held messages.
pub(crate) fn accept_all(held: Vec<HeldRequest>) {
    held.into_iter().for_each(|held| held.release(Reply::accept()));
}
