//! The tables, and how older ones are brought up to date.

use std::fs::File;
use std::path::Path;

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use super::database::{BUSY_TIMEOUT, Failure};
use super::error::{DJANGO_HINT, MIGRATE_HINT, store_error};
use super::file::{self, BESIDE, beside, check_file, folder_of, without_folder};
use super::indexes::{self, UniqueIndex};
use super::layout::{LEDGER, Layout, RECORDS, is_django, layout};
use crate::store::{Migration, StoreError, TableChange};

/// The table as django-phone-verify's migration 0003 leaves it on SQLite, in Django's own words.
const TABLE: &str = r#"("id" char(32) NOT NULL PRIMARY KEY, "created_at" datetime NOT NULL, "modified_at" datetime NOT NULL, "phone_number" varchar(128) NOT NULL, "security_code" varchar(120) NOT NULL, "session_token" varchar(500) NOT NULL, "is_verified" bool NOT NULL, "failed_attempts" integer unsigned NOT NULL CHECK ("failed_attempts" >= 0))"#;

/// The ledger: one row an attempt to reach a number through one backend. It outlives the records.
const CREATE_LEDGER: &str = "
    CREATE TABLE sms_delivery (
        id integer NOT NULL PRIMARY KEY AUTOINCREMENT,
        verification_id char(32) NOT NULL,
        phone_number varchar(128) NOT NULL,
        backend varchar(32) NOT NULL,
        state varchar(16) NOT NULL,
        message_id varchar(64),
        error_code varchar(64),
        error_message varchar(500),
        segments integer NOT NULL,
        tries integer NOT NULL,
        created_at datetime NOT NULL,
        updated_at datetime NOT NULL
    )";

/// Opens the file at `path`, whatever it holds. Where it may not be written, every change is an error.
///
/// # Errors
/// It is missing, no file, or can't be opened.
fn open_any(path: &Path) -> Result<Connection, StoreError> {
    check_file(path)?;
    // An absolute path can't be taken for one of SQLite's special names, such as `:memory:`.
    let file = path.canonicalize().map_err(|error| StoreError::io(path, &error))?;
    let open = || {
        let connection = file::open(&file, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        // A record has to outlive a power cut once its SMS has left.
        connection.pragma_update(None, "synchronous", "FULL")?;
        Ok(connection)
    };
    open().map_err(|error| store_error(path, &error))
}

/// Opens the database at `path`.
///
/// # Errors
/// It is missing, can't be opened, or does not hold the current table.
pub(super) fn open(path: &Path) -> Result<Connection, StoreError> {
    let connection = open_any(path)?;
    let problem = match layout(&connection, RECORDS).map_err(|error| store_error(path, &error))? {
        Layout::Current => return Ok(connection),
        Layout::Foreign(flaw) => return Err(flaw.at(path)),
        Layout::Missing => "there is no table sms_verification",
        Layout::Migration0001 | Layout::Migration0002 => {
            "the table sms_verification is of an older version"
        }
    };
    Err(StoreError::new(path, problem, Some(MIGRATE_HINT)))
}

/// Creates the database at `path` where there is none.
///
/// # Errors
/// The file can't be created.
pub(super) fn create_if_missing(path: &Path) -> Result<(), StoreError> {
    match path.symlink_metadata() {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => create(path).map(|_| ()),
        Err(error) => Err(StoreError::io(path, &error)),
    }
}

/// Creates the database at `path`, whole or not at all. Returns false where another process was faster.
///
/// It is made under a temporary name, readable by its owner alone, and then linked into place: neither a crash nor another
/// process can meet half a database. SQLite gives the WAL the permissions of the database.
fn create(path: &Path) -> Result<bool, StoreError> {
    without_folder(path).map_or(Ok(()), Err)?;
    let folder = folder_of(path);
    let file = tempfile::Builder::new()
        .prefix(".phone-verify-")
        .suffix(".sqlite3")
        .tempfile_in(folder)
        // The error itself names the temporary file, which says nothing to anybody.
        .map_err(|error| StoreError::io(path, &error.kind().into()))?;
    fill(file.path()).map_err(|error| {
        // SQLite leaves these behind where it can't close the database in order, as on a full disk.
        for suffix in BESIDE {
            let _ = std::fs::remove_file(beside(file.path(), suffix));
        }
        store_error(path, &error)
    })?;
    match file.persist_noclobber(path) {
        Ok(file) => {
            // The folder's entry has to outlive a power cut as well.
            file.sync_all()
                .and_then(|()| File::open(folder)?.sync_all())
                .map_err(|error| StoreError::io(path, &error))?;
            Ok(true)
        }
        Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(StoreError::io(path, &error.error)),
    }
}

/// Creates everything in the empty file at `path`.
fn fill(path: &Path) -> rusqlite::Result<()> {
    let mut connection = Connection::open(path)?;
    let transaction = connection.transaction()?;
    create_table(&transaction, RECORDS)?;
    indexes::add(&transaction, &[indexes::UNIQUE])?;
    indexes::add(&transaction, &indexes::OF_RECORDS)?;
    create_ledger(&transaction)?;
    transaction.commit()?;
    // Only now: a log that can't be copied into the database when it is closed would be lost without an error.
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.close().map_err(|(_, error)| error)?;
    if BESIDE.iter().any(|suffix| beside(path, suffix).exists()) {
        let error = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR_CLOSE);
        return Err(rusqlite::Error::SqliteFailure(error, None));
    }
    Ok(())
}

