//! Rows that are copied from another database.

use tokio_postgres::types::Type;
use uuid::Uuid;

use super::connection::{SOON, Server, read, transaction};
use super::error::{Failure, LOCK_TIMEOUT};
use super::lists::has;
use super::locks::{Lock, take_lock};
use super::rows::{read_delivery, read_record};
use super::values::{ColumnValues, parameters, to_stored_count};
use crate::model::{Delivery, SmsVerification};
use crate::store::copies::{Copies, LedgerIds, WrongCode};
use crate::store::error::{DamagedRow, Result, StoreError};
use crate::store::schema::{LEDGER, RECORDS, Table, WRONG_CODES};

/// What distinguishes a row that keeps its id. The number says where a distributed server has it.
const ID: &str = "id, phone_number";
/// What distinguishes a delivery, whatever its id is.
const SEND: &str = "phone_number, created_at, verification_id, backend";

/// Returns the places of so many parameters.
fn places(count: usize) -> String {
    (1..=count).map(|place| format!("${place}")).collect::<Vec<_>>().join(", ")
}

/// Returns the records with these ids.
pub(super) fn find_records(server: &mut Server, ids: &[Uuid]) -> Result<Vec<SmsVerification>> {
    let sql = format!("SELECT {} FROM sms_verification WHERE id = ANY($1)", RECORDS.columns);
    server.run(None, async |session| {
        let rows = read(&session.client, &sql, &[(&ids, Type::UUID_ARRAY)]).await?;
        rows.iter().map(|row| Ok(read_record(row)?)).collect()
    })
}

/// Returns the stored deliveries that are the same as `deliveries`.
pub(super) fn find_deliveries(
    server: &mut Server,
    deliveries: &[Delivery],
    ids: LedgerIds,
) -> Result<Vec<Delivery>> {
    if !has(server, &LEDGER)? {
        return Ok(Vec::new());
    }
    let (key, columns) = match ids {
        LedgerIds::Kept => {
            ("id", vec![ColumnValues::new(deliveries, Type::INT8_ARRAY, |delivery| delivery.id)])
        }
        LedgerIds::New => (
            SEND,
            vec![
                ColumnValues::new(deliveries, Type::TEXT_ARRAY, |delivery| {
                    delivery.phone_number.as_str()
                }),
                ColumnValues::new(deliveries, Type::TIMESTAMPTZ_ARRAY, |delivery| {
                    delivery.created_at
                }),
                ColumnValues::new(deliveries, Type::UUID_ARRAY, |delivery| {
                    delivery.verification_id
                }),
                ColumnValues::new(deliveries, Type::TEXT_ARRAY, |delivery| {
                    delivery.backend.as_str()
                }),
            ],
        ),
    };
    let sql = format!(
        "SELECT {} FROM sms_delivery WHERE ({key}) IN (SELECT * FROM unnest({}))",
        LEDGER.columns,
        places(columns.len())
    );
    server.run(None, async |session| {
        let rows = read(&session.client, &sql, &parameters(&columns, [])).await?;
        rows.iter().map(|row| Ok(read_delivery(row)?)).collect()
    })
}

