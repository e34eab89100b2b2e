//! Reads rows. The server keeps their types, so little can be damaged, and what is damages its own row only.

use std::num::TryFromIntError;

use chrono::{DateTime, Datelike, Utc};
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;
use uuid::Uuid;

use crate::model::{
    Delivery, DeliveryOutcome, DeliveryState, ListedRecord, PhoneNumber, SecurityCode,
    SessionToken, SmsVerification,
};
use crate::store::copies::WrongCode;
use crate::store::error::DamagedRow;
use crate::store::schema::{LEDGER, RECORDS, Table, WRONG_CODES};

/// What is wrong with a time that no calendar has.
pub(super) const NOT_A_TIME: &str = "it is not a time between the years 1 and 9999";

/// Reads the columns of a row from left to right. The first one is its id.
struct Reader<'a> {
    table: &'static Table,
    row: &'a Row,
    /// The index of the next column.
    index: usize,
}

impl<'a> Reader<'a> {
    fn new(table: &'static Table, row: &'a Row) -> Self {
        Self { table, row, index: 0 }
    }

    fn read<T: FromSql<'a>>(&mut self, problem: &'static str) -> Result<T, DamagedRow> {
        let value = self.row.try_get(self.index);
        self.index += 1;
        value.map_err(|_| self.damage(problem))
    }

    /// Returns the damage of the column that was read last.
    fn damage(&self, problem: &'static str) -> DamagedRow {
        let id = self.row.try_get::<_, Uuid>(0).map(|id| id.to_string());
        let id = id.or_else(|_| self.row.try_get::<_, i64>(0).map(|id| id.to_string()));
        let column = self.table.column_names().nth(self.index - 1).unwrap_or_default();
        DamagedRow { table: self.table.name, row: id.unwrap_or_default(), column, problem }
    }

    fn text(&mut self) -> Result<String, DamagedRow> {
        self.read("it is not UTF-8 text")
    }

    fn optional_text(&mut self) -> Result<Option<String>, DamagedRow> {
        self.read("it is not UTF-8 text")
    }

    fn id<T: FromSql<'a>>(&mut self) -> Result<T, DamagedRow> {
        self.read("it is not an id")
    }

    fn time(&mut self) -> Result<DateTime<Utc>, DamagedRow> {
        self.optional_time()?.ok_or_else(|| self.damage(NOT_A_TIME))
    }

    fn optional_time(&mut self) -> Result<Option<DateTime<Utc>>, DamagedRow> {
        match self.read::<Option<DateTime<Utc>>>(NOT_A_TIME)? {
            Some(time) if !(1..=9999).contains(&time.year()) => Err(self.damage(NOT_A_TIME)),
            time => Ok(time),
        }
    }

    fn count(&mut self) -> Result<u32, DamagedRow> {
        const PROBLEM: &str = "it is not a count";
        let number = self.read::<i32>(PROBLEM)?;
        number.try_into().map_err(|_: TryFromIntError| self.damage(PROBLEM))
    }

    fn state(&mut self) -> Result<DeliveryState, DamagedRow> {
        let state = self.text()?;
        let state = DeliveryState::from_stored(&state);
        state.ok_or_else(|| self.damage("it is not a state of a delivery"))
    }
}

/// Reads a row of the columns of [`RECORDS`].
pub(super) fn read_record(row: &Row) -> Result<SmsVerification, DamagedRow> {
    let mut reader = Reader::new(&RECORDS, row);
    Ok(SmsVerification {
        id: reader.id()?,
        phone_number: PhoneNumber::from_stored(reader.text()?),
        security_code: SecurityCode::from_stored(reader.text()?),
        session_token: SessionToken::from_stored(reader.text()?),
        is_verified: reader.read("it is not a boolean")?,
        failed_attempts: reader.count()?,
        created_at: reader.time()?,
        modified_at: reader.time()?,
    })
}

/// Reads a row of the columns of [`RECORDS`], whether it is superseded, and the state of its newest delivery. A state that can't be
/// read is damage of another row, so that the record is still read.
pub(super) fn read_listed_record(row: &Row) -> Result<ListedRecord, DamagedRow> {
    let columns = RECORDS.column_names().count();
    let state: Option<String> = row.try_get(columns + 1).unwrap_or_default();
    Ok(ListedRecord {
        record: read_record(row)?,
        is_superseded: row.try_get(columns).unwrap_or_default(),
        delivery: state.and_then(|state| DeliveryState::from_stored(&state)),
    })
}

/// Reads a row of the columns of [`LEDGER`].
pub(super) fn read_delivery(row: &Row) -> Result<Delivery, DamagedRow> {
    let mut reader = Reader::new(&LEDGER, row);
    Ok(Delivery {
        id: reader.id()?,
        verification_id: reader.id()?,
        phone_number: PhoneNumber::from_stored(reader.text()?),
        backend: reader.text()?,
        outcome: DeliveryOutcome {
            state: reader.state()?,
            message_id: reader.optional_text()?,
            error_code: reader.optional_text()?,
            error_message: reader.optional_text()?,
        },
        segments: reader.count()?,
        tries: reader.count()?,
        language: reader.optional_text()?,
        verified_at: reader.optional_time()?,
        created_at: reader.time()?,
        updated_at: reader.time()?,
    })
}

/// Reads a row of the columns of [`WRONG_CODES`].
pub(super) fn read_wrong_code(row: &Row) -> Result<WrongCode, DamagedRow> {
    let mut reader = Reader::new(&WRONG_CODES, row);
    reader.id::<i64>()?;
    Ok(WrongCode {
        phone_number: PhoneNumber::from_stored(reader.text()?),
        created_at: reader.time()?,
    })
}
