//! Reads rows. A value that can't be read damages its own row only, and the error names the row and the column.

use chrono::{DateTime, Utc};
use rusqlite::Row;
use rusqlite::types::ValueRef;
use uuid::Uuid;

use crate::model::{
    Delivery, DeliveryOutcome, DeliveryState, ListedRecord, PhoneNumber, SecurityCode,
    SessionToken, SmsVerification, timestamp,
};
use crate::store::copies::WrongCode;
use crate::store::error::DamagedRow;
use crate::store::schema::{LEDGER, RECORDS, Table, WRONG_CODES};

/// The longest text that names a row. Anything longer isn't an id.
const MAX_ID: usize = 64;

/// A kind of column: what is wrong with a value that can't be read, and how to read a value.
type Kind<T> = (&'static str, fn(ValueRef<'_>) -> Option<T>);

const TEXT: Kind<String> = ("it is not UTF-8 text", |value| Some(as_text(value)?.to_owned()));
const OPTIONAL_TEXT: Kind<Option<String>> =
    (TEXT.0, |value| Some(value.as_str_or_null().ok()?.map(str::to_owned)));
const INTEGER: Kind<i64> = ("it is not a whole number", |value| value.as_i64().ok());
const COUNT: Kind<u32> = ("it is not a count", |value| value.as_i64().ok()?.try_into().ok());
const BOOLEAN: Kind<bool> = ("it is neither 0 nor 1", |value| match value {
    ValueRef::Integer(number @ (0 | 1)) => Some(number == 1),
    _ => None,
});
const ID: Kind<Uuid> = ("it is not a UUID", as_id);
const STATE: Kind<DeliveryState> = ("it is not a state of a delivery", as_state);
pub(super) const TIME: Kind<DateTime<Utc>> =
    ("it is not a time such as 2026-11-23 07:46:40.746691", as_time);

const OPTIONAL_TIME: Kind<Option<DateTime<Utc>>> = (TIME.0, |value| match value {
    ValueRef::Null => Some(None),
    value => as_time(value).map(Some),
});

fn as_text(value: ValueRef<'_>) -> Option<&str> {
    value.as_str().ok()
}

pub(super) fn as_id(value: ValueRef<'_>) -> Option<Uuid> {
    Uuid::parse_str(as_text(value)?).ok()
}

pub(super) fn as_time(value: ValueRef<'_>) -> Option<DateTime<Utc>> {
    timestamp::from_stored(as_text(value)?)
}

pub(super) fn as_state(value: ValueRef<'_>) -> Option<DeliveryState> {
    DeliveryState::from_stored(as_text(value)?)
}

/// Returns an id as Django's `UUIDField` stores it: 32 lower-case hex digits.
pub(super) fn stored_id(id: Uuid) -> String {
    id.simple().to_string()
}

/// Names a damaged row by its id, or by its rowid if the id can't be read.
pub(super) fn damaged_row(
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

/// Reads the phone number in the column `index` of a row whose first columns are its rowid and its id.
pub(super) fn read_number(
    table: &Table,
    row: &Row<'_>,
    index: usize,
) -> Result<PhoneNumber, DamagedRow> {
    let number = row.get_ref(index).ok().and_then(TEXT.1);
    let number = number.ok_or_else(|| damaged_row(table, row, "phone_number", TEXT.0))?;
    Ok(PhoneNumber::from_stored(number))
}

/// Reads the columns of a row from left to right.
struct Reader<'a> {
    table: &'static Table,
    row: &'a Row<'a>,
    /// The index of the column that was read last. The first column of every query is the rowid.
    index: usize,
}

impl Reader<'_> {
    fn read<T>(&mut self, (problem, read): Kind<T>) -> Result<T, DamagedRow> {
        self.index += 1;
        let value = self.row.get_ref(self.index).ok().and_then(read);
        value.ok_or_else(|| {
            let column = self.table.column_names().nth(self.index - 1).unwrap_or_default();
            damaged_row(self.table, self.row, column, problem)
        })
    }
}

/// Reads a row of a query for [`RECORDS`].
pub(super) fn read_record(row: &Row<'_>) -> Result<SmsVerification, DamagedRow> {
    let mut reader = Reader { table: &RECORDS, row, index: 0 };
    Ok(SmsVerification {
        id: reader.read(ID)?,
        phone_number: PhoneNumber::from_stored(reader.read(TEXT)?),
        security_code: SecurityCode::from_stored(reader.read(TEXT)?),
        session_token: SessionToken::from_stored(reader.read(TEXT)?),
        is_verified: reader.read(BOOLEAN)?,
        failed_attempts: reader.read(COUNT)?,
        created_at: reader.read(TIME)?,
        modified_at: reader.read(TIME)?,
    })
}

/// Reads a row of a query for [`RECORDS`] whose last column says whether it is superseded.
pub(super) fn read_listed_record(row: &Row<'_>) -> Result<ListedRecord, DamagedRow> {
    let is_superseded = row.get(row.as_ref().column_count() - 1).unwrap_or_default();
    Ok(ListedRecord { record: read_record(row)?, is_superseded, delivery: None })
}

/// Reads a row of a query for [`LEDGER`].
pub(super) fn read_delivery(row: &Row<'_>) -> Result<Delivery, DamagedRow> {
    let mut reader = Reader { table: &LEDGER, row, index: 0 };
    Ok(Delivery {
        id: reader.read(INTEGER)?,
        verification_id: reader.read(ID)?,
        phone_number: PhoneNumber::from_stored(reader.read(TEXT)?),
        backend: reader.read(TEXT)?,
        outcome: DeliveryOutcome {
            state: reader.read(STATE)?,
            message_id: reader.read(OPTIONAL_TEXT)?,
            error_code: reader.read(OPTIONAL_TEXT)?,
            error_message: reader.read(OPTIONAL_TEXT)?,
        },
        segments: reader.read(COUNT)?,
        tries: reader.read(COUNT)?,
        language: reader.read(OPTIONAL_TEXT)?,
        verified_at: reader.read(OPTIONAL_TIME)?,
        created_at: reader.read(TIME)?,
        updated_at: reader.read(TIME)?,
    })
}

/// Reads a row of a query for [`WRONG_CODES`].
pub(super) fn read_wrong_code(row: &Row<'_>) -> Result<WrongCode, DamagedRow> {
    let mut reader = Reader { table: &WRONG_CODES, row, index: 0 };
    reader.read(INTEGER)?;
    Ok(WrongCode {
        phone_number: PhoneNumber::from_stored(reader.read(TEXT)?),
        created_at: reader.read(TIME)?,
    })
}
