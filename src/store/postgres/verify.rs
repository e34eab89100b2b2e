//! How a code is verified: the record is read and judged here, and changed only if nobody has changed it meanwhile. No lock is held
//! while the client thinks.

use chrono::{DateTime, TimeDelta, Utc};
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::connection::{SOON, Server, Session, transaction};
use super::error::{Failure, LOCK_TIMEOUT, undone};
use super::facts::{Facts, IS_IN_TABLE};
use super::locks::{Lock, take_lock};
use super::migrate::facts_with;
use super::rows::read_record;
use super::values::{Parameter, to_stored_count, within_calendar};
use crate::model::{Period, PhoneNumber, SessionToken, SmsVerification, latest};
use crate::store::error::Result;
use crate::store::interface::{Attempt, Evidence, Judge, RecordChange, SessionChoice};
use crate::store::schema::{LEDGER, Layout, NOT_REFUSED, RECORDS, WRONG_CODES};

/// How often a change may change nothing, though nobody has changed the record, before a trigger must be the reason.
const MOST_IN_VAIN: usize = 3;

/// Verifies a code, as [`crate::store::Store::verify`] does.
pub(super) fn verify(
    server: &mut Server,
    phone_number: &PhoneNumber,
    session: &SessionChoice,
    judge: &Judge<'_>,
) -> Result<Attempt> {
    let mut verification = Verification::new(phone_number, session, judge);
    let attempted = verification.run_on(server);
    if attempted.is_ok() || !verification.was_refused {
        return attempted;
    }
    let decide = judge.for_record_alone();
    let judge = Judge { looks_back: None, decide: &decide };
    Verification::new(phone_number, session, &judge).run_on(server).and(attempted)
}

/// A code that is being verified, and what was tried so far.
struct Verification<'a> {
    phone_number: &'a PhoneNumber,
    session: &'a SessionChoice,
    judge: &'a Judge<'a>,
    /// Attempts whose changes were sent over connections that were lost: one may have been stored, or be about to.
    unsure: Vec<Attempt>,
    /// Attempts that had no effect, though nobody has changed the record since.
    in_vain: Vec<Attempt>,
    /// Whether the server refused the last change for a reason that another change may not have.
    was_refused: bool,
}

impl<'a> Verification<'a> {
    fn new(
        phone_number: &'a PhoneNumber,
        session: &'a SessionChoice,
        judge: &'a Judge<'a>,
    ) -> Self {
        let (unsure, in_vain) = (Vec::new(), Vec::new());
        Self { phone_number, session, judge, unsure, in_vain, was_refused: false }
    }

    fn run_on(&mut self, server: &mut Server) -> Result<Attempt> {
        server.run(SOON, async |session| {
            loop {
                if let Some(attempt) = self.attempt(session).await? {
                    return Ok(attempt);
                }
            }
        })
    }

    /// Judges the code and stores the decision. Returns None if what it was judged by has changed meanwhile.
    async fn attempt(&mut self, session: &Session) -> Result<Option<Attempt>, Failure> {
        let attempt = self.judge(session).await?;
        let Some(record) = &attempt.record else { return Ok(Some(attempt)) };
        if let Some(stored) = self.unsure.iter().find(|attempt| attempt.has_made(record)) {
            return Ok(Some(stored.clone()));
        }
        let Some(change) = attempt.decision.change else { return Ok(Some(attempt)) };
        self.in_vain.retain(|before| before.saw_the_same_as(&attempt));
        if self.in_vain.len() >= MOST_IN_VAIN {
            return Err(undone().into());
        }
        // If the connection is lost, or the time is over, nobody knows whether it was stored.
        self.unsure.push(attempt.clone());
        let stored = store(session, record, change, &attempt, self.judge.looks_back).await;
        let is_lost = stored.as_ref().is_err_and(Failure::is_lost);
        if !is_lost {
            self.unsure.pop();
        }
        self.was_refused =
            stored.as_ref().is_err_and(|failure| !failure.is_lost() && !failure.is_conflict());
        if stored? {
            return Ok(Some(attempt));
        }
        self.in_vain.push(attempt);
        Ok(None)
    }

