//! A look at a database that changes nothing: no statement here writes, and no file is left that was not there.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use chrono::TimeDelta;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, Row};

use super::database::BUSY_TIMEOUT;
use super::error::{DJANGO_HINT, MIGRATE_HINT, store_error, written_meanwhile};
use super::file::{self, Stamp, check_file, has_log, is_wal, write_obstacle};
use super::layout::{self, LEDGER, Layout, RECORDS};
use super::rows::read_record;
use super::{FROM, SELECT, indexes, ledger};
use crate::model::shell_word;
use crate::store::{Examination, Finding, Flaw, RowsState, StoreError, TableState};
use crate::system::clock::Clock;

/// How many rows are read at once. No lock is held between them, so that nobody waits long.
const PAGE: i64 = 2000;

/// Looks at the database at `path`. Records that are further ahead of the clock than `tolerance` are from the future.
///
/// # Errors
/// There is none, or it can't be opened.
pub(in crate::store) fn examine(
    path: &Path,
    clock: &Clock,
    tolerance: TimeDelta,
) -> Result<Examination, Flaw> {
    check_file(path).map_err(flaw)?;
    let io_flaw = |error| flaw(StoreError::io(path, &error));
    let metadata = std::fs::metadata(path).map_err(io_flaw)?;
    // SQLite puts its files beside the one that a link leads to.
    let file = path.canonicalize().map_err(io_flaw)?;
    let sqlite_flaw = |error| flaw(store_error(path, &error));
    let look = || {
        let is_wal = is_wal(&file).unwrap_or(false);
        let connection = open(&file, is_wal)?;
        let (has_records, records) = examine_table(&connection, RECORDS)?;
        let (has_ledger, ledger) = examine_table(&connection, LEDGER)?;
        let has = (has_records, has_ledger);
        let rows = has_records.then(|| rows_state(&connection, has_ledger, clock, tolerance));
        Ok(Examination {
            permissions: metadata.permissions().mode() & 0o777,
            write_obstacle: write_obstacle(&file),
            concurrency: Finding {
                name: "journal_mode",
                state: journal_mode(&connection, path, is_wal)?,
            },
            integrity: Finding {
                name: "quick_check",
                state: quick_check(&connection).unwrap_or_else(|error| Err(sqlite_flaw(error))),
            },
            records,
            ledger,
            indexes: indexes::examine(&connection, path, has)?,
            rows: rows.map(|rows| rows.map_err(sqlite_flaw)),
            repair_program: "the sqlite3 program",
        })
    };
    let as_found = Stamp::of_whole(path).filter(|_| write_obstacle(&file).is_some());
    let examination = look().map_err(sqlite_flaw);
    // What changed under a reader who takes no lock looks like damage.
    if as_found.is_some() && as_found != Stamp::of_whole(path) {
        return Err(flaw(written_meanwhile(path)));
    }
    examination
}

fn flaw(error: StoreError) -> Flaw {
    let problem = error.to_string();
    let hint = error.hint.as_deref();
    Flaw::new(problem, hint.unwrap_or("`sqlite3 FILE 'PRAGMA integrity_check'` tells more"))
}

/// Opens the database so that no byte of it changes. In WAL mode, reading takes files beside it, which only a connection that
/// may write removes again. In any other mode, such a connection would undo what a crash left half done.
fn open(file: &Path, is_wal: bool) -> rusqlite::Result<Connection> {
    let flags =
        if is_wal { OpenFlags::SQLITE_OPEN_READ_WRITE } else { OpenFlags::SQLITE_OPEN_READ_ONLY };
    let connection = file::open(file, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "query_only", true)?;
    // What a crash left in the log stays there.
    let keeps_log = is_wal && has_log(file);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keeps_log)?;
    Ok(connection)
}

fn journal_mode(
    connection: &Connection,
    path: &Path,
    is_wal: bool,
) -> rusqlite::Result<Result<String, Flaw>> {
    // A connection that leaves the log alone knows of no such mode.
    if is_wal {
        return Ok(Ok("wal".to_owned()));
    }
    let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
    let problem = format!("{mode}: who reads and who writes wait for each other");
    let hint = format!("`sqlite3 {} 'PRAGMA journal_mode = WAL'`", shell_word(path));
    Ok(Err(Flaw::new(problem, hint)))
}

