//! What goes wrong with a database, in words for an operator.

use std::fmt;

/// Why a database can't be used, and what to do about it. It never holds a value of a row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct StoreError {
    problem: String,
    /// What to do, if anything helps.
    pub hint: Option<String>,
}

impl StoreError {
    pub(super) fn new(problem: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { problem: problem.into(), hint: Some(hint.into()) }
    }

    /// Returns an error about which nothing more is known.
    pub(super) fn without_hint(problem: impl Into<String>) -> Self {
        Self { problem: problem.into(), hint: None }
    }

    pub(super) fn problem(&self) -> &str {
        &self.problem
    }

    /// Returns the error with the name of its database in front.
    pub(super) fn of_database(self, name: impl fmt::Display) -> Self {
        Self { problem: format!("database {name}: {}", self.problem), ..self }
    }
}

/// A row that can't be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamagedRow {
    /// The table.
    pub table: &'static str,
    /// The row, by its id if that can be read.
    pub row: String,
    /// The column that is damaged.
    pub column: &'static str,
    /// What is wrong with it, without its value.
    pub problem: &'static str,
}

impl fmt::Display for DamagedRow {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { table, row, column, problem } = self;
        write!(formatter, "table {table}, row {row}, column {column}: {problem}")
    }
}
