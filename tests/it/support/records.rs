//! Records that a test inserts, and what a verification changes of them.

use std::sync::atomic::{AtomicU32, Ordering};

use chrono::{DateTime, TimeDelta, Utc};

use super::{Environment, NUMBER};

/// A code that no sandbox sends.
pub(crate) const CODE: &str = "918273";
/// A wrong code.
pub(crate) const WRONG_CODE: &str = "364655";
/// The session token of a record, unless a test gives it another one.
pub(crate) const TOKEN: &str = "session-token-of-a-device";
/// A second number, from the range that is reserved for fiction.
pub(crate) const OTHER_NUMBER: &str = "+12025550143";
/// The arguments that verify a record with the default values.
pub(crate) const VERIFY: [&str; 5] = ["verify", NUMBER, CODE, "--session-token", TOKEN];

/// A day, in seconds.
pub(crate) const DAY: i64 = 86_400;

/// Returns the time of this machine.
#[expect(clippy::disallowed_methods, reason = "a test sees the program's times from outside")]
pub(crate) fn now() -> DateTime<Utc> {
    Utc::now()
}

/// The time of a row.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Time<'a> {
    /// So many seconds ago.
    Ago(i64),
    /// Exactly this text.
    At(&'a str),
}

/// A record to insert.
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

/// The columns of a record that a verification may change, and when it did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) is_verified: i64,
    pub(crate) failed_attempts: i64,
    pub(crate) modified_at: String,
}

/// The `modified_at` of every inserted record: long ago, so that a change shows.
pub(crate) const NEVER_MODIFIED: &str = "2020-02-02 02:02:02.020202";

impl Environment {
    /// Inserts `count` copies of the only record, each with a token of its own.
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
        let created_at = match record.created_at {
            Time::At(text) => format!("'{text}'"),
            Time::Ago(seconds) => {
                let time = now() - TimeDelta::seconds(seconds);
                format!("'{}'", time.format("%Y-%m-%d %H:%M:%S%.6f"))
            }
        };
        static COUNT: AtomicU32 = AtomicU32::new(1);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let id = format!("{count:08x}0000400080000000000000ff");
        let Record {
            phone_number, security_code, session_token, is_verified, failed_attempts, ..
        } = record;
        let session_token = session_token.replace('\'', "''");
        self.execute(&[&format!(
            "INSERT INTO sms_verification (id, created_at, modified_at, phone_number, security_code, session_token,
                 is_verified, failed_attempts)
             VALUES ('{id}', {created_at}, '{NEVER_MODIFIED}', '{phone_number}', '{security_code}',
                 '{session_token}', {is_verified}, {failed_attempts})"
        )]);
        id
    }

    /// Inserts `count` records that are `age` seconds old, each with a number, a code and a token of its own.
    pub(crate) fn insert_many(&self, count: u32, age: i64) {
        let time = (now() - TimeDelta::seconds(age)).format("%Y-%m-%d %H:%M:%S");
        let rows = (1..=count).map(|number| {
            let code = number % 1_000_000;
            format!(
                "('{number:08x}000040008000{age:012x}', '{time}.{code:06}', '{NEVER_MODIFIED}', '+1202{number:07}',
                    '{code:06}', 'token-{age}-{number}', FALSE, 0)"
            )
        });
        self.execute(&[&format!(
            "INSERT INTO sms_verification (id, created_at, modified_at, phone_number, security_code, session_token,
                 is_verified, failed_attempts)
             VALUES {}",
            rows.collect::<Vec<_>>().join(",")
        )]);
    }

    /// Returns the state of the record with this token.
    pub(crate) fn state(&self, session_token: &str) -> State {
        let rows = self.query(&format!(
            "SELECT is_verified, failed_attempts, modified_at FROM sms_verification
             WHERE session_token = '{}'",
            session_token.replace('\'', "''")
        ));
        let row: Vec<_> = rows.into_iter().flatten().flatten().collect();
        let [is_verified, failed_attempts, modified_at] =
            row.try_into().expect("one record has this token");
        State {
            is_verified: is_verified.parse().expect("a number"),
            failed_attempts: failed_attempts.parse().expect("a number"),
            modified_at,
        }
    }

    /// Returns the number of records.
    pub(crate) fn count(&self) -> usize {
        self.rows("sms_verification").len()
    }

    /// Returns all session tokens, in alphabetical order.
    pub(crate) fn tokens(&self) -> Vec<String> {
        self.column("SELECT session_token FROM sms_verification ORDER BY session_token")
    }
}

/// Returns the id of a record, 32 digits, as JSON shows it.
pub(crate) fn add_dashes(id: &str) -> String {
    [&id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..]].join("-")
}
