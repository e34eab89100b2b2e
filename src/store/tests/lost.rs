//! A connection that is lost at any message: what was under way happens once.

use std::collections::BTreeSet;
use std::io;
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use tempfile::TempDir;

use super::postgres::{Address, Database, Kind};
use super::postgres_proxy::Fault;
use super::proxied::Proxied;
use super::rules::{RIGHT, Rule, WRONG, judge};
use super::{Sends, number, outcome, started, take};
use crate::model::VerificationStatus::{
    self, SecurityCodeInvalid, SecurityCodeValid, SecurityCodeVerified,
};
use crate::model::{DeliveryState, ListedRecord};
use crate::store::{
    Admission, Judge, NewSend, RecordFilter, Refusal, Rows, SendReply, SendStep, ServerAddress,
    SessionChoice, StartedSend, Store, Window, open_to_send,
};
use crate::system::clock::Clock;

const HOUR: TimeDelta = TimeDelta::hours(1);

/// Stores a record for each of so many numbers, behind the proxy.
fn start(proxied: &Proxied, count: u8) -> Vec<(NewSend, StartedSend)> {
    let mut sends = Sends::new(1);
    let store = &mut *proxied.open_behind();
    let start = |last| {
        let send = sends.new_send(&number(last));
        let started = started(take(store, SendStep::Start(send.clone())));
        (send, started)
    };
    (0..count).map(start).collect()
}

fn verify_with_cuts(rule: Rule, status: VerificationStatus, expected: &str) {
    Proxied::each(|proxied| {
        proxied.cut_at_each_message(|store, cut| {
            let (send, _) = start(proxied, 1).remove(0);
            let session = SessionChoice::Token(send.session_token);
            let attempt = store.verify(&number(0), &session, &judge(&rule)).unwrap();
            assert_eq!(attempt.decision.status, status, "{:?}, {cut:?}", proxied.kind);
            let state = proxied.value(
                "SELECT is_verified || ' ' || failed_attempts || ' '
                     || (SELECT count(*) FROM sms_wrong_code) || ' '
                     || (SELECT count(*) FROM sms_delivery WHERE verified_at = modified_at)
                 FROM sms_verification",
            );
            assert_eq!(state, expected, "{:?}, {cut:?}", proxied.kind);
        });
    });
}

#[test]
fn a_right_code_stays_valid_and_never_turns_into_a_used_one() {
    verify_with_cuts(RIGHT, SecurityCodeValid, "true 0 0 1");
}

#[test]
fn a_wrong_code_counts_once() {
    verify_with_cuts(WRONG, SecurityCodeInvalid, "false 1 1 0");
}

/// Verifies a right code, while something goes wrong with an answer.
fn verify_with_fault(proxied: &Proxied, fault: Fault, after: usize) {
    proxied.truncate();
    let (send, _) = start(proxied, 1).remove(0);
    let session = SessionChoice::Token(send.session_token);
    let store = &mut *proxied.open();
    proxied.proxy.fail(fault, after);
    let attempt = store.verify(&number(0), &session, &judge(&RIGHT)).unwrap();
    assert_eq!(attempt.decision.status, SecurityCodeValid, "{:?}, {after}", proxied.kind);
    let state = "SELECT is_verified || ' ' || failed_attempts FROM sms_verification";
    assert_eq!(proxied.value(state), "true 0", "{:?}, {after}", proxied.kind);
}

#[test]
fn the_answer_to_another_client_counts_as_a_lost_connection() {
    Proxied::each(|proxied| {
        verify_with_fault(proxied, Fault::MixedUp, 0);
        verify_with_fault(proxied, Fault::MixedUp, 1);
    });
}

#[test]
fn a_right_code_is_valid_though_the_answer_to_its_change_never_comes() {
    Proxied::each(|proxied| verify_with_fault(proxied, Fault::Silence, 1));
}

