//! The operations of a store. Each one is whole, so that each engine can use its own locking.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::copies::{Copies, LedgerIds, WrongCode};
use super::error::{DamagedRow, Result};
use super::sends::{Admission, GroupHistory, SendReply, SendStep};
use crate::model::{
    Delivery, DeliveryOutcome, DeliveryState, ListedRecord, NumberPattern, Period, PhoneNumber,
    SessionToken, SmsVerification, VerificationStatus,
};
use crate::system::clock::Clock;

/// Which record a security code is verified against.
#[derive(Debug, Clone)]
pub enum SessionChoice {
    /// The record with this session token.
    Token(SessionToken),
    /// The newest record of the number that isn't from the future.
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
    /// It becomes verified. It has no failed attempts any more, and its number no wrong codes.
    Verified,
    /// It has one more failed attempt.
    FailedAttempt,
    /// It has one more failed attempt, and its number one more wrong code.
    WrongCode,
}

impl RecordChange {
    /// Returns whether the changed record is verified, and its failed attempts.
    pub(super) fn apply(self, record: &SmsVerification) -> (bool, u32) {
        match self {
            Self::Verified => (true, 0),
            Self::FailedAttempt | Self::WrongCode => {
                (record.is_verified, record.failed_attempts.saturating_add(1))
            }
        }
    }
}

/// What a code is judged by.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// The record, if there is one.
    pub record: Option<&'a SmsVerification>,
    /// The wrong codes of its number, as far as the judge looks back.
    pub wrong_codes: u32,
}

/// The rule that judges a code.
pub struct Judge<'a> {
    /// How far it looks back at the wrong codes of a number. If None, the engine doesn't look them up.
    pub looks_back: Option<TimeDelta>,
    /// Judges the evidence at a given time. It has to be pure, because an engine calls it again if another process changed the
    /// evidence.
    pub decide: &'a dyn Fn(Evidence<'_>, DateTime<Utc>) -> Decision,
}

impl Judge<'_> {
    /// Returns a rule with the same answers, by which a wrong code counts for its record alone, and nothing else changes. If a
    /// wrong code can't be counted for its number, as on a full disk, it still has to count for its record. Otherwise the error
    /// would distinguish wrong codes from right ones as often as anyone likes.
    pub(super) fn for_record_alone(&self) -> impl Fn(Evidence<'_>, DateTime<Utc>) -> Decision {
        |evidence, now| {
            let decision = (self.decide)(evidence, now);
            let is_wrong = decision.change == Some(RecordChange::WrongCode);
            Decision { change: is_wrong.then_some(RecordChange::FailedAttempt), ..decision }
        }
    }
}

/// An attempt to verify a code.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// What the judge decided.
    pub decision: Decision,
    /// The record as it was before, if there is one.
    pub record: Option<SmsVerification>,
    /// The wrong codes of its number before, as far as the judge looks back.
    pub wrong_codes_before: u32,
    /// When the code was judged.
    pub judged_at: DateTime<Utc>,
}

impl Attempt {
    /// Returns the record's failed attempts after this one, or None if there is no record.
    pub fn failed_attempts(&self) -> Option<u32> {
        let record = self.record.as_ref()?;
        Some(self.decision.change.map_or(record.failed_attempts, |change| change.apply(record).1))
    }

    /// Returns the wrong codes of the number after this one.
    pub fn wrong_codes_after(&self) -> u32 {
        match self.decision.change {
            Some(RecordChange::Verified) => 0,
            Some(RecordChange::WrongCode) => self.wrong_codes_before.saturating_add(1),
            Some(RecordChange::FailedAttempt) | None => self.wrong_codes_before,
        }
    }
}

/// Selects records that meet every condition that is set.
#[derive(Debug, Clone, Default)]
pub struct RecordFilter {
    /// With one of these numbers, unless there are none.
    pub numbers: Vec<NumberPattern>,
    /// Verified, or not.
    pub is_verified: Option<bool>,
    /// With at least this many failed attempts.
    pub min_failed_attempts: Option<u32>,
    /// Created at this time or later.
    pub created_from: Option<DateTime<Utc>>,
    /// Created at this time or earlier.
    pub created_until: Option<DateTime<Utc>>,
    /// Created before or after this period.
    pub created_outside: Option<Period>,
    /// What is looked up about each of them. This selects nothing.
    pub look_up: LookUp,
}

/// What is looked up about listed records beside what their own rows say.
#[derive(Debug, Clone, Copy, Default)]
pub struct LookUp {
    /// Of those created at this time or later, whether a newer record supersedes them.
    pub superseded_from: Option<DateTime<Utc>>,
    /// Whether the state of the newest delivery that isn't from the future is looked up.
    pub delivery: bool,
}

