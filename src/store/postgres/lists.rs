//! Lists, newest first and page by page, counts, and look-ups.

use chrono::{DateTime, Utc};
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::connection::{Server, read, read_one, transaction};
use super::error::{Failure, LOCK_TIMEOUT};
use super::rows::{NOT_A_TIME, read_delivery, read_listed_record, read_wrong_code};
use super::selection::Selection;
use super::values::Value;
use crate::model::{Delivery, PhoneNumber, latest};
use crate::store::copies::WrongCode;
use crate::store::error::{DamagedRow, Result};
use crate::store::interface::{DeliveryFilter, PAGE, Page, RecordFilter, Rows, Visit};
use crate::store::schema::{LEDGER, RECORDS, Table, WRONG_CODES, superseded};

/// Hands the records that `filter` selects to `visit`, as [`crate::store::Store::list`] does.
pub(super) fn list(
    server: &mut Server,
    filter: &RecordFilter,
    limit: u64,
    visit: &mut Visit<'_>,
) -> Result<()> {
    let (has_ledger, now) = server.run(None, async |session| {
        let facts = session.facts().await?;
        facts.check_records()?;
        Ok((facts.layout(&LEDGER).is_readable(), facts.clock.now()))
    })?;
    let mut selection = Selection::of_records(filter);
    let mut place = |time: DateTime<Utc>| {
        selection.values.push(time.into());
        format!("${}", selection.values.len())
    };
    let latest = place(latest(now));
    let is_superseded = filter.look_up.superseded_from.map(&mut place);
    let is_superseded = is_superseded.map(|from| superseded(&from, &latest));
    let newest_delivery = (filter.look_up.delivery && has_ledger).then(|| {
        format!(
            "(SELECT state FROM sms_delivery
                 WHERE sms_delivery.phone_number = sms_verification.phone_number
                   AND sms_delivery.verification_id = sms_verification.id
                   AND sms_delivery.created_at <= {latest}
                 ORDER BY sms_delivery.created_at DESC, sms_delivery.id DESC LIMIT 1)"
        )
    });
    let further_columns = format!(
        ", {}, {}",
        is_superseded.as_deref().unwrap_or("FALSE"),
        newest_delivery.as_deref().unwrap_or("NULL::text")
    );
    let read = read_listed_record;
    Pages { table: &RECORDS, further_columns, selection, read }.visit(server, limit, visit)
}

/// Hands the deliveries that `filter` selects to `visit`, as [`crate::store::Store::deliveries`] does.
pub(super) fn deliveries(
    server: &mut Server,
    filter: &DeliveryFilter,
    limit: u64,
    visit: &mut Visit<'_, Delivery>,
) -> Result<()> {
    let (selection, read) = (Selection::of_deliveries(filter), read_delivery);
    Pages { table: &LEDGER, further_columns: String::new(), selection, read }
        .visit(server, limit, visit)
}

/// Hands the wrong codes to `visit`, as [`crate::store::Store::list_wrong_codes`] does.
pub(super) fn list_wrong_codes(
    server: &mut Server,
    visit: &mut Visit<'_, WrongCode>,
) -> Result<()> {
    let (selection, read) = (Selection::of_numbers(&[]), read_wrong_code);
    Pages { table: &WRONG_CODES, further_columns: String::new(), selection, read }.visit(
        server,
        u64::MAX,
        visit,
    )
}

/// Returns whether the rows of `table` can be read. Without the records, nothing can.
pub(super) fn has(server: &mut Server, table: &Table) -> Result<bool> {
    server.run(None, async |session| {
        let facts = session.facts().await?;
        facts.check_records()?;
        Ok(facts.layout(table).is_readable())
    })
}

/// Returns the table of `rows`, and which of its rows they are.
pub(super) fn table_of(rows: &Rows) -> (&'static Table, Selection) {
    match rows {
        Rows::Records(filter) => (&RECORDS, Selection::of_records(filter)),
        Rows::Deliveries(filter) => (&LEDGER, Selection::of_deliveries(filter)),
        Rows::WrongCodes(filter) => {
            (&WRONG_CODES, Selection::of_numbers(&filter.numbers).outside(filter.created_outside))
        }
    }
}

/// Returns how many of these rows there are.
pub(super) fn count(server: &mut Server, rows: &Rows) -> Result<u64> {
    let (table, selection) = table_of(rows);
    if !has(server, table)? {
        return Ok(0);
    }
    let sql = format!("SELECT count(*) FROM {} WHERE {}", table.name, selection.condition);
    server.run(None, async |session| {
        let row = read_one(&session.client, &sql, &selection.parameters()).await?;
        Ok(row.try_get::<_, i64>(0)? as u64)
    })
}

