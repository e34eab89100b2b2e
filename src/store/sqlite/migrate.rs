//! Creates a database, and brings an older one up to date.

use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;

use rusqlite::{Connection, ErrorCode, TransactionBehavior};

use super::database::{Database, check_folder, query};
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
    if create_if_missing(path)? {
        return Ok(Migration {
            table: TableChange::Created,
            ledger: TableChange::Created,
            indexes_added: RECORDS.indexes.iter().map(|index| index.name.to_owned()).collect(),
            warning: None,
        });
    }
    let mut database = Database::open(path)?;
    database.run(|connection| {
        // Neither the keys nor the views of other tables may follow the old table to its temporary name.
        connection.pragma_update(None, "foreign_keys", false)?;
        Ok(connection.pragma_update(None, "legacy_alter_table", true)?)
    })?;
    let migration = database.write(TransactionBehavior::Exclusive, bring_up_to_date);
    migration.map_err(|failure| failure.at(path))
}

/// Creates the database at `path` if there is none, and returns whether it did.
///
/// # Errors
/// Returns an error if the file can't be created.
pub(super) fn create_if_missing(path: &Path) -> Result<bool, StoreError> {
    match path.symlink_metadata() {
        Ok(_) => Ok(false),
        Err(error) if error.kind() == ErrorKind::NotFound => create(path),
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

fn bring_up_to_date(transaction: &Connection) -> Result<Migration, Failure> {
    let table = bring_records_up_to_date(transaction)?;
    let mut indexes_added = RECORDS.add_indexes(transaction)?;
    let obstacle = if RECORDS.has_index(transaction, &UNIQUE)? {
        None
    } else if is_django(transaction)? {
        Some("Django manages this database, and has to add it")
    } else {
        match RECORDS.add_index(transaction, &UNIQUE) {
            Ok(name) => {
                // It is part of a table that is created or upgraded.
                indexes_added.extend((table == TableChange::None).then_some(name));
                None
            }
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
                Some(
                    "it can't be added, as records have the same security code, phone number and session token",
                )
            }
            Err(error) => return Err(error.into()),
        }
    };
    let ledger = create_ledger_if_missing(transaction)?;
    indexes_added.extend(LEDGER.add_indexes(transaction)?);
    let missing = |why| format!("the unique index {} is missing: {why}", UNIQUE.name);
    Ok(Migration { table, ledger, indexes_added, warning: obstacle.map(missing) })
}

/// Creates or upgrades the table of the records, which only Django may do if it manages the database.
fn bring_records_up_to_date(transaction: &Connection) -> Result<TableChange, Failure> {
    let layout = RECORDS.layout(transaction)?;
    let state = match layout {
        Layout::Current { .. } => return Ok(TableChange::None),
        Layout::Foreign(error) => return Err(error.into()),
        Layout::Missing => "is missing",
        Layout::Older { .. } => "is of an older version",
    };
    if is_django(transaction)? {
        let problem =
            format!("the table sms_verification {state}, and Django manages this database");
        return Err(StoreError::new(problem, DJANGO_HINT).into());
    }
    if let Layout::Older { is_0001 } = layout {
        upgrade(transaction, is_0001)?;
        return Ok(TableChange::Upgraded);
    }
    RECORDS.create(transaction, RECORDS.name)?;
    Ok(TableChange::Created)
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
/// [`bring_up_to_date`] adds it.
fn upgrade(transaction: &Connection, is_0001: bool) -> rusqlite::Result<()> {
    if is_0001 {
        transaction.execute_batch(
            "ALTER TABLE sms_verification RENAME COLUMN otp TO security_code;
             ALTER TABLE sms_verification RENAME COLUMN session_code TO session_token;
             ALTER TABLE sms_verification ADD COLUMN is_verified bool NOT NULL DEFAULT 0;",
        )?;
    }
    let others = "SELECT sql FROM sqlite_master
         WHERE tbl_name = 'sms_verification' AND type IN ('index', 'trigger') AND sql IS NOT NULL
           AND name NOT LIKE 'sms\\_verification\\_%\\_uniq' ESCAPE '\\'";
    let others: Vec<String> = query(transaction, others, [], |row| row.get(0))?;
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
