//! Rows read with care: what is damaged is named, and is never an error of the others.

use chrono::{DateTime, Utc};
use rusqlite::Row;
use rusqlite::types::ValueRef;
use uuid::Uuid;

use super::layout::RECORDS;
use crate::model::{
    DeliveryState, ListedRecord, PhoneNumber, SecurityCode, SessionToken, SmsVerification,
    timestamp,
};
use crate::store::DamagedRow;

/// What is wrong with a time.
pub(super) const NO_TIME: &str = "it is not a time such as 2026-11-23 07:46:40.746691";

/// The longest id that names a row; what is longer is none.
const MAX_ID: usize = 64;

/// A row whose first column is its rowid.
pub(super) struct Columns<'a> {
    pub(super) table: &'static str,
    pub(super) row: &'a Row<'a>,
}

impl<'a> Columns<'a> {
    fn value(&self, index: usize, column: &'static str) -> Result<ValueRef<'a>, DamagedRow> {
        self.row.get_ref(index).map_err(|_| self.damaged(column, "it can't be read"))
    }

    /// Returns the text of a column.
    pub(super) fn text(&self, index: usize, column: &'static str) -> Result<&'a str, DamagedRow> {
        let ValueRef::Text(bytes) = self.value(index, column)? else {
            return Err(self.damaged(column, "it is not text"));
        };
        std::str::from_utf8(bytes).map_err(|_| self.damaged(column, "it is not UTF-8 text"))
    }

    /// Returns the text of a column, or None where it is NULL.
    pub(super) fn optional_text(
        &self,
        index: usize,
        column: &'static str,
    ) -> Result<Option<String>, DamagedRow> {
        match self.value(index, column)? {
            ValueRef::Null => Ok(None),
            _ => self.text(index, column).map(|text| Some(text.to_owned())),
        }
    }

    /// Returns the whole number of a column.
    pub(super) fn integer(&self, index: usize, column: &'static str) -> Result<i64, DamagedRow> {
        match self.value(index, column)? {
            ValueRef::Integer(number) => Ok(number),
            _ => Err(self.damaged(column, "it is not a whole number")),
        }
    }

    /// Returns the count of a column.
    pub(super) fn count(&self, index: usize, column: &'static str) -> Result<u32, DamagedRow> {
        let number = self.integer(index, column)?;
        u32::try_from(number).map_err(|_| self.damaged(column, "it is not a count"))
    }

    /// Returns the time of a column.
    pub(super) fn time(
        &self,
        index: usize,
        column: &'static str,
    ) -> Result<DateTime<Utc>, DamagedRow> {
        timestamp::from_stored(self.text(index, column)?)
            .ok_or_else(|| self.damaged(column, NO_TIME))
    }

    /// Returns the UUID of a column.
    pub(super) fn uuid(&self, index: usize, column: &'static str) -> Result<Uuid, DamagedRow> {
        Uuid::parse_str(self.text(index, column)?)
            .map_err(|_| self.damaged(column, "it is not a UUID"))
    }

    /// Returns the news that a column is damaged. The row is named by its id, the second column, where that can be read.
    pub(super) fn damaged(&self, column: &'static str, problem: &'static str) -> DamagedRow {
        let id = self.row.get::<_, String>(1).ok().filter(|_| self.table == RECORDS);
        let id = id.filter(|id| (1..=MAX_ID).contains(&id.len()));
        let rowid =
            || self.row.get::<_, i64>(0).map_or_else(|_| "?".to_owned(), |rowid| rowid.to_string());
        let row = id.unwrap_or_else(|| format!("rowid {}", rowid()));
        DamagedRow { table: self.table, row, column, problem }
    }
}

/// Reads the columns rowid, id, phone_number, security_code, session_token, is_verified, failed_attempts, created_at and
/// modified_at.
pub(super) fn read_record(row: &Row<'_>) -> Result<SmsVerification, DamagedRow> {
    let columns = Columns { table: RECORDS, row };
    Ok(SmsVerification {
        id: columns.uuid(1, "id")?,
        phone_number: PhoneNumber::from_stored(columns.text(2, "phone_number")?.to_owned()),
        security_code: SecurityCode::from_stored(columns.text(3, "security_code")?.to_owned()),
        session_token: SessionToken::from_stored(columns.text(4, "session_token")?.to_owned()),
        is_verified: match columns.integer(5, "is_verified") {
            Ok(0) => false,
            Ok(1) => true,
            _ => return Err(columns.damaged("is_verified", "it is neither 0 nor 1")),
        },
        failed_attempts: columns.count(6, "failed_attempts")?,
        created_at: columns.time(7, "created_at")?,
        modified_at: columns.time(8, "modified_at")?,
    })
}

/// Reads the columns of [`read_record`] and then the state of the newest delivery. A state that can't be read is damage of
/// another row, and takes nothing from the record.
pub(super) fn read_listed_record(row: &Row<'_>) -> Result<ListedRecord, DamagedRow> {
    let state = row.get_ref(9).ok().and_then(|state| state.as_str().ok());
    let delivery = state.and_then(DeliveryState::from_stored);
    Ok(ListedRecord { record: read_record(row)?, delivery })
}