/// Stores those of `copies` that aren't there yet, and returns how many they are.
pub(super) fn insert(server: &mut Server, copies: &Copies<'_>) -> Result<u64> {
    let (table, columns, key) = match copies {
        Copies::Records(records) => (&RECORDS, columns_of_records(records), ID),
        Copies::Deliveries(deliveries, LedgerIds::Kept) => {
            (&LEDGER, columns_of_deliveries(deliveries), ID)
        }
        Copies::Deliveries(deliveries, LedgerIds::New) => {
            (&LEDGER, columns_of_deliveries(deliveries), SEND)
        }
        Copies::WrongCodes(wrong_codes) => {
            (&WRONG_CODES, columns_of_wrong_codes(wrong_codes), "phone_number, created_at")
        }
    };
    if let Some(row) = unfit(copies) {
        let hint = "correct the row in the database that is copied";
        let failure = Failure::from(StoreError::new(row.to_string(), hint));
        return Err(failure.at(server.address()));
    }
    let sql = insert_sql(table, key);
    let last_id = match copies {
        Copies::Deliveries(deliveries, LedgerIds::Kept) => {
            deliveries.iter().map(|delivery| delivery.id).max()
        }
        _ => None,
    };
    // Whether an earlier transaction may have stored them, because its connection was lost.
    let mut is_unsure = false;
    server.run(SOON, async |session| {
        let client = &session.client;
        let (parameters, moves_to) = (parameters(&columns, []), [(&last_id as _, Type::INT8)]);
        let stored = transaction(client, LOCK_TIMEOUT, async {
            // Otherwise two copies at a time could both miss the same row.
            let (lock, inserted, moved) = tokio::join!(
                biased;
                take_lock(client, Lock::Copy),
                client.execute_typed(&sql, &parameters),
                async {
                    match last_id {
                        Some(_) => client.execute_typed(MOVE_IDS, &moves_to).await,
                        None => Ok(0),
                    }
                },
            );
            lock?;
            let stored = inserted?;
            moved?;
            Ok(stored)
        })
        .await;
        is_unsure |= stored.as_ref().is_err_and(Failure::is_lost);
        stored.map(|stored| if is_unsure { copies.count() } else { stored })
    })
}

/// Moves the ledger's next id behind the one that was given to a delivery, so that no later delivery gets it too.
const MOVE_IDS: &str = "SELECT setval(sequence, $1)
     FROM (SELECT pg_get_serial_sequence('sms_delivery', 'id')::regclass AS sequence) AS ids
     WHERE $1 > coalesce(pg_sequence_last_value(sequence), 0)";

/// Returns the statement that stores the rows of `table` that have no row there with the same `key`. A row without its id in the key
/// gets a new one, in the order of the old ones.
fn insert_sql(table: &Table, key: &str) -> String {
    let Table { name, columns: given, .. } = table;
    let keeps_id = key == ID;
    let stored = if keeps_id { given } else { given.trim_start_matches("id, ") };
    let is_same: Vec<_> =
        key.split(", ").map(|name| format!("stored.{name} = new.{name}")).collect();
    format!(
        "INSERT INTO {name} ({stored}) SELECT {stored} FROM unnest({}) AS new({given})
         WHERE NOT EXISTS (SELECT 1 FROM {name} AS stored WHERE {}) ORDER BY new.id",
        places(table.column_names().count()),
        is_same.join(" AND ")
    )
}

fn columns_of_records(records: &[SmsVerification]) -> Vec<ColumnValues<'_>> {
    let text = Type::TEXT_ARRAY;
    let time = Type::TIMESTAMPTZ_ARRAY;
    vec![
        ColumnValues::new(records, Type::UUID_ARRAY, |record| record.id),
        ColumnValues::new(records, text.clone(), |record| record.phone_number.as_str()),
        ColumnValues::new(records, text.clone(), |record| record.security_code.reveal()),
        ColumnValues::new(records, text, |record| record.session_token.as_str()),
        ColumnValues::new(records, Type::BOOL_ARRAY, |record| record.is_verified),
        ColumnValues::new(records, Type::INT4_ARRAY, |record| {
            to_stored_count(record.failed_attempts)
        }),
        ColumnValues::new(records, time.clone(), |record| record.created_at),
        ColumnValues::new(records, time, |record| record.modified_at),
    ]
}

