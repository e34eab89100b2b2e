//! Conditions on rows: fixed texts, and the values of their parameters.

use chrono::{DateTime, Utc};
use rusqlite::types::Value;

use crate::model::timestamp;
use crate::store::RecordFilter;

/// Holds for a `created_at` that is a time, and is never NULL. What is none compares with times in surprising ways: a number is
/// older than all of them.
pub(super) const IS_TIME: &str = "(datetime(created_at) IS substr(created_at, 1, 19) \
    AND length(created_at) BETWEEN 19 AND 26 AND length(created_at) <> 20 \
    AND (length(created_at) = 19 OR substr(created_at, 20) GLOB '.[0-9]*') \
    AND substr(created_at, 21) NOT GLOB '*[^0-9]*')";

/// The condition of a WHERE clause, made of fixed conditions, and its parameters.
pub(super) struct Selection {
    pub(super) condition: String,
    pub(super) parameters: Vec<Value>,
}

impl Selection {
    /// Returns the selection of the rows that `filter` describes.
    pub(super) fn of(filter: &RecordFilter) -> Self {
        let mut selection = Self { condition: "TRUE".to_owned(), parameters: Vec::new() };
        let time = |time: DateTime<Utc>| timestamp::to_stored(time);
        if let Some(phone_number) = &filter.phone_number {
            selection.and("phone_number = ?", phone_number.as_str().to_owned());
        }
        if let Some(is_verified) = filter.is_verified {
            selection.and("is_verified = ?", is_verified);
        }
        if let Some(failed_attempts) = filter.min_failed_attempts {
            selection.and("failed_attempts >= ?", failed_attempts);
        }
        if let Some(created_from) = filter.created_from {
            selection.and("created_at >= ?", time(created_from));
        }
        if let Some(created_before) = filter.created_before {
            selection.and("created_at < ?", time(created_before));
        }
        selection
    }

    /// Returns the selection without records whose time is damaged, where time is a condition.
    pub(super) fn of_judged(filter: &RecordFilter) -> Self {
        let mut selection = Self::of(filter);
        if filter.created_before.is_some() {
            selection.condition.push_str(" AND ");
            selection.condition.push_str(IS_TIME);
        }
        selection
    }

    /// Adds a condition and the value of its first parameter.
    pub(super) fn and(&mut self, condition: &'static str, parameter: impl Into<Value>) {
        self.condition.push_str(" AND ");
        self.condition.push_str(condition);
        self.parameters.push(parameter.into());
    }
}
