//! Lists, newest first and page by page, so that no lock is held while a page is shown.

use rusqlite::types::Value;
use rusqlite::{Row, params_from_iter};

use super::database::Database;
use super::selection::{Selection, after};
use crate::store::error::{DamagedRow, Result};
use crate::store::interface::{Page, Visit};
use crate::store::schema::{Layout, Table};

/// The most rows of one page.
const PAGE: u64 = 1000;

/// A list of rows, newest first.
pub(super) struct Pages<'a, T> {
    /// The table and its layout.
    pub(super) table: (&'a Table, &'a Layout),
    /// The columns behind those of the table, and the values of their parameters.
    pub(super) further_columns: (&'a str, Vec<Value>),
    /// Which rows.
    pub(super) selection: Selection,
    /// Reads a row.
    pub(super) read: fn(&Row<'_>) -> Result<T, DamagedRow>,
}

impl<T> Pages<'_, T> {
    /// Hands the rows to `visit`, page by page, until it has handed over `limit` readable ones.
    pub(super) fn visit(
        &self,
        database: &Database,
        limit: u64,
        visit: &mut Visit<'_, T>,
    ) -> Result<()> {
        let (table, layout) = self.table;
        let (further_columns, values) = &self.further_columns;
        let mut left = limit;
        let mut rest = None;
        loop {
            let size = left.min(PAGE);
            let selection = match rest.take() {
                None => self.selection.clone(),
                Some((condition, values)) => self.selection.clone().and(condition, values),
            };
            let condition = &selection.condition;
            let order = "ORDER BY created_at DESC, rowid DESC LIMIT";
            let clauses = format!("WHERE {condition} {order} {size}");
            let sql = table.select(layout, further_columns, &clauses);
            let (page, next) = database.run(|connection| {
                let mut statement = connection.prepare_cached(&sql)?;
                let parameters = values.iter().chain(&selection.parameters);
                let mut rows = statement.query(params_from_iter(parameters))?;
                let mut page = Page::new();
                while let Some(row) = rows.next()? {
                    page.push((self.read)(row));
                    if page.len() as u64 == size {
                        return Ok((page, Some(after(row)?)));
                    }
                }
                Ok((page, None))
            })?;
            left -= page.iter().filter(|row| row.is_ok()).count() as u64;
            let goes_on = visit(page) && left > 0;
            rest = next.filter(|_| goes_on);
            if rest.is_none() {
                return Ok(());
            }
        }
    }
}
