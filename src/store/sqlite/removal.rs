//! How rows are deleted, and what is left of them.

use std::time::{Duration, Instant};

use rusqlite::types::Value;
use rusqlite::{Connection, Params, Row, params_from_iter};

use super::database::query;
use super::engine::Sqlite;
use super::error::Failure;
use super::lock::BUSY_TIMEOUT;
use super::selection::Selection;
use super::tables::has_triggers;
use super::verified;
use crate::store::error::{Result, StoreError};
use crate::store::schema::{RECORDS, Table};

/// How many rows the first transaction deletes, and the most that any does. More of them touch fewer pages for each row, but one row
/// touches a page in each of the indexes, all of which the write-ahead log has to hold.
const FIRST_BATCH: usize = 500;
const LARGEST_BATCH: usize = 4000;
/// About how long a transaction takes. Other writers wait meanwhile.
const TURN: Duration = Duration::from_millis(100);
/// The shortest pause between two transactions. SQLite asks for a lock again after 25 ms or less while it hasn't waited long
/// (`sqliteDefaultBusyCallback` in its source), so whoever waits for one transaction gets their turn before the next.
const PAUSE: Duration = Duration::from_millis(30);
/// How many rows to delete one search finds.
const FOUND_AT_ONCE: usize = 10_000;
/// The memory for pages, in KiB: rows of one time are all over the indexes.
const CACHE_KIB: i64 = 32 * 1024;
/// The pause between two attempts to empty the write-ahead log.
const LOG_PAUSE: Duration = Duration::from_millis(100);
/// The largest database that an erasure rebuilds, in bytes: that takes about a second.
const MAX_REBUILT: i64 = 64 * 1024 * 1024;

/// Returns how many rows the next transaction deletes if one with `size` rows took that long.
fn next_batch(size: usize, took: Duration) -> usize {
    let fitting = size as f64 * TURN.as_secs_f64() / took.as_secs_f64();
    (fitting as usize).clamp(size / 2, size * 2).clamp(1, LARGEST_BATCH)
}

/// The selected rows of a table, which are deleted.
struct Removal<'a> {
    table: &'static str,
    selection: &'a Selection,
    /// Whether the ledger has to learn first which of them are verified.
    is_copied: bool,
    /// Whether triggers may put back what was deleted.
    has_triggers: bool,
}

impl Removal<'_> {
    /// Returns the values of the selection's parameters, and then `last`.
    fn values(&self, last: i64) -> impl Params {
        let values = self.selection.parameters.iter().cloned();
        params_from_iter(values.chain([Value::from(last)]))
    }

    /// Returns the rowids of the next rows. Without an index, that reads the whole table, so it takes no lock that keeps writers
    /// away.
    fn find(&self, connection: &Connection) -> rusqlite::Result<Vec<i64>> {
        let (table, condition) = (self.table, &self.selection.condition);
        let sql = format!("SELECT rowid FROM {table} WHERE {condition} LIMIT ?");
        query(connection, &sql, self.values(FOUND_AT_ONCE as i64), |row| row.get(0))
    }

    /// Deletes rows that were found. Returns how many they are, and whether a trigger has put rows back. Another process may have
    /// changed a row since, so this checks the condition again.
    fn delete(&self, transaction: &Connection, rowids: &[i64]) -> rusqlite::Result<(u64, bool)> {
        let (table, condition) = (self.table, &self.selection.condition);
        let newest = format!("SELECT coalesce(max(rowid), 0) FROM {table}");
        let newest: i64 = transaction.query_row(&newest, [], |row| row.get(0))?;
        let one = format!("{condition} AND rowid = ?");
        let delete = format!("DELETE FROM {table} WHERE {one}");
        let counts = rowids.iter().map(|rowid| {
            if self.is_copied {
                verified::delete_records(transaction, &one, self.values(*rowid))
            } else {
                transaction.prepare_cached(&delete)?.execute(self.values(*rowid))
            }
        });
        let count = counts.sum::<rusqlite::Result<usize>>()? as u64;
        // Nobody else writes now, so rows that are still there, or there again, are a trigger's doing.
        let is_undone = self.has_triggers && {
            let rowids: Vec<_> = rowids.iter().map(i64::to_string).collect();
            let rows = format!("rowid IN ({}) OR rowid > {newest}", rowids.join(", "));
            let find = format!("SELECT count(*) > 0 FROM {table} WHERE {condition} AND ({rows})");
            let values = params_from_iter(&self.selection.parameters);
            transaction.query_row(&find, values, |row| row.get(0))?
        };
        Ok((count, is_undone))
    }
}

