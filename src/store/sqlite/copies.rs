//! Rows that are copied from another database.

use std::slice::from_ref;

use rusqlite::types::Value;
use rusqlite::{Connection, Result, params, params_from_iter};
use uuid::Uuid;

use super::error::{Failure, expect_one};
use super::rows::{read_delivery, read_record, stored_id};
use super::wrong_codes;
use crate::model::timestamp::to_stored;
use crate::model::{Delivery, Period, SmsVerification};
use crate::store::copies::{Copies, LedgerIds};
use crate::store::schema::{CURRENT, LEDGER, Layout, RECORDS};

/// Returns the records with these ids.
pub(super) fn find_records(
    connection: &Connection,
    ids: &[Uuid],
) -> Result<Vec<SmsVerification>, Failure> {
    // Another program may have stored an id with hyphens.
    let sql = RECORDS.select(&CURRENT, "WHERE id IN (?1, ?2)");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut found = Vec::new();
    for id in ids {
        let mut rows = statement.query([stored_id(*id), id.hyphenated().to_string()])?;
        while let Some(row) = rows.next()? {
            found.push(read_record(row)?);
        }
    }
    Ok(found)
}

/// Returns the stored deliveries that are the same as `deliveries`.
pub(super) fn find_deliveries(
    connection: &Connection,
    layout: &Layout,
    deliveries: &[Delivery],
    ids: LedgerIds,
) -> Result<Vec<Delivery>, Failure> {
    let condition = match ids {
        LedgerIds::Kept => "id = ?",
        LedgerIds::New => {
            "phone_number = ? AND created_at = ? AND verification_id = ? AND backend = ?"
        }
    };
    let sql = LEDGER.select(layout, &format!("WHERE {condition}"));
    let mut statement = connection.prepare_cached(&sql)?;
    let mut found = Vec::new();
    for delivery in deliveries {
        let values: Vec<Value> = match ids {
            LedgerIds::Kept => vec![delivery.id.into()],
            LedgerIds::New => vec![
                delivery.phone_number.as_str().to_owned().into(),
                to_stored(delivery.created_at).into(),
                stored_id(delivery.verification_id).into(),
                delivery.backend.clone().into(),
            ],
        };
        let mut rows = statement.query(params_from_iter(values))?;
        while let Some(row) = rows.next()? {
            found.push(read_delivery(row)?);
        }
    }
    Ok(found)
}

/// Stores those of `copies` that aren't there yet, and returns how many they are.
pub(super) fn insert(transaction: &Connection, copies: &Copies<'_>) -> Result<u64, Failure> {
    let mut stored = 0;
    match copies {
        Copies::Records(records) => {
            for record in *records {
                if find_records(transaction, &[record.id])?.is_empty() {
                    insert_record(transaction, record)?;
                    stored += 1;
                }
            }
        }
        Copies::Deliveries(deliveries, ids) => {
            // New ids are in the order of the old ones.
            let mut deliveries: Vec<_> = deliveries.iter().collect();
            deliveries.sort_by_key(|delivery| delivery.id);
            for delivery in deliveries {
                if find_deliveries(transaction, &CURRENT, from_ref(delivery), *ids)?.is_empty() {
                    let id = (*ids == LedgerIds::Kept).then_some(delivery.id);
                    insert_delivery(transaction, delivery, id)?;
                    stored += 1;
                }
            }
        }
        Copies::WrongCodes(wrong_codes) => {
            for wrong_code in *wrong_codes {
                let (number, time) = (&wrong_code.phone_number, wrong_code.created_at);
                let then = Period { from: time, until: time };
                if wrong_codes::count(transaction, number, then)? == 0 {
                    wrong_codes::add(transaction, number, time)?;
                    stored += 1;
                }
            }
        }
    }
    Ok(stored)
}

fn insert_record(transaction: &Connection, record: &SmsVerification) -> Result<()> {
    let columns = RECORDS.columns;
    let sql =
        format!("INSERT INTO sms_verification ({columns}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)");
    let values = params![
        stored_id(record.id),
        record.phone_number.as_str(),
        record.security_code.reveal(),
        record.session_token.as_str(),
        record.is_verified,
        record.failed_attempts,
        to_stored(record.created_at),
        to_stored(record.modified_at),
    ];
    expect_one(transaction.prepare_cached(&sql)?.execute(values)?)
}

/// Stores a delivery under `id`, or under the next one.
fn insert_delivery(transaction: &Connection, delivery: &Delivery, id: Option<i64>) -> Result<()> {
    let columns = LEDGER.columns;
    let sql = format!(
        "INSERT INTO sms_delivery ({columns})
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)"
    );
    let outcome = &delivery.outcome;
    let values = params![
        id,
        stored_id(delivery.verification_id),
        delivery.phone_number.as_str(),
        delivery.backend,
        outcome.state.to_string(),
        outcome.message_id,
        outcome.error_code,
        outcome.error_message,
        delivery.segments,
        delivery.tries,
        delivery.language,
        delivery.verified_at.map(to_stored),
        to_stored(delivery.created_at),
        to_stored(delivery.updated_at),
    ];
    expect_one(transaction.prepare_cached(&sql)?.execute(values)?)
}
