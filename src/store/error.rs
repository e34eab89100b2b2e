//! What goes wrong with a database, in words for an operator.

use std::fmt;
use std::path::Path;

use rusqlite::ErrorCode;

/// Why the database can't be used, and what to do about it. It never holds a value of a row.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{problem}")]
pub struct StoreError {
    problem: String,
    /// What to do, where there is something to do.
    pub hint: Option<String>,
}

/// A row that can't be read as a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamagedRow {
    /// The table.
    pub table: &'static str,
    /// The row: its id, or its rowid where the id can't be read.
    pub row: String,
    /// The column that is damaged.
    pub column: &'static str,
    /// What is wrong with it, without its value.
    pub problem: &'static str,
}

impl fmt::Display for DamagedRow {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { table, row, column, problem } = self;
        write!(formatter, "table {table}, row {row}, column {column}: {problem}")
    }
}

impl StoreError {
    pub(super) fn new(path: &Path, problem: impl fmt::Display, hint: Option<&str>) -> Self {
        Self {
            problem: format!("database {}: {problem}", path.display()),
            hint: hint.map(str::to_owned),
        }
    }

    pub(super) fn io(path: &Path, error: &std::io::Error) -> Self {
        Self::new(path, error, Some("check that the path is right and may be used"))
    }

    pub(super) fn damaged(path: &Path, row: &DamagedRow) -> Self {
        Self::new(path, row, Some("repair or delete the row with the sqlite3 program"))
    }

    pub(super) fn sqlite(path: &Path, error: &rusqlite::Error) -> Self {
        if let rusqlite::Error::StatementChangedRows(_) = error {
            let problem = "a row was not changed as it has to be; a trigger prevents it";
            return Self::new(path, problem, Some("`sqlite3 FILE .schema` shows the triggers"));
        }
        let extended = error.sqlite_error().map(|error| error.extended_code);
        if extended == Some(rusqlite::ffi::SQLITE_READONLY_ROLLBACK) {
            let problem = "a transaction in it was left half done by a program that was ended";
            return Self::new(path, problem, Some("`phone-verify list` undoes it"));
        }
        let (problem, hint) = match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                let problem = "another process has held its lock for 10 seconds";
                return Self::new(
                    path,
                    problem,
                    Some("try again, or end the process that holds it"),
                );
            }
            Some(ErrorCode::NotADatabase) => ("it is not an SQLite database", "check the path"),
            Some(ErrorCode::DatabaseCorrupt) => (
                "it is damaged or cut off",
                "restore a backup; `sqlite3 FILE 'PRAGMA integrity_check'` tells more",
            ),
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
                ("it can't be written", "check the permissions of the file and of its folder")
            }
            Some(ErrorCode::DiskFull) => ("the disk is full", "make room and try again"),
            Some(ErrorCode::CannotOpen) => {
                ("it can't be opened", "check the permissions of the file and of its folder")
            }
            Some(ErrorCode::SystemIoFailure) => {
                ("reading or writing it failed", "check the disk and the room on it")
            }
            _ => return Self::new(path, error, None),
        };
        let detail = match error {
            rusqlite::Error::SqliteFailure(_, Some(message)) => format!("{problem} ({message})"),
            _ => problem.to_owned(),
        };
        Self::new(path, detail, Some(hint))
    }
}
