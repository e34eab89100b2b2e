//! The operations on the tables in memory.

use std::sync::{Arc, Mutex, MutexGuard};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::tables::{self, Tables};
use crate::model::{Delivery, ListedRecord, Period, PhoneNumber, SmsVerification, latest};
use crate::store::copies::{Copies, LedgerIds, WrongCode};
use crate::store::error::{DamagedRow, Result, StoreError};
use crate::store::interface::{
    Attempt, DeliveryFilter, Evidence, Judge, RecordChange, RecordFilter, Rows, SessionChoice,
    Store, Visit,
};
use crate::store::sends::{Admission, GroupHistory, SendReply, SendStep};
use crate::system::clock::Clock;

/// A store in memory. A clone is another connection to the same tables.
#[derive(Clone)]
pub struct Memory {
    clock: Clock,
    tables: Arc<Mutex<Tables>>,
}

impl Memory {
    /// Returns a store with empty tables.
    pub fn new(clock: Clock) -> Self {
        Self::with(Tables::default(), clock)
    }

    /// Returns a store with these tables.
    pub fn with(tables: Tables, clock: Clock) -> Self {
        Self { clock, tables: Arc::new(Mutex::new(tables)) }
    }

    /// Returns the error of a connection that was lost for good.
    pub fn lost() -> StoreError {
        StoreError::new("the connection was lost", "try again")
    }

    /// Returns the tables. No other connection can use them meanwhile.
    pub fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap()
    }
}

/// Hands `rows` to `visit`, newest first, and at most `limit`.
fn hand_over<T>(
    mut rows: Vec<T>,
    created_at: impl Fn(&T) -> DateTime<Utc>,
    limit: u64,
    visit: &mut Visit<'_, T>,
) {
    rows.sort_by_key(created_at);
    let newest = rows.into_iter().rev().take(usize::try_from(limit).unwrap_or(usize::MAX));
    visit(newest.map(Ok).collect());
}

impl Store for Memory {
    fn clock(&mut self) -> Result<Clock> {
        Ok(self.clock.clone())
    }

    fn verify(
        &mut self,
        phone_number: &PhoneNumber,
        session: &SessionChoice,
        judge: &Judge<'_>,
    ) -> Result<Attempt> {
        let now = self.clock.now();
        let Tables { records, deliveries, wrong_codes, .. } = &mut *self.tables();
        let is_meant = |record: &&mut SmsVerification| {
            record.phone_number == *phone_number
                && match session {
                    SessionChoice::Token(token) => record.session_token == *token,
                    SessionChoice::Newest => record.created_at <= latest(now),
                }
        };
        let found = records.iter_mut().filter(is_meant).max_by_key(|record| record.created_at);
        let wrong_codes_before = match (judge.looks_back, &found) {
            (Some(length), Some(_)) => {
                tables::count_wrong(wrong_codes, phone_number, Period::last(length, now))
            }
            _ => 0,
        };
        let record = found.as_deref().cloned();
        let evidence = Evidence { record: record.as_ref(), wrong_codes: wrong_codes_before };
        let decision = (judge.decide)(evidence, now);
        if let (Some(record), Some(change)) = (found, decision.change) {
            (record.is_verified, record.failed_attempts) = change.apply(record);
            record.modified_at = now;
            match change {
                RecordChange::Verified => {
                    wrong_codes.retain(|wrong| wrong.phone_number != *phone_number);
                    tables::set_verified(deliveries, record.id, now);
                }
                RecordChange::WrongCode => wrong_codes
                    .push(WrongCode { phone_number: phone_number.clone(), created_at: now }),
                RecordChange::FailedAttempt => {}
            }
        }
        Ok(Attempt { decision, record, wrong_codes_before, judged_at: now })
    }

    fn take_send_steps(
        &mut self,
        steps: &[SendStep],
        admission: &Admission,
    ) -> Vec<Result<SendReply>> {
        let mut tables = self.tables();
        let mut before = tables.deliveries.clone();
        let take = |step| Ok(tables.take(step, admission, &mut before, self.clock.now()));
        steps.iter().map(take).collect()
    }

