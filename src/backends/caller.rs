//! How a provider is called: at the pace of the settings, and again only if nothing can be sent twice.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::calling::Calling;
use super::pace::Pace;
use super::sms::{AttemptError, Attempted, SmsError};

/// The longest wait, which a provider can ask for too.
const MAX_WAIT: Duration = Duration::from_secs(30);
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

    /// Makes `attempt`s until one is accepted or refused for good, or until they are used up. None begins after `latest`, if
    /// there is such a moment; it takes the place of their number.
    pub(super) async fn call<T>(
        &self,
        latest: Option<Instant>,
        attempt: impl AsyncFn() -> Result<T, AttemptError>,
    ) -> Attempted<T> {
        let mut wait = FIRST_WAIT;
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
            if latest.is_none() && tries as usize >= self.max_attempts {
                break Err(error);
            }
            // Up to twice as long, so that many callers don't come back all at once.
            let own_wait = wait.mul_f64(1.0 + rand::random::<f64>());
            wait = MAX_WAIT.min(2 * wait);
            let wait = retry_after.map_or(own_wait, |asked| asked.min(MAX_WAIT));
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
    /// Returns an error if the program is to stop, or if `latest` has come first.
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
            () = self.stop.cancelled() => Err(SmsError::not_called("the run ended before it was sent")),
            () = time => Ok(()),
            () = too_late => {
                Err(SmsError::not_called("it could not be asked in time at the pace of max_per_second"))
            }
        }
    }
}