impl Sqlite {
    /// Deletes the selected rows of `table`, in transactions of about [`TURN`] each.
    pub(super) fn delete_from(&mut self, table: &Table, selection: &Selection) -> Result<u64> {
        let has_triggers = self.database.run(|connection| {
            connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
            // Each pause empties the log. As a part of a transaction that would count as time in which others wait.
            connection.pragma_update(None, "wal_autocheckpoint", 0)?;
            Ok(has_triggers(connection)?)
        })?;
        let is_copied = table.name == RECORDS.name && self.keeps_verified();
        let removal = Removal { table: table.name, selection, is_copied, has_triggers };
        let mut deleted = 0;
        let mut size = FIRST_BATCH;
        loop {
            let found = self.database.run(|connection| Ok(removal.find(connection)?))?;
            let mut left = &found[..];
            while !left.is_empty() {
                let (rowids, later) = left.split_at(size.min(left.len()));
                left = later;
                if deleted > 0 {
                    self.let_others_write()?;
                }
                let start = Instant::now();
                let (count, is_undone) =
                    self.write(|transaction| Ok(removal.delete(transaction, rowids)?))?;
                deleted += count;
                if is_undone {
                    return Err(self.undone());
                }
                if rowids.len() == size {
                    size = next_batch(size, start.elapsed());
                }
            }
            // Those were all at that moment. Others that have come since aren't chased: they may take over the rowids.
            if found.len() < FOUND_AT_ONCE {
                return Ok(deleted);
            }
        }
    }

    /// Empties the write-ahead log, for at least as long as a pause has to take.
    fn let_others_write(&self) -> Result<()> {
        let start = Instant::now();
        self.database.run(|connection| {
            Ok(connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?)
        })?;
        std::thread::sleep(PAUSE.saturating_sub(start.elapsed()));
        Ok(())
    }

    fn undone(&self) -> StoreError {
        Failure::from(rusqlite::Error::StatementChangedRows(0)).at(&self.database.path)
    }

    /// Rebuilds a database that isn't large. SQLite leaves copies of keys where it moved them from, and other programs may not
    /// overwrite what they delete. Returns whether it was rebuilt.
    pub(super) fn rebuild_if_small(&self) -> Result<bool> {
        self.database.run(|connection| {
            let number =
                |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
            let is_small = number("page_count")? * number("page_size")? <= MAX_REBUILT;
            if is_small {
                // A file of its own would hold what is left of the rows.
                connection.pragma_update(None, "temp_store", "MEMORY")?;
                connection.execute_batch("VACUUM")?;
            }
            Ok(is_small)
        })
    }