/// Returns the numbers that end in `digits`, those that were sent to last first.
pub(super) fn numbers_ending(
    server: &mut Server,
    digits: &str,
    limit: usize,
) -> Result<Vec<PhoneNumber>> {
    let newest = |table: &Table| {
        format!(
            "SELECT phone_number, max(created_at) AS created_at FROM {}
                 WHERE phone_number LIKE $1 GROUP BY phone_number",
            table.name
        )
    };
    let mut tables = newest(&RECORDS);
    if has(server, &LEDGER)? {
        tables += &format!(" UNION ALL {}", newest(&LEDGER));
    }
    let sql = format!(
        "SELECT phone_number FROM ({tables}) AS found
             GROUP BY phone_number ORDER BY max(created_at) DESC LIMIT $2"
    );
    let (pattern, limit) = (format!("%{digits}"), i64::try_from(limit).unwrap_or(i64::MAX));
    server.run(None, async |session| {
        let parameters = [(&pattern as _, Type::TEXT), (&limit as _, Type::INT8)];
        let rows = read(&session.client, &sql, &parameters).await?;
        let number = |row: &Row| Ok(PhoneNumber::from_stored(row.try_get(0)?));
        rows.iter().map(number).collect()
    })
}

/// Returns the records whose `created_at` no calendar has.
pub(super) fn damaged_times(server: &mut Server) -> Result<Vec<DamagedRow>> {
    let sql = "SELECT id FROM sms_verification WHERE created_at IN ('infinity', '-infinity')";
    server.run(None, async |session| {
        let rows = read(&session.client, sql, &[]).await?;
        let damaged = |row: &Row| {
            let row = row.try_get::<_, Uuid>(0)?.to_string();
            let (table, column) = (RECORDS.name, "created_at");
            Ok(DamagedRow { table, row, column, problem: NOT_A_TIME })
        };
        rows.iter().map(damaged).collect()
    })
}

/// A list of rows, newest first.
struct Pages<T> {
    table: &'static Table,
    /// The columns behind those of the table.
    further_columns: String,
    /// Which rows.
    selection: Selection,
    /// Reads a row.
    read: fn(&Row) -> Result<T, DamagedRow>,
}

/// The time and the id of a row.
type Cursor = [Value; 2];

impl<T> Pages<T> {
    /// Hands the rows to `visit`, page by page, until it has handed over `limit` readable ones. Without the table there are none.
    fn visit(&self, server: &mut Server, limit: u64, visit: &mut Visit<'_, T>) -> Result<()> {
        let Self { table, further_columns, .. } = self;
        let (name, columns) = (table.name, table.columns);
        let mut left = limit;
        let mut rest: Option<Cursor> = None;
        loop {
            let size = left.min(PAGE);
            let selection = match rest.take() {
                None => self.selection.clone(),
                Some(cursor) => self.selection.clone().and("(created_at, id) < (?, ?)", cursor),
            };
            let condition = &selection.condition;
            let sql = format!(
                "SELECT {columns}{further_columns} FROM {name} WHERE {condition}
                     ORDER BY created_at DESC, id DESC LIMIT {size}"
            );
            let rows = server.run(None, async |session| {
                let (client, parameters) = (&session.client, selection.parameters());
                transaction(client, LOCK_TIMEOUT, async {
                    let rows = client.query_typed(&sql, &parameters);
                    let (facts, rows) = tokio::join!(biased; session.facts(), rows);
                    let facts = facts?;
                    facts.check_records()?;
                    if facts.layout(table).is_readable() { Ok(rows?) } else { Ok(Vec::new()) }
                })
                .await
            })?;
            let last = rows.last().filter(|_| rows.len() as u64 == size);
            let next = last.map(|row| cursor(row, table)).transpose();
            let next = next.map_err(|failure| failure.at(server.address()))?;
            let page: Page<T> = rows.iter().map(self.read).collect();
            drop(rows);
            left -= page.iter().filter(|row| row.is_ok()).count() as u64;
            let goes_on = visit(page) && left > 0;
            rest = next.filter(|_| goes_on);
            if rest.is_none() {
                return Ok(());
            }
        }
    }
}

/// Returns the place of `row` in the order: its `created_at`, and then its id.
fn cursor(row: &Row, table: &Table) -> Result<Cursor, Failure> {
    let created_at = table.column_names().position(|name| name == "created_at");
    let (time, id) = (row.try_get(created_at.unwrap_or_default())?, row.try_get(0)?);
    Ok([time, id].map(Value::Raw))
}
