//! Counts, time spans and paths in the form that people read and copy.

use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};

/// Returns `count` with its noun: `1 record`, `4,704 records`, `2 deliveries`.
pub fn counted(count: impl TryInto<u64>, noun: &str) -> String {
    match count.try_into().unwrap_or(u64::MAX) {
        1 => format!("1 {noun}"),
        count => format!("{} {}", grouped(count), plural(noun)),
    }
}

/// Returns the plural of a regular `noun`: `codes`, `deliveries`.
pub fn plural(noun: &str) -> String {
    noun.strip_suffix('y').map_or_else(|| format!("{noun}s"), |stem| format!("{stem}ies"))
}

/// Returns `count` with its digits in groups of three: `4,704`.
pub fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let groups = digits.as_bytes().rchunks(3).rev();
    groups.map(String::from_utf8_lossy).collect::<Vec<_>>().join(",")
}

/// Returns the `words` of a provider with its code in brackets, unless that is the HTTP status which they name.
pub fn with_code(words: &str, code: Option<&str>) -> String {
    match code.filter(|code| !words.contains(&format!("HTTP {code}"))) {
        Some(code) => format!("{words} ({code})"),
        None => words.to_owned(),
    }
}

/// Returns how far `time` is from `now`, rounded to the largest unit: `in 4 min`, `3 h ago`.
pub fn distance(time: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let apart = time - now;
    match span(apart) {
        span if span.starts_with("0 ") => "now".to_owned(),
        span if apart < TimeDelta::zero() => format!("{span} ago"),
        span => format!("in {span}"),
    }
}

/// Returns how long ago `time` was: `4 min ago`, `just now`.
pub fn ago(time: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let ago = distance(time.min(now), now);
    if ago == "now" { "just now".to_owned() } else { ago }
}

/// Returns how long `time` is, ignoring its sign, rounded to the largest unit: `4 min`, `3 h`.
pub fn span(time: TimeDelta) -> String {
    let seconds = time.abs().num_milliseconds().saturating_add(500) / 1000;
    let rounded = |unit: TimeDelta| (seconds + unit.num_seconds() / 2) / unit.num_seconds();
    let (count, unit) = match seconds {
        0..120 => (seconds, "s"),
        120..7_200 => (rounded(TimeDelta::minutes(1)), "min"),
        7_200..172_800 => (rounded(TimeDelta::hours(1)), "h"),
        _ => (rounded(TimeDelta::days(1)), "days"),
    };
    format!("{count} {unit}")
}

/// Returns `path` as one word of a shell command, quoted if it has to be.
pub fn shell_word(path: &Path) -> String {
    let path = path.display().to_string();
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+@:,%=".contains(c);
    if !path.is_empty() && path.chars().all(is_plain) {
        path
    } else {
        format!("'{}'", path.replace('\'', r"'\''"))
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
            (1, "in 1 s"),
            (3599, "in 60 min"),
            (119, "in 119 s"),
            (-120, "2 min ago"),
            (600, "in 10 min"),
            (-7200, "2 h ago"),
            (172_800, "in 2 days"),
        ] {
            assert_eq!(distance(now + TimeDelta::seconds(seconds), now), text);
        }
        assert_eq!([ago(now, now), ago(now - TimeDelta::hours(3), now)], ["just now", "3 h ago"]);
    }

    #[test]
    fn a_code_follows_the_words_unless_they_name_it() {
        for (words, code, text) in [
            ("Invalid number", Some("21211"), "Invalid number (21211)"),
            ("refused with HTTP 401", Some("401"), "refused with HTTP 401"),
            (
                "can't be understood (HTTP 201): no id",
                Some("201"),
                "can't be understood (HTTP 201): no id",
            ),
            ("no answer", None, "no answer"),
        ] {
            assert_eq!(with_code(words, code), text);
        }
    }

    #[test]
    fn digits_are_grouped_from_the_right() {
        for (count, text) in [(0, "0"), (999, "999"), (4704, "4,704"), (1_000_000, "1,000,000")] {
            assert_eq!(grouped(count), text);
        }
    }

    #[test]
    fn a_noun_follows_its_count() {
        assert_eq!(counted(1, "delivery"), "1 delivery");
        assert_eq!(counted(0, "delivery"), "0 deliveries");
        assert_eq!(counted(4704, "record"), "4,704 records");
    }
}
