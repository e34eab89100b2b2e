//! How fast `send --file` is. Whole processes are measured beside each other in one run.
//!
//!     cargo bench --bench bulk             30,000 numbers
//!     cargo bench --bench bulk -- 10000    that many
//!
//! A server on loopback answers 201, at once or after 100 ms. It is compared with the same command with the console backend and
//! stderr thrown away (no network: the cost of the records alone), with a bare program that group-commits the same rows, and with
//! django-phone-verify through its Twilio client, if `tests/interop/run` has installed it. What counts is the ratio. With
//! `cargo test --bench bulk` there are few numbers.

#[expect(dead_code, reason = "the bench `file` uses the rest")]
#[path = "../django/mod.rs"]
mod django;
#[expect(dead_code, reason = "the other benches use the rest")]
#[path = "../measure/mod.rs"]
mod measure;
mod provider;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};
use tempfile::TempDir;

use self::django::Times;
use self::measure::{Result, peak_memory, print};
use self::provider::Provider;

const ROUNDS: usize = 3;
/// How many rows the bare program commits together.
const GROUP: usize = 256;
const MAX_IN_FLIGHT: usize = 32;

const INSERT_RECORD: &str = "INSERT INTO sms_verification (id, phone_number, security_code, \
    session_token, is_verified, failed_attempts, created_at, modified_at) \
    VALUES (?1, ?2, ?3, ?4, 0, 0, ?5, ?5)";
const INSERT_DELIVERY: &str = "INSERT INTO sms_delivery (verification_id, phone_number, backend, \
    state, segments, tries, created_at, updated_at) \
    VALUES (?1, ?2, 'console', 'sending', 1, 0, ?3, ?3)";
const SETTLE_DELIVERY: &str =
    "UPDATE sms_delivery SET state = 'accepted', tries = 1, updated_at = ?2 WHERE id = ?1";
const DELETE_OLDER: &str =
    "DELETE FROM sms_verification WHERE phone_number = ?1 AND created_at < ?2";

/// The result of one run of a process.
#[derive(Clone, Copy)]
struct Measured {
    rate: f64,
    /// The most memory that it used, in MiB; 0 if it wasn't measured.
    peak: u64,
}

fn main() -> Result<()> {
    let is_measured = std::env::args().any(|argument| argument == "--bench");
    let count = std::env::args().skip(1).find_map(|argument| argument.parse().ok());
    let count = count.unwrap_or(if is_measured { 30_000 } else { 100 });
    let rounds = if is_measured { ROUNDS } else { 1 };
    let directory = TempDir::new()?;
    let numbers: Vec<String> = (0..count).map(phone_number).collect();
    std::fs::write(directory.path().join("numbers"), numbers.join("\n"))?;
    let [at_once, slow] = [Duration::ZERO, Duration::from_millis(100)].map(Provider::start);
    let (at_once, slow) = (at_once?, slow?);
    let few = count.min(40 * MAX_IN_FLIGHT);

    let mut twilio = Vec::new();
    let mut console = Vec::new();
    let mut bare = Vec::new();
    let mut slowed = Vec::new();
    let mut django = Vec::new();
    for _ in 0..rounds {
        console.push(send(directory.path(), "backend = \"console\"", count)?);
        twilio.push(send(directory.path(), &twilio_settings(&at_once), count)?);
        bare.push(commit_alone(directory.path(), &numbers)?);
        slowed.push(send(directory.path(), &twilio_settings(&slow), few)?);
        django.extend(send_with_django(&at_once, &numbers[..count.min(500)])?);
    }
    let (console, twilio, bare) = (median(console), median(twilio), median(bare));
    let slowed = median(slowed);
    let ideal = MAX_IN_FLIGHT as f64 * 10.0;
    row("", "numbers/s", "peak", "ratio")?;
    row("a bare program that commits the same rows", &rate(bare), "-", "")?;
    row(
        "console, stderr thrown away",
        &rate(console),
        &memory(console),
        &of(console, bare.rate, "the bare program"),
    )?;
    row(
        "twilio, answered at once",
        &rate(twilio),
        &memory(twilio),
        &of(twilio, console.rate, "console"),
    )?;
    row("", "", "", &of(twilio, bare.rate, "the bare program"))?;
    row(
        "twilio, answered after 100 ms",
        &rate(slowed),
        &memory(slowed),
        &of(slowed, ideal, "max_in_flight × 10"),
    )?;
    if django.is_empty() {
        return print("django-phone-verify isn't installed: tests/interop/run installs it");
    }
    let django = median(django);
    row("django-phone-verify, answered at once", &rate(django), "-", "")?;
    row("", "", "", &format!("{:.0} × of it: twilio, answered at once", twilio.rate / django.rate))
}

/// Returns a number that libphonenumber calls valid; no range for fiction has so many.
fn phone_number(n: usize) -> String {
    const AREAS: [&str; 10] =
        ["212", "415", "310", "202", "312", "206", "617", "713", "305", "404"];
    format!("+1{}{:07}", AREAS[n % AREAS.len()], 2_000_001 + 7 * (n / AREAS.len()))
}

