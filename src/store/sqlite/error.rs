//! What SQLite reports, in words for an operator.

use std::path::Path;
use std::time::Duration;

use rusqlite::ErrorCode;

use super::file::write_obstacle;
use crate::store::error::{DamagedRow, StoreError};

/// How long the lock of another process is waited for.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// What to do about a table or an index that is missing or older.
pub(super) const MIGRATE_HINT: &str = "phone-verify migrate";

const PERMISSIONS_HINT: &str = "check the permissions of the file, of its folder, and of files beside it that end in -wal, -shm or -journal";

/// An error that doesn't know yet of which database it is.
pub(super) enum Failure {
    /// SQLite reported it.
    Sqlite(rusqlite::Error),
    /// It is in words already.
    Known(StoreError),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Known(error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        let hint = "check that the path is right and may be used";
        Self::Known(StoreError::new(error.to_string(), hint))
    }
}

impl From<DamagedRow> for Failure {
    fn from(row: DamagedRow) -> Self {
        let hint = "repair or delete the row with the sqlite3 program";
        Self::Known(StoreError::new(row.to_string(), hint))
    }
}

impl Failure {
    /// Returns the failure that SQLite would report with the extended code `code`.
    pub(super) fn from_code(code: i32) -> Self {
        Self::Sqlite(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None))
    }

    /// Returns whether another process held its lock for too long.
    pub(super) fn is_lock(&self) -> bool {
        let Self::Sqlite(error) = self else { return false };
        matches!(
            error.sqlite_error_code(),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
        )
    }

    /// Returns the error of the database at `path`.
    pub(super) fn at(self, path: &Path) -> StoreError {
        let error = match self {
            Self::Sqlite(error) => in_words(&error, path),
            Self::Known(error) => error,
        };
        error.of_database(path.display())
    }
}

fn in_words(error: &rusqlite::Error, path: &Path) -> StoreError {
    use ErrorCode::*;
    let code = error.sqlite_error_code();
    let extended = error.sqlite_error().map(|error| error.extended_code);
    let (problem, hint) = match code {
        _ if matches!(error, rusqlite::Error::StatementChangedRows(_)) => {
            let problem = "a row was not changed as it has to be; a trigger prevents it";
            return StoreError::new(problem, "`sqlite3 FILE .schema` shows the triggers");
        }
        _ if extended == Some(rusqlite::ffi::SQLITE_READONLY_ROLLBACK) => {
            let problem = "a transaction in it was left half done by a program that was ended";
            return StoreError::new(problem, "`phone-verify list` undoes it");
        }
        Some(DatabaseBusy | DatabaseLocked) => {
            let seconds = BUSY_TIMEOUT.as_secs();
            let problem = format!("another process has held its lock for {seconds} seconds");
            return StoreError::new(problem, "try again, or end the process that holds it");
        }
        Some(NotADatabase) => ("it is not an SQLite database", "check the path"),
        Some(DatabaseCorrupt) => (
            "it is damaged or cut off",
            "restore a backup; `sqlite3 FILE 'PRAGMA integrity_check'` tells more",
        ),
        Some(ReadOnly | PermissionDenied) => ("it can't be written", PERMISSIONS_HINT),
        Some(DiskFull) => ("the disk is full", "make room and try again"),
        Some(CannotOpen) => ("it can't be opened", PERMISSIONS_HINT),
        Some(SystemIoFailure) => {
            ("reading or writing it failed", "check the disk and the room on it")
        }
        _ => return StoreError::without_hint(error.to_string()),
    };
    let file = path.canonicalize().ok().filter(|_| hint == PERMISSIONS_HINT);
    let problem = match (file.and_then(|file| write_obstacle(&file)), error) {
        (Some(obstacle), _) if code == Some(CannotOpen) => format!("{problem}: {obstacle}"),
        (Some(obstacle), _) => obstacle,
        (None, rusqlite::Error::SqliteFailure(_, Some(words))) => format!("{problem} ({words})"),
        (None, _) => problem.to_owned(),
    };
    StoreError::new(problem, hint)
}

/// Turns a statement that didn't change exactly one row into an error: a trigger may keep a row as it was without one.
pub(super) fn expect_one(changed: usize) -> rusqlite::Result<()> {
    if changed == 1 { Ok(()) } else { Err(rusqlite::Error::StatementChangedRows(changed)) }
}
