//! The store on SQLite: every statement on the records.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params};
use uuid::Uuid;

use super::{
    Checked, Cursor, DamagedRow, Decide, RecordChange, RecordFilter, SendStep, Session, Store,
    StoreError, StoredRecord, Visit, schema,
};
use crate::clock::Clock;
use crate::model::{PhoneNumber, SecurityCode, SessionToken, SmsVerification, timestamp};

/// The columns of a record, in the order in which [`read_record`] takes them.
const SELECT: &str = "SELECT rowid, id, phone_number, security_code, session_token, is_verified, \
    failed_attempts, created_at, modified_at FROM sms_verification";

/// Holds for a text in the form of a time. What is damaged compares with times in surprising ways: a number is older than
/// all of them.
const IS_TIME: &str = "created_at GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9] \
    [0-9][0-9]:[0-9][0-9]:[0-9][0-9]*'";

/// A database file.
pub(super) struct Sqlite {
    connection: Connection,
    path: PathBuf,
    clock: Clock,
}

impl Sqlite {
    /// Opens the database at `path`.
    ///
    /// # Errors
    /// It is missing, can't be opened, or does not hold the current table.
    pub(super) fn open(path: &Path, clock: &Clock) -> Result<Self, StoreError> {
        let connection = schema::open(path)?;
        Ok(Self { connection, path: path.to_owned(), clock: clock.clone() })
    }

    /// Runs `work` in a transaction that no other writer can enter.
    fn write<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>, &Clock) -> Result<T, Failure>,
    ) -> Result<T, StoreError> {
        let run = || {
            let transaction =
                self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let value = work(&transaction, &self.clock)?;
            transaction.commit()?;
            Ok(value)
        };
        run().map_err(|failure: Failure| failure.into_store_error(&self.path))
    }

    fn read<T>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        work(&self.connection).map_err(|error| StoreError::sqlite(&self.path, &error))
    }
}

/// What can go wrong within a transaction.
enum Failure {
    Sqlite(rusqlite::Error),
    Damaged(DamagedRow),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl Failure {
    fn into_store_error(self, path: &Path) -> StoreError {
        match self {
            Self::Sqlite(error) => StoreError::sqlite(path, &error),
            Self::Damaged(row) => StoreError::damaged(path, &row),
        }
    }
}

impl Store for Sqlite {
    fn check(
        &mut self,
        phone_number: &PhoneNumber,
        session: &Session,
        decide: &Decide<'_>,
    ) -> Result<Checked, StoreError> {
        self.write(|transaction, clock| {
            let record = find(transaction, phone_number, session)?;
            let now = clock.now();
            let decision = decide(record.as_ref(), now);
            let Some(record) = record else {
                return Ok(Checked { status: decision.status, failed_attempts: None });
            };
            let (is_verified, failed_attempts) = match decision.change {
                None => (record.is_verified, record.failed_attempts),
                Some(RecordChange::Verified) => (true, 0),
                Some(RecordChange::FailedAttempt) => {
                    (record.is_verified, record.failed_attempts.saturating_add(1))
                }
            };
            if decision.change.is_some() {
                transaction
                    .prepare_cached(
                        "UPDATE sms_verification
                         SET is_verified = ?2, failed_attempts = ?3, modified_at = ?4 WHERE id = ?1",
                    )?
                    .execute(params![
                        stored_id(record.id),
                        is_verified,
                        failed_attempts,
                        timestamp::to_stored(now)
                    ])?;
            }
            Ok(Checked { status: decision.status, failed_attempts: Some(failed_attempts) })
        })
    }

    fn take_send_steps(&mut self, steps: &[SendStep]) -> Result<Vec<StoredRecord>, StoreError> {
        self.write(|transaction, clock| {
            let steps = steps.iter().map(|step| take_send_step(transaction, clock, step));
            Ok(steps.collect::<rusqlite::Result<_>>()?)
        })
    }

