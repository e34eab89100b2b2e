//! What a store can do, in whole operations, so that each engine can use its own locking.

mod error;
mod examination;
mod group_commit;
mod migration;
mod sqlite;

use std::any::Any;
use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::model::{
    Delivery, DeliveryOutcome, DeliveryState, ListedRecord, PhoneNumber, SecurityCode,
    SessionToken, SmsVerification, VerificationStatus,
};
use crate::system::clock::Clock;

pub use error::{DamagedRow, StoreError};
pub use examination::{Examination, Finding, Flaw, Found, RowsState, TableState};
pub use group_commit::GroupCommit;
pub use migration::{Migration, TableChange};

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
    /// The record as it was before the check; None where there is none.
    pub record: Option<SmsVerification>,
    /// When the code was checked.
    pub checked_at: DateTime<Utc>,
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
pub type Visit<'a> = dyn FnMut(Result<ListedRecord, DamagedRow>) -> bool + 'a;

/// The place between two pages of a list. What it holds is known to the store alone that made it.
#[derive(Debug)]
pub struct Cursor(Box<dyn Any>);

/// One step of a send.
#[derive(Debug, Clone)]
pub enum SendStep {
    /// Store a new record and its delivery, before the SMS leaves.
    Start(NewSend),
    /// The backend did not take the SMS, and another one will be called for the same record.
    HandOver {
        /// The send.
        send: StartedSend,
        /// What the first backend said.
        outcome: AttemptOutcome,
        /// The canonical name of the other backend.
        backend: &'static str,
    },
    /// The send is over. Accepted: the number's older records go. Not accepted: the new record goes. Unknown: both stay.
    Settle {
        /// The send.
        send: StartedSend,
        /// What the backend said.
        outcome: AttemptOutcome,
    },
    /// The provider told later what became of a delivery. Its message id stays.
    Learn {
        /// The delivery's number in the ledger.
        delivery_id: i64,
        /// What the provider told.
        outcome: DeliveryOutcome,
    },
}

/// A send that is to be stored.
#[derive(Debug, Clone)]
pub struct NewSend {
    /// The record's UUID, version 4.
    pub verification_id: Uuid,
    /// Where the code goes.
    pub phone_number: PhoneNumber,
    /// The code.
    pub security_code: SecurityCode,
    /// The token of the device that asked for it.
    pub session_token: SessionToken,
    /// The canonical name of the backend that is going to be called.
    pub backend: &'static str,
    /// The segments of the message.
    pub segments: u32,
}

/// A send that is stored, so that its SMS may leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartedSend {
    /// The record's UUID.
    pub verification_id: Uuid,
    /// Where its code goes.
    pub phone_number: PhoneNumber,
    /// The segments of the message.
    pub segments: u32,
    /// When the record was stored.
    pub created_at: DateTime<Utc>,
    /// The delivery's number in the ledger.
    pub delivery_id: i64,
}

/// What one backend said to a send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptOutcome {
    /// What it said in the end.
    pub outcome: DeliveryOutcome,
    /// How often it was called.
    pub tries: u32,
}

/// Why a send may not start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// An unexpired code was accepted for this number already.
    AlreadySent,
    /// An unexpired code may or may not have been accepted for this number.
    UnknownOutcome,
    /// A limit forbids it.
    Limited {
        /// Which limit, in words.
        reason: String,
        /// When it may be sent; None where waiting does not help.
        retry_at: Option<DateTime<Utc>>,
    },
}

/// What a step of a send came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SendReply {
    /// It is stored: the backend may be called.
    Started(StartedSend),
    /// It may not start; nothing was written.
    NotAdmitted(Refusal),
    /// It is done.
    Done,
}

/// What was sent before, seen from inside the transaction that is about to store a send.
pub trait DeliveryHistory {
    /// Returns when the `n`th newest delivery since `since` began, of one number or of all. Deliveries that were certainly not
    /// accepted don't count.
    ///
    /// # Errors
    /// The database can't be read, or the row is damaged.
    fn nth_newest(
        &self,
        phone_number: Option<&PhoneNumber>,
        n: u32,
        since: DateTime<Utc>,
    ) -> Result<Option<DateTime<Utc>>, StoreError>;

    /// Returns the states of the deliveries to `phone_number` since `since`.
    ///
    /// # Errors
    /// The database can't be read, or a row is damaged.
    fn states(
        &self,
        phone_number: &PhoneNumber,
        since: DateTime<Utc>,
    ) -> Result<Vec<DeliveryState>, StoreError>;
}

