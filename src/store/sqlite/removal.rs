//! How rows are deleted, and what is left of them.

use std::time::Duration;

use rusqlite::types::Value;
use rusqlite::{Row, params_from_iter};

use super::database::query;
use super::engine::{Sqlite, has_triggers};
use super::error::{BUSY_TIMEOUT, Failure};
use super::selection::Selection;
use super::verified;
use crate::store::error::{Result, StoreError};
use crate::store::schema::{RECORDS, Table};

/// The most rows that one transaction deletes.
const BATCH: usize = 500;
/// How many batches one search for rows to delete finds.
const BATCHES_FOUND_AT_ONCE: usize = 20;
/// The pause between two of those transactions, so that other writers get their turn.
const PAUSE: Duration = Duration::from_millis(10);
/// The pause between two attempts to empty the write-ahead log.
const LOG_PAUSE: Duration = Duration::from_millis(100);
/// The largest database that an erasure rebuilds, in bytes: that takes about a second.
const MAX_REBUILT: i64 = 64 * 1024 * 1024;

impl Sqlite {
    /// Deletes the selected rows of `table`.
    pub(super) fn delete_from(&mut self, table: &Table, selection: &Selection) -> Result<u64> {
        // Without an index, each search reads the whole table, so it takes no lock that keeps writers away. Another process may
        // change a row before it is deleted, so the deletion checks the condition again.
        let Selection { condition, parameters } = selection;
        let newest = format!("SELECT coalesce(max(rowid), 0) FROM {}", table.name);
        // A trigger may add rows for those that are deleted, so that this would never end.
        let newest: i64 = self
            .database
            .run(|connection| Ok(connection.query_row(&newest, [], |row| row.get(0))?))?;
        let find = format!(
            "SELECT rowid FROM {} WHERE {condition} AND rowid <= {newest} LIMIT ?",
            table.name
        );
        let condition = format!("{condition} AND rowid = ?");
        let delete = format!("DELETE FROM {} WHERE {condition}", table.name);
        let is_copied = table.name == RECORDS.name && self.keeps_verified();
        let with =
            |last: i64| params_from_iter(parameters.clone().into_iter().chain([Value::from(last)]));
        let mut deleted = 0;
        let mut tried = Vec::new();
        loop {
            let found: Vec<i64> = self.database.run(|connection| {
                let most = (BATCHES_FOUND_AT_ONCE * BATCH) as i64;
                Ok(query(connection, &find, with(most), |row| row.get(0))?)
            })?;
            if found.is_empty() {
                let has_triggers = self.database.run(|connection| Ok(has_triggers(connection)?))?;
                if deleted > 0 && has_triggers && self.count_in(table, selection)? > 0 {
                    return Err(self.undone());
                }
                return Ok(deleted);
            }
            // A trigger keeps rows that are still there after their deletion, so that this loop would never end.
            if found == tried {
                return Err(self.undone());
            }
            for rowids in found.chunks(BATCH) {
                if deleted > 0 {
                    std::thread::sleep(PAUSE);
                }
                deleted += self.write(|transaction| {
                    let counts = rowids.iter().map(|rowid| {
                        if is_copied {
                            verified::delete_records(transaction, &condition, with(*rowid))
                        } else {
                            transaction.prepare_cached(&delete)?.execute(with(*rowid))
                        }
                    });
                    Ok(counts.sum::<rusqlite::Result<usize>>()? as u64)
                })?;
            }
            tried = found;
        }
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
    pub(super) fn empty_log(&self) -> Result<()> {
        self.database.run(|connection| {
            // A checkpoint that waits for readers keeps writers away meanwhile, so this one doesn't wait, but is tried again.
            connection.busy_timeout(Duration::ZERO)?;
            let mut tries_left = BUSY_TIMEOUT.as_millis() / LOG_PAUSE.as_millis();
            let is_in_use = |row: &Row<'_>| row.get(0);
            while connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], is_in_use)? {
                if tries_left == 0 {
                    let seconds = BUSY_TIMEOUT.as_secs();
                    let problem = format!(
                        "other processes have used its log for {seconds} seconds, so the log still contains what was deleted"
                    );
                    return Err(StoreError::new(problem, "run it again once they have ended").into());
                }
                tries_left -= 1;
                std::thread::sleep(LOG_PAUSE);
            }
            Ok(connection.busy_timeout(BUSY_TIMEOUT)?)
        })
    }
}
