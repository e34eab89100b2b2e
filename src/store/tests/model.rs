//! Runs random sequences of operations, and compares the store with a small model in memory.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::option::weighted as option;
use proptest::prelude::*;
use uuid::Uuid;

use super::{CODE_LIFETIME, Open, Sends, Time, engines, number, outcome};
use crate::model::{
    Delivery, DeliveryOutcome, DeliveryState, ListedRecord, NumberPattern, Period, PhoneNumber,
    SecurityCode, SessionToken, SmsVerification, VerificationStatus,
};
use crate::store::{
    Admission, Decision, DeliveryFilter, Evidence, Judge, Lapse, NewSend, RecordChange,
    RecordFilter, Refusal, Rows, SendHistory, SendReply, SendStep, Session, StartedSend, Store,
    Window,
};

/// The numbers end in 0 to 2, so that operations often have the same number.
const NUMBERS: u8 = 3;
const LOOKS_BACK: TimeDelta = TimeDelta::seconds(100);
const MOST_TO_NUMBER: usize = 2;
const WINDOW: Window = Window { most: 4, length: TimeDelta::seconds(60) };

/// An operation. An index refers to an item modulo the number of items.
#[derive(Debug, Clone)]
enum Operation {
    Pass(i64),
    Group(Vec<Step>),
    Verify { number: u8, record: Option<usize>, is_right: bool },
    Delete(Filter),
    DeleteDeliveries(Filter),
    List(Filter, u64),
}

#[derive(Debug, Clone)]
enum Step {
    Start(u8),
    Check(usize, bool),
    HandOver(usize),
    Settle(usize, DeliveryState),
    Update(usize, DeliveryState),
}

#[derive(Debug, Clone)]
struct Filter {
    number: Option<u8>,
    is_verified: Option<bool>,
    min_failed_attempts: Option<u32>,
    /// In seconds after the start of the test.
    created_from: Option<i64>,
    created_until: Option<i64>,
    created_outside: Option<(i64, i64)>,
}

fn states() -> impl Strategy<Value = DeliveryState> {
    use DeliveryState::*;
    prop::sample::select(&[Accepted, Rejected, Unavailable, Unknown, Delivered, Undelivered])
}

fn operations() -> impl Strategy<Value = Operation> {
    let step = prop_oneof![
        4 => (0..NUMBERS).prop_map(Step::Start),
        1 => any::<(usize, bool)>().prop_map(|(index, has_left)| Step::Check(index, has_left)),
        1 => any::<usize>().prop_map(Step::HandOver),
        3 => (any::<usize>(), states()).prop_map(|(index, state)| Step::Settle(index, state)),
        1 => (any::<usize>(), states()).prop_map(|(index, state)| Step::Update(index, state)),
    ];

    let seconds = || option(0.3, 0_i64..400);
    let period = || option(0.3, (0_i64..400, 0_i64..400));
    let filter = (
        option(0.3, 0..NUMBERS),
        option(0.3, any::<bool>()),
        option(0.3, 0..3_u32),
        seconds(),
        seconds(),
        period(),
    );
    let filter = filter.prop_map(
        |(
            number,
            is_verified,
            min_failed_attempts,
            created_from,
            created_until,
            created_outside,
        )| {
            Filter {
                number,
                is_verified,
                min_failed_attempts,
                created_from,
                created_until,
                created_outside,
            }
        },
    );
    prop_oneof![
        2 => (0_i64..40).prop_map(Operation::Pass),
        6 => prop::collection::vec(step, 1..6).prop_map(Operation::Group),
        3 => (0..NUMBERS, option(0.7, any::<usize>()), any::<bool>())
            .prop_map(|(number, record, is_right)| Operation::Verify { number, record, is_right }),
        1 => filter.clone().prop_map(Operation::Delete),
        1 => filter.clone().prop_map(Operation::DeleteDeliveries),
        2 => (filter, 1..4_u64).prop_map(|(filter, limit)| Operation::List(filter, limit)),
    ]
}

