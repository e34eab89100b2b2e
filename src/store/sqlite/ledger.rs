//! Statements on the ledger `sms_delivery`.

use std::path::Path;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use super::error::store_error;
use super::layout::LEDGER;
use super::rows::Columns;
use super::{IS_TIME, stored_id};
use crate::model::{Delivery, DeliveryOutcome, DeliveryState, PhoneNumber, timestamp};
use crate::store::{AttemptOutcome, DamagedRow, DeliveryHistory, StartedSend, StoreError};

/// The columns of a delivery, in the order in which [`read_delivery`] takes them.
pub(super) const SELECT: &str = "SELECT id, verification_id, phone_number, backend, state, message_id, \
    error_code, error_message, segments, tries, created_at, updated_at FROM sms_delivery";

/// Holds for deliveries that count against limits.
const COUNTS: &str = "state NOT IN ('rejected', 'unavailable')";

/// Adds a delivery that is about to begin, and returns its number.
pub(super) fn start(
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
            DeliveryState::Sending.as_str(),
            segments,
            timestamp::to_stored(now)
        ])
}

/// Stores what the backend of a send said.
pub(super) fn finish(
    connection: &Connection,
    send: &StartedSend,
    attempt: &AttemptOutcome,
    now: DateTime<Utc>,
) -> rusqlite::Result<()> {
    let DeliveryOutcome { state, message_id, error_code, error_message } = &attempt.outcome;
    connection
        .prepare_cached(
            "UPDATE sms_delivery SET state = ?2, message_id = ?3, error_code = ?4,
                 error_message = ?5, tries = ?6, updated_at = ?7
             WHERE id = ?1",
        )?
        .execute(params![
            send.delivery_id,
            state.as_str(),
            message_id,
            error_code,
            error_message,
            attempt.tries,
            timestamp::to_stored(now)
        ])
        .map(|_| ())
}

/// Stores what a provider said later about a delivery. Its message id stays.
pub(super) fn update(
    connection: &Connection,
    id: i64,
    outcome: &DeliveryOutcome,
    now: DateTime<Utc>,
) -> rusqlite::Result<()> {
    let DeliveryOutcome { state, error_code, error_message, .. } = outcome;
    connection
        .execute(
            "UPDATE sms_delivery SET state = ?2, error_code = ?3, error_message = ?4,
                 updated_at = ?5
             WHERE id = ?1",
            params![id, state.as_str(), error_code, error_message, timestamp::to_stored(now)],
        )
        .map(|_| ())
}

/// Returns the newest deliveries to a number.
pub(super) fn of_number(
    connection: &Connection,
    phone_number: &PhoneNumber,
    limit: usize,
) -> rusqlite::Result<Vec<Result<Delivery, DamagedRow>>> {
    let order = " WHERE phone_number = ?1 ORDER BY created_at DESC, id DESC LIMIT ?2";
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    connection
        .prepare(&[SELECT, order].concat())?
        .query_map(params![phone_number.as_str(), limit], |row| Ok(read_delivery(row)))?
        .collect()
}

/// Reads the columns of [`SELECT`].
pub(super) fn read_delivery(row: &Row<'_>) -> Result<Delivery, DamagedRow> {
    let columns = Columns { table: LEDGER, row };
    Ok(Delivery {
        id: columns.integer(0, "id")?,
        verification_id: columns.uuid(1, "verification_id")?,
        phone_number: PhoneNumber::from_stored(columns.text(2, "phone_number")?.to_owned()),
        backend: columns.text(3, "backend")?.to_owned(),
        outcome: DeliveryOutcome {
            state: read_state(&columns, 4)?,
            message_id: columns.optional_text(5, "message_id")?,
            error_code: columns.optional_text(6, "error_code")?,
            error_message: columns.optional_text(7, "error_message")?,
        },
        segments: columns.count(8, "segments")?,
        tries: columns.count(9, "tries")?,
        created_at: columns.time(10, "created_at")?,
        updated_at: columns.time(11, "updated_at")?,
    })
}

fn read_state(columns: &Columns<'_>, index: usize) -> Result<DeliveryState, DamagedRow> {
    DeliveryState::from_stored(columns.text(index, "state")?)
        .ok_or_else(|| columns.damaged("state", "it is not a state of a delivery"))
}

/// The ledger as a transaction sees it.
pub(super) struct History<'a> {
    pub(super) connection: &'a Connection,
    pub(super) path: &'a Path,
}

impl DeliveryHistory for History<'_> {
    fn nth_newest(
        &self,
        phone_number: Option<&PhoneNumber>,
        n: u32,
        since: DateTime<Utc>,
    ) -> Result<Option<DateTime<Utc>>, StoreError> {
        const NTH: &str = " ORDER BY created_at DESC LIMIT 1 OFFSET ?3";
        let of_number = if phone_number.is_some() {
            " AND phone_number = ?1 AND created_at > ?2"
        } else {
            " AND ?1 IS NULL AND created_at > ?2"
        };
        let sql = [
            "SELECT created_at FROM sms_delivery WHERE ",
            COUNTS,
            " AND ",
            IS_TIME,
            of_number,
            NTH,
        ]
        .concat();
        let number = phone_number.map(PhoneNumber::as_str);
        let parameters = params![number, timestamp::to_stored(since), n.saturating_sub(1)];
        let query = || {
            let mut statement = self.connection.prepare_cached(&sql)?;
            statement.query_row(parameters, |row| row.get::<_, String>(0)).optional()
        };
        let time = query().map_err(|error| store_error(self.path, &error))?;
        Ok(time.and_then(|time| timestamp::from_stored(&time)))
    }

    fn states(
        &self,
        phone_number: &PhoneNumber,
        since: DateTime<Utc>,
    ) -> Result<Vec<DeliveryState>, StoreError> {
        let query = || -> rusqlite::Result<Vec<_>> {
            let mut statement = self.connection.prepare_cached(
                "SELECT id, state FROM sms_delivery WHERE phone_number = ?1 AND created_at >= ?2",
            )?;
            let parameters = params![phone_number.as_str(), timestamp::to_stored(since)];
            let states = statement
                .query_map(parameters, |row| Ok(read_state(&Columns { table: LEDGER, row }, 1)))?;
            states.collect()
        };
        let states = query().map_err(|error| store_error(self.path, &error))?;
        // What a damaged row meant is not known, so it may have been accepted; `status` names it.
        let state = |state: Result<_, _>| state.unwrap_or(DeliveryState::Unknown);
        Ok(states.into_iter().map(state).collect())
    }
}
