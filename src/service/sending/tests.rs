use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::TimeDelta;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::model::{SmsVerification, TypedCode, VerificationStatus};
use crate::service::outcome::Limit;
use crate::service::providers;
use crate::service::recipient::Routes;
use crate::service::verification::Rules;
use crate::store::{self, Database, DeliveryFilter, RecordFilter, Rows, SessionChoice};
use crate::system::clock::Clock;

const NUMBER: &str = "+14155552671";
/// 2027-01-15 08:00:00.000123, in microseconds.
const START: i64 = 1_800_000_000_000_123;

/// A database, settings, and a clock that stands still until it's set.
struct Setup {
    folder: TempDir,
    settings: Settings,
    micros: Arc<AtomicI64>,
    stop: CancellationToken,
}

impl Setup {
    /// Adds to the settings of the console backend.
    fn new(settings: &str) -> Self {
        let settings = format!("backend = \"console\"\n{settings}");
        Self::in_folder(TempDir::new().unwrap(), &settings)
    }

    fn in_folder(folder: TempDir, settings: &str) -> Self {
        let file = folder.path().join("phone-verify.toml");
        std::fs::write(&file, settings).unwrap();
        Self {
            settings: Settings::load(Some(&file)).unwrap(),
            folder,
            micros: Arc::new(AtomicI64::new(START)),
            stop: CancellationToken::new(),
        }
    }

    fn clock(&self) -> Clock {
        let micros = Arc::clone(&self.micros);
        Clock::from_fn(move || time(micros.load(Ordering::SeqCst)))
    }

    /// Sets the clock to so long after the start.
    fn wait_until(&self, since_start: TimeDelta) {
        self.micros.store(START + since_start.num_microseconds().unwrap(), Ordering::SeqCst);
    }

    fn database(&self) -> Database {
        Database::File(self.folder.path().join("phone-verify.sqlite3"))
    }

    /// Sends to [`NUMBER`] with a sender of its own, whose random numbers are those of `seed`.
    fn send(&self, seed: u64) -> Outcome {
        self.send_by(&self.clock(), seed)
    }

    fn send_by(&self, clock: &Clock, seed: u64) -> Outcome {
        self.result_by(clock, seed).outcome
    }

    fn result_by(&self, clock: &Clock, seed: u64) -> SendResult {
        let calling = providers::calling(&self.settings, self.stop.clone(), clock.clone());
        let calling = Arc::new(calling);
        let backends = providers::connect(&self.settings, &calling).collect::<Result<_, _>>();
        let composer = self.settings.composer();
        let message = self.settings.messages.in_language(None);
        let routes = Routes::from_settings(&self.settings, self.clock().now());
        let (phone_number, route, _) = routes.find(NUMBER).unwrap();
        let text = Arc::new(composer.compose(message, |_| None).unwrap());
        let recipient = Recipient { phone_number, route, text };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let rules = AdmissionRules { limits: self.settings.limits.clone(), resume: None };
            let store = store::open_to_send(&self.database(), clock).unwrap();
            let sender = Sender::new(
                &self.settings,
                GroupCommit::start(store, rules.admission()).unwrap(),
                backends.unwrap(),
                rules,
                key(),
                StdRng::seed_from_u64(seed),
                &calling,
            );
            let result = sender.send(&recipient, None).await;
            assert!(result.outcome.unstored().is_none(), "{:?}", result.outcome);
            result
        })
    }

    fn records(&self) -> Vec<SmsVerification> {
        let mut records = Vec::new();
        let mut store = store::open(&self.database(), &self.clock()).unwrap();
        let list = store.list(&RecordFilter::default(), 10, &mut |page| {
            records.extend(page.into_iter().map(|listed| listed.unwrap().record));
            true
        });
        list.unwrap();
        records
    }

    fn verify(&self, security_code: &SecurityCode) -> VerificationStatus {
        let mut store = store::open(&self.database(), &self.clock()).unwrap();
        let number = PhoneNumber::from_stored(NUMBER.to_owned());
        let typed = TypedCode::parse(security_code.reveal()).unwrap();
        Rules::from_settings(&self.settings, false)
            .verify(&mut *store, &number, &SessionChoice::Newest, &typed)
            .unwrap()
            .decision
            .status
    }
}

fn time(micros: i64) -> chrono::DateTime<chrono::Utc> {
    chrono::DateTime::from_timestamp_micros(micros).unwrap()
}