/// What the store has to contain: both tables, oldest first.
struct Model {
    records: Vec<SmsVerification>,
    deliveries: Vec<Delivery>,
    /// The last digit of the number and the time of each wrong code.
    wrong_codes: Vec<(u8, DateTime<Utc>)>,
    /// The sends that aren't settled.
    open: Vec<StartedSend>,
    start: DateTime<Utc>,
}

/// The fields of a record that can be compared.
type Row = (Uuid, String, SessionToken, [bool; 2], u32, [DateTime<Utc>; 2], Option<DeliveryState>);

fn row(record: &SmsVerification, is_superseded: bool, delivery: Option<DeliveryState>) -> Row {
    (
        record.id,
        record.security_code.reveal().to_owned(),
        record.session_token.clone(),
        [record.is_verified, is_superseded],
        record.failed_attempts,
        [record.created_at, record.modified_at],
        delivery,
    )
}

fn decide(Evidence { record, wrong_codes }: Evidence<'_>, code: &SecurityCode) -> Decision {
    use VerificationStatus::*;
    let (status, change) = match record {
        None => (SessionTokenInvalid, None),
        Some(record) if record.failed_attempts > 2 => (SecurityCodeTooManyAttempts, None),
        Some(_) if wrong_codes > 3 => (SecurityCodeTooManyAttempts, None),
        Some(record) if record.security_code.reveal() == code.reveal() => {
            (SecurityCodeValid, Some(RecordChange::Verified))
        }
        Some(_) => (SecurityCodeInvalid, Some(RecordChange::WrongCode)),
    };
    Decision { status, change }
}

fn refuse(history: &SendHistory<'_>, now: DateTime<Utc>) -> Option<Refusal> {
    let of_number = history.to_number.iter().filter(|past| past.state.may_have_been_accepted());
    let times: Vec<_> = of_number.filter_map(|past| past.created_at).collect();
    if times.len() >= MOST_TO_NUMBER {
        assert!(times.is_sorted_by(|newer, older| newer > older));
        assert!(times.iter().all(|time| now - *time < LOOKS_BACK + TimeDelta::seconds(1)));
        return Some(Refusal::AlreadySent);
    }
    let limited = |oldest| Refusal::Limited { reason: String::new(), retry_at: Some(oldest) };
    history.full_since.map(limited)
}

impl Filter {
    fn time(start: DateTime<Utc>, seconds: i64) -> DateTime<Utc> {
        // Half a second later, because the clock moves on by microseconds when it is read.
        start + TimeDelta::milliseconds(1000 * seconds + 500)
    }

    fn period(start: DateTime<Utc>, (from, until): (i64, i64)) -> Period {
        Period { from: Self::time(start, from), until: Self::time(start, until) }
    }

    fn of_records(&self, start: DateTime<Utc>) -> RecordFilter {
        RecordFilter {
            numbers: self.number.map(number).into_iter().map(NumberPattern::Whole).collect(),
            is_verified: self.is_verified,
            min_failed_attempts: self.min_failed_attempts,
            created_from: self.created_from.map(|seconds| Self::time(start, seconds)),
            created_until: self.created_until.map(|seconds| Self::time(start, seconds)),
            created_outside: self.created_outside.map(|period| Self::period(start, period)),
            live_from: Some(start),
        }
    }
}

fn is_one_of(numbers: &[NumberPattern], number: &PhoneNumber) -> bool {
    numbers.is_empty() || numbers.contains(&NumberPattern::Whole(number.clone()))
}

fn selects(filter: &RecordFilter, record: &SmsVerification) -> bool {
    is_one_of(&filter.numbers, &record.phone_number)
        && filter.is_verified.is_none_or(|is_verified| record.is_verified == is_verified)
        && filter.min_failed_attempts.is_none_or(|least| record.failed_attempts >= least)
        && filter.created_from.is_none_or(|from| record.created_at >= from)
        && filter.created_until.is_none_or(|until| record.created_at <= until)
        && filter.created_outside.is_none_or(|period| !period.contains(record.created_at))
}

impl Model {
    fn delivery(&mut self, id: i64) -> Option<&mut Delivery> {
        self.deliveries.iter_mut().find(|delivery| delivery.id == id)
    }

