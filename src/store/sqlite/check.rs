//! The checks of a database for `doctor`. No statement here writes, and no new file stays.

use std::path::Path;

use rusqlite::{Connection, Result, Row};

use super::database::Database;
use super::error::{Failure, integrity_hint};
use super::file::write_obstacle;
use super::rows::{read_delivery, read_record};
use super::tables::is_django;
use crate::model::{Check, CheckStatus, latest, shell_word};
use crate::store::checks::{self, RowCounts, judged};
use crate::store::error::StoreError;
use crate::store::schema::{CURRENT, LEDGER, Layout, RECORDS, Table, UNIQUE, WRONG_CODES};
use crate::system::access::Access;
use crate::system::clock::Clock;

/// How many rows are read at once. No lock is held between them, so that no other process waits long.
const PAGE: i64 = 2000;

/// Checks the database at `path`, and changes nothing in it.
pub fn check(path: &Path, clock: &Clock) -> Vec<Check> {
    let checks = Database::open_unchanged(path)
        .and_then(|database| database.run(|connection| check_all(connection, &database, clock)));
    checks.unwrap_or_else(|error| vec![failure("database.file", &error, path)])
}

fn check_all(
    connection: &Connection,
    Database { path, is_wal, .. }: &Database,
    clock: &Clock,
) -> Result<Vec<Check>, Failure> {
    let file = path.canonicalize()?;
    let (records, schema) = check_table(connection, &RECORDS)?;
    let (ledger, ledger_check) = check_table(connection, &LEDGER)?;
    let or_failure = |name: &str, checks: Result<Vec<Check>>| {
        checks.unwrap_or_else(|error| vec![failure(name, &Failure::from(error).at(path), path)])
    };
    let mut checks = vec![
        Check::ok("database.file", path.display().to_string()),
        check_permissions(&file, path)?,
        judged(
            ("database.writable", CheckStatus::Failure),
            write_obstacle(&file),
            "the file and its directory can be written",
            "let the user who runs phone-verify write the file, its directory and what SQLite puts beside it",
        ),
        check_journal_mode(connection, *is_wal, path)?,
    ];
    checks.extend(or_failure("database.quick_check", quick_check(connection)));
    checks.extend([schema, ledger_check]);
    let (wrong_codes, wrong_codes_check) = check_table(connection, &WRONG_CODES)?;
    checks.extend((wrong_codes != Layout::Missing).then_some(wrong_codes_check));
    let tables = [(&RECORDS, &records), (&LEDGER, &ledger), (&WRONG_CODES, &wrong_codes)];
    let readable = tables.into_iter().filter(|(_, layout)| layout.is_readable());
    let tables: Vec<_> = readable.map(|(table, _)| table).collect();
    if !tables.is_empty() {
        checks.push(check_indexes(connection, path, &tables)?);
    }
    if records.is_readable() {
        checks.extend(or_failure("database.rows", check_rows(connection, &ledger, clock)));
    }
    Ok(checks)
}

fn failure(check: &str, error: &StoreError, path: &Path) -> Check {
    checks::failure(check, error, &integrity_hint(path))
}

fn check_permissions(file: &Path, path: &Path) -> std::io::Result<Check> {
    let access = Access::of(file)?;
    let (status, problem, remedy) = if access.others_can_write() {
        (CheckStatus::Failure, Some("others can change it"), "o-rw")
    } else if access.others_can_read() {
        (CheckStatus::Warning, Some("others can read the codes in it"), "o-r")
    } else {
        (CheckStatus::Ok, None, "")
    };
    let problem = problem.map(|problem| format!("{problem} ({access})"));
    let hint = format!("`chmod {remedy} {}`", shell_word(path));
    let name = ("database.permissions", status);
    Ok(judged(name, problem, &access.to_string(), &hint))
}

fn check_journal_mode(connection: &Connection, is_wal: bool, path: &Path) -> Result<Check> {
    let problem = if is_wal {
        None
    } else {
        let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
        Some(format!("{mode}: readers and writers wait for each other"))
    };
    let hint = format!("`sqlite3 {} 'PRAGMA journal_mode = WAL'`", shell_word(path));
    Ok(judged(("database.journal_mode", CheckStatus::Warning), problem, "wal", &hint))
}

/// Returns the first problem that `PRAGMA quick_check` finds. It never contains a value. Leaves out the line that names the
/// schema.
fn quick_check(connection: &Connection) -> Result<Vec<Check>> {
    let result: String = connection.pragma_query_value(None, "quick_check", |row| row.get(0))?;
    let problem = result.strip_prefix("*** in database main ***\n").unwrap_or(&result);
    let problem = problem.lines().next().filter(|problem| *problem != "ok").map(str::to_owned);
    let name = ("database.quick_check", CheckStatus::Failure);
    Ok(vec![judged(name, problem, "SQLite finds no damage", "restore a backup")])
}

/// Returns the layout of the table, and the check of the table.
fn check_table(connection: &Connection, table: &Table) -> Result<(Layout, Check)> {
    let layout = table.layout(connection)?;
    let check = checks::check_table(table, &layout, is_django(connection)?);
    Ok((layout, check))
}

fn check_indexes(connection: &Connection, path: &Path, tables: &[&Table]) -> Result<Check> {
    let mut missing = Vec::new();
    for table in tables {
        missing.extend(table.missing_indexes(connection)?.into_iter().map(|index| index.name));
    }
    let has_records = tables.iter().any(|table| table.name == RECORDS.name);
    let unique = if has_records && !RECORDS.has_index(connection, &UNIQUE)? {
        let sql = RECORDS.index_sql(&UNIQUE, UNIQUE.name);
        let statement = || format!("`sqlite3 {} '{sql}'`", shell_word(path));
        Some((UNIQUE.name, is_django(connection)?.then(statement)))
    } else {
        None
    };
    Ok(checks::check_indexes(&missing, unique))
}

fn check_rows(connection: &Connection, ledger: &Layout, clock: &Clock) -> Result<Vec<Check>> {
    let latest = latest(clock.now());
    let mut counts = RowCounts::default();
    counts.records = each_row(connection, &RECORDS, &CURRENT, |row| match read_record(row) {
        Ok(record) => {
            if !record.phone_number.is_e164() {
                counts.not_e164.add(record.id);
            }
            if record.created_at > latest {
                counts.future_records.add(record.id);
            }
        }
        Err(row) => counts.damaged.add(row),
    })?;
    if ledger.is_readable() {
        counts.deliveries =
            each_row(connection, &LEDGER, ledger, |row| match read_delivery(row) {
                Ok(delivery) if delivery.created_at > latest => {
                    counts.future_deliveries.add(delivery.id);
                }
                Ok(_) => {}
                Err(row) => counts.damaged.add(row),
            })?;
    }
    Ok(counts.checks(
        "the sqlite3 program",
        "a Django site needs USE_TZ = True; without it, its times are local, and its codes expire too late or too early",
    ))
}

/// Calls `visit` with every row of `table`, and returns how many rows there are.
fn each_row(
    connection: &Connection,
    table: &Table,
    layout: &Layout,
    mut visit: impl FnMut(&Row<'_>),
) -> Result<i64> {
    let sql = table.select(layout, "WHERE rowid > ?1 ORDER BY rowid LIMIT ?2");
    let mut statement = connection.prepare(&sql)?;
    let (mut last, mut count) = (i64::MIN, 0);
    loop {
        let mut rows = statement.query([last, PAGE])?;
        let before = count;
        while let Some(row) = rows.next()? {
            count += 1;
            last = row.get(0)?;
            visit(row);
        }
        if count - before < PAGE {
            return Ok(count);
        }
    }
}
