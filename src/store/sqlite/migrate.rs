//! Creates a database, and brings an older one up to date.

use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;

use rusqlite::{Connection, ErrorCode};

use super::database::{Database, check_folder};
use super::error::Failure;
use super::file::{BESIDE, beside, folder_of};
use super::tables::{LEDGER, Layout, RECORDS, UNIQUE, is_django};
use crate::store::error::StoreError;
use crate::store::migration::{Migration, TableChange};

/// What to do about the table of the records if Django manages the database.
pub(super) const DJANGO_HINT: &str = "python manage.py migrate phone_verify";

/// Brings the database at `path` up to date.
///
/// # Errors
/// Returns an error if it can't be used, holds another program's tables, or if Django manages it and hasn't brought its table up
/// to date.
pub(in crate::store) fn migrate(path: &Path) -> Result<Migration, StoreError> {
    if path.symlink_metadata().is_err() && create(path)? {
        return Ok(Migration {
            table: TableChange::Created,
            ledger: TableChange::Created,
            indexes_added: RECORDS.indexes.iter().map(|index| index.name.to_owned()).collect(),
            warning: None,
        });
    }
    let mut database = Database::open(path)?;
    database.write_alone(bring_up_to_date).map_err(|failure| failure.at(path))
}

/// Creates the database at `path` if there is none.
///
/// # Errors
/// Returns an error if the file can't be created.
pub(super) fn create_if_missing(path: &Path) -> Result<(), StoreError> {
    match path.symlink_metadata() {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => create(path).map(|_| ()),
        Err(error) => Err(Failure::from(error).at(path)),
    }
}

/// Creates the database at `path`, whole or not at all. Returns false if another process was faster.
///
/// It is made under a temporary name, readable by its owner alone, and then linked into place: neither a crash nor another
/// process can meet half a database. SQLite gives the WAL the permissions of the database.
fn create(path: &Path) -> Result<bool, StoreError> {
    let create = || {
        check_folder(path)?;
        let folder = folder_of(path);
        let file = tempfile::Builder::new()
            .prefix(".phone-verify-")
            .suffix(".sqlite3")
            .tempfile_in(folder)
            // The error itself names the temporary file, which says nothing to anybody.
            .map_err(|error| std::io::Error::from(error.kind()))?;
        fill(file.path()).inspect_err(|_| {
            // SQLite leaves these behind if it can't close the database in order, as on a full disk.
            for suffix in BESIDE {
                let _ = std::fs::remove_file(beside(file.path(), suffix));
            }
        })?;
        match file.persist_noclobber(path) {
            Ok(file) => {
                // The folder's entry has to outlive a power cut as well.
                file.sync_all().and_then(|()| File::open(folder)?.sync_all())?;
                Ok(true)
            }
            Err(error) if error.error.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(Failure::from(error.error)),
        }
    };
    create().map_err(|failure: Failure| failure.at(path))
}

/// Creates everything in the empty file at `path`.
fn fill(path: &Path) -> Result<(), Failure> {
    let mut connection = Connection::open(path)?;
    let transaction = connection.transaction()?;
    RECORDS.create(&transaction, RECORDS.name)?;
    RECORDS.add_index(&transaction, &UNIQUE)?;
    RECORDS.add_indexes(&transaction)?;
    create_ledger_if_missing(&transaction)?;
    transaction.commit()?;
    // Only now: a log that can't be copied into the database when it is closed would be lost without an error.
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.close().map_err(|(_, error)| error)?;
    if BESIDE.iter().any(|suffix| beside(path, suffix).exists()) {
        return Err(Failure::from_code(rusqlite::ffi::SQLITE_IOERR_CLOSE));
    }
    Ok(())
}

fn bring_up_to_date(transaction: &rusqlite::Transaction<'_>) -> Result<Migration, Failure> {
    let table = bring_records_up_to_date(transaction)?;
    let unique = add_unique_index(transaction)?;
    let mut indexes_added = RECORDS.add_indexes(transaction)?;
    let mut warning = None;
    match unique {
        // It is part of a table that is created or upgraded.
        Some(Ok(name)) if table == TableChange::None => indexes_added.push(name),
        None | Some(Ok(_)) => {}
        Some(Err(reason)) => {
            warning = Some(format!("the unique index {} is missing: {reason}", UNIQUE.name));
        }
    }
    let ledger = create_ledger_if_missing(transaction)?;
    indexes_added.extend(LEDGER.add_indexes(transaction)?);
    Ok(Migration { table, ledger, indexes_added, warning })
}

