//! What a server says about itself: the time, and which tables it holds.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};

use super::error::Failure;
use crate::store::error::StoreError;
use crate::store::schema::{CURRENT, Column, LEDGER, LOCKS, Layout, RECORDS, Table, WRONG_CODES};
use crate::system::clock::Clock;

/// The tables that a server may hold.
static TABLES: [&Table; 4] = [&RECORDS, &LEDGER, &WRONG_CODES, &LOCKS];
/// The table with which Django keeps track of its migrations.
const MIGRATIONS_OF_DJANGO: &str = "django_migrations";
/// The columns of the server's time and encoding.
const SETTINGS: &str = "clock_timestamp(), current_setting('server_encoding') = 'UTF8'";

/// What holds for each row of a table. A view doesn't have the column, so that a statement with it fails if the guess of
/// [`Facts::guess`] is wrong.
pub(super) const IS_IN_TABLE: &str = "tableoid IS NOT NULL";

/// The server's time, encoding and tables, as a session found them when it first asked.
pub(super) struct Facts {
    /// The server's clock.
    pub(super) clock: Clock,
    /// Whether the database can hold every character.
    pub(super) has_unicode: bool,
    /// The layout of each of [`TABLES`], by its name.
    layouts: HashMap<&'static str, Layout>,
    /// Whether Django manages the database.
    pub(super) is_django: bool,
    /// The tables that are partitioned.
    partitioned: Vec<String>,
    /// Whether the server was asked for its tables.
    pub(super) is_certain: bool,
}

impl Facts {
    /// Asks the server.
    pub(super) async fn read(client: &Client, clock: &Clock) -> Result<Self, Failure> {
        let names = TABLES.iter().map(|table| table.name).chain([MIGRATIONS_OF_DJANGO]);
        let names: Vec<_> = names.collect();
        // With quote_all_identifiers, the server quotes the names of types.
        let sql = format!(
            "SELECT {SETTINGS}, wanted.name, class.relkind, attribute.attname::text,
                 attribute.attnotnull AND NOT attribute.atthasdef AND attribute.attidentity = '',
                 replace(format_type(attribute.atttypid, NULL), '\"', '')
             FROM unnest($1::text[]) AS wanted(name)
             LEFT JOIN pg_class AS class ON class.oid = to_regclass(wanted.name)
             LEFT JOIN pg_attribute AS attribute ON attribute.attrelid = class.oid
                 AND attribute.attnum > 0 AND NOT attribute.attisdropped
             ORDER BY wanted.name, attribute.attnum"
        );
        let rows = client.query_typed(&sql, &[(&names, Type::TEXT_ARRAY)]).await?;
        // Each name has a row, whether the table is there or not.
        let (clock, has_unicode) = read_settings(&rows[0], clock)?;
        let mut found = read_tables(&rows)?;
        let is_django = found.contains_key(MIGRATIONS_OF_DJANGO);
        let partitioned = found.iter().filter(|(_, (kind, _))| *kind == b'p');
        let partitioned = partitioned.map(|(name, _)| name.clone()).collect();
        let layout = |table: &Table| (table.name, layout_of(table, found.remove(table.name)));
        let layouts = TABLES.into_iter().map(layout).collect();
        Ok(Self { clock, has_unicode, layouts, is_django, partitioned, is_certain: true })
    }

    /// Asks the server for its time and encoding alone. That its tables are as they should be is likely.
    pub(super) async fn guess(client: &Client, clock: &Clock) -> Result<Self, Failure> {
        let row = client.query_typed_one(&format!("SELECT {SETTINGS}"), &[]).await?;
        let (clock, has_unicode) = read_settings(&row, clock)?;
        let layouts = TABLES.into_iter().map(|table| (table.name, CURRENT)).collect();
        let (is_django, partitioned) = (false, Vec::new());
        Ok(Self { clock, has_unicode, layouts, is_django, partitioned, is_certain: false })
    }

    /// Returns the layout of `table`.
    pub(super) fn layout(&self, table: &Table) -> &Layout {
        &self.layouts[table.name]
    }

