//! Many clients of one server at once: what only one may do is done by one, and no conflict surfaces.

use std::sync::Barrier;
use std::thread;

use chrono::TimeDelta;

use super::proxied::Proxied;
use super::rules::{MOST_OF_NUMBER, MOST_OF_RECORD, RIGHT, Rule, WRONG, judge};
use super::{Sends, number, outcome, started, take};
use crate::model::{DeliveryState, PhoneNumber, VerificationStatus};
use crate::store::{
    Admission, DeliveryFilter, Judge, NewSend, RecordFilter, Refusal, Rows, SendReply, SendStep,
    SessionChoice, Store, StoreError, Window,
};

const HOUR: TimeDelta = TimeDelta::hours(1);

/// Runs `work` in so many threads, each with a store of its own, all at once.
fn at_once<T: Send>(
    proxied: &Proxied,
    clients: usize,
    work: impl Fn(usize, &mut dyn Store) -> T + Sync,
) -> Vec<T> {
    let barrier = Barrier::new(clients);
    let (barrier, work) = (&barrier, &work);
    thread::scope(|scope| {
        let client = |index| {
            scope.spawn(move || {
                let store = &mut *proxied.open_behind();
                barrier.wait();
                work(index, store)
            })
        };
        let clients: Vec<_> = (0..clients).map(client).collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    })
}

/// Verifies a code in so many threads, each with one of `sends` in turn, and returns how many had each of these answers. There
/// are no others.
fn verify_at_once<const N: usize>(
    proxied: &Proxied,
    clients: usize,
    sends: &[NewSend],
    rule: Rule,
    answers: [VerificationStatus; N],
) -> [usize; N] {
    let given = at_once(proxied, clients, |index, store| {
        let NewSend { phone_number, session_token, .. } = &sends[index % sends.len()];
        let session = SessionChoice::Token(session_token.clone());
        store.verify(phone_number, &session, &judge(&rule)).unwrap().decision.status
    });
    let counts = answers.map(|answer| given.iter().filter(|status| **status == answer).count());
    assert_eq!(counts.iter().sum::<usize>(), clients, "{:?}: {given:?}", proxied.kind);
    counts
}

/// Stores so many records of one number.
fn store_records(proxied: &Proxied, count: usize) -> Vec<NewSend> {
    proxied.truncate();
    let mut sends = Sends::new(1);
    let store = &mut *proxied.open_behind();
    let start = |_| {
        let send = sends.new_send(&number(1));
        started(take(store, SendStep::Start(send.clone())));
        send
    };
    (0..count).map(start).collect()
}

#[test]
fn of_sixty_codes_at_once_no_more_are_compared_than_allowed_and_one_is_valid() {
    use VerificationStatus::*;
    for proxied in Proxied::all() {
        let proxied = &proxied;
        let sends = store_records(proxied, 1);
        let answers = [SecurityCodeInvalid, SecurityCodeTooManyAttempts];
        let most = MOST_OF_RECORD as usize;
        let expected = [most, 60 - most];
        assert_eq!(verify_at_once(proxied, 60, &sends, WRONG, answers), expected);
        let sends = store_records(proxied, 1);
        let answers = [SecurityCodeValid, SecurityCodeVerified, SecurityCodeTooManyAttempts];
        let expected = [1, most, 60 - 1 - most];
        assert_eq!(verify_at_once(proxied, 60, &sends, RIGHT, answers), expected);
    }
}

#[test]
fn wrong_codes_at_once_for_several_records_of_a_number_count_together() {
    use VerificationStatus::*;
    for proxied in Proxied::all() {
        for records in [4, 12] {
            let sends = store_records(&proxied, records);
            let answers = [SecurityCodeInvalid, SecurityCodeTooManyAttempts];
            let most = MOST_OF_NUMBER as usize;
            let counts = verify_at_once(&proxied, 36, &sends, WRONG, answers);
            assert_eq!(counts, [most, 36 - most], "{:?}", proxied.kind);
            let counted = proxied.value("SELECT count(*) FROM sms_wrong_code");
            assert_eq!(counted, most.to_string(), "{:?}", proxied.kind);
        }
    }
}

