//! How a code is verified: the record is read and judged here, and changed only if nobody has changed it meanwhile. No lock is held
//! while the client thinks.

use chrono::{DateTime, TimeDelta, Utc};
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::connection::{Patience, Server, Session, transaction};
use super::error::{Failure, LOCK_TIMEOUT, undone};
use super::facts::Facts;
use super::locks::{Lock, take_lock};
use super::migrate::facts_with;
use super::rows::read_record;
use super::selection::IS_OPEN;
use super::values::{Parameter, to_stored_count, within_calendar};
use crate::model::{Period, PhoneNumber, SessionToken, SmsVerification, latest};
use crate::store::error::Result;
use crate::store::interface::{Attempt, Evidence, Judge, RecordChange, Session as Asked};
use crate::store::schema::{Layout, RECORDS, WRONG_CODES};

/// How often a change may change nothing, though nobody has changed the record, before a trigger must be the reason.
const MOST_IN_VAIN: u32 = 3;

/// Verifies a code, as [`crate::store::Store::verify`] does.
pub(super) fn verify(
    server: &mut Server,
    phone_number: &PhoneNumber,
    asked: &Asked,
    judge: &Judge<'_>,
) -> Result<Attempt> {
    let mut fails_anyway = true;
    let attempted = attempt(server, phone_number, asked, judge, &mut fails_anyway);
    if attempted.is_ok() || fails_anyway {
        return attempted;
    }
    let decide = judge.for_record_alone();
    let judge = Judge { looks_back: None, decide: &decide };
    attempt(server, phone_number, asked, &judge, &mut fails_anyway).and(attempted)
}

/// Verifies a code. Says whether it fails for a reason that anything else would fail for, such as that nothing was judged.
fn attempt(
    server: &mut Server,
    phone_number: &PhoneNumber,
    asked: &Asked,
    judge: &Judge<'_>,
    fails_anyway: &mut bool,
) -> Result<Attempt> {
    // Attempts whose changes were sent over connections that were lost: one may have been stored, or be about to.
    let mut unsure: Vec<Attempt> = Vec::new();
    // An attempt whose change changed nothing.
    let mut vain: Option<Attempt> = None;
    let mut times_in_vain = 0;
    server.run(Patience::ForLocks(LOCK_TIMEOUT), async |session| {
        loop {
            let Findings { record, wrong_codes, now } =
                find(session, phone_number, asked, judge).await?;
            if let Some(record) = &record
                && let Some(attempt) = unsure.iter().find(|attempt| attempt.has_made(record))
            {
                return Ok(attempt.clone());
            }
            let decision = (judge.decide)(Evidence { record: record.as_ref(), wrong_codes }, now);
            let attempt =
                Attempt { decision, record, wrong_codes_before: wrong_codes, judged_at: now };
            let (Some(record), Some(change)) = (&attempt.record, decision.change) else {
                return Ok(attempt);
            };
            let is_unchanged = vain.as_ref().is_some_and(|before| before.saw_the_same_as(&attempt));
            times_in_vain = if is_unchanged { times_in_vain + 1 } else { 0 };
            if times_in_vain >= MOST_IN_VAIN {
                return Err(undone().into());
            }
            unsure.push(attempt.clone());
            match store(session, record, change, &attempt, judge.looks_back).await {
                Ok(true) => return Ok(attempt),
                Ok(false) => {
                    unsure.pop();
                    vain = Some(attempt);
                }
                Err(failure) => {
                    if !failure.is_lost() {
                        unsure.pop();
                    }
                    *fails_anyway = failure.is_lost() || failure.is_conflict();
                    return Err(failure);
                }
            }
        }
    })
}

impl Attempt {
    /// Returns whether `record` is as this attempt has changed it.
    fn has_made(&self, record: &SmsVerification) -> bool {
        let (Some(before), Some(change)) = (&self.record, self.decision.change) else {
            return false;
        };
        let is_changed = (record.is_verified, record.failed_attempts) == change.apply(before);
        record.id == before.id && record.modified_at == self.judged_at && is_changed
    }