    /// Empties the write-ahead log, which holds what the rows were. In another mode than WAL it does nothing: each journal is
    /// deleted at the end of its transaction.
    pub(super) fn empty_log(&mut self) -> Result<()> {
        let emptied = self.database.run(|connection| {
            // A checkpoint that waits for readers keeps writers away meanwhile, so this one doesn't wait, but is tried again.
            connection.busy_timeout(Duration::ZERO)?;
            let deadline = Instant::now() + BUSY_TIMEOUT;
            let is_in_use = |row: &Row<'_>| row.get(0);
            // Even if there is no log, the statement may have to read the schema, which somebody may have locked.
            let is_in_use = || {
                let result = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], is_in_use);
                match result.map_err(Failure::from) {
                    Err(failure) if failure.is_lock() => Ok(true),
                    result => result,
                }
            };
            while is_in_use()? {
                if Instant::now() > deadline {
                    let seconds = BUSY_TIMEOUT.as_secs();
                    let problem = format!(
                        "other processes have used its log for {seconds} seconds, so the log still contains what was deleted"
                    );
                    return Err(StoreError::new(problem, "run it again once they have ended").into());
                }
                std::thread::sleep(LOG_PAUSE);
            }
            Ok(())
        });
        let restored = self.database.set_busy_timeout(BUSY_TIMEOUT);
        emptied.and(restored.map_err(|failure| failure.at(&self.database.path)))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use tempfile::TempDir;

    use super::*;
    use crate::store::interface::RecordFilter;
    use crate::system::clock::Clock;

    /// Opens a new database, on which `sql` was run.
    fn database_with(directory: &TempDir, sql: &str) -> (PathBuf, Sqlite) {
        let path = directory.path().join("db.sqlite3");
        let sqlite = Sqlite::open_to_send(&path, &Clock::system()).unwrap();
        sqlite.database.run(|connection| Ok(connection.execute_batch(sql)?)).unwrap();
        (path, sqlite)
    }

    fn size(path: &Path) -> u64 {
        fs::metadata(path).unwrap().len()
    }

    #[test]
    fn the_log_is_emptied_between_the_transactions_of_a_deletion() {
        let directory = tempfile::tempdir().unwrap();
        let (path, mut sqlite) = database_with(
            &directory,
            "WITH RECURSIVE rows(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM rows WHERE n < 20000)
             INSERT INTO sms_verification
             SELECT hex(randomblob(16)), n, n, n, n, printf('%.600c', 'x'), 0, 0 FROM rows",
        );
        sqlite.empty_log().unwrap();
        let rows = size(&path);
        let all = Selection::of_records(&RecordFilter::default());
        assert_eq!(sqlite.delete_from(&RECORDS, &all).unwrap(), 20_000);
        let log = size(&directory.path().join("db.sqlite3-wal"));
        assert!(log < rows, "the log has {log} bytes, and the rows had {rows}");
    }

    #[test]
    fn only_a_lock_is_waited_for_to_empty_the_log() {
        // After VACUUM, the next statement has to read the schema.
        const SQL: &str = "PRAGMA journal_mode = DELETE; VACUUM";
        let directory = tempfile::tempdir().unwrap();
        let (path, mut sqlite) = database_with(&directory, SQL);
        let other = Connection::open(&path).unwrap();
        other.execute_batch("BEGIN EXCLUSIVE").unwrap();
        let release = std::thread::spawn(move || {
            std::thread::sleep(LOG_PAUSE);
            other.execute_batch("ROLLBACK").unwrap();
        });
        sqlite.empty_log().unwrap();
        release.join().unwrap();

        let directory = tempfile::tempdir().unwrap();
        let (path, mut sqlite) = database_with(&directory, SQL);
        fs::write(&path, "no database any more".repeat(1000)).unwrap();
        let error = sqlite.empty_log().unwrap_err();
        assert!(error.problem.contains("it is not an SQLite database"), "{error:?}");
    }

    #[test]
    fn a_large_database_is_not_rebuilt() {
        let directory = tempfile::tempdir().unwrap();
        let sql =
            format!("CREATE TABLE big (bytes); INSERT INTO big VALUES (zeroblob({MAX_REBUILT}))");
        let (_, sqlite) = database_with(&directory, &sql);
        assert!(!sqlite.rebuild_if_small().unwrap());
        sqlite
            .database
            .run(|connection| Ok(connection.execute_batch("DROP TABLE big; VACUUM")?))
            .unwrap();
        assert!(sqlite.rebuild_if_small().unwrap());
    }

    #[test]
    fn the_next_batch_takes_about_a_turn_and_changes_no_more_than_twofold() {
        for (size, took, expected) in [
            (500, TURN, 500),
            (500, TURN * 2 / 3, 750),
            (500, Duration::ZERO, 1000),
            (500, TURN * 50, 250),
            (LARGEST_BATCH, TURN / 2, LARGEST_BATCH),
            (1, TURN * 50, 1),
        ] {
            assert_eq!(next_batch(size, took), expected, "{size} rows in {took:?}");
        }
    }
}
