//! Conditions on rows.

use chrono::{DateTime, Utc};

use super::values::{Parameter, Value};
use crate::model::{NumberPattern, Period};
use crate::store::interface::{DeliveryFilter, RecordFilter};

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
        // Unlike for isfinite(), the server knows how many rows a comparison selects, and plans well.
        let condition = "(created_at < ? OR created_at > ?)
             AND created_at > '-infinity' AND created_at < 'infinity'";
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
