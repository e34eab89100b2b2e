//! Conditions on rows, and the values of their parameters.

use chrono::{DateTime, Datelike, NaiveDate, Utc};
use tokio_postgres::types::{ToSql, Type};

use crate::model::{NumberPattern, Period};
use crate::store::interface::{DeliveryFilter, RecordFilter};

/// The value of a parameter.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Text(String),
    Texts(Vec<String>),
    Boolean(bool),
    Number(i64),
    Uuid(uuid::Uuid),
    Time(DateTime<Utc>),
}

/// A parameter, as the client wants it.
pub(super) type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

impl Value {
    pub(super) fn as_parameter(&self) -> Parameter<'_> {
        match self {
            Self::Text(text) => (text, Type::TEXT),
            Self::Texts(texts) => (texts, Type::TEXT_ARRAY),
            Self::Boolean(boolean) => (boolean, Type::BOOL),
            Self::Number(number) => (number, Type::INT8),
            Self::Uuid(uuid) => (uuid, Type::UUID),
            Self::Time(time) => (time, Type::TIMESTAMPTZ),
        }
    }
}

impl From<DateTime<Utc>> for Value {
    fn from(time: DateTime<Utc>) -> Self {
        Self::Time(within_calendar(time))
    }
}

impl From<uuid::Uuid> for Value {
    fn from(id: uuid::Uuid) -> Self {
        Self::Uuid(id)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

/// Returns `time`, or the nearest one that the server can hold.
pub(super) fn within_calendar(time: DateTime<Utc>) -> DateTime<Utc> {
    let first_of = |year| NaiveDate::from_ymd_opt(year, 1, 1).unwrap_or_default().into();
    match time.year() {
        ..1 => DateTime::from_naive_utc_and_offset(first_of(1), Utc),
        10_000.. => DateTime::from_naive_utc_and_offset(first_of(10_000), Utc),
        _ => time,
    }
}

/// The condition of a WHERE clause, which never contains a value, and the values of its parameters.
#[derive(Debug, Clone)]
pub(super) struct Selection {
    pub(super) condition: String,
    pub(super) values: Vec<Value>,
}

impl Selection {
    pub(super) fn of_records(filter: &RecordFilter) -> Self {
        Self::of_numbers(&filter.numbers)
            .and_value("is_verified = ?", filter.is_verified.map(Value::Boolean))
            .and_value(
                "failed_attempts >= ?",
                filter.min_failed_attempts.map(|least| Value::Number(least.into())),
            )
            .created(filter.created_from, filter.created_until, filter.created_outside)
    }

    pub(super) fn of_deliveries(filter: &DeliveryFilter) -> Self {
        let states: Vec<_> = filter.states.iter().map(ToString::to_string).collect();
        let states = (!states.is_empty()).then_some(Value::Texts(states));
        Self::of_numbers(&filter.numbers)
            .and_value("state = ANY(?)", states)
            .and_value("error_code = ?", filter.error_code.clone().map(Value::Text))
            .and_value("backend = ?", filter.backend.clone().map(Value::Text))
            .created(filter.created_from, filter.created_until, filter.created_outside)
    }

    /// Selects the rows of these numbers; all rows if there are none.
    pub(super) fn of_numbers(numbers: &[NumberPattern]) -> Self {
        let all = Self { condition: "TRUE".to_owned(), values: Vec::new() };
        let (mut whole, mut endings) = (Vec::new(), Vec::new());
        for number in numbers {
            match number {
                NumberPattern::Whole(number) => whole.push(number.as_str().to_owned()),
                // Digits have no special meaning in a pattern.
                NumberPattern::Ending(digits) => endings.push(format!("%{digits}")),
            }
        }
        let of_whole = match whole.len() {
            0 => None,
            // The index returns the rows of one number in their order.
            1 => whole.pop().map(|number| ("phone_number = ?", Value::Text(number))),
            _ => Some(("phone_number = ANY(?)", Value::Texts(whole))),
        };
        let of_endings =
            (!endings.is_empty()).then_some(("phone_number LIKE ANY(?)", Value::Texts(endings)));
        let (conditions, values): (Vec<_>, Vec<_>) = of_whole.into_iter().chain(of_endings).unzip();
        if conditions.is_empty() {
            all
        } else {
            all.and(&format!("({})", conditions.join(" OR ")), values)
        }
    }

    fn created(
        self,
        from: Option<DateTime<Utc>>,
        until: Option<DateTime<Utc>>,
        outside: Option<Period>,
    ) -> Self {
        self.and_value("created_at >= ?", from.map(Value::from))
            .and_value("created_at <= ?", until.map(Value::from))
            .outside(outside)
    }

    /// Adds the condition that a row was created before or after `period`, if there is one. No rule can judge a time that no
    /// calendar has.
    pub(super) fn outside(self, period: Option<Period>) -> Self {
        let Some(Period { from, until }) = period else { return self };
        let condition = "(created_at < ? OR created_at > ?) AND isfinite(created_at)";
        self.and(condition, [from, until].map(Value::from))
    }

    /// Adds a condition with one parameter, if there is a value for it.
    fn and_value(self, condition: &str, value: Option<Value>) -> Self {
        match value {
            Some(value) => self.and(condition, [value]),
            None => self,
        }
    }

    /// Adds a condition and the values of its parameters, for which it has question marks.
    pub(super) fn and(mut self, condition: &str, values: impl IntoIterator<Item = Value>) -> Self {
        self.condition += " AND ";
        let mut place = self.values.len();
        for (index, part) in condition.split('?').enumerate() {
            if index > 0 {
                place += 1;
                self.condition += &format!("${place}");
            }
            self.condition += part;
        }
        self.values.extend(values);
        self
    }

    /// Returns the parameters.
    pub(super) fn parameters(&self) -> Vec<Parameter<'_>> {
        self.values.iter().map(Value::as_parameter).collect()
    }
}
