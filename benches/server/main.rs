//! How long the program takes on a PostgreSQL server, beside `psql` with the same statements.
//!
//!     cargo bench --bench server             1,000,000 records; about 2 GB in the temporary directory
//!     cargo bench --bench server -- 50000    that many records
//!
//! It starts a server of its own, on a Unix socket, which waits for the disk. Both programs take turns within one run, so that
//! whatever else the machine does slows both down. What counts is the ratio. With `cargo test --bench server` the table is small
//! and everything runs once. Without PostgreSQL it says so and does nothing.

#[expect(dead_code, reason = "the tests use the rest")]
#[path = "../../tests/it/support/postgres.rs"]
mod postgres;

#[path = "../measure/mod.rs"]
mod measure;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use tempfile::TempDir;

use self::measure::{
    Result, beside_a_writer, compare, elapsed, heading, peak_memory, print, report,
};
use self::postgres::{Database, Server, query};

/// No SMS is sent here. With 30 days, about half of the codes are valid.
const SETTINGS: &str = "backend = \"console\"\nsecurity_code_expiration_time = 2592000\n";
const CODE: &str = "271828";
/// How many rows psql commits together: what a group of the program has.
const GROUP: usize = 256;
/// The columns of a record, in the order of `list --format csv`.
const COLUMNS: &str = "id, phone_number, security_code, session_token, is_verified, failed_attempts, \
    created_at, modified_at";

/// What the programs work on.
struct Bench {
    server: Server,
    /// The settings and what the programs write.
    directory: TempDir,
    psql: PathBuf,
    records: usize,
    rounds: usize,
}

fn main() -> Result<()> {
    let is_measured = std::env::args().any(|argument| argument == "--bench");
    let records = std::env::args().skip(1).find_map(|argument| argument.parse().ok());
    let records = records.unwrap_or(if is_measured { 1_000_000 } else { 1_000 });
    let rounds = if is_measured { 31 } else { 1 };
    let (Some(server), Some(psql)) = (Server::start(&["max_wal_size=4GB"]), find_psql()) else {
        return print("PostgreSQL isn't installed");
    };
    let bench = Bench { server, directory: TempDir::new()?, psql, records, rounds };
    std::fs::write(bench.directory.path().join("phone-verify.toml"), SETTINGS)?;
    let filled = bench.filled()?;
    heading("psql")?;
    bench.compare_verify(&filled)?;
    bench.compare_list(&filled)?;
    bench.compare_purge(&filled)?;
    bench.compare_bulk(if is_measured { 20_000 } else { 100 })
}

/// Returns the real psql. Debian's `/usr/bin/psql` is a wrapper in Perl, which takes longer than psql itself.
fn find_psql() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?.flatten();
    let found = versions.map(|version| version.path().join("bin/psql")).find(|psql| psql.exists());
    found.or_else(|| Some(PathBuf::from("/usr/local/bin/psql")).filter(|psql| psql.exists()))
}

impl Bench {
    /// Returns a database with the program's tables.
    fn empty(&self) -> Result<Database> {
        let database = self.server.database();
        elapsed(self.phone_verify(&database, &["migrate"]), 0)?;
        Ok(database)
    }

    /// Returns a database with records: one every five seconds, the newest first. Every third code was used.
    fn filled(&self) -> Result<Database> {
        let database = self.empty()?;
        let start = Instant::now();
        database.query(&format!(
            "INSERT INTO sms_verification ({COLUMNS})
             SELECT gen_random_uuid(), '+999' || lpad((n * 7919::bigint % 1000000000)::text, 9, '0'), '{CODE}',
                 'eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.' || lpad(n::text, 76, '0') || '.' || repeat('x', 43),
                 n % 3 = 0, 0, clock_timestamp() - n * interval '5 seconds', clock_timestamp() - n * interval '5 seconds'
             FROM generate_series(1, {}) AS n ORDER BY n DESC",
            self.records
        ));
        database.query("VACUUM ANALYZE");
        print(&format!("{} records, made in {:.0?}", self.records, start.elapsed()))?;
        Ok(database)
    }

    fn copy_of(&self, filled: &Database) -> Database {
        let copy = self.server.database();
        let server = copy.address().url("postgres");
        query(&server, &format!("DROP DATABASE {}", copy.name()));
        query(&server, &format!("CREATE DATABASE {} TEMPLATE {}", copy.name(), filled.name()));
        // What is measured next needn't write the copy to the disk.
        query(&server, "CHECKPOINT");
        copy
    }

