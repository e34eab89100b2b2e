//! Conditions on rows: fixed texts, and the values of their parameters.

use rusqlite::Row;
use rusqlite::types::{Value, ValueRef};

use crate::model::timestamp::to_stored;
use crate::store::interface::RecordFilter;

/// Holds for a `created_at` that is a time, and is never NULL. Anything else compares with times in surprising ways: a number is
/// older than all of them. Most functions see a text up to its first NUL only.
pub(super) const IS_TIME: &str = "(datetime(created_at) IS substr(created_at, 1, 19) \
    AND instr(created_at, char(0)) = 0 \
    AND length(created_at) BETWEEN 19 AND 26 AND length(created_at) <> 20 \
    AND (length(created_at) = 19 OR substr(created_at, 20) GLOB '.[0-9]*') \
    AND substr(created_at, 21) NOT GLOB '*[^0-9]*')";

/// A record's place in the order of a list, which is that of `created_at` and then of the rowid.
pub(super) struct Position {
    /// Holds for the records behind it.
    behind: &'static str,
    created_at: Value,
    rowid: i64,
}

impl Position {
    /// Returns the place of a row with all columns.
    pub(super) fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        let (behind, created_at) = match row.get_ref("created_at")? {
            // Damaged text may not be UTF-8, as a parameter that is text has to be.
            ValueRef::Text(bytes) if std::str::from_utf8(bytes).is_err() => {
                ("(created_at, rowid) < (CAST(? AS TEXT), ?)", Value::Blob(bytes.to_vec()))
            }
            _ => ("(created_at, rowid) < (?, ?)", row.get("created_at")?),
        };
        Ok(Self { behind, created_at, rowid: row.get(0)? })
    }
}

/// The condition of a WHERE clause, made of fixed conditions, and its parameters.
pub(super) struct Selection {
    pub(super) condition: String,
    pub(super) parameters: Vec<Value>,
}

impl Selection {
    /// Returns the selection of the rows that `filter` describes.
    pub(super) fn from_filter(filter: &RecordFilter) -> Self {
        let number = filter.phone_number.as_ref().map(|number| number.as_str().to_owned().into());
        let mut selection = Self { condition: "TRUE".to_owned(), parameters: Vec::new() };
        for (condition, value) in [
            ("phone_number = ?", number),
            ("is_verified = ?", filter.is_verified.map(Value::from)),
            ("failed_attempts >= ?", filter.min_failed_attempts.map(Value::from)),
            ("created_at >= ?", filter.created_from.map(|from| to_stored(from).into())),
            ("created_at < ?", filter.created_before.map(|before| to_stored(before).into())),
        ] {
            if let Some(value) = value {
                selection.and(condition, value);
            }
        }
        selection
    }

    /// Returns the selection without rows whose time is damaged, if time is a condition.
    pub(super) fn without_damage(filter: &RecordFilter) -> Self {
        let mut selection = Self::from_filter(filter);
        if filter.created_before.is_some() {
            selection.condition.push_str(" AND ");
            selection.condition.push_str(IS_TIME);
        }
        selection
    }

    /// Leaves out the records up to `position`.
    pub(super) fn behind(&mut self, position: Position) {
        self.and(position.behind, position.created_at);
        self.parameters.push(position.rowid.into());
    }

    /// Adds a condition and the value of its first parameter.
    fn and(&mut self, condition: &'static str, parameter: Value) {
        self.condition.push_str(" AND ");
        self.condition.push_str(condition);
        self.parameters.push(parameter);
    }
}
