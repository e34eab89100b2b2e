//! The tables and their indexes, and which version of them a database holds.

use rusqlite::{Connection, OptionalExtension, Result, Row};

use super::error::MIGRATE_HINT;
use crate::store::error::StoreError;

/// What to do about the table of the records if Django manages the database.
const DJANGO_HINT: &str = "python manage.py migrate phone_verify";

/// A table of the current version.
pub(super) struct Table {
    pub(super) name: &'static str,
    /// The names of its columns, in the order in which rows are read.
    pub(super) columns: &'static str,
    /// The part of its CREATE TABLE behind the name.
    definition: &'static str,
    /// The columns that its first version lacked, with their types. They may be NULL.
    added: &'static [(&'static str, &'static str)],
    pub(super) indexes: &'static [Index],
    /// The program that creates the table, and what to do if another program created it.
    maker: (&'static str, &'static str),
}

/// An index. An index with the same columns under another name does the same work.
pub(super) struct Index {
    pub(super) name: &'static str,
    columns: &'static str,
    is_unique: bool,
}

impl Index {
    const fn new(name: &'static str, columns: &'static str) -> Self {
        Self { name, columns, is_unique: false }
    }
}

/// The records, exactly as Django creates the table on SQLite by django-phone-verify's migration 0003. The library doesn't have
/// these indexes. Read backwards, they return the newest record first.
pub(super) static RECORDS: Table = Table {
    name: "sms_verification",
    columns: "id, phone_number, security_code, session_token, is_verified, failed_attempts, created_at, modified_at",
    definition: r#"("id" char(32) NOT NULL PRIMARY KEY, "created_at" datetime NOT NULL, "modified_at" datetime NOT NULL, "phone_number" varchar(128) NOT NULL, "security_code" varchar(120) NOT NULL, "session_token" varchar(500) NOT NULL, "is_verified" bool NOT NULL, "failed_attempts" integer unsigned NOT NULL CHECK ("failed_attempts" >= 0))"#,
    added: &[],
    indexes: &[
        Index::new("phone_verify_phone_number_created_at", "phone_number, created_at"),
        Index::new("phone_verify_created_at", "created_at"),
    ],
    maker: ("django-phone-verify", "check the path; this may be the database of another program"),
};

/// The ledger: one row for each attempt to reach a number through one backend. Its rows stay when records are deleted.
pub(super) static LEDGER: Table = Table {
    name: "sms_delivery",
    columns: "id, verification_id, phone_number, backend, state, message_id, error_code, error_message, segments, tries, language, verified_at, created_at, updated_at",
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
        updated_at datetime NOT NULL,
        language varchar(64),
        verified_at datetime
    )",
    added: &[("language", "varchar(64)"), ("verified_at", "datetime")],
    indexes: &[
        Index::new("phone_verify_delivery_phone_number_created_at", "phone_number, created_at"),
        Index::new("phone_verify_delivery_created_at", "created_at"),
    ],
    maker: (
        "phone-verify",
        "check the path; if it is another program's table, rename it, or use another database",
    ),
};

/// The wrong codes that count against the limit of a number: one row for each.
pub(super) static WRONG_CODES: Table = Table {
    name: "sms_wrong_code",
    columns: "id, phone_number, created_at",
    definition: "(
        id integer NOT NULL PRIMARY KEY,
        phone_number varchar(128) NOT NULL,
        created_at datetime NOT NULL
    )",
    added: &[],
    indexes: &[Index::new(
        "phone_verify_wrong_code_phone_number_created_at",
        "phone_number, created_at",
    )],
    maker: LEDGER.maker,
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

/// The layout of a table without further columns.
pub(super) const CURRENT: Layout = Layout::Current(Vec::new());

/// The version of a table: that of the records by the migrations of django-phone-verify.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Layout {
    Missing,
    Of0001,
    Of0002,
    /// These of its added columns are missing.
    Older(Vec<&'static str>),
    /// The table is of migration 0003, or has all of its columns. Other programs may have added these columns.
    Current(Vec<Column>),
    /// Another program has something with the table's name.
    Foreign(StoreError),
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    /// Whether a new row has to give it a value.
    pub(super) must_be_given: bool,
}

impl Layout {
    /// Returns whether this is an older version without the column `name`.
    fn lacks(&self, name: &str) -> bool {
        matches!(self, Self::Older(missing) if missing.contains(&name))
    }

    /// Returns whether the table's rows can be read.
    pub(super) fn is_readable(&self) -> bool {
        matches!(self, Self::Current(_) | Self::Older(_))
    }
}

impl Table {
    pub(super) fn column_names(&self) -> impl Iterator<Item = &'static str> {
        self.columns.split(", ")
    }

    /// Returns a query for the rowid, all columns and `further_columns`. The columns that an older `layout` lacks are NULL.
    pub(super) fn select(&self, layout: &Layout, further_columns: &str, clauses: &str) -> String {
        let column = |name| if layout.lacks(name) { "NULL" } else { name };
        let columns = self.column_names().map(column).collect::<Vec<_>>().join(", ");
        format!("SELECT rowid, {columns}{further_columns} FROM {} {clauses}", self.name)
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
        connection.execute_batch(&format!("CREATE TABLE \"{name}\" {}", self.definition))
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
        if columns.is_empty() {
            return Ok(Layout::Missing);
        }
        let Some(mut columns) = columns.into_iter().collect::<Option<Vec<_>>>() else {
            let problem = format!(
                "{name} is a view, a virtual table, an index or a table WITHOUT ROWID, and has to be an ordinary table"
            );
            let hint = "rename it, then run `phone-verify migrate`";
            return Ok(Layout::Foreign(StoreError::new(problem, hint)));
        };
        let is_there = |name: &&str| columns.iter().any(|column| column.name == **name);
        let missing: Vec<_> = self.column_names().filter(|name| !is_there(name)).collect();
        Ok(match (columns.len(), missing.as_slice()) {
            (_, []) => {
                columns.retain(|column| self.column_names().all(|own| column.name != own));
                Layout::Current(columns)
            }
            (7, [COLUMN_OF_0003]) => Layout::Of0002,
            _ if missing.iter().all(|name| self.added.iter().any(|(added, _)| added == name)) => {
                Layout::Older(missing)
            }
            (6, _) if name == RECORDS.name && COLUMNS_OF_0001.iter().all(is_there) => {
                Layout::Of0001
            }
            _ => {
                let (maker, hint) = self.maker;
                let problem =
                    format!("the table {name} has columns that no version of {maker} gave it");
                Layout::Foreign(StoreError::new(problem, hint))
            }
        })
    }

    /// Returns the error of a table that is missing or older. Only Django may change that of a database that it manages.
    pub(super) fn outdated(&self, layout: &Layout, connection: &Connection) -> Result<StoreError> {
        let problem = match layout {
            Layout::Missing => format!("there is no table {}", self.name),
            _ => format!("the table {} is of an older version", self.name),
        };
        Ok(if is_django(connection)? {
            StoreError::new(problem + ", and Django manages this database", DJANGO_HINT)
        } else {
            StoreError::new(problem, MIGRATE_HINT)
        })
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
