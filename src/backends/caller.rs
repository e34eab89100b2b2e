//! How a provider is called: at the pace of the settings, and again only where nothing can be sent twice.

use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::answer::AttemptError;
use super::pace::Pace;
use super::{Attempted, Calling, SmsError};

/// The longest wait that a provider can ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(30);
/// The wait before the second attempt; it doubles from attempt to attempt.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// Calls a provider until it answers for good.
pub(super) struct Caller {
    max_attempts: usize,
    pace: Arc<Pace>,
    stop: CancellationToken,
}

impl Caller {
    pub(super) fn new(calling: &Calling) -> Self {
        Self {
            max_attempts: calling.settings.max_attempts,
            pace: Arc::clone(&calling.pace),
            stop: calling.stop.clone(),
        }
    }

    /// Makes `attempt`s until one is accepted or refused for good, or until they are used up.
    pub(super) async fn call<T>(
        &self,
        attempt: impl AsyncFn() -> Result<T, AttemptError>,
    ) -> Attempted<T> {
        self.call_until(None, attempt).await
    }

    /// Makes `attempt`s as [`Caller::call`] does, and begins none after `latest`, which takes the place of their number.
    pub(super) async fn call_until<T>(
        &self,
        latest: Option<Instant>,
        attempt: impl AsyncFn() -> Result<T, AttemptError>,
    ) -> Attempted<T> {
        let max_attempts = latest.map_or(self.max_attempts, |_| usize::MAX);
        let mut waits = ExponentialBuilder::default()
            .with_min_delay(FIRST_WAIT)
            .with_max_delay(MAX_RETRY_AFTER)
            .with_max_times(max_attempts - 1)
            .with_jitter()
            .build();
        let mut tries = 0;
        let result = loop {
            if let Err(error) = self.wait(self.pace.turn(), latest).await {
                break Err(error);
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
            if self.wait(tokio::time::sleep(wait), latest).await.is_err() {
                break Err(error);
            }
        };
        Attempted { tries, result }
    }

    /// Waits for `time`.
    ///
    /// # Errors
    /// The program is to stop, or `latest` has come first.
    async fn wait(
        &self,
        time: impl Future<Output = ()>,
        latest: Option<Instant>,
    ) -> Result<(), SmsError> {
        let too_late = async {
            match latest {
                Some(latest) => tokio::time::sleep_until(latest).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(SmsError::stopped()),
            () = time => Ok(()),
            () = too_late => Err(SmsError::too_late()),
        }
    }
}
