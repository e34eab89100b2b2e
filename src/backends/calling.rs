//! How providers are called, all of them together: at the pace of the settings, and again only if nothing can be sent twice.

use std::time::Duration;

use chrono::TimeDelta;
use serde::Deserialize;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::pace::Pace;
use super::sms::{Attempted, SmsError, SmsErrorKind};
use crate::model::values::{days, number, patience};
use crate::system::clock::Clock;

/// The longest wait between two attempts, which a provider can ask for too.
const MAX_WAIT: Duration = Duration::from_secs(30);
/// The wait before the second attempt; it doubles from attempt to attempt.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// The `[delivery]` table: how patiently a provider is called.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub struct CallSettings {
    /// The time for one attempt, whole.
    #[serde(rename = "timeout_seconds", deserialize_with = "patience")]
    pub timeout: Duration,
    /// The time for connecting, which lies within an attempt.
    #[serde(rename = "connect_timeout_seconds", deserialize_with = "patience")]
    pub connect_timeout: Duration,
    /// How often an SMS is tried while it's certain that nothing was accepted, and how often its outcome is asked for.
    #[serde(deserialize_with = "number::<_, usize, _, 1, 1000>")]
    pub max_attempts: usize,
    /// How many numbers are sent to at once.
    #[serde(deserialize_with = "number::<_, usize, _, 1, 10_000>")]
    pub max_in_flight: usize,
    /// How many calls may start in any one second.
    #[serde(deserialize_with = "number::<_, usize, _, 1, 100_000>")]
    pub max_per_second: Option<usize>,
    /// How long the ledger keeps what became of each number.
    #[serde(rename = "record_retention_days", deserialize_with = "days")]
    pub ledger_retention: TimeDelta,
}

impl Default for CallSettings {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(15),
            connect_timeout: Duration::from_secs(5),
            max_attempts: 4,
            max_in_flight: 32,
            max_per_second: None,
            ledger_retention: TimeDelta::days(90),
        }
    }
}

/// How providers are called.
pub struct Calling {
    /// How patiently.
    pub settings: CallSettings,
    /// How fast.
    pub pace: Pace,
    /// Whether the sends that are under way are to come to an end.
    pub stop: CancellationToken,
    /// The environment variables that hold secrets, which no program is to inherit.
    pub secret_variables: Vec<String>,
    /// The clock.
    pub clock: Clock,
}

impl Calling {
    /// Makes `attempt`s until one is accepted or refused for good, or until they are used up. None begins after `latest`, if
    /// there is such a moment; it takes the place of their number.
    pub(super) async fn call<T>(
        &self,
        latest: Option<Instant>,
        attempt: impl AsyncFn() -> Result<T, SmsError>,
    ) -> Attempted<T> {
        let (mut tries, mut next_wait) = (0, FIRST_WAIT);
        let result = loop {
            if let Err(error) = self.wait(self.pace.turn(), latest).await {
                break Err(error);
            }
            tries += 1;
            let is_last = latest.is_none() && tries as usize >= self.settings.max_attempts;
            let error = match attempt().await {
                Err(error) if error.may_retry && !is_last => error,
                result => break result,
            };
            // Up to twice as long, so that many calls aren't repeated all at once.
            let own_wait = next_wait.mul_f64(1.0 + rand::random::<f64>());
            next_wait = MAX_WAIT.min(2 * next_wait);
            let asked = error.retry_after.map(|millis| Duration::from_millis(millis.into()));
            let wait = asked.map_or(own_wait, |asked| asked.min(MAX_WAIT));
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
        let problem = tokio::select! {
            biased;
            () = self.stop.cancelled() => "the run ended before it was sent",
            () = time => return Ok(()),
            () = too_late => "it could not be asked in time at the pace of max_per_second",
        };
        let error = SmsError::new(SmsErrorKind::Unavailable, None, problem);
        Err(SmsError { is_providers_own: false, ..error })
    }
}
