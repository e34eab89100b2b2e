//! Creates a database, and brings an older one up to date.

use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;

use rusqlite::{Connection, ErrorCode, TransactionBehavior};

use super::database::{Database, query};
use super::error::Failure;
use super::file::{BESIDE, beside, directory_of};
use super::tables::is_django;
use super::verified;
use crate::store::error::Result;
use crate::store::migration::{LEFT_TO_DJANGO, Migration, NOT_UNIQUE, TableChange};
use crate::store::schema::{LEDGER, Layout, RECORDS, UNIQUE, WRONG_CODES};

/// Brings the database at `path` up to date, as [`crate::store::migrate`] does.
pub fn migrate(path: &Path) -> Result<Migration> {
    if let Some(migration) = create_if_missing(path)? {
        return Ok(migration);
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

/// Creates the database at `path` if there is none. Returns None if there is one.
pub(super) fn create_if_missing(path: &Path) -> Result<Option<Migration>> {
    let migration = match path.symlink_metadata() {
        Ok(_) => Ok(None),
        Err(error) if error.kind() == ErrorKind::NotFound => create(path),
        Err(error) => Err(error.into()),
    };
    migration.map_err(|failure| failure.at(path))
}

/// Creates the database at `path` completely or not at all. Returns None if another process was faster.
///
/// It is created under a temporary name, which only its owner can read, and then linked into place. So neither a crash nor
/// another process can see an incomplete database. SQLite gives the WAL the permissions of the database.
fn create(path: &Path) -> Result<Option<Migration>, Failure> {
    let directory = directory_of(path)?;
    let file = tempfile::Builder::new()
        .prefix(".phone-verify-")
        .suffix(".sqlite3")
        .tempfile_in(directory)
        // The error itself names the temporary file, which means nothing to an operator.
        .map_err(|error| std::io::Error::from(error.kind()))?;
    let migration = fill(file.path()).inspect_err(|_| {
        // SQLite leaves these behind if it can't close the database properly, as on a full disk.
        for suffix in BESIDE {
            let _ = std::fs::remove_file(beside(file.path(), suffix));
        }
    })?;
    file.as_file().sync_all()?;
    // The file is closed before it is a database that somebody may have opened: closing it would drop the locks of this process.
    match file.into_temp_path().persist_noclobber(path) {
        Ok(()) => {
            // The directory's entry has to survive a power cut as well.
            File::open(directory)?.sync_all()?;
            Ok(Some(migration))
        }
        Err(error) if error.error.kind() == ErrorKind::AlreadyExists => Ok(None),
        Err(error) => Err(error.error.into()),
    }
}

/// Creates the tables and indexes in the empty file at `path`.
fn fill(path: &Path) -> Result<Migration, Failure> {
    let mut connection = Connection::open(path)?;
    let transaction = connection.transaction()?;
    let migration = bring_up_to_date(&transaction)?;
    transaction.commit()?;
    // Only now: if SQLite can't copy a log into the database when it closes, the log would be lost without an error.
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.close().map_err(|(_, error)| error)?;
    if BESIDE.iter().any(|suffix| beside(path, suffix).exists()) {
        return Err(Failure::from_code(rusqlite::ffi::SQLITE_IOERR_CLOSE));
    }
    Ok(migration)
}

fn bring_up_to_date(transaction: &Connection) -> Result<Migration, Failure> {
    let table = bring_records_up_to_date(transaction)?;
    let mut indexes_added = RECORDS.add_indexes(transaction)?;
    let obstacle = if RECORDS.has_index(transaction, &UNIQUE)? {
        None
    } else if is_django(transaction)? {
        Some(LEFT_TO_DJANGO)
    } else {
        match RECORDS.add_index(transaction, &UNIQUE) {
            Ok(name) => {
                // A created or upgraded table includes it.
                indexes_added.extend((table == TableChange::None).then_some(name));
                None
            }
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
                Some(NOT_UNIQUE)
            }
            Err(error) => return Err(error.into()),
        }
    };
    let ledger = bring_ledger_up_to_date(transaction)?;
    verified::copy_all(transaction)?;
    indexes_added.extend(LEDGER.add_indexes(transaction)?);
    if WRONG_CODES.layout(transaction)?.is_readable() {
        indexes_added.extend(WRONG_CODES.add_indexes(transaction)?);
    }
    let missing = |why| format!("the unique index {} is missing: {why}", UNIQUE.name);
    Ok(Migration { table, ledger, indexes_added, warning: obstacle.map(missing) })
}

/// Creates or upgrades the table of the records, unless Django manages the database and has to do that.
fn bring_records_up_to_date(transaction: &Connection) -> Result<TableChange, Failure> {
    let layout = RECORDS.layout(transaction)?;
    match layout {
        Layout::Current(_) => Ok(TableChange::None),
        Layout::Foreign(error) => Err(error.into()),
        _ if is_django(transaction)? => Err(RECORDS.outdated(&layout, true).into()),
        Layout::Missing => {
            RECORDS.create(transaction, RECORDS.name)?;
            Ok(TableChange::Created)
        }
        Layout::Older(_) | Layout::Of0001 | Layout::Of0002 => {
            upgrade(transaction, layout == Layout::Of0001)?;
            Ok(TableChange::Upgraded)
        }
    }
}

/// Creates the ledger or adds its missing columns; even if Django manages the database, because Django ignores other tables.
pub(super) fn bring_ledger_up_to_date(connection: &Connection) -> Result<TableChange, Failure> {
    match LEDGER.layout(connection)? {
        Layout::Foreign(error) => Err(error.into()),
        Layout::Missing => {
            LEDGER.create(connection, LEDGER.name)?;
            LEDGER.add_indexes(connection)?;
            Ok(TableChange::Created)
        }
        layout @ Layout::Older(_) => {
            LEDGER.add_columns(connection, &layout)?;
            Ok(TableChange::Upgraded)
        }
        _ => Ok(TableChange::None),
    }
}

/// Rebuilds a table of migration 0001 or 0002 as SQLite's documentation advises ("Making Other Kinds Of Table Schema
/// Changes"). Keeps its rows, and the indexes and triggers that others added, except for Django's unique index, which
/// [`bring_up_to_date`] adds.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_the_file_system_refuses_is_an_error_and_leaves_nothing_behind() {
        let directory = tempfile::tempdir().unwrap();
        let result = create(&directory.path().join("n".repeat(300)));
        assert!(result.is_err(), "{result:?}");
        assert_eq!(directory.path().read_dir().unwrap().count(), 0);
    }
}
