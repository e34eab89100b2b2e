//! The program on a PostgreSQL server, and the rows that it leaves there.

use std::process::Command;

use super::postgres::Database;
use super::{CODE, Environment, NUMBER, TOKEN};

impl Environment {
    /// Returns the program with `arguments`, on the database at `url`.
    pub(crate) fn on(&self, url: &str, arguments: &[&str]) -> Command {
        self.command(&[&["--database", url], arguments].concat())
    }
}

impl Database {
    /// Creates the tables.
    pub(crate) fn migrate(&self) {
        let environment = Environment::with_settings("backend = \"console\"");
        super::run_command(environment.on(&self.url(), &["migrate"])).expect_code(0);
    }

    /// Deletes all rows.
    pub(crate) fn truncate(&self) {
        self.query("TRUNCATE sms_verification, sms_delivery, sms_wrong_code RESTART IDENTITY");
    }

    /// Inserts the record with [`NUMBER`], [`CODE`] and [`TOKEN`].
    pub(crate) fn insert_record(&self) {
        self.query(&format!(
            "INSERT INTO sms_verification (id, created_at, modified_at, phone_number, security_code,
                 session_token, is_verified, failed_attempts)
             VALUES (gen_random_uuid(), now() - interval '1 minute', 'epoch', '{NUMBER}', '{CODE}',
                 '{TOKEN}', FALSE, 0)"
        ));
    }

    /// Returns the only column of what `query` finds, with an empty text for NULL.
    #[track_caller]
    pub(crate) fn column(&self, query: &str) -> Vec<String> {
        self.query(query).into_iter().map(|mut row| row.remove(0).unwrap_or_default()).collect()
    }
}
