//! What a store can do, in whole operations, so that each engine can use its own locking.

use chrono::{DateTime, Utc};

use super::error::{DamagedRow, StoreError};
use super::sends::{Admission, SendReply, SendStep};
use crate::model::{
    Delivery, DeliveryOutcome, ListedRecord, PhoneNumber, SessionToken, SmsVerification,
    VerificationStatus,
};

/// Which record a security code is verified against.
#[derive(Debug, Clone)]
pub enum Session {
    /// The one with this session token.
    Token(SessionToken),
    /// The newest one of the number.
    Newest,
}

/// The answer to a code, and how it changes the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// The answer.
    pub status: VerificationStatus,
    /// The change, if there is one.
    pub change: Option<RecordChange>,
}

/// How a decision changes a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordChange {
    /// It becomes verified, and its failed attempts go to 0.
    Verified,
    /// It has one failed attempt more.
    FailedAttempt,
}

impl RecordChange {
    /// Returns whether the changed record is verified, and its failed attempts.
    pub(super) fn apply(self, record: &SmsVerification) -> (bool, u32) {
        match self {
            Self::Verified => (true, 0),
            Self::FailedAttempt => (record.is_verified, record.failed_attempts.saturating_add(1)),
        }
    }
}

/// Judges a record at a moment; there may be none. It has to be pure: an engine calls it again if another writer changed the
/// record in the meantime.
pub type Judge<'a> = dyn Fn(Option<&SmsVerification>, DateTime<Utc>) -> Decision + 'a;

/// An attempt to verify a code.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// What the judge decided.
    pub decision: Decision,
    /// The record as it was before; None if there is none.
    pub record: Option<SmsVerification>,
    /// When the code was judged.
    pub judged_at: DateTime<Utc>,
}

impl Attempt {
    /// Returns the record's failed attempts after this one; None if there is no record.
    pub fn failed_attempts(&self) -> Option<u32> {
        let record = self.record.as_ref()?;
        Some(self.decision.change.map_or(record.failed_attempts, |change| change.apply(record).1))
    }
}

/// Selects records; every condition that is set must hold.
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

/// Selects deliveries of the ledger; every condition that is set must hold.
#[derive(Debug, Clone, Default)]
pub struct DeliveryFilter {
    /// To this number.
    pub phone_number: Option<PhoneNumber>,
    /// Created before this moment.
    pub created_before: Option<DateTime<Utc>>,
}

/// Records of a list, including damaged ones.
pub type Page = Vec<Result<ListedRecord, DamagedRow>>;

/// Takes a page of a list. Returns false to end the list.
pub type Visit<'a> = dyn FnMut(Page) -> bool + 'a;

/// The records in `sms_verification` and the ledger `sms_delivery`.
pub trait Store: Send {
    /// Finds the record of `phone_number` and `session`, has it judged and changes it. Of several attempts at the same time,
    /// each one sees what the ones before it changed.
    ///
    /// # Errors
    /// Returns an error if the database can't be used or the record is damaged.
    fn verify(
        &mut self,
        phone_number: &PhoneNumber,
        session: &Session,
        judge: &Judge<'_>,
    ) -> Result<Attempt, StoreError>;

    /// Takes a group of steps in their order, and returns the reply to each one once all of it is durable. `admission` judges
    /// the starts by the ledger as it was before the group and by the starts before them. A step that fails undoes no other.
    fn take_send_steps(
        &mut self,
        steps: &[SendStep],
        admission: &Admission,
    ) -> Vec<Result<SendReply, StoreError>>;

    /// Hands the records that `filter` selects to `visit`, newest first and page by page, until `limit` of them could be read.
    /// No lock is held while `visit` runs.
    ///
    /// # Errors
    /// Returns an error if the database can't be read. A damaged row is part of its page.
    fn list(
        &mut self,
        filter: &RecordFilter,
        limit: u64,
        visit: &mut Visit<'_>,
    ) -> Result<(), StoreError>;

    /// Returns how many records `filter` selects. A record with a damaged time is never created before anything.
    ///
    /// # Errors
    /// Returns an error if the database can't be read.
    fn count(&mut self, filter: &RecordFilter) -> Result<u64, StoreError>;

    /// Deletes the records that [`Store::count`] counts, in short transactions with pauses, so that other writers get their
    /// turn. Returns how many it deleted.
    ///
    /// # Errors
    /// Returns an error if the database can't be used; some of the records may be deleted.
    fn delete(&mut self, filter: &RecordFilter) -> Result<u64, StoreError>;

    /// Returns the rows whose `created_at` isn't a time, so that no retention rule can judge them.
    ///
    /// # Errors
    /// Returns an error if the database can't be read.
    fn damaged_times(&mut self) -> Result<Vec<DamagedRow>, StoreError>;

    /// Returns why there is no ledger to use, if a table of another program has its name.
    fn ledger_problem(&self) -> Option<&str>;

    /// Returns the newest `limit` deliveries to `phone_number`, newest first, including damaged ones.
    ///
    /// # Errors
    /// Returns an error if the database can't be read.
    fn deliveries(
        &mut self,
        phone_number: &PhoneNumber,
        limit: usize,
    ) -> Result<Vec<Result<Delivery, DamagedRow>>, StoreError>;

    /// Deletes deliveries as [`Store::delete`] does records.
    ///
    /// # Errors
    /// Returns an error if the database can't be used; some of the deliveries may be deleted.
    fn delete_deliveries(&mut self, filter: &DeliveryFilter) -> Result<u64, StoreError>;

    /// Stores what a provider reported later about the delivery `delivery_id`.
    ///
    /// # Errors
    /// Returns an error if the database can't be used.
    fn update_delivery(
        &mut self,
        delivery_id: i64,
        outcome: DeliveryOutcome,
    ) -> Result<(), StoreError> {
        let step = SendStep::Update { delivery_id, outcome };
        self.take_send_steps(&[step], &Admission::default()).remove(0).map(|_| ())
    }
}