    /// Returns whether nobody has changed what this attempt was judged by before the `later` one was.
    fn saw_the_same_as(&self, later: &Self) -> bool {
        let key = |attempt: &Self| {
            let record = attempt.record.as_ref()?;
            let state = (record.is_verified, record.failed_attempts, record.modified_at);
            Some((record.id, state, attempt.wrong_codes_before))
        };
        key(self) == key(later)
    }
}

/// Changes `record` as decided, with what follows from it, unless somebody has changed it meanwhile. Returns whether it did.
async fn store(
    session: &Session,
    record: &SmsVerification,
    change: RecordChange,
    attempt: &Attempt,
    looks_back: Option<TimeDelta>,
) -> Result<bool, Failure> {
    let facts = match change {
        RecordChange::WrongCode => facts_with(session, &WRONG_CODES).await?,
        _ => session.likely_facts().await?,
    };
    let (is_verified, failed_attempts) = change.apply(record);
    let number = record.phone_number.as_str();
    let code = record.security_code.reveal();
    let [failed_attempts, failed_before] =
        [failed_attempts, record.failed_attempts].map(to_stored_count);
    let mut parameters: Vec<Parameter<'_>> = vec![
        (&record.id, Type::UUID),
        (&is_verified, Type::BOOL),
        (&failed_attempts, Type::INT4),
        (&attempt.judged_at, Type::TIMESTAMPTZ),
        (&record.is_verified, Type::BOOL),
        (&failed_before, Type::INT4),
        (&code, Type::TEXT),
        (&number, Type::TEXT),
    ];
    let mut sql = "WITH changed AS (
             UPDATE sms_verification SET is_verified = $2, failed_attempts = $3, modified_at = $4
             WHERE id = $1 AND phone_number = $8 AND is_verified = $5 AND failed_attempts = $6
               AND security_code = $7"
        .to_owned();
    let is_wrong = change == RecordChange::WrongCode;
    // The number's limit holds for right codes too.
    let counted = looks_back.filter(|_| is_wrong || facts.wrong_codes.is_readable());
    let counted = counted.map(|length| {
        let Period { from, until } = Period::last(length, attempt.judged_at);
        (within_calendar(from), until, i64::from(attempt.wrong_codes_before))
    });
    if let Some((from, until, wrong_codes)) = &counted {
        sql += " AND (SELECT count(*) FROM sms_wrong_code
                 WHERE phone_number = $8 AND created_at BETWEEN $9 AND $10) = $11";
        parameters.extend([
            (from as _, Type::TIMESTAMPTZ),
            (until as _, Type::TIMESTAMPTZ),
            (wrong_codes as _, Type::INT8),
        ]);
    }
    sql += " RETURNING id)";
    let is_changed = "EXISTS (SELECT 1 FROM changed)";
    if change == RecordChange::Verified && facts.ledger.is_readable() {
        sql += &format!(
            ", delivery AS (UPDATE sms_delivery SET verified_at = $4
                 WHERE phone_number = $8 AND verification_id = $1 AND {IS_OPEN} AND {is_changed})"
        );
    }
    match change {
        RecordChange::Verified if facts.wrong_codes.is_readable() => {
            sql += &format!(
                ", forgotten AS (DELETE FROM sms_wrong_code WHERE phone_number = $8 AND {is_changed})"
            );
        }
        RecordChange::WrongCode => {
            sql += ", counted AS (INSERT INTO sms_wrong_code (phone_number, created_at)
                     SELECT $8, $4 FROM changed)";
        }
        RecordChange::Verified | RecordChange::FailedAttempt => {}
    }
    sql += " SELECT count(*) FROM changed";
    let client = &session.client;
    let changed = transaction(client, LOCK_TIMEOUT, async {
        let lock = async {
            let has_limit = is_wrong && counted.is_some();
            if has_limit { take_lock(client, Lock::WrongCodes).await } else { Ok(()) }
        };
        let change = client.query_typed_one(&sql, &parameters);
        let (lock, row) = tokio::join!(biased; lock, change);
        lock?;
        Ok::<_, Failure>(row?.try_get::<_, i64>(0)?)
    });
    Ok(changed.await? > 0)
}