/// Selects deliveries that meet every condition that is set.
#[derive(Debug, Clone, Default)]
pub struct DeliveryFilter {
    /// To one of these numbers, unless there are none.
    pub numbers: Vec<NumberPattern>,
    /// In one of these states, unless there are none.
    pub states: Vec<DeliveryState>,
    /// With this code of the provider.
    pub error_code: Option<String>,
    /// Through the backend with this canonical name.
    pub backend: Option<String>,
    /// Begun at this time or later.
    pub created_from: Option<DateTime<Utc>>,
    /// Begun at this time or earlier.
    pub created_until: Option<DateTime<Utc>>,
    /// Begun before or after this period.
    pub created_outside: Option<Period>,
}

/// Selects wrong codes that meet every condition that is set.
#[derive(Debug, Clone, Default)]
pub struct WrongCodeFilter {
    /// For one of these numbers, unless there are none.
    pub numbers: Vec<NumberPattern>,
    /// Typed before or after this period.
    pub created_outside: Option<Period>,
}

/// Selects rows of one table.
#[derive(Debug, Clone)]
pub enum Rows {
    /// Records.
    Records(RecordFilter),
    /// Deliveries of the ledger.
    Deliveries(DeliveryFilter),
    /// Wrong codes.
    WrongCodes(WrongCodeFilter),
}

/// The most rows of one page. Each costs a server a transaction and a plan. With smaller ones, a reader and a writer in two threads
/// wait for each other too often.
pub const PAGE: u64 = 3000;

/// Rows of a table, including damaged ones.
pub type Page<T = ListedRecord> = Vec<Result<T, DamagedRow>>;

/// Returns the rows that could be read, and those that are damaged.
pub fn separate_damaged<T>(rows: Page<T>) -> (Vec<T>, Vec<DamagedRow>) {
    let mut damaged = Vec::new();
    let readable = rows.into_iter().filter_map(|row| row.map_err(|row| damaged.push(row)).ok());
    (readable.collect(), damaged)
}

/// Receives a page of a list, and returns whether the list goes on.
pub type Visit<'a, T = ListedRecord> = dyn FnMut(Page<T>) -> bool + 'a;

/// The records in `sms_verification`, the ledger `sms_delivery`, and the wrong codes in `sms_wrong_code`.
pub trait Store: Send {
    /// Returns the clock that the times in the database come from: this machine's for a file, the server's for a server.
    ///
    /// # Errors
    /// Returns an error if the database can't be used.
    fn clock(&mut self) -> Result<Clock>;

    /// Finds the record of `phone_number` and `session`, has it judged and changes it. Of several attempts at the same time,
    /// each one sees what the ones before it changed.
    ///
    /// # Errors
    /// Returns an error if the database can't be used, if the record is damaged, or if wrong codes are to be looked up or
    /// counted and a table of another program has the name of theirs.
    fn verify(
        &mut self,
        phone_number: &PhoneNumber,
        session: &SessionChoice,
        judge: &Judge<'_>,
    ) -> Result<Attempt>;

    /// Takes a group of steps in their order, and returns the reply to each one once all of them are durable. `admission`
    /// judges each start by the ledger as it was before the group, and by the earlier starts of the group. A step that fails
    /// undoes no other.
    fn take_send_steps(
        &mut self,
        steps: &[SendStep],
        admission: &Admission,
    ) -> Vec<Result<SendReply>>;

    /// Adds to `history` what `admission` needs to know about a send to `phone_number`. Changes nothing.
    ///
    /// # Errors
    /// Returns an error if the database can't be read.
    fn look_up(
        &mut self,
        history: &mut GroupHistory,
        admission: &Admission,
        phone_number: &PhoneNumber,
    ) -> Result<()>;

