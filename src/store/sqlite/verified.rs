//! When the code of a delivery was verified. The ledger keeps that, so that it outlives the record.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, Params, Result, params};
use uuid::Uuid;

use super::database::query;
use super::rows::{as_id, as_time, stored_id};
use super::selection::is_time;
use crate::model::timestamp::to_stored;
use crate::store::schema::NOT_REFUSED;

/// Stores in the ledger that the code of the record `id` was verified, unless that is known.
pub(super) fn store(
    transaction: &Connection,
    phone_number: &str,
    id: Uuid,
    verified_at: DateTime<Utc>,
) -> Result<()> {
    let sql = format!(
        "UPDATE sms_delivery SET verified_at = ?3
         WHERE phone_number = ?1 AND verification_id = ?2 AND verified_at IS NULL AND {NOT_REFUSED}"
    );
    let values = params![phone_number, stored_id(id), to_stored(verified_at)];
    transaction.prepare_cached(&sql)?.execute(values).map(drop)
}

/// Deletes the records that `condition` selects, and returns how many. The ledger learns first what a Django site has verified;
/// Django changes `modified_at` then.
pub(super) fn delete_records(
    transaction: &Connection,
    condition: &str,
    parameters: impl Params,
) -> Result<usize> {
    let sql = format!(
        "DELETE FROM sms_verification WHERE {condition}
         RETURNING phone_number, id, iif(is_verified, modified_at, NULL)"
    );
    let deleted = query(transaction, &sql, parameters, |row| {
        let verified = as_id(row.get_ref(1)?).zip(as_time(row.get_ref(2)?));
        // A damaged row is deleted all the same.
        let number = row.get::<_, String>(0).ok();
        Ok(verified.zip(number))
    })?;
    for ((id, verified_at), phone_number) in deleted.iter().flatten() {
        store(transaction, phone_number, *id, *verified_at)?;
    }
    Ok(deleted.len())
}

/// Stores in the ledger which records are verified.
pub(super) fn copy_all(transaction: &Connection) -> Result<()> {
    // A damaged time would damage the delivery too.
    let is_time = is_time("record.modified_at");
    let sql = format!(
        "UPDATE sms_delivery SET verified_at = record.modified_at
         FROM sms_verification AS record
         WHERE record.id = sms_delivery.verification_id AND record.is_verified = 1
           AND {is_time} AND sms_delivery.verified_at IS NULL AND {NOT_REFUSED}"
    );
    transaction.execute(&sql, []).map(drop)
}
