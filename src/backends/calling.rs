//! How all providers are called: at the pace of the settings, and again only if nothing can be sent twice.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chrono::TimeDelta;
use serde::Deserialize;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::pace::Pace;
use super::sms::{Attempted, SmsError};
use crate::model::values::{days, number, patience};
use crate::system::clock::Clock;
use crate::system::waiting::Wait;

/// The longest wait between two attempts, also if the provider asks for a longer one.
const MAX_WAIT: Duration = Duration::from_secs(30);
/// The wait before the second attempt. It doubles with each attempt.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// The `[delivery]` table: time-outs, attempts and pace.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub struct CallSettings {
    /// The time for one whole attempt.
    #[serde(rename = "timeout_seconds", deserialize_with = "patience")]
    pub timeout: Duration,
    /// The time for connecting, which is part of an attempt.
    #[serde(rename = "connect_timeout_seconds", deserialize_with = "patience")]
    pub connect_timeout: Duration,
    /// How many attempts an SMS gets while it is certain that nothing was accepted, and how many a question gets.
    #[serde(deserialize_with = "number::<_, usize, _, 1, 1000>")]
    pub max_attempts: usize,
    /// How many numbers are sent to at once.
    #[serde(deserialize_with = "number::<_, usize, _, 1, 10_000>")]
    pub max_in_flight: usize,
    /// How many calls may start in any one second.
    #[serde(deserialize_with = "number::<_, usize, _, 1, 100_000>")]
    pub max_per_second: Option<usize>,
    /// How long the ledger keeps deliveries.
    #[serde(rename = "record_retention_days", deserialize_with = "days")]
    pub ledger_retention: TimeDelta,
}

impl CallSettings {
    /// Returns the longest time that one SMS may take at one provider: its attempts, and the waits between them.
    pub fn longest_send(&self) -> TimeDelta {
        let attempts = u32::try_from(self.max_attempts).unwrap_or(u32::MAX);
        // An own wait is up to twice as long as the longest.
        let longest = (self.timeout + 2 * MAX_WAIT).saturating_mul(attempts);
        TimeDelta::from_std(longest).unwrap_or(TimeDelta::MAX)
    }
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

/// Why nothing is called any more.
const STOPPED: &str = "the run ended before it was sent";

/// How providers are called.
pub struct Calling {
    /// Time-outs and attempts.
    pub settings: CallSettings,
    /// The pace that all calls share.
    pub pace: Pace,
    /// Ends the calls that are under way.
    pub stop: CancellationToken,
    /// The environment variables that hold secrets. Programs must not inherit them.
    pub secret_variables: Vec<String>,
    /// How many requests to send an SMS have no answer yet.
    pub requests: AtomicUsize,
    /// The clock.
    pub clock: Clock,
    /// Returns by which part, from 0 to 1, a wait between two attempts is longer than it has to be.
    pub spread: fn() -> f64,
}

impl Calling {
    /// Returns how to call providers by `settings`, without secrets in the environment.
    pub fn new(settings: CallSettings, clock: Clock) -> Self {
        Self {
            pace: Pace::new(settings.max_per_second),
            settings,
            stop: CancellationToken::new(),
            secret_variables: Vec::new(),
            requests: AtomicUsize::default(),
            clock,
            spread: rand::random,
        }
    }

    /// Waits for the answer to a request to send an SMS.
    pub(super) async fn answer<T>(&self, request: impl Future<Output = T>) -> T {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let answer = request.await;
        self.requests.fetch_sub(1, Ordering::Relaxed);
        answer
    }

    /// Runs `attempt` until one is accepted or refused for good, or until `max_attempts` are used up. If `latest` is given, the
    /// number of attempts isn't limited, but none starts after that moment. `purpose` is what an operator sees meanwhile, such as
    /// `sending through twilio`.
    pub(super) async fn call<T>(
        &self,
        purpose: &str,
        latest: Option<Instant>,
        attempt: impl AsyncFn() -> Result<T, SmsError>,
    ) -> Attempted<T> {
        self.call_while(purpose, async |_| Ok(()), latest, attempt).await
    }

