//! Times in the form that people read.

use chrono::{DateTime, Local, Utc};

use crate::model::distance;

pub(super) const SECONDS: &str = "%Y-%m-%d %H:%M:%S";
pub(super) const MINUTES: &str = "%Y-%m-%d %H:%M";

/// Returns `time` in this machine's time zone and, in brackets, how far it is from `now`: `2026-11-23 14:08:15 (in 4 min)`.
pub fn time_and_distance(time: DateTime<Utc>, now: DateTime<Utc>) -> String {
    format_time(SECONDS, time, now)
}

/// Returns `time` like [`time_and_distance`], in a format of strftime.
pub(super) fn format_time(format: &str, time: DateTime<Utc>, now: DateTime<Utc>) -> String {
    format!("{} ({})", time.with_timezone(&Local).format(format), distance(time, now))
}
