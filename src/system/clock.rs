//! The clock is a parameter, so that tests of expiry don't have to wait.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use chrono::{DateTime, Datelike, TimeDelta, Utc};

use crate::exit::Error;

/// A source of the time in UTC.
#[derive(Clone)]
pub struct Clock {
    now: Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>,
    /// Whether it is only this machine's clock, which may differ from those of other machines.
    is_of_machine: bool,
}

impl Clock {
    /// Returns this machine's clock.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    pub fn system() -> Self {
        Self { now: Arc::new(|| in_utc(SystemTime::now())), is_of_machine: true }
    }

    /// Returns a clock that takes its time from `now`, for every machine.
    pub fn from_fn(now: impl Fn() -> DateTime<Utc> + Send + Sync + 'static) -> Self {
        Self { now: Arc::new(now), is_of_machine: false }
    }

    /// Returns the clock of a server that shows `now` at this moment, so that machines whose clocks differ agree. It goes on
    /// even if this machine's clock is set meanwhile. A clock for every machine stays as it is.
    pub fn of_server(&self, now: DateTime<Utc>) -> Self {
        if !self.is_of_machine {
            return self.clone();
        }
        let start = Instant::now();
        Self::from_fn(move || {
            let elapsed = TimeDelta::from_std(start.elapsed()).unwrap_or(TimeDelta::MAX);
            now.checked_add_signed(elapsed).unwrap_or(DateTime::<Utc>::MAX_UTC)
        })
    }

    /// Checks that the table can store the times of this clock.
    ///
    /// # Errors
    /// Returns an error if the clock is outside the years 1970 to 9999.
    pub fn check(&self) -> Result<(), Error> {
        let now = self.now();
        if (1970..=9999).contains(&now.year()) {
            return Ok(());
        }
        let date = now.format("%Y-%m-%d");
        Err(Error::failed(format!("the clock is outside the years 1970 to 9999: it shows {date}"))
            .with_hint("set the clock: timedatectl set-ntp true"))
    }

    /// Returns the current time in whole microseconds, the finest that the table stores.
    pub fn now(&self) -> DateTime<Utc> {
        let now = (self.now)();
        DateTime::from_timestamp_micros(now.timestamp_micros()).unwrap_or(now)
    }
}

/// Returns `time` in UTC, or the last moment of chrono if it can't hold it. `Utc::now` panics before 1970.
fn in_utc(time: SystemTime) -> DateTime<Utc> {
    let micros = match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_micros()),
        Err(error) => i64::try_from(error.duration().as_micros()).map(|micros| -micros),
    };
    let time = micros.ok().and_then(DateTime::from_timestamp_micros);
    time.unwrap_or(DateTime::<Utc>::MAX_UTC)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_clock_outside_the_years_of_the_table_is_an_error_and_no_panic() {
        let epoch = SystemTime::UNIX_EPOCH;
        let seconds = Duration::from_secs;
        for (time, is_sound) in [
            (epoch - Duration::from_micros(1), false),
            (epoch - seconds(100_000_000_000_000), false),
            (epoch, true),
            (epoch + seconds(253_402_300_799), true),
            (epoch + seconds(253_402_300_800), false),
            (epoch + seconds(100_000_000_000_000), false),
        ] {
            let clock = Clock::from_fn(move || in_utc(time));
            assert_eq!(clock.check().is_ok(), is_sound, "{time:?}");
        }
    }
}