    fn compare_verify(&self, database: &Database) -> Result<()> {
        let select = |n: usize, token: &str| {
            format!(
                "SELECT {COLUMNS} FROM sms_verification WHERE phone_number = '{}' AND session_token = '{token}'
                 ORDER BY created_at DESC, id DESC LIMIT 1",
                phone_number(n)
            )
        };
        compare("verify, wrong token", self.rounds, |round| {
            let arguments =
                ["verify", &phone_number(unused(round)), CODE, "--session-token", "wrong"];
            let ours = elapsed(self.phone_verify(database, &arguments), 14)?;
            let statement = select(unused(round), "wrong");
            Ok((ours, elapsed(self.psql(database, &["-c", &statement]), 0)?))
        })?;
        compare("verify, right code", self.rounds, |round| {
            let (number, other) = (unused(round), unused(self.rounds + 1 + round));
            let token = session_token(number);
            let arguments = ["verify", &phone_number(number), CODE, "--session-token", &token];
            let ours = elapsed(self.phone_verify(database, &arguments), 0)?;
            let statement = select(other, &session_token(other));
            let update = format!(
                "UPDATE sms_verification SET is_verified = TRUE, failed_attempts = 0, modified_at = now()
                 WHERE phone_number = '{}'",
                phone_number(other)
            );
            Ok((ours, elapsed(self.psql(database, &["-c", &statement, "-c", &update]), 0)?))
        })
    }

    fn compare_list(&self, database: &Database) -> Result<()> {
        let newest = |limit: &str| {
            format!(
                "SELECT {COLUMNS}, created_at >= now() - interval '30 days' AND EXISTS (
                     SELECT 1 FROM sms_verification AS newer
                     WHERE newer.phone_number = sms_verification.phone_number
                       AND newer.created_at > sms_verification.created_at AND newer.created_at <= now()),
                 (SELECT state FROM sms_delivery
                     WHERE sms_delivery.phone_number = sms_verification.phone_number
                       AND sms_delivery.verification_id = sms_verification.id
                       AND sms_delivery.created_at <= now()
                     ORDER BY sms_delivery.created_at DESC, sms_delivery.id DESC LIMIT 1)
                 FROM sms_verification ORDER BY created_at DESC, id DESC {limit}"
            )
        };
        compare("list", self.rounds, |_| {
            let ours = elapsed(self.phone_verify(database, &["list"]), 0)?;
            Ok((ours, elapsed(self.psql(database, &["-c", &newest("LIMIT 20")]), 0)?))
        })?;
        compare("list --all --format csv", self.few_rounds(), |_| {
            let arguments = ["list", "--all", "--format", "csv"];
            let ours = elapsed(self.phone_verify(database, &arguments), 0)?;
            Ok((ours, elapsed(self.psql(database, &["--csv", "-c", &newest("")]), 0)?))
        })?;
        let child = self.phone_verify(database, &["list", "--all", "--format", "csv"]).spawn()?;
        print(&format!("  with {} MiB of memory", peak_memory(child)?))
    }

    /// Compares the deletion of the older half, and in another run how long a writer beside it waits for a row.
    fn compare_purge(&self, filled: &Database) -> Result<()> {
        let age = format!("{}s", 5 * self.records / 2);
        let purge =
            |copy: &Database| self.phone_verify(copy, &["purge", "--force", "--older-than", &age]);
        let sql =
            format!("DELETE FROM sms_verification WHERE created_at < now() - interval '{age}'");
        let delete = |copy: &Database| self.psql(copy, &["-c", &sql]);
        compare("purge of half", self.few_rounds(), |_| {
            let ours = elapsed(purge(&self.copy_of(filled)), 0)?;
            Ok((ours, elapsed(delete(&self.copy_of(filled)), 0)?))
        })?;
        compare("  longest wait of a writer beside it", 1, |_| {
            let wait = |command: &dyn Fn(&Database) -> Command| {
                let copy = self.copy_of(filled);
                beside_a_writer(|| elapsed(command(&copy), 0), || change_a_row(&copy))
            };
            Ok((wait(&purge)?.1, wait(&delete)?.1))
        })
    }

    fn compare_bulk(&self, count: usize) -> Result<()> {
        let numbers: Vec<_> = (0..count).map(valid_number).collect();
        let per_row = count.min(2_000);
        let database = self.empty()?;
        let clear = || {
            database
                .query("TRUNCATE sms_verification, sms_delivery, sms_wrong_code RESTART IDENTITY");
        };
        let send = |name: &str, numbers: &[String]| -> Result<Command> {
            std::fs::write(self.directory.path().join(name), numbers.join("\n"))?;
            let mut command = self
                .phone_verify(&database, &["--format", "json", "send", "--file", name, "--yes"]);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            Ok(command)
        };
        let (mut singles, mut fours, mut rows) = (Vec::new(), Vec::new(), Vec::new());
        compare("send --file, console", self.few_rounds(), |_| {
            clear();
            let ours = elapsed(send("numbers", &numbers)?, 0)?;
            clear();
            std::fs::write(self.directory.path().join("groups.sql"), statements(&numbers, GROUP))?;
            let theirs = elapsed(self.psql(&database, &["-f", "groups.sql"]), 0)?;
            clear();
            let some = &numbers[..per_row];
            std::fs::write(self.directory.path().join("rows.sql"), statements(some, 1))?;
            rows.push(
                elapsed(self.psql(&database, &["-f", "rows.sql"]), 0)? * (count / per_row) as u32,
            );
            clear();
            let start = Instant::now();
            let parts = numbers.chunks(count.div_ceil(4)).enumerate();
            let children =
                parts.map(|(part, numbers)| Ok(send(&format!("part{part}"), numbers)?.spawn()?));
            for mut child in children.collect::<Result<Vec<Child>>>()? {
                assert!(child.wait()?.success(), "a process failed");
            }
            fours.push(start.elapsed());
            singles.push(ours);
            Ok((ours, theirs))
        })?;
        report("  one process, psql with a commit a row", singles.clone(), rows)?;
        report("  one process, and four together", singles, fours)
    }

    fn few_rounds(&self) -> usize {
        self.rounds.min(3)
    }

    fn phone_verify(&self, database: &Database, arguments: &[&str]) -> Command {
        let mut command = self.command(Path::new(env!("CARGO_BIN_EXE_phone-verify")));
        command.args(["--database", &database.url()]).args(arguments);
        command
    }

    fn psql(&self, database: &Database, arguments: &[&str]) -> Command {
        let mut command = self.command(&self.psql);
        command.args(["-X", "-q", "-v", "ON_ERROR_STOP=1"]).args(arguments).arg(database.url());
        command
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        let directory = self.directory.path();
        command.env_clear().env("HOME", directory).current_dir(directory).stdout(Stdio::null());
        command
    }
}

