//! What always has to be true, whatever fails. It is told what the database committed and what the providers really did, and
//! works out on its own, in the simplest way, what the program may do.

use std::fmt;
use std::mem::discriminant;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::scenario::Scenario;
use crate::model::{
    DeliveryState, Period, PhoneNumber, SmsVerification, VerificationStatus, latest,
};
use crate::service::admission::Resume;
use crate::service::outcome::{Kind, Outcome};
use crate::store::{
    Attempt, RecordChange, Refusal, Rows, SendReply, SendStep, StartedSend, Tables,
};

const HOUR: TimeDelta = TimeDelta::hours(1);
const DAY: TimeDelta = TimeDelta::days(1);

/// What has to be true.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// No message is accepted without its record or a newer one.
    HasRecord,
    /// No message is sent twice, except with `--resend-unknown`.
    SentOnce,
    /// The limits of sends are exact.
    Limits,
    /// The budget of wrong codes is exact.
    WrongCodes,
    /// A code that works only once is valid once.
    OnlyOnce,
    /// What is reported as not sent wasn't.
    Reported,
    /// `purge` removes no live record.
    Purge,
    /// Nothing panics.
    NoPanic,
}

/// Something that isn't true but has to be.
#[derive(Debug)]
pub(super) struct Violation {
    pub(super) rule: Rule,
    what: String,
}

impl Violation {
    pub(super) fn new(rule: Rule, what: impl Into<String>) -> Self {
        Self { rule, what: what.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}: {}", self.rule, self.what)
    }
}

type Result<T = ()> = std::result::Result<T, Violation>;

/// Returns whether `--resume` may send to a number with this delivery in its ledger: its outcome is unknown, the run shall send to
/// such numbers again, and no other run may still be at it.
fn may_be_sent_again(row: &Row, resume: Resume, now: DateTime<Utc>) -> bool {
    match (row.state, resume.longest_send) {
        (DeliveryState::Sending, Some(longest)) => now - row.created_at > longest,
        (DeliveryState::Unknown, Some(_)) => true,
        (state, _) => !state.may_have_been_accepted(),
    }
}

fn expect(holds: bool, rule: Rule, what: impl FnOnce() -> String) -> Result {
    if holds { Ok(()) } else { Err(Violation::new(rule, what())) }
}

/// A send that was stored.
struct Sent {
    id: Uuid,
    number: PhoneNumber,
    code: String,
    /// When its record was created.
    created_at: DateTime<Utc>,
    /// The earlier sends that `--resume` had to know of.
    known: Vec<usize>,
    /// How often a provider accepted it, and didn't lie about that.
    accepted: u32,
    /// Whether it was reported as not sent.
    is_reported_unsent: bool,
    /// Whether `purge` removed its record or a newer one.
    is_purged: bool,
    /// How many codes were compared with its own since the last valid one.
    compared: u32,
    /// How often its code was valid.
    valid: u32,
}

/// A delivery in the ledger.
struct Row {
    id: i64,
    sent: usize,
    created_at: DateTime<Utc>,
    state: DeliveryState,
}

/// Everything that was committed, and what really happened.
pub(super) struct Invariants {
    scenario: Scenario,
    sent: Vec<Sent>,
    ledger: Vec<Row>,
    wrong_codes: Vec<(PhoneNumber, DateTime<Utc>)>,
}

impl Invariants {
    pub(super) fn new(scenario: &Scenario) -> Self {
        let (sent, ledger, wrong_codes) = Default::default();
        Self { scenario: scenario.clone(), sent, ledger, wrong_codes }
    }

    fn index(&self, number: &PhoneNumber, code: &str) -> Option<usize> {
        self.sent.iter().rposition(|sent| sent.number == *number && sent.code == code)
    }

    /// Checks a message that leaves for a provider: by then its record is stored, or was replaced or removed a moment ago.
    pub(super) fn left(
        &mut self,
        number: &PhoneNumber,
        code: &str,
        records: &[SmsVerification],
    ) -> Result {
        let Some(index) = self.index(number, code) else {
            let what = format!("{code} left for {number} before its record was stored");
            return Err(Violation::new(Rule::HasRecord, what));
        };
        self.has_record(index, records)
    }

