//! The tables, and what the operations do with their rows.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::model::{
    Delivery, DeliveryOutcome, DeliveryState, NumberPattern, Period, PhoneNumber, SmsVerification,
    latest,
};
use crate::store::copies::WrongCode;
use crate::store::interface::{DeliveryFilter, RecordFilter, Rows, WrongCodeFilter};
use crate::store::sends::{
    Admission, Lapse, NewSend, PastDelivery, Refusal, SendHistory, SendReply, SendStep, StartedSend,
};

/// The tables, in the order in which their rows were added.
#[derive(Clone, Default)]
pub struct Tables {
    /// The records.
    pub records: Vec<SmsVerification>,
    /// The ledger.
    pub deliveries: Vec<Delivery>,
    /// The wrong codes.
    pub wrong_codes: Vec<WrongCode>,
    last_delivery_id: i64,
}

impl Tables {
    /// Takes a step. `before` is the ledger before its group and the deliveries that the group has started.
    pub(super) fn take(
        &mut self,
        step: &SendStep,
        admission: &Admission,
        before: &mut Vec<Delivery>,
        now: DateTime<Utc>,
    ) -> SendReply {
        match step {
            SendStep::Start(send) => match refusal(before, admission, send, now) {
                Some(refusal) => SendReply::Refused(refusal),
                None => {
                    let send = self.start(send, now);
                    before.extend(self.deliveries.last().cloned());
                    SendReply::Started(send)
                }
            },
            SendStep::Check { send, has_left } => done_unless(self.lapse(send, *has_left, now)),
            SendStep::HandOver { send, outcome, tries, backend } => {
                self.update(send.delivery_id, outcome, Some(*tries), now);
                match self.lapse(send, false, now) {
                    Some(lapse) => {
                        self.delete_obsolete(send, outcome.state, now);
                        SendReply::Lapsed(lapse)
                    }
                    None => SendReply::Started(self.add_delivery(send.clone(), backend, now)),
                }
            }
            SendStep::Settle { send, outcome, tries } => {
                self.update(send.delivery_id, outcome, Some(*tries), now);
                self.delete_obsolete(send, outcome.state, now);
                let has_left = outcome.state.may_have_been_accepted();
                done_unless(has_left.then(|| self.lapse(send, true, now)).flatten())
            }
            SendStep::Update { delivery_id, outcome } => {
                self.update(*delivery_id, outcome, None, now);
                SendReply::Done
            }
        }
    }

    fn start(&mut self, send: &NewSend, now: DateTime<Utc>) -> StartedSend {
        let times = self.of_number(&send.phone_number).map(|record| record.created_at);
        let newest = times.filter(|time| (now..=latest(now)).contains(time)).max();
        let created_at = newest.map_or(now, |newest| newest + TimeDelta::microseconds(1));
        self.records.push(SmsVerification {
            id: send.verification_id,
            phone_number: send.phone_number.clone(),
            security_code: send.security_code.clone(),
            session_token: send.session_token.clone(),
            is_verified: false,
            failed_attempts: 0,
            created_at,
            modified_at: created_at,
        });
        self.add_delivery(send.started(created_at, 0, now), &send.backend, now)
    }

    fn add_delivery(
        &mut self,
        send: StartedSend,
        backend: &str,
        now: DateTime<Utc>,
    ) -> StartedSend {
        self.last_delivery_id += 1;
        self.deliveries.push(Delivery {
            id: self.last_delivery_id,
            verification_id: send.verification_id,
            phone_number: send.phone_number.clone(),
            backend: backend.to_owned(),
            outcome: DeliveryOutcome {
                state: DeliveryState::Sending,
                message_id: None,
                error_code: None,
                error_message: None,
            },
            segments: send.segments,
            tries: 0,
            language: send.language.as_deref().map(str::to_owned),
            verified_at: None,
            created_at: now,
            updated_at: now,
        });
        StartedSend { delivery_id: self.last_delivery_id, allowed_at: now, ..send }
    }

    fn update(
        &mut self,
        id: i64,
        outcome: &DeliveryOutcome,
        tries: Option<u32>,
        now: DateTime<Utc>,
    ) {
        let delivery = self.deliveries.iter_mut().find(|delivery| delivery.id == id);
        if let Some(delivery) = delivery.filter(|delivery| !delivery.outcome.state.is_final()) {
            let message_id = delivery.outcome.message_id.take().or(outcome.message_id.clone());
            delivery.outcome = DeliveryOutcome { message_id, ..outcome.clone() };
            delivery.tries = tries.unwrap_or(delivery.tries);
            delivery.updated_at = now;
        }
    }

    pub(super) fn of_number(
        &self,
        number: &PhoneNumber,
    ) -> impl Iterator<Item = &SmsVerification> + Clone {
        self.records.iter().filter(move |record| record.phone_number == *number)
    }

    /// Returns why the code of `send` doesn't count any more.
    fn lapse(&self, send: &StartedSend, has_left: bool, now: DateTime<Utc>) -> Option<Lapse> {
        let mut of_number = self.of_number(&send.phone_number);
        let latest = latest(now.max(send.created_at));
        let has_newer = of_number
            .clone()
            .any(|record| record.created_at > send.created_at && record.created_at <= latest);
        let is_stored = of_number.any(|record| record.id == send.verification_id);
        if is_stored && has_left {
            None
        } else if has_newer {
            Some(Lapse::Superseded)
        } else if now > send.expires_at {
            Some(Lapse::Expired)
        } else {
            (!is_stored).then_some(Lapse::Erased)
        }
    }