    /// Does the same as [`Calling::call`], but before each attempt `may_start` is told how many there were, and returns why it
    /// must not be made. The errors of `attempt` hold nothing that must not be shown.
    pub(super) async fn call_while<T>(
        &self,
        purpose: &str,
        may_start: impl AsyncFn(u32) -> Result<(), String>,
        latest: Option<Instant>,
        attempt: impl AsyncFn() -> Result<T, SmsError>,
    ) -> Attempted<T> {
        let (mut tries, mut next_wait) = (0, FIRST_WAIT);
        let result = loop {
            let calling = Wait::start(purpose);
            if let Err(error) = self.wait(self.pace.turn(), latest).await {
                break Err(error);
            }
            if let Err(reason) = may_start(tries).await {
                break Err(SmsError::not_called(reason));
            }
            if self.stop.is_cancelled() {
                break Err(SmsError::not_called(STOPPED));
            }
            tries += 1;
            let is_last = latest.is_none() && tries as usize >= self.settings.max_attempts;
            let error = match attempt().await {
                Err(error) if error.may_retry && !is_last => error,
                result => break result,
            };
            drop(calling);
            let asked = error.retry_after.map(|asked| asked.min(MAX_WAIT));
            // The random part keeps many calls from being repeated all at once.
            let wait = asked.unwrap_or(next_wait) + next_wait.mul_f64((self.spread)());
            next_wait = MAX_WAIT.min(2 * next_wait);
            log::info!("attempt {tries} failed, trying again in {wait:.1?}");
            let code = error.code.as_ref().map_or_else(String::new, |code| format!(" ({code})"));
            let again = format!("{purpose} failed{code}; trying again");
            let _wait = Wait::start_until(again, (Instant::now() + wait).into());
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
            () = self.stop.cancelled() => STOPPED,
            () = time => return Ok(()),
            () = too_late => "it could not be asked in time at the pace of max_per_second",
        };
        Err(SmsError::not_called(problem))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::backends::sms::SmsErrorKind;

    /// Runs `call` on a clock that passes only while it is waited for. The wait between attempts is longer by this part.
    fn run<T>(
        spread: fn() -> f64,
        max_attempts: usize,
        call: impl AsyncFnOnce(&Calling) -> T,
    ) -> T {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().unwrap();
        let settings = CallSettings { max_attempts, ..CallSettings::default() };
        let calling = Calling { spread, ..Calling::new(settings, Clock::system()) };
        runtime.block_on(call(&calling))
    }

    #[test]
    fn a_stop_during_the_last_check_starts_no_attempt() {
        let attempted = run(
            || 0.0,
            4,
            async |calling| {
                let may_start = async |_| {
                    calling.stop.cancel();
                    Ok(())
                };
                let attempt = async || -> Result<(), _> { panic!("it was called") };
                calling.call_while("", may_start, None, attempt).await
            },
        );
        assert_eq!((attempted.tries, attempted.result.unwrap_err().message.as_str()), (0, STOPPED));
    }

    #[test]
    fn the_wait_between_attempts_doubles_up_to_a_limit_unless_the_provider_asks_for_another() {
        let no_spread: fn() -> f64 = || 0.0;
        for (spread, asked, expected) in [
            (no_spread, None, [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]),
            (|| 0.5, None, [750, 1500, 3000, 6000, 12_000, 24_000, 45_000, 45_000]),
            (|| 0.5, Some(0), [250, 500, 1000, 2000, 4000, 8000, 15_000, 15_000]),
            (|| 0.5, Some(7), [7250, 7500, 8000, 9000, 11_000, 15_000, 22_000, 22_000]),
            (no_spread, Some(3600), [30_000; 8]),
        ] {
            let starts = Mutex::new(Vec::new());
            let attempt = async || -> Result<(), _> {
                starts.lock().unwrap().push(Instant::now());
                let retry_after = asked.map(Duration::from_secs);
                let error = SmsError::new(SmsErrorKind::Unavailable, None, "throttled");
                Err(SmsError { may_retry: true, retry_after, ..error })
            };
            let attempted = run(spread, 9, async |calling| calling.call("", None, attempt).await);
            assert_eq!(attempted.tries, 9);
            let starts = starts.into_inner().unwrap();
            let waits: Vec<_> =
                starts.windows(2).map(|pair| (pair[1] - pair[0]).as_millis()).collect();
            assert_eq!(waits, expected, "asked for {asked:?} s");
        }
    }
}