fn twilio_settings(provider: &Provider) -> String {
    format!(
        "backend = \"twilio\"\n[options]\nsid = \"AC00000000000000000000000000000000\"\nsecret = \"fake\"\n\
         from = \"+14755292729\"\nbase_url = \"{}\"\n[delivery]\nmax_in_flight = {MAX_IN_FLIGHT}",
        provider.url()
    )
}

/// Sends to the first `count` numbers on a new database.
fn send(directory: &Path, settings: &str, count: usize) -> Result<Measured> {
    let numbers = std::fs::read_to_string(directory.join("numbers"))?;
    let numbers: Vec<&str> = numbers.lines().take(count).collect();
    std::fs::write(directory.join("some"), numbers.join("\n"))?;
    std::fs::write(directory.join("phone-verify.toml"), settings)?;
    remove_database(directory);
    let start = Instant::now();
    let child = phone_verify(directory)
        .args(["--format", "json", "send", "--file", "some"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let peak = peak_memory(child)?;
    let elapsed = start.elapsed();
    Ok(Measured { rate: count as f64 / elapsed.as_secs_f64(), peak })
}

fn phone_verify(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_phone-verify"));
    command.env_clear().env("HOME", directory).current_dir(directory);
    command
}

fn remove_database(directory: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        // The file may not exist.
        let _ = std::fs::remove_file(directory.join(format!("phone-verify.sqlite3{suffix}")));
    }
}

/// Writes the rows of as many sends, with the same statements and as durably, and does nothing else. Each record is committed
/// before its send is settled. A transaction settles one group and stores the next.
fn commit_alone(directory: &Path, numbers: &[String]) -> Result<Measured> {
    std::fs::write(directory.join("phone-verify.toml"), "backend = \"console\"")?;
    remove_database(directory);
    phone_verify(directory).args(["--quiet", "migrate"]).stdout(Stdio::null()).status()?;
    let start = Instant::now();
    let mut connection = Connection::open(directory.join("phone-verify.sqlite3"))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    let mut stored: Vec<(&String, String, i64)> = Vec::new();
    let mut numbers_left = numbers.iter().enumerate().peekable();
    while numbers_left.peek().is_some() || !stored.is_empty() {
        let transaction = connection.transaction()?;
        for (number, time, delivery) in stored.drain(..) {
            transaction.prepare_cached(SETTLE_DELIVERY)?.execute(params![delivery, time])?;
            transaction.prepare_cached(DELETE_OLDER)?.execute(params![number, time])?;
        }
        for (n, number) in numbers_left.by_ref().take(GROUP) {
            // The bits are spread as in a random UUID.
            let spread = (n as u128).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
            let (id, time) = (format!("{spread:032x}"), format!("2026-11-23 07:46:40.{n:06}"));
            let token = format!("{:0>36}.{id:0>75}.{:0>43}", "", "");
            let security_code = format!("{:06}", (spread >> 64) % 1_000_000);
            let record = params![id, number, security_code, token, time];
            transaction.prepare_cached(INSERT_RECORD)?.execute(record)?;
            let delivery =
                transaction.prepare_cached(INSERT_DELIVERY)?.insert(params![id, number, time])?;
            stored.push((number, time, delivery));
        }
        transaction.commit()?;
    }
    Ok(Measured { rate: numbers.len() as f64 / start.elapsed().as_secs_f64(), peak: 0 })
}

/// Sends with django-phone-verify. None if it isn't installed.
fn send_with_django(provider: &Provider, numbers: &[String]) -> Result<Option<Measured>> {
    let directory = TempDir::new()?;
    let path = directory.path();
    std::fs::write(path.join("numbers"), numbers.join("\n"))?;
    std::fs::write(path.join("phone-verify.toml"), "backend = \"console\"")?;
    phone_verify(path).args(["--quiet", "migrate"]).stdout(Stdio::null()).status()?;
    let times = django::run(path, &["send-file", "numbers", &provider.url()], 0)?;
    let rate = |times: Times| numbers.len() as f64 / times.in_process.as_secs_f64();
    Ok(times.map(|times| Measured { rate: rate(times), peak: 0 }))
}

fn median(mut runs: Vec<Measured>) -> Measured {
    runs.sort_by(|a, b| a.rate.total_cmp(&b.rate));
    runs[runs.len() / 2]
}

fn rate(measured: Measured) -> String {
    format!("{:.0}", measured.rate)
}

fn memory(measured: Measured) -> String {
    format!("{} MiB", measured.peak)
}

fn of(measured: Measured, other: f64, name: &str) -> String {
    format!("{:.0} % of {name}", 100.0 * measured.rate / other)
}

fn row(name: &str, rate: &str, peak: &str, ratio: &str) -> Result<()> {
    print(&format!("{name:<42} {rate:>10} {peak:>8}  {ratio}"))
}
