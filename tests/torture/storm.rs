//! Sixty processes at once on one database, with every command, a Django site, `kill -9` and a provider that fails in every
//! way.

mod commands;
mod provider;
mod verdict;

use std::fs::File;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use rand::RngExt;
use rand::rngs::StdRng;

use crate::chance::{choices, choose_seed, report, seconds};
use crate::site::{SECRET_KEY, Site};
use crate::support::{DAY, Environment, FakeProvider, Run, StoredRecord};
use commands::Numbers;

/// How many processes run at once.
const PROCESSES: u64 = 60;
/// How many of the runs end by `kill -9` before they have ended by themselves.
const KILLED: f64 = 0.3;
/// How often a record is verified before it's another one's turn.
const ATTEMPTS: u32 = 12;

/// Only one storm blows at a time.
static STORM: Mutex<()> = Mutex::new(());

/// Remembers every record that anyone stores, on each engine.
const MEMORY: &str = "CREATE TABLE stored AS
    SELECT phone_number, security_code, created_at FROM sms_verification WHERE 1 = 0";
const REMEMBER: &str =
    "INSERT INTO stored VALUES (NEW.phone_number, NEW.security_code, NEW.created_at);";

struct Storm {
    seed: u64,
    start: Instant,
    end: Instant,
    environment: Environment,
    /// The second one is the fallback.
    providers: [FakeProvider; 2],
    sites: Vec<Site>,
    numbers: Numbers,
    /// The record that is verified now, and how often it may be yet.
    target: Mutex<(Option<StoredRecord>, u32)>,
    log: Mutex<Log>,
}

/// What happened.
#[derive(Default)]
struct Log {
    runs: u32,
    killed: u32,
    registered: u32,
    attempts: Vec<Attempt>,
}

/// A code that was verified.
struct Attempt {
    phone_number: String,
    session_token: String,
    is_right: bool,
    is_by_site: bool,
    /// The exit code, or None if the program was killed before it could say.
    answer: Option<i32>,
}

/// Lets a storm blow over a database of its own, on a server or in this journal mode, and looks at what is left.
pub(crate) fn blow(journal_mode: Option<&str>) {
    let _turn = STORM.lock();
    let seed = choose_seed();
    let providers = provider::start_both(seed);
    let numbers = Numbers::new();
    let environment = providers[0].environment_with(
        &format!("secret_key = \"{SECRET_KEY}\""),
        &format!(
            "[delivery]\ntimeout_seconds = 2\nconnect_timeout_seconds = 1\nmax_attempts = 2\nmax_in_flight = 8\n\
            [limits]\nmax_wrong_codes_per_number_per_day = {}\n{}",
            verdict::WRONG_CODES_PER_NUMBER,
            providers[1].fallback_tables()
        ),
    );
    environment.write(
        commands::UNREACHABLE,
        &environment.read("phone-verify.toml").replacen(
            &providers[0].base_url(),
            "http://127.0.0.1:9",
            1,
        ),
    );
    numbers.write_lists(&environment);
    environment.run(&["migrate"]).expect_code(0);
    if let Some(journal_mode) = journal_mode {
        environment.execute(&[&format!("PRAGMA journal_mode = {journal_mode}")]);
    }
    environment.execute(&[MEMORY]);
    environment.execute(&[&match environment.server {
        None => format!("CREATE TRIGGER remember AFTER INSERT ON sms_verification BEGIN {REMEMBER} END"),
        Some(_) => format!(
            "CREATE FUNCTION remember() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN {REMEMBER} RETURN NULL; END$$;
             CREATE TRIGGER remember AFTER INSERT ON sms_verification FOR EACH ROW EXECUTE FUNCTION remember()"
        ),
    }]);
    environment.insert_many(3_000, 2 * DAY);
    let sites = Site::start(&environment, 2);
    let start = Instant::now();
    let storm = Storm {
        seed,
        start,
        end: start + seconds(),
        environment,
        providers,
        sites,
        numbers,
        target: Mutex::default(),
        log: Mutex::default(),
    };
    thread::scope(|scope| {
        for process in 0..PROCESSES {
            let storm = &storm;
            scope.spawn(move || storm.rage(process));
        }
    });
    storm.expect_order();
}

impl Storm {
    /// Starts one program after the other until the storm is over.
    fn rage(&self, process: u64) {
        let mut chance = choices(self.seed, process);
        while Instant::now() < self.end {
            if !self.sites.is_empty() && chance.random_bool(0.1) {
                self.visit_site(&mut chance);
                continue;
            }
            let command = self.choose(&mut chance);
            let run = self.run(process, &command.arguments, &mut chance);
            let answer = run.as_ref().and_then(|run| run.code);
            if let Some(run) = &run {
                command.expect(run);
            }
            let mut log = self.log.lock().expect("no other thread panicked");
            log.runs += 1;
            log.killed += u32::from(run.is_none());
            log.attempts.extend(command.attempt.map(|attempt| Attempt { answer, ..attempt }));
        }
    }

    /// Runs the program, or returns None if it is killed before its end: by chance, or at the end of the storm.
    fn run(&self, process: u64, arguments: &[String], chance: &mut StdRng) -> Option<Run> {
        let is_killed = chance.random_bool(KILLED);
        let life = Duration::from_millis(chance.random_range(0..3_000));
        let end = if is_killed { self.end.min(Instant::now() + life) } else { self.end };
        let outputs = ["out", "err"].map(|name| format!("{name}-{process}"));
        let [stdout, stderr] = outputs
            .each_ref()
            .map(|name| File::create(self.environment.path(name)).expect("a file"));
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let mut command = self.environment.command(&arguments);
        let mut child = command.stdout(stdout).stderr(stderr).spawn().expect("the program starts");
        while child.try_wait().expect("a child").is_none() {
            if end <= Instant::now() {
                child.kill().expect("it is a child");
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
        let code = child.wait().expect("a child").code();
        let [stdout, stderr] = outputs.each_ref().map(|name| self.environment.read(name));
        code.map(|code| Run { code: Some(code), stdout, stderr })
    }
}

#[test]
fn in_wal_mode_it_leaves_order() {
    blow(Some("wal"));
}

#[test]
fn in_rollback_mode_it_leaves_order() {
    blow(Some("delete"));
}
