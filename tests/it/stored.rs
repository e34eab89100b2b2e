//! The records of an environment, read straight from its table, and what tests ask of them.

use std::collections::HashSet;

use serde_json::Value;

use crate::fake_provider::Accepted;
use crate::support::{Environment, NUMBER, Run};

/// A row of `sms_verification`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Record {
    /// `id`, 32 hexadecimal digits.
    pub(crate) id: String,
    /// `created_at`, as stored.
    pub(crate) created_at: String,
    /// `phone_number`, E.164.
    pub(crate) phone_number: String,
    /// `security_code`.
    pub(crate) security_code: String,
    /// `session_token`.
    pub(crate) session_token: String,
    /// `is_verified`.
    pub(crate) is_verified: bool,
    /// `failed_attempts`.
    pub(crate) failed_attempts: u32,
}

impl Environment {
    /// Returns all records, oldest first.
    pub(crate) fn records(&self) -> Vec<Record> {
        let database = self.database();
        let mut statement = database
            .prepare("SELECT * FROM sms_verification ORDER BY created_at, rowid")
            .expect("the table is there");
        let rows = statement.query_map([], |row| {
            Ok(Record {
                id: row.get("id")?,
                created_at: row.get("created_at")?,
                phone_number: row.get("phone_number")?,
                security_code: row.get("security_code")?,
                session_token: row.get("session_token")?,
                is_verified: row.get("is_verified")?,
                failed_attempts: row.get("failed_attempts")?,
            })
        });
        rows.expect("a query").map(|row| row.expect("a row")).collect()
    }

    /// Returns the only record.
    #[track_caller]
    pub(crate) fn record(&self) -> Record {
        let mut records = self.records();
        assert_eq!(records.len(), 1, "{records:#?}");
        records.remove(0)
    }

    /// Sends to `number`, which has to work, and returns the record of it.
    #[track_caller]
    pub(crate) fn send(&self, number: &str) -> Record {
        let sent = self.run(&["--format", "json", "send", number]).expect_code(0).json();
        let token = sent["session_token"].as_str().expect("a session token").to_owned();
        self.record_of_token(&token)
    }

    /// Returns the record with this session token.
    #[track_caller]
    pub(crate) fn record_of_token(&self, token: &str) -> Record {
        let records = self.records();
        let found = records.iter().find(|record| record.session_token == token);
        found.unwrap_or_else(|| panic!("no record has the token {token}: {records:#?}")).clone()
    }

    /// Runs `verify` with the code and the session token of `record`.
    pub(crate) fn verify(&self, record: &Record) -> Run {
        let Record { phone_number, security_code, session_token, .. } = record;
        self.run(&["verify", phone_number, security_code, "--session-token", session_token])
    }

    /// Runs `verify` with a code against the newest record of `number`.
    pub(crate) fn verify_any_session(&self, number: &str, code: &str) -> Run {
        self.run(&["verify", number, code, "--any-session"])
    }

    /// Asserts that the code of each of the `accepted` messages is stored for its number.
    #[track_caller]
    pub(crate) fn expect_records_of(&self, accepted: &[Accepted]) {
        let stored: HashSet<(String, String)> = self
            .records()
            .into_iter()
            .map(|record| (record.phone_number, record.security_code))
            .collect();
        for accepted in accepted {
            let code = code_in(&accepted.text).to_owned();
            assert!(stored.contains(&(accepted.phone_number.clone(), code)), "lost: {accepted:#?}");
        }
    }

    /// Sends to [`NUMBER`] with JSON, which has to fail, and returns the line.
    #[track_caller]
    pub(crate) fn failed_send(&self) -> Value {
        self.run(&["--format", "json", "send", NUMBER]).expect_code(1).json()
    }

    /// Asserts that the program created no database.
    #[track_caller]
    pub(crate) fn expect_no_database(&self) {
        let path = self.path("phone-verify.sqlite3");
        assert!(!path.exists(), "{} was created", path.display());
    }
}

/// Returns the digits of the security code that stand in the message `text`.
#[track_caller]
pub(crate) fn code_in(text: &str) -> &str {
    let is_code = |word: &&str| word.len() >= 6 && word.bytes().all(|byte| byte.is_ascii_digit());
    text.split_whitespace().find(is_code).unwrap_or_else(|| panic!("no code in {text:?}"))
}

/// Returns `kind` and `code` of the error in a JSON line of `send`.
#[track_caller]
pub(crate) fn error_of(line: &Value) -> (&str, Option<&str>) {
    assert_eq!(line["status"], "failed", "{line:#}");
    assert!(line["error"]["message"].is_string(), "{line:#}");
    let code = &line["error"]["code"];
    assert!(code.is_string() || code.is_null(), "{line:#}");
    (line["error"]["kind"].as_str().expect("a kind"), code.as_str())
}
