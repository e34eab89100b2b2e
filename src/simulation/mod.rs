//! Runs sends, verifications, purges and look-ups of many processes in one, on virtual time, and checks what always has to hold.
//!
//! Everything that happens follows from a seed: when each process starts, what becomes of each request and each answer, which
//! process is killed or crashes between which two transactions, and when the clock is set. The rules are those of the program:
//! `service` runs unchanged. Beneath it are a provider that loses, delays, repeats and lies, a clock that jumps, and the store in
//! memory with which the engines are compared, so that a process that crashes leaves what it had committed and nothing else.
//!
//! `PHONE_VERIFY_TEST_SEEDS` sets how many seeds are run, and `PHONE_VERIFY_TEST_SEED` the first of them. A seed that fails
//! prints its trace, and always has the same one.

mod invariants;
mod process;
mod provider;
mod scenario;
mod store;
mod world;

use std::time::Duration;

use futures_util::future::join_all;
use tokio::task::LocalSet;

use self::invariants::{Rule, Violation};
use self::scenario::{CONSTANTS, Fault};
use self::world::World;

/// How many seeds are run unless the environment says otherwise.
const SEEDS: u64 = 1000;

/// Runs a seed. Returns what it violates, and its trace.
fn simulate(seed: u64, fault: Option<Fault>) -> (Vec<Violation>, String) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        let world = World::new(seed, fault);
        let mut start = Duration::ZERO;
        let processes = (0..4 + world.below(16)).map(|_| {
            let [at_once, soon, later, much_later] = [0, 20, 900, 100_000].map(Duration::from_secs);
            let gap = world.one_of(&[at_once, at_once, soon, soon, soon, later, later, much_later]);
            start += world.up_to(gap) + world.up_to(Duration::from_millis(100));
            let (world, start) = (world.clone(), start);
            async move {
                tokio::time::sleep(start).await;
                process::run(&world, &CONSTANTS).await;
            }
        });
        let processes: Vec<_> = processes.collect();
        join_all(processes).await;
        // Whatever is still on its way arrives.
        tokio::time::sleep(Duration::from_secs(100)).await;
        let records = world.database.tables().records.clone();
        world.watch(|invariants| invariants.records_are_there(&records));
        world.end()
    })
}

fn from_environment(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} isn't a number")))
}

#[test]
fn what_has_to_hold_holds_after_every_seed() {
    let first = from_environment("PHONE_VERIFY_TEST_SEED");
    let seeds = from_environment("PHONE_VERIFY_TEST_SEEDS").unwrap_or(first.map_or(SEEDS, |_| 1));
    let first = first.unwrap_or(0);
    for seed in first..first + seeds {
        let (violations, trace) = simulate(seed, None);
        if let Some(violation) = violations.first() {
            panic!(
                "{trace}seed {seed}: {violation}\nrun it again: \
                 PHONE_VERIFY_TEST_SEED={seed} cargo test --locked --lib simulation"
            );
        }
    }
}

#[test]
fn a_seed_replays_exactly() {
    for seed in 0..20 {
        let [(_, first), (_, second)] = [simulate(seed, None), simulate(seed, None)];
        assert!(first == second, "seed {seed}: {first}\nand then\n{second}");
    }
}

#[test]
fn each_planted_fault_is_found() {
    for (fault, rule) in [
        (Fault::SettleBeforeSend, Rule::HasRecord),
        (Fault::RetryAfterTimeout, Rule::SentOnce),
        (Fault::TimeoutAsRefusal, Rule::HasRecord),
        (Fault::TimeoutAsRefusal, Rule::Reported),
        (Fault::LimitsOutsideLock, Rule::Limits),
        (Fault::VerifyOutsideLock, Rule::OnlyOnce),
        (Fault::VerifyOutsideLock, Rule::WrongCodes),
        (Fault::ReplyBeforeSync, Rule::HasRecord),
        (Fault::ResendUnknown, Rule::SentOnce),
    ] {
        let is_found = |violations: &[Violation]| violations.iter().any(|found| found.rule == rule);
        let mut seeds = 0..SEEDS;
        let is_found = seeds.any(|seed| is_found(&simulate(seed, Some(fault)).0));
        assert!(is_found, "{fault:?} doesn't violate {rule:?}");
    }
}

#[test]
fn much_happens() {
    let traces: String = (0..300).map(|seed| simulate(seed, None).1).collect();
    for event in [
        "the clock is set by -",
        "the process crashes",
        "a process is killed",
        "is lost",
        "the answer to",
        "hand over",
        "as unknown",
        "as rejected",
        "as unavailable",
        "to undelivered",
        "Refused(AlreadySent)",
        "Refused(UnknownOutcome)",
        "resend_cooldown_seconds",
        "max_per_number_per_day",
        "max_per_hour",
        "Lapsed(Superseded)",
        "Lapsed(Erased)",
        "Lapsed(Expired)",
        "Erased\n",
        "Expired\n",
        "Stopped\n",
        "SecurityCodeValid",
        "SecurityCodeInvalid",
        "SecurityCodeExpired",
        "SecurityCodeVerified",
        "SecurityCodeTooManyAttempts",
        "SessionTokenInvalid",
        "Erase([",
    ] {
        assert!(traces.contains(event), "{event}");
    }
}