    /// Hands the records that `filter` selects to `visit`, newest first and page by page, until it has handed over `limit`
    /// readable ones. No lock is held while `visit` runs.
    ///
    /// # Errors
    /// Returns an error if the database can't be read. A damaged row is part of its page.
    fn list(&mut self, filter: &RecordFilter, limit: u64, visit: &mut Visit<'_>) -> Result<()>;

    /// Returns how many of these rows there are. A row with a damaged time never matches `created_outside`, and a table that
    /// isn't there, or is another program's, has none.
    ///
    /// # Errors
    /// Returns an error if the database can't be read.
    fn count(&mut self, rows: &Rows) -> Result<u64>;

    /// Deletes the rows that [`Store::count`] counts, in short transactions with pauses, so that other writers get their turn.
    /// Returns how many rows it deleted.
    ///
    /// # Errors
    /// Returns an error if the database can't be used; some rows may be deleted already.
    fn delete(&mut self, rows: &Rows) -> Result<u64>;

    /// Returns the rows whose `created_at` isn't a time, so that no retention rule can judge them.
    ///
    /// # Errors
    /// Returns an error if the database can't be read.
    fn damaged_times(&mut self) -> Result<Vec<DamagedRow>>;

    /// Returns why there is no usable ledger, if a table of another program has its name.
    ///
    /// # Errors
    /// Returns an error if the database can't be read.
    fn ledger_problem(&mut self) -> Result<Option<String>>;

    /// Hands the deliveries that `filter` selects to `visit`, as [`Store::list`] does with records. Without a ledger there are
    /// none.
    ///
    /// # Errors
    /// Returns an error if the database can't be read. A damaged row is part of its page.
    fn deliveries(
        &mut self,
        filter: &DeliveryFilter,
        limit: u64,
        visit: &mut Visit<'_, Delivery>,
    ) -> Result<()>;

    /// Returns the numbers that end in `digits`, of records and deliveries, those that were sent to last first, and at most `limit`.
    ///
    /// # Errors
    /// Returns an error if the database can't be read. A damaged number is among the others.
    fn numbers_ending(
        &mut self,
        digits: &str,
        limit: usize,
    ) -> Result<Vec<Result<PhoneNumber, DamagedRow>>>;

    /// Returns how many wrong codes of `phone_number` were counted within `period`.
    ///
    /// # Errors
    /// Returns an error if the database can't be read, or if a table of another program has the name of the table for them.
    fn wrong_codes(&mut self, phone_number: &PhoneNumber, period: Period) -> Result<u32>;

    /// Hands the wrong codes to `visit`, newest first and page by page. Without a table for them there are none.
    ///
    /// # Errors
    /// Returns an error if the database can't be read. A damaged row is part of its page.
    fn list_wrong_codes(&mut self, visit: &mut Visit<'_, WrongCode>) -> Result<()>;

    /// Returns the records with these ids, in any order.
    ///
    /// # Errors
    /// Returns an error if the database can't be read, or if one of the records is damaged.
    fn find_records(&mut self, ids: &[Uuid]) -> Result<Vec<SmsVerification>>;

    /// Returns the stored deliveries that are the same as `deliveries`, in any order.
    ///
    /// # Errors
    /// Returns an error if the database can't be read, or if one of the deliveries is damaged.
    fn find_deliveries(&mut self, deliveries: &[Delivery], ids: LedgerIds)
    -> Result<Vec<Delivery>>;

    /// Stores `copies`, all of them or none. Leaves out those that are there already: a record with the same id, a delivery that is
    /// the same one, a wrong code for the same number at the same time. Returns how many it has stored.
    ///
    /// # Errors
    /// Returns an error if the database can't be used, or if it can't hold one of the rows.
    fn insert(&mut self, copies: &Copies<'_>) -> Result<u64>;

    /// Returns what distinguishes this database from every other one, however its address is written.
    ///
    /// # Errors
    /// Returns an error if the database can't be used.
    fn identity(&mut self) -> Result<String>;

    /// Returns the columns that others added to the records and to the ledger, with their tables: `sms_verification.place`.
    ///
    /// # Errors
    /// Returns an error if the database can't be read.
    fn further_columns(&mut self) -> Result<Vec<String>>;

    /// Removes the copies of deleted rows that the engine itself keeps, such as those in a log. Waits a while for others who
    /// need them. Returns what keeps it from removing all of them, if so.
    ///
    /// # Errors
    /// Returns an error if the database can't be used, or if others still need the copies.
    fn remove_traces(&mut self) -> Result<Option<String>>;

    /// Returns the newest `most` records that `filter` selects, newest first, the damaged ones among them.
    ///
    /// # Errors
    /// Returns an error if the database can't be read.
    fn newest_records(&mut self, filter: &RecordFilter, most: usize) -> Result<Page> {
        newest(most, |limit, visit| self.list(filter, limit, visit))
    }

    /// Returns the newest `most` deliveries that `filter` selects, newest first, the damaged ones among them.
    ///
    /// # Errors
    /// Returns an error if the database can't be read.
    fn newest_deliveries(
        &mut self,
        filter: &DeliveryFilter,
        most: usize,
    ) -> Result<Page<Delivery>> {
        newest(most, |limit, visit| self.deliveries(filter, limit, visit))
    }

    /// Stores what the provider reported later about the delivery with this id.
    ///
    /// # Errors
    /// Returns an error if the database can't be used.
    fn update_delivery(&mut self, delivery_id: i64, outcome: DeliveryOutcome) -> Result<()> {
        let step = SendStep::Update { delivery_id, outcome };
        self.take_send_steps(&[step], &Admission::default()).remove(0).map(|_| ())
    }
}

/// Returns the first `most` rows of a list.
fn newest<T>(
    most: usize,
    list: impl FnOnce(u64, &mut Visit<'_, T>) -> Result<()>,
) -> Result<Page<T>> {
    let mut rows = Vec::new();
    list(most as u64, &mut |page| {
        rows.extend(page);
        rows.len() < most
    })?;
    rows.truncate(most);
    Ok(rows)
}
