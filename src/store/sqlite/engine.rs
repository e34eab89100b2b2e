//! The operations of a store, on SQLite.

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use rusqlite::types::Value;
use rusqlite::{Connection, MAIN_DB, Row, TransactionBehavior, params, params_from_iter};

use super::database::{Database, query};
use super::error::{Failure, MIGRATE_HINT, OUTCOME_PATIENCE, PATIENCE, expect_one};
use super::file::directory_of;
use super::migrate::{create_if_missing, create_ledger_if_missing};
use super::rows::{TIME, damaged_row, read_delivery, read_listed_record, read_record};
use super::selection::{IS_TIME, Selection, behind, from_the_future};
use super::sends::Writer;
use super::tables::{LEDGER, Layout, RECORDS, Table, WRONG_CODES};
use super::wrong_codes;
use crate::model::timestamp::to_stored;
use crate::model::{Delivery, Period, PhoneNumber, latest};
use crate::store::error::{DamagedRow, Result, StoreError};
use crate::store::interface::{
    Attempt, Evidence, Judge, Page, RecordChange, RecordFilter, RowFilter, Session, Store, Visit,
};
use crate::store::sends::{Admission, GroupHistory, SendReply, SendStep};
use crate::system::clock::Clock;

/// The most records of one page.
const PAGE: u64 = 1000;

/// The most rows that one transaction deletes.
const BATCH: usize = 500;
/// How many batches one search for rows to delete finds.
const BATCHES_FOUND_AT_ONCE: usize = 20;
/// The pause between two of those transactions, so that other writers get their turn.
const PAUSE: Duration = Duration::from_millis(10);

/// The pause between two attempts to empty the write-ahead log.
const LOG_PAUSE: Duration = Duration::from_millis(100);

/// The memory for pages while sending, in KiB.
const CACHE_KIB: i64 = 10 * 1024;
/// How many pages the write-ahead log holds while sending before SQLite copies them into the database: 16 MiB.
const CHECKPOINT_PAGES: i64 = 4096;

/// The last column of a listed record if there is no ledger: the state of its newest delivery.
const NO_DELIVERY: &str = ", NULL";

/// A store in a database file.
pub(in crate::store) struct Sqlite {
    database: Database,
    clock: Clock,
    ledger: Layout,
}

impl Sqlite {
    pub(in crate::store) fn open(path: &Path, clock: &Clock) -> Result<Self> {
        Self::new(Database::open(path)?, clock)
    }

    fn new(database: Database, clock: &Clock) -> Result<Self> {
        let ledger = database.run(|connection| match RECORDS.layout(connection)? {
            Layout::Current(_) => Ok(LEDGER.layout(connection)?),
            Layout::Foreign(error) => Err(error.into()),
            layout => Err(StoreError::new(layout.problem(RECORDS.name), MIGRATE_HINT).into()),
        })?;
        Ok(Self { database, clock: clock.clone(), ledger })
    }

    pub(in crate::store) fn open_unchanged(path: &Path, clock: &Clock) -> Result<Option<Self>> {
        if path.symlink_metadata().is_err_and(|error| error.kind() == ErrorKind::NotFound) {
            let directory = directory_of(path).map_err(|error| Failure::from(error).at(path))?;
            log::debug!("there is no database in {} yet", directory.display());
            return Ok(None);
        }
        let sqlite = Self::new(Database::open_unchanged(path)?, clock)?;
        match sqlite.ledger {
            Layout::Foreign(error) => Err(Failure::from(error).at(path)),
            _ => Ok(Some(sqlite)),
        }
    }

    pub(in crate::store) fn open_to_send(path: &Path, clock: &Clock) -> Result<Self> {
        create_if_missing(path)?;
        let mut sqlite = Self::open(path, clock)?;
        sqlite.database.run(|connection| {
            // Otherwise each number of a long file would fail separately.
            if connection.is_readonly(MAIN_DB)? {
                return Err(Failure::from_code(rusqlite::ffi::SQLITE_READONLY));
            }
            // Ids and codes are random, so that each one touches other pages.
            connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
            Ok(connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?)
        })?;
        if !sqlite.has_ledger() {
            sqlite.write(create_ledger_if_missing)?;
            sqlite.ledger = Layout::Current(Vec::new());
        }
        Ok(sqlite)
    }