    fn page(
        &mut self,
        filter: &RecordFilter,
        after: Option<&Cursor>,
        limit: usize,
        visit: &mut Visit<'_>,
    ) -> Result<Option<Cursor>, StoreError> {
        let mut selection = Selection::of(filter);
        if let Some(Cursor { created_at, rowid }) = after {
            selection.and("(created_at, rowid) < (?, ?)", created_at.clone());
            selection.parameters.push((*rowid).into());
        }
        selection.parameters.push(i64::try_from(limit).unwrap_or(i64::MAX).into());
        let order = " ORDER BY created_at DESC, rowid DESC LIMIT ?";
        let sql = [SELECT, &selection.condition, order].concat();
        self.read(|connection| {
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = statement.query(rusqlite::params_from_iter(selection.parameters))?;
            let mut shown = 0;
            while let Some(row) = rows.next()? {
                shown += 1;
                if !visit(read_record(row)) {
                    return Ok(None);
                }
                if shown == limit {
                    return Ok(Some(Cursor { created_at: row.get(7)?, rowid: row.get(0)? }));
                }
            }
            Ok(None)
        })
    }

    fn count(&mut self, filter: &RecordFilter) -> Result<u64, StoreError> {
        let selection = Selection::of_judged(filter);
        let sql = ["SELECT count(*) FROM sms_verification", &selection.condition].concat();
        self.read(|connection| {
            let parameters = rusqlite::params_from_iter(selection.parameters);
            let count: i64 = connection.query_row(&sql, parameters, |row| row.get(0))?;
            Ok(u64::try_from(count).unwrap_or(0))
        })
    }

    fn delete_some(&mut self, filter: &RecordFilter, limit: usize) -> Result<u64, StoreError> {
        let mut selection = Selection::of_judged(filter);
        selection.parameters.push(i64::try_from(limit).unwrap_or(i64::MAX).into());
        let sql = [
            "DELETE FROM sms_verification WHERE rowid IN (SELECT rowid FROM sms_verification",
            &selection.condition,
            " LIMIT ?)",
        ]
        .concat();
        self.write(|transaction, _| {
            let parameters = rusqlite::params_from_iter(selection.parameters);
            Ok(transaction.prepare_cached(&sql)?.execute(parameters)? as u64)
        })
    }

    fn damaged_times(&mut self) -> Result<Vec<DamagedRow>, StoreError> {
        let sql = ["SELECT rowid, id FROM sms_verification WHERE NOT (", IS_TIME, ")"].concat();
        self.read(|connection| {
            let mut statement = connection.prepare(&sql)?;
            let rows = statement.query_map([], |row| Ok(damaged(row, "created_at", NO_TIME)))?;
            rows.collect()
        })
    }
}

fn take_send_step(
    transaction: &Transaction<'_>,
    clock: &Clock,
    step: &SendStep,
) -> rusqlite::Result<StoredRecord> {
    match step {
        SendStep::Record(record) => {
            let created_at = clock.now();
            let stored_time = timestamp::to_stored(created_at);
            transaction
                .prepare_cached(
                    "INSERT INTO sms_verification (id, phone_number, security_code, session_token,
                         is_verified, failed_attempts, created_at, modified_at)
                     VALUES (?1, ?2, ?3, ?4, 0, 0, ?5, ?5)",
                )?
                .execute(params![
                    stored_id(record.id),
                    record.phone_number.as_str(),
                    record.security_code.reveal(),
                    record.session_token.as_str(),
                    stored_time
                ])?;
            Ok(StoredRecord {
                id: record.id,
                phone_number: record.phone_number.clone(),
                created_at,
            })
        }
        SendStep::Accepted(record) => {
            transaction
                .prepare_cached(
                    "DELETE FROM sms_verification WHERE phone_number = ?1 AND created_at < ?2",
                )?
                .execute(params![
                    record.phone_number.as_str(),
                    timestamp::to_stored(record.created_at)
                ])?;
            Ok(record.clone())
        }
        SendStep::NotAccepted(record) => {
            transaction
                .prepare_cached("DELETE FROM sms_verification WHERE id = ?1")?
                .execute([stored_id(record.id)])?;
            Ok(record.clone())
        }
    }
}

fn find(
    connection: &Connection,
    phone_number: &PhoneNumber,
    session: &Session,
) -> Result<Option<SmsVerification>, Failure> {
    const NEWEST: &str = " ORDER BY created_at DESC, rowid DESC LIMIT 1";
    let (condition, token) = match session {
        Session::Token(token) => {
            (" WHERE phone_number = ?1 AND session_token = ?2", Some(token.as_str()))
        }
        Session::Newest => (" WHERE phone_number = ?1 AND ?2 IS NULL", None),
    };
    connection
        .prepare_cached(&[SELECT, condition, NEWEST].concat())?
        .query_row(params![phone_number.as_str(), token], |row| Ok(read_record(row)))
        .optional()?
        .transpose()
        .map_err(Failure::Damaged)
}