/// Adds the unique index if it is missing, and returns its name, or why it can't be added.
fn add_unique_index(
    transaction: &Connection,
) -> rusqlite::Result<Option<Result<String, &'static str>>> {
    if RECORDS.has_index(transaction, &UNIQUE)? {
        return Ok(None);
    }
    if is_django(transaction)? {
        return Ok(Some(Err("Django manages this database, and has to add it")));
    }
    match RECORDS.add_index(transaction, &UNIQUE) {
        Ok(name) => Ok(Some(Ok(name))),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
            Ok(Some(Err(
                "it can't be added, as records have the same security code, phone number and session token",
            )))
        }
        Err(error) => Err(error),
    }
}

/// Creates or upgrades the table of the records, which only Django may do if it manages the database.
fn bring_records_up_to_date(transaction: &Connection) -> Result<TableChange, Failure> {
    let layout = RECORDS.layout(transaction)?;
    let state = match layout {
        Layout::Current { .. } => return Ok(TableChange::None),
        Layout::Foreign(error) => return Err(error.into()),
        Layout::Missing => "is missing",
        Layout::Migration0001 | Layout::Migration0002 => "is of an older version",
    };
    if is_django(transaction)? {
        let problem =
            format!("the table sms_verification {state}, and Django manages this database");
        return Err(StoreError::new(problem, DJANGO_HINT).into());
    }
    if layout == Layout::Missing {
        RECORDS.create(transaction, RECORDS.name)?;
        return Ok(TableChange::Created);
    }
    upgrade(transaction, layout == Layout::Migration0001)?;
    Ok(TableChange::Upgraded)
}

/// Creates the ledger if it is missing; a database that Django manages gets it too, as Django doesn't mind.
pub(super) fn create_ledger_if_missing(connection: &Connection) -> Result<TableChange, Failure> {
    match LEDGER.layout(connection)? {
        Layout::Foreign(error) => Err(error.into()),
        Layout::Missing => {
            LEDGER.create(connection, LEDGER.name)?;
            LEDGER.add_indexes(connection)?;
            Ok(TableChange::Created)
        }
        _ => Ok(TableChange::None),
    }
}

/// Rebuilds a table of migration 0001 or 0002 as SQLite's documentation advises ("Making Other Kinds Of Table Schema
/// Changes"), with its rows, and with the indexes and triggers that others put on it. Django's unique index is left out:
/// [`add_unique_index`] adds it.
fn upgrade(transaction: &Connection, is_0001: bool) -> rusqlite::Result<()> {
    if is_0001 {
        transaction.execute_batch(
            "ALTER TABLE sms_verification RENAME COLUMN otp TO security_code;
             ALTER TABLE sms_verification RENAME COLUMN session_code TO session_token;
             ALTER TABLE sms_verification ADD COLUMN is_verified bool NOT NULL DEFAULT 0;",
        )?;
    }
    let mut others = transaction.prepare(
        "SELECT sql FROM sqlite_master
         WHERE tbl_name = 'sms_verification' AND type IN ('index', 'trigger') AND sql IS NOT NULL
           AND name NOT LIKE 'sms\\_verification\\_%\\_uniq' ESCAPE '\\'",
    )?;
    let others: Vec<String> = others.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    RECORDS.create(transaction, "new__sms_verification")?;
    transaction.execute_batch(
        "INSERT INTO new__sms_verification
             (rowid, id, created_at, modified_at, phone_number, security_code, session_token,
              is_verified, failed_attempts)
         SELECT rowid, id, created_at, modified_at, phone_number, security_code, session_token,
                is_verified, 0
         FROM sms_verification;
         DROP TABLE sms_verification;
         ALTER TABLE \"new__sms_verification\" RENAME TO \"sms_verification\";",
    )?;
    others.iter().try_for_each(|sql| transaction.execute_batch(sql))
}
