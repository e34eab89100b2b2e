//! The operations of a store, on SQLite.

use std::path::Path;
use std::time::Duration;

use rusqlite::types::Value;
use rusqlite::{Connection, MAIN_DB, Row, TransactionBehavior, params, params_from_iter};

use super::database::{Database, query};
use super::error::{Failure, MIGRATE_HINT, expect_one};
use super::migrate::{create_if_missing, create_ledger_if_missing};
use super::rows::{read_listed_record, read_record, with_damaged_time};
use super::selection::{IS_TIME, Position, Selection};
use super::tables::{LEDGER, Layout, RECORDS, Table};
use super::{ledger, sends};
use crate::model::timestamp::to_stored;
use crate::model::{Delivery, PhoneNumber, SmsVerification};
use crate::store::error::{DamagedRow, StoreError};
use crate::store::interface::{
    Attempt, DeliveryFilter, Judge, Page, RecordFilter, Session, Store, Visit,
};
use crate::store::sends::{Admission, SendReply, SendStep};
use crate::system::clock::Clock;

/// The most records that are read at once.
const PAGE: u64 = 1000;

/// The most rows that one transaction deletes.
const BATCH: usize = 500;
/// How many batches of rows to delete are looked up at once.
const BATCHES_FOUND_AT_ONCE: usize = 20;
/// The pause between two of those transactions, in which other writers get their turn.
const PAUSE: Duration = Duration::from_millis(10);

/// The memory for pages while sending, in KiB.
const CACHE_KIB: i64 = 10 * 1024;
/// How many pages the write-ahead log takes before they are copied into the database while sending: 16 MiB.
const CHECKPOINT_PAGES: i64 = 4096;

/// The column behind those of a listed record: the state of its newest delivery.
const NEWEST_DELIVERY: &str = ", (SELECT state FROM sms_delivery \
    WHERE sms_delivery.phone_number = sms_verification.phone_number \
      AND sms_delivery.verification_id = sms_verification.id \
    ORDER BY sms_delivery.created_at DESC, sms_delivery.id DESC LIMIT 1)";
/// The same if there is no ledger.
const NO_DELIVERY: &str = ", NULL";

/// A store in a database file.
pub(in crate::store) struct Sqlite {
    database: Database,
    clock: Clock,
    ledger: Layout,
}

impl Sqlite {
    /// Opens the database at `path`.
    ///
    /// # Errors
    /// Returns an error if it is missing, can't be opened, or doesn't hold the current table.
    pub(in crate::store) fn open(path: &Path, clock: &Clock) -> Result<Self, StoreError> {
        let database = Database::open(path)?;
        let ledger = database.run(|connection| match RECORDS.layout(connection)? {
            Layout::Current { .. } => Ok(LEDGER.layout(connection)?),
            Layout::Foreign(error) => Err(error.into()),
            layout => Err(StoreError::new(layout.problem(RECORDS.name), MIGRATE_HINT).into()),
        })?;
        Ok(Self { database, clock: clock.clone(), ledger })
    }

    /// Opens the database at `path` for many sends: creates it if there is none, and the ledger if that is missing, and lets
    /// the pages that random ids and codes touch stay in memory instead of going to and fro.
    ///
    /// # Errors
    /// Returns those of [`Sqlite::open`], and an error if it can't be written, or if a table of another program has the
    /// ledger's name.
    pub(in crate::store) fn open_to_send(path: &Path, clock: &Clock) -> Result<Self, StoreError> {
        create_if_missing(path)?;
        let mut sqlite = Self::open(path, clock)?;
        sqlite.database.run(|connection| {
            // Otherwise each number of a long file would fail by itself.
            if connection.is_readonly(MAIN_DB)? {
                return Err(Failure::from_code(rusqlite::ffi::SQLITE_READONLY));
            }
            connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
            Ok(connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?)
        })?;
        if !sqlite.has_ledger() {
            sqlite.write(create_ledger_if_missing)?;
            sqlite.ledger = Layout::Current { added: Vec::new() };
        }
        Ok(sqlite)
    }

