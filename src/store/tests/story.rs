//! One story that uses every operation of a store.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Open, Sends, Time, engines, number, outcome, started, take};
use crate::model::{
    Delivery, DeliveryState, ListedRecord, NumberPattern, Period, VerificationStatus,
};
use crate::store::{
    Admission, Decision, DeliveryFilter, Evidence, Judge, LookUp, RecordChange, RecordFilter,
    Refusal, Rows, SendHistory, SendReply, SendStep, SessionChoice, Store, Window,
};

const HOUR: TimeDelta = TimeDelta::hours(1);

/// Returns a judge of a code that is right or wrong.
fn judge(is_right: bool) -> Judge<'static> {
    Judge { looks_back: Some(HOUR), decide: if is_right { &valid } else { &invalid } }
}

fn valid(evidence: Evidence<'_>, _: DateTime<Utc>) -> Decision {
    match evidence.record {
        None => Decision { status: VerificationStatus::SessionTokenInvalid, change: None },
        Some(_) => Decision {
            status: VerificationStatus::SecurityCodeValid,
            change: Some(RecordChange::Verified),
        },
    }
}

fn invalid(evidence: Evidence<'_>, now: DateTime<Utc>) -> Decision {
    match evidence.record {
        None => valid(evidence, now),
        Some(_) => Decision {
            status: VerificationStatus::SecurityCodeInvalid,
            change: Some(RecordChange::WrongCode),
        },
    }
}

fn listed(store: &mut dyn Store) -> Vec<ListedRecord> {
    let mut records = Vec::new();
    let look_up = LookUp { superseded_from: Some(DateTime::UNIX_EPOCH), delivery: true };
    let all = RecordFilter { look_up, ..RecordFilter::default() };
    let mut visit = |page: Vec<_>| {
        records.extend(page.into_iter().map(Result::unwrap));
        true
    };
    store.list(&all, u64::MAX, &mut visit).unwrap();
    records
}

fn deliveries(store: &mut dyn Store, last: u8) -> Vec<Delivery> {
    let filter = DeliveryFilter { numbers: vec![number(last).into()], ..Default::default() };
    let deliveries = store.newest_deliveries(&filter, 10).unwrap();
    deliveries.into_iter().map(Result::unwrap).collect()
}

#[test]
fn the_story_runs_on_every_engine() {
    for engine in engines() {
        play(&engine());
    }
}

#[test]
fn a_row_from_the_future_is_never_the_newest_and_counts_for_nothing() {
    for engine in engines() {
        let time = Time::default();
        let clock = time.clock();
        let open = engine();
        let store = &mut *open(&clock);
        let mut sends = Sends::new(1);
        // An hour later the clock turns out to be wrong, and goes back.
        time.pass(3600);
        let (unsettled, settled) = (sends.new_send(&number(1)), sends.new_send(&number(1)));
        let accepted = outcome(DeliveryState::Accepted);
        for send in [&unsettled, &settled] {
            started(take(store, SendStep::Start(send.clone())));
        }
        store.verify(&number(1), &SessionChoice::Newest, &judge(false)).unwrap();
        time.pass(-3600);
        let current = Period::last(HOUR, clock.now());
        assert_eq!(store.wrong_codes(&number(1), current).unwrap(), 0);
        let nobody = store.verify(&number(1), &SessionChoice::Newest, &judge(true)).unwrap();
        assert!(nobody.record.is_none(), "a record from the future isn't the newest");
        let expired = RecordFilter { created_outside: Some(current), ..RecordFilter::default() };
        assert_eq!(store.count(&Rows::Records(expired.clone())).unwrap(), 2);

        let admission = Admission {
            looks_back: Some(HOUR),
            window: Some(Window { most: 1, length: HOUR }),
            judge: Some(Box::new(|history, _| {
                assert_eq!((history.to_number.len(), history.full_since), (0, None));
                None
            })),
            ..Admission::default()
        };
        let newest = sends.new_send(&number(1));
        let start = SendStep::Start(newest.clone());
        let send = started(store.take_send_steps(&[start], &admission).remove(0).unwrap());
        let ids: Vec<_> = deliveries(store, 1).into_iter().map(|delivery| delivery.id).collect();
        assert_eq!(ids, [2, 1, send.delivery_id], "status looks for the newest in the past");
        let attempt = store.verify(&number(1), &SessionChoice::Newest, &judge(true)).unwrap();
        assert_eq!(attempt.record.unwrap().id, newest.verification_id);
        // The clock goes back again before the answer comes. The send's own record stays.
        time.pass(-3600);
        take(store, SendStep::Settle { send, outcome: accepted, tries: 1 });
        let left: Vec<_> = listed(store).into_iter().map(|listed| listed.record.id).collect();
        assert_eq!(left, [newest.verification_id]);
    }
}

