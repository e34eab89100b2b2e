//! What the processes of a simulation share: the time, the dice, the database, the providers' truth, and the trace.

use std::fmt::Write;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::time::Instant;

use super::invariants::{Invariants, Violation};
use super::scenario::{Fault, Scenario};
use crate::store::Memory;
use crate::system::clock::Clock;

/// 2027-01-15 08:00:00, in microseconds.
const START: i64 = 1_800_000_000_000_000;

/// The world of one seed. A clone is the same world.
#[derive(Clone)]
pub(super) struct World {
    pub(super) scenario: Arc<Scenario>,
    pub(super) fault: Option<Fault>,
    pub(super) database: Memory,
    pub(super) clock: Clock,
    /// How far the clock is ahead, in microseconds.
    skew: Arc<AtomicI64>,
    start: Instant,
    state: Arc<Mutex<State>>,
}

struct State {
    dice: StdRng,
    trace: String,
    invariants: Invariants,
    violations: Vec<Violation>,
}

impl World {
    /// Returns the world of `seed`. Its time is that of the runtime, which is paused.
    pub(super) fn new(seed: u64, fault: Option<Fault>) -> Self {
        let mut dice = StdRng::seed_from_u64(seed);
        let scenario = Arc::new(Scenario::random(&mut dice));
        let (start, skew) = (Instant::now(), Arc::new(AtomicI64::new(0)));
        let ahead = Arc::clone(&skew);
        let clock = Clock::from_fn(move || {
            let elapsed = i64::try_from(start.elapsed().as_micros()).unwrap();
            let micros = START + elapsed + ahead.load(Ordering::Relaxed);
            DateTime::from_timestamp_micros(micros).unwrap()
        });
        let trace = format!("seed {seed}, {scenario:?}\n");
        let invariants = Invariants::new(&scenario);
        let state = State { dice, trace, invariants, violations: Vec::new() };
        Self {
            scenario,
            fault,
            database: Memory::new(clock.clone()),
            clock,
            skew,
            start,
            state: Arc::new(Mutex::new(state)),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Returns whether `fault` is planted.
    pub(super) fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    /// Returns dice for another.
    pub(super) fn dice(&self) -> StdRng {
        StdRng::seed_from_u64(self.state().dice.random())
    }

    /// Returns true in so many of a hundred cases.
    pub(super) fn chance(&self, percent: u32) -> bool {
        self.state().dice.random_range(0..100) < percent
    }

    /// Returns an index below `count`.
    pub(super) fn below(&self, count: usize) -> usize {
        self.state().dice.random_range(0..count)
    }

    /// Returns one of these.
    pub(super) fn one_of<T: Clone>(&self, choices: &[T]) -> T {
        choices[self.below(choices.len())].clone()
    }

    /// Returns a time up to `most`, in whole milliseconds.
    pub(super) fn up_to(&self, most: Duration) -> Duration {
        let most = u64::try_from(most.as_millis()).unwrap();
        Duration::from_millis(self.state().dice.random_range(0..=most))
    }

    /// Lets the others do something meanwhile.
    pub(super) async fn pause(&self, most: Duration) {
        tokio::time::sleep(self.up_to(most)).await;
    }

    /// Sets the clock ahead, or back.
    pub(super) fn set_clock(&self, by: TimeDelta) {
        self.skew.fetch_add(by.num_microseconds().unwrap(), Ordering::Relaxed);
        self.log(format_args!("the clock is set by {} s", by.num_seconds()));
    }

    /// Writes a line of the trace.
    pub(super) fn log(&self, line: std::fmt::Arguments<'_>) {
        let elapsed = self.start.elapsed().as_millis();
        writeln!(self.state().trace, "{elapsed:>9} {line}").unwrap();
    }

    /// Returns the answer of the invariants, and keeps a violation.
    pub(super) fn watch<T>(
        &self,
        what: impl FnOnce(&mut Invariants) -> Result<T, Violation>,
    ) -> Option<T> {
        let watched = what(&mut self.state().invariants);
        watched.map_err(|violation| self.report(violation)).ok()
    }

    /// Keeps a violation.
    pub(super) fn report(&self, violation: Violation) {
        self.log(format_args!("VIOLATION: {violation}"));
        self.state().violations.push(violation);
    }

    /// Returns the violations and the trace.
    pub(super) fn end(&self) -> (Vec<Violation>, String) {
        let mut state = self.state();
        (std::mem::take(&mut state.violations), std::mem::take(&mut state.trace))
    }
}