    fn has_ledger(&self) -> bool {
        matches!(self.ledger, Layout::Current { .. })
    }

    /// Runs `work` in a transaction that no other writer can enter.
    fn write<T>(
        &mut self,
        work: impl FnOnce(&Connection) -> Result<T, Failure>,
    ) -> Result<T, StoreError> {
        let result = self.database.write(TransactionBehavior::Immediate, work);
        result.map_err(|failure| failure.at(self.database.path()))
    }

    /// Returns up to `size` records from `start` on, and where the next page starts, if there is one.
    fn page(
        &self,
        filter: &RecordFilter,
        start: Option<Position>,
        size: u64,
    ) -> Result<(Page, Option<Position>), StoreError> {
        let mut selection = Selection::from_filter(filter);
        if let Some(position) = start {
            selection.behind(position);
        }
        selection.parameters.push(i64::try_from(size).unwrap_or(i64::MAX).into());
        let select = RECORDS.select(if self.has_ledger() { NEWEST_DELIVERY } else { NO_DELIVERY });
        let order = " ORDER BY created_at DESC, rowid DESC LIMIT ?";
        let sql = [&select, " WHERE ", &selection.condition, order].concat();
        self.database.run(|connection| {
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = statement.query(params_from_iter(selection.parameters))?;
            let mut page = Page::new();
            while let Some(row) = rows.next()? {
                page.push(read_listed_record(row));
                if page.len() as u64 == size {
                    return Ok((page, Some(Position::from_row(row)?)));
                }
            }
            Ok((page, None))
        })
    }

    /// Deletes the rows of `table` that `filter` selects.
    fn delete_from(&mut self, table: &Table, filter: &RecordFilter) -> Result<u64, StoreError> {
        // Found without a lock on writers, as without an index each search reads the whole table; judged again when deleted.
        let Selection { condition, parameters } = Selection::without_damage(filter);
        let find = ["SELECT rowid FROM ", table.name, " WHERE ", &condition, " LIMIT ?"].concat();
        let delete = ["DELETE FROM ", table.name, " WHERE ", &condition, " AND rowid = ?"].concat();
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
                return Ok(deleted);
            }
            // What is still there after it was deleted is kept by a trigger, and would be found for ever.
            if found == tried {
                let kept = rusqlite::Error::StatementChangedRows(0);
                return Err(Failure::from(kept).at(self.database.path()));
            }
            for rowids in found.chunks(BATCH) {
                if deleted > 0 {
                    std::thread::sleep(PAUSE);
                }
                deleted += self.write(|transaction| {
                    let mut statement = transaction.prepare_cached(&delete)?;
                    let counts = rowids.iter().map(|rowid| statement.execute(with(*rowid)));
                    Ok(counts.sum::<rusqlite::Result<usize>>()? as u64)
                })?;
            }
            tried = found;
        }
    }
}

impl Store for Sqlite {
    fn verify(
        &mut self,
        phone_number: &PhoneNumber,
        session: &Session,
        judge: &Judge<'_>,
    ) -> Result<Attempt, StoreError> {
        let clock = self.clock.clone();
        self.write(|transaction| {
            let found = find(transaction, phone_number, session)?;
            let now = clock.now();
            let decision = judge(found.as_ref().map(|(_, record)| record), now);
            if let (Some((rowid, record)), Some(change)) = (&found, decision.change) {
                let (is_verified, failed_attempts) = change.apply(record);
                let sql = "UPDATE sms_verification
                     SET is_verified = ?2, failed_attempts = ?3, modified_at = ?4 WHERE rowid = ?1";
                let values = params![rowid, is_verified, failed_attempts, to_stored(now)];
                // An answer has to be counted before it is given.
                expect_one(transaction.prepare_cached(sql)?.execute(values)?)?;
            }
            let record = found.map(|(_, record)| record);
            Ok(Attempt { decision, record, judged_at: now })
        })
    }

