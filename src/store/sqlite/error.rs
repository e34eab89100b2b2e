//! The errors of SQLite, in words for an operator.

use std::path::Path;

use rusqlite::ErrorCode;

use super::file::write_obstacle;
use crate::model::shell_word;
use crate::store::error::{DamagedRow, StoreError};

const PERMISSIONS_HINT: &str = "check the permissions of the file, of its directory, and of files beside it that end in -wal, -shm or -journal";

/// An error without the name of its database.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(super) enum Failure {
    Sqlite(#[from] rusqlite::Error),
    Known(#[from] StoreError),
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        let hint = "check the path and its permissions";
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
        let code = error.sqlite_error_code();
        matches!(code, Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
    }

    /// Returns the error of the database at `path`.
    pub(super) fn at(self, path: &Path) -> StoreError {
        let error = match self {
            Self::Sqlite(error) => describe(&error, path),
            Self::Known(error) => error,
        };
        let problem = format!("database {}: {}", path.display(), error.problem);
        StoreError { problem, ..error }
    }
}

/// Returns what shows the damage of the database at `path`.
pub(super) fn integrity_hint(path: &Path) -> String {
    format!("`sqlite3 {} 'PRAGMA integrity_check'` shows more", shell_word(path))
}

fn describe(error: &rusqlite::Error, path: &Path) -> StoreError {
    use ErrorCode::*;
    let code = error.sqlite_error_code();
    let extended = error.sqlite_error().map(|error| error.extended_code);
    let of_trigger = |problem: &str| {
        StoreError::new(
            problem,
            format!("`sqlite3 {} .schema` shows the triggers", shell_word(path)),
        )
    };
    let (problem, hint) = match code {
        _ if matches!(error, rusqlite::Error::StatementChangedRows(_)) => {
            return of_trigger("a row was not changed, because a trigger prevents it");
        }
        // What a trigger says may contain a code.
        _ if extended == Some(rusqlite::ffi::SQLITE_CONSTRAINT_TRIGGER) => {
            return of_trigger("a trigger refused the change");
        }
        _ if extended == Some(rusqlite::ffi::SQLITE_READONLY_ROLLBACK) => {
            let problem = "a program that was stopped left a transaction half done";
            return StoreError::new(problem, "`phone-verify list` undoes it");
        }
        Some(DatabaseBusy | DatabaseLocked) => {
            let problem = "another process has held its lock for too long";
            return StoreError::new(problem, "try again, or stop that process");
        }
        Some(NotADatabase) => ("it is not an SQLite database", "check the path"),
        Some(DatabaseCorrupt) => {
            let hint = format!("restore a backup; {}", integrity_hint(path));
            return StoreError::new("it is damaged or cut off", hint);
        }
        Some(ReadOnly | PermissionDenied) => ("it can't be written", PERMISSIONS_HINT),
        Some(DiskFull) => ("the disk is full", "free some space and try again"),
        Some(CannotOpen) => ("it can't be opened", PERMISSIONS_HINT),
        Some(SystemIoFailure) => {
            ("reading or writing it failed", "check the disk and its free space")
        }
        _ => {
            let problem = match error {
                // Without the statement.
                rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
                _ => error.to_string(),
            };
            return StoreError { problem, hint: None };
        }
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

/// Returns an error if a statement didn't change exactly one row: a trigger can prevent a change without an error.
pub(super) fn expect_one(changed: usize) -> rusqlite::Result<()> {
    expect_stored(changed == 1)
}

/// Returns an error if a change isn't there afterwards: a trigger can undo it without an error.
pub(super) fn expect_stored(is_stored: bool) -> rusqlite::Result<()> {
    if is_stored { Ok(()) } else { Err(rusqlite::Error::StatementChangedRows(0)) }
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi::*;

    use super::*;

    #[test]
    fn what_sqlite_finds_wrong_with_a_file_is_said_in_words() {
        for (code, problem, hint) in [
            (SQLITE_BUSY, "another process has held its lock for too long", "stop that process"),
            (SQLITE_LOCKED, "another process has held its lock for too long", "stop that process"),
            (SQLITE_NOTADB, "it is not an SQLite database", "check the path"),
            (SQLITE_CORRUPT, "it is damaged or cut off", "`sqlite3 db 'PRAGMA integrity_check'`"),
            (SQLITE_READONLY, "it can't be written", PERMISSIONS_HINT),
            (SQLITE_PERM, "it can't be written", PERMISSIONS_HINT),
            (SQLITE_FULL, "the disk is full", "free some space"),
            (SQLITE_CANTOPEN, "it can't be opened", PERMISSIONS_HINT),
            (SQLITE_IOERR, "reading or writing it failed", "check the disk"),
        ] {
            let failure = Failure::from_code(code);
            assert_eq!(failure.is_lock(), hint.contains("process"), "{code}");
            let error = failure.at(Path::new("db"));
            assert_eq!(error.problem, format!("database db: {problem}"));
            assert!(error.hint.is_some_and(|said| said.contains(hint)), "{code}");
        }
    }

    #[test]
    fn what_keeps_a_file_from_being_written_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("db");
        std::fs::write(&path, "").unwrap();
        // Not even root can write a link to itself.
        std::os::unix::fs::symlink("db-wal", directory.path().join("db-wal")).unwrap();
        for (code, context) in [(SQLITE_READONLY, ""), (SQLITE_CANTOPEN, "it can't be opened: ")] {
            let start = format!("database {}: {context}the file db-wal beside it", path.display());
            let error = Failure::from_code(code).at(&path);
            assert!(error.problem.starts_with(&start), "{error:?}");
        }
    }
}
