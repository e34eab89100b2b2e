//! The two tables and their indexes: what they are made of, and which of them a database holds.

use rusqlite::{Connection, OptionalExtension};

use crate::store::error::StoreError;

/// A table of the current version.
pub(super) struct Table {
    pub(super) name: &'static str,
    /// The names of its columns, in the order in which rows are read.
    pub(super) columns: &'static str,
    /// What stands in its CREATE TABLE behind the name.
    definition: &'static str,
    pub(super) indexes: [Index; 2],
    /// What makes the table, and what to do if something else made one of its name.
    maker: (&'static str, &'static str),
}

/// An index, which counts as present if another one does the same work under another name.
pub(super) struct Index {
    pub(super) name: &'static str,
    /// The names of its columns.
    columns: &'static str,
    is_unique: bool,
}

impl Index {
    const fn new(name: &'static str, columns: &'static str) -> Self {
        Self { name, columns, is_unique: false }
    }
}

/// The records, as django-phone-verify's migration 0003 leaves them on SQLite, in Django's own words. Read backwards, the
/// indexes that the library's table lacks yield the newest record first.
pub(super) static RECORDS: Table = Table {
    name: "sms_verification",
    columns: "id, phone_number, security_code, session_token, is_verified, failed_attempts, created_at, modified_at",
    definition: r#"("id" char(32) NOT NULL PRIMARY KEY, "created_at" datetime NOT NULL, "modified_at" datetime NOT NULL, "phone_number" varchar(128) NOT NULL, "security_code" varchar(120) NOT NULL, "session_token" varchar(500) NOT NULL, "is_verified" bool NOT NULL, "failed_attempts" integer unsigned NOT NULL CHECK ("failed_attempts" >= 0))"#,
    indexes: [
        Index::new("phone_verify_phone_number_created_at", "phone_number, created_at"),
        Index::new("phone_verify_created_at", "created_at"),
    ],
    maker: ("django-phone-verify", "check the path; this may be the database of another program"),
};

/// The ledger: one row for each attempt to reach a number through one backend. It outlives the records.
pub(super) static LEDGER: Table = Table {
    name: "sms_delivery",
    columns: "id, verification_id, phone_number, backend, state, message_id, error_code, error_message, segments, tries, created_at, updated_at",
    definition: "(
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
    )",
    indexes: [
        Index::new("phone_verify_delivery_phone_number_created_at", "phone_number, created_at"),
        Index::new("phone_verify_delivery_created_at", "created_at"),
    ],
    maker: (
        "phone-verify",
        "check the path; it may be another program's table: rename it, or use another database",
    ),
};

/// The unique index of the library's table, under Django's name.
pub(super) static UNIQUE: Index = Index {
    name: "sms_verification_security_code_phone_number_session_token_7e72282c_uniq",
    columns: "security_code, phone_number, session_token",
    is_unique: true,
};

/// The columns of the records by migration 0001.
const COLUMNS_OF_0001: [&str; 6] =
    ["id", "created_at", "modified_at", "otp", "phone_number", "session_code"];
/// The column that migration 0003 added.
const COLUMN_OF_0003: &str = "failed_attempts";

/// The version of a table.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Layout {
    Missing,
    /// It is of migration 0001 or 0002.
    Older {
        is_0001: bool,
    },
    /// A project may have added columns of its own.
    Current {
        added: Vec<Column>,
    },
    /// Something of another program has the table's name.
    Foreign(StoreError),
}

/// A column of a table.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    /// Whether a new row has to give it a value.
    pub(super) must_be_given: bool,
}

impl Layout {
    /// Returns what is wrong if the table has to be brought up to date.
    pub(super) fn problem(&self, table: &str) -> String {
        match self {
            Self::Missing => format!("there is no table {table}"),
            _ => format!("the table {table} is of an older version"),
        }
    }
}

