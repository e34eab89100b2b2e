//! How many records are stored ahead of their SMS, and how many SMS are in flight.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use crate::backends::{Calling, Pace};

/// How long a stored record may wait for its SMS to start. If it takes longer, fewer are stored ahead.
const MAX_STAGED_WAIT: Duration = Duration::from_millis(20);
/// The most records that are stored ahead.
const MAX_STAGED: usize = 256;

/// The places for sends before their SMS starts, and while it is in flight.
pub(super) struct Staging {
    /// Limits how fast records are stored to how fast their SMS may start, so that no code expires while it waits.
    intake: Pace,
    /// The places for records that are stored, or about to be, and whose SMS has not started.
    staged: Semaphore,
    /// How many of these places there are.
    max_staged: Cell<usize>,
    in_flight: Semaphore,
    calling: Arc<Calling>,
}

impl Staging {
    /// Returns the places that the settings allow. Nobody waits for one after the stop.
    pub(super) fn new(calling: &Arc<Calling>) -> Self {
        let max_in_flight = calling.settings.max_in_flight;
        Self {
            intake: Pace::new(calling.settings.max_per_second),
            staged: Semaphore::new(max_in_flight),
            max_staged: Cell::new(max_in_flight),
            in_flight: Semaphore::new(max_in_flight),
            calling: Arc::clone(calling),
        }
    }

    /// Waits until a record may be stored. Returns None if the program is to stop.
    pub(super) async fn stage(&self) -> Option<SemaphorePermit<'_>> {
        let staged = async {
            self.intake.turn().await;
            self.staged.acquire().await.expect("the semaphore is never closed")
        };
        // A stop frees places too, but they are not to be used.
        let staged = self.calling.stop.run_until_cancelled(staged).await;
        staged.filter(|_| !self.calling.stop.is_cancelled())
    }

    /// Waits until the SMS of a stored record may start. If that takes long, the provider is slower than the disk, and fewer
    /// records are stored ahead, since after a crash each of their outcomes is unknown. Otherwise more are stored ahead, so that
    /// more of them share a commit. Returns None if the program is to stop; then the backends make no calls.
    pub(super) async fn start(&self, staged: SemaphorePermit<'_>) -> Option<SemaphorePermit<'_>> {
        let waiting_since = Instant::now();
        let in_flight = self.calling.stop.run_until_cancelled(self.in_flight.acquire()).await?;
        let max_staged = self.max_staged.get();
        if waiting_since.elapsed() > MAX_STAGED_WAIT {
            if max_staged > self.calling.settings.max_in_flight {
                self.max_staged.set(max_staged - 1);
                staged.forget();
            }
        } else if max_staged < MAX_STAGED {
            self.max_staged.set(max_staged + 1);
            self.staged.add_permits(1);
        }
        in_flight.ok()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::backends::CallSettings;
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

    #[test]
    fn more_are_stored_ahead_while_sms_start_at_once_and_fewer_when_they_wait() {
        let calling = Arc::new(Calling {
            settings: CallSettings { max_in_flight: MAX_IN_FLIGHT, ..CallSettings::default() },
            pace: Pace::new(None),
            stop: CancellationToken::new(),
            secret_variables: Vec::new(),
            requests: AtomicUsize::default(),
            clock: Clock::system(),
            spread: || 0.0,
        });
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let staging = Staging::new(&calling);
            let most = MAX_STAGED_WAIT.as_millis() as u64;
            for expected in MAX_IN_FLIGHT + 1..=MAX_STAGED {
                assert_eq!(start_after(&staging, most).await, expected);
            }
            assert_eq!(start_after(&staging, 0).await, MAX_STAGED);
            for expected in (MAX_IN_FLIGHT..MAX_STAGED).rev() {
                assert_eq!(start_after(&staging, most + 1).await, expected);
            }
            assert_eq!(start_after(&staging, most + 1).await, MAX_IN_FLIGHT);
        });
    }
}
