//! The store on SQLite: the statements on the records here, those on the ledger in their own file.

mod database;
mod error;
mod examine;
mod file;
mod indexes;
mod layout;
mod ledger;
mod rows;
mod schema;
mod selection;
mod sends;

use std::path::Path;

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params};
use uuid::Uuid;

use self::database::{Database, Failure};
use self::error::store_error;
use self::layout::{LEDGER, Layout, RECORDS};
use self::rows::{Columns, NO_TIME, read_listed_record, read_record};
use self::selection::{IS_TIME, Position, Selection};
use super::{
    Admit, Checked, Cursor, DamagedRow, Decide, DeliveryFilter, Flaw, RecordChange, RecordFilter,
    SendReply, SendStep, Session, Store, StoreError, Visit,
};
use crate::model::{Delivery, DeliveryOutcome, PhoneNumber, SmsVerification, timestamp};
use crate::system::clock::Clock;

pub(super) use examine::examine;
pub(super) use schema::migrate;

/// The columns of a record, in the order in which [`read_record`] takes them.
const SELECT: &str = "SELECT rowid, id, phone_number, security_code, session_token, is_verified, \
    failed_attempts, created_at, modified_at";
const FROM: &str = " FROM sms_verification";

/// The column that [`read_listed_record`] takes besides: the state of the newest delivery.
const NEWEST_DELIVERY: &str = ", (SELECT state FROM sms_delivery \
    WHERE sms_delivery.phone_number = sms_verification.phone_number \
      AND sms_delivery.verification_id = sms_verification.id \
    ORDER BY sms_delivery.created_at DESC, sms_delivery.id DESC LIMIT 1)";
/// The same where there is no ledger.
const NO_DELIVERY: &str = ", NULL";

/// The memory for pages while sending, in KiB.
const CACHE_KIB: i64 = 10 * 1024;
/// How many pages the write-ahead log takes before they are copied into the database while sending: 16 MiB.
const CHECKPOINT_PAGES: i64 = 4096;

/// How many batches of rows to delete are looked up at once.
const BATCHES_FOUND_AT_ONCE: usize = 20;

/// Returns the engine's name and version, such as `SQLite 3.50.4`.
pub(super) fn engine() -> String {
    format!("SQLite {}", rusqlite::version())
}

/// A database file.
pub(super) struct Sqlite {
    database: Database,
    clock: Clock,
    ledger: Layout,
}

impl Sqlite {
    /// Opens the database at `path`.
    ///
    /// # Errors
    /// It is missing, can't be opened, or does not hold the current table.
    pub(super) fn open(path: &Path, clock: &Clock) -> Result<Self, StoreError> {
        let connection = schema::open(path)?;
        let ledger =
            layout::layout(&connection, LEDGER).map_err(|error| store_error(path, &error))?;
        Ok(Self { database: Database::new(connection, path), clock: clock.clone(), ledger })
    }

