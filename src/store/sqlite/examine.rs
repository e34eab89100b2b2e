//! A look at a database that changes nothing: no statement here writes, and no file is left that was not there.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use chrono::TimeDelta;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, Row};
use rustix::fs::{Access, access};

use super::database::BUSY_TIMEOUT;
use super::error::store_error;
use super::file::{beside, check_file, is_wal};
use super::layout::{self, LEDGER, Layout, RECORDS};
use super::rows::read_record;
use super::{FROM, SELECT, ledger, schema};
use crate::clock::Clock;
use crate::store::{Examination, RowsState, StoreError, TableState};

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
) -> Result<Examination, StoreError> {
    check_file(path)?;
    let metadata = std::fs::metadata(path).map_err(|error| StoreError::io(path, &error))?;
    // SQLite puts its files beside the one that a link leads to.
    let file = path.canonicalize().map_err(|error| StoreError::io(path, &error))?;
    let look = || {
        let connection = open(&file)?;
        let records = table_state(&connection, RECORDS)?;
        let ledger = table_state(&connection, LEDGER)?;
        let has = (records.is_readable(), ledger.is_readable());
        let rows = has.0.then(|| rows_state(&connection, has.1, clock, tolerance));
        Ok(Examination {
            permissions: metadata.permissions().mode() & 0o777,
            write_obstacle: write_obstacle(&file),
            journal_mode: connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?,
            complaint: complaint(&connection).map_err(|error| store_error(path, &error)),
            is_django: layout::is_django(&connection)?,
            missing_indexes: schema::missing_indexes(&connection, has)?,
            rows: rows.map(|rows| rows.map_err(|error| store_error(path, &error))),
            records,
            ledger,
        })
    };
    look().map_err(|error: rusqlite::Error| store_error(path, &error))
}

/// Opens the database so that no byte of it changes. In WAL mode, reading takes files beside it, which only a connection that
/// may write removes again. In any other mode, such a connection would undo what a crash left half done.
fn open(file: &Path) -> rusqlite::Result<Connection> {
    let is_wal = is_wal(file).unwrap_or(false);
    let flags =
        if is_wal { OpenFlags::SQLITE_OPEN_READ_WRITE } else { OpenFlags::SQLITE_OPEN_READ_ONLY };
    let connection = Connection::open_with_flags(file, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "query_only", true)?;
    // What a crash left in the log stays there.
    let has_log = is_wal && beside(file, "-wal").metadata().is_ok_and(|log| log.len() > 0);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, has_log)?;
    Ok(connection)
}

/// Returns why the database can't be written, if so: SQLite puts files beside it while it writes.
fn write_obstacle(file: &Path) -> Option<String> {
    let may = |what: &str, path: &Path, needed| {
        access(path, needed).err().map(|error| format!("{what} can't be written: {error}"))
    };
    let folder = file.parent().unwrap_or(file);
    may("the file", file, Access::WRITE_OK)
        .or_else(|| may("its folder", folder, Access::WRITE_OK | Access::EXEC_OK))
}

/// Returns the first complaint of `PRAGMA quick_check`, which names no value.
fn complaint(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let result: String = connection.pragma_query_value(None, "quick_check", |row| row.get(0))?;
    Ok((result != "ok").then_some(result))
}

fn table_state(connection: &Connection, table: &'static str) -> rusqlite::Result<TableState> {
    match layout::kind_of(connection, table)?.as_deref() {
        None => return Ok(TableState::Missing),
        Some("view") => return Ok(TableState::View),
        Some(_) => {}
    }
    let layout = if table == LEDGER {
        layout::ledger_layout(connection)?
    } else {
        layout::layout(connection)?
    };
    match layout {
        Layout::Current => {}
        Layout::Missing => return Ok(TableState::Missing),
        Layout::Migration0001 | Layout::Migration0002 => return Ok(TableState::Older),
        Layout::Unknown => return Ok(TableState::Unknown),
    }
    let columns = layout::foreign_columns(connection, table)?;
    Ok(match columns.iter().find(|column| column.must_be_given) {
        Some(column) => TableState::Blocked { column: column.name.clone() },
        None => TableState::Current {
            foreign_columns: columns.into_iter().map(|column| column.name).collect(),
        },
    })
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