#[test]
fn what_another_client_has_changed_is_not_taken_for_the_own_change() {
    Proxied::each(|proxied| {
        for (rule, status, expected) in
            [(RIGHT, SecurityCodeVerified, "true 1 0"), (WRONG, SecurityCodeInvalid, "false 2 2")]
        {
            // A change takes more messages than that.
            proxied.cut_at_every(5, |store, cut| {
                let (send, _) = start(proxied, 1).remove(0);
                let session = SessionChoice::Token(send.session_token);
                let verify = |store: &mut dyn Store, judge: Judge<'_>| {
                    store.verify(&number(0), &session, &judge).unwrap().decision.status
                };
                let decide = proxied.interrupted(rule, |other| {
                    verify(other, judge(&rule));
                });
                assert_eq!(verify(store, judge(&decide)), status, "{:?}, {cut:?}", proxied.kind);
                let state = proxied.value(
                    "SELECT is_verified || ' ' || failed_attempts || ' '
                         || (SELECT count(*) FROM sms_wrong_code) FROM sms_verification",
                );
                assert_eq!(state, expected, "{:?}, {cut:?}", proxied.kind);
            });
        }
    });
}

/// Returns the rows of the ledger, with whether each one's record is there.
fn ledger(proxied: &Proxied) -> Vec<String> {
    let rows = proxied.database.query(
        "SELECT delivery.phone_number || ' ' || backend || ' ' || state || ' ' || tries || ' '
             || (record.id IS NOT NULL)
         FROM sms_delivery AS delivery LEFT JOIN sms_verification AS record
             ON record.id = verification_id AND record.phone_number = delivery.phone_number
         ORDER BY delivery.phone_number, delivery.id",
    );
    rows.into_iter().map(|row| row[0].clone().unwrap()).collect()
}

#[test]
fn sends_start_once_and_a_limit_counts_each_once() {
    Proxied::each(|proxied| {
        for is_judged in [false, true] {
            proxied.cut_at_each_message(|store, cut| {
                let admission = if is_judged {
                    Admission {
                        looks_back: Some(HOUR),
                        window: Some(Window { most: 3, length: HOUR }),
                        judge: Some(Box::new(|history, _| {
                            let is_refused =
                                !history.to_number.is_empty() || history.full_since.is_some();
                            is_refused.then_some(Refusal::AlreadySent)
                        })),
                        ..Admission::default()
                    }
                } else {
                    Admission::default()
                };
                let mut sends = Sends::new(2);
                let steps = [0, 1, 2].map(|last| SendStep::Start(sends.new_send(&number(last))));
                let replies = store.take_send_steps(&steps, &admission);
                for (step, reply) in steps.iter().zip(replies) {
                    let (new, send) = (step.start().unwrap(), started(reply.unwrap()));
                    assert_eq!(send.verification_id, new.verification_id);
                    let stored = proxied.value(&format!(
                        "SELECT count(*) FROM sms_delivery JOIN sms_verification AS record
                             ON record.id = verification_id
                         WHERE sms_delivery.id = {} AND record.id = '{}' AND record.created_at = '{}'",
                        send.delivery_id,
                        send.verification_id,
                        send.created_at.to_rfc3339(),
                    ));
                    assert_eq!(stored, "1", "{:?}, {cut:?}", proxied.kind);
                }
                let expected = [0, 1, 2].map(|last| format!("+1202555010{last} first sending 0 true"));
                assert_eq!(ledger(proxied), expected, "{:?}, {cut:?}", proxied.kind);
            });
        }
    });
}