    /// Takes note that a provider accepted a message. `is_lie` says that it will deny that.
    pub(super) fn accepted(
        &mut self,
        number: &PhoneNumber,
        code: &str,
        is_lie: bool,
        records: &[SmsVerification],
    ) -> Result {
        let Some(index) = self.index(number, code).filter(|_| !is_lie) else { return Ok(()) };
        self.sent[index].accepted += 1;
        expect(self.sent[index].accepted == 1, Rule::SentOnce, || {
            format!("{code} was accepted twice for {number}")
        })?;
        let is_accepted = |index: usize| self.sent[index].accepted > 0;
        for sent in self.sent.iter().filter(|sent| sent.accepted > 0) {
            let earlier = sent.known.iter().find(|earlier| is_accepted(**earlier));
            expect(earlier.is_none(), Rule::SentOnce, || {
                format!("{} was sent to {number} although --resume had to skip it", sent.code)
            })?;
        }
        expect(!self.sent[index].is_reported_unsent, Rule::Reported, || {
            format!("{code} was accepted for {number}, and reported as not sent")
        })?;
        self.has_record(index, records)
    }

    /// Checks that each message that was accepted has its record or a newer one.
    pub(super) fn records_are_there(&self, records: &[SmsVerification]) -> Result {
        let mut accepted = (0..self.sent.len()).filter(|index| self.sent[*index].accepted > 0);
        accepted.try_for_each(|index| self.has_record(index, records))
    }

    fn has_record(&self, index: usize, records: &[SmsVerification]) -> Result {
        let Sent { number, code, created_at, .. } = &self.sent[index];
        // After the clock went back, a newer record may have an earlier time.
        let is_newer = |id| self.sent[index..].iter().any(|sent| sent.id == id);
        let stands_in = |record: &SmsVerification| {
            record.phone_number == *number
                && (record.created_at >= *created_at || is_newer(record.id))
        };
        let has_record = self.sent[index].is_purged || records.iter().any(stands_in);
        expect(has_record, Rule::HasRecord, || {
            format!("{code} left for {number}, and neither its record nor a newer one is there")
        })
    }

    /// Returns why a send to `number` may not start at `now`, by the plainest reading of the rules.
    fn refusal(
        &self,
        number: &PhoneNumber,
        resume: Option<Resume>,
        now: DateTime<Utc>,
    ) -> Option<Refusal> {
        let Scenario { cooldown, max_per_day, max_per_hour, lifetime, .. } = self.scenario;
        let is_past = |row: &&Row| row.created_at <= latest(now);
        let to_number = || {
            self.ledger.iter().filter(is_past).filter(|row| self.sent[row.sent].number == *number)
        };
        if let Some(resume) = resume {
            let mut live = to_number().filter(|row| now - row.created_at <= lifetime);
            if live.clone().any(|row| row.state.was_accepted()) {
                return Some(Refusal::AlreadySent);
            }
            if live.any(|row| !may_be_sent_again(row, resume, now)) {
                return Some(Refusal::UnknownOutcome);
            }
        }
        let count = |rows: &mut dyn Iterator<Item = &Row>, length: TimeDelta| {
            let counts = |row: &&Row| {
                row.state.may_have_been_accepted() && now - row.created_at.min(now) < length
            };
            rows.filter(counts).count()
        };
        let is_reached =
            |most: Option<u32>, count: usize| most.is_some_and(|most| count >= most as usize);
        let is_limited = cooldown.is_some_and(|cooldown| count(&mut to_number(), cooldown) > 0)
            || is_reached(max_per_day, count(&mut to_number(), DAY))
            || is_reached(max_per_hour, count(&mut self.ledger.iter().filter(is_past), HOUR));
        is_limited.then(|| Refusal::Limited { reason: String::new(), retry_at: None })
    }

