//! Records that a test inserts, and what a verification changes of them.

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

    /// Returns the state of the record with this token.
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
