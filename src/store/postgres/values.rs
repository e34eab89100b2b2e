//! Values as the server takes them.

use std::error::Error;

use bytes::BytesMut;
use chrono::{DateTime, NaiveDate, Utc};
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

/// The value of a parameter.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Text(String),
    Texts(Vec<String>),
    Boolean(bool),
    Number(i64),
    Time(DateTime<Utc>),
    Raw(RawValue),
}

/// A parameter, as the client wants it.
pub(super) type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

/// The values of one column of many rows, as one parameter.
pub(super) struct ColumnValues<'a> {
    values: Box<dyn ToSql + Sync + 'a>,
    array: Type,
}

impl<'a> ColumnValues<'a> {
    /// Returns the `value` of each row; `array` is the type of all together.
    pub(super) fn new<R, T: ToSql + Sync + 'a>(
        rows: &'a [R],
        array: Type,
        value: impl Fn(&'a R) -> T,
    ) -> Self {
        Self { values: Box::new(rows.iter().map(value).collect::<Vec<T>>()), array }
    }
}

/// Returns the parameters of a statement over many rows: first their columns, then `others`.
pub(super) fn parameters<'a>(
    columns: &'a [ColumnValues<'_>],
    others: impl IntoIterator<Item = Parameter<'a>>,
) -> Vec<Parameter<'a>> {
    let columns = columns.iter().map(|column| (&*column.values as _, column.array.clone()));
    columns.chain(others).collect()
}

impl Value {
    pub(super) fn as_parameter(&self) -> Parameter<'_> {
        match self {
            Self::Text(text) => (text, Type::TEXT),
            Self::Texts(texts) => (texts, Type::TEXT_ARRAY),
            Self::Boolean(boolean) => (boolean, Type::BOOL),
            Self::Number(number) => (number, Type::INT8),
            Self::Time(time) => (time, Type::TIMESTAMPTZ),
            Self::Raw(value) => (value, value.of_type.clone()),
        }
    }
}

impl From<DateTime<Utc>> for Value {
    fn from(time: DateTime<Utc>) -> Self {
        Self::Time(within_calendar(time))
    }
}

/// A value that goes back to the server as it came. No calendar of ours needs to have a time: it may be infinite, or long before
/// Christ.
#[derive(Debug, Clone)]
pub(super) struct RawValue {
    of_type: Type,
    bytes: Vec<u8>,
}

impl<'a> FromSql<'a> for RawValue {
    fn from_sql(of_type: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self { of_type: of_type.clone(), bytes: raw.into() })
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

impl ToSql for RawValue {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.extend_from_slice(&self.bytes);
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// Returns `time`, or the beginning of the year 1 if it is before. The server has no times long before Christ.
pub(super) fn within_calendar(time: DateTime<Utc>) -> DateTime<Utc> {
    let year_1 = NaiveDate::from_ymd_opt(1, 1, 1).unwrap_or_default();
    time.max(DateTime::from_naive_utc_and_offset(year_1.into(), Utc))
}

/// Returns a count as the tables hold it.
pub(super) fn to_stored_count(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// Returns a provider's words as the server takes them: it has no character for zero, and without Unicode hardly any that isn't
/// ASCII.
pub(super) fn to_stored_text(text: &Option<String>, has_unicode: bool) -> Option<String> {
    let replacement = if has_unicode { "\u{fffd}" } else { "?" };
    let is_unfit = |character: char| character == '\0' || !has_unicode && !character.is_ascii();
    text.as_ref().map(|text| text.replace(is_unfit, replacement))
}
