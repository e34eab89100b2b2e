//! The commands of a storm.

use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::json;

use super::{ATTEMPTS, Attempt, Storm};
use crate::chance::seconds;
use crate::support::{Environment, Run, StoredRecord, WRONG_CODE, numbers};

/// Settings with a provider that nothing can connect to.
pub(super) const UNREACHABLE: &str = "unreachable.toml";
/// What `purge` of a number says if other processes use the log all the time.
const LOG_IN_USE: &str = "other processes have used its log";
/// How long a list is sent to, by several processes at once.
const LIST_LIFE: Duration = Duration::from_secs(2);
const LIST_LENGTH: usize = 25;

/// A run of the program.
pub(super) struct Command {
    pub(super) arguments: Vec<String>,
    /// The exit codes that it may have.
    codes: &'static [i32],
    pub(super) attempt: Option<Attempt>,
}

impl Command {
    fn new(words: &str, codes: &'static [i32]) -> Self {
        let arguments = words.split(' ').map(str::to_owned).collect();
        Self { arguments, codes, attempt: None }
    }

    /// Asserts that the run ended as it may, and wasn't refused by a database that others use.
    pub(super) fn expect(&self, run: &Run) {
        let is_allowed = run.code.is_some_and(|code| self.codes.contains(&code));
        assert!(is_allowed, "{:?}: {run:#?}", self.arguments);
        for line in run.stderr.lines().filter(|line| line.starts_with("error: ")) {
            let is_refused = line.contains("database ") && !line.contains(LOG_IN_USE);
            assert!(!is_refused, "{:?}: {run:#?}", self.arguments);
        }
    }
}

/// The numbers of a storm.
pub(super) struct Numbers {
    /// Those that everything is done with.
    pub(super) shared: Vec<String>,
    /// Those that are erased now and then.
    pub(super) erased: Vec<String>,
    /// Those of one list after the other. Each number is only in one of them.
    pub(super) lists: Vec<Vec<String>>,
}

impl Numbers {
    pub(super) fn new() -> Self {
        let lists = seconds().as_millis() / LIST_LIFE.as_millis() + 1;
        let lists = usize::try_from(lists).expect("there aren't as many");
        let mut numbers = numbers(40 + lists * LIST_LENGTH);
        let listed = numbers.split_off(40);
        let erased = numbers.split_off(36);
        let lists = listed.chunks(LIST_LENGTH).map(<[String]>::to_vec).collect();
        Self { shared: numbers, erased, lists }
    }

    /// Writes a file for each list.
    pub(super) fn write_lists(&self, environment: &Environment) {
        for (index, list) in self.lists.iter().enumerate() {
            environment.write(&format!("list-{index}"), &(list.join("\n") + "\n"));
        }
    }

    fn any<'a>(&'a self, chance: &mut StdRng) -> &'a str {
        let numbers = if chance.random_bool(0.1) { &self.erased } else { &self.shared };
        numbers.choose(chance).expect("there are some")
    }
}

impl Storm {
    /// Returns what a process does next.
    pub(super) fn choose(&self, chance: &mut StdRng) -> Command {
        let number = self.numbers.any(chance);
        let words = match chance.random_range(0..40) {
            0..=5 => return Command::new(&format!("send {number}"), &[0, 1]),
            6 => format!("--config {UNREACHABLE} send {number}"),
            7 => format!("send --wait=1 {number} {}", self.numbers.any(chance)),
            8..=11 => {
                let list = self.start.elapsed().as_millis() / LIST_LIFE.as_millis();
                let list = usize::try_from(list).expect("a few").min(self.numbers.lists.len() - 1);
                format!("send --resume --file list-{list}")
            }
            12 => return Command::new("list", &[0]),
            13 => return Command::new("--format csv list --all", &[0]),
            14 => return Command::new("--format json list --all", &[0]),
            15 => format!("status --refresh {number}"),
            16 => return Command::new("--format csv deliveries --all", &[0]),
            17 => return Command::new("--format json stats --by day", &[0]),
            18..=19 => return Command::new("purge", &[0]),
            20 => {
                let erased = self.numbers.erased.choose(chance).expect("there are some");
                format!("purge --phone-number {erased}")
            }
            21 => return Command::new("migrate", &[0]),
            22 => "doctor".to_owned(),
            _ => return self.verify(chance),
        };
        Command::new(&words, &[0, 1, 3])
    }

    /// Verifies a record that others verify too.
    fn verify(&self, chance: &mut StdRng) -> Command {
        let Some((record, code)) = self.aim(chance) else { return Command::new("list", &[0]) };
        let StoredRecord { phone_number, session_token, .. } = &record;
        let words = format!("verify {phone_number} {code} --session-token {session_token}");
        let attempt = attempt(&record, &code, false, None);
        Command { attempt: Some(attempt), ..Command::new(&words, &[0, 11, 13, 14, 15]) }
    }

    /// Has the site register a number or verify a code.
    pub(super) fn visit_site(&self, chance: &mut StdRng) {
        let site = self.sites.choose(chance).expect("there are some");
        let aim = if chance.random_bool(0.7) { self.aim(chance) } else { None };
        let work = match &aim {
            Some((record, code)) => {
                json!(["verify", code, record.session_token, record.phone_number])
            }
            None => json!(["register", self.numbers.any(chance)]),
        };
        let answer = site.ask(&work);
        assert!(!answer["error"].to_string().contains("lock"), "the site: {work}: {answer}");
        let mut log = self.log.lock().expect("no other thread panicked");
        match aim {
            // The codes of the program are 10 plus those of the site.
            Some((record, code)) => {
                let status = answer.as_i64().map(|it| if it == 0 { 0 } else { it as i32 + 10 });
                log.attempts.push(attempt(&record, &code, true, status));
            }
            None => log.registered += 1,
        }
    }

    /// Returns the record that is verified now, and a code.
    fn aim(&self, chance: &mut StdRng) -> Option<(StoredRecord, String)> {
        let mut target = self.target.lock().expect("no other thread panicked");
        if target.1 == 0 {
            let shared = self.environment.records().into_iter();
            let shared: Vec<_> =
                shared.filter(|it| self.numbers.shared.contains(&it.phone_number)).collect();
            *target = (shared.choose(chance).cloned(), ATTEMPTS);
        }
        target.1 -= 1;
        let record = target.0.clone()?;
        let is_right = chance.random_bool(0.4);
        let code = if is_right { record.security_code.clone() } else { WRONG_CODE.to_owned() };
        Some((record, code))
    }
}

fn attempt(record: &StoredRecord, code: &str, is_by_site: bool, answer: Option<i32>) -> Attempt {
    Attempt {
        phone_number: record.phone_number.clone(),
        session_token: record.session_token.clone(),
        is_right: record.security_code == code,
        is_by_site,
        answer,
    }
}
