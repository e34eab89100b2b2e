//! Which times are recent, as seen from now.

use chrono::{DateTime, TimeDelta, Utc};

/// How far a row may be ahead of the clock, because the clocks of two machines are never quite the same.
const TOLERANCE: TimeDelta = TimeDelta::seconds(60);

/// The last microsecond of the year 9999: RFC 3339 has no later time.
pub(super) const LAST_TIME: DateTime<Utc> =
    DateTime::from_timestamp_micros(253_402_300_799_999_999).expect("chrono's calendar is longer");

/// Returns the latest time that isn't from the future at `now`.
pub fn latest(now: DateTime<Utc>) -> DateTime<Utc> {
    now.checked_add_signed(TOLERANCE).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// A period of recent times.
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

    /// Returns the period of what isn't older than `age` at `now`. That includes all that is from the future: the wrong clock may be
    /// the one that says `now`.
    pub fn not_older_than(age: TimeDelta, now: DateTime<Utc>) -> Self {
        Self { until: LAST_TIME, ..Self::last(age, now) }
    }

    /// Returns whether `time` is within the period.
    pub fn contains(self, time: DateTime<Utc>) -> bool {
        (self.from..=self.until).contains(&time)
    }
}
