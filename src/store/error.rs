//! What goes wrong with a database, in words for an operator.

/// Why a database can't be used, and what to do about it. It never holds a value of a row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct StoreError {
    pub(super) problem: String,
    /// What to do, if anything helps.
    pub hint: Option<String>,
}

impl StoreError {
    pub(super) fn new(problem: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { problem: problem.into(), hint: Some(hint.into()) }
    }

    /// Returns the error with what `other` says to do besides.
    pub(super) fn with_further_hint(self, other: &Self) -> Self {
        let hints = self.hint.into_iter().chain([other.problem.clone()]).chain(other.hint.clone());
        Self { hint: Some(hints.collect::<Vec<_>>().join("; ")), ..self }
    }

    /// Returns the error of a machine that has no thread left.
    pub(super) fn no_thread(error: std::io::Error) -> Self {
        Self { problem: format!("can't start a thread: {error}"), hint: None }
    }
}

/// The result of an operation on a database.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// A row that can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("table {table}, row {row}, column {column}: {problem}")]
pub struct DamagedRow {
    pub(super) table: &'static str,
    /// The id, or the rowid if the id can't be read.
    pub(super) row: String,
    pub(super) column: &'static str,
    /// What is wrong with the column, without its value.
    pub(super) problem: &'static str,
}
