//! Tests of the store's operations, on every engine.

mod model;
#[expect(dead_code, reason = "the integration tests use the rest")]
#[path = "../../../tests/it/support/postgres.rs"]
mod postgres;
mod story;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, TimeDelta};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use uuid::Uuid;

use super::{NewSend, SendReply, SendStep, StartedSend, Store, open_to_send};
use crate::model::{DeliveryOutcome, DeliveryState, PhoneNumber, SecurityCode, SessionToken};
use crate::system::clock::Clock;

/// How long the codes of the tests are valid.
const CODE_LIFETIME: TimeDelta = TimeDelta::minutes(2);

/// Opens another store on the database of one test.
type Open = Box<dyn Fn(&Clock) -> Box<dyn Store>>;

/// The engines. Each one creates a new database.
const ENGINES: [fn() -> Open; 1] = [sqlite];

fn sqlite() -> Open {
    let directory = tempfile::tempdir().unwrap();
    Box::new(move |clock| open_to_send(&directory.path().join("db.sqlite3"), clock).unwrap())
}

/// A clock that a test sets. It moves on whenever it is read, so that no two rows have the same time.
#[derive(Clone, Default)]
struct Time(Arc<AtomicI64>);

impl Time {
    fn clock(&self) -> Clock {
        let micros = Arc::clone(&self.0);
        Clock::from_fn(move || {
            let micros = 1_800_000_000_000_000 + micros.fetch_add(1, Ordering::SeqCst);
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
