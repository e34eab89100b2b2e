//! The indexes of both tables: which are missing, and how they are added.

use std::path::Path;

use rusqlite::{Connection, ErrorCode};

use super::error::MIGRATE_HINT;
use super::layout::{LEDGER, RECORDS, is_django, kind_of};
use crate::model::shell_word;
use crate::store::{Finding, Flaw};

/// An index, which is there where one does the same work under another name.
pub(super) struct Index {
    pub(super) name: &'static str,
    table: &'static str,
    /// The names of its columns, with commas between them.
    columns: &'static str,
    is_unique: bool,
    sql: &'static str,
}

/// The unique index of the library's table, in Django's own words.
pub(super) const UNIQUE: Index = Index {
    name: "sms_verification_security_code_phone_number_session_token_7e72282c_uniq",
    table: RECORDS,
    columns: "security_code,phone_number,session_token",
    is_unique: true,
    sql: r#"CREATE UNIQUE INDEX "sms_verification_security_code_phone_number_session_token_7e72282c_uniq" ON "sms_verification" ("security_code", "phone_number", "session_token")"#,
};

/// The indexes that the library's table lacks. Read backwards, both yield the newest record first.
pub(super) const OF_RECORDS: [Index; 2] = [
    Index {
        name: "phone_verify_phone_number_created_at",
        table: RECORDS,
        columns: "phone_number,created_at",
        is_unique: false,
        sql: "CREATE INDEX phone_verify_phone_number_created_at ON sms_verification (phone_number, created_at)",
    },
    Index {
        name: "phone_verify_created_at",
        table: RECORDS,
        columns: "created_at",
        is_unique: false,
        sql: "CREATE INDEX phone_verify_created_at ON sms_verification (created_at)",
    },
];

/// The indexes of the ledger.
pub(super) const OF_LEDGER: [Index; 2] = [
    Index {
        name: "phone_verify_delivery_phone_number_created_at",
        table: LEDGER,
        columns: "phone_number,created_at",
        is_unique: false,
        sql: "CREATE INDEX phone_verify_delivery_phone_number_created_at ON sms_delivery (phone_number, created_at)",
    },
    Index {
        name: "phone_verify_delivery_created_at",
        table: LEDGER,
        columns: "created_at",
        is_unique: false,
        sql: "CREATE INDEX phone_verify_delivery_created_at ON sms_delivery (created_at)",
    },
];

/// What became of [`UNIQUE`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum UniqueIndex {
    There,
    /// It was added, under this name.
    Added(String),
    /// It is missing, and the table is Django's.
    LeftToDjango,
    /// It is missing, and rows that are the same stand against it.
    AgainstRows,
}

/// Adds the unique index where it is missing, the rows allow it and the table is not Django's.
pub(super) fn add_unique(connection: &Connection) -> rusqlite::Result<UniqueIndex> {
    if is_there(connection, &UNIQUE)? {
        return Ok(UniqueIndex::There);
    }
    if is_django(connection)? {
        return Ok(UniqueIndex::LeftToDjango);
    }
    match create(connection, &UNIQUE) {
        Ok(name) => Ok(UniqueIndex::Added(name)),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
            Ok(UniqueIndex::AgainstRows)
        }
        Err(error) => Err(error),
    }
}

/// Adds those of `indexes` that are missing, and returns their names.
pub(super) fn add(connection: &Connection, indexes: &[Index]) -> rusqlite::Result<Vec<String>> {
    let mut added = Vec::new();
    for index in indexes {
        if !is_there(connection, index)? {
            added.push(create(connection, index)?);
        }
    }
    Ok(added)
}

/// Creates an index and returns its name, which gets a number where others have taken it: what they made is theirs.
fn create(connection: &Connection, index: &Index) -> rusqlite::Result<String> {
    let mut name = index.name.to_owned();
    let mut number = 1;
    while kind_of(connection, &name)?.is_some() {
        number += 1;
        name = format!("{}_{number}", index.name);
    }
    connection.execute_batch(&index.sql.replacen(index.name, &name, 1))?;
    Ok(name)
}

/// Returns whether an index does the work of `index`.
fn is_there(connection: &Connection, index: &Index) -> rusqlite::Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM pragma_index_list(?1) AS list
         WHERE NOT partial AND (\"unique\" OR NOT ?2) AND ?3 = (
             SELECT group_concat(iif(\"desc\" OR coll <> 'BINARY', '?', coalesce(name, '?')), ',')
             FROM (SELECT * FROM pragma_index_xinfo(list.name) WHERE key ORDER BY seqno)))";
    let parameters = (index.table, index.is_unique, index.columns);
    connection.query_row(sql, parameters, |row| row.get(0))
}

/// Returns how it stands with the indexes of the tables that are there, the records and the ledger, in the database at `path`;
/// None where there is neither.
pub(super) fn examine(
    connection: &Connection,
    path: &Path,
    (has_records, has_ledger): (bool, bool),
) -> rusqlite::Result<Option<Finding>> {
    if !has_records && !has_ledger {
        return Ok(None);
    }
    let of_records = OF_RECORDS.iter().filter(|_| has_records);
    let of_ledger = OF_LEDGER.iter().filter(|_| has_ledger);
    let mut missing = Vec::new();
    for index in of_records.chain(of_ledger) {
        if !is_there(connection, index)? {
            missing.push(index.name);
        }
    }
    let mut problems = Vec::new();
    if !missing.is_empty() {
        problems.push(format!("missing, which makes it slow: {}", missing.join(", ")));
    }
    let mut hint = MIGRATE_HINT.to_owned();
    if has_records && !is_there(connection, &UNIQUE)? {
        let name = UNIQUE.name;
        problems.push(format!("missing, which lets a record be stored twice: {name}"));
        if missing.is_empty() && is_django(connection)? {
            hint = format!("`sqlite3 {} '{}'`", shell_word(path), UNIQUE.sql);
        }
    }
    let state = match problems.as_slice() {
        [] => Ok("no index is missing".to_owned()),
        problems => Err(Flaw::new(problems.join("; "), hint)),
    };
    Ok(Some(Finding { name: "indexes", state }))
}
