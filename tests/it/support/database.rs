//! The database of an environment, as another program opens it.

use std::fmt::Display;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use uuid::Uuid;

use super::postgres::Database;
use super::{Environment, Record};

/// The file of the database.
pub(crate) const DATABASE: &str = "phone-verify.sqlite3";

impl Environment {
    /// Returns an environment on the console backend, with the further settings `extra` and an empty database that `migrate`
    /// created.
    pub(crate) fn with_database(extra: &str) -> Self {
        let environment = Self::with_settings(&format!("backend = \"console\"\n{extra}\n"));
        environment.run(&["migrate"]).expect_code(0);
        environment
    }

    /// Returns an environment on the console backend, with a database that `migrate` created and one live record.
    pub(crate) fn with_record() -> Self {
        let environment = Self::with_database("");
        environment.insert(&Record::default());
        environment
    }

    /// Returns an environment on the console backend, whose database is on a server.
    pub(crate) fn on_server(database: &Database) -> Self {
        let url = database.url();
        Self::with_settings(&format!("backend = \"console\"\n[database]\nurl = \"{url}\"\n"))
    }

    /// Opens the file of the database.
    #[track_caller]
    pub(crate) fn database(&self) -> Connection {
        assert!(self.server.is_none(), "the database isn't a file");
        let connection = Connection::open(self.path(DATABASE)).expect("a database");
        connection.busy_timeout(Duration::from_secs(10)).expect("a busy timeout");
        connection
    }

    /// Runs SQL statements.
    pub(crate) fn execute(&self, statements: &[&str]) {
        let statements = statements.join(";\n");
        match &self.server {
            Some(server) => _ = server.query(&statements),
            None => self.database().execute_batch(&statements).expect("the statements run"),
        }
    }

    /// Returns every value of `table`, so that a test can compare two moments.
    pub(crate) fn rows(&self, table: &str) -> Vec<Vec<Option<String>>> {
        self.query(&format!("SELECT * FROM {table} ORDER BY {}", self.order()))
    }

    /// Returns the column that holds the order in which rows were inserted, unless they were changed on a server.
    pub(super) fn order(&self) -> &str {
        if self.server.is_some() { "ctid" } else { "rowid" }
    }

    /// Returns the expression in SQL of the time so many `seconds` ago, which are a number or an expression too.
    pub(crate) fn time_ago(&self, seconds: impl Display) -> String {
        if self.server.is_some() {
            format!("(clock_timestamp() - ({seconds}) * interval '1 second')")
        } else {
            // A whole second has no fraction.
            format!(
                "replace(strftime('%Y-%m-%d %H:%M:%f000', 'now', -({seconds}) || ' seconds'), '.000000', '')"
            )
        }
    }

    /// Asserts that the file of the database isn't damaged.
    #[track_caller]
    pub(crate) fn expect_soundness(&self) {
        if self.server.is_none() {
            assert_eq!(self.column("PRAGMA integrity_check"), ["ok"]);
        }
    }

    /// Returns the SQL text of every table and index, in the order of their names, or what a server says of them.
    pub(crate) fn schema(&self) -> Vec<String> {
        self.column(if self.server.is_some() {
            "SELECT table_name || ' ' || column_name || ' ' || data_type FROM information_schema.columns
                 WHERE table_schema = 'public'
             UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1"
        } else {
            "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name"
        })
    }

    /// Returns the names of the table's indexes that aren't Django's, in alphabetical order.
    pub(crate) fn own_indexes(&self) -> Vec<String> {
        self.column(
            "SELECT name FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'sms_verification'
                AND sql IS NOT NULL AND name NOT LIKE '%_uniq' ORDER BY name",
        )
    }

    /// Returns the only column that `query` finds, as text.
    pub(crate) fn column(&self, query: &str) -> Vec<String> {
        let rows = self.query(query).into_iter();
        rows.map(|mut row| row.remove(0).expect("it isn't NULL")).collect()
    }

    /// Returns the rows that `query` finds, as SQLite has them in its file: 0 and 1 for booleans, UUIDs without dashes, times in
    /// UTC without an offset.
    #[track_caller]
    pub(crate) fn query(&self, query: &str) -> Vec<Vec<Option<String>>> {
        if let Some(server) = &self.server {
            let rows = server.query(query).into_iter();
            return rows
                .map(|row| row.into_iter().map(|it| it.map(as_in_file)).collect())
                .collect();
        }
        let database = self.database();
        let mut statement = database.prepare(query).expect("the query is SQL");
        let rows = statement.query_map([], |row| {
            (0..row.as_ref().column_count()).map(|column| Ok(text(row.get_ref(column)?))).collect()
        });
        rows.and_then(Iterator::collect).expect("rows")
    }

    /// Dates the creation of every row of `table` back to `seconds` ago.
    pub(crate) fn backdate(&self, table: &str, seconds: i64) {
        self.execute(&[&format!("UPDATE {table} SET created_at = {}", self.time_ago(seconds))]);
    }

    /// Asserts that there isn't a file of the database, and nothing in one on a server.
    #[track_caller]
    pub(crate) fn expect_no_database(&self) {
        let path = self.path(DATABASE);
        assert!(!path.exists(), "{} was created", path.display());
        if self.server.is_some() {
            assert_eq!([self.count(), self.deliveries().len()], [0, 0]);
        }
    }
}

/// Returns a value of SQLite as text.
fn text(value: ValueRef<'_>) -> Option<String> {
    match value {
        ValueRef::Null => None,
        ValueRef::Integer(number) => Some(number.to_string()),
        ValueRef::Real(number) => Some(number.to_string()),
        ValueRef::Text(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        ValueRef::Blob(bytes) => Some(format!("{bytes:?}")),
    }
}

/// Returns a value of PostgreSQL as SQLite has it.
fn as_in_file(text: String) -> String {
    match text.as_str() {
        "t" => "1".to_owned(),
        "f" => "0".to_owned(),
        _ if Uuid::parse_str(&text).is_ok() => text.replace('-', ""),
        _ => match text.strip_suffix("+00") {
            Some(time) if time.contains(':') => time.to_owned(),
            _ => text,
        },
    }
}