    fn look_up(
        &mut self,
        _history: &mut GroupHistory,
        _admission: &Admission,
        _phone_number: &PhoneNumber,
    ) -> Result<()> {
        unimplemented!("it serves dry runs")
    }

    fn list(&mut self, filter: &RecordFilter, limit: u64, visit: &mut Visit<'_>) -> Result<()> {
        let tables = self.tables().clone();
        let look_up = filter.look_up;
        let selected = tables.records.iter().filter(|record| tables::is_record(filter, record));
        let until = latest(self.clock.now());
        let listed = selected.map(|record| {
            let is_past = |delivery: &&Delivery| {
                delivery.verification_id == record.id && delivery.created_at <= until
            };
            let of_record = tables.deliveries.iter().filter(is_past);
            let newest = of_record.max_by_key(|delivery| delivery.created_at);
            let supersedes = |other: &SmsVerification| {
                other.created_at > record.created_at && other.created_at <= until
            };
            ListedRecord {
                record: record.clone(),
                is_superseded: look_up
                    .superseded_from
                    .is_some_and(|from| record.created_at >= from)
                    && tables.of_number(&record.phone_number).any(supersedes),
                delivery: newest
                    .filter(|_| look_up.delivery)
                    .map(|delivery| delivery.outcome.state),
            }
        });
        hand_over(listed.collect(), |listed| listed.record.created_at, limit, visit);
        Ok(())
    }

    fn count(&mut self, rows: &Rows) -> Result<u64> {
        Ok(self.tables().clone().delete(rows))
    }

    fn delete(&mut self, rows: &Rows) -> Result<u64> {
        Ok(self.tables().delete(rows))
    }

    fn damaged_times(&mut self) -> Result<Vec<DamagedRow>> {
        Ok(Vec::new())
    }

    fn ledger_problem(&mut self) -> Result<Option<String>> {
        Ok(None)
    }

    fn deliveries(
        &mut self,
        filter: &DeliveryFilter,
        limit: u64,
        visit: &mut Visit<'_, Delivery>,
    ) -> Result<()> {
        let tables = self.tables().clone();
        let selected =
            tables.deliveries.into_iter().filter(|delivery| tables::is_delivery(filter, delivery));
        hand_over(selected.collect(), |delivery| delivery.created_at, limit, visit);
        Ok(())
    }

    fn numbers_ending(
        &mut self,
        _digits: &str,
        _limit: usize,
    ) -> Result<Vec<Result<PhoneNumber, DamagedRow>>> {
        unimplemented!("it serves `status`")
    }

    fn wrong_codes(&mut self, phone_number: &PhoneNumber, period: Period) -> Result<u32> {
        Ok(tables::count_wrong(&self.tables().wrong_codes, phone_number, period))
    }

    fn list_wrong_codes(&mut self, visit: &mut Visit<'_, WrongCode>) -> Result<()> {
        hand_over(self.tables().wrong_codes.clone(), |wrong| wrong.created_at, u64::MAX, visit);
        Ok(())
    }

    fn find_records(&mut self, _ids: &[Uuid]) -> Result<Vec<SmsVerification>> {
        unimplemented!("it serves `copy`")
    }

    fn find_deliveries(
        &mut self,
        _deliveries: &[Delivery],
        _ids: LedgerIds,
    ) -> Result<Vec<Delivery>> {
        unimplemented!("it serves `copy`")
    }

    fn insert(&mut self, _copies: &Copies<'_>) -> Result<u64> {
        unimplemented!("it serves `copy`")
    }

    fn identity(&mut self) -> Result<String> {
        unimplemented!("it serves `copy`")
    }

    fn further_columns(&mut self) -> Result<Vec<String>> {
        unimplemented!("it serves `copy`")
    }

    fn remove_traces(&mut self) -> Result<Option<String>> {
        Ok(None)
    }
}