    /// Checks a step that was committed at `now`, in a run with this `resume`.
    pub(super) fn stepped(
        &mut self,
        step: &SendStep,
        reply: &SendReply,
        resume: Option<Resume>,
        now: DateTime<Utc>,
    ) -> Result {
        match (step, reply) {
            (SendStep::Start(send), reply) => {
                let checked = self.check_start(&send.phone_number, reply, resume, now);
                if let SendReply::Started(started) = reply {
                    self.start(send.security_code.reveal(), started, resume, now);
                }
                return checked;
            }
            (SendStep::HandOver { send, outcome, .. }, reply) => {
                self.set_state(send.delivery_id, outcome.state);
                if let SendReply::Started(started) = reply
                    && let Some(sent) =
                        self.sent.iter().position(|sent| sent.id == started.verification_id)
                {
                    self.add(started.delivery_id, sent, now);
                }
            }
            (SendStep::Settle { send, outcome, .. }, _) => {
                self.set_state(send.delivery_id, outcome.state);
            }
            (SendStep::Update { delivery_id, outcome }, _) => {
                self.set_state(*delivery_id, outcome.state);
            }
            (SendStep::Check { .. }, _) => {}
        }
        Ok(())
    }

    /// Checks whether a send may start.
    fn check_start(
        &self,
        number: &PhoneNumber,
        reply: &SendReply,
        resume: Option<Resume>,
        now: DateTime<Utc>,
    ) -> Result {
        let expected = self.refusal(number, resume, now);
        let refusal = match reply {
            SendReply::Refused(refusal) => Some(refusal),
            _ => None,
        };
        let is_same = refusal.map(discriminant) == expected.as_ref().map(discriminant);
        expect(is_same, Rule::Limits, || {
            format!("a send to {number} got {reply:?}, not {expected:?}")
        })?;
        match refusal {
            Some(Refusal::Limited { retry_at: Some(at), .. }) => {
                self.check_retry(number, resume, *at, now)
            }
            _ => Ok(()),
        }
    }

