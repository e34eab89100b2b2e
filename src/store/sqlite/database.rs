//! An open database: how it is opened, and the transactions on it.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, MAIN_DB, OpenFlags, Params, Row, TransactionBehavior};

use super::error::{Failure, MIGRATE_HINT, PATIENCE};
use super::file::{
    Stamp, directory_of, has_header, has_log, is_wal, stamp_if_whole, untouched_uri, write_obstacle,
};
use crate::store::error::{Result, StoreError};

/// An open database file.
pub(super) struct Database {
    connection: Connection,
    pub(super) path: PathBuf,
    /// The stamp of the file, if it is read without a lock.
    stamp: Option<Stamp>,
}

impl Database {
    /// Opens the file at `path`, whatever it holds. If the file can't be written, every change is an error.
    pub(super) fn open(path: &Path) -> Result<Self> {
        Self::open_with(path, false)
    }

    /// Opens the file at `path` so that no byte of it changes.
    pub(super) fn open_unchanged(path: &Path) -> Result<Self> {
        Self::open_with(path, true)
    }

    fn open_with(path: &Path, stays_unchanged: bool) -> Result<Self> {
        let connect = || {
            let file = find_file(path)?;
            let (is_wal, has_log) = (is_wal(&file), has_log(&file));
            let connection = if is_wal && write_obstacle(&file).is_some() {
                let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
                let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
                Connection::open_with_flags(untouched_uri(&file), flags)?
            } else {
                // In WAL mode, reading creates files, and only a connection that may write removes them again. In any other mode,
                // such a connection would roll back what a crash left half done.
                let access = if stays_unchanged && !is_wal {
                    OpenFlags::SQLITE_OPEN_READ_ONLY
                } else {
                    OpenFlags::SQLITE_OPEN_READ_WRITE
                };
                Connection::open_with_flags(&file, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?
            };
            connection.busy_timeout(PATIENCE)?;
            if stays_unchanged {
                connection.pragma_update(None, "query_only", true)?;
                // What a crash left in the log stays there.
                let keeps_log = is_wal && has_log;
                connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keeps_log)?;
            } else {
                // A record has to survive a power cut once its SMS has left.
                connection.pragma_update(None, "synchronous", "FULL")?;
            }
            Ok(Self::new(connection, path))
        };
        connect().map_err(|failure: Failure| failure.at(path))
    }

    fn new(connection: Connection, path: &Path) -> Self {
        let is_readonly = connection.is_readonly(MAIN_DB).unwrap_or(false);
        let stamp = is_readonly.then(|| stamp_if_whole(path)).flatten();
        Self { connection, path: path.to_owned(), stamp }
    }

    /// Lets statements from now on wait so long for the lock of another process.
    pub(super) fn be_patient(&self, patience: Duration) -> Result<(), Failure> {
        Ok(self.connection.busy_timeout(patience)?)
    }

    /// Runs `work` on the connection.
    pub(super) fn run<T>(&self, work: impl FnOnce(&Connection) -> Result<T, Failure>) -> Result<T> {
        let result = work(&self.connection);
        if self.stamp.is_some() && self.stamp != stamp_if_whole(&self.path) {
            let problem = "another process wrote it while it was read";
            return Err(Failure::from(StoreError::new(problem, "run it again")).at(&self.path));
        }
        result.map_err(|failure| failure.at(&self.path))
    }

    /// Runs `work` in a transaction that no other writer can enter, or, if it is exclusive, no reader either.
    pub(super) fn write<T>(
        &mut self,
        behavior: TransactionBehavior,
        work: impl FnOnce(&Connection) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let transaction = self.connection.transaction_with_behavior(behavior)?;
        let value = work(&transaction)?;
        transaction.commit()?;
        Ok(value)
    }
}

/// Runs `sql` and reads each row with `read`.
pub(super) fn query<T>(
    connection: &Connection,
    sql: &str,
    parameters: impl Params,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    connection.prepare_cached(sql)?.query_map(parameters, read)?.collect()
}

/// Returns the file of the database at `path`. It isn't a link, because SQLite puts its files beside the target of a link. Its path
/// is absolute, so that SQLite can't take it for a special name such as `:memory:`.
fn find_file(path: &Path) -> Result<PathBuf, Failure> {
    let (problem, hint) = match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => ("it is a directory".to_owned(), "name a file"),
        Ok(metadata) if !metadata.is_file() => {
            ("it is not a regular file".to_owned(), "name a file")
        }
        // SQLite takes a file that is shorter than its header for an empty database, and would overwrite it.
        Ok(metadata) if metadata.len() > 0 && !has_header(path)? => {
            ("it is not an SQLite database".to_owned(), "check the path")
        }
        Ok(_) => return Ok(path.canonicalize()?),
        Err(error) if error.kind() == ErrorKind::NotFound => match std::fs::read_link(path) {
            Ok(target) => (
                format!("it is a link to {}, which does not exist", target.display()),
                "remove the link, or name another file",
            ),
            Err(_) => {
                directory_of(path)?;
                ("it does not exist".to_owned(), MIGRATE_HINT)
            }
        },
        Err(error) => return Err(error.into()),
    };
    Err(StoreError::new(problem, hint).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_is_an_error_to_readers_without_a_lock_only() {
        for (mode, uri_parameter, is_error) in
            [("wal", "immutable=1", true), ("delete", "mode=ro", false)]
        {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("db.sqlite3");
            let write = |sql: &str| Connection::open(&path).unwrap().execute_batch(sql).unwrap();
            write(&format!("PRAGMA journal_mode = {mode}; CREATE TABLE a (b)"));
            let uri = format!("file://{}?{uri_parameter}", path.display());
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
            let database = Database::new(Connection::open_with_flags(uri, flags).unwrap(), &path);
            let read = || {
                database.run(|connection| Ok(connection.prepare("SELECT * FROM a").map(drop)?))
            };
            assert!(read().is_ok(), "{mode}");
            write("CREATE TABLE another (b)");
            assert_eq!(read().is_err(), is_error, "{mode}");
        }
    }
}