    fn take_send_steps(
        &mut self,
        steps: &[SendStep],
        admission: &Admission,
    ) -> Vec<Result<SendReply, StoreError>> {
        let clock = &self.clock;
        let replies = self.database.write(TransactionBehavior::Immediate, |transaction| {
            sends::take_send_steps(transaction, clock, steps, admission)
        });
        match replies {
            Ok(replies) => replies.into_iter().map(Ok).collect(),
            // Each of the steps would wait for the lock as long again.
            Err(failure) if steps.len() == 1 || failure.is_lock() => {
                vec![Err(failure.at(self.database.path())); steps.len()]
            }
            // In smaller groups, the step that fails undoes no other.
            Err(_) => {
                let (first, last) = steps.split_at(steps.len() / 2);
                let mut replies = self.take_send_steps(first, admission);
                replies.extend(self.take_send_steps(last, admission));
                replies
            }
        }
    }

    fn list(
        &mut self,
        filter: &RecordFilter,
        limit: u64,
        visit: &mut Visit<'_>,
    ) -> Result<(), StoreError> {
        let mut left = limit;
        let mut start = None;
        loop {
            let (page, next) = self.page(filter, start, left.min(PAGE))?;
            left -= page.iter().filter(|record| record.is_ok()).count() as u64;
            if !visit(page) || left == 0 || next.is_none() {
                return Ok(());
            }
            start = next;
        }
    }

    fn count(&mut self, filter: &RecordFilter) -> Result<u64, StoreError> {
        let Selection { condition, parameters } = Selection::without_damage(filter);
        let sql = ["SELECT count(*) FROM sms_verification WHERE ", &condition].concat();
        self.database.run(|connection| {
            let count = |row: &Row<'_>| row.get::<_, i64>(0);
            Ok(connection.query_row(&sql, params_from_iter(parameters), count)? as u64)
        })
    }

    fn delete(&mut self, filter: &RecordFilter) -> Result<u64, StoreError> {
        self.delete_from(&RECORDS, filter)
    }

    fn damaged_times(&mut self) -> Result<Vec<DamagedRow>, StoreError> {
        let sql = ["SELECT rowid, id FROM sms_verification WHERE NOT (", IS_TIME, ")"].concat();
        let read = |row: &Row<'_>| Ok(with_damaged_time(row));
        self.database.run(|connection| Ok(query(connection, &sql, [], read)?))
    }

    fn ledger_problem(&self) -> Option<&str> {
        match &self.ledger {
            Layout::Foreign(error) => Some(error.problem()),
            _ => None,
        }
    }

    fn deliveries(
        &mut self,
        phone_number: &PhoneNumber,
        limit: usize,
    ) -> Result<Vec<Result<Delivery, DamagedRow>>, StoreError> {
        if !self.has_ledger() {
            return Ok(Vec::new());
        }
        self.database.run(|connection| Ok(ledger::newest(connection, phone_number, limit)?))
    }

    fn delete_deliveries(&mut self, filter: &DeliveryFilter) -> Result<u64, StoreError> {
        if !self.has_ledger() {
            return Ok(0);
        }
        let DeliveryFilter { phone_number, created_before } = filter.clone();
        let filter = RecordFilter { phone_number, created_before, ..RecordFilter::default() };
        self.delete_from(&LEDGER, &filter)
    }
}

/// Returns the record that a code is verified against, and its rowid: its id may have a form that no statement of ours writes.
fn find(
    connection: &Connection,
    phone_number: &PhoneNumber,
    session: &Session,
) -> Result<Option<(i64, SmsVerification)>, Failure> {
    let (condition, token) = match session {
        Session::Token(token) => ("session_token = ?2", Some(token.as_str())),
        Session::Newest => ("?2 IS NULL", None),
    };
    let select = RECORDS.select("");
    let sql = [
        &select,
        " WHERE phone_number = ?1 AND ",
        condition,
        " ORDER BY created_at DESC, rowid DESC LIMIT 1",
    ];
    let mut statement = connection.prepare_cached(&sql.concat())?;
    let mut rows = statement.query(params![phone_number.as_str(), token])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    Ok(Some((row.get(0)?, read_record(row)?)))
}
