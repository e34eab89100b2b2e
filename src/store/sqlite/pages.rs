//! Lists, newest first and page by page, so that no lock is held while a page is shown.

use rusqlite::types::Value;
use rusqlite::{Row, params_from_iter};

use super::database::Database;
use super::selection::{Selection, after};
use crate::store::error::Result;
use crate::store::interface::{Page, Visit};

/// The most rows of one page. With smaller ones, a reader and a writer in two threads wait for each other too often.
const PAGE: u64 = 3000;

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
