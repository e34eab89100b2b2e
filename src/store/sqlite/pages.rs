//! Lists, newest first and page by page, so that no lock is held while a page is shown.

use rusqlite::types::Value;
use rusqlite::{Row, params_from_iter};

use super::database::Database;
use super::selection::{Selection, after};
use crate::store::error::Result;
use crate::store::interface::{PAGE, Page, Visit};

/// Rows of a table, newest first.
pub(super) struct Pages<'a, T> {
    database: &'a Database,
    /// A query without clauses, and the values of its parameters.
    query: (String, Vec<Value>),
    /// Which rows of the table belong to the list.
    selection: Selection,
    /// Which of them are left.
    rest: Option<Selection>,
    read: fn(&Row<'_>) -> T,
}

impl<'a, T> Pages<'a, T> {
    /// Reads the rows of `query`, whose first column is the rowid, and one of whose columns is called `created_at`.
    pub(super) fn new(
        database: &'a Database,
        query: (String, Vec<Value>),
        selection: Selection,
        read: fn(&Row<'_>) -> T,
    ) -> Self {
        let rest = Some(selection.clone());
        Self { database, query, selection, rest, read }
    }

    /// Returns the next `size` rows, or all that are left.
    pub(super) fn next(&mut self, size: u64) -> Result<Vec<T>> {
        let Some(Selection { condition, parameters }) = self.rest.take() else {
            return Ok(Vec::new());
        };
        let (select, values) = &self.query;
        let order = "ORDER BY created_at DESC, rowid DESC LIMIT";
        let sql = format!("{select} WHERE {condition} {order} {size}");
        let (page, rest) = self.database.run(|connection| {
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = statement.query(params_from_iter(values.iter().chain(&parameters)))?;
            let mut page = Vec::new();
            while let Some(row) = rows.next()? {
                page.push((self.read)(row));
                if page.len() as u64 == size {
                    return Ok((page, Some(after(row)?)));
                }
            }
            Ok((page, None))
        })?;
        // Of two conditions on the time, SQLite looks up the first one in the index, and reads whatever the other leaves out.
        let Selection { condition, parameters } = &self.selection;
        self.rest = rest.map(|rest| rest.and(condition, parameters.iter().cloned()));
        Ok(page)
    }
}

/// Hands pages to `visit` until it has handed over `limit` readable rows. `next` returns the next rows, at most as many as it is
/// told, and fewer at the end.
pub(super) fn visit_pages<T>(
    limit: u64,
    mut next: impl FnMut(u64) -> Result<Page<T>>,
    visit: &mut Visit<'_, T>,
) -> Result<()> {
    let mut left = limit;
    loop {
        let size = left.min(PAGE);
        let page = next(size)?;
        let is_last = (page.len() as u64) < size;
        left -= page.iter().filter(|row| row.is_ok()).count() as u64;
        if !visit(page) || is_last || left == 0 {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};
    use rusqlite::{StatementStatus, params};

    use super::*;
    use crate::model::timestamp::to_stored;
    use crate::model::{Period, PhoneNumber};
    use crate::store::interface::RecordFilter;
    use crate::store::sqlite::engine::Sqlite;
    use crate::system::clock::Clock;

    const NUMBER: &str = "+12025550100";
    const RECORDS: u16 = 300;
    /// More instructions of SQLite's virtual machine than it takes to find a page and to read a row of it, but fewer than it takes
    /// to pass over half of the rows.
    const MOST_STEPS: i32 = 300;

    #[test]
    fn no_page_reads_the_rows_before_it_again() {
        let now = DateTime::from_timestamp(1_795_000_000, 0).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let clock = Clock::from_fn(move || now);
        let mut store = Sqlite::open_to_send(&directory.path().join("db.sqlite3"), &clock).unwrap();
        store
            .write(|transaction| {
                let sql =
                    "INSERT INTO sms_verification (id, security_code, phone_number, session_token,
                         is_verified, failed_attempts, created_at, modified_at)
                     VALUES (?1, '123456', ?2, ?1, 0, 0, ?3, ?3)";
                for record in 0..RECORDS {
                    let created_at = to_stored(now - TimeDelta::seconds(record.into()));
                    transaction
                        .execute(sql, params![format!("{record:032x}"), NUMBER, created_at])?;
                }
                Ok(())
            })
            .unwrap();
        let all = Period::last(TimeDelta::days(1), now);
        let newest = Period::last(TimeDelta::zero(), now);
        let number = PhoneNumber::from_stored(NUMBER.to_owned());
        let filter = RecordFilter::default;
        for filter in [
            filter(),
            RecordFilter { created_from: Some(all.from), ..filter() },
            RecordFilter { created_until: Some(all.until), ..filter() },
            RecordFilter {
                created_from: Some(all.from),
                created_until: Some(all.until),
                ..filter()
            },
            RecordFilter { created_outside: Some(newest), ..filter() },
            RecordFilter {
                numbers: vec![number.into()],
                created_until: Some(all.until),
                ..filter()
            },
        ] {
            let query = ("SELECT rowid, created_at FROM sms_verification".to_owned(), Vec::new());
            let steps = |row: &Row<'_>| row.as_ref().reset_status(StatementStatus::VmStep);
            let mut pages =
                Pages::new(&store.database, query, Selection::of_records(&filter), steps);
            let mut rows = 0;
            while let page @ [_, ..] = &*pages.next(10).unwrap() {
                rows += page.len();
                assert!(page.iter().all(|steps| *steps < MOST_STEPS), "{filter:?}: {page:?}");
            }
            let outside = usize::from(filter.created_outside.is_some());
            assert_eq!(rows, usize::from(RECORDS) - outside, "{filter:?}");
        }
    }
}