/// Returns the number of a record, with an unassigned country code. The ranges for fiction have too few numbers.
fn phone_number(n: usize) -> String {
    format!("+999{:09}", n as u64 * 7_919 % 1_000_000_000)
}

/// Returns a number that libphonenumber calls valid; no range for fiction has so many.
fn valid_number(n: usize) -> String {
    const AREAS: [&str; 10] =
        ["212", "415", "310", "202", "312", "206", "617", "713", "305", "404"];
    format!("+1{}{:07}", AREAS[n % AREAS.len()], 2_000_001 + 7 * (n / AREAS.len()))
}

/// Returns the token of a record, as long as a real one.
fn session_token(n: usize) -> String {
    format!("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.{n:076}.{}", "x".repeat(43))
}

/// Returns a record whose code is not used yet. Each round needs its own, since a verification uses the code.
fn unused(round: usize) -> usize {
    3 * round + 1
}

/// Returns the four statements of a send, for groups of so many numbers, each in a transaction.
fn statements(numbers: &[String], size: usize) -> String {
    let mut sql = String::new();
    for (index, group) in numbers.chunks(size).enumerate() {
        let list = |item: &dyn Fn(usize, &String) -> String| {
            let items =
                group.iter().enumerate().map(|(at, number)| item(index * size + at, number));
            items.collect::<Vec<_>>().join(",")
        };
        let ids = list(&|n, _| {
            format!(
                "'{:032x}'",
                (n as u128).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
            )
        });
        let numbers = list(&|_, number| format!("'{number}'"));
        let codes = list(&|n, _| format!("'{:06}'", n * 7_919 % 1_000_000));
        let tokens = list(&|n, _| format!("'{}'", session_token(n)));
        let deliveries = list(&|n, _| (n + 1).to_string());
        write!(
            sql,
            "BEGIN;
             INSERT INTO sms_verification ({COLUMNS})
                 SELECT id, phone_number, code, token, FALSE, 0, clock_timestamp(), clock_timestamp()
                 FROM unnest(ARRAY[{ids}]::uuid[], ARRAY[{numbers}], ARRAY[{codes}], ARRAY[{tokens}])
                     AS new(id, phone_number, code, token);
             INSERT INTO sms_delivery (verification_id, phone_number, backend, state, segments, tries, created_at, updated_at)
                 SELECT id, phone_number, 'console', 'sending', 1, 0, clock_timestamp(), clock_timestamp()
                 FROM unnest(ARRAY[{ids}]::uuid[], ARRAY[{numbers}]) AS new(id, phone_number);
             UPDATE sms_delivery SET state = 'accepted', tries = 1, updated_at = clock_timestamp()
                 FROM unnest(ARRAY[{deliveries}]) AS new(id) WHERE sms_delivery.id = new.id;
             DELETE FROM sms_verification AS record USING unnest(ARRAY[{numbers}]) AS new(phone_number)
                 WHERE record.phone_number = new.phone_number AND record.created_at < now();
             COMMIT;"
        )
        .expect("a string takes everything");
    }
    sql
}

/// Changes a random record.
fn change_a_row(database: &Database) {
    query(
        &database.url(),
        "UPDATE sms_verification SET failed_attempts = 1 WHERE id = (
             SELECT id FROM sms_verification WHERE id > gen_random_uuid() ORDER BY id LIMIT 1)",
    );
}
