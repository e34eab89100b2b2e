//! Runs random sequences of operations, and compares each engine with the store in memory.

use std::fmt::Debug;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::option::weighted as option;
use proptest::prelude::*;
use uuid::Uuid;

use super::{Open, Sends, Time, engines, number, outcome};
use crate::model::{
    Delivery, DeliveryState, ListedRecord, NumberPattern, Period, SecurityCode, SessionToken,
    VerificationStatus,
};
use crate::store::{
    Admission, Decision, DeliveryFilter, Evidence, Judge, LookUp, Memory, RecordChange,
    RecordFilter, Refusal, Rows, SendHistory, SendReply, SendStep, SessionChoice, StartedSend,
    Store, Window,
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

/// The fields of a record that can be compared.
type Row = (Uuid, String, SessionToken, [bool; 2], u32, [DateTime<Utc>; 2], Option<DeliveryState>);

fn row(ListedRecord { record, is_superseded, delivery }: ListedRecord) -> Row {
    (
        record.id,
        record.security_code.reveal().to_owned(),
        record.session_token,
        [record.is_verified, is_superseded],
        record.failed_attempts,
        [record.created_at, record.modified_at].map(second),
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
            look_up: LookUp { superseded_from: Some(start), delivery: true },
        }
    }
}

/// Returns a time that can be compared, because an engine may read the clock more often.
fn second(time: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp(time.timestamp(), 0).unwrap()
}

/// Returns a reply whose times and ids can be compared.
fn comparable(reply: &SendReply) -> SendReply {
    match reply.clone() {
        SendReply::Started(send) => SendReply::Started(StartedSend {
            created_at: second(send.created_at),
            expires_at: second(send.expires_at),
            allowed_at: second(send.allowed_at),
            delivery_id: 0,
            ..send
        }),
        SendReply::Refused(Refusal::Limited { reason, retry_at }) => {
            SendReply::Refused(Refusal::Limited { reason, retry_at: retry_at.map(second) })
        }
        reply => reply,
    }
}

/// A store of an engine, and one in memory.
struct Comparison {
    stores: [Box<dyn Store>; 2],
    memory: Memory,
    time: Time,
    start: DateTime<Utc>,
    sends: Sends,
    /// The sends that aren't settled, as each store has started them.
    open: Vec<[StartedSend; 2]>,
    /// The ids that each store has given to the same delivery.
    deliveries: Vec<[i64; 2]>,
}

impl Comparison {
    fn new(open: &Open, seed: u64) -> Self {
        let time = Time::default();
        let clock = time.clock();
        let memory = Memory::new(clock.clone());
        Self {
            stores: [open(&clock), Box::new(memory.clone())],
            memory,
            time,
            start: clock.now(),
            sends: Sends::new(seed),
            open: Vec::new(),
            deliveries: Vec::new(),
        }
    }

    /// Returns the result of an operation, which has to be the same for both stores.
    #[track_caller]
    fn same<T: Debug + PartialEq>(&mut self, mut operation: impl FnMut(&mut dyn Store) -> T) -> T {
        let [engine, memory] = self.stores.each_mut().map(|store| operation(&mut **store));
        assert_eq!(engine, memory);
        engine
    }

    fn perform(&mut self, operation: &Operation) {
        let start = self.start;
        match operation {
            Operation::Pass(seconds) => self.time.pass(*seconds),
            Operation::Group(steps) => self.take(steps),
            Operation::Verify { number, record, is_right } => {
                self.verify(*number, *record, *is_right);
            }
            Operation::Delete(filter) => {
                self.delete(&Rows::Records(filter.of_records(start)));
            }
            Operation::DeleteDeliveries(filter) => {
                let period = filter.created_outside;
                self.delete(&Rows::Deliveries(DeliveryFilter {
                    numbers: filter.number.map(number).into_iter().map(Into::into).collect(),
                    created_outside: period.map(|period| Filter::period(start, period)),
                    ..DeliveryFilter::default()
                }));
            }
            Operation::List(filter, limit) => self.list(&filter.of_records(start), *limit),
        }
        self.compare();
    }

    fn delete(&mut self, rows: &Rows) {
        let count = self.same(|store| store.count(rows).unwrap());
        let deleted = self.same(|store| store.delete(rows).unwrap());
        assert_eq!(count, deleted);
    }

    fn list(&mut self, filter: &RecordFilter, limit: u64) {
        self.same(|store| {
            let mut rows = Vec::new();
            let mut visit = |page: Vec<Result<_, _>>| {
                rows.extend(page.into_iter().map(|listed| row(listed.unwrap())));
                true
            };
            store.list(filter, limit, &mut visit).unwrap();
            rows
        });
    }

