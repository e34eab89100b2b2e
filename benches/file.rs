//! How long the program takes on a file, beside `sqlite3` with the same statements and, if `tests/interop/run` has installed it,
//! beside django-phone-verify.
//!
//!     cargo bench --bench file             1,000,000 records; about 2 GB in the temporary directory
//!     cargo bench --bench file -- 50000    that many records
//!
//! Both programs take turns within one run, so that whatever else the machine does slows both down. What counts is the ratio. With
//! `cargo test --bench file` the table is small and everything runs once. Without `sqlite3` it says so and does nothing.

mod django;
mod measure;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};
use tempfile::TempDir;

use self::django::Times;
use self::measure::{
    Result, beside_a_writer, compare, elapsed, heading, peak_memory, print, report,
};

/// No SMS is sent here. The codes of two hours live, so that each round has its own.
const SETTINGS: &str = "backend = \"console\"\nsecurity_code_expiration_time = 7200\n";
const DATABASE: &str = "phone-verify.sqlite3";
const CODE: &str = "271828";
/// What django-phone-verify answers to a valid code, and to a token that it doesn't know.
const VALID: i32 = 0;
const TOKEN_INVALID: i32 = 4;
/// Each run takes about half a second.
const DJANGO_ROUNDS: usize = 21;
/// Beyond so many records, an export or a deletion takes Django many minutes.
const MOST_FOR_DJANGO: u32 = 1_000_000;
/// The columns that a verification or a list needs.
const COLUMNS: &str = "id, phone_number, security_code, session_token, is_verified, failed_attempts, \
    created_at, modified_at";

/// What the programs work on.
struct Bench {
    /// The settings and the database.
    directory: TempDir,
    records: u32,
    rounds: usize,
}

fn main() -> Result<()> {
    let is_measured = std::env::args().any(|argument| argument == "--bench");
    let records = std::env::args().skip(1).find_map(|argument| argument.parse().ok());
    let records = records.unwrap_or(if is_measured { 1_000_000 } else { 1_000 });
    if records < 1_000 {
        return Err("give 1000 records or more, so that each round has its own".into());
    }
    if Command::new("sqlite3").arg("-version").output().is_err() {
        return print("sqlite3 isn't installed");
    }
    let bench =
        Bench { directory: TempDir::new()?, records, rounds: if is_measured { 101 } else { 1 } };
    bench.fill()?;
    heading("sqlite3")?;
    bench.compare_single()?;
    bench.compare_exports()?;
    bench.compare_purge()
}

