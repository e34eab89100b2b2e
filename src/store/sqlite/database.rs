//! An open database: how it is opened, and the transactions on it.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, MAIN_DB, OpenFlags, Params, Row, TransactionBehavior};

use super::error::{BUSY_TIMEOUT, Failure, MIGRATE_HINT};
use super::file::{
    Stamp, folder_of, has_header, has_log, is_wal, stamp_if_whole, untouched_uri, write_obstacle,
};
use crate::store::error::StoreError;

/// An open database file.
pub(super) struct Database {
    connection: Connection,
    path: PathBuf,
    /// The file as it was found, if it is read without regard to those who write it.
    as_found: Option<Stamp>,
}

impl Database {
    /// Opens the file at `path`, whatever it holds. If it may not be written, every change is an error.
    ///
    /// # Errors
    /// Returns an error if it is missing, isn't a file, or can't be opened.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_with(path, |file| {
            let connection = connect(file, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
            // A record has to outlive a power cut once its SMS has left.
            connection.pragma_update(None, "synchronous", "FULL")?;
            Ok(connection)
        })
    }

    /// Opens the file at `path` so that no byte of it changes. In WAL mode, reading takes files beside it, which only a
    /// connection that may write removes again. In any other mode, such a connection would undo what a crash left half done.
    ///
    /// # Errors
    /// Returns an error if it is missing, isn't a file, or can't be opened.
    pub(super) fn open_unchanged(path: &Path) -> Result<Self, StoreError> {
        Self::open_with(path, |file| {
            let (is_wal, has_log) = (is_wal(file), has_log(file));
            let connection = if is_wal {
                connect(file, OpenFlags::SQLITE_OPEN_READ_WRITE)?
            } else {
                connect(file, OpenFlags::SQLITE_OPEN_READ_ONLY)?
            };
            connection.pragma_update(None, "query_only", true)?;
            // What a crash left in the log stays there.
            let keeps_log = is_wal && has_log;
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keeps_log)?;
            Ok(connection)
        })
    }

    fn open_with(
        path: &Path,
        connect: impl FnOnce(&Path) -> rusqlite::Result<Connection>,
    ) -> Result<Self, StoreError> {
        let connection = find_file(path).and_then(|file| Ok(connect(&file)?));
        connection.map(|connection| Self::new(connection, path)).map_err(|failure| failure.at(path))
    }

    fn new(connection: Connection, path: &Path) -> Self {
        let is_untouched = connection.is_readonly(MAIN_DB).unwrap_or(false);
        let as_found = is_untouched.then(|| stamp_if_whole(path)).flatten();
        Self { connection, path: path.to_owned(), as_found }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Runs `work` on the connection.
    pub(super) fn run<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Failure>,
    ) -> Result<T, StoreError> {
        let result = work(&self.connection);
        if self.as_found.is_some() && self.as_found != stamp_if_whole(&self.path) {
            let error = StoreError::new("it was written while it was read", "run it again");
            return Err(Failure::from(error).at(&self.path));
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

/// Returns what `read` makes of each row that `sql` finds.
pub(super) fn query<T>(
    connection: &Connection,
    sql: &str,
    parameters: impl Params,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    connection.prepare_cached(sql)?.query_map(parameters, read)?.collect()
}

/// Returns the file of the database at `path`, which isn't a link, and whose absolute path can't be taken for one of SQLite's
/// special names, such as `:memory:`. SQLite puts its files beside the one that a link leads to.
fn find_file(path: &Path) -> Result<PathBuf, Failure> {
    match std::fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => {
            let is_folder = metadata.is_dir();
            let problem = if is_folder { "it is a folder" } else { "it is no regular file" };
            Err(StoreError::new(problem, "name a file").into())
        }
        // SQLite takes a file that is shorter than its header for an empty database, and would write over it.
        Ok(metadata) if metadata.len() > 0 && !has_header(path)? => {
            Err(StoreError::new("it is not an SQLite database", "check the path").into())
        }
        Ok(_) => Ok(path.canonicalize()?),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            if let Ok(target) = std::fs::read_link(path) {
                let target = target.display();
                let problem = format!("it is a link to {target}, which does not exist");
                let hint = "remove the link, or name another file";
                return Err(StoreError::new(problem, hint).into());
            }
            check_folder(path)?;
            Err(StoreError::new("it does not exist", MIGRATE_HINT).into())
        }
        Err(error) => Err(error.into()),
    }
}

/// Returns an error if the folder of the database at `path` doesn't exist either: no command creates it.
pub(super) fn check_folder(path: &Path) -> Result<(), StoreError> {
    let folder = folder_of(path);
    if folder.exists() {
        return Ok(());
    }
    let problem = format!("its folder {} does not exist", folder.display());
    Err(StoreError::new(problem, "create the folder, or correct the path"))
}

/// Opens `file`, but only to read if it is in WAL mode and can't be written.
fn connect(file: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = if is_wal(file) && write_obstacle(file).is_some() {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
        let uri = untouched_uri(file);
        Connection::open_with_flags(uri, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?
    } else {
        Connection::open_with_flags(file, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?
    };
    connection.busy_timeout(BUSY_TIMEOUT)?;
    Ok(connection)
}

#[cfg(test)]
mod tests {
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
            let read = || {
                database.run(|connection| Ok(connection.prepare("SELECT * FROM a").map(drop)?))
            };
            assert!(read().is_ok(), "{mode}");
            write("CREATE TABLE another (b)");
            assert_eq!(read().is_err(), is_told, "{mode}");
        }
    }
}