    /// Finds what the code is judged by, and judges it. With a session token, all of it comes in one round trip.
    async fn judge(&self, session: &Session) -> Result<Attempt, Failure> {
        let client = &session.client;
        let (condition, token, until) = match self.session {
            SessionChoice::Token(token) => ("session_token = $2", Some(token), None),
            SessionChoice::Newest => {
                let latest = latest(session.likely_facts().await?.clock.now());
                ("created_at <= $3 AND isfinite(created_at)", None, Some(latest))
            }
        };
        let sql = format!(
            "SELECT {} FROM sms_verification
             WHERE phone_number = $1 AND {condition} AND {IS_IN_TABLE}
             ORDER BY created_at DESC, id DESC LIMIT 1",
            RECORDS.columns
        );
        let (number, token) = (self.phone_number.as_str(), token.map(SessionToken::as_str));
        let parameters: [Parameter<'_>; 3] =
            [(&number, Type::TEXT), (&token, Type::TEXT), (&until, Type::TIMESTAMPTZ)];
        let times_of_wrong_codes = async {
            match self.judge.looks_back {
                Some(_) => times_of_wrong_codes(client, self.phone_number).await,
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
        let wrong_codes = match self.judge.looks_back.filter(|_| record.is_some()) {
            Some(length) => count(&facts, times, Period::last(length, now))?,
            None => 0,
        };
        let decision = (self.judge.decide)(Evidence { record: record.as_ref(), wrong_codes }, now);
        Ok(Attempt { decision, record, wrong_codes_before: wrong_codes, judged_at: now })
    }
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
    let is_wrong = change == RecordChange::WrongCode;
    let facts = if is_wrong {
        facts_with(session, &WRONG_CODES).await?
    } else {
        session.likely_facts().await?
    };
    // The number's limit holds for right codes too.
    let looks_back = looks_back.filter(|_| facts.layout(&WRONG_CODES).is_readable());
    let Period { from, until } = Period::last(looks_back.unwrap_or_default(), attempt.judged_at);
    let (from, wrong_codes) = (within_calendar(from), i64::from(attempt.wrong_codes_before));
    let (is_verified, failed_attempts) = change.apply(record);
    let [failed_attempts, failed_before] =
        [failed_attempts, record.failed_attempts].map(to_stored_count);
    let (number, code) = (record.phone_number.as_str(), record.security_code.reveal());
    let parameters: [Parameter<'_>; 11] = [
        (&record.id, Type::UUID),
        (&number, Type::TEXT),
        (&record.is_verified, Type::BOOL),
        (&failed_before, Type::INT4),
        (&code, Type::TEXT),
        (&is_verified, Type::BOOL),
        (&failed_attempts, Type::INT4),
        (&attempt.judged_at, Type::TIMESTAMPTZ),
        (&from, Type::TIMESTAMPTZ),
        (&until, Type::TIMESTAMPTZ),
        (&wrong_codes, Type::INT8),
    ];
    let sql = change_sql(change, &facts, looks_back.is_some());
    let client = &session.client;
    let changed = transaction(client, LOCK_TIMEOUT, async {
        let lock = async {
            let has_limit = is_wrong && looks_back.is_some();
            if has_limit { take_lock(client, Lock::WrongCodes).await } else { Ok(()) }
        };
        let (lock, row) = tokio::join!(biased; lock, client.query_typed_one(&sql, &parameters));
        lock?;
        Ok::<_, Failure>(row?.try_get::<_, i64>(0)?)
    });
    Ok(changed.await? > 0)
}

/// Returns the statement that makes `change` and returns how many records it has changed: one if the record $1 of the number $2 is
/// as it was, $3 to $5, and with `has_limit` if the number had $11 wrong codes from $9 to $10. It becomes $6 and $7 at the time $8.
fn change_sql(change: RecordChange, facts: &Facts, has_limit: bool) -> String {
    let has_wrong_codes = if has_limit {
        "(SELECT count(*) FROM sms_wrong_code
          WHERE phone_number = $2 AND created_at BETWEEN $9 AND $10) = $11"
    } else {
        "TRUE"
    };
    let mut sql = format!(
        "WITH changed AS (
             UPDATE sms_verification SET is_verified = $6, failed_attempts = $7, modified_at = $8
             WHERE id = $1 AND phone_number = $2 AND is_verified = $3 AND failed_attempts = $4
               AND security_code = $5 AND {has_wrong_codes}
             RETURNING id)"
    );
    let is_changed = "EXISTS (SELECT 1 FROM changed)";
    if change == RecordChange::WrongCode {
        sql += ", counted AS (INSERT INTO sms_wrong_code (phone_number, created_at)
                     SELECT $2, $8 FROM changed)";
    }
    if change == RecordChange::Verified && facts.layout(&WRONG_CODES).is_readable() {
        sql += &format!(
            ", forgotten AS (DELETE FROM sms_wrong_code
                 WHERE phone_number = $2 AND {IS_IN_TABLE} AND {is_changed})"
        );
    }
    if change == RecordChange::Verified && facts.layout(&LEDGER).is_readable() {
        sql += &format!(
            ", delivery AS (UPDATE sms_delivery SET verified_at = $8
                 WHERE phone_number = $2 AND verification_id = $1
                   AND verified_at IS NULL AND {NOT_REFUSED} AND {IS_IN_TABLE} AND {is_changed})"
        );
    }
    sql + " SELECT count(*) FROM changed"
}

/// Returns the times of the wrong codes of `phone_number`. There are few, since a limit ends them and `purge` removes them.
async fn times_of_wrong_codes(
    client: &Client,
    phone_number: &PhoneNumber,
) -> Result<Vec<DateTime<Utc>>, Failure> {
    let sql = format!(
        "SELECT created_at FROM sms_wrong_code WHERE phone_number = $1
         AND created_at >= '0001-01-01' AND created_at < '10000-01-01' AND {IS_IN_TABLE}"
    );
    let number = phone_number.as_str();
    let rows = client.query_typed(&sql, &[(&number, Type::TEXT)]).await?;
    Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
}

/// Returns how many of these wrong codes are within `period`. If there is no table for them, there are none.
fn count(
    facts: &Facts,
    times: Result<Vec<DateTime<Utc>>, Failure>,
    period: Period,
) -> Result<u32, Failure> {
    let times = match facts.layout(&WRONG_CODES) {
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
    server.run(SOON, async |session| {
        let client = &session.client;
        transaction(client, LOCK_TIMEOUT, async {
            let times = times_of_wrong_codes(client, phone_number);
            let (facts, times) = tokio::join!(biased; session.facts(), times);
            count(&*facts?, times, period)
        })
        .await
    })
}