    /// Returns whether `table` is partitioned.
    pub(super) fn is_partitioned(&self, table: &Table) -> bool {
        self.partitioned.iter().any(|name| name == table.name)
    }

    /// Checks that the records can be read and written.
    pub(super) fn check_records(&self) -> Result<(), StoreError> {
        match self.layout(&RECORDS) {
            Layout::Current(_) => Ok(()),
            Layout::Foreign(error) => Err(error.clone()),
            layout => Err(RECORDS.outdated(layout, self.is_django)),
        }
    }

    /// Checks that the records can be read and written, and that no other program has made `table` or that of the locks.
    pub(super) fn check_with(&self, table: &Table) -> Result<(), StoreError> {
        self.check_records()?;
        match (self.layout(table), self.layout(&LOCKS)) {
            (Layout::Foreign(error), _) | (_, Layout::Foreign(error)) => Err(error.clone()),
            _ => Ok(()),
        }
    }
}

/// Reads the server's clock, and whether the database can hold every character, from [`SETTINGS`].
fn read_settings(row: &Row, clock: &Clock) -> Result<(Clock, bool), tokio_postgres::Error> {
    Ok((clock.of_server(row.try_get::<_, DateTime<Utc>>(0)?), row.try_get(1)?))
}

/// A table as the server has it: its kind, as `pg_class` names it, and its columns with their types.
type Found = (u8, Vec<(Column, String)>);

/// Returns the tables that are there, by their names.
fn read_tables(rows: &[Row]) -> Result<HashMap<String, Found>, tokio_postgres::Error> {
    let mut tables = HashMap::new();
    for row in rows {
        let Some(kind) = row.try_get::<_, Option<i8>>(3)? else { continue };
        let (_, columns) = tables.entry(row.try_get(2)?).or_insert((kind as u8, Vec::new()));
        columns.extend(column(row)?);
    }
    Ok(tables)
}

fn layout_of(table: &Table, found: Option<Found>) -> Layout {
    let Some((kind, columns)) = found else { return Layout::Missing };
    if !matches!(kind, b'r' | b'p') {
        let name = table.name;
        let problem = format!("{name} is a view or a foreign table, and has to be a table");
        let hint = "rename it, then run `phone-verify migrate`";
        return Layout::Foreign(StoreError::new(problem, hint));
    }
    let has_type = |(column, found): &(Column, String)| {
        let expected = table.knows(&column.name).then(|| type_of(table, &column.name));
        expected.flatten().is_none_or(|expected| expected.contains(&found.as_str()))
    };
    if !columns.iter().all(has_type) {
        return table.foreign();
    }
    match table.layout_of(columns.into_iter().map(|(column, _)| column).collect()) {
        // No server has the ledger of an older version.
        Layout::Older(_) => table.foreign(),
        layout => layout,
    }
}

fn column(row: &Row) -> Result<Option<(Column, String)>, tokio_postgres::Error> {
    let Some(name) = row.try_get(4)? else { return Ok(None) };
    Ok(Some((Column { name, must_be_given: row.try_get(5)? }, row.try_get(6)?)))
}

/// Returns the types that the column `name` of `table` may have.
fn type_of(table: &Table, name: &str) -> Option<&'static [&'static str]> {
    const INTEGER: &[&str] = &["integer"];
    const TIME: &[&str] = &["timestamp with time zone"];
    const TEXT: &[&str] = &["character varying", "text"];
    Some(match name {
        "id" if table.name == RECORDS.name => &["uuid"],
        "id" if table.name == LOCKS.name => INTEGER,
        "id" => &["bigint"],
        "verification_id" => &["uuid"],
        "is_verified" => &["boolean"],
        "failed_attempts" | "segments" | "tries" => INTEGER,
        "created_at" | "modified_at" | "updated_at" | "verified_at" => TIME,
        "phone_number" | "security_code" | "session_token" | "otp" | "session_code" | "backend"
        | "state" | "message_id" | "error_code" | "error_message" | "language" => TEXT,
        _ => return None,
    })
}
