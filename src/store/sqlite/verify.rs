//! How a code is verified: in one transaction, which no other writer can enter.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, Row, TransactionBehavior, params};

use super::database::query;
use super::engine::Sqlite;
use super::error::{Failure, expect_one, expect_stored};
use super::rows::read_record;
use super::selection::from_the_future;
use super::{verified, wrong_codes};
use crate::model::timestamp::to_stored;
use crate::model::{Period, PhoneNumber, SmsVerification, latest};
use crate::store::error::Result;
use crate::store::interface::{Attempt, Evidence, Judge, RecordChange, SessionChoice};
use crate::store::schema::{CURRENT, RECORDS};

impl Sqlite {
    /// Verifies a code, as [`crate::store::Store::verify`] does.
    pub(super) fn verify_code(
        &mut self,
        phone_number: &PhoneNumber,
        session: &SessionChoice,
        judge: &Judge<'_>,
    ) -> Result<Attempt> {
        let failure = match self.attempt(phone_number, session, judge) {
            Ok(attempt) => return Ok(attempt),
            Err(failure) if failure.is_lock() => return Err(failure.at(&self.database.path)),
            Err(failure) => failure,
        };
        let decide = judge.for_record_alone();
        let judge = Judge { looks_back: None, decide: &decide };
        let counted = self.attempt(phone_number, session, &judge);
        Err(counted.err().unwrap_or(failure).at(&self.database.path))
    }

    fn attempt(
        &mut self,
        phone_number: &PhoneNumber,
        session: &SessionChoice,
        judge: &Judge<'_>,
    ) -> Result<Attempt, Failure> {
        let keeps_verified = self.keeps_verified();
        let clock = &self.clock;
        self.database.write(TransactionBehavior::Immediate, |transaction| {
            let now = clock.now();
            let found = find(transaction, phone_number, session, now)?;
            let record = found.as_ref().map(|(_, record)| record);
            let looks_back = judge.looks_back.filter(|_| record.is_some());
            let wrong_codes = looks_back.map_or(Ok(0), |length| {
                wrong_codes::count(transaction, phone_number, Period::last(length, now))
            })?;
            let decision = (judge.decide)(Evidence { record, wrong_codes }, now);
            if let (Some((rowid, record)), Some(change)) = (&found, decision.change) {
                store(transaction, *rowid, change.apply(record), now)?;
                match change {
                    RecordChange::Verified => {
                        wrong_codes::forget(transaction, phone_number)?;
                        if keeps_verified {
                            verified::store(transaction, phone_number.as_str(), record.id, now)?;
                        }
                    }
                    RecordChange::WrongCode => wrong_codes::add(transaction, phone_number, now)?,
                    RecordChange::FailedAttempt => {}
                }
            }
            let record = found.map(|(_, record)| record);
            Ok(Attempt { decision, record, wrong_codes_before: wrong_codes, judged_at: now })
        })
    }
}

/// Returns the record that the code is verified against, and its rowid: another program may have stored its id in another form.
fn find(
    transaction: &Connection,
    phone_number: &PhoneNumber,
    session: &SessionChoice,
    now: DateTime<Utc>,
) -> Result<Option<(i64, SmsVerification)>, Failure> {
    let (condition, value) = match session {
        SessionChoice::Token(token) => ("session_token = ?2".to_owned(), token.as_str().to_owned()),
        SessionChoice::Newest => (format!("NOT {}", from_the_future("?2")), to_stored(latest(now))),
    };
    let order = "ORDER BY created_at DESC, rowid DESC LIMIT 1";
    let clauses = format!("WHERE phone_number = ?1 AND {condition} {order}");
    let sql = RECORDS.select(&CURRENT, &clauses);
    let read = |row: &Row<'_>| {
        let rowid: i64 = row.get(0)?;
        Ok(read_record(row).map(|record| (rowid, record)))
    };
    let values = params![phone_number.as_str(), value];
    Ok(query(transaction, &sql, values, read)?.pop().transpose()?)
}

/// Stores whether a record is verified, and its failed attempts. They have to be there before anyone sees the answer.
fn store(
    transaction: &Connection,
    rowid: i64,
    (is_verified, failed_attempts): (bool, u32),
    now: DateTime<Utc>,
) -> rusqlite::Result<()> {
    let sql = "UPDATE sms_verification
         SET is_verified = ?2, failed_attempts = ?3, modified_at = ?4 WHERE rowid = ?1";
    let values = params![rowid, is_verified, failed_attempts, to_stored(now)];
    expect_one(transaction.prepare_cached(sql)?.execute(values)?)?;
    let sql = "SELECT count(*) > 0 FROM sms_verification
         WHERE rowid = ?1 AND is_verified = ?2 AND failed_attempts = ?3";
    let values = params![rowid, is_verified, failed_attempts];
    expect_stored(transaction.prepare_cached(sql)?.query_row(values, |row| row.get(0))?)
}