    /// Opens the database at `path` for many sends: creates it where there is none, and the ledger where that is missing, and
    /// lets the pages that random ids and codes touch stay in memory instead of going to and fro.
    ///
    /// # Errors
    /// Those of [`Sqlite::open`], it can't be written, or a table of another program has the ledger's name.
    pub(super) fn open_to_send(path: &Path, clock: &Clock) -> Result<Self, StoreError> {
        schema::create_if_missing(path)?;
        let mut sqlite = Self::open(path, clock)?;
        sqlite.database.run(|connection| {
            // Else each number of a long file would fail for itself.
            if connection.is_readonly(rusqlite::MAIN_DB)? {
                let error = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_READONLY);
                return Err(rusqlite::Error::SqliteFailure(error, None));
            }
            connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
            connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)
        })?;
        if sqlite.ledger != Layout::Current {
            sqlite
                .database
                .write(|transaction| schema::create_ledger_if_missing(transaction, path))?;
            sqlite.ledger = Layout::Current;
        }
        Ok(sqlite)
    }

    /// Deletes the rows of `table` that `filter` selects, `batch` at a time; `between` runs between two transactions.
    fn delete_from(
        &mut self,
        table: &'static str,
        filter: &RecordFilter,
        batch: usize,
        between: &mut dyn FnMut(),
    ) -> Result<u64, StoreError> {
        // Found without a lock on writers, as without an index each search reads the whole table; judged again when deleted.
        let Selection { condition, parameters } = Selection::of_judged(filter);
        let find = ["SELECT rowid FROM ", table, " WHERE ", &condition, " LIMIT ?"].concat();
        let delete = ["DELETE FROM ", table, " WHERE ", &condition, " AND rowid = ?"].concat();
        let with = |last: i64| {
            rusqlite::params_from_iter(parameters.clone().into_iter().chain([Value::from(last)]))
        };
        let most_found = i64::try_from(BATCHES_FOUND_AT_ONCE * batch).unwrap_or(i64::MAX);
        let mut deleted = 0;
        let mut tried = Vec::new();
        loop {
            let found: Vec<i64> = self.database.run(|connection| {
                connection
                    .prepare_cached(&find)?
                    .query_map(with(most_found), |row| row.get(0))?
                    .collect()
            })?;
            if found.is_empty() {
                return Ok(deleted);
            }
            // What is still there after it was deleted is kept by a trigger, and would be found for ever.
            if found == tried {
                let kept = rusqlite::Error::StatementChangedRows(0);
                return Err(store_error(self.database.path(), &kept));
            }
            for rowids in found.chunks(batch) {
                deleted += self.database.write(|transaction| {
                    let mut statement = transaction.prepare_cached(&delete)?;
                    let counts = rowids.iter().map(|rowid| statement.execute(with(*rowid)));
                    Ok(counts.sum::<rusqlite::Result<usize>>()? as u64)
                })?;
                between();
            }
            tried = found;
        }
    }
}

impl Store for Sqlite {
    fn check(
        &mut self,
        phone_number: &PhoneNumber,
        session: &Session,
        decide: &Decide<'_>,
    ) -> Result<Checked, StoreError> {
        self.database.write(|transaction| {
            let found = find(transaction, phone_number, session)?;
            let now = self.clock.now();
            let decision = decide(found.as_ref().map(|(_, record)| record), now);
            let Some((rowid, record)) = found else {
                return Ok(Checked {
                    status: decision.status,
                    failed_attempts: None,
                    record: None,
                    checked_at: now,
                });
            };
            let (is_verified, failed_attempts) = match decision.change {
                None => (record.is_verified, record.failed_attempts),
                Some(RecordChange::Verified) => (true, 0),
                Some(RecordChange::FailedAttempt) => {
                    (record.is_verified, record.failed_attempts.saturating_add(1))
                }
            };
            if decision.change.is_some() {
                // An answer that is told has to be counted: a trigger may keep a row as it was without an error.
                let changed = transaction
                    .prepare_cached(
                        "UPDATE sms_verification
                         SET is_verified = ?2, failed_attempts = ?3, modified_at = ?4 WHERE rowid = ?1",
                    )?
                    .execute(params![
                        rowid,
                        is_verified,
                        failed_attempts,
                        timestamp::to_stored(now)
                    ])?;
                expect_one(changed)?;
            }
            Ok(Checked {
                status: decision.status,
                failed_attempts: Some(failed_attempts),
                record: Some(record),
                checked_at: now,
            })
        })
    }

    fn take_send_steps(
        &mut self,
        steps: &[SendStep],
        admit: &Admit,
    ) -> Vec<Result<SendReply, StoreError>> {
        sends::take_send_steps(&mut self.database, &self.clock, steps, admit)
    }

    fn page(
        &mut self,
        filter: &RecordFilter,
        after: Option<&Cursor>,
        limit: usize,
        visit: &mut Visit<'_>,
    ) -> Result<Option<Cursor>, StoreError> {
        let mut selection = Selection::of(filter);
        if let Some(Cursor(position)) = after {
            selection.behind(position.downcast_ref().expect("this store made the cursor"));
        }
        selection.parameters.push(i64::try_from(limit).unwrap_or(i64::MAX).into());
        let order = " ORDER BY created_at DESC, rowid DESC LIMIT ?";
        let has_ledger = self.ledger == Layout::Current;
        let delivery = if has_ledger { NEWEST_DELIVERY } else { NO_DELIVERY };
        let sql = [SELECT, delivery, FROM, " WHERE ", &selection.condition, order].concat();
        self.database.run(|connection| {
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = statement.query(rusqlite::params_from_iter(selection.parameters))?;
            let mut shown = 0;
            while let Some(row) = rows.next()? {
                shown += 1;
                if !visit(read_listed_record(row)) {
                    return Ok(None);
                }
                if shown == limit {
                    return Ok(Some(Cursor(Box::new(Position::of(row)?))));
                }
            }
            Ok(None)
        })
    }