impl Table {
    pub(super) fn column_names(&self) -> impl Iterator<Item = &'static str> {
        self.columns.split(", ")
    }

    /// Returns the start of a query for whole rows, with `further_columns` behind them.
    pub(super) fn select(&self, further_columns: &str) -> String {
        ["SELECT rowid, ", self.columns, further_columns, " FROM ", self.name].concat()
    }

    /// Creates the table under `name`, without an index.
    pub(super) fn create(&self, connection: &Connection, name: &str) -> rusqlite::Result<()> {
        connection.execute_batch(&["CREATE TABLE \"", name, "\" ", self.definition].concat())
    }

    /// Returns which version of the table is there.
    pub(super) fn layout(&self, connection: &Connection) -> rusqlite::Result<Layout> {
        let name = self.name;
        let Some((is_ordinary, mut columns)) = describe(connection, name)? else {
            return Ok(Layout::Missing);
        };
        if !is_ordinary {
            let problem = format!(
                "{name} is a view, a virtual table, an index or a table WITHOUT ROWID, and has to be an ordinary table"
            );
            let hint = "rename it, then phone-verify migrate";
            return Ok(Layout::Foreign(StoreError::new(problem, hint)));
        }
        let is_there = |name: &&str| columns.iter().any(|column| column.name == **name);
        let missing: Vec<_> = self.column_names().filter(|name| !is_there(name)).collect();
        Ok(match (columns.len(), missing.as_slice()) {
            (_, []) => {
                columns.retain(|column| self.column_names().all(|own| column.name != own));
                Layout::Current { added: columns }
            }
            (7, [COLUMN_OF_0003]) => Layout::Older { is_0001: false },
            (6, _) if name == RECORDS.name && COLUMNS_OF_0001.iter().all(is_there) => {
                Layout::Older { is_0001: true }
            }
            _ => {
                let (maker, hint) = self.maker;
                let problem =
                    format!("the table {name} has columns that no version of {maker} gave it");
                Layout::Foreign(StoreError::new(problem, hint))
            }
        })
    }

    /// Adds those of the indexes that are missing, and returns their names.
    pub(super) fn add_indexes(&self, connection: &Connection) -> rusqlite::Result<Vec<String>> {
        let missing = self.missing_indexes(connection)?;
        missing.into_iter().map(|index| self.add_index(connection, index)).collect()
    }

    pub(super) fn missing_indexes(&self, connection: &Connection) -> rusqlite::Result<Vec<&Index>> {
        let mut missing = Vec::new();
        for index in &self.indexes {
            if !self.has_index(connection, index)? {
                missing.push(index);
            }
        }
        Ok(missing)
    }

    /// Creates an index and returns its name, which gets a number if others have taken it: what they made is theirs.
    pub(super) fn add_index(
        &self,
        connection: &Connection,
        index: &Index,
    ) -> rusqlite::Result<String> {
        let mut name = index.name.to_owned();
        let mut number = 1;
        while kind_of(connection, &name)?.is_some() {
            number += 1;
            name = format!("{}_{number}", index.name);
        }
        connection.execute_batch(&self.index_sql(index, &name))?;
        Ok(name)
    }

    /// Returns the statement that creates an index under `name`, in Django's way of writing it.
    pub(super) fn index_sql(&self, index: &Index, name: &str) -> String {
        let unique = if index.is_unique { "UNIQUE " } else { "" };
        let columns = index.columns.replace(", ", r#"", ""#);
        format!(r#"CREATE {unique}INDEX "{name}" ON "{}" ("{columns}")"#, self.name)
    }

    /// Returns whether an index does the work of `index`.
    pub(super) fn has_index(
        &self,
        connection: &Connection,
        index: &Index,
    ) -> rusqlite::Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM pragma_index_list(?1) AS list
             WHERE NOT partial AND (\"unique\" OR NOT ?2) AND ?3 = (
                 SELECT group_concat(iif(\"desc\" OR coll <> 'BINARY', '?', coalesce(name, '?')), ', ')
                 FROM (SELECT * FROM pragma_index_xinfo(list.name) WHERE key ORDER BY seqno)))";
        let parameters = (self.name, index.is_unique, index.columns);
        connection.query_row(sql, parameters, |row| row.get(0))
    }
}

/// Returns whether `name` is a table, a view or an index; None if there is nothing of that name.
fn kind_of(connection: &Connection, name: &str) -> rusqlite::Result<Option<String>> {
    let sql = "SELECT type FROM sqlite_master WHERE name = ?1 COLLATE NOCASE AND type <> 'trigger'";
    connection.prepare(sql)?.query_row([name], |row| row.get(0)).optional()
}

/// Returns whether Django manages the database.
pub(super) fn is_django(connection: &Connection) -> rusqlite::Result<bool> {
    Ok(kind_of(connection, "django_migrations")?.as_deref() == Some("table"))
}

/// Returns whether `name` is a table with rowids that isn't virtual, and its columns; None if there is nothing of that name.
fn describe(connection: &Connection, name: &str) -> rusqlite::Result<Option<(bool, Vec<Column>)>> {
    // A statement on the schema's table sees it as the transaction does; what the connection remembers may be older.
    let sql = "SELECT ifnull(list.type = 'table' AND NOT list.wr, FALSE), info.name,
             info.\"notnull\" AND info.dflt_value IS NULL
         FROM sqlite_master AS master
         LEFT JOIN pragma_table_list(master.name) AS list ON list.schema = 'main'
         LEFT JOIN pragma_table_info(master.name) AS info
         WHERE master.name = ?1 COLLATE NOCASE AND master.type <> 'trigger'";
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([name])?;
    let mut description = None;
    while let Some(row) = rows.next()? {
        let (_, columns) = description.get_or_insert((row.get(0)?, Vec::new()));
        if let Some(name) = row.get(1)? {
            columns.push(Column { name, must_be_given: row.get(2)? });
        }
    }
    Ok(description)
}
