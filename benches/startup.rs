//! How long whole processes take on a large table, beside `sqlite3` running the same query.
//!
//!     cargo bench --bench startup             1,000,000 records; about 700 MB in the temporary directory
//!     cargo bench --bench startup -- 50000    that many records
//!
//! Both programs take turns within one run, so that whatever else the machine does slows both down. What counts is the ratio.
//! Without `sqlite3` on the PATH, only the program's own times are printed. With `cargo test --bench startup` the table is small
//! and each command runs once.

use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};
use tempfile::TempDir;

/// No SMS is sent here. With 30 days, about half of the codes are valid.
const SETTINGS: &str = "backend = \"console\"\nsecurity_code_expiration_time = 2592000\n";
const DATABASE: &str = "phone-verify.sqlite3";
const CODE: &str = "271828";
/// The columns that a verification or a list needs.
const COLUMNS: &str = "id, phone_number, security_code, session_token, is_verified, failed_attempts, \
    created_at, modified_at";

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// How large the table is and how often each pair of commands runs.
struct Scale {
    records: u32,
    rounds: u32,
    rounds_of_all_records: u32,
}

/// The same work for both programs.
struct Comparison<'a> {
    name: &'static str,
    rounds: u32,
    /// The arguments of phone-verify in a round, and the exit code to expect.
    arguments: &'a dyn Fn(u32) -> Vec<String>,
    code: i32,
    /// The option of sqlite3 for its output, and its statements in a round.
    option: &'static str,
    sql: &'a dyn Fn(u32) -> String,
}

fn main() -> Result<()> {
    let scale = scale()?;
    let directory = TempDir::new()?;
    std::fs::write(directory.path().join("phone-verify.toml"), SETTINGS)?;
    build_database(directory.path(), scale.records)?;
    compare_all(directory.path(), &scale)
}

/// Reads the number of records from the arguments. Cargo adds `--bench` to measure.
fn scale() -> Result<Scale> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if !arguments.iter().any(|argument| argument == "--bench") {
        return Ok(Scale { records: 1_000, rounds: 1, rounds_of_all_records: 1 });
    }
    let number = arguments.iter().find(|argument| !argument.starts_with('-'));
    let records = number.map_or(Ok(1_000_000), |number| number.parse())?;
    if records < 1_000 {
        return Err("give 1000 records or more, so that each round has its own".into());
    }
    Ok(Scale { records, rounds: 101, rounds_of_all_records: 5 })
}

/// Makes the table and its indexes with `migrate`, and fills them.
fn build_database(directory: &Path, records: u32) -> Result<()> {
    let start = Instant::now();
    elapsed(phone_verify(directory, &["migrate".to_owned()]), 0)?;
    let mut connection = Connection::open(directory.join(DATABASE))?;
    let transaction = connection.transaction()?;
    // One record every five seconds, the newest first. Every third code was used.
    let mut insert = transaction.prepare(&format!(
        "INSERT INTO sms_verification ({COLUMNS})
         SELECT ?1, ?2, ?3, ?4, ?5 % 3 = 0, 0, time, time
         FROM (SELECT strftime('%Y-%m-%d %H:%M:%f000', 'now', (-5 * ?5) || ' seconds') AS time)"
    ))?;
    for number in 0..records {
        insert.execute(params![
            id(number),
            phone_number(number),
            CODE,
            session_token(number),
            number
        ])?;
    }
    drop(insert);
    transaction.commit()?;
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    let megabytes = std::fs::metadata(directory.join(DATABASE))?.len() / 1_000_000;
    print(&format!("{records} records, {megabytes} MB, made in {:.0?}", start.elapsed()))
}

/// Returns the id of a record. Like random ids, they are in no order.
fn id(number: u32) -> String {
    let mixed = number.wrapping_mul(2_654_435_761);
    format!("{mixed:08x}{:04x}4{:03x}8{number:015x}", number & 0xffff, number & 0xfff)
}

/// Returns a number with an unassigned country code. The ranges for fiction have too few numbers.
fn phone_number(number: u32) -> String {
    format!("+999{:09}", u64::from(number) * 7_919 % 1_000_000_000)
}

/// Returns a token as long as a real one.
fn session_token(number: u32) -> String {
    format!("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.{number:076}.{:0>43}", id(number))
}

/// Returns a record whose code is not used yet. Each round needs its own, since a verification uses the code.
fn unused(round: u32) -> u32 {
    3 * round + 1
}

