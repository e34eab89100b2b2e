//! A connection, the transactions on it, and what goes wrong with them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, MAIN_DB, Transaction, TransactionBehavior};

use super::error::{damaged, store_error, written_meanwhile};
use super::file::Stamp;
use crate::store::{DamagedRow, StoreError};

/// How long the lock of another process is waited for.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// An open database file.
pub(super) struct Database {
    connection: Connection,
    path: PathBuf,
    /// The file as it was found, where it is read without regard to those who write it.
    as_found: Option<Stamp>,
}

impl Database {
    /// Returns the database at `path` that `connection` is open to.
    pub(super) fn new(connection: Connection, path: &Path) -> Self {
        let is_untouched = connection.is_readonly(MAIN_DB).unwrap_or(false);
        let as_found = is_untouched.then(|| Stamp::of_whole(path)).flatten();
        Self { connection, path: path.to_owned(), as_found }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Runs `work` on the connection.
    pub(super) fn run<T>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let result = work(&self.connection);
        if self.as_found.is_some() && self.as_found != Stamp::of_whole(&self.path) {
            return Err(written_meanwhile(&self.path));
        }
        result.map_err(|error| store_error(&self.path, &error))
    }

    /// Runs `work` in a transaction that no other writer can enter.
    pub(super) fn write<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Failure>,
    ) -> Result<T, StoreError> {
        self.try_write(|transaction, _| work(transaction))
            .map_err(|failure| failure.into_store_error(&self.path))
    }

    /// Runs `work`, which is told the database's path, in a transaction that no other writer can enter.
    pub(super) fn try_write<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>, &Path) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let behavior = TransactionBehavior::Immediate;
        let transaction = self.connection.transaction_with_behavior(behavior)?;
        let value = work(&transaction, &self.path)?;
        transaction.commit()?;
        Ok(value)
    }
}

/// What can go wrong within a transaction.
pub(super) enum Failure {
    Sqlite(rusqlite::Error),
    Damaged(DamagedRow),
    Store(StoreError),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Failure {
    /// Returns whether another process held its lock for too long.
    pub(super) fn is_lock(&self) -> bool {
        let Self::Sqlite(error) = self else { return false };
        matches!(
            error.sqlite_error_code(),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
        )
    }

    /// Returns the failure as the error of the database at `path`.
    pub(super) fn into_store_error(self, path: &Path) -> StoreError {
        match self {
            Self::Sqlite(error) => store_error(path, &error),
            Self::Damaged(row) => damaged(path, &row),
            Self::Store(error) => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::OpenFlags;

    use super::*;

    #[test]
    fn who_reads_without_a_lock_is_told_of_a_write_and_who_has_locks_is_not() {
        for (mode, uri_parameter, is_told) in
            [("wal", "immutable=1", true), ("delete", "mode=ro", false)]
        {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("db.sqlite3");
            let write = |sql: &str| Connection::open(&path).unwrap().execute_batch(sql).unwrap();
            write(&format!("PRAGMA journal_mode = {mode}; CREATE TABLE a (b)"));
            let uri = format!("file://{}?{uri_parameter}", path.display());
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
            let database = Database::new(Connection::open_with_flags(uri, flags).unwrap(), &path);
            let read =
                || database.run(|connection| connection.prepare("SELECT * FROM a").map(drop));
            assert!(read().is_ok(), "{mode}");
            write("CREATE TABLE another (b)");
            assert_eq!(read().is_err(), is_told, "{mode}");
        }
    }
}
