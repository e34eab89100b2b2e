//! The processes of a simulation. Each one does what a command does, with the program's own rules, and may be killed.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tokio::time::timeout;

use super::invariants::{Rule, Violation};
use super::provider::{Provider, TIMEOUT};
use super::scenario::{Constants, Fault};
use super::store::{Connection, Crash};
use super::world::World;
use crate::backends::{Backend, CallSettings, Calling};
use crate::model::{PhoneNumber, SigningKey, TypedCode};
use crate::service::admission::{AdmissionRules, Resume};
use crate::service::arrival;
use crate::service::recipient::Recipient;
use crate::service::retention::Retention;
use crate::service::sending::{SendResult, Sender};
use crate::service::verification::Rules;
use crate::store::{GroupCommit, SessionChoice, Store};

/// The most messages that `status --refresh` asks about.
const MOST: usize = 10;
/// More digits than a code has.
const WRONG: &str = "00000000000000";

/// Runs a process of a random kind to its end, whatever that is.
pub(super) async fn run(world: &World, constants: &Constants) {
    let killed_after = world.chance(15).then(|| world.up_to(Duration::from_secs(20)));
    let work = AssertUnwindSafe(work(world, constants)).catch_unwind();
    let end = match killed_after {
        Some(after) => timeout(after, work).await,
        None => Ok(work.await),
    };
    match end {
        Err(_) => world.log(format_args!("a process is killed")),
        Ok(Err(panic)) if !panic.is::<Crash>() => {
            world.report(Violation::new(Rule::NoPanic, "a process panicked"));
        }
        Ok(_) => {}
    }
}

async fn work(world: &World, constants: &Constants) {
    let number = world.one_of(&constants.numbers);
    match world.below(20) {
        0..4 => send(world, constants, std::slice::from_ref(&number)).await,
        4..10 => send(world, constants, &constants.numbers).await,
        10..15 => verify(world, constants, &number).await,
        15 | 16 => purge(world, constants, &number).await,
        17 | 18 => refresh(world, &number).await,
        _ => {
            let most = world.one_of(&[5, 90, 900, 100_000]);
            let by = TimeDelta::seconds(world.below(most) as i64);
            world.set_clock(if world.chance(50) { by } else { -by });
        }
    }
}

fn connect(world: &World) -> (Arc<Calling>, Vec<Backend>) {
    let settings = CallSettings {
        timeout: TIMEOUT,
        max_attempts: 1 + world.below(4),
        max_in_flight: 1 + world.below(4),
        max_per_second: world.chance(20).then_some(1),
        ..CallSettings::default()
    };
    let calling =
        Arc::new(Calling { spread: || 0.5, ..Calling::new(settings, world.clock.clone()) });
    let names = if world.scenario.has_fallback { &["first", "second"][..] } else { &["first"] };
    let connect = |name: &&'static str| {
        let provider = Provider { world: world.clone(), name };
        Backend::simulated(name, Arc::new(provider), &calling)
    };
    let backends = names.iter().map(connect).collect();
    (calling, backends)
}

