//! Times as people read them.

use std::fmt;

use chrono::{DateTime, Local, TimeDelta, Utc};

/// Returns `time` in the time zone of this machine and, in brackets, how far it is from `now`:
/// `2026-11-23 14:08:15 (in 4 min)`.
pub fn time_and_distance(time: DateTime<Utc>, now: DateTime<Utc>) -> String {
    format_time("%Y-%m-%d %H:%M:%S", time, now)
}

/// Returns `time` as [`time_and_distance`] does, without its seconds.
pub(super) fn minute_and_distance(time: DateTime<Utc>, now: DateTime<Utc>) -> String {
    format_time("%Y-%m-%d %H:%M", time, now)
}

fn format_time(format: &str, time: DateTime<Utc>, now: DateTime<Utc>) -> String {
    format!("{} ({})", time.with_timezone(&Local).format(format), distance(time, now))
}

/// Returns `count` and the noun that it counts: `1 record`, `2 records`.
pub fn counted<N: fmt::Display + PartialEq + From<u8>>(count: N, noun: &str) -> String {
    let plural = if count == N::from(1) { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

/// Returns how far `time` is from `now`, rounded to its largest unit: `in 4 min`, `3 h ago`.
pub fn distance(time: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let apart = time - now;
    let seconds = apart.abs().num_milliseconds().saturating_add(500) / 1000;
    let rounded = |unit: TimeDelta| (seconds + unit.num_seconds() / 2) / unit.num_seconds();
    let (count, unit) = match seconds {
        0 => return "now".to_owned(),
        1..120 => (seconds, "s"),
        120..7_200 => (rounded(TimeDelta::minutes(1)), "min"),
        7_200..172_800 => (rounded(TimeDelta::hours(1)), "h"),
        _ => (rounded(TimeDelta::days(1)), "days"),
    };
    if apart < TimeDelta::zero() {
        format!("{count} {unit} ago")
    } else {
        format!("in {count} {unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distance_has_its_largest_unit() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        for (seconds, text) in [
            (0, "now"),
            (3599, "in 60 min"),
            (119, "in 119 s"),
            (-120, "2 min ago"),
            (600, "in 10 min"),
            (-7200, "2 h ago"),
            (172_800, "in 2 days"),
        ] {
            assert_eq!(distance(now + TimeDelta::seconds(seconds), now), text);
        }
    }
}
