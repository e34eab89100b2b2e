//! Which tables, views and columns a database holds.

use rusqlite::{Connection, OptionalExtension, Row};

use crate::store::Flaw;

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

/// Which version made a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Layout {
    Missing,
    Migration0001,
    Migration0002,
    Current,
    /// None did: something of another program has the table's name.
    Foreign(Flaw),
}

/// Returns whether `name` is a table, a view or an index; None where there is nothing of that name.
pub(super) fn kind_of(connection: &Connection, name: &str) -> rusqlite::Result<Option<String>> {
    // A statement reads the schema as the transaction sees it; what the connection remembers may be older.
    let known =
        "SELECT type FROM sqlite_master WHERE name = ?1 COLLATE NOCASE AND type <> 'trigger'";
    connection.prepare(known)?.query_row([name], |row| row.get(0)).optional()
}

/// Returns whether Django manages the database.
pub(super) fn is_django(connection: &Connection) -> rusqlite::Result<bool> {
    Ok(kind_of(connection, "django_migrations")?.as_deref() == Some("table"))
}

/// Returns which version of `table`, the records or the ledger, is there.
pub(super) fn layout(connection: &Connection, table: &str) -> rusqlite::Result<Layout> {
    if kind_of(connection, table)?.is_none() {
        return Ok(Layout::Missing);
    }
    if !is_ordinary(connection, table)? {
        let problem = format!(
            "{table} is a view, a virtual table, an index or a table WITHOUT ROWID, and has to be an ordinary table"
        );
        let hint = "rename it, then phone-verify migrate";
        return Ok(Layout::Foreign(Flaw::new(problem, hint)));
    }
    let columns = columns_of(connection, table)?;
    let has = |names: &[&str]| has_columns(&columns, names);
    Ok(match columns.len() {
        // A project may have added columns of its own to a current table.
        _ if table == LEDGER && has(&COLUMNS_OF_LEDGER) => Layout::Current,
        _ if table == LEDGER => Layout::Foreign(Flaw::new(
            "the table sms_delivery has columns that no version of phone-verify gave it",
            "check the path; it may be another program's table: rename it, or use another database",
        )),
        8.. if has(&COLUMNS_OF_0002) && has(&[COLUMN_OF_0003]) => Layout::Current,
        7 if has(&COLUMNS_OF_0002) => Layout::Migration0002,
        6 if has(&COLUMNS_OF_0001) => Layout::Migration0001,
        _ => Layout::Foreign(Flaw::new(
            "the table sms_verification has columns that no version of django-phone-verify gave it",
            "check the path; this may be the database of another program",
        )),
    })
}

/// Returns whether `name` is a table with rowids, which is no virtual one.
fn is_ordinary(connection: &Connection, name: &str) -> rusqlite::Result<bool> {
    let sql = "SELECT type = 'table' AND NOT wr FROM pragma_table_list(?1) WHERE schema = 'main'";
    let is_ordinary = connection.prepare(sql)?.query_row([name], |row| row.get(0)).optional()?;
    Ok(is_ordinary.unwrap_or(false))
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
