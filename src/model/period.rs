//! Which times are recent, as seen from now.

use chrono::{DateTime, TimeDelta, Utc};

/// How far a row may be ahead of the clock, because the clocks of two machines are never quite the same.
const TOLERANCE: TimeDelta = TimeDelta::seconds(60);

/// Returns the latest time that isn't from the future at `now`.
pub fn latest(now: DateTime<Utc>) -> DateTime<Utc> {
    now.checked_add_signed(TOLERANCE).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// A period that ends now. What was created before it is old, and so is what is from the future: the clock was wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// Its first moment.
    pub from: DateTime<Utc>,
    /// Its last moment.
    pub until: DateTime<Utc>,
}

impl Period {
    /// Returns the period of this length, which ends at `now` or at the latest time that isn't from the future then.
    pub fn last(length: TimeDelta, now: DateTime<Utc>) -> Self {
        let from = now.checked_sub_signed(length).unwrap_or(DateTime::<Utc>::MIN_UTC);
        Self { from, until: latest(now) }
    }

    /// Returns whether `time` is within the period.
    pub fn contains(self, time: DateTime<Utc>) -> bool {
        (self.from..=self.until).contains(&time)
    }
}