fn compare_all(directory: &Path, scale: &Scale) -> Result<()> {
    let half = scale.rounds + 1;
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    let verify = |number: u32, token: &str| {
        words(&["verify", &phone_number(number), CODE, "--session-token", token])
    };
    let find = |number: u32, token: &str| {
        format!(
            "SELECT {COLUMNS} FROM sms_verification WHERE phone_number = '{}' AND session_token = '{token}'
             ORDER BY created_at DESC LIMIT 1;",
            phone_number(number)
        )
    };
    let mark = |number: u32| {
        format!(
            "UPDATE sms_verification SET is_verified = 1, failed_attempts = 0,
             modified_at = strftime('%Y-%m-%d %H:%M:%f000', 'now') WHERE id = '{}';",
            id(number)
        )
    };
    let newest = |condition: &str, limit: &str| {
        format!(
            "SELECT {COLUMNS} FROM sms_verification {condition} ORDER BY created_at DESC {limit};"
        )
    };
    let comparisons = [
        Comparison {
            name: "verify, wrong token",
            rounds: scale.rounds,
            arguments: &|round| verify(unused(round), "wrong"),
            code: 14,
            option: "-list",
            sql: &|round| format!("BEGIN IMMEDIATE; {} COMMIT;", find(unused(round), "wrong")),
        },
        Comparison {
            name: "verify, right code",
            rounds: scale.rounds,
            arguments: &|round| verify(unused(round), &session_token(unused(round))),
            code: 0,
            option: "-list",
            sql: &|round| {
                let number = unused(half + round);
                let select = find(number, &session_token(number));
                format!("BEGIN IMMEDIATE; {select} {} COMMIT;", mark(number))
            },
        },
        Comparison {
            name: "list",
            rounds: scale.rounds,
            arguments: &|_| words(&["list"]),
            code: 0,
            option: "-column",
            sql: &|_| newest("", "LIMIT 20"),
        },
        Comparison {
            name: "list --phone-number",
            rounds: scale.rounds,
            arguments: &|round| words(&["list", "--phone-number", &phone_number(round)]),
            code: 0,
            option: "-column",
            sql: &|round| {
                newest(&format!("WHERE phone_number = '{}'", phone_number(round)), "LIMIT 20")
            },
        },
        Comparison {
            name: "list --all --format csv",
            rounds: scale.rounds_of_all_records,
            arguments: &|_| words(&["list", "--all", "--format", "csv"]),
            code: 0,
            option: "-csv",
            sql: &|_| newest("", ""),
        },
    ];
    let has_sqlite3 = Command::new("sqlite3").arg("-version").output().is_ok();
    print(&format!(
        "{:<25} {:>6} {:>14} {:>12} {:>6}",
        "median of a whole process", "rounds", "phone-verify", "sqlite3", "ratio"
    ))?;
    comparisons.iter().try_for_each(|comparison| compare(directory, comparison, has_sqlite3))
}

/// Runs both programs in turn and prints the medians and their ratio.
fn compare(directory: &Path, comparison: &Comparison<'_>, has_sqlite3: bool) -> Result<()> {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    // The first round fills the caches and doesn't count.
    for round in 0..=comparison.rounds {
        let arguments = (comparison.arguments)(round);
        ours.push(elapsed(phone_verify(directory, &arguments), comparison.code)?);
        if has_sqlite3 {
            let sql = (comparison.sql)(round);
            theirs.push(elapsed(sqlite3(directory, comparison.option, &sql), 0)?);
        }
    }
    let ours = median(ours.split_off(1));
    let (theirs, ratio) = if has_sqlite3 {
        let theirs = median(theirs.split_off(1));
        (milliseconds(theirs), format!("{:.2}", ours.as_secs_f64() / theirs.as_secs_f64()))
    } else {
        ("not installed".to_owned(), "-".to_owned())
    };
    let ours = milliseconds(ours);
    print(&format!(
        "{:<25} {:>6} {ours:>14} {theirs:>12} {ratio:>6}",
        comparison.name, comparison.rounds
    ))
}

fn phone_verify(directory: &Path, arguments: &[String]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_phone-verify"));
    command.args(arguments).current_dir(directory).env("HOME", directory);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PHONE_VERIFY_") {
            command.env_remove(name);
        }
    }
    command
}

fn sqlite3(directory: &Path, option: &str, sql: &str) -> Command {
    let mut command = Command::new("sqlite3");
    command.args(["-batch", option, DATABASE, sql]).current_dir(directory).env("HOME", directory);
    command
}

/// Runs `command` to its end and returns how long the whole process took.
///
/// # Errors
/// Returns an error if it didn't end with `code`: the time of a failure is meaningless.
fn elapsed(mut command: Command, code: i32) -> Result<Duration> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let start = Instant::now();
    let output = command.output()?;
    let elapsed = start.elapsed();
    if output.status.code() == Some(code) {
        return Ok(elapsed);
    }
    let message = String::from_utf8_lossy(&output.stderr);
    Err(format!("{command:?} ended with {}, not {code}: {message}", output.status).into())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn milliseconds(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1_000.0)
}

fn print(line: &str) -> Result<()> {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}
