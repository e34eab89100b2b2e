//! What a look at a database tells, without changing a byte of it.

use super::{DamagedRow, StoreError};

/// What a look at a database told.
#[derive(Debug)]
pub struct Examination {
    /// The permission bits of the file.
    pub permissions: u32,
    /// Why the file or its folder can't be written, if so.
    pub write_obstacle: Option<String>,
    /// SQLite's `journal_mode`.
    pub journal_mode: String,
    /// What `PRAGMA quick_check` complains of first, if anything, or why it could not be run.
    pub complaint: Result<Option<String>, StoreError>,
    /// Whether Django manages the database.
    pub is_django: bool,
    /// The table of the records.
    pub records: TableState,
    /// The ledger.
    pub ledger: TableState,
    /// The names of the indexes that are missing on tables that are there.
    pub missing_indexes: Vec<&'static str>,
    /// What the rows hold, or why they can't be read; None where the table of the records is not current.
    pub rows: Option<Result<RowsState, StoreError>>,
}

/// How it stands with a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TableState {
    /// It is there and current.
    Current {
        /// Columns that others added.
        foreign_columns: Vec<String>,
    },
    /// It is current, and a column that others added must have a value that no statement of ours gives.
    Blocked {
        /// The column.
        column: String,
    },
    /// It is not there.
    Missing,
    /// It is of an older version.
    Older,
    /// It has other columns than every version.
    Unknown,
    /// A view stands in its place.
    View,
}

impl TableState {
    /// Returns whether its rows can be read.
    pub(super) fn is_readable(&self) -> bool {
        matches!(self, Self::Current { .. } | Self::Blocked { .. })
    }
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