#[test]
fn a_right_code_is_refused_if_the_last_wrong_code_of_its_number_comes_while_it_is_judged() {
    for proxied in Proxied::all() {
        let [record, other] = &store_records(&proxied, 2)[..] else { panic!() };
        proxied.database.query(&format!(
            "INSERT INTO sms_wrong_code (phone_number, created_at)
             SELECT '{}', now() FROM generate_series(2, {MOST_OF_NUMBER})",
            number(1).as_str()
        ));
        let verify = |store: &mut dyn Store, send: &NewSend, judge: Judge<'_>| {
            let session = SessionChoice::Token(send.session_token.clone());
            store.verify(&number(1), &session, &judge).unwrap().decision.status
        };
        let decide = proxied.interrupted(RIGHT, |store| {
            let status = verify(store, other, judge(&WRONG));
            assert_eq!(status, VerificationStatus::SecurityCodeInvalid);
        });
        let status = verify(&mut *proxied.open_behind(), record, judge(&decide));
        let expected = VerificationStatus::SecurityCodeTooManyAttempts;
        assert_eq!(status, expected, "{:?}", proxied.kind);
    }
}

fn limited(most: u32) -> Admission {
    Admission {
        window: Some(Window { most, length: HOUR }),
        judge: Some(Box::new(|history, _| {
            let retry_at = history.full_since;
            retry_at.map(|_| Refusal::Limited { reason: String::new(), retry_at })
        })),
        ..Admission::default()
    }
}

fn resumed() -> Admission {
    Admission {
        looks_back: Some(HOUR),
        judge: Some(Box::new(|history, _| {
            (!history.to_number.is_empty()).then_some(Refusal::AlreadySent)
        })),
        ..Admission::default()
    }
}

/// Starts sends to numbers by groups of 1 to 40, and returns how many started.
fn start_in_groups(store: &mut dyn Store, seed: u64, count: u32, admission: &Admission) -> usize {
    let mut sends = Sends::new(seed);
    let mut started = 0;
    let mut rest: Vec<_> = (0..count)
        .map(|index| PhoneNumber::from_stored(format!("+1202555{index:04}")))
        .map(|number| SendStep::Start(sends.new_send(&number)))
        .collect();
    for size in (1..=40).cycle() {
        if rest.is_empty() {
            break;
        }
        let group: Vec<_> = rest.drain(..size.min(rest.len())).collect();
        let replies = store.take_send_steps(&group, admission);
        let is_started = |reply: &SendReply| matches!(reply, SendReply::Started(_));
        started += replies.into_iter().map(Result::unwrap).filter(is_started).count();
    }
    started
}

#[test]
fn four_clients_together_send_exactly_what_a_limit_allows() {
    Proxied::each(|proxied| {
        for most in [100, 300] {
            proxied.truncate();
            let started = at_once(proxied, 4, |index, store| {
                start_in_groups(store, index as u64, 200, &limited(most))
            });
            let count = started.iter().sum::<usize>();
            assert_eq!(count, most as usize, "{:?}: {started:?}", proxied.kind);
            for table in ["sms_verification", "sms_delivery"] {
                let stored = proxied.value(&format!("SELECT count(*) FROM {table}"));
                assert_eq!(stored, most.to_string(), "{:?}, {table}", proxied.kind);
            }
        }
    });
}

#[test]
fn four_clients_that_resume_one_list_send_to_each_number_once() {
    Proxied::each(|proxied| {
        let started = at_once(proxied, 4, |index, store| {
            start_in_groups(store, index as u64, 300, &resumed())
        });
        assert_eq!(started.iter().sum::<usize>(), 300, "{:?}: {started:?}", proxied.kind);
        let numbers = proxied.value("SELECT count(DISTINCT phone_number) FROM sms_delivery");
        assert_eq!(numbers, "300", "{:?}", proxied.kind);
    });
}

#[test]
fn of_sends_at_once_to_one_number_the_newest_is_left() {
    Proxied::each(|proxied| {
        let settled = at_once(proxied, 8, |index, store| {
            let mut sends = Sends::new(index as u64);
            let mut lapsed = 0;
            for _ in 0..10 {
                let send = started(take(store, SendStep::Start(sends.new_send(&number(1)))));
                let outcome = outcome(DeliveryState::Accepted);
                let reply = take(store, SendStep::Settle { send, outcome, tries: 1 });
                lapsed += usize::from(reply != SendReply::Done);
            }
            lapsed
        });
        assert!(settled.iter().sum::<usize>() < 80, "{settled:?}");
        let newest = "SELECT state FROM sms_verification AS record
             JOIN sms_delivery ON verification_id = record.id ORDER BY record.created_at DESC LIMIT 1";
        assert_eq!(proxied.value(newest), "accepted", "{:?}", proxied.kind);
        let accepted = "SELECT count(*) FROM sms_delivery WHERE state = 'accepted'";
        assert_eq!(proxied.value(accepted), "80", "{:?}", proxied.kind);
    });
}

