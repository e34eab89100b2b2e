//! What a store can do, in whole operations, so that each engine can use its own locking.

mod error;
mod group_commit;
mod schema;
mod sqlite;

use std::path::Path;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::clock::Clock;
use crate::model::{PhoneNumber, SecurityCode, SessionToken, SmsVerification, VerificationStatus};

pub use error::{DamagedRow, StoreError};
pub use group_commit::GroupCommit;
pub use schema::{Migration, TableChange};

/// Which record a security code is checked against.
#[derive(Debug, Clone)]
pub enum Session {
    /// The one with this session token.
    Token(SessionToken),
    /// The newest of the number.
    Newest,
}

/// What a check answers, and how it changes the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// The answer.
    pub status: VerificationStatus,
    /// The change, if there is one.
    pub change: Option<RecordChange>,
}

/// How a check changes a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordChange {
    /// It becomes verified, and its failed attempts go to 0.
    Verified,
    /// It has one failed attempt more.
    FailedAttempt,
}

/// Decides on a record, or on there being none, at a moment.
pub type Decide<'a> = dyn Fn(Option<&SmsVerification>, DateTime<Utc>) -> Decision + 'a;

/// The answer of a check.
#[derive(Debug, Clone)]
pub struct Checked {
    /// The answer.
    pub status: VerificationStatus,
    /// The record's failed attempts after the check; None where there is no record.
    pub failed_attempts: Option<u32>,
}

/// Which records are wanted; every condition that is set must hold.
#[derive(Debug, Clone, Default)]
pub struct RecordFilter {
    /// Of this number.
    pub phone_number: Option<PhoneNumber>,
    /// Verified, or not.
    pub is_verified: Option<bool>,
    /// With at least so many failed attempts.
    pub min_failed_attempts: Option<u32>,
    /// Created at this moment or later.
    pub created_from: Option<DateTime<Utc>>,
    /// Created before this moment.
    pub created_before: Option<DateTime<Utc>>,
}

/// Takes a record, or the news that one is damaged. False ends the page.
pub type Visit<'a> = dyn FnMut(Result<SmsVerification, DamagedRow>) -> bool + 'a;

/// The place between two pages of a list. It says nothing outside the store that made it.
#[derive(Debug, Clone)]
pub struct Cursor {
    created_at: rusqlite::types::Value,
    rowid: i64,
}

/// One step of a send.
#[derive(Debug, Clone)]
pub enum SendStep {
    /// Store a new record, before its SMS leaves.
    Record(NewRecord),
    /// The SMS was accepted: delete the number's older records.
    Accepted(StoredRecord),
    /// The SMS was certainly not accepted: delete the new record.
    NotAccepted(StoredRecord),
}

/// A record to store.
#[derive(Debug, Clone)]
pub struct NewRecord {
    /// Its UUID, version 4.
    pub id: Uuid,
    /// Where the code goes.
    pub phone_number: PhoneNumber,
    /// The code.
    pub security_code: SecurityCode,
    /// The token of the device that asked for it.
    pub session_token: SessionToken,
}

/// A record that is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRecord {
    /// Its UUID.
    pub id: Uuid,
    /// Where its code goes.
    pub phone_number: PhoneNumber,
    /// When it was stored.
    pub created_at: DateTime<Utc>,
}

/// The table `sms_verification`.
pub trait Store: Send {
    /// Checks a code: finds the record of `phone_number` and `session`, lets `decide` judge it and changes it, all in one
    /// transaction that no other writer can enter.
    ///
    /// # Errors
    /// The database can't be used, or the record is damaged.
    fn check(
        &mut self,
        phone_number: &PhoneNumber,
        session: &Session,
        decide: &Decide<'_>,
    ) -> Result<Checked, StoreError>;

    /// Takes steps of sends, in their order, in one durable transaction. Returns the record that each step was about.
    ///
    /// # Errors
    /// The database can't be used; then none of the steps was taken.
    fn take_send_steps(&mut self, steps: &[SendStep]) -> Result<Vec<StoredRecord>, StoreError>;

    /// Shows up to `limit` records to `visit`, newest first, beginning behind `after`. Returns where the next page begins,
    /// or None where there is none. No lock is held between pages.
    ///
    /// # Errors
    /// The database can't be read. A damaged row is no error: `visit` is told.
    fn page(
        &mut self,
        filter: &RecordFilter,
        after: Option<&Cursor>,
        limit: usize,
        visit: &mut Visit<'_>,
    ) -> Result<Option<Cursor>, StoreError>;

    /// Returns how many records `filter` selects. A record whose time is damaged is older than nothing.
    ///
    /// # Errors
    /// The database can't be read.
    fn count(&mut self, filter: &RecordFilter) -> Result<u64, StoreError>;

    /// Deletes up to `limit` of the records that `filter` selects, in one short transaction. Returns how many it deleted.
    ///
    /// # Errors
    /// The database can't be used.
    fn delete_some(&mut self, filter: &RecordFilter, limit: usize) -> Result<u64, StoreError>;

    /// Returns the rows whose `created_at` is no time, which no retention rule can judge.
    ///
    /// # Errors
    /// The database can't be read.
    fn damaged_times(&mut self) -> Result<Vec<DamagedRow>, StoreError>;
}

/// Opens the database at `path`.
///
/// # Errors
/// It does not exist, is no database, or does not hold the current table; the hint says what to do.
pub fn open(path: &Path, clock: &Clock) -> Result<Box<dyn Store>, StoreError> {
    Ok(Box::new(sqlite::Sqlite::open(path, clock)?))
}

/// Opens the database at `path`, and creates it where there is none.
///
/// # Errors
/// Those of [`open`], or it can't be created.
pub fn open_or_create(path: &Path, clock: &Clock) -> Result<Box<dyn Store>, StoreError> {
    schema::create_if_missing(path)?;
    open(path, clock)
}

/// Brings the database at `path` up to date: creates it or its table, upgrades an older table, adds the indexes.
///
/// # Errors
/// It can't be used, or Django manages it and has not brought its table up to date.
pub fn migrate(path: &Path) -> Result<Migration, StoreError> {
    schema::migrate(path)
}
