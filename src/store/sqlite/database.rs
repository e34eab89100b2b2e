//! An open database: how it is opened, and the transactions on it.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, Params, Row, TransactionBehavior};

use super::error::Failure;
use super::file::{
    Header, Stamp, directory_of, has_log, stamp_if_whole, untouched_uri, write_obstacle,
};
use super::lock::{BUSY_TIMEOUT, busy_handler};
use crate::store::error::{Result, StoreError};
use crate::system::waiting::Wait;

/// What an operator sees if another process holds its lock, or if there is much to read or write.
const AWAITED: &str = "waiting for the database";

/// An open database file.
pub(super) struct Database {
    connection: Connection,
    pub(super) path: PathBuf,
    /// Whether it was in WAL mode when it was opened. A connection that reads without a lock doesn't know that.
    pub(super) is_wal: bool,
    /// The file and its stamp, if it is read without a lock.
    unlocked: Option<(PathBuf, Stamp)>,
    /// What distinguishes the file that was opened from every other one on this machine.
    pub(super) identity: String,
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
            let (file, is_wal) = find_file(path)?;
            let has_log = has_log(&file);
            let mut stamp = None;
            let mut connection = if is_wal && write_obstacle(&file).is_some() {
                stamp = stamp_if_whole(&file);
                let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
                let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
                Connection::open_with_flags(untouched_uri(&file, stamp.is_some()), flags)?
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
            connection.busy_handler(Some(busy_handler(BUSY_TIMEOUT)))?;
            // Otherwise SQLite prepares some statements again for each value.
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
            if stays_unchanged {
                connection.pragma_update(None, "query_only", true)?;
                // What a crash left in the log stays there.
                let keeps_log = is_wal && has_log;
                connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keeps_log)?;
            } else {
                // A record has to survive a power cut once its SMS has left. FULL doesn't sync the directory after the journal
                // is deleted, so the transaction could be undone. In WAL mode, both are the same.
                connection.pragma_update(None, "synchronous", "EXTRA")?;
                // A code has to be gone once its row is. By default, SQLite leaves the bytes of a row in its page.
                connection.pragma_update(None, "secure_delete", true)?;
            }
            let unlocked = stamp.map(|stamp| (file, stamp));
            let (path, identity) = (path.to_owned(), identity(path)?);
            Ok(Self { connection, path, is_wal, unlocked, identity })
        };
        connect().map_err(|failure: Failure| failure.at(path))
    }

    /// Lets statements from now on wait so long for the lock of another process.
    pub(super) fn set_busy_timeout(&mut self, timeout: Duration) -> Result<(), Failure> {
        Ok(self.connection.busy_handler(Some(busy_handler(timeout)))?)
    }

    /// Runs `work` on the connection.
    pub(super) fn run<T>(&self, work: impl FnOnce(&Connection) -> Result<T, Failure>) -> Result<T> {
        let _wait = Wait::start(AWAITED);
        let result = work(&self.connection);
        let is_same = |(file, stamp): &(PathBuf, _)| stamp_if_whole(file) == Some(*stamp);
        if !self.unlocked.as_ref().is_none_or(is_same) {
            let problem = "another process wrote it while it was read";
            return Err(Failure::from(StoreError::new(problem, "run it again")).at(&self.path));
        }
        result.map_err(|failure| failure.at(&self.path))
    }

    /// Runs `work` in a transaction that sees one moment of the database and keeps no writer away.
    pub(super) fn read<T>(
        &mut self,
        work: impl FnOnce(&Connection) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let _wait = Wait::start(AWAITED);
        let transaction = self.connection.transaction()?;
        // The moment begins with the first statement, which may wait for a lock.
        transaction.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        work(&transaction)
    }

    /// Runs `work` in a transaction that no other writer can enter, or, if it is exclusive, no reader either.
    pub(super) fn write<T>(
        &mut self,
        behavior: TransactionBehavior,
        work: impl FnOnce(&Connection) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let _wait = Wait::start(AWAITED);
        let transaction = self.connection.transaction_with_behavior(behavior)?;
        // In WAL mode SQLite would go on writing to the file that was here before. In other modes its error has another reason.
        if identity(&self.path).ok().as_ref() != Some(&self.identity) {
            let problem = "it was moved, replaced or removed while it was in use";
            return Err(StoreError::new(problem, "check which file is there now").into());
        }
        let value = work(&transaction)?;
        transaction.commit()?;
        Ok(value)
    }
}