    fn has_ledger(&self) -> bool {
        matches!(self.ledger, Layout::Current(_))
    }

    /// Runs `work` in a transaction that no other writer can enter.
    fn write<T>(&mut self, work: impl FnOnce(&Connection) -> Result<T, Failure>) -> Result<T> {
        let result = self.database.write(TransactionBehavior::Immediate, work);
        result.map_err(|failure| failure.at(&self.database.path))
    }

    /// Takes steps in one transaction: all of them or none.
    fn take_together(
        &mut self,
        steps: &[SendStep],
        admission: &Admission,
    ) -> Result<Vec<SendReply>, Failure> {
        let has_outcome = steps.iter().any(SendStep::is_outcome);
        self.database.be_patient(if has_outcome { OUTCOME_PATIENCE } else { PATIENCE })?;
        let clock = &self.clock;
        self.database.write(TransactionBehavior::Immediate, |transaction| {
            let writer = || Writer { transaction, now: clock.now() };
            let starts = || steps.iter().filter_map(SendStep::start);
            let count = u32::try_from(starts().count()).unwrap_or(u32::MAX);
            let mut history = GroupHistory::new(count);
            writer().look_up(&mut history, admission, starts().map(|send| &send.phone_number))?;
            let take = |step| Ok(writer().take(step, admission, &mut history)?);
            steps.iter().map(take).collect()
        })
    }

    /// Returns how many rows of `table` `filter` selects.
    fn count_in(&self, table: &Table, filter: &RecordFilter) -> Result<u64> {
        let Selection { condition, parameters } = Selection::without_damage(filter);
        let sql = format!("SELECT count(*) FROM {} WHERE {condition}", table.name);
        let count = |row: &Row<'_>| Ok(row.get::<_, i64>(0)? as u64);
        self.database.run(|connection| {
            Ok(connection.query_row(&sql, params_from_iter(parameters), count)?)
        })
    }

    /// Deletes the rows of `table` that `filter` selects.
    fn delete_from(&mut self, table: &Table, filter: &RecordFilter) -> Result<u64> {
        // Without an index, each search reads the whole table, so it takes no lock that keeps writers away. Another process may change
        // a row before it is deleted, so the deletion checks the condition again.
        let Selection { condition, parameters } = Selection::without_damage(filter);
        let find = format!("SELECT rowid FROM {} WHERE {condition} LIMIT ?", table.name);
        let delete = format!("DELETE FROM {} WHERE {condition} AND rowid = ?", table.name);
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
            // A trigger keeps rows that are still there after their deletion, so that this loop would never end.
            if found == tried {
                let kept = rusqlite::Error::StatementChangedRows(0);
                return Err(Failure::from(kept).at(&self.database.path));
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
    ) -> Result<Attempt> {
        let clock = self.clock.clone();
        self.write(|transaction| {
            let now = clock.now();
            let (condition, value) = match session {
                Session::Token(token) => {
                    ("session_token = ?2".to_owned(), token.as_str().to_owned())
                }
                Session::Newest => {
                    (format!("NOT {}", from_the_future("?2")), to_stored(latest(now)))
                }
            };
            let order = "ORDER BY created_at DESC, rowid DESC LIMIT 1";
            let clauses = format!("WHERE phone_number = ?1 AND {condition} {order}");
            let sql = RECORDS.select("", &clauses);
            // The rowid names the record, because another program may have stored its id in another form.
            let read = |row: &Row<'_>| {
                let rowid: i64 = row.get(0)?;
                Ok(read_record(row).map(|record| (rowid, record)))
            };
            let values = params![phone_number.as_str(), value];
            let found = query(transaction, &sql, values, read)?.pop().transpose()?;
            let record = found.as_ref().map(|(_, record)| record);
            let looks_back = judge.looks_back.filter(|_| record.is_some());
            let wrong_codes = looks_back.map_or(Ok(0), |length| {
                wrong_codes::count(transaction, phone_number, Period::last(length, now))
            })?;
            let decision = (judge.decide)(Evidence { record, wrong_codes }, now);
            if let (Some((rowid, record)), Some(change)) = (&found, decision.change) {
                let (is_verified, failed_attempts) = change.apply(record);
                let sql = "UPDATE sms_verification
                     SET is_verified = ?2, failed_attempts = ?3, modified_at = ?4 WHERE rowid = ?1";
                let values = params![rowid, is_verified, failed_attempts, to_stored(now)];
                // The attempt has to be counted before anyone sees the answer.
                expect_one(transaction.prepare_cached(sql)?.execute(values)?)?;
                match change {
                    RecordChange::Verified => wrong_codes::forget(transaction, phone_number)?,
                    RecordChange::WrongCode => wrong_codes::add(transaction, phone_number, now)?,
                    RecordChange::FailedAttempt => {}
                }
            }
            let record = found.map(|(_, record)| record);
            Ok(Attempt { decision, record, wrong_codes, judged_at: now })
        })
    }

