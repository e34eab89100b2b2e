//! The errors of a server, in words for an operator.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use tokio_postgres::error::{Severity, SqlState};

use crate::store::error::{DamagedRow, StoreError};

/// How long a statement waits for the lock of another session.
pub(super) const LOCK_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the outcome of an SMS waits for it, since the SMS may have left.
pub(super) const OUTCOME_LOCK_TIMEOUT: Duration = Duration::from_secs(60);

/// What the client says about an answer that isn't in the server's protocol.
const NOT_POSTGRESQL: [&str; 3] =
    ["bytes remaining on stream", "invalid message length", "received corrupt message"];
/// What to do about a server that takes no changes.
pub(super) const READ_ONLY_HINT: &str =
    "name the primary server, or name all servers with target_session_attrs=read-write";

/// What to do about a `search_path` without a schema that the user may use.
pub(super) const NO_SCHEMA_HINT: &str = "name an existing schema in search_path, and let its owner run `GRANT USAGE, CREATE ON SCHEMA … TO` this user";

/// What to do about row-level security.
pub(super) const ROW_SECURITY_HINT: &str = "let the owner of the tables run `CREATE POLICY … ON … TO … USING (TRUE)` for this user on each of them";

/// An error without the name of its database.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("{}", describe(.0).problem)]
    Server(#[from] tokio_postgres::Error),
    #[error("the server has not answered for {} s", .0.as_secs())]
    NoAnswer(Duration),
    /// Something has turned out that wasn't known, so that the same work may succeed.
    #[error("{0}")]
    Again(&'static str),
    #[error(transparent)]
    Known(#[from] StoreError),
}

impl From<DamagedRow> for Failure {
    fn from(row: DamagedRow) -> Self {
        StoreError::new(row.to_string(), "correct or delete the row with psql").into()
    }
}

impl Failure {
    /// Returns the server's code of the error, if it has one (PostgreSQL's documentation, "PostgreSQL Error Codes").
    fn code(&self) -> &str {
        let error = if let Self::Server(error) = self { error.code() } else { None };
        error.map(SqlState::code).unwrap_or_default()
    }

    /// Returns whether the connection is lost, or of no use any more, so that nobody knows whether the last statements were carried
    /// out.
    pub(super) fn is_lost(&self) -> bool {
        match self {
            Self::Server(error) => match error.as_db_error() {
                None => error.is_closed() || is_io(error) || is_out_of_step(error),
                // The server ends the session with such an error, whatever the reason is.
                Some(error) => {
                    matches!(error.parsed_severity(), Some(Severity::Fatal | Severity::Panic))
                        || error.code().code().starts_with("08")
                }
            },
            Self::NoAnswer(_) => true,
            Self::Again(_) | Self::Known(_) => false,
        }
    }

    /// Returns whether it matters which server was tried.
    pub(super) fn is_of_connection(&self) -> bool {
        self.is_lost() || matches!(self, Self::Server(error) if error.as_db_error().is_none())
    }

    /// Returns whether a transaction conflicts with another one, and nothing of it was carried out.
    pub(super) fn is_conflict(&self) -> bool {
        matches!(self, Self::Again(_)) || matches!(self.code(), "40001" | "40P01")
    }

    /// Returns whether a row is there already.
    pub(super) fn is_duplicate(&self) -> bool {
        self.code() == "23505"
    }

    /// Returns whether another session held its lock for too long.
    pub(super) fn is_lock(&self) -> bool {
        self.code() == "55P03"
    }

    /// Returns whether the server is about to accept connections.
    pub(super) fn is_starting(&self) -> bool {
        self.code() == "57P03"
    }

    /// Returns whether the server refuses this user or database, now and later.
    pub(super) fn is_refusal(&self) -> bool {
        let code = self.code();
        code.starts_with("28") || code.starts_with("3D") || code.starts_with("42")
    }

    /// Returns whether tables that aren't as they should be may be the reason.
    pub(super) fn may_be_of_tables(&self) -> bool {
        !(self.is_lock() || self.is_conflict())
    }

    /// Returns whether anything else would fail in the same way.
    pub(super) fn is_of_session(&self) -> bool {
        self.is_lost() || self.is_lock() || self.is_refusal() || self.is_conflict()
    }

    /// Returns the error, in words for an operator.
    pub(super) fn describe(self) -> StoreError {
        match self {
            Self::Server(error) => describe(&error),
            Self::NoAnswer(_) | Self::Again(_) => {
                StoreError::new(self.to_string(), "check the server and the network between")
            }
            Self::Known(error) => error,
        }
    }

    /// Returns the error of this database.
    pub(super) fn at(self, database: impl fmt::Display) -> StoreError {
        let error = self.describe();
        StoreError { problem: format!("database {database}: {}", error.problem), ..error }
    }
}

/// Where a password comes from.
const PASSWORD_HINT: &str = "check the password: that of the address, or else of PGPASSWORD or ~/.pgpass; `password` in [database] is for the url there";
const CERTIFICATE_HINT: &str = "name the certificate of the authority that signed the server's with sslrootcert, and the server by the name in its certificate";
/// Certificates that libpq accepts: their name in an error of rustls, what is wrong, and what to do.
const BAD_CERTIFICATES: [(&str, &str, &str); 2] = [
    (
        "CaUsedAsEndEntity",
        "it is the certificate of an authority, not of a server",
        "let the authority sign a certificate for the server",
    ),
    (
        "UnsupportedCertVersion",
        "it is of version 1, without extensions",
        "make it again with the server's name as subjectAltName, which makes it version 3",
    ),
];
/// What a server is that takes no changes.
const READ_ONLY: &str =
    "the server takes no changes: it is a replica, or default_transaction_read_only is on";

fn is_io(error: &tokio_postgres::Error) -> bool {
    error.source().is_some_and(|source| source.is::<std::io::Error>())
}

/// Returns whether the answer belongs to another request: a pooler may pass on what another client has left behind.
fn is_out_of_step(error: &tokio_postgres::Error) -> bool {
    error.to_string() == "unexpected message from server"
}

fn describe(error: &tokio_postgres::Error) -> StoreError {
    let Some(server) = error.as_db_error() else { return describe_connection(error) };
    let words = server.message();
    let code = server.code();
    let (problem, hint) = match code.code() {
        "55P03" => (
            "another session has held its lock for too long".to_owned(),
            "try again, or end that session; `SELECT * FROM pg_stat_activity` shows it",
        ),
        "57014" => (
            "the server gave up: a statement took too long, or somebody has cancelled it"
                .to_owned(),
            "let statement_timeout be longer for this user: ALTER ROLE … SET statement_timeout",
        ),
        "40001" | "40P01" => ("other sessions kept changing the same rows".to_owned(), "try again"),
        "53100" => ("the server's disk is full".to_owned(), "free some space and try again"),
        // Only what fails inside of a function has a context. It may choose any code, and its words may contain a security code.
        code if server.where_().is_some() || code == "P0001" => (
            format!("a trigger refused the change ({code})"),
            "`\\d` in psql shows the triggers of a table",
        ),
        "28P01" => (words.to_owned(), PASSWORD_HINT),
        "28000" => (words.to_owned(), "check the user, sslmode and the server's pg_hba.conf"),
        "3D000" => (
            words.to_owned(),
            "check the name, or ask the administrator of that server to create the database",
        ),
        // The server's words depend on its language, the place in its source doesn't.
        "42501" => (
            words.to_owned(),
            match server.routine() {
                Some("CheckMyDatabase") => {
                    "let its owner run `GRANT CONNECT ON DATABASE … TO` this user"
                }
                Some("ExecWithCheckOptions") => ROW_SECURITY_HINT,
                _ => {
                    "`phone-verify doctor` has the statements that grant what is missing; if nothing is, let the owner of the tables run `phone-verify migrate`"
                }
            },
        ),
        "3F000" => (words.to_owned(), NO_SCHEMA_HINT),
        "25006" => (READ_ONLY.to_owned(), READ_ONLY_HINT),
        "23502" => (
            words.to_owned(),
            "another program added the column: let it be NULL, or give it a default",
        ),
        // Without a constraint's name, no partition takes the row.
        "23514" if server.constraint().is_none() => (
            words.to_owned(),
            "create the partition for rows of this day, and those to come; `\\d+` in psql shows which ones are there",
        ),
        "53300" => (
            words.to_owned(),
            "try again, or raise the limit: CONNECTION LIMIT of the role or the database that it names, or else max_connections of the server",
        ),
        "57P03" => (words.to_owned(), "try again when the server has started"),
        "57P01" | "57P02" => (words.to_owned(), "try again when the server is back"),
        "22001" => (
            words.to_owned(),
            "`\\d` in psql shows which column is shorter than `migrate` makes it",
        ),
        "22021" => (
            "a text can't be read, because it isn't UTF-8 (22021)".to_owned(),
            "correct or delete its row with psql, after `SET client_encoding = SQL_ASCII`",
        ),
        // What the server says of a value contains it.
        code if code.starts_with("22") => (
            format!("a value can't be stored ({code})"),
            "the server's log shows more; `\\d` in psql shows the columns and triggers of a table",
        ),
        // The detail may contain a code, but the message doesn't.
        code => {
            return StoreError { problem: format!("{words} ({code})"), hint: None };
        }
    };
    StoreError::new(problem, hint)
}

fn describe_connection(error: &tokio_postgres::Error) -> StoreError {
    let reason = error.source().map(ToString::to_string).unwrap_or_default();
    let (problem, hint) = if error.is_closed() || reason.contains("early eof") {
        (
            "the server closed the connection".to_owned(),
            "check the server's name and port; its log may say more",
        )
    } else if NOT_POSTGRESQL.iter().any(|words| reason.contains(words)) {
        (
            "what answers there isn't a PostgreSQL server".to_owned(),
            "check the server's name and port",
        )
    } else if reason.contains("certificate") {
        let (reason, hint) = BAD_CERTIFICATES
            .into_iter()
            .find_map(|(name, words, hint)| reason.contains(name).then_some((words, hint)))
            .unwrap_or((&reason, CERTIFICATE_HINT));
        (format!("the server's certificate is refused: {reason}"), hint)
    } else if reason.contains("database does not allow writes") {
        (READ_ONLY.to_owned(), READ_ONLY_HINT)
    } else if reason.contains("database is not read only") {
        (
            "the server takes changes, and target_session_attrs=read-only wants one that doesn't"
                .to_owned(),
            "leave target_session_attrs out, or name a replica",
        )
    } else if reason.contains("channel binding") {
        (
            "channel_binding=require needs TLS and a password that the server has in SCRAM"
                .to_owned(),
            "use sslmode=verify-full, or leave channel_binding out",
        )
    } else if reason.contains("does not support TLS") {
        (
            "the server has no TLS, which sslmode requires".to_owned(),
            "turn TLS on there; sslmode=prefer and sslmode=disable go on without encryption",
        )
    } else if reason.contains("password missing") {
        ("the server asks for a password".to_owned(), PASSWORD_HINT)
    } else {
        let problem = error.to_string().replace("error connecting to server", "can't connect");
        let reason = if reason.is_empty() { reason } else { format!(": {reason}") };
        (
            problem + &reason,
            "check the server's name and port, that it is running, and the network between",
        )
    };
    StoreError::new(problem, hint)
}

/// Returns the error of a change that isn't there afterwards: a trigger can prevent it without an error.
pub(super) fn undone() -> StoreError {
    StoreError::new(
        "a row was not changed, because a trigger prevents it",
        "`\\d` in psql shows the triggers of a table",
    )
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncWriteExt, duplex};
    use tokio_postgres::{Config, NoTls};

    use super::*;

    /// Returns the failure of a client whose server answers `messages`, and says no more; or of one whose server is gone.
    fn failure_after(messages: Option<&[u8]>) -> Failure {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let error = runtime.block_on(async {
            let (client, mut server) = duplex(1000);
            match messages {
                Some(messages) => {
                    server.write_all(messages).await.unwrap();
                    server.shutdown().await.unwrap();
                }
                None => drop(server),
            }
            Config::new().user("u").connect_raw(client, NoTls).await.err().unwrap()
        });
        error.into()
    }

    fn message(kind: char, body: &str) -> Vec<u8> {
        let length = 4 + body.len() as u32;
        [&[kind as u8], &length.to_be_bytes()[..], body.as_bytes()].concat()
    }

    fn refused(severity: &str, code: &str) -> Failure {
        let body = format!("S{severity}\0V{severity}\0C{code}\0Mno\0\0");
        failure_after(Some(&message('E', &body)))
    }

    #[test]
    fn each_failure_is_what_it_is_and_nothing_else() {
        const LOST: &str = "lost, of connection, of tables, of session";
        let error = StoreError::new("no", "none");
        for (failure, expected) in [
            (refused("ERROR", "40001"), "conflict, of session"),
            (refused("ERROR", "40P01"), "conflict, of session"),
            (refused("ERROR", "23505"), "duplicate, of tables"),
            (refused("ERROR", "55P03"), "lock, of session"),
            (refused("ERROR", "42501"), "refusal, of tables, of session"),
            (refused("ERROR", "28P01"), "refusal, of tables, of session"),
            (refused("ERROR", "3D000"), "refusal, of tables, of session"),
            (refused("ERROR", "22001"), "of tables"),
            (refused("ERROR", "P0001"), "of tables"),
            (refused("ERROR", "08P01"), LOST),
            (refused("FATAL", "57P01"), LOST),
            (refused("PANIC", "XX000"), LOST),
            (refused("FATAL", "57P03"), "lost, of connection, starting, of tables, of session"),
            (refused("FATAL", "28000"), "lost, of connection, refusal, of tables, of session"),
            (failure_after(None), LOST),
            (failure_after(Some(b"")), LOST),
            (failure_after(Some(&message('C', "SELECT 1\0"))), LOST),
            // It asks for a password, and there is none.
            (failure_after(Some(&message('R', "\0\0\0\u{3}"))), "of connection, of tables"),
            (Failure::NoAnswer(LOCK_TIMEOUT), LOST),
            (Failure::Again("changed"), "conflict, of session"),
            (Failure::Known(error), "of tables"),
        ] {
            let kinds = [
                ("lost", failure.is_lost()),
                ("of connection", failure.is_of_connection()),
                ("conflict", failure.is_conflict()),
                ("duplicate", failure.is_duplicate()),
                ("lock", failure.is_lock()),
                ("starting", failure.is_starting()),
                ("refusal", failure.is_refusal()),
                ("of tables", failure.may_be_of_tables()),
                ("of session", failure.is_of_session()),
            ];
            let kinds: Vec<_> =
                kinds.into_iter().filter_map(|(kind, is)| is.then_some(kind)).collect();
            assert_eq!(kinds.join(", "), expected, "{failure:?}");
        }
    }

    #[test]
    fn a_server_that_says_no_more_has_closed_the_connection() {
        let problem = failure_after(Some(b"")).describe().problem;
        assert_eq!(problem, "the server closed the connection");
        let problem = failure_after(None).describe().problem;
        assert!(problem.ends_with(": broken pipe"), "{problem}");
    }

    #[test]
    fn what_a_value_is_refused_for_is_not_repeated() {
        for (code, words) in [
            ("22003", "a value can't be stored (22003)"),
            ("0A000", "no (0A000)"),
            ("P0001", "a trigger refused the change (P0001)"),
        ] {
            assert_eq!(refused("ERROR", code).describe().problem, words);
        }
    }
}