#[test]
fn outcomes_are_stored_once_and_a_fallback_starts_once() {
    Proxied::each(|proxied| {
        proxied.cut_at_each_message(|store, cut| {
            let sends: Vec<_> = start(proxied, 6).into_iter().map(|(_, send)| send).collect();
            let outcomes =
                [DeliveryState::Accepted, DeliveryState::Rejected, DeliveryState::Unknown];
            let mut steps: Vec<_> = sends
                .iter()
                .zip(outcomes)
                .map(|(send, state)| SendStep::Settle {
                    send: send.clone(),
                    outcome: outcome(state),
                    tries: 2,
                })
                .collect();
            // Two accounts at one provider have the same name.
            let fallbacks = ["second", "second", "first"];
            steps.extend(sends[3..].iter().zip(fallbacks).map(|(send, backend)| {
                SendStep::HandOver {
                    send: send.clone(),
                    outcome: outcome(DeliveryState::Unavailable),
                    tries: 2,
                    backend: backend.into(),
                }
            }));
            let replies = store.take_send_steps(&steps, &Admission::default());
            let mut replies = replies.into_iter().map(Result::unwrap);
            for _ in outcomes {
                assert_eq!(replies.next(), Some(SendReply::Done), "{:?}, {cut:?}", proxied.kind);
            }
            for ((send, backend), reply) in sends[3..].iter().zip(fallbacks).zip(replies) {
                let second = started(reply);
                let stored = proxied.value(&format!(
                    "SELECT count(*) FROM sms_delivery WHERE id = {} AND id > {} AND created_at = '{}'
                         AND backend = '{backend}' AND verification_id = '{}'",
                    second.delivery_id,
                    send.delivery_id,
                    second.allowed_at.to_rfc3339(),
                    send.verification_id
                ));
                assert_eq!(stored, "1", "{:?}, {cut:?}: {second:?}", proxied.kind);
            }
            let expected = [
                "+12025550100 first accepted 2 true",
                "+12025550101 first rejected 2 false",
                "+12025550102 first unknown 2 true",
                "+12025550103 first unavailable 2 true",
                "+12025550103 second sending 0 true",
                "+12025550104 first unavailable 2 true",
                "+12025550104 second sending 0 true",
                "+12025550105 first unavailable 2 true",
                "+12025550105 first sending 0 true",
            ];
            assert_eq!(ledger(proxied), expected, "{:?}, {cut:?}", proxied.kind);
        });
    });
}

/// A relay before a database. The server doesn't notice that it lets a client go.
struct Relay {
    url: String,
    clients: Arc<Mutex<Vec<UnixStream>>>,
    _directory: TempDir,
}

impl Relay {
    fn start(database: &Database) -> Self {
        let directory = TempDir::new().unwrap();
        let address = Address { directory: directory.path().to_owned(), port: 5432 };
        let listener = UnixListener::bind(address.socket()).unwrap();
        let server = database.address().socket();
        let clients = Arc::<Mutex<Vec<UnixStream>>>::default();
        let known = Arc::clone(&clients);
        thread::spawn(move || {
            for client in listener.incoming().map(Result::unwrap) {
                let server = UnixStream::connect(&server).unwrap();
                known.lock().unwrap().push(client.try_clone().unwrap());
                let (requests, answers) =
                    [&client, &server].map(|it| it.try_clone().unwrap()).into();
                thread::spawn(move || io::copy(&mut &requests, &mut &server));
                thread::spawn(move || io::copy(&mut &answers, &mut &client));
            }
        });
        Self { url: address.url(database.name()), clients, _directory: directory }
    }

    /// Ends the connections of all clients.
    fn let_go(&self) {
        for client in self.clients.lock().unwrap().drain(..) {
            client.shutdown(Shutdown::Both).unwrap();
        }
    }
}

