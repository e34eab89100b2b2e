//! What a look at a database tells, without changing a byte of it. What only the engine can name is in its own words.

use std::path::Path;

use super::{DamagedRow, StoreError};

/// What a look at a database told.
#[derive(Debug)]
pub struct Examination {
    /// The permission bits of the file.
    pub permissions: u32,
    /// Why the file, its folder or a file of the engine beside it can't be written, if so.
    pub write_obstacle: Option<String>,
    /// Whether who reads and who writes wait for each other.
    pub concurrency: Finding,
    /// Whether the file is damaged.
    pub integrity: Finding,
    /// The table of the records.
    pub records: TableState,
    /// The ledger.
    pub ledger: TableState,
    /// Whether an index is missing; None where there is no table.
    pub indexes: Option<Finding>,
    /// What the rows hold, or why they can't be read; None where the table of the records is not current.
    pub rows: Option<Result<RowsState, Flaw>>,
    /// The program that an operator repairs rows with.
    pub repair_program: &'static str,
}

/// How it stands with a matter of the engine's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The engine's name of the matter.
    pub name: &'static str,
    /// What is well, or what is not.
    pub state: Result<String, Flaw>,
}

/// What is wrong, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// What is wrong.
    pub problem: String,
    /// What to do about it.
    pub hint: String,
}

impl Flaw {
    pub(super) fn new(problem: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { problem: problem.into(), hint: hint.into() }
    }

    /// Returns the flaw as the error of the database at `path`.
    pub(super) fn at(&self, path: &Path) -> StoreError {
        StoreError::new(path, &self.problem, Some(&self.hint))
    }
}

/// The state of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TableState {
    /// It is there and current, in words.
    Current(String),
    /// It is not there.
    Missing(Flaw),
    /// It is there and can't be used.
    Unfit(Flaw),
}

/// What the rows of both tables hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RowsState {
    /// How many records there are.
    pub records: u64,
    /// How many deliveries the ledger holds.
    pub deliveries: u64,
    /// Rows that can't be read.
    pub damaged: Found<DamagedRow>,
    /// Records whose number is not in E.164, by their ids.
    pub not_e164: Found<String>,
    /// Records from the future, by their ids.
    pub from_the_future: Found<String>,
}

/// How many were found, and the first of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found<T> {
    /// How many.
    pub count: u64,
    /// The first.
    pub first: Option<T>,
}

impl<T> Default for Found<T> {
    fn default() -> Self {
        Self { count: 0, first: None }
    }
}

impl<T> Found<T> {
    /// Counts another one.
    pub(super) fn add(&mut self, found: T) {
        self.count += 1;
        self.first.get_or_insert(found);
    }
}