    fn newest_delivery(&self, record: &SmsVerification) -> Option<DeliveryState> {
        let of_record = |delivery: &&Delivery| delivery.verification_id == record.id;
        self.deliveries.iter().rev().find(of_record).map(|delivery| delivery.outcome.state)
    }

    fn rows(&self, filter: &RecordFilter) -> Vec<Row> {
        let selected = self.records.iter().rev().filter(|record| selects(filter, record));
        let is_superseded = |record: &SmsVerification| {
            let mut of_number = self.records.iter();
            of_number.any(|other| {
                other.phone_number == record.phone_number && other.created_at > record.created_at
            })
        };
        let row = |record| row(record, is_superseded(record), self.newest_delivery(record));
        selected.map(row).collect()
    }

    /// Returns why a send may not start after the deliveries `before`.
    fn refusal(before: &[Delivery], last: u8, now: DateTime<Utc>) -> Option<Refusal> {
        let within = |length| {
            move |delivery: &&Delivery| {
                now - delivery.created_at < length
                    && delivery.outcome.state.may_have_been_accepted()
            }
        };
        let of_number = |delivery: &&Delivery| delivery.phone_number == number(last);
        if before.iter().filter(within(LOOKS_BACK)).filter(of_number).count() >= MOST_TO_NUMBER {
            return Some(Refusal::AlreadySent);
        }
        let oldest =
            before.iter().rev().filter(within(WINDOW.length)).nth(WINDOW.most as usize - 1)?;
        let retry_at = Some(oldest.created_at);
        Some(Refusal::Limited { reason: String::new(), retry_at })
    }

    fn add_delivery(&mut self, send: &StartedSend, backend: &str, now: DateTime<Utc>) -> Delivery {
        let delivery = Delivery {
            id: send.delivery_id,
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
        };
        self.deliveries.push(delivery.clone());
        delivery
    }

    fn end(&mut self, id: i64, outcome: &DeliveryOutcome, tries: Option<u32>) {
        if let Some(delivery) = self.delivery(id) {
            let message_id = delivery.outcome.message_id.take().or(outcome.message_id.clone());
            delivery.outcome = DeliveryOutcome { message_id, ..outcome.clone() };
            delivery.tries = tries.unwrap_or(delivery.tries);
        }
    }

    /// Returns why the code of `send` doesn't count any more.
    fn lapse(&self, send: &StartedSend, has_left: bool, now: DateTime<Utc>) -> Option<Lapse> {
        let mut of_number =
            self.records.iter().filter(|record| record.phone_number == send.phone_number);
        let is_newest = of_number.clone().all(|record| record.created_at <= send.created_at);
        let is_stored = of_number.any(|record| record.id == send.verification_id);
        if is_stored && has_left {
            None
        } else if !is_newest {
            Some(Lapse::Superseded)
        } else if now - send.created_at > CODE_LIFETIME {
            Some(Lapse::Expired)
        } else {
            (!is_stored).then_some(Lapse::Erased)
        }
    }

    fn settle(&mut self, send: &StartedSend, state: DeliveryState) {
        if state.was_accepted() {
            self.delete(|record| {
                record.phone_number == send.phone_number && record.created_at < send.created_at
            });
        } else if !state.is_unknown() {
            self.records.retain(|record| record.id != send.verification_id);
        }
    }

    /// Deletes records. The ledger learns which of them were verified. Returns how many there were.
    fn delete(&mut self, is_deleted: impl Fn(&SmsVerification) -> bool) -> u64 {
        let records = std::mem::take(&mut self.records);
        let (deleted, left) = records.into_iter().partition::<Vec<_>, _>(is_deleted);
        self.records = left;
        for record in deleted.iter().filter(|record| record.is_verified) {
            self.set_verified(record.id, record.modified_at);
        }
        deleted.len() as u64
    }

    fn set_verified(&mut self, id: Uuid, at: DateTime<Utc>) {
        let of_record = |delivery: &&mut Delivery| {
            delivery.verification_id == id && !delivery.outcome.state.was_refused()
        };
        for delivery in self.deliveries.iter_mut().filter(of_record) {
            delivery.verified_at.get_or_insert(at);
        }
    }
}