fn key() -> SigningKey {
    SigningKey::from_secret(&"a key of the tests".into())
}

/// Returns the first code and the first token of `seed`.
fn code_and_token(seed: u64) -> (SecurityCode, SessionToken) {
    let mut random = StdRng::seed_from_u64(seed);
    let number = PhoneNumber::from_stored(NUMBER.to_owned());
    let code = SecurityCode::random(6, &mut random);
    (code, SessionToken::issue(&number, &key(), &mut random))
}

#[test]
fn the_code_the_token_and_the_expiry_are_those_of_the_random_source_and_the_clock() {
    let setup = Setup::new("security_code_expiration_time = 90");
    let (code, token) = code_and_token(7);
    let Outcome::Sent { id, session_token, expires_at, shown_text, message_id, arrival, .. } =
        setup.send(7)
    else {
        panic!("it was not sent")
    };
    assert_eq!(session_token, token);
    assert_eq!(expires_at, time(START) + TimeDelta::seconds(90));
    assert!(shown_text.unwrap().contains(code.reveal()));
    assert_eq!((message_id, arrival), (None, None));
    let records = setup.records();
    assert_eq!(records.len(), 1);
    assert_eq!((records[0].id, records[0].created_at), (id, time(START)));
    assert!(records[0].security_code.reveal() == code.reveal());
    assert_eq!((id.get_version_num(), &records[0].session_token), (4, &token));
}

#[test]
fn a_code_is_valid_up_to_its_last_microsecond() {
    let (code, _) = code_and_token(7);
    let lifetime = TimeDelta::seconds(90);
    for (age, status) in [
        (lifetime, VerificationStatus::SecurityCodeValid),
        (lifetime + TimeDelta::microseconds(1), VerificationStatus::SecurityCodeExpired),
    ] {
        let setup = Setup::new("security_code_expiration_time = 90");
        setup.send(7);
        setup.wait_until(age);
        assert_eq!(setup.verify(&code), status);
    }
}

#[test]
fn a_cooldown_is_over_exactly_when_its_outcome_says() {
    let setup = Setup::new("[limits]\nresend_cooldown_seconds = 60");
    let cooldown = TimeDelta::seconds(60);
    setup.send(7);
    setup.wait_until(cooldown - TimeDelta::microseconds(1));
    let Outcome::Failed { id: None, session_token: None, error, .. } = setup.send(8) else {
        panic!("it was sent")
    };
    assert_eq!(error.kind, Kind::Limited);
    assert_eq!(error.limit, Some(Limit { retry_at: Some(time(START) + cooldown) }));
    setup.wait_until(cooldown);
    let Outcome::Sent { id, .. } = setup.send(8) else { panic!("it was not sent") };
    let ids: Vec<_> = setup.records().into_iter().map(|record| record.id).collect();
    assert_eq!(ids, [id], "a new code replaces the older one");
}

