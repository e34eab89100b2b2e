//! The steps of a send. A record in `sms_verification` and its delivery in `sms_delivery` change together.

use std::collections::{HashMap, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{Connection, Result, Row, params};

use super::database::query;
use super::error::expect_one;
use super::rows::{as_state, as_time, stored_id};
use super::selection::{IS_TIME, from_the_future};
use crate::model::timestamp::to_stored;
use crate::model::{DeliveryOutcome, DeliveryState, Period, latest};
use crate::store::sends::{
    Admission, GroupHistory, NewSend, PastDelivery, SendReply, SendStep, StartedSend, Window,
};

/// Takes steps within a transaction.
pub(super) struct Writer<'a> {
    pub(super) transaction: &'a Connection,
    pub(super) now: DateTime<Utc>,
}

impl Writer<'_> {
    /// Looks up what `admission` needs to know before the sends of `steps` start.
    pub(super) fn history<'a>(
        &self,
        admission: &'a Admission,
        steps: &[SendStep],
    ) -> Result<GroupHistory<'a>> {
        let numbers = steps.iter().filter_map(|step| match step {
            SendStep::Start(send) => Some(&send.phone_number),
            _ => None,
        });
        let period = |length: TimeDelta| {
            let Period { from, until } = Period::last(length, self.now);
            (to_stored(from), to_stored(until))
        };
        let (mut to_number, mut oldest, mut room) = (HashMap::new(), VecDeque::new(), 0);
        if let Some(looks_back) = admission.looks_back {
            let sql = format!(
                "SELECT created_at, state FROM sms_delivery WHERE phone_number = ?1
                     AND created_at >= ?2 AND NOT {} ORDER BY created_at DESC",
                from_the_future("?3")
            );
            let (from, until) = period(looks_back);
            for number in numbers.clone() {
                let parameters = params![number.as_str(), from, until];
                let past = query(self.transaction, &sql, parameters, |row| {
                    // A delivery whose state is damaged may have been accepted. `status` reports the row.
                    let state = as_state(row.get_ref(1)?).unwrap_or(DeliveryState::Unknown);
                    Ok(PastDelivery { created_at: as_time(row.get_ref(0)?), state })
                })?;
                to_number.insert(number.clone(), past);
            }
        }
        if let Some(Window { most, length }) = admission.window {
            // Each start fills the window further, so that the next-oldest delivery matters for the start after it.
            let wanted = most.min(u32::try_from(numbers.count()).unwrap_or(u32::MAX));
            let sql = format!(
                "SELECT created_at FROM sms_delivery WHERE state NOT IN ('rejected', 'unavailable')
                     AND created_at > ?1 AND created_at <= ?2 AND {IS_TIME}
                     ORDER BY created_at DESC LIMIT ?3 OFFSET ?4"
            );
            let (from, until) = period(length);
            let parameters = params![from, until, wanted, most - wanted];
            let read = |row: &Row<'_>| Ok(as_time(row.get_ref(0)?));
            let times = query(self.transaction, &sql, parameters, read)?;
            oldest = times.into_iter().rev().flatten().collect();
            room = (wanted as usize).saturating_sub(oldest.len());
        }
        Ok(GroupHistory { admission, to_number, room, oldest })
    }

    pub(super) fn take(&self, step: &SendStep, history: &mut GroupHistory) -> Result<SendReply> {
        Ok(match step {
            SendStep::Start(send) => match history.judge(&send.phone_number, self.now) {
                Some(refusal) => SendReply::Refused(refusal),
                None => SendReply::Started(self.start(send)?),
            },
            SendStep::HandOver { send, outcome, tries, backend } => {
                self.update_delivery(send.delivery_id, outcome, Some(*tries))?;
                SendReply::Started(self.add_delivery(send.clone(), backend)?)
            }
            SendStep::Settle { send, outcome, tries } => {
                self.update_delivery(send.delivery_id, outcome, Some(*tries))?;
                self.delete_obsolete(send, outcome.state)?;
                SendReply::Done
            }
            SendStep::Update { delivery_id, outcome } => {
                self.update_delivery(*delivery_id, outcome, None)?;
                SendReply::Done
            }
        })
    }

    /// Stores a record and the delivery that is about to start.
    fn start(&self, send: &NewSend) -> Result<StartedSend> {
        let verification_id = send.verification_id;
        let sql = "INSERT INTO sms_verification (id, phone_number, security_code, session_token,
                 is_verified, failed_attempts, created_at, modified_at)
             VALUES (?1, ?2, ?3, ?4, 0, 0, ?5, ?5)";
        expect_one(self.transaction.prepare_cached(sql)?.execute(params![
            stored_id(verification_id),
            send.phone_number.as_str(),
            send.security_code.reveal(),
            send.session_token.as_str(),
            to_stored(self.now)
        ])?)?;
        let started = StartedSend {
            verification_id,
            phone_number: send.phone_number.clone(),
            segments: send.segments,
            created_at: self.now,
            delivery_id: 0,
        };
        self.add_delivery(started, send.backend)
    }

    /// Adds a delivery of `send` that is about to start, and returns `send` with the id of this delivery.
    fn add_delivery(&self, send: StartedSend, backend: &str) -> Result<StartedSend> {
        let sql = "INSERT INTO sms_delivery (verification_id, phone_number, backend, state,
                 segments, tries, created_at, updated_at)
             VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6, ?6)";
        let delivery_id = self.transaction.prepare_cached(sql)?.insert(params![
            stored_id(send.verification_id),
            send.phone_number.as_str(),
            backend,
            DeliveryState::Sending.to_string(),
            send.segments,
            to_stored(self.now)
        ])?;
        Ok(StartedSend { delivery_id, ..send })
    }

    /// Stores the outcome of a delivery. A message id that is already stored stays. The number of tries changes only if it is given.
    fn update_delivery(
        &self,
        id: i64,
        outcome: &DeliveryOutcome,
        tries: Option<u32>,
    ) -> Result<()> {
        let DeliveryOutcome { state, message_id, error_code, error_message } = outcome;
        let (state, now) = (state.to_string(), to_stored(self.now));
        let sql = "UPDATE sms_delivery SET state = ?2, message_id = coalesce(message_id, ?3),
                 error_code = ?4, error_message = ?5, tries = coalesce(?6, tries), updated_at = ?7
             WHERE id = ?1";
        let values = params![id, state, message_id, error_code, error_message, tries, now];
        self.transaction.prepare_cached(sql)?.execute(values).map(drop)
    }

    /// Deletes the number's older records and those from the future if the SMS was accepted, and the new record if it certainly wasn't.
    fn delete_obsolete(&self, send: &StartedSend, state: DeliveryState) -> Result<()> {
        if state.was_accepted() {
            let sql = format!(
                "DELETE FROM sms_verification
                 WHERE phone_number = ?1 AND (created_at < ?2 OR {})",
                from_the_future("?3")
            );
            let created_at = send.created_at;
            // The clock may have gone back since the record was stored.
            let latest = latest(self.now.max(created_at));
            let number = send.phone_number.as_str();
            let parameters = params![number, to_stored(created_at), to_stored(latest)];
            self.transaction.prepare_cached(&sql)?.execute(parameters)?;
        } else if !state.is_unknown() {
            let sql = "DELETE FROM sms_verification WHERE id = ?1";
            self.transaction.prepare_cached(sql)?.execute([stored_id(send.verification_id)])?;
        }
        Ok(())
    }
}
