//! The changes that bring a database up to date.

/// Why the unique index of the records can't be added: only Django may do that in its database.
pub(super) const LEFT_TO_DJANGO: &str = "Django manages this database, and has to add it";
/// Why it can't be added otherwise.
pub(super) const NOT_UNIQUE: &str =
    "records have the same security code, phone number and session token";

/// What [`super::migrate`] changed.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Migration {
    /// The change of the table of the records.
    pub table: TableChange,
    /// The change of the ledger.
    pub ledger: TableChange,
    /// The indexes that were added, by name.
    pub indexes_added: Vec<String>,
    /// A problem that the migration can't solve, in words.
    #[serde(skip)]
    pub warning: Option<String>,
}

/// The change of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TableChange {
    /// It was created.
    Created,
    /// It was of an older version, and was upgraded.
    Upgraded,
    /// It was already current.
    None,
}