/// A WHERE clause made of fixed conditions, and its parameters.
struct Selection {
    condition: String,
    parameters: Vec<Value>,
}

impl Selection {
    fn of(filter: &RecordFilter) -> Self {
        let mut selection = Self { condition: String::new(), parameters: Vec::new() };
        let time = |time: DateTime<Utc>| timestamp::to_stored(time);
        if let Some(phone_number) = &filter.phone_number {
            selection.and("phone_number = ?", phone_number.as_str().to_owned());
        }
        if let Some(is_verified) = filter.is_verified {
            selection.and("is_verified = ?", is_verified);
        }
        if let Some(failed_attempts) = filter.min_failed_attempts {
            selection.and("failed_attempts >= ?", failed_attempts);
        }
        if let Some(created_from) = filter.created_from {
            selection.and("created_at >= ?", time(created_from));
        }
        if let Some(created_before) = filter.created_before {
            selection.and("created_at < ?", time(created_before));
        }
        selection
    }

    /// Returns the selection without records whose time is damaged, where time is a condition.
    fn of_judged(filter: &RecordFilter) -> Self {
        let mut selection = Self::of(filter);
        if filter.created_before.is_some() {
            selection.condition.push_str(" AND ");
            selection.condition.push_str(IS_TIME);
        }
        selection
    }

    fn and(&mut self, condition: &'static str, parameter: impl Into<Value>) {
        self.condition.push_str(if self.condition.is_empty() { " WHERE " } else { " AND " });
        self.condition.push_str(condition);
        self.parameters.push(parameter.into());
    }
}

const NO_TIME: &str = "it is not a time such as 2026-11-23 07:46:40.746691";

/// Reads the columns of [`SELECT`].
fn read_record(row: &Row<'_>) -> Result<SmsVerification, DamagedRow> {
    let value =
        |index, column| row.get_ref(index).map_err(|_| damaged(row, column, "it can't be read"));
    let text = |index, column| match value(index, column)? {
        ValueRef::Text(bytes) => {
            std::str::from_utf8(bytes).map_err(|_| damaged(row, column, "it is not UTF-8 text"))
        }
        _ => Err(damaged(row, column, "it is not text")),
    };
    let time = |index, column| {
        timestamp::from_stored(text(index, column)?).ok_or_else(|| damaged(row, column, NO_TIME))
    };
    Ok(SmsVerification {
        id: Uuid::parse_str(text(1, "id")?).map_err(|_| damaged(row, "id", "it is not a UUID"))?,
        phone_number: PhoneNumber::from_stored(text(2, "phone_number")?.to_owned()),
        security_code: SecurityCode::from_stored(text(3, "security_code")?.to_owned()),
        session_token: SessionToken::from_stored(text(4, "session_token")?.to_owned()),
        is_verified: match value(5, "is_verified")? {
            ValueRef::Integer(0) => false,
            ValueRef::Integer(1) => true,
            _ => return Err(damaged(row, "is_verified", "it is neither 0 nor 1")),
        },
        failed_attempts: match value(6, "failed_attempts")? {
            ValueRef::Integer(number) => u32::try_from(number).ok(),
            _ => None,
        }
        .ok_or_else(|| damaged(row, "failed_attempts", "it is not a count"))?,
        created_at: time(7, "created_at")?,
        modified_at: time(8, "modified_at")?,
    })
}

/// Returns the news that `column` of `row` is damaged. The row's first two columns are its rowid and id.
fn damaged(row: &Row<'_>, column: &'static str, problem: &'static str) -> DamagedRow {
    let id = row.get::<_, String>(1).ok().filter(|id| Uuid::parse_str(id).is_ok());
    let rowid =
        || row.get::<_, i64>(0).map_or_else(|_| "?".to_owned(), |rowid| format!("rowid {rowid}"));
    DamagedRow { row: id.unwrap_or_else(rowid), column, problem }
}

/// Returns an id as Django's `UUIDField` stores it: 32 lower-case hex digits.
fn stored_id(id: Uuid) -> String {
    id.simple().to_string()
}