/// Returns what distinguishes the file at `path` from every other one on this machine.
fn identity(path: &Path) -> std::io::Result<String> {
    let metadata = std::fs::metadata(path)?;
    Ok(format!("file {} {}", metadata.dev(), metadata.ino()))
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

/// Returns the file of the database at `path`, and whether it is in WAL mode. The file isn't a link, because SQLite puts its
/// files beside the target of a link. Its path is absolute, so that SQLite can't take it for a special name such as `:memory:`.
fn find_file(path: &Path) -> Result<(PathBuf, bool), Failure> {
    let (problem, hint) = match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => ("it is a directory".to_owned(), "name a file"),
        Ok(metadata) if !metadata.is_file() => {
            ("it is not a regular file".to_owned(), "name a file")
        }
        Ok(_) => match Header::read(path)? {
            // SQLite takes a file that is shorter than its header for an empty database, and would overwrite it.
            header if !header.is_database() => {
                ("it is not an SQLite database".to_owned(), "check the path")
            }
            header => return Ok((path.canonicalize()?, header.is_wal())),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => match std::fs::read_link(path) {
            Ok(target) => (
                format!("it is a link to {}, which does not exist", target.display()),
                "remove the link, or name another file",
            ),
            Err(_) => {
                directory_of(path)?;
                (
                    "it does not exist".to_owned(),
                    "check the path; `phone-verify migrate` creates it",
                )
            }
        },
        Err(error) => return Err(error.into()),
    };
    Err(StoreError::new(problem, hint).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn create(directory: &tempfile::TempDir, mode: &str) -> PathBuf {
        let path = directory.path().join("db.sqlite3");
        let sql = format!("PRAGMA journal_mode = {mode}; CREATE TABLE a (b)");
        Connection::open(&path).unwrap().execute_batch(&sql).unwrap();
        path
    }

    #[test]
    fn a_write_is_an_error_to_readers_without_a_lock_only() {
        for is_unlocked in [true, false] {
            let directory = tempfile::tempdir().unwrap();
            let path = create(&directory, "wal");
            let mut database = Database::open(&path).unwrap();
            if is_unlocked {
                // As for a user who may not write the file. Root always may.
                let uri = untouched_uri(&path, true);
                let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
                database.connection = Connection::open_with_flags(uri, flags).unwrap();
                database.unlocked = Some((path.clone(), stamp_if_whole(&path).unwrap()));
            }
            let read = || {
                database.run(|connection| Ok(connection.prepare("SELECT * FROM a").map(drop)?))
            };
            assert!(read().is_ok());
            Connection::open(&path).unwrap().execute_batch("CREATE TABLE another (b)").unwrap();
            assert_eq!(read().is_err(), is_unlocked);
        }
    }

    #[test]
    fn what_is_written_is_durable_and_what_is_deleted_is_overwritten_in_every_mode() {
        for mode in ["delete", "wal"] {
            let directory = tempfile::tempdir().unwrap();
            let database = Database::open(&create(&directory, mode)).unwrap();
            for (pragma, expected) in [("synchronous", 3), ("secure_delete", 1)] {
                let value = |connection: &Connection| {
                    Ok(connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0))?)
                };
                assert_eq!(database.run(value).unwrap(), expected, "{mode}, {pragma}");
            }
        }
    }

    /// Returns how many locks this process has on the file (proc_locks(5)).
    fn locks(path: &Path) -> usize {
        let inode = std::os::unix::fs::MetadataExt::ino(&path.metadata().unwrap());
        let (process, inode) = (std::process::id().to_string(), format!(":{inode}"));
        let locks = std::fs::read_to_string("/proc/locks").unwrap();
        let is_own = |line: &&str| {
            let fields: Vec<_> = line.split_whitespace().collect();
            fields.contains(&&*process) && fields.iter().any(|field| field.ends_with(&inode))
        };
        locks.lines().filter(is_own).count()
    }

    #[test]
    fn a_reader_keeps_its_lock_whatever_else_looks_at_the_file() {
        for mode in ["delete", "wal"] {
            let directory = tempfile::tempdir().unwrap();
            let path = create(&directory, mode);
            let reader = Database::open_unchanged(&path).unwrap();
            let sql = "BEGIN; SELECT * FROM a";
            reader.run(|connection| Ok(connection.execute_batch(sql)?)).unwrap();
            let before = locks(&path);
            assert!(before > 0, "{mode}");
            drop(Database::open(&path).unwrap());
            drop(Database::open_unchanged(&path).unwrap());
            let clock = crate::system::clock::Clock::system();
            drop(crate::store::sqlite::check(&path, &clock));
            assert_eq!(locks(&path), before, "{mode}");
        }
    }
}