/// Does what `send` does for one number or many.
async fn send(world: &World, constants: &Constants, numbers: &[PhoneNumber]) {
    let (calling, backends) = connect(world);
    let longest_send = calling.settings.longest_send() * backends.len() as i32;
    let resume = world.chance(60).then(|| Resume {
        code_lifetime: world.scenario.lifetime,
        longest_send: world.chance(25).then_some(longest_send),
    });
    let patience = world.chance(30).then_some(Duration::from_secs(30));
    let resumes =
        resume.map_or("no", |resume| if resume.longest_send.is_some() { "all" } else { "yes" });
    world.log(format_args!("send to {}, resume: {resumes}", numbers.len()));
    let planted = resume.map(|resume| Resume {
        longest_send: resume.longest_send.or(world.has(Fault::ResendUnknown).then(TimeDelta::zero)),
        ..resume
    });
    let rules = AdmissionRules { limits: world.scenario.limits(), resume: planted };
    let connection = Box::new(Connection::open(world, resume));
    let (store, writer) = GroupCommit::new(connection, rules.admission()).unwrap();
    let key = SigningKey::from_secret(&"a key of the tests".into());
    let settings = &constants.settings;
    let sender = Sender::new(settings, store, backends, rules, key, world.dice(), &calling);
    let send = async |phone_number: PhoneNumber| {
        world.pause(Duration::from_millis(200)).await;
        let (route, text) = (constants.route.clone(), Arc::clone(&constants.text));
        let recipient = Recipient { phone_number, route, text };
        (sender.send(&recipient, patience).await, recipient.phone_number)
    };
    let sends = async {
        let mut sends: FuturesUnordered<_> = numbers.iter().cloned().map(send).collect();
        while let Some((SendResult { outcome, .. }, number)) = sends.next().await {
            world.log(format_args!("{number}: {:?}", outcome.kind()));
            world.watch(|invariants| invariants.reported(&outcome));
            if outcome.unstored().is_some() {
                calling.stop.cancel();
            }
        }
    };
    let signal = async {
        if world.chance(10) {
            world.pause(Duration::from_secs(20)).await;
            calling.stop.cancel();
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        biased;
        () = sends => {}
        () = writer.run(async || world.pause(Duration::from_millis(30)).await) => {}
        () = signal => {}
    }
}

/// Does what `verify` does, for someone who has some of the codes and guesses.
async fn verify(world: &World, constants: &Constants, number: &PhoneNumber) {
    let scenario = &world.scenario;
    let rules = Rules {
        only_once: scenario.only_once,
        max_failed_attempts: scenario.max_failed_attempts,
        max_wrong_codes: Some(scenario.max_wrong_codes),
        ..Rules::from_settings(&constants.settings, false)
    };
    let mut store = Connection::open(world, None);
    for _ in 0..=world.below(4) {
        world.pause(Duration::from_secs(3)).await;
        let codes = world.watch(|invariants| Ok(invariants.codes(number))).unwrap();
        // People mostly have the newest code.
        let newest = codes.last().filter(|_| world.chance(60)).cloned();
        let one = (!codes.is_empty()).then(|| world.one_of(&codes));
        let Some((code, id)) = newest.or(one) else { continue };
        let records = world.database.tables().records.clone();
        let record = records.into_iter().find(|record| record.id == id && world.chance(50));
        let session = record
            .map_or(SessionChoice::Newest, |record| SessionChoice::Token(record.session_token));
        let code = if world.chance(40) { WRONG } else { &code };
        let typed = TypedCode::parse(code).unwrap();
        let attempt = rules.verify(&mut store, number, &session, &typed).unwrap();
        world.log(format_args!("verify {number} {code}: {:?}", attempt.decision.status));
    }
}

/// Does what `purge` does.
async fn purge(world: &World, constants: &Constants, number: &PhoneNumber) {
    let retention = match world.below(4) {
        0 | 1 => Retention::Erase(vec![number.clone()]),
        2 => Retention::OlderThan(TimeDelta::seconds(600 + world.below(9000) as i64)),
        _ => Retention::OfSettings,
    };
    let mut store = Connection::open(world, None);
    let now = world.clock.now();
    let kept = retention.kept(&constants.settings, now).unwrap();
    for rows in retention.rows(&constants.settings, kept, world.chance(20), now).iter().flatten() {
        let deleted = store.delete(rows).unwrap();
        world.log(format_args!("purge {retention:?}: {deleted}"));
        world.pause(Duration::from_millis(50)).await;
    }
}

/// Does what `status --refresh` does.
async fn refresh(world: &World, number: &PhoneNumber) {
    let mut store = Connection::open(world, None);
    let (_, backends) = connect(world);
    world.log(format_args!("refresh {number}"));
    if let Err(error) = arrival::refresh(&mut store, &backends, number, MOST).await {
        world.log(format_args!("refresh {number}: {error}"));
    }
}
