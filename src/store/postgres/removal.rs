//! How rows are deleted: by ranges of `created_at`, each in a short transaction, so that nobody waits long for a row.

use std::time::Duration;

use super::connection::{Server, Session, read_one, transaction};
use super::error::{Failure, LOCK_TIMEOUT};
use super::lists::{has, table_of};
use super::selection::Selection;
use super::values::{RawValue, Value};
use crate::store::error::Result;
use crate::store::interface::Rows;
use crate::store::schema::{LEDGER, NOT_REFUSED, RECORDS, Table};

/// About how many rows one transaction deletes: all rows of the moment at which that many are found.
const BATCH: i64 = 50_000;
/// How long the deletion of a batch may take: without an index, the server looks at the whole table.
const DELETION: Duration = Duration::from_secs(3600);

/// Deletes these rows, and returns how many.
pub(super) fn delete(server: &mut Server, rows: &Rows) -> Result<u64> {
    let (table, selection) = table_of(rows);
    if !has(server, table)? {
        return Ok(0);
    }
    let is_copied = table.name == RECORDS.name && has(server, &LEDGER)?;
    let selection = selection.and("created_at < 'infinity'", []);
    let mut deleted = 0;
    let mut rest = selection.clone().and("created_at > '-infinity'", []);
    loop {
        let found = server.run(None, async |session| find(session, table, &rest).await)?;
        let Some((until, found)) = found else { return Ok(deleted) };
        let until = Value::Raw(until);
        let range = rest.and("created_at <= ?", [until.clone()]);
        let sql = delete_sql(table, &range, is_copied);
        // Whether an earlier transaction may have deleted the rows, because its connection was lost.
        let mut is_unsure = false;
        deleted += server.run(Some(DELETION), async |session| {
            let client = &session.client;
            let statement = async { Ok(client.execute_typed(&sql, &range.parameters()).await?) };
            let result = transaction(client, LOCK_TIMEOUT, statement).await;
            is_unsure |= result.as_ref().is_err_and(Failure::is_lost);
            Ok(match result? {
                0 if is_unsure => found,
                deleted => deleted,
            })
        })?;
        rest = selection.clone().and("created_at > ?", [until]);
    }
}

/// Returns the end of the range that the next batch deletes, and how many rows it has, or None if there are no more.
async fn find(
    session: &Session,
    table: &Table,
    rest: &Selection,
) -> Result<Option<(RawValue, u64)>, Failure> {
    let Selection { condition, .. } = rest;
    let sql = format!(
        "SELECT max(created_at), count(*) FROM (SELECT created_at FROM {} WHERE {condition}
             ORDER BY created_at LIMIT {BATCH}) AS batch",
        table.name
    );
    let row = read_one(&session.client, &sql, &rest.parameters()).await?;
    let until: Option<RawValue> = row.try_get(0)?;
    let found = row.try_get::<_, i64>(1)? as u64;
    Ok(until.map(|until| (until, found)))
}

/// Returns the statement that deletes the rows of `range`. The ledger learns first which records a Django site has verified; Django
/// changes `modified_at` then.
fn delete_sql(table: &Table, range: &Selection, is_copied: bool) -> String {
    let Selection { condition, .. } = range;
    let delete = format!("DELETE FROM {} WHERE {condition}", table.name);
    if !is_copied {
        return delete;
    }
    format!(
        "WITH copied AS (
             UPDATE sms_delivery SET verified_at = record.modified_at
             FROM (SELECT id, phone_number, modified_at FROM sms_verification
                 WHERE {condition} AND is_verified AND isfinite(modified_at)) AS record
             WHERE sms_delivery.phone_number = record.phone_number
               AND sms_delivery.verification_id = record.id AND sms_delivery.verified_at IS NULL AND {NOT_REFUSED})
         {delete}"
    )
}