    /// Compares everything that is stored.
    fn compare(&mut self) {
        let look_up = LookUp { superseded_from: Some(self.start), delivery: true };
        self.list(&RecordFilter { look_up, ..RecordFilter::default() }, u64::MAX);
        for last in 0..NUMBERS {
            let numbers = vec![number(last).into()];
            let filter = DeliveryFilter { numbers, ..DeliveryFilter::default() };
            self.same(|store| {
                let stored = store.newest_deliveries(&filter, usize::MAX).unwrap();
                let stored = stored.into_iter().map(Result::unwrap).map(|delivery| Delivery {
                    id: 0,
                    created_at: second(delivery.created_at),
                    updated_at: second(delivery.updated_at),
                    verified_at: delivery.verified_at.map(second),
                    ..delivery
                });
                stored.collect::<Vec<_>>()
            });
        }
    }

    fn take(&mut self, steps: &[Step]) {
        let mut given: Vec<[SendStep; 2]> = Vec::new();
        for step in steps {
            let index = |index: usize, count: usize| (count > 0).then(|| index % count.max(1));
            let open = &mut self.open;
            given.extend(match *step {
                Step::Start(last) => {
                    let send = SendStep::Start(self.sends.new_send(&number(last)));
                    Some([send.clone(), send])
                }
                Step::Check(at, has_left) => index(at, open.len())
                    .map(|at| open[at].clone().map(|send| SendStep::Check { send, has_left })),
                Step::HandOver(at) => index(at, open.len()).map(|at| {
                    open.swap_remove(at).map(|send| SendStep::HandOver {
                        send,
                        outcome: outcome(DeliveryState::Unavailable),
                        tries: 2,
                        backend: "second".into(),
                    })
                }),
                Step::Settle(at, state) => index(at, open.len()).map(|at| {
                    let outcome = || outcome(state);
                    let sends = open.swap_remove(at);
                    sends.map(|send| SendStep::Settle { send, outcome: outcome(), tries: 1 })
                }),
                Step::Update(at, state) => index(at, self.deliveries.len()).map(|at| {
                    let outcome = || outcome(state);
                    let ids = self.deliveries[at];
                    ids.map(|delivery_id| SendStep::Update { delivery_id, outcome: outcome() })
                }),
            });
        }
        let admission = Admission {
            looks_back: Some(LOOKS_BACK),
            window: Some(WINDOW),
            judge: Some(Box::new(refuse)),
            ..Admission::default()
        };
        let replies = [0, 1].map(|of| {
            let steps: Vec<_> = given.iter().map(|steps| steps[of].clone()).collect();
            let replies = self.stores[of].take_send_steps(&steps, &admission);
            replies.into_iter().map(Result::unwrap).collect::<Vec<_>>()
        });
        let [engine, memory] = replies;
        assert_eq!((engine.len(), memory.len()), (given.len(), given.len()));
        for (engine, memory) in engine.into_iter().zip(memory) {
            assert_eq!(comparable(&engine), comparable(&memory));
            if let (SendReply::Started(engine), SendReply::Started(memory)) = (engine, memory) {
                self.deliveries.push([engine.delivery_id, memory.delivery_id]);
                self.open.push([engine, memory]);
            }
        }
    }

    fn verify(&mut self, last: u8, index: Option<usize>, is_right: bool) {
        let counting = Period::last(LOOKS_BACK, self.time.clock().now());
        self.same(|store| store.wrong_codes(&number(last), counting).unwrap());
        let records = self.memory.tables().records.clone();
        let mut records: Vec<_> =
            records.into_iter().filter(|record| record.phone_number == number(last)).collect();
        let none = || SessionChoice::Token(SessionToken::from_stored("none".to_owned()));
        let (session, record) = match index {
            None => (SessionChoice::Newest, records.pop()),
            Some(_) if records.is_empty() => (none(), None),
            Some(index) => {
                let record = records.swap_remove(index % records.len());
                (SessionChoice::Token(record.session_token.clone()), Some(record))
            }
        };
        let code = record.filter(|_| is_right).map(|record| record.security_code);
        let code = code.unwrap_or_else(|| SecurityCode::from_stored("wrong".to_owned()));
        let judge = |evidence: Evidence<'_>, _| decide(evidence, &code);
        let judge = Judge { looks_back: Some(LOOKS_BACK), decide: &judge };
        self.same(|store| {
            let attempt = store.verify(&number(last), &session, &judge).unwrap();
            let counts = (attempt.failed_attempts(), attempt.wrong_codes_after());
            let of_record =
                |record| row(ListedRecord { record, is_superseded: false, delivery: None });
            (attempt.decision, attempt.record.map(of_record), attempt.wrong_codes_before, counts)
        });
    }
}

#[test]
fn an_engine_does_what_the_store_in_memory_does() {
    for engine in engines() {
        let cases = (any::<u64>(), prop::collection::vec(operations(), 1..50));
        proptest!(ProptestConfig::with_cases(64), |((seed, operations) in cases)| {
            let open = engine();
            let mut comparison = Comparison::new(&open, seed);
            for operation in &operations {
                comparison.perform(operation);
            }
        });
    }
}