/// Asserts that a start is refused as the model refuses it. The times differ slightly, as those of deliveries do.
#[track_caller]
fn assert_refused(reply: &SendReply, expected: Option<&Refusal>) {
    use Refusal::Limited;
    let SendReply::Refused(refusal) = reply else { panic!("{reply:?}, not {expected:?}") };
    match (refusal, expected) {
        (Limited { retry_at: Some(at), .. }, Some(Limited { retry_at: Some(expected), .. })) => {
            assert!((*at - *expected).abs() < TimeDelta::seconds(1));
        }
        (refusal, expected) => assert_eq!(Some(refusal), expected),
    }
}

fn lapsed_or_done(lapse: Option<Lapse>) -> SendReply {
    lapse.map_or(SendReply::Done, SendReply::Lapsed)
}

/// A store, its model, and what a test needs to use both.
struct Comparison {
    store: Box<dyn Store>,
    model: Model,
    time: Time,
    clock: crate::system::clock::Clock,
    sends: Sends,
    /// The sends that were stored, by id.
    stored: HashMap<Uuid, NewSend>,
}

impl Comparison {
    fn new(open: &Open, seed: u64) -> Self {
        let time = Time::default();
        let clock = time.clock();
        let start = clock.now();
        let model = Model {
            records: Vec::new(),
            deliveries: Vec::new(),
            wrong_codes: Vec::new(),
            open: Vec::new(),
            start,
        };
        let (store, sends) = (open(&clock), Sends::new(seed));
        Self { store, model, time, clock, sends, stored: HashMap::new() }
    }

    fn perform(&mut self, operation: &Operation) {
        let start = self.model.start;
        match operation {
            Operation::Pass(seconds) => self.time.pass(*seconds),
            Operation::Group(steps) => self.take(steps),
            Operation::Verify { number, record, is_right } => {
                self.verify(*number, *record, *is_right);
            }
            Operation::Delete(filter) => {
                let filter = filter.of_records(start);
                let deleted = self.model.delete(|record| selects(&filter, record));
                assert_eq!(self.store.count(&Rows::Records(filter.clone())).unwrap(), deleted);
                assert_eq!(self.store.delete(&Rows::Records(filter.clone())).unwrap(), deleted);
            }
            Operation::DeleteDeliveries(filter) => {
                let numbers: Vec<_> =
                    filter.number.map(number).into_iter().map(NumberPattern::Whole).collect();
                let period = filter.created_outside;
                let created_outside = period.map(|period| Filter::period(start, period));
                let filter = DeliveryFilter { numbers, created_outside, ..Default::default() };
                let before = self.model.deliveries.len();
                self.model.deliveries.retain(|delivery| {
                    !is_one_of(&filter.numbers, &delivery.phone_number)
                        || created_outside
                            .is_some_and(|period| period.contains(delivery.created_at))
                });
                let deleted = (before - self.model.deliveries.len()) as u64;
                assert_eq!(self.store.count(&Rows::Deliveries(filter.clone())).unwrap(), deleted);
                assert_eq!(self.store.delete(&Rows::Deliveries(filter.clone())).unwrap(), deleted);
            }
            Operation::List(filter, limit) => {
                let filter = filter.of_records(start);
                let mut expected = self.model.rows(&filter);
                expected.truncate(*limit as usize);
                assert_eq!(self.rows(&filter, *limit), expected);
            }
        }
        self.compare();
    }

    fn rows(&mut self, filter: &RecordFilter, limit: u64) -> Vec<Row> {
        let mut rows = Vec::new();
        let mut visit = |page: Vec<_>| {
            rows.extend(page.into_iter().map(|listed: Result<ListedRecord, _>| {
                let ListedRecord { record, is_superseded, delivery } = listed.unwrap();
                row(&record, is_superseded, delivery)
            }));
            true
        };
        self.store.list(filter, limit, &mut visit).unwrap();
        rows
    }

