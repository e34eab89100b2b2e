//! The checks of a database for `doctor`: no statement here writes, and no file is left that was not there.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use chrono::TimeDelta;
use rusqlite::{Connection, Row};

use super::database::Database;
use super::error::{Failure, MIGRATE_HINT};
use super::file::{is_wal, write_obstacle};
use super::migrate::DJANGO_HINT;
use super::rows::{read_delivery, read_record};
use super::tables::{LEDGER, Layout, RECORDS, Table, UNIQUE, is_django};
use crate::model::{Check, counted, shell_word};
use crate::store::error::StoreError;
use crate::system::clock::Clock;

/// How many rows are read at once. No lock is held between them, so that nobody waits long.
const PAGE: i64 = 2000;

/// How far a record may be ahead of the clock: the clocks of two machines are never quite the same.
const TOLERANCE: TimeDelta = TimeDelta::minutes(1);

const WRITABLE_BY_OTHERS: u32 = 0o002;
const READABLE_BY_OTHERS: u32 = 0o004;

/// Checks the database at `path`, which is not changed.
pub(in crate::store) fn check(path: &Path, clock: &Clock) -> Vec<Check> {
    let checks = || {
        let database = Database::open_unchanged(path)?;
        database.run(|connection| check_all(connection, path, clock))
    };
    checks().unwrap_or_else(|error| vec![failure("database.file", &error)])
}

fn check_all(connection: &Connection, path: &Path, clock: &Clock) -> Result<Vec<Check>, Failure> {
    let file = path.canonicalize()?;
    let (has_records, schema) = check_table(connection, &RECORDS)?;
    let (has_ledger, ledger) = check_table(connection, &LEDGER)?;
    let or_failure = |name: &str, checks: Result<Vec<Check>, rusqlite::Error>| {
        checks.unwrap_or_else(|error| vec![failure(name, &Failure::from(error).at(path))])
    };
    let mut checks = vec![
        Check::ok("database.file", path.display().to_string()),
        check_permissions(&file, path)?,
        check_writable(&file),
        check_journal_mode(connection, &file, path)?,
    ];
    checks.extend(or_failure("database.quick_check", quick_check(connection)));
    checks.extend([schema, ledger]);
    checks.extend(check_indexes(connection, path, has_records, has_ledger)?);
    if has_records {
        checks.extend(or_failure("database.rows", check_rows(connection, has_ledger, clock)));
    }
    Ok(checks)
}

fn failure(check: &str, error: &StoreError) -> Check {
    let hint = error.hint.as_deref();
    let hint = hint.unwrap_or("`sqlite3 FILE 'PRAGMA integrity_check'` tells more");
    Check::failure(check, error.problem(), hint)
}

fn check_permissions(file: &Path, path: &Path) -> std::io::Result<Check> {
    const CHECK: &str = "database.permissions";
    let mode = file.metadata()?.permissions().mode() & 0o777;
    let word = shell_word(path);
    Ok(if mode & WRITABLE_BY_OTHERS != 0 {
        let message = format!("others can change it (mode {mode:03o})");
        Check::failure(CHECK, message, format!("`chmod o-rw {word}`"))
    } else if mode & READABLE_BY_OTHERS != 0 {
        let message = format!("others can read the codes in it (mode {mode:03o})");
        Check::warning(CHECK, message, format!("`chmod o-r {word}`"))
    } else {
        Check::ok(CHECK, format!("mode {mode:03o}"))
    })
}

fn check_writable(file: &Path) -> Check {
    const CHECK: &str = "database.writable";
    match write_obstacle(file) {
        None => Check::ok(CHECK, "the file and its folder can be written"),
        Some(obstacle) => {
            let hint = "let the user who runs phone-verify write the file, its folder and what SQLite puts beside it";
            Check::failure(CHECK, obstacle, hint)
        }
    }
}

fn check_journal_mode(
    connection: &Connection,
    file: &Path,
    path: &Path,
) -> rusqlite::Result<Check> {
    const CHECK: &str = "database.journal_mode";
    // A connection that leaves the log alone doesn't know of this mode.
    if is_wal(file) {
        return Ok(Check::ok(CHECK, "wal"));
    }
    let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
    let message = format!("{mode}: who reads and who writes wait for each other");
    let hint = format!("`sqlite3 {} 'PRAGMA journal_mode = WAL'`", shell_word(path));
    Ok(Check::warning(CHECK, message, hint))
}

/// Returns the first complaint of `PRAGMA quick_check`, which names no value, without the line that says in which database.
fn quick_check(connection: &Connection) -> rusqlite::Result<Vec<Check>> {
    const CHECK: &str = "database.quick_check";
    let result: String = connection.pragma_query_value(None, "quick_check", |row| row.get(0))?;
    Ok(vec![match result.strip_prefix("*** in database main ***\n").unwrap_or(&result) {
        "ok" => Check::ok(CHECK, "SQLite finds no damage"),
        complaint => Check::failure(CHECK, complaint, "restore a backup"),
    }])
}