fn columns_of_deliveries(deliveries: &[Delivery]) -> Vec<ColumnValues<'_>> {
    let text = Type::TEXT_ARRAY;
    let count = Type::INT4_ARRAY;
    let time = Type::TIMESTAMPTZ_ARRAY;
    vec![
        ColumnValues::new(deliveries, Type::INT8_ARRAY, |delivery| delivery.id),
        ColumnValues::new(deliveries, Type::UUID_ARRAY, |delivery| delivery.verification_id),
        ColumnValues::new(deliveries, text.clone(), |delivery| delivery.phone_number.as_str()),
        ColumnValues::new(deliveries, text.clone(), |delivery| delivery.backend.as_str()),
        ColumnValues::new(deliveries, text.clone(), |delivery| delivery.outcome.state.to_string()),
        ColumnValues::new(deliveries, text.clone(), |delivery| {
            delivery.outcome.message_id.as_deref()
        }),
        ColumnValues::new(deliveries, text.clone(), |delivery| {
            delivery.outcome.error_code.as_deref()
        }),
        ColumnValues::new(deliveries, text.clone(), |delivery| {
            delivery.outcome.error_message.as_deref()
        }),
        ColumnValues::new(deliveries, count.clone(), |delivery| to_stored_count(delivery.segments)),
        ColumnValues::new(deliveries, count, |delivery| to_stored_count(delivery.tries)),
        ColumnValues::new(deliveries, text, |delivery| delivery.language.as_deref()),
        ColumnValues::new(deliveries, time.clone(), |delivery| delivery.verified_at),
        ColumnValues::new(deliveries, time.clone(), |delivery| delivery.created_at),
        ColumnValues::new(deliveries, time, |delivery| delivery.updated_at),
    ]
}

fn columns_of_wrong_codes(wrong_codes: &[WrongCode]) -> Vec<ColumnValues<'_>> {
    vec![
        ColumnValues::new(wrong_codes, Type::INT8_ARRAY, |_| 0_i64),
        ColumnValues::new(wrong_codes, Type::TEXT_ARRAY, |wrong_code| {
            wrong_code.phone_number.as_str()
        }),
        ColumnValues::new(wrong_codes, Type::TIMESTAMPTZ_ARRAY, |wrong_code| wrong_code.created_at),
    ]
}

/// A text, its column, and the most characters that the column holds.
type Text<'a> = (&'static str, &'a str, usize);

/// Returns the first row that no server can hold. SQLite holds texts of any length, and with any character.
fn unfit(copies: &Copies<'_>) -> Option<DamagedRow> {
    match copies {
        Copies::Records(records) => records.iter().find_map(|record| {
            let texts = [
                ("phone_number", record.phone_number.as_str(), 128),
                ("security_code", record.security_code.reveal(), 120),
                ("session_token", record.session_token.as_str(), 500),
            ];
            unfit_text(&RECORDS, &record.id, texts.into_iter())
        }),
        Copies::Deliveries(deliveries, _) => deliveries.iter().find_map(|delivery| {
            let outcome = &delivery.outcome;
            let optional = [
                ("message_id", &outcome.message_id, 64),
                ("error_code", &outcome.error_code, 64),
                ("error_message", &outcome.error_message, 500),
                ("language", &delivery.language, 64),
            ];
            let optional = optional
                .into_iter()
                .filter_map(|(column, text, most)| Some((column, text.as_deref()?, most)));
            let texts = [
                ("phone_number", delivery.phone_number.as_str(), 128),
                ("backend", delivery.backend.as_str(), 32),
            ];
            unfit_text(&LEDGER, &delivery.id, texts.into_iter().chain(optional))
        }),
        Copies::WrongCodes(wrong_codes) => wrong_codes.iter().find_map(|wrong_code| {
            let texts = [("phone_number", wrong_code.phone_number.as_str(), 128)];
            unfit_text(&WRONG_CODES, &"at the time of a wrong code", texts.into_iter())
        }),
    }
}

fn unfit_text<'a>(
    table: &Table,
    row: &dyn ToString,
    mut texts: impl Iterator<Item = Text<'a>>,
) -> Option<DamagedRow> {
    let is_unfit = |(_, text, most): &Text<'_>| text.contains('\0') || text.chars().count() > *most;
    let (column, ..) = texts.find(is_unfit)?;
    let problem = "it is longer than the server's column, or has a character for zero";
    Some(DamagedRow { table: table.name, row: row.to_string(), column, problem })
}