    /// Checks that a limit opens exactly at `at`, unless something else happens.
    fn check_retry(
        &self,
        number: &PhoneNumber,
        resume: Option<Resume>,
        at: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result {
        // What is from the future may come to count meanwhile.
        if self.ledger.iter().any(|row| row.created_at > now) {
            return Ok(());
        }
        let is_limited =
            |at| matches!(self.refusal(number, resume, at), Some(Refusal::Limited { .. }));
        let is_exact = is_limited(at - TimeDelta::microseconds(1)) && !is_limited(at);
        expect(is_exact, Rule::Limits, || {
            format!("the limit of {number} at {now} doesn't open exactly at {at}")
        })
    }

    fn start(
        &mut self,
        code: &str,
        started: &StartedSend,
        resume: Option<Resume>,
        now: DateTime<Utc>,
    ) {
        let number = &started.phone_number;
        let life = Period::last(self.scenario.lifetime, now);
        let is_known = |row: &&Row| {
            self.sent[row.sent].number == *number
                && life.contains(row.created_at)
                && row.state.may_have_been_accepted()
        };
        let has_to_skip =
            |row: &&Row| resume.is_some_and(|resume| !may_be_sent_again(row, resume, now));
        let known = self.ledger.iter().filter(is_known).filter(has_to_skip).map(|row| row.sent);
        self.sent.push(Sent {
            id: started.verification_id,
            number: number.clone(),
            code: code.to_owned(),
            created_at: started.created_at,
            known: known.collect(),
            accepted: 0,
            is_reported_unsent: false,
            is_purged: false,
            compared: 0,
            valid: 0,
        });
        self.add(started.delivery_id, self.sent.len() - 1, now);
    }

    fn add(&mut self, id: i64, sent: usize, created_at: DateTime<Utc>) {
        self.ledger.push(Row { id, sent, created_at, state: DeliveryState::Sending });
    }

    fn set_state(&mut self, id: i64, state: DeliveryState) {
        let row = self.ledger.iter_mut().find(|row| row.id == id);
        if let Some(row) = row.filter(|row| !row.state.is_final()) {
            row.state = state;
        }
    }

    /// Checks what was reported about a number.
    pub(super) fn reported(&mut self, outcome: &Outcome) -> Result {
        let Outcome::Failed { id: Some(id), error, .. } = outcome else { return Ok(()) };
        let is_unsent = matches!(error.kind, Kind::Rejected | Kind::Unavailable);
        let of_id = self.sent.iter_mut().find(|sent| sent.id == *id);
        let Some(sent) = of_id.filter(|_| is_unsent) else { return Ok(()) };
        sent.is_reported_unsent = true;
        expect(sent.accepted == 0, Rule::Reported, || {
            format!("{} was accepted for {}, and reported as not sent", sent.code, sent.number)
        })
    }

    /// Checks what `purge` removed at `now`.
    pub(super) fn deleted(
        &mut self,
        rows: &Rows,
        before: &Tables,
        after: &Tables,
        now: DateTime<Utc>,
    ) -> Result {
        let is_erasure = matches!(rows, Rows::Records(filter) if !filter.numbers.is_empty());
        let is_left = |id| after.records.iter().any(|record| record.id == id);
        for record in before.records.iter().filter(|record| !is_left(record.id)) {
            let is_live = !record.is_expired(self.scenario.lifetime, now);
            expect(is_erasure || !is_live, Rule::Purge, || {
                format!("the live record of {} is purged", record.phone_number)
            })?;
            let purged = self.sent.iter().rposition(|sent| sent.id == record.id);
            for (index, sent) in self.sent.iter_mut().enumerate() {
                let is_older = Some(index) <= purged || sent.created_at <= record.created_at;
                sent.is_purged |= sent.number == record.phone_number && is_older;
            }
        }
        self.ledger.retain(|row| after.deliveries.iter().any(|left| left.id == row.id));
        if let Rows::WrongCodes(filter) = rows {
            self.wrong_codes.retain(|(number, at)| {
                !(filter.numbers.is_empty() || filter.numbers.contains(&number.clone().into()))
                    || filter.created_outside.is_some_and(|kept| kept.contains(*at))
            });
        }
        Ok(())
    }

    /// Checks an answer that was committed.
    pub(super) fn verified(&mut self, number: &PhoneNumber, attempt: &Attempt) -> Result {
        use VerificationStatus::*;
        let Scenario { max_wrong_codes, max_failed_attempts, only_once, lifetime, .. } =
            self.scenario;
        let Some(record) = &attempt.record else { return Ok(()) };
        let counting = Period::last(DAY, attempt.judged_at);
        let of_number = |(other, at): &&(PhoneNumber, _)| other == number && counting.contains(*at);
        let wrong = self.wrong_codes.iter().filter(of_number).count() as u32;
        let Some(sent) = self.sent.iter_mut().find(|sent| sent.id == record.id) else {
            return Ok(());
        };
        let is_spent = wrong >= max_wrong_codes || sent.compared >= max_failed_attempts;
        let status = attempt.decision.status;
        expect((status == SecurityCodeTooManyAttempts) == is_spent, Rule::WrongCodes, || {
            let compared = sent.compared;
            format!("{status:?} for {number} after {wrong} wrong codes, {compared} for the record")
        })?;
        match attempt.decision.change {
            Some(RecordChange::Verified) => {
                let is_live = !record.is_expired(lifetime, attempt.judged_at);
                expect(is_live && (sent.valid == 0 || !only_once), Rule::OnlyOnce, || {
                    format!("{} for {number} was valid again, or too late", sent.code)
                })?;
                sent.valid += 1;
                sent.compared = 0;
                self.wrong_codes.retain(|(other, _)| other != number);
            }
            Some(RecordChange::WrongCode) => {
                sent.compared += 1;
                self.wrong_codes.push((number.clone(), attempt.judged_at));
            }
            Some(RecordChange::FailedAttempt) => sent.compared += 1,
            None => {}
        }
        Ok(())
    }

    /// Returns the codes that were sent to `number`, with their records.
    pub(super) fn codes(&self, number: &PhoneNumber) -> Vec<(String, Uuid)> {
        let of_number = self.sent.iter().filter(|sent| sent.number == *number);
        of_number.map(|sent| (sent.code.clone(), sent.id)).collect()
    }
}