#[test]
fn of_two_sends_the_record_of_one_is_left_though_the_clock_went_back_between_them() {
    for engine in engines() {
        for order in [[0, 1], [1, 0]] {
            let time = Time::default();
            let open = engine();
            let store = &mut *open(&time.clock());
            let mut sends = Sends::new(1);
            let both = [3600, -3600].map(|seconds| {
                time.pass(seconds);
                started(take(store, SendStep::Start(sends.new_send(&number(1)))))
            });
            for index in order {
                let (send, outcome) = (both[index].clone(), outcome(DeliveryState::Accepted));
                take(store, SendStep::Settle { send, outcome, tries: 1 });
            }
            let left: Vec<_> = listed(store).into_iter().map(|listed| listed.record.id).collect();
            assert_eq!(left, [both[order[0]].verification_id]);
        }
    }
}

fn play(open: &Open) {
    let time = Time::default();
    let store = &mut *open(&time.clock());
    let mut sends = Sends::new(1);
    assert_eq!(store.ledger_problem().unwrap(), None);

    // Ann gets a code, types it wrong and then right.
    let ann = sends.new_send(&number(1));
    let send = started(take(store, SendStep::Start(ann.clone())));
    assert_eq!(send.verification_id, ann.verification_id);
    let states: Vec<_> = listed(store).iter().map(|listed| listed.delivery).collect();
    assert_eq!(states, [Some(DeliveryState::Sending)]);
    let accepted = outcome(DeliveryState::Accepted);
    take(store, SendStep::Settle { send: send.clone(), outcome: accepted.clone(), tries: 2 });
    let session = SessionChoice::Token(ann.session_token.clone());
    for (is_right, wrong_codes) in [(false, 1), (false, 2), (true, 0)] {
        let attempt = store.verify(&number(1), &session, &judge(is_right)).unwrap();
        assert_eq!(attempt.failed_attempts(), Some(wrong_codes));
        assert_eq!(attempt.wrong_codes_after(), wrong_codes);
        assert!(!attempt.record.unwrap().is_verified, "it is the record as it was before");
    }
    let ListedRecord { record, delivery, .. } = listed(store).remove(0);
    assert!(record.is_verified && record.modified_at > record.created_at);
    assert!(record.security_code.reveal() == ann.security_code.reveal());
    assert_eq!((record.created_at, delivery), (send.created_at, Some(DeliveryState::Accepted)));
    let unknown = store.verify(&number(2), &SessionChoice::Newest, &judge(true)).unwrap();
    assert_eq!(unknown.decision.status, VerificationStatus::SessionTokenInvalid);
    assert!(unknown.record.is_none() && unknown.failed_attempts().is_none());

    // Later, the provider reports that the SMS arrived. The message id and the number of tries stay.
    let delivered =
        super::DeliveryOutcome { message_id: None, ..outcome(DeliveryState::Delivered) };
    store.update_delivery(send.delivery_id, delivered).unwrap();
    let [delivery] = &deliveries(store, 1)[..] else { panic!() };
    let expected = outcome(DeliveryState::Delivered);
    assert_eq!((&delivery.outcome, delivery.tries), (&expected, 2));
    assert!(delivery.updated_at > delivery.created_at);
    assert_eq!(delivery.verified_at, Some(record.modified_at));
    assert_eq!(delivery.language.as_deref(), Some("de"));
    // Another process was told something else before.
    for state in [DeliveryState::Accepted, DeliveryState::Undelivered] {
        store.update_delivery(send.delivery_id, outcome(state)).unwrap();
        assert_eq!(deliveries(store, 1), std::slice::from_ref(delivery));
    }

    // Ann's next code goes through the second backend. Her first code is deleted when the second one is accepted.
    time.pass(60);
    let second = sends.new_send(&number(1));
    let send = started(take(store, SendStep::Start(second.clone())));
    let refused = outcome(DeliveryState::Unavailable);
    let step = SendStep::HandOver {
        send: send.clone(),
        outcome: refused,
        tries: 3,
        backend: "second".into(),
    };
    let handed_over = started(take(store, step));
    assert_ne!(handed_over.delivery_id, send.delivery_id);
    let superseded: Vec<_> = listed(store).iter().map(|listed| listed.is_superseded).collect();
    assert_eq!(superseded, [false, true]);
    take(store, SendStep::Settle { send: handed_over, outcome: accepted, tries: 1 });
    let tokens: Vec<_> =
        listed(store).into_iter().map(|listed| listed.record.session_token).collect();
    assert_eq!(tokens, std::slice::from_ref(&second.session_token));
    let states: Vec<_> = deliveries(store, 1)
        .into_iter()
        .map(|delivery| (delivery.backend, delivery.outcome.state, delivery.tries))
        .collect();
    let expected = [
        ("second", DeliveryState::Accepted, 1),
        ("first", DeliveryState::Unavailable, 3),
        ("first", DeliveryState::Delivered, 2),
    ];
    assert_eq!(states, expected.map(|(backend, state, tries)| (backend.to_owned(), state, tries)));

    // A code that certainly wasn't accepted is deleted. A code that may have been accepted stays.
    for (last, state, is_kept) in
        [(2, DeliveryState::Rejected, false), (3, DeliveryState::Unknown, true)]
    {
        let send = started(take(store, SendStep::Start(sends.new_send(&number(last)))));
        take(store, SendStep::Settle { send, outcome: outcome(state), tries: 1 });
        let of_number =
            RecordFilter { numbers: vec![number(last).into()], ..RecordFilter::default() };
        assert_eq!(
            store.count(&Rows::Records(of_number.clone())).unwrap(),
            u64::from(is_kept),
            "{state:?}"
        );
    }

    // Those who know only the last digits of a number find it, and its deliveries by what became of them.
    for (digits, expected) in
        [("5550101", &[Ok(number(1))][..]), ("1", &[Ok(number(1))]), ("555010", &[])]
    {
        assert_eq!(store.numbers_ending(digits, 10).unwrap(), expected, "{digits}");
    }
    let ending = |digits: &str| vec![NumberPattern::Ending(digits.to_owned())];
    let found = RecordFilter { numbers: ending("0101"), ..RecordFilter::default() };
    assert_eq!(store.count(&Rows::Records(found)).unwrap(), 1);
    use DeliveryState::{Rejected, Unavailable};
    let failed = DeliveryFilter { states: vec![Rejected, Unavailable], ..Default::default() };
    let filters = [
        (failed.clone(), 2),
        (DeliveryFilter { numbers: ending("0101"), ..failed.clone() }, 1),
        (DeliveryFilter { backend: Some("second".to_owned()), ..failed }, 0),
        (DeliveryFilter { error_code: Some("30007".to_owned()), ..Default::default() }, 3),
        (DeliveryFilter { error_code: Some("30008".to_owned()), ..Default::default() }, 0),
    ];
    for (filter, count) in filters {
        assert_eq!(store.newest_deliveries(&filter, 10).unwrap().len(), count, "{filter:?}");
    }

    // The rule sees what was sent before. Three sends of the group may start.
    let looks_back = Some(HOUR);
    let window = Some(Window { most: 6, length: HOUR });
    let judge_send = |history: &SendHistory<'_>, _| {
        let is_known = history.to_number.iter().any(|past| past.state.may_have_been_accepted());
        let limited = |oldest| Refusal::Limited { reason: String::new(), retry_at: Some(oldest) };
        is_known.then_some(Refusal::AlreadySent).or_else(|| history.full_since.map(limited))
    };
    let judge_send = Some(Box::new(judge_send) as Box<_>);
    let admission = Admission { looks_back, window, judge: judge_send, ..Admission::default() };
    let starts = [1, 4, 4, 5, 6, 7].map(|last| SendStep::Start(sends.new_send(&number(last))));
    let replies = store.take_send_steps(&starts, &admission);
    let oldest = deliveries(store, 1).pop().unwrap().created_at;
    let limited = Refusal::Limited { reason: String::new(), retry_at: Some(oldest) };
    let refusals = replies.into_iter().map(|reply| match reply.unwrap() {
        SendReply::Refused(refusal) => Some(refusal),
        reply => {
            started(reply);
            None
        }
    });
    let already_sent = Some(Refusal::AlreadySent);
    let expected = [already_sent.clone(), None, already_sent, None, None, Some(limited)];
    assert_eq!(refusals.collect::<Vec<_>>(), expected);

    // A long list comes in pages, and other stores can write while it is read.
    const MORE_THAN_A_PAGE: usize = 3500;
    time.pass(60);
    let starts: Vec<_> =
        (0..MORE_THAN_A_PAGE).map(|_| SendStep::Start(sends.new_send(&number(8)))).collect();
    let replies = store.take_send_steps(&starts, &Admission::default());
    assert!(replies.into_iter().all(|reply| matches!(reply, Ok(SendReply::Started(_)))));
    let mut other = open(&time.clock());
    let of_number = RecordFilter { numbers: vec![number(8).into()], ..RecordFilter::default() };
    let mut pages: Vec<Vec<DateTime<Utc>>> = Vec::new();
    let mut visit = |page: Vec<_>| {
        take(&mut *other, SendStep::Start(sends.new_send(&number(9))));
        let times = page
            .into_iter()
            .map(|listed: Result<ListedRecord, _>| listed.unwrap().record.created_at);
        pages.push(times.collect());
        true
    };
    store.list(&of_number, u64::MAX, &mut visit).unwrap();
    assert!(pages.len() > 1);
    let times = pages.concat();
    assert!(times.len() == MORE_THAN_A_PAGE && times.is_sorted_by(|newer, older| newer > older));
    let mut count = 0;
    let mut visit = |page: Vec<_>| {
        count += page.len();
        false
    };
    store.list(&of_number, u64::MAX, &mut visit).unwrap();
    assert_eq!(count, pages[0].len());
    count = 0;
    let mut visit = |page: Vec<_>| {
        assert!(!page.is_empty());
        count += page.len();
        true
    };
    store.list(&of_number, 1234, &mut visit).unwrap();
    assert_eq!(count, 1234);

    // At the end, everything is deleted: old records, unverified records, and all deliveries to one number.
    assert_eq!(store.damaged_times().unwrap(), []);
    let since = Period::last(times[0] - times[MORE_THAN_A_PAGE - 1], times[0]);
    let old = RecordFilter { created_outside: Some(since), ..RecordFilter::default() };
    assert_eq!(store.count(&Rows::Records(old.clone())).unwrap(), 5);
    assert_eq!(store.delete(&Rows::Records(old)).unwrap(), 5);
    let tried = RecordFilter { min_failed_attempts: Some(1), ..of_number.clone() };
    store.verify(&number(8), &SessionChoice::Newest, &judge(false)).unwrap();
    assert_eq!(store.delete(&Rows::Records(tried)).unwrap(), 1);
    let unverified = RecordFilter { is_verified: Some(false), ..of_number };
    let rest = MORE_THAN_A_PAGE as u64 - 1;
    assert_eq!(store.delete(&Rows::Records(unverified)).unwrap(), rest);
    assert_eq!(listed(store).len(), pages.len());
    let of_ann = DeliveryFilter { numbers: vec![number(1).into()], ..Default::default() };
    assert_eq!(store.delete(&Rows::Deliveries(of_ann)).unwrap(), 3);
    store.remove_traces().unwrap();
    assert!(deliveries(store, 1).is_empty());
    let old = DeliveryFilter { created_outside: Some(since), ..Default::default() };
    assert_eq!(store.delete(&Rows::Deliveries(old)).unwrap(), 5);
    assert!(listed(store).iter().all(|listed| listed.delivery == Some(DeliveryState::Sending)));
}
