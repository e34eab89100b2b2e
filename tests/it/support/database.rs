//! The database of an environment, as another program opens it.

use std::time::Duration;

use rusqlite::types::Value;
use rusqlite::{Connection, Row};

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

    /// Opens the database.
    pub(crate) fn database(&self) -> Connection {
        let connection = Connection::open(self.path(DATABASE)).expect("a database");
        connection.busy_timeout(Duration::from_secs(10)).expect("a busy timeout");
        connection
    }

    /// Runs SQL statements.
    pub(crate) fn execute(&self, statements: &[&str]) {
        self.database().execute_batch(&statements.join(";\n")).expect("the statements run");
    }

    /// Returns every value of `table`, so that a test can compare two moments.
    pub(crate) fn rows(&self, table: &str) -> Vec<Vec<Value>> {
        self.query(&format!("SELECT * FROM {table} ORDER BY rowid"), |row| {
            (0..row.as_ref().column_count()).map(|column| row.get(column)).collect()
        })
    }

    /// Returns the SQL text of every table and index, in the order of their names.
    pub(crate) fn schema(&self) -> Vec<String> {
        self.column("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name")
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
        self.query(query, |row| row.get(0))
    }

    /// Returns the rows that `query` finds, each as `read` returns it.
    pub(crate) fn query<T>(
        &self,
        query: &str,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Vec<T> {
        let database = self.database();
        let mut statement = database.prepare(query).expect("the query is SQL");
        let rows = statement.query_map([], read).and_then(Iterator::collect);
        rows.expect("the rows have the types that the test expects")
    }

    /// Dates the creation of every row of `table` back to `seconds` ago.
    pub(crate) fn backdate(&self, table: &str, seconds: i64) {
        let update = format!(
            "UPDATE {table} SET created_at = strftime('%Y-%m-%d %H:%M:%f000', 'now', '-{seconds} seconds')"
        );
        self.execute(&[&update]);
    }

    /// Asserts that there isn't a database.
    #[track_caller]
    pub(crate) fn expect_no_database(&self) {
        let path = self.path(DATABASE);
        assert!(!path.exists(), "{} was created", path.display());
    }
}