/// Returns the first complaint of `PRAGMA quick_check`, which names no value, without the line that says in which database.
fn quick_check(connection: &Connection) -> rusqlite::Result<Result<String, Flaw>> {
    let result: String = connection.pragma_query_value(None, "quick_check", |row| row.get(0))?;
    Ok(match result.strip_prefix("*** in database main ***\n").unwrap_or(&result) {
        "ok" => Ok("SQLite finds no damage".to_owned()),
        complaint => Err(Flaw::new(complaint, "restore a backup")),
    })
}

/// Returns whether the rows of a table can be read, and how it stands with it.
fn examine_table(
    connection: &Connection,
    table: &'static str,
) -> rusqlite::Result<(bool, TableState)> {
    Ok(match layout::layout(connection, table)? {
        Layout::Current => (true, current(connection, table)?),
        Layout::Foreign(flaw) => (false, TableState::Unfit(flaw)),
        Layout::Missing => (false, missing(connection, table)?),
        Layout::Migration0001 | Layout::Migration0002 => {
            let problem = format!("the table {table} is of an older version");
            (false, TableState::Unfit(Flaw::new(problem, migrate_hint(connection)?)))
        }
    })
}

fn missing(connection: &Connection, table: &str) -> rusqlite::Result<TableState> {
    let problem = format!("there is no table {table}");
    Ok(TableState::Missing(match table {
        LEDGER => Flaw::new(format!("{problem}: what was sent is not known"), MIGRATE_HINT),
        _ => Flaw::new(problem, migrate_hint(connection)?),
    }))
}

fn migrate_hint(connection: &Connection) -> rusqlite::Result<&'static str> {
    Ok(if layout::is_django(connection)? { DJANGO_HINT } else { MIGRATE_HINT })
}

/// Returns how it stands with a table that has every column it needs.
fn current(connection: &Connection, table: &str) -> rusqlite::Result<TableState> {
    let columns = layout::foreign_columns(connection, table)?;
    if let Some(column) = columns.iter().find(|column| column.must_be_given) {
        let name = &column.name;
        let problem = format!("the table {table} has a further column {name}, which no send fills");
        let hint = "let the column be NULL, or give it a default";
        return Ok(TableState::Unfit(Flaw::new(problem, hint)));
    }
    let names: Vec<_> = columns.into_iter().map(|column| column.name).collect();
    let mut words = format!("the table {table} is current");
    if !names.is_empty() {
        words += &format!("; others added {}, which does no harm", names.join(", "));
    }
    Ok(TableState::Current(words))
}

fn rows_state(
    connection: &Connection,
    has_ledger: bool,
    clock: &Clock,
    tolerance: TimeDelta,
) -> rusqlite::Result<RowsState> {
    let mut state = RowsState::default();
    let records = [SELECT, FROM, " WHERE rowid > ?1 ORDER BY rowid LIMIT ?2"].concat();
    each_row(connection, &records, |row| {
        state.records += 1;
        match read_record(row) {
            Ok(record) => {
                if !record.phone_number.is_e164() {
                    state.not_e164.add(record.id.to_string());
                }
                if record.created_at > clock.now() + tolerance {
                    state.from_the_future.add(record.id.to_string());
                }
            }
            Err(damaged) => state.damaged.add(damaged),
        }
    })?;
    if has_ledger {
        let deliveries = [ledger::SELECT, " WHERE rowid > ?1 ORDER BY rowid LIMIT ?2"].concat();
        each_row(connection, &deliveries, |row| {
            state.deliveries += 1;
            if let Err(damaged) = ledger::read_delivery(row) {
                state.damaged.add(damaged);
            }
        })?;
    }
    Ok(state)
}

/// Shows every row of `query`, whose first column is its rowid, to `visit`.
fn each_row(
    connection: &Connection,
    query: &str,
    mut visit: impl FnMut(&Row<'_>),
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(query)?;
    let mut last = i64::MIN;
    loop {
        let mut rows = statement.query([last, PAGE])?;
        let mut count = 0;
        while let Some(row) = rows.next()? {
            count += 1;
            last = row.get(0)?;
            visit(row);
        }
        if count < PAGE {
            return Ok(());
        }
    }
}