/// What a code is judged by.
struct Findings {
    record: Option<SmsVerification>,
    wrong_codes: u32,
    now: DateTime<Utc>,
}

/// Finds what a code is judged by. With a session token, all of it comes in one round trip.
async fn find(
    session: &Session,
    phone_number: &PhoneNumber,
    asked: &Asked,
    judge: &Judge<'_>,
) -> Result<Findings, Failure> {
    let client = &session.client;
    let (condition, token, until) = match asked {
        Asked::Token(token) => ("session_token = $2", Some(token), None),
        Asked::Newest => {
            let latest = latest(session.likely_facts().await?.clock.now());
            ("created_at <= $3 AND isfinite(created_at)", None, Some(latest))
        }
    };
    let sql = format!(
        "SELECT {} FROM sms_verification WHERE phone_number = $1 AND {condition}
             ORDER BY created_at DESC, id DESC LIMIT 1",
        RECORDS.columns
    );
    let (number, token) = (phone_number.as_str(), token.map(SessionToken::as_str));
    let parameters =
        [(&number as _, Type::TEXT), (&token as _, Type::TEXT), (&until as _, Type::TIMESTAMPTZ)];
    let times_of_wrong_codes = async {
        match judge.looks_back {
            Some(_) => times_of_wrong_codes(client, phone_number).await,
            None => Ok(Vec::new()),
        }
    };
    let (facts, record, times) = transaction(client, LOCK_TIMEOUT, async {
        let record = client.query_typed_opt(&sql, &parameters);
        let (facts, record, times) =
            tokio::join!(biased; session.likely_facts(), record, times_of_wrong_codes);
        let facts = facts?;
        facts.check_records()?;
        // There may be no table of wrong codes.
        Ok((facts, record?, times))
    })
    .await?;
    let now = facts.clock.now();
    let record = record.as_ref().map(read_record).transpose()?;
    let wrong_codes = match judge.looks_back.filter(|_| record.is_some()) {
        Some(length) => count(&facts, times, Period::last(length, now))?,
        None => 0,
    };
    Ok(Findings { record, wrong_codes, now })
}

/// Returns the times of the wrong codes of `phone_number`. There are few, since a limit ends them and `purge` removes them.
async fn times_of_wrong_codes(
    client: &Client,
    phone_number: &PhoneNumber,
) -> Result<Vec<DateTime<Utc>>, Failure> {
    let sql = "SELECT created_at FROM sms_wrong_code WHERE phone_number = $1
         AND created_at >= '0001-01-01' AND created_at < '10000-01-01'";
    let number = phone_number.as_str();
    let rows = client.query_typed(sql, &[(&number, Type::TEXT)]).await?;
    Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
}

/// Returns how many of these wrong codes are within `period`. If there is no table for them, there are none.
fn count(
    facts: &Facts,
    times: Result<Vec<DateTime<Utc>>, Failure>,
    period: Period,
) -> Result<u32, Failure> {
    let times = match &facts.wrong_codes {
        Layout::Foreign(error) => return Err(error.clone().into()),
        // It may have been created since.
        Layout::Missing => times.unwrap_or_default(),
        _ => times?,
    };
    let within = times.iter().filter(|time| period.contains(**time));
    Ok(u32::try_from(within.count()).unwrap_or(u32::MAX))
}

/// Returns how many wrong codes of `phone_number` were counted within `period`.
pub(super) fn wrong_codes(
    server: &mut Server,
    phone_number: &PhoneNumber,
    period: Period,
) -> Result<u32> {
    server.run(Patience::Endless, async |session| {
        let client = &session.client;
        transaction(client, LOCK_TIMEOUT, async {
            let times = times_of_wrong_codes(client, phone_number);
            let (facts, times) = tokio::join!(biased; session.facts(), times);
            count(&*facts?, times, period)
        })
        .await
    })
}