/// Brings the database at `path` up to date.
///
/// # Errors
/// It can't be used, holds another program's tables, or Django manages it and has not brought its table up to date.
pub(in crate::store) fn migrate(path: &Path) -> Result<Migration, StoreError> {
    if path.symlink_metadata().is_err() && create(path)? {
        return Ok(Migration {
            table: TableChange::Created,
            ledger: TableChange::Created,
            indexes_added: indexes::OF_RECORDS.map(|index| index.name.to_owned()).to_vec(),
            warning: None,
        });
    }
    let connection = open_any(path)?;
    bring_up_to_date(connection, path).map_err(|failure| failure.into_store_error(path))
}

fn bring_up_to_date(mut connection: Connection, path: &Path) -> Result<Migration, Failure> {
    // Neither the keys nor the views of other tables may follow the old table to its temporary name.
    connection.pragma_update(None, "foreign_keys", false)?;
    connection.pragma_update(None, "legacy_alter_table", true)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Exclusive)?;
    let table = bring_records_up_to_date(&transaction, path)?;
    let unique_index = indexes::add_unique(&transaction)?;
    let mut indexes_added = indexes::add(&transaction, &indexes::OF_RECORDS)?;
    // It is part of a table that is created or upgraded.
    if let UniqueIndex::Added(name) = &unique_index
        && table == TableChange::None
    {
        indexes_added.push(name.clone());
    }
    let ledger = create_ledger_if_missing(&transaction, path)?;
    indexes_added.extend(indexes::add(&transaction, &indexes::OF_LEDGER)?);
    transaction.commit()?;
    let reason = match unique_index {
        UniqueIndex::There | UniqueIndex::Added(_) => None,
        UniqueIndex::LeftToDjango => Some("Django manages this database, and has to add it"),
        UniqueIndex::AgainstRows => Some(
            "it can't be added, as records have the same security code, phone number and session token",
        ),
    };
    let missing =
        |reason| format!("the unique index {} is missing: {reason}", indexes::UNIQUE.name);
    Ok(Migration { table, ledger, indexes_added, warning: reason.map(missing) })
}

/// Creates or upgrades the table of the records, which only Django may do where it manages the database.
fn bring_records_up_to_date(
    transaction: &Transaction<'_>,
    path: &Path,
) -> Result<TableChange, Failure> {
    let is_django = is_django(transaction)?;
    match layout(transaction, RECORDS)? {
        Layout::Current => Ok(TableChange::None),
        Layout::Foreign(flaw) => Err(flaw.at(path).into()),
        Layout::Missing if is_django => Err(left_to_django(path, "is missing").into()),
        _ if is_django => Err(left_to_django(path, "is of an older version").into()),
        Layout::Missing => {
            create_table(transaction, RECORDS)?;
            Ok(TableChange::Created)
        }
        old @ (Layout::Migration0001 | Layout::Migration0002) => {
            upgrade(transaction, old)?;
            Ok(TableChange::Upgraded)
        }
    }
}

fn left_to_django(path: &Path, state: &str) -> StoreError {
    let problem = format!("the table sms_verification {state}, and Django manages this database");
    StoreError::new(path, problem, Some(DJANGO_HINT))
}

/// Creates the table of the records under `name`, without an index.
fn create_table(connection: &Connection, name: &str) -> rusqlite::Result<()> {
    connection.execute_batch(&["CREATE TABLE \"", name, "\" ", TABLE].concat())
}

/// Creates the ledger where it is missing; a database that Django manages gets it too, as Django does not mind.
pub(super) fn create_ledger_if_missing(
    connection: &Connection,
    path: &Path,
) -> Result<TableChange, Failure> {
    match layout(connection, LEDGER)? {
        Layout::Foreign(flaw) => Err(flaw.at(path).into()),
        Layout::Missing => {
            create_ledger(connection)?;
            Ok(TableChange::Created)
        }
        _ => Ok(TableChange::None),
    }
}

fn create_ledger(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(CREATE_LEDGER)?;
    indexes::add(connection, &indexes::OF_LEDGER).map(|_| ())
}

/// Rebuilds a table of migration 0001 or 0002 as SQLite's documentation advises ("Making Other Kinds Of Table Schema
/// Changes"), with its rows, and with the indexes and triggers that others put on it. Django's unique index is left out:
/// [`indexes::add_unique`] adds it.
fn upgrade(transaction: &Transaction<'_>, old: Layout) -> rusqlite::Result<()> {
    if old == Layout::Migration0001 {
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
    create_table(transaction, "new__sms_verification")?;
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