    fn take_send_steps(
        &mut self,
        steps: &[SendStep],
        admission: &Admission,
    ) -> Vec<Result<SendReply>> {
        match self.take_together(steps, admission) {
            Ok(replies) => replies.into_iter().map(Ok).collect(),
            // Each step would wait for the lock again.
            Err(failure) if steps.len() == 1 || failure.is_lock() => {
                vec![Err(failure.at(&self.database.path)); steps.len()]
            }
            // Find the step that fails in smaller groups, so that it undoes no other.
            Err(_) => {
                let (first, last) = steps.split_at(steps.len() / 2);
                let mut replies = self.take_send_steps(first, admission);
                replies.extend(self.take_send_steps(last, admission));
                replies
            }
        }
    }

    fn look_up(
        &mut self,
        history: &mut GroupHistory,
        admission: &Admission,
        phone_number: &PhoneNumber,
    ) -> Result<()> {
        if !self.has_ledger() {
            return Ok(());
        }
        let now = self.clock.now();
        self.database.run(|transaction| {
            let numbers = std::iter::once(phone_number);
            Ok(Writer { transaction, now }.look_up(history, admission, numbers)?)
        })
    }

    fn list(&mut self, filter: &RecordFilter, limit: u64, visit: &mut Visit<'_>) -> Result<()> {
        let latest = to_stored(latest(self.clock.now()));
        let newest_delivery = format!(
            ", (SELECT state FROM sms_delivery
                 WHERE sms_delivery.phone_number = sms_verification.phone_number
                   AND sms_delivery.verification_id = sms_verification.id
                   AND sms_delivery.created_at <= '{latest}'
                 ORDER BY sms_delivery.created_at DESC, sms_delivery.id DESC LIMIT 1)"
        );
        let last_column = if self.has_ledger() { &newest_delivery } else { NO_DELIVERY };
        let mut left = limit;
        let mut selection = Selection::from_filter(filter);
        loop {
            let size = left.min(PAGE);
            let condition = &selection.condition;
            let order = "ORDER BY created_at DESC, rowid DESC LIMIT";
            let sql = RECORDS.select(last_column, &format!("WHERE {condition} {order} {size}"));
            let (page, next) = self.database.run(|connection| {
                let mut statement = connection.prepare_cached(&sql)?;
                let mut rows = statement.query(params_from_iter(&selection.parameters))?;
                let mut page = Page::new();
                while let Some(row) = rows.next()? {
                    page.push(read_listed_record(row));
                    if page.len() as u64 == size {
                        return Ok((page, Some(behind(row)?)));
                    }
                }
                Ok((page, None))
            })?;
            left -= page.iter().filter(|record| record.is_ok()).count() as u64;
            let goes_on = visit(page) && left > 0;
            let Some((condition, values)) = next.filter(|_| goes_on) else { return Ok(()) };
            selection = Selection::from_filter(filter).and(condition, values);
        }
    }

    fn count(&mut self, filter: &RecordFilter) -> Result<u64> {
        self.count_in(&RECORDS, filter)
    }

    fn delete(&mut self, filter: &RecordFilter) -> Result<u64> {
        self.delete_from(&RECORDS, filter)
    }

    fn damaged_times(&mut self) -> Result<Vec<DamagedRow>> {
        let sql = format!("SELECT rowid, id FROM sms_verification WHERE NOT ({IS_TIME})");
        let read = |row: &Row<'_>| Ok(damaged_row(&RECORDS, row, "created_at", TIME.0));
        self.database.run(|connection| Ok(query(connection, &sql, [], read)?))
    }

    fn ledger_problem(&self) -> Option<&str> {
        match &self.ledger {
            Layout::Foreign(error) => Some(&error.problem),
            _ => None,
        }
    }

    fn deliveries(&mut self, phone_number: &PhoneNumber, limit: usize) -> Result<Page<Delivery>> {
        if !self.has_ledger() {
            return Ok(Vec::new());
        }
        let order = format!("{}, created_at DESC, id DESC", from_the_future("?3"));
        let sql = LEDGER.select("", &format!("WHERE phone_number = ?1 ORDER BY {order} LIMIT ?2"));
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let latest = to_stored(latest(self.clock.now()));
        let parameters = params![phone_number.as_str(), limit, latest];
        let read = |row: &Row<'_>| Ok(read_delivery(row));
        self.database.run(|connection| Ok(query(connection, &sql, parameters, read)?))
    }

    fn count_deliveries(&mut self, filter: &RowFilter) -> Result<u64> {
        if self.has_ledger() { self.count_in(&LEDGER, &filter.into()) } else { Ok(0) }
    }

    fn delete_deliveries(&mut self, filter: &RowFilter) -> Result<u64> {
        if self.has_ledger() { self.delete_from(&LEDGER, &filter.into()) } else { Ok(0) }
    }

    fn wrong_codes(&mut self, phone_number: &PhoneNumber, period: Period) -> Result<u32> {
        self.database.run(|connection| wrong_codes::count(connection, phone_number, period))
    }

    fn delete_wrong_codes(&mut self, filter: &RowFilter) -> Result<u64> {
        let layout = self.database.run(|connection| Ok(WRONG_CODES.layout(connection)?))?;
        let is_there = matches!(layout, Layout::Current(_));
        if is_there { self.delete_from(&WRONG_CODES, &filter.into()) } else { Ok(0) }
    }

    fn remove_traces(&mut self) -> Result<()> {
        self.database.run(|connection| {
            // A checkpoint that waits for readers keeps writers away meanwhile, so this one doesn't wait, but is tried again.
            connection.busy_timeout(Duration::ZERO)?;
            let mut tries_left = PATIENCE.as_millis() / LOG_PAUSE.as_millis();
            let is_in_use = |row: &Row<'_>| row.get(0);
            // In any other mode than WAL, this does nothing: the journal is deleted at the end of each transaction.
            while connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], is_in_use)? {
                if tries_left == 0 {
                    let seconds = PATIENCE.as_secs();
                    let problem = format!("other processes have used its log for {seconds} seconds, so the log still contains what was deleted");
                    return Err(StoreError::new(problem, "run it again once they have ended").into());
                }
                tries_left -= 1;
                std::thread::sleep(LOG_PAUSE);
            }
            Ok(connection.busy_timeout(PATIENCE)?)
        })
    }
}

impl From<&RowFilter> for RecordFilter {
    fn from(filter: &RowFilter) -> Self {
        let RowFilter { phone_number, created_outside } = filter.clone();
        Self { phone_number, created_outside, ..Self::default() }
    }
}
