//! How many records are stored ahead of their SMS, and how many SMS are in flight.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use crate::backends::{CallSettings, Calling, Pace};

/// How long a stored record may wait for its SMS to start. If it takes longer, fewer are stored ahead.
const MAX_STAGED_WAIT: Duration = Duration::from_millis(20);
/// The most records that are stored ahead.
const MAX_STAGED: usize = 256;
/// With a pace, no more of them than start in such a part of a second. The disk has as long for each of them.
const PART_OF_SECOND: usize = 4;

/// The places for sends before their SMS starts, and while it is in flight.
pub(super) struct Staging {
    /// The places for records that are stored, or about to be, and whose SMS has not started.
    staged: Semaphore,
    /// How many of these places there are.
    max_staged: Cell<usize>,
    /// The least and the most that there may be.
    bounds: (usize, usize),
    /// How fast these places get free. A record that isn't stored, because a rule forbids it, gives its place back at once.
    pace: Pace,
    in_flight: Semaphore,
    calling: Arc<Calling>,
}

impl Staging {
    /// Returns the places that the settings allow. Nobody waits for one after the stop.
    pub(super) fn new(calling: &Arc<Calling>) -> Self {
        let CallSettings { max_in_flight, max_per_second, .. } = calling.settings;
        let of_pace = max_per_second.map(|most| most.div_ceil(PART_OF_SECOND));
        let most = of_pace.unwrap_or(MAX_STAGED).min(MAX_STAGED);
        let least = max_in_flight.min(most);
        Self {
            staged: Semaphore::new(least),
            max_staged: Cell::new(least),
            bounds: (least, most),
            pace: Pace::new(max_per_second),
            in_flight: Semaphore::new(max_in_flight),
            calling: Arc::clone(calling),
        }
    }

    /// Waits until a record may be stored. Returns None if the program is to stop.
    pub(super) async fn stage(&self) -> Option<SemaphorePermit<'_>> {
        let staged = self.calling.stop.run_until_cancelled(self.staged.acquire()).await?;
        // A stop frees places too, but they are not to be used.
        staged.ok().filter(|_| !self.calling.stop.is_cancelled())
    }

    /// Waits until the SMS of a stored record may start. If that takes long, the provider is slower than the disk, and fewer
    /// records are stored ahead, since after a crash each of their outcomes is unknown. Otherwise more are stored ahead, so that
    /// more of them share a commit. Returns None if the program is to stop; then the backends make no calls.
    pub(super) async fn start(&self, staged: SemaphorePermit<'_>) -> Option<SemaphorePermit<'_>> {
        self.calling.stop.run_until_cancelled(self.pace.turn()).await?;
        let waiting_since = Instant::now();
        let in_flight = self.calling.stop.run_until_cancelled(self.in_flight.acquire()).await?;
        let (max_staged, (least, most)) = (self.max_staged.get(), self.bounds);
        if waiting_since.elapsed() > MAX_STAGED_WAIT {
            if max_staged > least {
                self.max_staged.set(max_staged - 1);
                staged.forget();
            }
        } else if max_staged < most {
            self.max_staged.set(max_staged + 1);
            self.staged.add_permits(1);
        }
        in_flight.ok()
    }
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::system::clock::Clock;

    const MAX_IN_FLIGHT: usize = 2;

    /// Lets an SMS start that waits so many milliseconds for its place, and returns how many records may be stored ahead then.
    async fn start_after(staging: &Staging, millis: u64) -> usize {
        let in_flight = staging.in_flight.acquire_many(MAX_IN_FLIGHT as u32).await.unwrap();
        let staged = staging.stage().await.unwrap();
        let free = async {
            tokio::time::sleep(Duration::from_millis(millis)).await;
            drop(in_flight);
        };
        let (started, ()) = tokio::join!(staging.start(staged), free);
        drop(started.unwrap());
        staging.staged.available_permits()
    }

    /// Runs `test` with these settings on a clock that passes only while it is waited for.
    fn run(max_per_second: Option<usize>, test: impl AsyncFnOnce(&Staging)) {
        let max_in_flight = MAX_IN_FLIGHT;
        let settings = CallSettings { max_in_flight, max_per_second, ..CallSettings::default() };
        let calling = Arc::new(Calling::new(settings, Clock::system()));
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(test(&Staging::new(&calling)));
    }

    #[test]
    fn what_is_not_sent_takes_no_turn_from_what_is() {
        run(Some(1), async |staging| {
            let start = Instant::now();
            for seconds in 0..3 {
                for _ in 0..100 {
                    drop(staging.stage().await.unwrap());
                }
                let staged = staging.stage().await.unwrap();
                drop(staging.start(staged).await.unwrap());
                assert_eq!(start.elapsed().as_secs(), seconds);
            }
        });
    }

    #[test]
    fn no_more_are_stored_ahead_than_start_in_a_quarter_of_a_second() {
        for (max_per_second, most) in [(1, 1), (8, 2), (9, 3), (2000, MAX_STAGED)] {
            run(Some(max_per_second), async |staging| {
                for _ in 0..2 * MAX_STAGED {
                    let staged = staging.stage().await.unwrap();
                    drop(staging.start(staged).await.unwrap());
                }
                assert_eq!(staging.staged.available_permits(), most);
            });
        }
    }

    #[test]
    fn more_are_stored_ahead_while_sms_start_at_once_and_fewer_when_they_wait() {
        run(None, async |staging| {
            let most = MAX_STAGED_WAIT.as_millis() as u64;
            for expected in MAX_IN_FLIGHT + 1..=MAX_STAGED {
                assert_eq!(start_after(staging, most).await, expected);
            }
            assert_eq!(start_after(staging, 0).await, MAX_STAGED);
            for expected in (MAX_IN_FLIGHT..MAX_STAGED).rev() {
                assert_eq!(start_after(staging, most + 1).await, expected);
            }
            assert_eq!(start_after(staging, most + 1).await, MAX_IN_FLIGHT);
        });
    }
}
