//! The steps of a send. A record in `sms_verification` and its delivery in `sms_delivery` change together.

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{Connection, Result, Row, ToSql, params};

use super::error::{expect_one, expect_stored};
use super::rows::{as_time, stored_id};
use super::selection::from_the_future;
use super::verified::delete_records;
use crate::model::timestamp::to_stored;
use crate::model::{DeliveryOutcome, DeliveryState, PhoneNumber, latest};
use crate::store::schema::NOT_FINAL;
use crate::store::sends::{
    Admission, GroupHistory, Lapse, NewSend, SendReply, SendStep, StartedSend,
};

/// Takes steps within a transaction.
pub(super) struct Writer<'a> {
    pub(super) transaction: &'a Connection,
    pub(super) now: DateTime<Utc>,
    /// Whether triggers may undo what was stored, so that it has to be read back.
    pub(super) has_triggers: bool,
}

impl Writer<'_> {
    pub(super) fn take(
        &self,
        step: &SendStep,
        admission: &Admission,
        history: &mut GroupHistory,
    ) -> Result<SendReply> {
        Ok(match step {
            SendStep::Start(send) if *send.backend == *admission.unlimited => {
                SendReply::Started(self.start(send)?)
            }
            SendStep::Start(send) => match history.judge(admission, &send.phone_number, self.now) {
                Some(refusal) => SendReply::Refused(refusal),
                None => SendReply::Started(self.start(send)?),
            },
            SendStep::Check { send, has_left } => match self.lapse(send, *has_left)? {
                Some(lapse) => SendReply::Lapsed(lapse),
                None => SendReply::Done,
            },
            SendStep::HandOver { send, outcome, tries, backend } => {
                self.update_delivery(send.delivery_id, outcome, Some(*tries))?;
                match self.lapse(send, false)? {
                    Some(lapse) => {
                        self.delete_obsolete(send, outcome.state)?;
                        SendReply::Lapsed(lapse)
                    }
                    None => SendReply::Started(self.add_delivery(send.clone(), backend)?),
                }
            }
            SendStep::Settle { send, outcome, tries } => {
                self.update_delivery(send.delivery_id, outcome, Some(*tries))?;
                self.delete_obsolete(send, outcome.state)?;
                let has_left = outcome.state.may_have_been_accepted();
                let lapse = if has_left { self.lapse(send, true)? } else { None };
                lapse.map_or(SendReply::Done, SendReply::Lapsed)
            }
            SendStep::Update { delivery_id, outcome } => {
                self.update_delivery(*delivery_id, outcome, None)?;
                SendReply::Done
            }
        })
    }

    /// Returns why the code of `send` doesn't count any more, if so. Once its SMS has left, it counts as long as the record is
    /// there.
    fn lapse(&self, send: &StartedSend, has_left: bool) -> Result<Option<Lapse>> {
        if has_left && self.is_stored(send)? {
            return Ok(None);
        }
        let sql = "SELECT coalesce(max(id = ?2), 0), coalesce(max(created_at > ?3), 0)
             FROM sms_verification
             WHERE phone_number = ?1 AND created_at BETWEEN ?3 AND ?4";
        let (number, id) = (send.phone_number.as_str(), stored_id(send.verification_id));
        let (from, until) = (to_stored(send.created_at), to_stored(send.latest(self.now)));
        let values = params![number, id, from, until];
        let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
        let (is_stored, has_newer) =
            self.transaction.prepare_cached(sql)?.query_row(values, read)?;
        Ok(send.lapse(is_stored, has_newer, self.now))
    }

    /// Returns whether the record of `send` is there. This is many times as fast as [`Writer::lapse`].
    fn is_stored(&self, send: &StartedSend) -> Result<bool> {
        let sql = "SELECT 1 FROM sms_verification WHERE id = ?1";
        self.transaction.prepare_cached(sql)?.exists([stored_id(send.verification_id)])
    }

    /// Stores a record and the delivery that is about to start.
    fn start(&self, send: &NewSend) -> Result<StartedSend> {
        let verification_id = send.verification_id;
        let sql = "INSERT INTO sms_verification (id, phone_number, security_code, session_token,
                 is_verified, failed_attempts, created_at, modified_at)
             VALUES (?1, ?2, ?3, ?4, 0, 0, ?5, ?5)";
        let created_at = self.next_time(&send.phone_number)?;
        let stored_at = to_stored(created_at);
        let values = params![
            stored_id(verification_id),
            send.phone_number.as_str(),
            send.security_code.reveal(),
            send.session_token.as_str(),
            stored_at
        ];
        expect_one(self.transaction.prepare_cached(sql)?.execute(values)?)?;
        let started = send.started(created_at, 0, self.now);
        let started = self.add_delivery(started, &send.backend)?;
        let sql = "SELECT count(*) > 0 FROM sms_verification WHERE id = ?1 AND phone_number = ?2
             AND security_code = ?3 AND session_token = ?4 AND created_at = ?5
             AND is_verified = 0 AND failed_attempts = 0";
        self.read_back(sql, values)?;
        Ok(started)
    }

    /// Returns the time of a new record of `number`. It's later than that of its other records, even if the clock went back.
    fn next_time(&self, number: &PhoneNumber) -> Result<DateTime<Utc>> {
        let sql = "SELECT max(created_at) FROM sms_verification
             WHERE phone_number = ?1 AND created_at BETWEEN ?2 AND ?3";
        let values = params![number.as_str(), to_stored(self.now), to_stored(latest(self.now))];
        let read = |row: &Row<'_>| Ok(as_time(row.get_ref(0)?));
        let newest = self.transaction.prepare_cached(sql)?.query_row(values, read)?;
        Ok(newest.map_or(self.now, |newest| newest + TimeDelta::microseconds(1)))
    }

    /// Adds a delivery of `send` that is about to start, and returns `send` with the id of this delivery.
    fn add_delivery(&self, send: StartedSend, backend: &str) -> Result<StartedSend> {
        let sql = "INSERT INTO sms_delivery (verification_id, phone_number, backend, state,
                 segments, tries, language, created_at, updated_at)
             VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6, ?7, ?7)";
        let now = to_stored(self.now);
        let delivery_id = self.transaction.prepare_cached(sql)?.insert(params![
            stored_id(send.verification_id),
            send.phone_number.as_str(),
            backend,
            DeliveryState::Sending.to_string(),
            send.segments,
            send.language.as_deref(),
            now
        ])?;
        let sql = "SELECT count(*) > 0 FROM sms_delivery
             WHERE id = ?1 AND phone_number = ?2 AND state = ?3 AND created_at = ?4";
        let (number, state) = (send.phone_number.as_str(), DeliveryState::Sending.to_string());
        let values = params![delivery_id, number, state, now];
        self.read_back(sql, values)?;
        Ok(StartedSend { delivery_id, allowed_at: self.now, ..send })
    }

    /// Returns an error if triggers have undone what was stored, so that `sql` returns false.
    fn read_back(&self, sql: &str, values: &[&dyn ToSql]) -> Result<()> {
        let is_stored = !self.has_triggers
            || self.transaction.prepare_cached(sql)?.query_row(values, |row| row.get(0))?;
        expect_stored(is_stored)
    }

    /// Stores the outcome of a delivery, unless a final one is stored. A message id that is already stored stays. The number of tries
    /// changes only if it is given.
    fn update_delivery(
        &self,
        id: i64,
        outcome: &DeliveryOutcome,
        tries: Option<u32>,
    ) -> Result<()> {
        let DeliveryOutcome { state, message_id, error_code, error_message } = outcome;
        let now = to_stored(self.now);
        let sql = format!(
            "UPDATE sms_delivery SET state = ?2, message_id = coalesce(message_id, ?3),
                 error_code = ?4, error_message = ?5, tries = coalesce(?6, tries), updated_at = ?7
             WHERE id = ?1 AND {NOT_FINAL}"
        );
        let stored = state.to_string();
        let values = params![id, stored, message_id, error_code, error_message, tries, now];
        self.transaction.prepare_cached(&sql)?.execute(values)?;
        // It may have been erased meanwhile.
        let sql = format!(
            "SELECT count(*) = 0 FROM sms_delivery WHERE id = ?1 AND state <> ?2 AND {NOT_FINAL}"
        );
        self.read_back(&sql, params![id, stored])
    }

    /// Deletes the number's older records and those from the future if the SMS was accepted, and the new record if it certainly
    /// wasn't. If the clock went back, one of two sends is older and the other from the future: the one whose record is gone
    /// leaves that of the other.
    fn delete_obsolete(&self, send: &StartedSend, state: DeliveryState) -> Result<()> {
        if state.was_accepted() {
            if !self.is_stored(send)? {
                return Ok(());
            }
            let condition =
                format!("phone_number = ?1 AND (created_at < ?2 OR {})", from_the_future("?3"));
            let (from, until) = (to_stored(send.created_at), to_stored(send.latest(self.now)));
            let parameters = params![send.phone_number.as_str(), from, until];
            delete_records(self.transaction, &condition, parameters)?;
        } else if !state.is_unknown() {
            let sql = "DELETE FROM sms_verification WHERE id = ?1";
            self.transaction.prepare_cached(sql)?.execute([stored_id(send.verification_id)])?;
        }
        Ok(())
    }
}