    fn compare(&mut self) {
        let all = RecordFilter { live_from: Some(self.model.start), ..RecordFilter::default() };
        assert_eq!(self.rows(&all, u64::MAX), self.model.rows(&all));
        for last in 0..NUMBERS {
            let filter =
                DeliveryFilter { numbers: vec![number(last).into()], ..Default::default() };
            let stored = self.store.newest_deliveries(&filter, usize::MAX).unwrap();
            let of_number = |delivery: &&mut Delivery| delivery.phone_number == number(last);
            let expected: Vec<_> = self.model.deliveries.iter_mut().filter(of_number).collect();
            assert_eq!(stored.len(), expected.len());
            for (stored, expected) in stored.into_iter().zip(expected.into_iter().rev()) {
                let stored = stored.unwrap();
                // The times differ slightly, because an engine may read the clock more often.
                assert!((expected.created_at - stored.created_at).abs() < TimeDelta::seconds(1));
                expected.created_at = stored.created_at;
                expected.updated_at = stored.updated_at;
                assert_eq!(stored, *expected);
            }
        }
    }

    fn take(&mut self, steps: &[Step]) {
        let mut given = Vec::new();
        for step in steps {
            let open = &mut self.model.open;
            let index = |index: usize, count: usize| (count > 0).then(|| index % count.max(1));
            given.extend(match *step {
                Step::Start(last) => Some(SendStep::Start(self.sends.new_send(&number(last)))),
                Step::Check(at, has_left) => index(at, open.len())
                    .map(|at| SendStep::Check { send: open[at].clone(), has_left }),
                Step::HandOver(at) => index(at, open.len()).map(|at| SendStep::HandOver {
                    send: open.swap_remove(at),
                    outcome: outcome(DeliveryState::Unavailable),
                    tries: 2,
                    backend: "second".into(),
                }),
                Step::Settle(at, state) => index(at, open.len()).map(|at| SendStep::Settle {
                    send: open.swap_remove(at),
                    outcome: outcome(state),
                    tries: 1,
                }),
                Step::Update(at, state) => index(at, self.model.deliveries.len()).map(|at| {
                    let delivery_id = self.model.deliveries[at].id;
                    SendStep::Update { delivery_id, outcome: outcome(state) }
                }),
            });
        }
        let admission = Admission {
            looks_back: Some(LOOKS_BACK),
            window: Some(WINDOW),
            judge: Some(Box::new(refuse)),
            ..Admission::default()
        };
        let replies = self.store.take_send_steps(&given, &admission);
        assert_eq!(replies.len(), given.len());
        let mut before = self.model.deliveries.clone();
        for (step, reply) in given.into_iter().zip(replies) {
            self.take_in_model(step, reply.unwrap(), &mut before);
        }
    }

    fn take_in_model(&mut self, step: SendStep, reply: SendReply, before: &mut Vec<Delivery>) {
        let (now, model) = (self.clock.now(), &mut self.model);
        match (step, reply) {
            (SendStep::Start(new), reply) => {
                let last = new.phone_number.as_str().bytes().last().unwrap() - b'0';
                let refusal = Model::refusal(before, last, now);
                let started = match reply {
                    SendReply::Started(started) if refusal.is_none() => started,
                    reply => return assert_refused(&reply, refusal.as_ref()),
                };
                assert_eq!(started.verification_id, new.verification_id);
                model.records.push(SmsVerification {
                    id: new.verification_id,
                    phone_number: new.phone_number.clone(),
                    security_code: new.security_code.clone(),
                    session_token: new.session_token.clone(),
                    is_verified: false,
                    failed_attempts: 0,
                    created_at: started.created_at,
                    modified_at: started.created_at,
                });
                before.push(model.add_delivery(&started, &new.backend, started.created_at));
                self.stored.insert(new.verification_id, new);
                model.open.push(started);
            }
            (SendStep::Check { send, has_left }, reply) => {
                assert_eq!(reply, lapsed_or_done(model.lapse(&send, has_left, now)));
            }
            (SendStep::HandOver { send, outcome, tries, .. }, SendReply::Lapsed(lapse)) => {
                model.end(send.delivery_id, &outcome, Some(tries));
                assert_eq!(Some(lapse), model.lapse(&send, false, now));
                model.settle(&send, outcome.state);
            }
            (SendStep::HandOver { send, outcome, tries, backend }, SendReply::Started(started)) => {
                assert_eq!(model.lapse(&send, false, now), None);
                model.end(send.delivery_id, &outcome, Some(tries));
                let StartedSend { delivery_id, allowed_at, .. } = started;
                assert!(allowed_at > send.allowed_at);
                assert_eq!(started, StartedSend { delivery_id, allowed_at, ..send });
                model.add_delivery(&started, &backend, now);
                model.open.push(started);
            }
            (SendStep::Settle { send, outcome, tries }, reply) => {
                model.end(send.delivery_id, &outcome, Some(tries));
                model.settle(&send, outcome.state);
                let has_left = outcome.state.may_have_been_accepted();
                let lapse = has_left.then(|| model.lapse(&send, true, now)).flatten();
                assert_eq!(reply, lapsed_or_done(lapse));
            }
            (SendStep::Update { delivery_id, outcome }, SendReply::Done) => {
                model.end(delivery_id, &outcome, None);
            }
            (step, reply) => panic!("{step:?} got {reply:?}"),
        }
    }

