//! Tests of the store's operations, on every engine.

mod copies;
mod doctor;
mod hostile;
mod lost;
mod model;
#[expect(dead_code, reason = "the integration tests use the rest")]
#[path = "../../../tests/it/support/postgres.rs"]
mod postgres;
#[path = "../../../tests/it/support/postgres_proxy.rs"]
mod postgres_proxy;
mod proxied;
mod races;
mod round_trips;
mod rules;
mod story;

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, TimeDelta};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use uuid::Uuid;

use super::{
    Database, NewSend, SendReply, SendStep, ServerAddress, StartedSend, Store, migrate,
    open_to_send,
};
use crate::model::{DeliveryOutcome, DeliveryState, PhoneNumber, SecurityCode, SessionToken};
use crate::system::clock::Clock;

/// How long the codes of the tests are valid.
const CODE_LIFETIME: TimeDelta = TimeDelta::minutes(2);

/// Opens another store on the database of one test.
type Open = Box<dyn Fn(&Clock) -> Box<dyn Store>>;

/// An engine: it creates an empty database for each test case.
type Engine = Box<dyn Fn() -> Open>;

/// Returns the engines that this machine has.
fn engines() -> Vec<Engine> {
    let servers = postgres::Kind::ALL.into_iter().filter_map(server);
    std::iter::once(Box::new(file) as Engine).chain(servers).collect()
}

fn file() -> Open {
    let directory = tempfile::tempdir().unwrap();
    let database = Database::File(directory.path().join("db.sqlite3"));
    Box::new(move |clock| {
        assert!(directory.path().exists());
        open_to_send(&database, clock).unwrap()
    })
}

fn server(kind: postgres::Kind) -> Option<Engine> {
    let server = Rc::new(kind.database()?);
    let database = Database::Server(ServerAddress::parse(&server.url()).unwrap());
    migrate(&database).unwrap();
    Some(Box::new(move || {
        // To create a database takes much longer.
        server.query("TRUNCATE sms_verification, sms_delivery, sms_wrong_code RESTART IDENTITY");
        let (server, database) = (Rc::clone(&server), database.clone());
        Box::new(move |clock| {
            let store = open_to_send(&database, clock);
            store.unwrap_or_else(|error| panic!("{error} ({})", server.url()))
        })
    }))
}

/// A clock that a test sets. It moves on by ten microseconds whenever it is read, so that no two rows have the same time; an engine
/// may number the rows that it stores together by microseconds.
#[derive(Clone, Default)]
struct Time(Arc<AtomicI64>);

impl Time {
    fn clock(&self) -> Clock {
        let micros = Arc::clone(&self.0);
        Clock::from_fn(move || {
            let micros = 1_800_000_000_000_000 + micros.fetch_add(10, Ordering::SeqCst);
            DateTime::from_timestamp_micros(micros).unwrap()
        })
    }

    fn pass(&self, seconds: i64) {
        let micros = TimeDelta::seconds(seconds).num_microseconds().unwrap();
        self.0.fetch_add(micros, Ordering::SeqCst);
    }
}

/// Creates sends. Their ids, codes and tokens come from a seed.
struct Sends(StdRng);

impl Sends {
    fn new(seed: u64) -> Self {
        Self(StdRng::seed_from_u64(seed))
    }

    fn new_send(&mut self, phone_number: &PhoneNumber) -> NewSend {
        NewSend {
            verification_id: uuid::Builder::from_random_bytes(self.0.random()).into_uuid(),
            phone_number: phone_number.clone(),
            security_code: SecurityCode::random(6, &mut self.0),
            session_token: SessionToken::from_stored(Uuid::from_bytes(self.0.random()).to_string()),
            code_lifetime: CODE_LIFETIME,
            backend: "first".into(),
            segments: 1,
            language: Some("de".into()),
        }
    }
}

/// Returns the phone number with this last digit.
fn number(last: u8) -> PhoneNumber {
    PhoneNumber::from_stored(format!("+1202555010{last}"))
}

fn outcome(state: DeliveryState) -> DeliveryOutcome {
    let accepted = state.was_accepted();
    DeliveryOutcome {
        state,
        message_id: accepted.then(|| "SM1".to_owned()),
        error_code: (!accepted).then(|| "30007".to_owned()),
        error_message: (!accepted).then(|| "filtered".to_owned()),
    }
}

#[track_caller]
fn started(reply: SendReply) -> StartedSend {
    let SendReply::Started(send) = reply else { panic!("{reply:?}") };
    send
}

/// Takes one step without a rule.
#[track_caller]
fn take(store: &mut dyn Store, step: SendStep) -> SendReply {
    store.take_send_steps(&[step], &super::Admission::default()).remove(0).unwrap()
}
