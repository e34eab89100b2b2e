//! How often a store waits for its server.

use chrono::TimeDelta;

use super::proxied::Proxied;
use super::rules::{RIGHT, WRONG, judge};
use super::{Sends, number, outcome, started};
use crate::model::DeliveryState;
use crate::store::{
    Admission, DeliveryFilter, RecordFilter, SendStep, SessionChoice, StartedSend, Store, Window,
};

const HOUR: TimeDelta = TimeDelta::hours(1);
/// How many steps a group has.
const GROUP: usize = 256;

/// Takes a group of steps, and returns how many round trips that took.
fn take(proxied: &Proxied, store: &mut dyn Store, steps: &[SendStep]) -> (usize, Vec<StartedSend>) {
    take_judged(proxied, store, steps, &Admission::default())
}

fn take_judged(
    proxied: &Proxied,
    store: &mut dyn Store,
    steps: &[SendStep],
    admission: &Admission,
) -> (usize, Vec<StartedSend>) {
    proxied.proxy.take_round_trips();
    let replies = store.take_send_steps(steps, admission);
    let round_trips = proxied.proxy.take_round_trips();
    let replies = replies.into_iter().map(Result::unwrap);
    let is_start = |step: &SendStep| step.start().is_some();
    let sends = if steps.iter().all(is_start) { replies.map(started).collect() } else { vec![] };
    (round_trips, sends)
}

fn starts(sends: &mut Sends) -> Vec<SendStep> {
    let number = |index| crate::model::PhoneNumber::from_stored(format!("+1202555{index:04}"));
    (0..GROUP).map(|index| SendStep::Start(sends.new_send(&number(index)))).collect()
}

#[test]
fn a_group_of_steps_takes_one_round_trip_and_with_limits_three() {
    Proxied::each(|proxied| {
        let store = &mut *proxied.open();
        let mut sends = Sends::new(1);
        // The first use of a session asks the server about itself, but it was asked when the store was opened.
        for _ in 0..2 {
            let (round_trips, started) = take(proxied, store, &starts(&mut sends));
            assert_eq!(round_trips, 1, "{:?}", proxied.kind);
            let settle = |(index, send): (usize, StartedSend)| {
                let state =
                    [DeliveryState::Accepted, DeliveryState::Rejected, DeliveryState::Unknown]
                        [index % 3];
                let outcome = outcome(state);
                if index % 4 == 0 {
                    SendStep::HandOver { send, outcome, tries: 1, backend: "second".into() }
                } else {
                    SendStep::Settle { send, outcome, tries: 1 }
                }
            };
            let checks: Vec<_> = started
                .iter()
                .map(|send| SendStep::Check { send: send.clone(), has_left: false })
                .collect();
            assert_eq!(take(proxied, store, &checks).0, 1, "{:?}", proxied.kind);
            let settle: Vec<_> = started.into_iter().enumerate().map(settle).collect();
            assert_eq!(take(proxied, store, &settle).0, 1, "{:?}", proxied.kind);
        }
        let admission = Admission {
            looks_back: Some(HOUR),
            window: Some(Window { most: 10_000, length: HOUR }),
            judge: Some(Box::new(|_, _| None)),
            ..Admission::default()
        };
        let (round_trips, _) = take_judged(proxied, store, &starts(&mut sends), &admission);
        assert_eq!(round_trips, 3, "{:?}", proxied.kind);
    });
}

#[test]
fn verifying_takes_two_round_trips_and_with_any_session_three() {
    Proxied::each(|proxied| {
        for (code, changes) in [(RIGHT, true), (WRONG, true)] {
            proxied.truncate();
            let send = Sends::new(1).new_send(&number(1));
            let start = SendStep::Start(send.clone());
            proxied.open_behind().take_send_steps(&[start], &Admission::default());
            for (session, round_trips) in
                [(SessionChoice::Token(send.session_token.clone()), 2), (SessionChoice::Newest, 3)]
            {
                let store = &mut *proxied.open_unused();
                proxied.proxy.take_round_trips();
                let attempt = store.verify(&number(1), &session, &judge(&code)).unwrap();
                assert_eq!(attempt.decision.change.is_some(), changes);
                let taken = proxied.proxy.take_round_trips();
                assert_eq!(taken, round_trips, "{:?}: {session:?}", proxied.kind);
            }
        }
    });
}

#[test]
fn a_list_takes_a_round_trip_for_each_page_and_one_for_the_tables() {
    Proxied::each(|proxied| {
        proxied.database.query(
            "INSERT INTO sms_verification
             SELECT gen_random_uuid(), now() - i * interval '1 ms', now(), i, '+1', 't', FALSE, 0
             FROM generate_series(1, 7000) AS i;
             INSERT INTO sms_delivery (verification_id, phone_number, backend, state, segments, tries,
                 created_at, updated_at)
             SELECT id, phone_number, 'first', 'accepted', 1, 1, created_at, created_at
             FROM sms_verification",
        );
        let store = &mut *proxied.open_unused();
        proxied.proxy.take_round_trips();
        for (limit, round_trips) in [(20, 2), (20, 1), (u64::MAX, 3)] {
            store.list(&RecordFilter::default(), limit, &mut |_| true).unwrap();
            assert_eq!(proxied.proxy.take_round_trips(), round_trips, "{:?}", proxied.kind);
            store.deliveries(&DeliveryFilter::default(), limit, &mut |_| true).unwrap();
            let of_deliveries = round_trips.min(3) - usize::from(round_trips == 2);
            assert_eq!(proxied.proxy.take_round_trips(), of_deliveries, "{:?}", proxied.kind);
        }
    });
}