impl Bench {
    /// Makes the tables and their indexes with `migrate`, and fills them: a record and a delivery for each number. As in a real
    /// database, ids and numbers are in no order.
    fn fill(&self) -> Result<()> {
        let start = Instant::now();
        std::fs::write(self.path("phone-verify.toml"), SETTINGS)?;
        elapsed(self.phone_verify(&["migrate"]), 0)?;
        let mut connection = Connection::open(self.path(DATABASE))?;
        // Room for the indexes of ten million records, in KiB: each row belongs anywhere in them.
        connection.pragma_update(None, "cache_size", -6_000_000)?;
        let transaction = connection.transaction()?;
        // One record every five seconds, the newest last. Every third code was used.
        let mut insert = transaction.prepare(&format!(
            "INSERT INTO sms_verification ({COLUMNS})
             SELECT ?1, ?2, ?3, ?4, ?5 % 3 = 0, 0, time, time
             FROM (SELECT strftime('%Y-%m-%d %H:%M:%f000', 'now', (-5 * ?5) || ' seconds') AS time)"
        ))?;
        for number in (0..self.records).rev() {
            let (id, token) = (id(number), session_token(number));
            insert.execute(params![id, phone_number(number), CODE, token, number])?;
        }
        drop(insert);
        transaction.execute(
            "INSERT INTO sms_delivery (verification_id, phone_number, backend, state, message_id, segments, tries,
                 verified_at, created_at, updated_at)
             SELECT id, phone_number, 'twilio', 'delivered', 'SM' || id, 1, 1, iif(is_verified, modified_at, NULL),
                 created_at, created_at
             FROM sms_verification ORDER BY created_at",
            [],
        )?;
        transaction.commit()?;
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        let megabytes = std::fs::metadata(self.path(DATABASE))?.len() / 1_000_000;
        print(&format!("{} records, {megabytes} MB, made in {:.0?}", self.records, start.elapsed()))
    }

    /// Compares what a person waits for.
    fn compare_single(&self) -> Result<()> {
        let find = |number: u32, token: &str| {
            format!(
                "SELECT {COLUMNS} FROM sms_verification WHERE phone_number = '{}' AND session_token = '{token}'
                 ORDER BY created_at DESC LIMIT 1;",
                phone_number(number)
            )
        };
        compare("start: --version", self.rounds, |_| {
            let mut version = Command::new("sqlite3");
            version.arg("-version");
            Ok((elapsed(self.phone_verify(&["--version"]), 0)?, elapsed(version, 0)?))
        })?;
        compare("verify, wrong token", self.rounds, |round| {
            let number = unused(round);
            let sql = format!("BEGIN IMMEDIATE; {} COMMIT;", find(number, "wrong"));
            let number = phone_number(number);
            self.turn(&["verify", &number, CODE, "--session-token", "wrong"], 14, "-list", &sql)
        })?;
        self.beside_django(self.rounds, |round| {
            let number = phone_number(unused(round));
            let ours = self.phone_verify(&["verify", &number, CODE, "--session-token", "wrong"]);
            let theirs = self.django(&["verify", &number, CODE, "wrong"], TOKEN_INVALID)?;
            Ok((elapsed(ours, 14)?, theirs))
        })?;
        compare("verify, right code", self.rounds, |round| {
            let (number, other) = (unused(round), unused(self.rounds + 1 + round));
            let sql = format!(
                "BEGIN IMMEDIATE; {} UPDATE sms_verification SET is_verified = 1, failed_attempts = 0,
                 modified_at = strftime('%Y-%m-%d %H:%M:%f000', 'now') WHERE id = '{}'; COMMIT;",
                find(other, &session_token(other)),
                id(other)
            );
            let (number, token) = (phone_number(number), session_token(number));
            self.turn(&["verify", &number, CODE, "--session-token", &token], 0, "-list", &sql)
        })?;
        self.beside_django(self.rounds, |round| {
            let [(number, token), (other, other_token)] = [2, 3].map(|nth| {
                let record = unused(nth * (self.rounds + 1) + round);
                (phone_number(record), session_token(record))
            });
            let ours = self.phone_verify(&["verify", &number, CODE, "--session-token", &token]);
            let theirs = self.django(&["verify", &other, CODE, &other_token], VALID)?;
            Ok((elapsed(ours, 0)?, theirs))
        })?;
        let newest = |condition: &str| {
            format!(
                "SELECT {COLUMNS} FROM sms_verification {condition} ORDER BY created_at DESC LIMIT 20;"
            )
        };
        compare("list, the newest 20", self.rounds, |_| {
            self.turn(&["list"], 0, "-column", &newest(""))
        })?;
        self.beside_django(self.rounds, |_| {
            Ok((elapsed(self.phone_verify(&["list"]), 0)?, self.django(&["newest"], 0)?))
        })?;
        compare("list of a number", self.rounds, |round| {
            let number = phone_number(unused(round));
            let sql = newest(&format!("WHERE phone_number = '{number}'"));
            self.turn(&["list", &number], 0, "-column", &sql)
        })?;
        compare("list of numbers that end in 4 digits", self.rounds.min(5), |round| {
            let ending = format!("{:04}", 1234 + round);
            let sql = newest(&format!("WHERE phone_number LIKE '%{ending}'"));
            self.turn(&["list", &ending], 0, "-column", &sql)
        })?;
        self.beside_django(self.rounds.min(5), |round| {
            let ending = format!("{:04}", 1234 + round);
            let ours = elapsed(self.phone_verify(&["list", &ending]), 0)?;
            Ok((ours, self.django(&["search", &ending], 0)?))
        })?;
        // There is nothing that sqlite3 does alike, so this is beside a process that does nothing.
        compare("send, console, beside `true`", self.rounds, |round| {
            let number = format!("+1202555{:04}", 100 + round % 100);
            Ok((
                elapsed(self.phone_verify(&["send", &number]), 0)?,
                elapsed(Command::new("true"), 0)?,
            ))
        })?;
        self.beside_django(self.rounds, |round| {
            let [number, other] = [100, 101].map(|n| format!("+1202555{:04}", n + 2 * round % 100));
            Ok((
                elapsed(self.phone_verify(&["send", &number]), 0)?,
                self.django(&["send", &other], 0)?,
            ))
        })
    }

    fn compare_exports(&self) -> Result<()> {
        let sql = format!("SELECT {COLUMNS} FROM sms_verification ORDER BY created_at DESC;");
        let columns = COLUMNS.replace(' ', "");
        for (format, option) in [("csv", "-csv"), ("json", "-json")] {
            let all = ["--format", format, "list", "--all"];
            let stored = [&all[..], &["--columns", &columns]].concat();
            compare(
                &format!("list --all as {format}, with the states"),
                self.rounds.min(5),
                |_| self.turn(&all, 0, option, &sql),
            )?;
            compare(
                &format!("list --all as {format}, the same columns"),
                self.rounds.min(5),
                |_| self.turn(&stored, 0, option, &sql),
            )?;
            let child = self.phone_verify(&all).stdout(Stdio::null()).spawn()?;
            print(&format!("  with {} MiB of memory", peak_memory(child)?))?;
            if self.records <= MOST_FOR_DJANGO {
                self.beside_django(1, |_| {
                    let ours = elapsed(self.phone_verify(&stored), 0)?;
                    Ok((ours, self.django(&[format], 0)?))
                })?;
            }
        }
        Ok(())
    }

    /// Compares the deletion of the older half, and in another run how long a writer beside it waits.
    fn compare_purge(&self) -> Result<()> {
        let seconds = 5 * self.records / 2;
        let age = format!("{seconds}s");
        let whole = std::fs::read(self.path(DATABASE))?;
        let purge = || self.phone_verify(&["purge", "--force", "--older-than", &age]);
        let sql = format!(
            "PRAGMA secure_delete = ON; DELETE FROM sms_verification
             WHERE created_at < strftime('%Y-%m-%d %H:%M:%f000', 'now', '-{seconds} seconds');"
        );
        let delete = || self.sqlite3("-list", &sql);
        compare("purge of half", self.rounds.min(3), |_| {
            self.restore(&whole)?;
            let ours = elapsed(purge(), 0)?;
            self.restore(&whole)?;
            Ok((ours, elapsed(delete(), 0)?))
        })?;
        if self.records <= MOST_FOR_DJANGO {
            self.beside_django(1, |_| {
                self.restore(&whole)?;
                let ours = elapsed(purge(), 0)?;
                self.restore(&whole)?;
                Ok((ours, self.django(&["purge", &seconds.to_string()], 0)?))
            })?;
        }
        compare("  longest wait of a writer beside it", 1, |_| {
            let wait = |command: Command| {
                self.restore(&whole)?;
                self.beside_a_writer(|| elapsed(command, 0))
            };
            Ok((wait(purge())?.1, wait(delete())?.1))
        })?;
        self.restore(&whole)?;
        let mut purge = purge();
        let child = purge.stdout(Stdio::null()).spawn()?;
        print(&format!("  with {} MiB of memory", peak_memory(child)?))
    }

    /// Runs the program and django-phone-verify in turn, and prints how long the latter took as a management command and in process.
    /// Prints nothing if it isn't installed.
    fn beside_django(
        &self,
        rounds: usize,
        mut turn: impl FnMut(usize) -> Result<(Duration, Option<Times>)>,
    ) -> Result<()> {
        let (mut ours, mut command, mut in_process) = (Vec::new(), Vec::new(), Vec::new());
        // The first round fills the caches and doesn't count.
        for round in 0..=rounds.min(DJANGO_ROUNDS) {
            let (own, Some(times)) = turn(round)? else { return Ok(()) };
            if round > 0 {
                ours.push(own);
                command.push(times.command);
                in_process.push(times.in_process);
            }
        }
        report("  beside a Django command", ours.clone(), command)?;
        report("  beside Django in process", ours, in_process)
    }

    fn django(&self, arguments: &[&str], code: i32) -> Result<Option<Times>> {
        django::run(self.directory.path(), arguments, code)
    }

    fn restore(&self, whole: &[u8]) -> Result<()> {
        for suffix in ["-wal", "-shm"] {
            // The file may not exist.
            let _ = std::fs::remove_file(self.path(&format!("{DATABASE}{suffix}")));
        }
        std::fs::write(self.path(DATABASE), whole)?;
        // What is measured next needn't write the copy to the disk.
        Ok(std::fs::File::open(self.path(DATABASE))?.sync_all()?)
    }

    /// Runs `work` while somebody changes one random record after another, with SQLite's own way to wait for a lock.
    fn beside_a_writer(
        &self,
        work: impl FnOnce() -> Result<Duration>,
    ) -> Result<(Duration, Duration)> {
        let connection = Connection::open(self.path(DATABASE))?;
        connection.busy_timeout(Duration::from_secs(60))?;
        beside_a_writer(work, move || {
            let sql = "UPDATE sms_verification SET failed_attempts = 1 WHERE rowid = (
                 SELECT rowid FROM sms_verification WHERE id > lower(hex(randomblob(16))) ORDER BY id LIMIT 1)";
            connection.execute(sql, []).expect("the row can be changed");
            std::thread::sleep(Duration::from_millis(5));
        })
    }

    /// Runs both programs once.
    fn turn(
        &self,
        arguments: &[&str],
        code: i32,
        option: &str,
        sql: &str,
    ) -> Result<(Duration, Duration)> {
        let ours = elapsed(self.phone_verify(arguments), code)?;
        Ok((ours, elapsed(self.sqlite3(option, sql), 0)?))
    }

    fn phone_verify(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_phone-verify"));
        let directory = self.directory.path();
        command.args(arguments).env_clear().env("HOME", directory).current_dir(directory);
        command
    }

    fn sqlite3(&self, option: &str, sql: &str) -> Command {
        let mut command = Command::new("sqlite3");
        let directory = self.directory.path();
        command
            .args(["-batch", "-cmd", ".timeout 60000", option, DATABASE, sql])
            .env("HOME", directory)
            .current_dir(directory);
        command
    }

    fn path(&self, name: &str) -> PathBuf {
        Path::new(self.directory.path()).join(name)
    }
}

/// Returns the bits of a number in another order, the same each time (the finalizer of MurmurHash3).
fn mixed(number: u32) -> u64 {
    let mut bits = u64::from(number) ^ 0x9e37_79b9_7f4a_7c15;
    for factor in [0xff51_afd7_ed55_8ccd, 0xc4ce_b9fe_1a85_ec53] {
        bits = (bits ^ (bits >> 33)).wrapping_mul(factor);
    }
    bits ^ (bits >> 33)
}

/// Returns the id of a record.
fn id(number: u32) -> String {
    let bits = mixed(number);
    format!("{:08x}{:04x}4{:03x}8{number:015x}", bits >> 32, bits & 0xffff, (bits >> 16) & 0xfff)
}

/// Returns a number with an unassigned country code. The ranges for fiction have too few numbers.
fn phone_number(number: u32) -> String {
    format!("+999{:09}", mixed(number) % 1_000_000_000)
}

/// Returns a token as long as a real one.
fn session_token(number: u32) -> String {
    format!("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.{number:076}.{:0>43}", id(number))
}

/// Returns a record whose code is not used yet. Each round needs its own, since a verification uses the code.
fn unused(round: usize) -> u32 {
    3 * round as u32 + 1
}
