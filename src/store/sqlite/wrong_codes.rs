//! The wrong codes of numbers: what a verification counts within its transaction, and all of them.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, params};

use super::database::Database;
use super::error::{Failure, expect_one, expect_stored};
use super::pages::{Pages, visit_pages};
use super::rows::read_wrong_code;
use super::selection::Selection;
use crate::model::timestamp::to_stored;
use crate::model::{Period, PhoneNumber};
use crate::store::copies::WrongCode;
use crate::store::error::StoreError;
use crate::store::interface::Visit;
use crate::store::schema::{CURRENT, Layout, WRONG_CODES};

/// Hands the wrong codes to `visit`, newest first and page by page.
pub(super) fn list(
    database: &Database,
    visit: &mut Visit<'_, WrongCode>,
) -> Result<(), StoreError> {
    if !database.run(|connection| Ok(WRONG_CODES.layout(connection)?))?.is_readable() {
        return Ok(());
    }
    let query = (WRONG_CODES.select(&CURRENT, ""), Vec::new());
    let mut pages = Pages::new(database, query, Selection::of_numbers(&[]), read_wrong_code);
    visit_pages(u64::MAX, |size| pages.next(size), visit)
}

/// Returns how many wrong codes of `phone_number` were counted within `period`.
pub(super) fn count(
    connection: &Connection,
    phone_number: &PhoneNumber,
    period: Period,
) -> Result<u32, Failure> {
    if !is_there(connection)? {
        return Ok(0);
    }
    let sql = "SELECT count(*) FROM sms_wrong_code
         WHERE phone_number = ?1 AND created_at BETWEEN ?2 AND ?3";
    let Period { from, until } = period;
    let parameters = params![phone_number.as_str(), to_stored(from), to_stored(until)];
    Ok(connection.query_row(sql, parameters, |row| row.get(0))?)
}

/// Counts a wrong code of `phone_number`. Creates the table if it is missing; even if Django manages the database, because Django
/// ignores other tables.
pub(super) fn add(
    transaction: &Connection,
    phone_number: &PhoneNumber,
    now: DateTime<Utc>,
) -> Result<(), Failure> {
    if !is_there(transaction)? {
        WRONG_CODES.create(transaction, WRONG_CODES.name)?;
        WRONG_CODES.add_indexes(transaction)?;
    }
    let sql = "INSERT INTO sms_wrong_code (phone_number, created_at) VALUES (?1, ?2)";
    let values = params![phone_number.as_str(), to_stored(now)];
    expect_one(transaction.execute(sql, values)?)?;
    let sql = "SELECT count(*) > 0 FROM sms_wrong_code
         WHERE rowid = last_insert_rowid() AND phone_number = ?1 AND created_at = ?2";
    Ok(expect_stored(transaction.query_row(sql, values, |row| row.get(0))?)?)
}

/// Forgets the wrong codes of `phone_number`, if there are any.
pub(super) fn forget(transaction: &Connection, phone_number: &PhoneNumber) -> Result<(), Failure> {
    if WRONG_CODES.layout(transaction)?.is_readable() {
        let number = [phone_number.as_str()];
        transaction.execute("DELETE FROM sms_wrong_code WHERE phone_number = ?1", number)?;
        let sql = "SELECT count(*) = 0 FROM sms_wrong_code WHERE phone_number = ?1";
        expect_stored(transaction.query_row(sql, number, |row| row.get(0))?)?;
    }
    Ok(())
}

/// Returns whether the table is there. A table of another program is an error.
fn is_there(connection: &Connection) -> Result<bool, Failure> {
    match WRONG_CODES.layout(connection)? {
        Layout::Foreign(error) => Err(error.into()),
        layout => Ok(layout != Layout::Missing),
    }
}