    fn verify(&mut self, last: u8, index: Option<usize>, is_right: bool) {
        let counting = Period::last(LOOKS_BACK, self.clock.now());
        let counts = |(other, time): &&(u8, _)| *other == last && counting.contains(*time);
        let wrong_codes = self.model.wrong_codes.iter().filter(counts).count() as u32;
        assert_eq!(self.store.wrong_codes(&number(last), counting).unwrap(), wrong_codes);
        let of_number = |record: &&mut SmsVerification| record.phone_number == number(last);
        let mut records: Vec<_> = self.model.records.iter_mut().filter(of_number).collect();
        let (session, record) = match index {
            None => (Session::Newest, records.pop()),
            Some(_) if records.is_empty() => {
                (Session::Token(SessionToken::from_stored("none".to_owned())), None)
            }
            Some(index) => {
                let record = records.swap_remove(index % records.len());
                (Session::Token(record.session_token.clone()), Some(record))
            }
        };
        let code = match &record {
            Some(record) if is_right => self.stored[&record.id].security_code.clone(),
            _ => SecurityCode::from_stored("wrong".to_owned()),
        };
        let judge = |evidence: Evidence<'_>, _| decide(evidence, &code);
        let judge = Judge { looks_back: Some(LOOKS_BACK), decide: &judge };
        let attempt = self.store.verify(&number(last), &session, &judge).unwrap();
        let decision = decide(Evidence { record: record.as_deref(), wrong_codes }, &code);
        assert_eq!(attempt.decision.status, decision.status);
        let before = record.as_deref().map(|record| row(record, false, None));
        assert_eq!(attempt.record.as_ref().map(|record| row(record, false, None)), before);
        let Some(record) = record else { return assert_eq!(attempt.failed_attempts(), None) };
        match decision.change {
            None => {}
            Some(RecordChange::Verified) => {
                (record.is_verified, record.failed_attempts) = (true, 0);
                self.model.wrong_codes.retain(|(other, _)| *other != last);
                assert_eq!(attempt.wrong_codes_after(), 0);
            }
            Some(RecordChange::WrongCode) => {
                record.failed_attempts += 1;
                self.model.wrong_codes.push((last, attempt.judged_at));
                assert_eq!(attempt.wrong_codes_after(), wrong_codes + 1);
            }
            Some(RecordChange::FailedAttempt) => unreachable!("this judge doesn't decide that"),
        }
        if decision.change.is_some() {
            record.modified_at = attempt.judged_at;
        }
        assert_eq!(attempt.failed_attempts(), Some(record.failed_attempts));
        let id = record.id;
        if decision.change == Some(RecordChange::Verified) {
            self.model.set_verified(id, attempt.judged_at);
        }
    }
}

#[test]
fn a_store_does_what_its_model_does() {
    for engine in engines() {
        let cases = (any::<u64>(), prop::collection::vec(operations(), 1..50));
        proptest!(ProptestConfig::with_cases(64), |((seed, operations) in cases)| {
            let mut comparison = Comparison::new(&engine(), seed);
            for operation in &operations {
                comparison.perform(operation);
            }
        });
    }
}
