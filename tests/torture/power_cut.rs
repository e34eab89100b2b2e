//! A power cut at every sync: the directory as a disk may have it then holds every promise that was made before.

use std::collections::BTreeMap;
use std::fs;

use rand::rngs::StdRng;

use crate::chance::{choices, choose_seed, seconds};
use crate::disk::Disk;
use crate::strace::{Event, is_usable, record};
use crate::support::{
    Accepted, DATABASE, Environment, FakeProvider, Reply, WRONG_CODE, code_in, numbers,
};

/// What has to be true of the database after a power cut.
struct Promise {
    /// The event that makes it.
    since: usize,
    /// The event that ends it, if one does.
    until: usize,
    what: String,
    holds: Box<dyn Fn(&Environment) -> bool>,
}

/// What the program did in one run after the other.
struct Story {
    provider: FakeProvider,
    environment: Environment,
    events: Vec<Event>,
    promises: Vec<Promise>,
}

impl Story {
    /// Runs the program, and returns the events of this run.
    fn run(&mut self, code: i32, arguments: &[&str]) -> std::ops::Range<usize> {
        let start = self.events.len();
        let (run, events) = record(&self.environment, arguments);
        run.expect_code(code);
        self.events.extend(events);
        start..self.events.len()
    }

    /// Runs the program, whose answer promises something.
    fn run_to_answer(
        &mut self,
        code: i32,
        arguments: &[&str],
        holds: impl Fn(&Environment) -> bool + 'static,
    ) {
        let events = self.run(code, arguments);
        let answer = self.events[events.clone()].iter().position(|it| matches!(it, Event::Print));
        let since = events.start + answer.expect("an answer");
        let (what, holds) = (format!("{arguments:?}"), Box::new(holds));
        self.promises.push(Promise { since, until: usize::MAX, what, holds });
    }

    /// Adds the promises of all messages that were accepted: each has its record, or a newer one that was accepted as well, and
    /// its line in the ledger. That holds from the moment when the request left, unless `erased` is its number.
    fn promise_records(&mut self, (erased, until): (&str, usize)) {
        let accepted = self.provider.accepted();
        for (index, Accepted { phone_number, text, .. }) in accepted.iter().enumerate() {
            let code = code_in(text);
            let sends = |event: &Event| match event {
                Event::Transmit(bytes) => [code, &phone_number[1..]]
                    .iter()
                    .all(|part| bytes.windows(part.len()).any(|window| window == part.as_bytes())),
                _ => false,
            };
            let since = self.events.iter().position(sends).expect("a request");
            let newer = accepted[index..].iter().filter(|it| it.phone_number == *phone_number);
            let codes: Vec<_> = newer.map(|it| code_in(&it.text).to_owned()).collect();
            let number = phone_number.clone();
            let holds = Box::new(move |environment: &Environment| {
                let mut records = environment.records().into_iter();
                let mut deliveries = environment.deliveries().into_iter();
                records.any(|it| it.phone_number == number && codes.contains(&it.security_code))
                    && deliveries.any(|it| it.phone_number == number)
            });
            let until = if phone_number == erased { until } else { usize::MAX };
            let what = format!("the SMS to {phone_number} with the code {code}");
            self.promises.push(Promise { since, until, what, holds });
        }
    }

    /// Cuts the power at every sync of a program that works on `disk`.
    fn cut_at_every_sync(self, mut disk: Disk, chance: &mut StdRng) {
        let mut cuts = 0;
        for (index, event) in self.events.into_iter().enumerate() {
            if matches!(event, Event::Sync(_) | Event::SyncDirectory) {
                expect_promises(&self.promises, index, disk.without_unsynced());
                for _ in 0..=seconds().as_secs() / 30 {
                    expect_promises(&self.promises, index, disk.with_torn(chance));
                }
                cuts += 1;
            }
            event.repeat(&mut disk);
        }
        expect_promises(&self.promises, usize::MAX - 1, disk.without_unsynced());
        assert!(cuts > 20, "there were only {cuts} syncs");
    }
}

/// Asserts that the program works on the `files` that a power cut at this event has left, and finds in them what was promised
/// before.
fn expect_promises(promises: &[Promise], event: usize, files: BTreeMap<&str, Vec<u8>>) {
    let mut promises = promises.iter().filter(|it| it.since < event && event < it.until).peekable();
    let environment = Environment::without_settings();
    for (name, content) in &files {
        fs::write(environment.path(name), content).expect("a file in a temporary directory");
    }
    if !files.contains_key(DATABASE) {
        assert!(promises.peek().is_none(), "there is no database at event {event}");
        return;
    }
    let run = environment.run(&["--quiet", "--format", "json", "list", "--all"]).expect_code(0);
    environment.expect_soundness();
    for Promise { what, holds, .. } in promises {
        assert!(holds(&environment), "lost by a power cut at event {event}: {what}\n{run:#?}");
    }
}

/// Sends, verifies and erases in a database in this journal mode.
fn test_in(journal_mode: &str) {
    if !is_usable() {
        return;
    }
    let seed = choose_seed();
    let provider = FakeProvider::twilio();
    let environment =
        provider.environment_with("", "[delivery]\nmax_in_flight = 3\nmax_attempts = 1");
    let numbers = numbers(6);
    environment.write_numbers(&numbers);
    if journal_mode != "wal" {
        environment.run(&["migrate"]).expect_code(0);
        environment.execute(&[&format!("PRAGMA journal_mode = {journal_mode}")]);
    }
    let disk = Disk::read(&environment.path(""));
    let mut story = Story { provider, environment, events: Vec::new(), promises: Vec::new() };

    story.provider.answer_with({
        let (refused, lost) = (numbers[4].clone(), numbers[5].clone());
        move |request| match request.field("To") {
            number if number == refused => {
                Reply::twilio_error(400, 21211, "Invalid 'To' Phone Number")
            }
            number if number == lost => Reply::close().although_accepted(),
            _ => Reply::accept(),
        }
    });
    story.run(3, &["send", "--file", crate::support::FILE]);
    let [right, wrong, again, erased, ..] = &numbers[..] else { panic!("there are six numbers") };
    story.run(0, &["send", again]);
    let accepted = story.provider.accepted();
    let to_right = accepted.iter().find(|it| it.phone_number == *right).expect("it was accepted");
    let number = right.clone();
    story.run_to_answer(
        0,
        &["verify", right, code_in(&to_right.text), "--any-session"],
        move |it| {
            it.records().iter().any(|record| record.phone_number == number && record.is_verified)
        },
    );
    let number = wrong.clone();
    story.run_to_answer(11, &["verify", wrong, WRONG_CODE, "--any-session"], move |it| {
        it.records().iter().any(|it| it.phone_number == number && it.failed_attempts == 1)
    });
    let purge = story.events.len();
    let number = erased.clone();
    story.run_to_answer(0, &["purge", "--phone-number", erased], move |it| {
        !it.numbers_of_records().contains(&number)
    });
    story.promise_records((erased, purge));
    story.cut_at_every_sync(disk, &mut choices(seed, 0));
}

#[test]
fn in_wal_mode_every_promise_survives() {
    test_in("wal");
}

#[test]
fn in_rollback_mode_every_promise_survives() {
    test_in("delete");
}
