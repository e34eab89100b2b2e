//! What goes wrong with a database, in words for an operator.

use std::fmt;
use std::path::Path;

/// Why the database can't be used, and what to do about it. It never holds a value of a row.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{problem}")]
pub struct StoreError {
    problem: String,
    /// What to do, where there is something to do.
    pub hint: Option<String>,
}

/// A row that can't be read as a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamagedRow {
    /// The table.
    pub table: &'static str,
    /// The row: its id, or its rowid where the id can't be read.
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

impl StoreError {
    pub(super) fn new(path: &Path, problem: impl fmt::Display, hint: Option<&str>) -> Self {
        Self {
            problem: format!("database {}: {problem}", path.display()),
            hint: hint.map(str::to_owned),
        }
    }

    pub(super) fn io(path: &Path, error: &std::io::Error) -> Self {
        Self::new(path, error, Some("check that the path is right and may be used"))
    }
}
