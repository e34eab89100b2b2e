//! Rows and tables as another program, such as a Django site, leaves them in the database.

use rusqlite::types::Value;

use crate::support::{Environment, NUMBER};

/// A code that no sandbox sends.
pub(crate) const CODE: &str = "918273";
/// A wrong code.
pub(crate) const WRONG_CODE: &str = "364655";
/// The session token of a record that says nothing else.
pub(crate) const TOKEN: &str = "session-token-of-a-device";
/// A second number, from the range that is reserved for fiction.
pub(crate) const OTHER_NUMBER: &str = "+12025550143";

/// The table as migration 0003 leaves it, in the words of SQLite's own catalogue.
pub(crate) const TABLE: &str = concat!(
    r#"CREATE TABLE "sms_verification" ("id" char(32) NOT NULL PRIMARY KEY, "created_at" datetime NOT NULL, "#,
    r#""modified_at" datetime NOT NULL, "phone_number" varchar(128) NOT NULL, "security_code" varchar(120) NOT NULL, "#,
    r#""session_token" varchar(500) NOT NULL, "is_verified" bool NOT NULL, "#,
    r#""failed_attempts" integer unsigned NOT NULL CHECK ("failed_attempts" >= 0))"#
);
/// The unique index of migrations 0002 and 0003.
pub(crate) const UNIQUE_INDEX: &str = concat!(
    r#"CREATE UNIQUE INDEX "sms_verification_security_code_phone_number_session_token_7e72282c_uniq" "#,
    r#"ON "sms_verification" ("security_code", "phone_number", "session_token")"#
);
/// The table as migration 0002 leaves it.
pub(crate) const TABLE_0002: &str = concat!(
    r#"CREATE TABLE "sms_verification" ("id" char(32) NOT NULL PRIMARY KEY, "created_at" datetime NOT NULL, "#,
    r#""modified_at" datetime NOT NULL, "phone_number" varchar(128) NOT NULL, "security_code" varchar(120) NOT NULL, "#,
    r#""session_token" varchar(500) NOT NULL, "is_verified" bool NOT NULL)"#
);
/// The table as migration 0001 leaves it.
pub(crate) const TABLE_0001: &str = concat!(
    r#"CREATE TABLE "sms_verification" ("id" char(32) NOT NULL PRIMARY KEY, "created_at" datetime NOT NULL, "#,
    r#""modified_at" datetime NOT NULL, "otp" varchar(120) NOT NULL, "phone_number" varchar(128) NOT NULL, "#,
    r#""session_code" varchar(500) NOT NULL)"#
);
/// The unique index of migration 0001.
pub(crate) const UNIQUE_INDEX_0001: &str = concat!(
    r#"CREATE UNIQUE INDEX "sms_verification_otp_phone_number_session_code_f31b942e_uniq" "#,
    r#"ON "sms_verification" ("otp", "phone_number", "session_code")"#
);

/// The tables that older versions of django-phone-verify left, with their indexes.
pub(crate) const OLDER_TABLES: [(&str, &str); 2] =
    [(TABLE_0001, UNIQUE_INDEX_0001), (TABLE_0002, UNIQUE_INDEX)];

/// The time of a row.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Time<'a> {
    /// So many seconds before now.
    Ago(i64),
    /// This text.
    At(&'a str),
}

/// A row to insert.
#[derive(Debug, Clone)]
pub(crate) struct Record<'a> {
    pub(crate) phone_number: &'a str,
    pub(crate) security_code: &'a str,
    pub(crate) session_token: &'a str,
    pub(crate) is_verified: bool,
    pub(crate) failed_attempts: u32,
    pub(crate) created_at: Time<'a>,
}

impl Default for Record<'_> {
    fn default() -> Self {
        Self {
            phone_number: NUMBER,
            security_code: CODE,
            session_token: TOKEN,
            is_verified: false,
            failed_attempts: 0,
            created_at: Time::Ago(60),
        }
    }
}

/// What a verification may change of a row, and when it was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) is_verified: i64,
    pub(crate) failed_attempts: i64,
    pub(crate) modified_at: String,
}

/// The `modified_at` of every inserted row: long ago, so that a change shows.
pub(crate) const NEVER_MODIFIED: &str = "2020-02-02 02:02:02.020202";

impl Environment {
    /// Returns an environment whose backend shows the message on stderr, with the further settings `extra`, and with the
    /// table of a Django site.
    pub(crate) fn console(extra: &str) -> Self {
        let environment = Self::with_settings(&format!("backend = \"console\"\n{extra}\n"));
        environment.execute(&[TABLE, UNIQUE_INDEX]);
        environment
    }

    /// Runs SQL statements, as another program would.
    pub(crate) fn execute(&self, statements: &[&str]) {
        self.database().execute_batch(&statements.join(";\n")).expect("the statements run");
    }

