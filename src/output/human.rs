//! Times as people read them.

use chrono::{DateTime, Local, TimeDelta, Utc};

/// Returns `time` in the time zone of this machine, to the second.
pub fn local_time(time: DateTime<Utc>) -> String {
    time.with_timezone(&Local).format("%Y-%m-%d %H:%M:%S").to_string()
}

/// Returns how far `time` is from `now`, in its largest unit: `in 4 min`, `3 h ago`.
pub fn distance(time: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let apart = time - now;
    let length = apart.abs();
    let (count, unit) = match length {
        _ if length < TimeDelta::minutes(2) => (length.num_seconds(), "s"),
        _ if length < TimeDelta::hours(2) => (length.num_minutes(), "min"),
        _ if length < TimeDelta::days(2) => (length.num_hours(), "h"),
        _ => (length.num_days(), "days"),
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
            (0, "in 0 s"),
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
