//! How a provider is called: at the pace of the settings, and again only where nothing can be sent twice.

use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};

use super::answer::AttemptError;
use super::pace::Pace;
use super::{Attempted, Calling, SmsError, Stop};

/// The longest wait that a provider can ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(30);
/// The wait before the second attempt; it doubles from attempt to attempt.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// Calls a provider until it answers for good.
pub(super) struct Caller {
    max_attempts: usize,
    pace: Arc<Pace>,
    stop: Stop,
}

impl Caller {
    pub(super) fn new(calling: &Calling) -> Self {
        Self {
            max_attempts: calling.delivery.max_attempts,
            pace: Arc::clone(&calling.pace),
            stop: calling.stop.clone(),
        }
    }

    /// Makes `attempt`s until one is accepted or refused for good, or until they are used up.
    pub(super) async fn call<T>(
        &self,
        attempt: impl AsyncFn() -> Result<T, AttemptError>,
    ) -> Attempted<T> {
        let mut waits = ExponentialBuilder::default()
            .with_min_delay(FIRST_WAIT)
            .with_max_delay(MAX_RETRY_AFTER)
            .with_max_times(self.max_attempts - 1)
            .with_jitter()
            .build();
        let mut tries = 0;
        let result = loop {
            if !self.goes_on(self.pace.turn()).await {
                break Err(SmsError::stopped());
            }
            tries += 1;
            let (error, retry_after) = match attempt().await {
                Ok(accepted) => break Ok(accepted),
                Err(AttemptError::Final(error)) => break Err(error),
                Err(AttemptError::Retry(error, retry_after)) => (error, retry_after),
            };
            let Some(wait) = waits.next() else { break Err(error) };
            let wait = retry_after.map_or(wait, |asked| asked.min(MAX_RETRY_AFTER));
            log::info!("attempt {tries} failed, trying again in {wait:.1?}");
            if !self.goes_on(tokio::time::sleep(wait)).await {
                break Err(error);
            }
        };
        Attempted { tries, result }
    }

    /// Waits for `time`; returns false where the program is to stop.
    async fn goes_on(&self, time: impl Future<Output = ()>) -> bool {
        let mut stop = self.stop.clone();
        tokio::select! {
            biased;
            Ok(_) = stop.wait_for(|stop| *stop) => false,
            () = time => true,
        }
    }
}
