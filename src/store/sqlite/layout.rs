//! Which tables, views and columns a database holds.

use rusqlite::{Connection, OptionalExtension, Row};

/// The name of the table of the records.
pub(super) const RECORDS: &str = "sms_verification";
/// The name of the ledger's table.
pub(super) const LEDGER: &str = "sms_delivery";

const COLUMNS_OF_LEDGER: [&str; 12] = [
    "id",
    "verification_id",
    "phone_number",
    "backend",
    "state",
    "message_id",
    "error_code",
    "error_message",
    "segments",
    "tries",
    "created_at",
    "updated_at",
];

const COLUMNS_OF_0001: [&str; 6] =
    ["id", "created_at", "modified_at", "otp", "phone_number", "session_code"];
const COLUMNS_OF_0002: [&str; 7] = [
    "id",
    "created_at",
    "modified_at",
    "phone_number",
    "security_code",
    "session_token",
    "is_verified",
];
const COLUMN_OF_0003: &str = "failed_attempts";

/// Which of the library's migrations made the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    Missing,
    Migration0001,
    Migration0002,
    Current,
    Unknown,
}

/// Returns whether the ledger is there.
pub(super) fn has_ledger(connection: &Connection) -> rusqlite::Result<bool> {
    has_table(connection, LEDGER)
}

fn has_table(connection: &Connection, name: &str) -> rusqlite::Result<bool> {
    Ok(kind_of(connection, name)?.as_deref() == Some("table"))
}

/// Returns whether `name` is a table, a view or an index; None where there is nothing of that name.
pub(super) fn kind_of(connection: &Connection, name: &str) -> rusqlite::Result<Option<String>> {
    // A statement reads the schema as the transaction sees it; what the connection remembers may be older.
    let known = "SELECT type FROM sqlite_master WHERE name = ?1 AND type <> 'trigger'";
    connection.prepare(known)?.query_row([name], |row| row.get(0)).optional()
}

/// Returns whether Django manages the database.
pub(super) fn is_django(connection: &Connection) -> rusqlite::Result<bool> {
    has_table(connection, "django_migrations")
}

/// Returns which version of the table of the records is there.
pub(super) fn layout(connection: &Connection) -> rusqlite::Result<Layout> {
    let columns = columns_of(connection, RECORDS)?;
    let has = |names: &[&str]| has_columns(&columns, names);
    Ok(match columns.len() {
        0 => Layout::Missing,
        // A project may have added columns of its own to the current table.
        8.. if has(&COLUMNS_OF_0002) && has(&[COLUMN_OF_0003]) => Layout::Current,
        7 if has(&COLUMNS_OF_0002) => Layout::Migration0002,
        6 if has(&COLUMNS_OF_0001) => Layout::Migration0001,
        _ => Layout::Unknown,
    })
}

/// Returns whether the ledger is current.
pub(super) fn ledger_layout(connection: &Connection) -> rusqlite::Result<Layout> {
    let columns = columns_of(connection, LEDGER)?;
    let is_current = has_columns(&columns, &COLUMNS_OF_LEDGER);
    Ok(if is_current { Layout::Current } else { Layout::Unknown })
}

/// Returns the columns that others added to a current table.
pub(super) fn foreign_columns(
    connection: &Connection,
    table: &str,
) -> rusqlite::Result<Vec<Column>> {
    let mut columns = columns_of(connection, table)?;
    let is_own = |name: &str| match table {
        LEDGER => COLUMNS_OF_LEDGER.contains(&name),
        _ => COLUMNS_OF_0002.contains(&name) || name == COLUMN_OF_0003,
    };
    columns.retain(|column| !is_own(&column.name));
    Ok(columns)
}

/// A column of a table.
pub(super) struct Column {
    pub(super) name: String,
    /// Whether a new row has to give it a value.
    pub(super) must_be_given: bool,
}

fn columns_of(connection: &Connection, table: &str) -> rusqlite::Result<Vec<Column>> {
    let sql = "SELECT name, \"notnull\" AND dflt_value IS NULL FROM pragma_table_info(?1)";
    let column = |row: &Row<'_>| Ok(Column { name: row.get(0)?, must_be_given: row.get(1)? });
    connection.prepare(sql)?.query_map([table], column)?.collect()
}

fn has_columns(columns: &[Column], names: &[&str]) -> bool {
    names.iter().all(|name| columns.iter().any(|column| column.name == *name))
}
