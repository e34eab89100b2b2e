//! What SQLite says, in words for an operator.

use std::path::Path;

use rusqlite::ErrorCode;

use super::database::BUSY_TIMEOUT;
use super::file::write_obstacle;
use crate::store::{DamagedRow, StoreError};

/// What to do about a table or an index that is missing or older.
pub(super) const MIGRATE_HINT: &str = "phone-verify migrate";
/// The same about the table of the records where Django manages the database.
pub(super) const DJANGO_HINT: &str = "python manage.py migrate phone_verify";

const PERMISSIONS_HINT: &str = "check the permissions of the file, of its folder, and of files beside it that end in -wal, -shm or -journal";

/// Returns the error of the database at `path` whose `row` is damaged.
pub(super) fn damaged(path: &Path, row: &DamagedRow) -> StoreError {
    StoreError::new(path, row, Some("repair or delete the row with the sqlite3 program"))
}

/// Returns what SQLite says as the error of the database at `path`.
pub(super) fn store_error(path: &Path, error: &rusqlite::Error) -> StoreError {
    if let rusqlite::Error::StatementChangedRows(_) = error {
        let problem = "a row was not changed as it has to be; a trigger prevents it";
        return StoreError::new(path, problem, Some("`sqlite3 FILE .schema` shows the triggers"));
    }
    let extended = error.sqlite_error().map(|error| error.extended_code);
    if extended == Some(rusqlite::ffi::SQLITE_READONLY_ROLLBACK) {
        let problem = "a transaction in it was left half done by a program that was ended";
        return StoreError::new(path, problem, Some("`phone-verify list` undoes it"));
    }
    let (problem, hint) = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            let seconds = BUSY_TIMEOUT.as_secs();
            let problem = format!("another process has held its lock for {seconds} seconds");
            return StoreError::new(
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
            ("it can't be written", PERMISSIONS_HINT)
        }
        Some(ErrorCode::DiskFull) => ("the disk is full", "make room and try again"),
        Some(ErrorCode::CannotOpen) => ("it can't be opened", PERMISSIONS_HINT),
        Some(ErrorCode::SystemIoFailure) => {
            ("reading or writing it failed", "check the disk and the room on it")
        }
        _ => return StoreError::new(path, error, None),
    };
    let obstacle = || write_obstacle(&path.canonicalize().ok()?);
    if hint == PERMISSIONS_HINT
        && let Some(obstacle) = obstacle()
    {
        let is_opened = error.sqlite_error_code() != Some(ErrorCode::CannotOpen);
        let problem = if is_opened { obstacle } else { format!("{problem}: {obstacle}") };
        return StoreError::new(path, problem, Some(hint));
    }
    let detail = match error {
        rusqlite::Error::SqliteFailure(_, Some(message)) => format!("{problem} ({message})"),
        _ => problem.to_owned(),
    };
    StoreError::new(path, detail, Some(hint))
}

/// Returns the error of a database at `path` that is read without regard to those who write it, and that somebody wrote.
pub(super) fn written_meanwhile(path: &Path) -> StoreError {
    StoreError::new(path, "it was written while it was read", Some("run it again"))
}