    /// Inserts `count` records like the only one that is there, each with a token of its own.
    pub(crate) fn insert_more(&self, count: usize) {
        self.execute(&[&format!(
            "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < {count})
             INSERT INTO sms_verification
             SELECT printf('%032x', i), created_at, modified_at, phone_number, security_code,
                 'token ' || i, is_verified, failed_attempts FROM n, sms_verification"
        )]);
    }

    /// Inserts `record` and returns its id.
    pub(crate) fn insert(&self, record: &Record<'_>) -> String {
        let (text, seconds) = match record.created_at {
            Time::At(text) => (Some(text), 0),
            Time::Ago(seconds) => (None, seconds),
        };
        self.database()
            .query_row(
                "INSERT INTO sms_verification (id, created_at, modified_at, phone_number, security_code,
                    session_token, is_verified, failed_attempts)
                 VALUES (lower(hex(randomblob(6)) || '4' || substr(hex(randomblob(2)), 2)
                        || '8' || substr(hex(randomblob(8)), 2)),
                    coalesce(?1, strftime('%Y-%m-%d %H:%M:%S', 'now', (-?2) || ' seconds') || '.746691'),
                    ?3, ?4, ?5, ?6, ?7, ?8)
                 RETURNING id",
                (
                    text,
                    seconds,
                    NEVER_MODIFIED,
                    record.phone_number,
                    record.security_code,
                    record.session_token,
                    record.is_verified,
                    record.failed_attempts,
                ),
                |row| row.get(0),
            )
            .expect("the record is new")
    }

    /// Inserts `count` records that are `age` seconds old, each with a number, a code and a token of its own.
    pub(crate) fn insert_many(&self, count: u32, age: i64) {
        self.database()
            .execute(
                "WITH RECURSIVE counter (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM counter WHERE i < ?1)
                 INSERT INTO sms_verification
                 SELECT lower(hex(randomblob(6))) || '4000' || '8' || substr(lower(hex(randomblob(8))), 2),
                    strftime('%Y-%m-%d %H:%M:%S', 'now', (-?2) || ' seconds') || printf('.%06d', i % 1000000),
                    '2020-02-02 02:02:02', printf('+1202%07d', i), printf('%06d', i % 1000000),
                    printf('token-%d-%d', ?2, i), 0, 0
                 FROM counter",
                (count, age),
            )
            .expect("the records are new");
    }

    /// Returns what verifications left of the record with this token.
    pub(crate) fn state(&self, session_token: &str) -> State {
        self.database()
            .query_row(
                "SELECT is_verified, failed_attempts, modified_at FROM sms_verification
                 WHERE session_token = ?1",
                [session_token],
                |row| {
                    Ok(State {
                        is_verified: row.get(0)?,
                        failed_attempts: row.get(1)?,
                        modified_at: row.get(2)?,
                    })
                },
            )
            .expect("one record has this token")
    }

    /// Returns every value of `table`, so that two moments can be compared.
    pub(crate) fn rows(&self, table: &str) -> Vec<Vec<Value>> {
        let database = self.database();
        let mut statement = database
            .prepare(&format!("SELECT * FROM {table} ORDER BY rowid"))
            .expect("the table is there");
        let width = statement.column_count();
        statement
            .query_map([], |row| (0..width).map(|column| row.get(column)).collect())
            .and_then(Iterator::collect)
            .expect("the rows can be read")
    }

    /// Returns the number of records.
    pub(crate) fn count(&self) -> usize {
        self.rows("sms_verification").len()
    }

    /// Returns the session tokens that are left, in alphabetical order.
    pub(crate) fn tokens(&self) -> Vec<String> {
        self.column("SELECT session_token FROM sms_verification ORDER BY session_token")
    }

    /// Returns the SQL text of every table and index, in the order of their names.
    pub(crate) fn schema(&self) -> Vec<String> {
        self.column("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name")
    }

    /// Returns the names of the indexes on the table that are not Django's, in alphabetical order.
    pub(crate) fn own_indexes(&self) -> Vec<String> {
        self.column(
            "SELECT name FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'sms_verification'
                AND sql IS NOT NULL AND name NOT LIKE '%_uniq' ORDER BY name",
        )
    }

    /// Returns the only column of what `query` finds, as text.
    pub(crate) fn column(&self, query: &str) -> Vec<String> {
        let database = self.database();
        let mut statement = database.prepare(query).expect("the query is SQL");
        statement
            .query_map([], |row| row.get(0))
            .and_then(Iterator::collect)
            .expect("the column holds text")
    }

    /// Returns the names of the files in the environment's folder.
    pub(crate) fn files(&self) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(self.path(""))
            .expect("the folder is there")
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }
}