    fn count(&mut self, filter: &RecordFilter) -> Result<u64, StoreError> {
        let selection = Selection::of_judged(filter);
        let sql = ["SELECT count(*) FROM sms_verification WHERE ", &selection.condition].concat();
        self.database.run(|connection| {
            let parameters = rusqlite::params_from_iter(selection.parameters);
            let count: i64 = connection.query_row(&sql, parameters, |row| row.get(0))?;
            Ok(u64::try_from(count).unwrap_or(0))
        })
    }

    fn delete(
        &mut self,
        filter: &RecordFilter,
        batch: usize,
        between: &mut dyn FnMut(),
    ) -> Result<u64, StoreError> {
        self.delete_from(RECORDS, filter, batch, between)
    }

    fn damaged_times(&mut self) -> Result<Vec<DamagedRow>, StoreError> {
        let sql = ["SELECT rowid, id FROM sms_verification WHERE NOT (", IS_TIME, ")"].concat();
        self.database.run(|connection| {
            let mut statement = connection.prepare(&sql)?;
            let rows = statement.query_map([], |row| {
                Ok(Columns { table: RECORDS, row }.damaged("created_at", NO_TIME))
            })?;
            rows.collect()
        })
    }

    fn ledger_flaw(&self) -> Option<Flaw> {
        match &self.ledger {
            Layout::Foreign(flaw) => Some(flaw.clone()),
            _ => None,
        }
    }

    fn deliveries(
        &mut self,
        phone_number: &PhoneNumber,
        limit: usize,
    ) -> Result<Vec<Result<Delivery, DamagedRow>>, StoreError> {
        if self.ledger != Layout::Current {
            return Ok(Vec::new());
        }
        self.database.run(|connection| ledger::of_number(connection, phone_number, limit))
    }

    fn update_delivery(&mut self, id: i64, outcome: &DeliveryOutcome) -> Result<(), StoreError> {
        self.database
            .write(|transaction| Ok(ledger::update(transaction, id, outcome, self.clock.now())?))
    }

    fn delete_deliveries(
        &mut self,
        filter: &DeliveryFilter,
        batch: usize,
        between: &mut dyn FnMut(),
    ) -> Result<u64, StoreError> {
        if self.ledger != Layout::Current {
            return Ok(0);
        }
        let DeliveryFilter { phone_number, created_before } = filter.clone();
        let filter = RecordFilter { phone_number, created_before, ..RecordFilter::default() };
        self.delete_from(LEDGER, &filter, batch, between)
    }
}

/// Returns the record that a code is checked against, and its rowid: its id may have a form that no statement of ours writes.
fn find(
    connection: &Connection,
    phone_number: &PhoneNumber,
    session: &Session,
) -> Result<Option<(i64, SmsVerification)>, Failure> {
    const NEWEST: &str = " ORDER BY created_at DESC, rowid DESC LIMIT 1";
    let (condition, token) = match session {
        Session::Token(token) => {
            (" WHERE phone_number = ?1 AND session_token = ?2", Some(token.as_str()))
        }
        Session::Newest => (" WHERE phone_number = ?1 AND ?2 IS NULL", None),
    };
    connection
        .prepare_cached(&[SELECT, FROM, condition, NEWEST].concat())?
        .query_row(params![phone_number.as_str(), token], |row| {
            let rowid = row.get(0)?;
            Ok(read_record(row).map(|record| (rowid, record)))
        })
        .optional()?
        .transpose()
        .map_err(Failure::Damaged)
}

/// Returns an id as Django's `UUIDField` stores it: 32 lower-case hex digits.
fn stored_id(id: Uuid) -> String {
    id.simple().to_string()
}

/// Turns a statement that did not change exactly one row into an error.
fn expect_one(changed: usize) -> rusqlite::Result<()> {
    if changed == 1 { Ok(()) } else { Err(rusqlite::Error::StatementChangedRows(changed)) }
}
