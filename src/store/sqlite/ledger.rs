//! Statements on the ledger `sms_delivery`.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{Connection, params};
use uuid::Uuid;

use super::database::query;
use super::rows::{as_state, as_time, read_delivery, stored_id};
use super::selection::IS_TIME;
use super::tables::LEDGER;
use crate::model::timestamp::to_stored;
use crate::model::{Delivery, DeliveryOutcome, DeliveryState, PhoneNumber};
use crate::store::error::DamagedRow;
use crate::store::sends::{Admission, GroupHistory, PastDelivery, Window};

/// Adds a delivery that is about to start, and returns its number.
pub(super) fn insert(
    connection: &Connection,
    verification_id: Uuid,
    phone_number: &PhoneNumber,
    backend: &str,
    segments: u32,
    now: DateTime<Utc>,
) -> rusqlite::Result<i64> {
    connection
        .prepare_cached(
            "INSERT INTO sms_delivery (verification_id, phone_number, backend, state, segments,
                 tries, created_at, updated_at)
             VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6, ?6)",
        )?
        .insert(params![
            stored_id(verification_id),
            phone_number.as_str(),
            backend,
            DeliveryState::Sending.to_string(),
            segments,
            to_stored(now)
        ])
}

/// Stores what became of a delivery. A message id that it has stays, and so does the number of its tries unless it is given.
pub(super) fn update(
    connection: &Connection,
    id: i64,
    outcome: &DeliveryOutcome,
    tries: Option<u32>,
    now: DateTime<Utc>,
) -> rusqlite::Result<()> {
    let DeliveryOutcome { state, message_id, error_code, error_message } = outcome;
    connection
        .prepare_cached(
            "UPDATE sms_delivery SET state = ?2, message_id = coalesce(message_id, ?3),
                 error_code = ?4, error_message = ?5, tries = coalesce(?6, tries), updated_at = ?7
             WHERE id = ?1",
        )?
        .execute(params![
            id,
            state.to_string(),
            message_id,
            error_code,
            error_message,
            tries,
            to_stored(now)
        ])
        .map(|_| ())
}

/// Returns the newest deliveries to a number.
pub(super) fn newest(
    connection: &Connection,
    phone_number: &PhoneNumber,
    limit: usize,
) -> rusqlite::Result<Vec<Result<Delivery, DamagedRow>>> {
    let order = " WHERE phone_number = ?1 ORDER BY created_at DESC, id DESC LIMIT ?2";
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let sql = [&LEDGER.select(""), order].concat();
    query(connection, &sql, params![phone_number.as_str(), limit], |row| Ok(read_delivery(row)))
}

/// Looks up what `admission` needs to know before sends to `phone_numbers` start.
pub(super) fn history<'a>(
    connection: &Connection,
    admission: &Admission,
    phone_numbers: impl Iterator<Item = &'a PhoneNumber> + Clone,
    now: DateTime<Utc>,
) -> rusqlite::Result<GroupHistory> {
    let mut history = GroupHistory::default();
    if let Some(looks_back) = admission.looks_back {
        history.to_number = phone_numbers
            .clone()
            .map(|number| Ok((number.clone(), past(connection, number, looks_back, now)?)))
            .collect::<rusqlite::Result<HashMap<_, _>>>()?;
    }
    if let Some(Window { most, length }) = admission.window {
        // Later starts of the group find the window filled by earlier ones: then a newer delivery is the oldest in it.
        let wanted = most.min(u32::try_from(phone_numbers.count()).unwrap_or(u32::MAX));
        let sql = [
            "SELECT created_at FROM sms_delivery WHERE state NOT IN ('rejected', 'unavailable')
                 AND created_at > ?1 AND ",
            IS_TIME,
            " ORDER BY created_at DESC LIMIT ?2 OFFSET ?3",
        ];
        let parameters = params![stored_before(now, length), wanted, most - wanted];
        let times =
            query(connection, &sql.concat(), parameters, |row| Ok(as_time(row.get_ref(0)?)))?;
        history.oldest = times.into_iter().rev().flatten().collect();
        history.room = (wanted as usize).saturating_sub(history.oldest.len());
    }
    Ok(history)
}

/// Returns the deliveries to a number within `looks_back`, newest first.
fn past(
    connection: &Connection,
    phone_number: &PhoneNumber,
    looks_back: TimeDelta,
    now: DateTime<Utc>,
) -> rusqlite::Result<Vec<PastDelivery>> {
    let sql = "SELECT created_at, state FROM sms_delivery
         WHERE phone_number = ?1 AND created_at >= ?2 ORDER BY created_at DESC";
    let parameters = params![phone_number.as_str(), stored_before(now, looks_back)];
    query(connection, sql, parameters, |row| {
        // What a damaged row meant isn't known, so it may have been accepted; `status` names it.
        let state = as_state(row.get_ref(1)?).unwrap_or(DeliveryState::Unknown);
        Ok(PastDelivery { created_at: as_time(row.get_ref(0)?), state })
    })
}

/// Returns the moment that lies `length` before `now`, or the first one of all.
fn stored_before(now: DateTime<Utc>, length: TimeDelta) -> String {
    to_stored(now.checked_sub_signed(length).unwrap_or(DateTime::<Utc>::MIN_UTC))
}
