//! Conditions on rows.

use rusqlite::Row;
use rusqlite::types::{Value, ValueRef};

use crate::model::timestamp::to_stored;
use crate::model::{NumberPattern, Period};
use crate::store::interface::{DeliveryFilter, RecordFilter};

/// Returns a condition that is true if `column` is a time, and never NULL. Other values compare with times in surprising ways: a
/// number is older than every time. Most functions see a text only up to its first NUL.
pub(super) fn is_time(column: &str) -> String {
    format!(
        "(datetime({column}) IS substr({column}, 1, 19) \
         AND instr({column}, char(0)) = 0 \
         AND length({column}) BETWEEN 19 AND 26 AND length({column}) <> 20 \
         AND (length({column}) = 19 OR substr({column}, 20) GLOB '.[0-9]*') \
         AND substr({column}, 21) NOT GLOB '*[^0-9]*')"
    )
}

/// Returns the condition that a row is from the future; `parameter` stands for the latest time that isn't. A damaged time isn't.
pub(super) fn from_the_future(parameter: &str) -> String {
    format!("(created_at > {parameter} AND {})", is_time("created_at"))
}

/// Selects the rows after `row` in a list, which is in the order of `created_at` and then of the rowid.
pub(super) fn after(row: &Row<'_>) -> rusqlite::Result<Selection> {
    let (time, created_at) = match row.get_ref("created_at")? {
        // A parameter that is text has to be UTF-8, and damaged text may not be.
        ValueRef::Text(bytes) if std::str::from_utf8(bytes).is_err() => {
            ("CAST(? AS TEXT)", Value::Blob(bytes.to_vec()))
        }
        _ => ("?", row.get("created_at")?),
    };
    // The index finds the first row. Without the signs, SQLite would try to read both times as numbers for each further row.
    let condition = format!("created_at <= {time} AND (+created_at < +{time} OR rowid < ?)");
    Ok(Selection { condition, parameters: vec![created_at.clone(), created_at, row.get(0)?] })
}

/// The condition of a WHERE clause, which never contains a value, and the values of its parameters.
#[derive(Clone)]
pub(super) struct Selection {
    pub(super) condition: String,
    pub(super) parameters: Vec<Value>,
}

impl Selection {
    pub(super) fn of_records(filter: &RecordFilter) -> Self {
        Self::of_numbers(&filter.numbers)
            .and_value("is_verified = ?", filter.is_verified)
            .and_value("failed_attempts >= ?", filter.min_failed_attempts)
            .and_value("created_at >= ?", filter.created_from.map(to_stored))
            .and_value("created_at <= ?", filter.created_until.map(to_stored))
            .outside(filter.created_outside)
    }

    pub(super) fn of_deliveries(filter: &DeliveryFilter) -> Self {
        let mut selection = Self::of_numbers(&filter.numbers);
        if !filter.states.is_empty() {
            let states: Vec<Value> =
                filter.states.iter().map(|state| state.to_string().into()).collect();
            selection = selection.and(&format!("state IN ({})", places(states.len())), states);
        }
        selection
            .and_value("error_code = ?", filter.error_code.clone())
            .and_value("backend = ?", filter.backend.clone())
            .and_value("created_at >= ?", filter.created_from.map(to_stored))
            .and_value("created_at <= ?", filter.created_until.map(to_stored))
            .outside(filter.created_outside)
    }

    /// Selects the rows of these numbers; all rows if there are none.
    pub(super) fn of_numbers(numbers: &[NumberPattern]) -> Self {
        let all = Self { condition: "TRUE".to_owned(), parameters: Vec::new() };
        let (mut whole, mut conditions, mut endings) = (Vec::new(), Vec::new(), Vec::new());
        for number in numbers {
            match number {
                NumberPattern::Whole(number) => whole.push(number.as_str().to_owned().into()),
                NumberPattern::Ending(digits) => {
                    conditions.push("phone_number GLOB '*' || ?".to_owned());
                    endings.push(digits.clone().into());
                }
            }
        }
        // Of one number, the index returns the rows in their order.
        match whole.len() {
            0 => {}
            1 => conditions.insert(0, "phone_number = ?".to_owned()),
            count => conditions.insert(0, format!("phone_number IN ({})", places(count))),
        }
        if conditions.is_empty() {
            return all;
        }
        all.and(&format!("({})", conditions.join(" OR ")), whole.into_iter().chain(endings))
    }

    /// Adds the condition that a row was created before or after `period`, if there is one. An index finds the rows of each side.
    pub(super) fn outside(self, period: Option<Period>) -> Self {
        let Some(Period { from, until }) = period else { return self };
        let times = [from, until].map(|time| to_stored(time).into());
        self.and("(created_at < ? OR created_at > ?)", times)
    }

    /// Adds a condition with one parameter, if there is a value for it.
    fn and_value(self, condition: &str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.and(condition, [value.into()]),
            None => self,
        }
    }

    /// Adds a condition and the values of its parameters.
    pub(super) fn and(
        mut self,
        condition: &str,
        parameters: impl IntoIterator<Item = Value>,
    ) -> Self {
        self.condition += " AND ";
        self.condition += condition;
        self.parameters.extend(parameters);
        self
    }
}

/// Returns the places of so many parameters.
fn places(count: usize) -> String {
    vec!["?"; count].join(", ")
}