#[test]
fn what_is_stopped_or_not_allowed_leaves_no_record() {
    let setup = Setup::new("[limits]\nallowed_regions = [\"GB\"]");
    let outcome = setup.send(7);
    let Outcome::Failed { error, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!((error.kind, error.limit), (Kind::Limited, Some(Limit { retry_at: None })));
    assert_eq!(setup.records().len(), 0);

    let setup = Setup::new("");
    setup.stop.cancel();
    assert_eq!(setup.send(7), Outcome::stopped());
    assert_eq!(setup.records().len(), 0);
}

#[test]
fn what_is_stopped_before_it_leaves_is_not_handed_over() {
    let fallback =
        "[fallback]\nbackend = \"command\"\n[fallback.options]\ncommand = [\"/bin/true\"]";
    let setup = Setup::new(fallback);
    // The record is stored by another thread, and then this one looks at the time.
    let (sending, stop) = (std::thread::current().id(), setup.stop.clone());
    let clock = Clock::from_fn(move || {
        if std::thread::current().id() == sending {
            stop.cancel();
        }
        time(START)
    });
    let outcome = setup.send_by(&clock, 7);
    let Outcome::Failed { error, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(error.kind, Kind::Stopped);
    let mut store = store::open(&setup.database(), &setup.clock()).unwrap();
    assert_eq!(store.count(&Rows::Deliveries(DeliveryFilter::default())).unwrap(), 1);
}

#[test]
fn a_code_that_expired_while_its_record_was_stored_is_not_sent() {
    let setup = Setup::new("security_code_expiration_time = 90");
    // The transaction is slow: what comes after it is later than what is in it.
    let (sending, micros) = (std::thread::current().id(), Arc::clone(&setup.micros));
    let clock = Clock::from_fn(move || {
        if std::thread::current().id() == sending {
            micros.store(START + 91_000_000, Ordering::SeqCst);
        }
        time(micros.load(Ordering::SeqCst))
    });
    let outcome = setup.send_by(&clock, 7);
    let Outcome::Failed { session_token: None, error, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(error.kind, Kind::Expired);
    assert_eq!(setup.records().len(), 0);
}

#[test]
fn a_code_that_was_replaced_before_a_retry_is_not_sent_however_short_the_time() {
    let folder = TempDir::new().unwrap();
    let program = format!("[\"/bin/sh\", {:?}]", folder.path().join("sms"));
    let settings = format!("backend = \"command\"\n[options]\ncommand = {program}");
    let setup = Setup::in_folder(folder, &settings);
    let path = |name: &str| setup.folder.path().join(name);
    // The first call asks for another one once the code was replaced. Any other is accepted.
    let script = "cd \"${0%/*}\"; echo >> calls; [ -e first ] && exit\n: > first\n\
        while [ ! -e replaced ]; do sleep 0.01; done; exit 75";
    std::fs::write(path("sms"), script).unwrap();
    std::thread::scope(|scope| {
        let first = scope.spawn(|| setup.send(7));
        while !path("first").exists() {
            assert!(!first.is_finished(), "{:?}", first.join());
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        assert!(matches!(setup.send(8), Outcome::Sent { .. }));
        std::fs::write(path("replaced"), "").unwrap();
        let outcome = first.join().unwrap();
        let Outcome::Failed { error, .. } = outcome else { panic!("{outcome:?}") };
        assert_eq!(error.kind, Kind::Superseded);
    });
    assert_eq!(std::fs::read_to_string(path("calls")).unwrap().lines().count(), 2);
}

#[test]
fn a_fallback_that_is_not_called_any_more_is_not_reported() {
    let folder = TempDir::new().unwrap();
    let called = folder.path().join("called");
    let program = format!("[\"/bin/sh\", \"-c\", \": > $0; exit 75\", {called:?}]");
    let settings = format!(
        "backend = \"command\"\nsecurity_code_expiration_time = 90\n[options]\ncommand = {program}\n\
         [fallback]\nbackend = \"console\"\n[delivery]\nmax_attempts = 1"
    );
    let setup = Setup::in_folder(folder, &settings);
    // The code expires between the hand-over and the call of the fallback.
    let (sending, micros) = (std::thread::current().id(), Arc::clone(&setup.micros));
    let clock = Clock::from_fn(move || {
        if std::thread::current().id() == sending && called.exists() {
            micros.store(START + 91_000_000, Ordering::SeqCst);
        }
        time(micros.load(Ordering::SeqCst))
    });
    let SendResult { outcome, handover } = setup.result_by(&clock, 7);
    let Outcome::Failed { error, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!((error.kind, handover.is_some()), (Kind::Expired, false));
}

#[test]
fn a_code_is_the_newest_of_its_number_though_the_clock_went_back() {
    let setup = Setup::new("");
    setup.send(7);
    setup.wait_until(TimeDelta::seconds(-30));
    let Outcome::Sent { id, .. } = setup.send(8) else { panic!("it was not sent") };
    let ids: Vec<_> = setup.records().into_iter().map(|record| record.id).collect();
    assert_eq!(ids, [id]);
    let (code, _) = code_and_token(8);
    assert_eq!(setup.verify(&code), VerificationStatus::SecurityCodeValid);
}

#[test]
fn a_test_number_is_one_to_the_last_moment_of_its_last_day_in_utc() {
    // The clock starts at 8:00.
    let setup = Setup::new(&format!(
        "[[test_numbers]]\nphone_number = \"{NUMBER}\"\nsecurity_code = \"739142\"\nuntil = 2027-01-15"
    ));
    let midnight = TimeDelta::hours(16) - TimeDelta::microseconds(123);
    for (since_start, backend) in
        [(midnight - TimeDelta::microseconds(1), "test"), (midnight, "console")]
    {
        setup.wait_until(since_start);
        let Outcome::Sent { backend: called, .. } = setup.send(7) else {
            panic!("it was not sent")
        };
        let has_own_code = setup.records()[0].security_code.reveal() == "739142";
        assert_eq!((&**called.stored(), has_own_code), (backend, backend == "test"));
    }
}
