//! Times in the form that people read.

use chrono::{DateTime, Local, Utc};

use crate::model::distance;

/// Returns `time` in this machine's time zone and, in brackets, how far it is from `now`: `2026-11-23 14:08:15 (in 4 min)`.
pub fn time_and_distance(time: DateTime<Utc>, now: DateTime<Utc>) -> String {
    format_time("%Y-%m-%d %H:%M:%S", time, now)
}

/// Returns `time` like [`time_and_distance`], without its seconds.
pub(super) fn minute_and_distance(time: DateTime<Utc>, now: DateTime<Utc>) -> String {
    format_time("%Y-%m-%d %H:%M", time, now)
}

fn format_time(format: &str, time: DateTime<Utc>, now: DateTime<Utc>) -> String {
    format!("{} ({})", time.with_timezone(&Local).format(format), distance(time, now))
}
