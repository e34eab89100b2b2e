//! How SQLite holds the tables and their indexes.

use rusqlite::{Connection, OptionalExtension, Result, Row};

use crate::store::error::StoreError;
use crate::store::schema::{Column, Index, LEDGER, Layout, RECORDS, Table};

/// Returns the part of the table's CREATE TABLE behind the name: for the records exactly as Django writes it.
fn definition(table: &Table) -> &'static str {
    match table.name {
        name if name == RECORDS.name => {
            r#"("id" char(32) NOT NULL PRIMARY KEY, "created_at" datetime NOT NULL, "modified_at" datetime NOT NULL, "phone_number" varchar(128) NOT NULL, "security_code" varchar(120) NOT NULL, "session_token" varchar(500) NOT NULL, "is_verified" bool NOT NULL, "failed_attempts" integer unsigned NOT NULL CHECK ("failed_attempts" >= 0))"#
        }
        name if name == LEDGER.name => {
            "(
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
            updated_at datetime NOT NULL,
            language varchar(64),
            verified_at datetime
        )"
        }
        _ => {
            "(
            id integer NOT NULL PRIMARY KEY,
            phone_number varchar(128) NOT NULL,
            created_at datetime NOT NULL
        )"
        }
    }
}

impl Table {
    /// Returns a query for the rowid and all columns. Those that an older `layout` lacks are NULL.
    pub(super) fn select(&self, layout: &Layout, clauses: &str) -> String {
        let column = |name| if layout.lacks(name) { "NULL" } else { name };
        let columns = self.column_names().map(column).collect::<Vec<_>>().join(", ");
        format!("SELECT rowid, {columns} FROM {} {clauses}", self.name)
    }

    /// Adds the columns that an older `layout` lacks.
    pub(super) fn add_columns(&self, connection: &Connection, layout: &Layout) -> Result<()> {
        for (column, of_type) in self.added.iter().filter(|(name, _)| layout.lacks(name)) {
            let sql = format!("ALTER TABLE \"{}\" ADD COLUMN {column} {of_type}", self.name);
            connection.execute_batch(&sql)?;
        }
        Ok(())
    }

    /// Creates the table under `name`, without an index.
    pub(super) fn create(&self, connection: &Connection, name: &str) -> Result<()> {
        connection.execute_batch(&format!("CREATE TABLE \"{name}\" {}", definition(self)))
    }

    pub(super) fn layout(&self, connection: &Connection) -> Result<Layout> {
        let name = self.name;
        // A statement on the schema's table sees it as the transaction does. What the connection remembers may be older.
        let sql = "SELECT ifnull(list.type = 'table' AND NOT list.wr, FALSE), info.name,
                 info.\"notnull\" AND info.dflt_value IS NULL
             FROM sqlite_master AS master
             LEFT JOIN pragma_table_list(master.name) AS list ON list.schema = 'main'
             LEFT JOIN pragma_table_info(master.name) AS info
             WHERE master.name = ?1 COLLATE NOCASE AND master.type <> 'trigger'";
        let column = |row: &Row<'_>| {
            let is_ordinary_table = row.get(0)?;
            let column = || Ok(Column { name: row.get(1)?, must_be_given: row.get(2)? });
            if is_ordinary_table { column().map(Some) } else { Ok(None) }
        };
        let mut statement = connection.prepare_cached(sql)?;
        let columns: Vec<_> = statement.query_map([name], column)?.collect::<Result<_, _>>()?;
        let Some(columns) = columns.into_iter().collect::<Option<Vec<_>>>() else {
            let problem = format!(
                "{name} is a view, a virtual table, an index or a table WITHOUT ROWID, and has to be an ordinary table"
            );
            let hint = "rename it, then run `phone-verify migrate`";
            return Ok(Layout::Foreign(StoreError::new(problem, hint)));
        };
        Ok(self.layout_of(columns))
    }

    /// Adds the missing indexes, and returns their names.
    pub(super) fn add_indexes(&self, connection: &Connection) -> Result<Vec<String>> {
        let missing = self.missing_indexes(connection)?;
        missing.into_iter().map(|index| self.add_index(connection, index)).collect()
    }

    pub(super) fn missing_indexes(&self, connection: &Connection) -> Result<Vec<&Index>> {
        let mut missing = Vec::new();
        for index in self.indexes {
            if !self.has_index(connection, index)? {
                missing.push(index);
            }
        }
        Ok(missing)
    }

    /// Creates an index and returns its name, which gets a number if something else has this name.
    pub(super) fn add_index(&self, connection: &Connection, index: &Index) -> Result<String> {
        let mut name = index.name.to_owned();
        let mut number = 1;
        while kind_of(connection, &name)?.is_some() {
            number += 1;
            name = format!("{}_{number}", index.name);
        }
        connection.execute_batch(&self.index_sql(index, &name))?;
        Ok(name)
    }

    /// Returns the statement that creates an index under `name`, as Django writes it.
    pub(super) fn index_sql(&self, index: &Index, name: &str) -> String {
        let unique = if index.is_unique { "UNIQUE " } else { "" };
        let columns = index.columns.replace(", ", r#"", ""#);
        format!(r#"CREATE {unique}INDEX "{name}" ON "{}" ("{columns}")"#, self.name)
    }

    /// Returns whether there is an index that does the work of `index`.
    pub(super) fn has_index(&self, connection: &Connection, index: &Index) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM pragma_index_list(?1) AS list
             WHERE NOT partial AND (\"unique\" OR NOT ?2) AND ?3 = (
                 SELECT group_concat(iif(\"desc\" OR coll <> 'BINARY', '?', coalesce(name, '?')), ', ')
                 FROM (SELECT * FROM pragma_index_xinfo(list.name) WHERE key ORDER BY seqno)))";
        let parameters = (self.name, index.is_unique, index.columns);
        connection.query_row(sql, parameters, |row| row.get(0))
    }
}

/// Returns whether `name` is a table, a view or an index, or None if nothing has this name.
fn kind_of(connection: &Connection, name: &str) -> Result<Option<String>> {
    let sql = "SELECT type FROM sqlite_master WHERE name = ?1 COLLATE NOCASE AND type <> 'trigger'";
    connection.prepare(sql)?.query_row([name], |row| row.get(0)).optional()
}

/// Returns whether Django manages the database.
pub(super) fn is_django(connection: &Connection) -> Result<bool> {
    Ok(kind_of(connection, "django_migrations")?.as_deref() == Some("table"))
}

/// Returns whether the database has triggers, which may undo what was stored.
pub(super) fn has_triggers(connection: &Connection) -> Result<bool> {
    let sql = "SELECT count(*) > 0 FROM sqlite_schema WHERE type = 'trigger'";
    connection.prepare_cached(sql)?.query_row([], |row| row.get(0))
}