#[test]
fn deadlocks_between_verify_send_and_purge_never_surface() {
    Proxied::each(|proxied| {
        let name = proxied.database.name();
        proxied.database.query(&format!("ALTER DATABASE {name} SET deadlock_timeout = '10ms'"));
        at_once(proxied, 8, |index, store| {
            let mut sends = Sends::new(index as u64);
            for _ in 0..15 {
                match index % 4 {
                    0 | 1 => {
                        // Each in another order, so that they wait for each other in turn.
                        let mut numbers: Vec<_> = (0..9).map(number).collect();
                        numbers.rotate_left(index);
                        if index % 4 == 1 {
                            numbers.reverse();
                        }
                        let starts = numbers.iter().map(|number| sends.new_send(number));
                        let starts: Vec<_> = starts.map(SendStep::Start).collect();
                        let replies = store.take_send_steps(&starts, &Admission::default());
                        let settle = |reply: Result<_, StoreError>| SendStep::Settle {
                            send: started(reply.unwrap()),
                            outcome: outcome(DeliveryState::Accepted),
                            tries: 1,
                        };
                        let settles: Vec<_> = replies.into_iter().map(settle).collect();
                        let replies = store.take_send_steps(&settles, &Admission::default());
                        replies.into_iter().for_each(|reply| drop(reply.unwrap()));
                    }
                    2 => {
                        for last in 0..9 {
                            let rule = if last % 2 == 0 { RIGHT } else { WRONG };
                            store
                                .verify(&number(last), &SessionChoice::Newest, &judge(&rule))
                                .unwrap();
                        }
                    }
                    _ => {
                        store.delete(&Rows::Records(RecordFilter::default())).unwrap();
                        store.delete(&Rows::Deliveries(DeliveryFilter::default())).unwrap();
                    }
                }
            }
        });
    });
}

#[test]
fn a_change_is_durable_and_waits_for_locks_ten_seconds_or_with_an_outcome_a_minute() {
    Proxied::each(|proxied| {
        proxied.database.query(
            "DO $$ BEGIN EXECUTE 'ALTER DATABASE ' || current_database()
                 || ' SET synchronous_commit = off'; END $$;
             CREATE TABLE patience (time text);
             CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 INSERT INTO patience VALUES (current_setting('lock_timeout') || ' '
                     || current_setting('synchronous_commit')); RETURN NEW; END $$;
             CREATE TRIGGER note BEFORE INSERT OR UPDATE ON sms_verification
                 FOR EACH ROW EXECUTE FUNCTION note();
             CREATE TRIGGER note BEFORE UPDATE ON sms_delivery
                 FOR EACH ROW EXECUTE FUNCTION note()",
        );
        let store = &mut *proxied.open_behind();
        let mut expect = |time, work: &mut dyn FnMut(&mut dyn Store)| {
            work(store);
            let times = proxied.value("SELECT string_agg(time, ' ') FROM patience");
            assert_eq!(times, format!("{time} on"), "{:?}", proxied.kind);
            proxied.database.query("TRUNCATE patience");
        };
        let (new, outcome) = (Sends::new(1).new_send(&number(1)), outcome(DeliveryState::Unknown));
        let mut send = None;
        expect("10s", &mut |store| {
            send = Some(started(take(store, SendStep::Start(new.clone()))));
        });
        let send = send.unwrap();
        let backend = "second".into();
        let hand_over =
            SendStep::HandOver { send: send.clone(), outcome: outcome.clone(), tries: 1, backend };
        expect("1min", &mut |store| drop(take(store, hand_over.clone())));
        let settle = SendStep::Settle { send: send.clone(), outcome: outcome.clone(), tries: 1 };
        expect("1min", &mut |store| drop(take(store, settle.clone())));
        expect("1min", &mut |store| {
            store.update_delivery(send.delivery_id, outcome.clone()).unwrap();
        });
        expect("10s", &mut |store| {
            store.verify(&number(1), &SessionChoice::Newest, &judge(&WRONG)).unwrap();
        });
    });
}