/// Returns why a send to a number may not start at a moment; None where it may.
pub type Admit = dyn Fn(&PhoneNumber, &dyn DeliveryHistory, DateTime<Utc>) -> Result<Option<Refusal>, StoreError>
    + Send
    + Sync;

/// Which deliveries of the ledger are wanted; every condition that is set must hold.
#[derive(Debug, Clone, Default)]
pub struct DeliveryFilter {
    /// To this number.
    pub phone_number: Option<PhoneNumber>,
    /// Begun before this moment.
    pub created_before: Option<DateTime<Utc>>,
}

/// The records in `sms_verification` and the ledger `sms_delivery`.
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

    /// Takes steps of sends, in their order, and returns what each came to, which is durable then; `admit` decides which sends
    /// may start. A step that can't be taken undoes no other.
    fn take_send_steps(
        &mut self,
        steps: &[SendStep],
        admit: &Admit,
    ) -> Vec<Result<SendReply, StoreError>>;

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

    /// Deletes the records that `filter` selects, in short transactions of up to `batch` records. `between` runs after each,
    /// so that other writers get their turn. Returns how many it deleted.
    ///
    /// # Errors
    /// The database can't be used; the batches before are deleted.
    fn delete(
        &mut self,
        filter: &RecordFilter,
        batch: usize,
        between: &mut dyn FnMut(),
    ) -> Result<u64, StoreError>;

    /// Returns the rows whose `created_at` is no time, which no retention rule can judge.
    ///
    /// # Errors
    /// The database can't be read.
    fn damaged_times(&mut self) -> Result<Vec<DamagedRow>, StoreError>;

    /// Returns what is wrong where a table of another program has the ledger's name, so that there is no ledger to use.
    fn ledger_flaw(&self) -> Option<Flaw>;

    /// Returns the newest `limit` deliveries to `phone_number`, newest first, damaged ones among them.
    ///
    /// # Errors
    /// The database can't be read.
    fn deliveries(
        &mut self,
        phone_number: &PhoneNumber,
        limit: usize,
    ) -> Result<Vec<Result<Delivery, DamagedRow>>, StoreError>;

    /// Stores what a provider said later about the delivery `id`. Its message id stays.
    ///
    /// # Errors
    /// The database can't be used.
    fn update_delivery(&mut self, id: i64, outcome: &DeliveryOutcome) -> Result<(), StoreError>;

    /// Deletes the deliveries that `filter` selects, as [`Store::delete`] does.
    ///
    /// # Errors
    /// The database can't be used; the batches before are deleted.
    fn delete_deliveries(
        &mut self,
        filter: &DeliveryFilter,
        batch: usize,
        between: &mut dyn FnMut(),
    ) -> Result<u64, StoreError>;
}

/// Opens the database at `path`.
///
/// # Errors
/// It does not exist, is no database, or does not hold the current table; the hint says what to do.
pub fn open(path: &Path, clock: &Clock) -> Result<Box<dyn Store>, StoreError> {
    Ok(Box::new(sqlite::Sqlite::open(path, clock)?))
}

/// Opens the database at `path` to send: creates it where there is none, and the ledger where that is missing.
///
/// # Errors
/// Those of [`open`], it can't be created, or a table of another program has the ledger's name.
pub fn open_to_send(path: &Path, clock: &Clock) -> Result<Box<dyn Store>, StoreError> {
    Ok(Box::new(sqlite::Sqlite::open_to_send(path, clock)?))
}

/// Looks at the database at `path` and changes nothing. Records that are further ahead of the clock than `tolerance` are from
/// the future.
///
/// # Errors
/// There is none, or it can't be opened.
pub fn examine(path: &Path, clock: &Clock, tolerance: TimeDelta) -> Result<Examination, Flaw> {
    sqlite::examine(path, clock, tolerance)
}

/// Brings the database at `path` up to date: creates it or its table, upgrades an older table, adds the indexes.
///
/// # Errors
/// It can't be used, or Django manages it and has not brought its table up to date.
pub fn migrate(path: &Path) -> Result<Migration, StoreError> {
    sqlite::migrate(path)
}

/// Returns the name and the version of the database engine that is built into the program.
pub fn engine() -> String {
    sqlite::engine()
}