    fn delete_obsolete(&mut self, send: &StartedSend, state: DeliveryState, now: DateTime<Utc>) {
        let is_own = |record: &SmsVerification| record.id == send.verification_id;
        if state.was_accepted() {
            if !self.records.iter().any(is_own) {
                return;
            }
            let current = send.created_at..=latest(now.max(send.created_at));
            self.delete_records(|record| {
                record.phone_number == send.phone_number && !current.contains(&record.created_at)
            });
        } else if !state.is_unknown() {
            self.records.retain(|record| !is_own(record));
        }
    }

    /// Deletes rows, and returns how many.
    pub(super) fn delete(&mut self, rows: &Rows) -> u64 {
        match rows {
            Rows::Records(filter) => self.delete_records(|record| is_record(filter, record)),
            Rows::Deliveries(filter) => {
                let deleted =
                    self.deliveries.extract_if(.., |delivery| is_delivery(filter, delivery));
                deleted.count() as u64
            }
            Rows::WrongCodes(filter) => {
                let deleted = self.wrong_codes.extract_if(.., |wrong| is_wrong_code(filter, wrong));
                deleted.count() as u64
            }
        }
    }

    /// Deletes records, and returns how many. The ledger learns which of them were verified.
    fn delete_records(&mut self, is_deleted: impl Fn(&SmsVerification) -> bool) -> u64 {
        let mut count = 0;
        for record in self.records.extract_if(.., |record| is_deleted(record)) {
            count += 1;
            if record.is_verified {
                set_verified(&mut self.deliveries, record.id, record.modified_at);
            }
        }
        count
    }
}

fn done_unless(lapse: Option<Lapse>) -> SendReply {
    lapse.map_or(SendReply::Done, SendReply::Lapsed)
}

/// Returns why a send may not start after the deliveries `before`.
fn refusal(
    before: &[Delivery],
    admission: &Admission,
    send: &NewSend,
    now: DateTime<Utc>,
) -> Option<Refusal> {
    let judge = admission.judge.as_ref()?;
    if *send.backend == *admission.unlimited {
        return None;
    }
    let mut past: Vec<_> =
        before.iter().filter(|delivery| *delivery.backend != *admission.unlimited).collect();
    past.sort_by_key(|delivery| delivery.created_at);
    past.reverse();
    let seen = admission.looks_back.map(|length| Period::last(length, now));
    let to_number = past.iter().filter(|delivery| {
        delivery.phone_number == send.phone_number
            && seen.is_some_and(|seen| seen.contains(delivery.created_at))
    });
    let to_number: Vec<_> = to_number
        .map(|delivery| PastDelivery {
            created_at: Some(delivery.created_at),
            state: delivery.outcome.state,
        })
        .collect();
    let full_since = admission.window.and_then(|window| {
        let period = Period::last(window.length, now);
        let counted = past.iter().filter(|delivery| {
            period.contains(delivery.created_at)
                && now - delivery.created_at < window.length
                && delivery.outcome.state.may_have_been_accepted()
        });
        counted.map(|delivery| delivery.created_at).nth(window.most as usize - 1)
    });
    judge(&SendHistory { to_number: &to_number, full_since }, now)
}

/// Stores in the ledger when the code of a record was verified.
pub(super) fn set_verified(deliveries: &mut [Delivery], id: Uuid, at: DateTime<Utc>) {
    let of_record = |delivery: &&mut Delivery| {
        delivery.verification_id == id && !delivery.outcome.state.was_refused()
    };
    for delivery in deliveries.iter_mut().filter(of_record) {
        delivery.verified_at.get_or_insert(at);
    }
}

fn is_one_of(numbers: &[NumberPattern], number: &PhoneNumber) -> bool {
    let is_meant = |pattern: &NumberPattern| match pattern {
        NumberPattern::Whole(whole) => whole == number,
        NumberPattern::Ending(digits) => number.as_str().ends_with(digits),
    };
    numbers.is_empty() || numbers.iter().any(is_meant)
}

pub(super) fn is_record(filter: &RecordFilter, record: &SmsVerification) -> bool {
    is_one_of(&filter.numbers, &record.phone_number)
        && filter.is_verified.is_none_or(|is_verified| record.is_verified == is_verified)
        && filter.min_failed_attempts.is_none_or(|least| record.failed_attempts >= least)
        && filter.created_from.is_none_or(|from| record.created_at >= from)
        && filter.created_until.is_none_or(|until| record.created_at <= until)
        && filter.created_outside.is_none_or(|period| !period.contains(record.created_at))
}

pub(super) fn is_delivery(filter: &DeliveryFilter, delivery: &Delivery) -> bool {
    let DeliveryOutcome { state, error_code, .. } = &delivery.outcome;
    is_one_of(&filter.numbers, &delivery.phone_number)
        && (filter.states.is_empty() || filter.states.contains(state))
        && (filter.error_code.is_none() || filter.error_code == *error_code)
        && filter.backend.as_ref().is_none_or(|backend| delivery.backend == *backend)
        && filter.created_from.is_none_or(|from| delivery.created_at >= from)
        && filter.created_until.is_none_or(|until| delivery.created_at <= until)
        && filter.created_outside.is_none_or(|period| !period.contains(delivery.created_at))
}

fn is_wrong_code(filter: &WrongCodeFilter, wrong: &WrongCode) -> bool {
    is_one_of(&filter.numbers, &wrong.phone_number)
        && filter.created_outside.is_none_or(|period| !period.contains(wrong.created_at))
}

/// Returns how many wrong codes of `number` were counted within `period`.
pub(super) fn count_wrong(wrong_codes: &[WrongCode], number: &PhoneNumber, period: Period) -> u32 {
    let counts =
        |wrong: &&WrongCode| wrong.phone_number == *number && period.contains(wrong.created_at);
    wrong_codes.iter().filter(counts).count() as u32
}