/// Returns whether the rows of a table can be read, and the check of the table.
fn check_table(connection: &Connection, table: &Table) -> rusqlite::Result<(bool, Check)> {
    let name = table.name;
    let check = if name == LEDGER.name { "database.ledger" } else { "database.schema" };
    let migrate_hint = || {
        is_django(connection).map(|is_django| if is_django { DJANGO_HINT } else { MIGRATE_HINT })
    };
    let check = match table.layout(connection)? {
        Layout::Current { added } => {
            if let Some(column) = added.iter().find(|column| column.must_be_given) {
                let name_of_column = &column.name;
                let message = format!(
                    "the table {name} has a further column {name_of_column}, which no send fills"
                );
                let hint = "let the column be NULL, or give it a default";
                return Ok((true, Check::failure(check, message, hint)));
            }
            let mut message = format!("the table {name} is current");
            if !added.is_empty() {
                let names: Vec<_> = added.into_iter().map(|column| column.name).collect();
                message += &format!("; others added {}, which does no harm", names.join(", "));
            }
            return Ok((true, Check::ok(check, message)));
        }
        Layout::Foreign(error) => failure(check, &error),
        // A send creates the ledger, and everything else works without it.
        Layout::Missing if name == LEDGER.name => {
            let message = format!("there is no table {name}: what was sent is not known");
            Check::warning(check, message, MIGRATE_HINT)
        }
        Layout::Missing => {
            Check::failure(check, format!("there is no table {name}"), migrate_hint()?)
        }
        Layout::Migration0001 | Layout::Migration0002 => {
            let message = format!("the table {name} is of an older version");
            Check::failure(check, message, migrate_hint()?)
        }
    };
    Ok((false, check))
}

/// Returns the check of the indexes of the tables that are there; None if there are no tables.
fn check_indexes(
    connection: &Connection,
    path: &Path,
    has_records: bool,
    has_ledger: bool,
) -> rusqlite::Result<Option<Check>> {
    const CHECK: &str = "database.indexes";
    if !has_records && !has_ledger {
        return Ok(None);
    }
    let mut missing = Vec::new();
    for (table, is_there) in [(&RECORDS, has_records), (&LEDGER, has_ledger)] {
        if is_there {
            let indexes = table.missing_indexes(connection)?;
            missing.extend(indexes.into_iter().map(|index| index.name));
        }
    }
    let mut problems = Vec::new();
    if !missing.is_empty() {
        problems.push(format!("missing, which makes it slow: {}", missing.join(", ")));
    }
    let mut hint = MIGRATE_HINT.to_owned();
    if has_records && !RECORDS.has_index(connection, &UNIQUE)? {
        let name = UNIQUE.name;
        problems.push(format!("missing, which lets a record be stored twice: {name}"));
        if missing.is_empty() && is_django(connection)? {
            hint = format!("`sqlite3 {} '{}'`", shell_word(path), RECORDS.index_sql(&UNIQUE, name));
        }
    }
    Ok(Some(match problems.as_slice() {
        [] => Check::ok(CHECK, "no index is missing"),
        problems => Check::warning(CHECK, problems.join("; "), hint),
    }))
}

/// How many rows have something wrong with them, and the first of them.
#[derive(Default)]
struct Count {
    count: u64,
    first: Option<String>,
}

impl Count {
    fn add(&mut self, row: impl ToString) {
        self.count += 1;
        self.first.get_or_insert_with(|| row.to_string());
    }

    /// Returns what to say about such rows, if there are any.
    fn message(&self, rows: &str) -> Option<String> {
        let first = self.first.as_ref()?;
        Some(format!("{rows}: {}; the first: {first}", self.count))
    }
}

fn check_rows(
    connection: &Connection,
    has_ledger: bool,
    clock: &Clock,
) -> rusqlite::Result<Vec<Check>> {
    let [mut damaged, mut not_e164, mut from_the_future] = [(); 3].map(|()| Count::default());
    let records = each_row(connection, &RECORDS, |row| match read_record(row) {
        Ok(record) => {
            if !record.phone_number.is_e164() {
                not_e164.add(record.id);
            }
            if record.created_at > clock.now() + TOLERANCE {
                from_the_future.add(record.id);
            }
        }
        Err(row) => damaged.add(row),
    })?;
    let mut deliveries = 0;
    if has_ledger {
        deliveries = each_row(connection, &LEDGER, |row| {
            if let Err(row) = read_delivery(row) {
                damaged.add(row);
            }
        })?;
    }
    let [records, deliveries] = [counted(records, "record"), counted(deliveries, "delivery")];
    let good = format!("{records} and {deliveries} can be read");
    let warning = |check, rows: Option<String>, good: &str, hint: &str| match rows {
        None => Check::ok(check, good),
        Some(message) => Check::warning(check, message, hint),
    };
    Ok(vec![
        match damaged.message("rows that can't be read") {
            None => Check::ok("database.rows", good),
            Some(message) => Check::failure(
                "database.rows",
                message,
                "repair or delete them with the sqlite3 program",
            ),
        },
        warning(
            "database.phone_numbers",
            not_e164.message("records whose number is not in E.164"),
            "every number is in E.164",
            "no command finds them by their number; correct or delete them with the sqlite3 program",
        ),
        warning(
            "database.created_at",
            from_the_future.message("records from the future"),
            "no record is from the future",
            "a Django site needs USE_TZ = True: without it its times are local, and its codes live too long or too short",
        ),
    ])
}

/// Shows every row of `table` to `visit`, and returns how many there are.
fn each_row(
    connection: &Connection,
    table: &Table,
    mut visit: impl FnMut(&Row<'_>),
) -> rusqlite::Result<u64> {
    let sql = [&table.select(""), " WHERE rowid > ?1 ORDER BY rowid LIMIT ?2"].concat();
    let mut statement = connection.prepare(&sql)?;
    let (mut last, mut count) = (i64::MIN, 0);
    loop {
        let mut rows = statement.query([last, PAGE])?;
        let mut left = PAGE;
        while let Some(row) = rows.next()? {
            left -= 1;
            last = row.get(0)?;
            visit(row);
        }
        count += (PAGE - left) as u64;
        if left > 0 {
            return Ok(count);
        }
    }
}
