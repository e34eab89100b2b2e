//! Rows read with care: what is damaged is named, and is never an error of the others.

use chrono::{DateTime, Utc};
use rusqlite::Row;
use rusqlite::types::ValueRef;
use uuid::Uuid;

use super::tables::{LEDGER, RECORDS, Table};
use crate::model::{
    Delivery, DeliveryOutcome, DeliveryState, ListedRecord, PhoneNumber, SecurityCode,
    SessionToken, SmsVerification, timestamp,
};
use crate::store::error::DamagedRow;

/// The longest id that names a row; what is longer isn't one.
const MAX_ID: usize = 64;

/// What is wrong with a time.
const NO_TIME: &str = "it is not a time such as 2026-11-23 07:46:40.746691";

/// Returns the row of a query for [`RECORDS`] as one with a damaged time.
pub(super) fn with_damaged_time(row: &Row<'_>) -> DamagedRow {
    damaged(&RECORDS, row, "created_at", NO_TIME)
}

/// Names a damaged row by its id, or by its rowid if the id can't be read.
fn damaged(
    table: &Table,
    row: &Row<'_>,
    column: &'static str,
    problem: &'static str,
) -> DamagedRow {
    let id = row.get::<_, String>(1).ok().filter(|id| (1..=MAX_ID).contains(&id.len()));
    let rowid = || row.get::<_, i64>(0).map_or_else(|_| "?".to_owned(), |rowid| rowid.to_string());
    let row = id.unwrap_or_else(|| format!("rowid {}", rowid()));
    DamagedRow { table: table.name, row, column, problem }
}

/// Reads the columns of a row from left to right.
struct Reader<'a> {
    table: &'static Table,
    row: &'a Row<'a>,
    /// How many columns were read. The first column of every query is the rowid.
    count: usize,
}

impl<'a> Reader<'a> {
    fn new(table: &'static Table, row: &'a Row<'a>) -> Self {
        Self { table, row, count: 0 }
    }

    /// Reads the next column with `read`, which returns None if the column is not what is `expected`.
    fn read<T>(
        &mut self,
        expected: &'static str,
        read: impl FnOnce(ValueRef<'a>) -> Option<T>,
    ) -> Result<T, DamagedRow> {
        self.count += 1;
        let value = self.row.get_ref(self.count).ok().and_then(read);
        value.ok_or_else(|| {
            let column = self.table.column_names().nth(self.count - 1).unwrap_or_default();
            damaged(self.table, self.row, column, expected)
        })
    }

    fn text(&mut self) -> Result<&'a str, DamagedRow> {
        self.read("it is not UTF-8 text", as_text)
    }

    fn optional_text(&mut self) -> Result<Option<String>, DamagedRow> {
        self.read("it is not UTF-8 text", |value| match value {
            ValueRef::Null => Some(None),
            value => as_text(value).map(|text| Some(text.to_owned())),
        })
    }

    fn integer(&mut self) -> Result<i64, DamagedRow> {
        self.read("it is not a whole number", |value| value.as_i64().ok())
    }

    fn boolean(&mut self) -> Result<bool, DamagedRow> {
        self.read("it is neither 0 nor 1", |value| match value {
            ValueRef::Integer(number @ (0 | 1)) => Some(number == 1),
            _ => None,
        })
    }

    fn count(&mut self) -> Result<u32, DamagedRow> {
        self.read("it is not a count", |value| value.as_i64().ok()?.try_into().ok())
    }

    fn time(&mut self) -> Result<DateTime<Utc>, DamagedRow> {
        self.read(NO_TIME, as_time)
    }

    fn uuid(&mut self) -> Result<Uuid, DamagedRow> {
        self.read("it is not a UUID", |value| Uuid::parse_str(as_text(value)?).ok())
    }

    fn state(&mut self) -> Result<DeliveryState, DamagedRow> {
        self.read("it is not a state of a delivery", as_state)
    }
}

fn as_text(value: ValueRef<'_>) -> Option<&str> {
    value.as_str().ok()
}

/// Returns an id as Django's `UUIDField` stores it: 32 lower-case hex digits.
pub(super) fn stored_id(id: Uuid) -> String {
    id.simple().to_string()
}

/// Returns the time in a column, if it is one.
pub(super) fn as_time(value: ValueRef<'_>) -> Option<DateTime<Utc>> {
    timestamp::from_stored(as_text(value)?)
}

/// Returns the state in a column, if it is one.
pub(super) fn as_state(value: ValueRef<'_>) -> Option<DeliveryState> {
    DeliveryState::from_stored(as_text(value)?)
}

/// Reads a row of a query for [`RECORDS`].
pub(super) fn read_record(row: &Row<'_>) -> Result<SmsVerification, DamagedRow> {
    let mut reader = Reader::new(&RECORDS, row);
    Ok(SmsVerification {
        id: reader.uuid()?,
        phone_number: PhoneNumber::from_stored(reader.text()?.to_owned()),
        security_code: SecurityCode::from_stored(reader.text()?.to_owned()),
        session_token: SessionToken::from_stored(reader.text()?.to_owned()),
        is_verified: reader.boolean()?,
        failed_attempts: reader.count()?,
        created_at: reader.time()?,
        modified_at: reader.time()?,
    })
}

/// Reads a row of a query for [`RECORDS`] with the state of the newest delivery behind it. A state that can't be read is damage of
/// another row, and takes nothing from the record.
pub(super) fn read_listed_record(row: &Row<'_>) -> Result<ListedRecord, DamagedRow> {
    let last = row.as_ref().column_count() - 1;
    let delivery = row.get_ref(last).ok().and_then(as_state);
    Ok(ListedRecord { record: read_record(row)?, delivery })
}

/// Reads a row of a query for [`LEDGER`].
pub(super) fn read_delivery(row: &Row<'_>) -> Result<Delivery, DamagedRow> {
    let mut reader = Reader::new(&LEDGER, row);
    Ok(Delivery {
        id: reader.integer()?,
        verification_id: reader.uuid()?,
        phone_number: PhoneNumber::from_stored(reader.text()?.to_owned()),
        backend: reader.text()?.to_owned(),
        outcome: DeliveryOutcome {
            state: reader.state()?,
            message_id: reader.optional_text()?,
            error_code: reader.optional_text()?,
            error_message: reader.optional_text()?,
        },
        segments: reader.count()?,
        tries: reader.count()?,
        created_at: reader.time()?,
        updated_at: reader.time()?,
    })
}