#[test]
fn what_the_server_stores_after_the_connection_is_lost_is_not_stored_twice() {
    Proxied::each(|proxied| {
        let relay = Relay::start(&proxied.database);
        let address = crate::store::Database::Server(ServerAddress::parse(&relay.url).unwrap());
        let mut store = open_to_send(&address, &Clock::system()).unwrap();
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
             AND backend_type = 'client backend' AND wait_event_type = 'Lock'";
        // Nobody can write the ledger until a second session waits as well: the one that wants to store the steps again.
        let hold = format!(
            "BEGIN; LOCK TABLE sms_delivery IN SHARE MODE;
             DO $$BEGIN FOR i IN 1..3000 LOOP
                 EXIT WHEN ({waiting}) > 1;
                 PERFORM pg_stat_clear_snapshot(), pg_sleep(0.01);
             END LOOP; END$$;
             COMMIT"
        );
        let is_held = "SELECT count(*) FROM pg_locks WHERE granted AND mode = 'ShareLock'
             AND relation = 'sms_delivery'::regclass";
        let wait_until_one = |query| {
            let deadline = Instant::now() + Duration::from_secs(60);
            while proxied.value(query) != "1" {
                assert!(Instant::now() < deadline, "{:?}: {query}", proxied.kind);
                thread::sleep(Duration::from_millis(5));
            }
        };
        // A step that fails is looked for in smaller groups, unless it is alone.
        for count in [1, 3] {
            proxied.truncate();
            let mut sends = Sends::new(2);
            let steps: Vec<_> =
                (0..count).map(|last| SendStep::Start(sends.new_send(&number(last)))).collect();
            let replies = thread::scope(|scope| {
                scope.spawn(|| proxied.database.query(&hold));
                wait_until_one(is_held);
                let taken = scope.spawn(|| store.take_send_steps(&steps, &Admission::default()));
                wait_until_one(waiting);
                relay.let_go();
                taken.join().unwrap()
            });
            for reply in replies {
                started(reply.unwrap_or_else(|error| panic!("{:?}: {error}", proxied.kind)));
            }
            let row = |last| format!("+1202555010{last} first sending 0 true");
            let expected: Vec<_> = (0..count).map(row).collect();
            assert_eq!(ledger(proxied), expected, "{:?}", proxied.kind);
        }
    });
}

/// Inserts so many records.
fn insert(proxied: &Proxied, count: u64) {
    proxied.database.query(&format!(
        "INSERT INTO sms_verification
         SELECT gen_random_uuid(), now(), now(), i, '+1', 't', FALSE, 0
         FROM generate_series(1, {count}) AS i"
    ));
}

#[test]
fn every_row_of_a_list_comes_once() {
    Proxied::each(|proxied| {
        // Each row is a message.
        proxied.cut_at_every(97, |store, cut| {
            insert(proxied, 2100);
            let mut seen = BTreeSet::new();
            let mut visit = |page: Vec<Result<ListedRecord, _>>| {
                for listed in page {
                    let is_new = seen.insert(listed.unwrap().record.id);
                    assert!(is_new, "{:?}, {cut:?}: twice", proxied.kind);
                }
                true
            };
            store.list(&RecordFilter::default(), u64::MAX, &mut visit).unwrap();
            assert_eq!(seen.len(), 2100, "{:?}, {cut:?}", proxied.kind);
        });
    });
}

#[test]
fn every_row_that_is_deleted_is_counted_once() {
    Proxied::each(|proxied| {
        proxied.cut_at_each_message(|store, cut| {
            insert(proxied, 3);
            let all = Rows::Records(RecordFilter::default());
            assert_eq!(store.delete(&all).unwrap(), 3, "{:?}, {cut:?}", proxied.kind);
            assert_eq!(proxied.value("SELECT count(*) FROM sms_verification"), "0");
        });
    });
}

#[test]
fn a_task_that_does_nothing_else_can_use_a_store_for_long() {
    let (sender, receiver) = mpsc::channel();
    let work = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for proxied in Proxied::all() {
            let mut store = proxied.open_behind();
            runtime.block_on(async {
                for _ in 0..500 {
                    store.count(&Rows::Records(RecordFilter::default())).unwrap();
                }
            });
        }
        sender.send(()).unwrap();
    };
    thread::spawn(work);
    receiver.recv_timeout(Duration::from_secs(60)).expect("it doesn't wait forever");
}

#[test]
fn a_session_that_the_server_has_ended_meanwhile_is_replaced() {
    // A pooler would keep its sessions.
    for proxied in Proxied::all().filter(|proxied| proxied.kind != Kind::Pooled) {
        let name = proxied.database.name();
        proxied.database.query(&format!("ALTER DATABASE {name} SET idle_session_timeout = '50ms'"));
        let store = &mut *proxied.open_behind();
        let sessions = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}' AND pid <> pg_backend_pid()"
        );
        let deadline = Instant::now() + Duration::from_secs(60);
        while proxied.value(&sessions) != "0" {
            assert!(Instant::now() < deadline, "{:?}: the session doesn't end", proxied.kind);
            thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(store.count(&Rows::Records(RecordFilter::default())).unwrap(), 0);
    }
}
