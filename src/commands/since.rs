//! The option `--since`.

use chrono::{DateTime, Local, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Utc};

use super::read_duration;
use crate::exit::Error;
use crate::model::Period;

/// What `--since` means.
#[derive(Debug, Clone, Copy)]
pub(super) enum Since {
    Time(DateTime<Utc>),
    Ago(TimeDelta),
}

impl Since {
    /// Returns the time that it means at `now`.
    pub(super) fn at(self, now: DateTime<Utc>) -> DateTime<Utc> {
        match self {
            Self::Time(time) => time,
            Self::Ago(length) => Period::last(length, now).from,
        }
    }
}

/// Reads a duration before now, or a time: RFC 3339, or a date and a time of day in the time zone of this machine.
pub(super) fn parse_since(text: &str) -> Result<Since, Error> {
    let text = text.trim();
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(Since::Time(time.to_utc()));
    }
    let formats =
        ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M"];
    let time = formats.iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
    let midnight =
        || Some(NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_time(NaiveTime::MIN));
    if let Some(time) = time.or_else(midnight) {
        let local = time.and_local_timezone(Local).earliest().map(|time| time.to_utc());
        return local
            .map(Since::Time)
            .ok_or_else(|| Error::usage("--since: the clocks of this time zone skip this time"));
    }
    read_duration(text).map(Since::Ago).map_err(|problem| {
        Error::usage(format!(
            "--since: {problem}; use a duration such as 2h, or a time such as 2026-11-23T07:46:40Z"
        ))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::timestamp::to_rfc3339;

    #[test]
    fn since_takes_a_duration_or_a_time() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        assert_eq!(to_rfc3339(now), "2027-01-15T08:00:00.000000Z");
        for (text, expected) in [
            ("2h", "2027-01-15T06:00:00.000000Z"),
            ("1d 30m", "2027-01-14T07:30:00.000000Z"),
            ("2026-11-23T07:46:40.5+01:00", "2026-11-23T06:46:40.500000Z"),
        ] {
            assert_eq!(to_rfc3339(parse_since(text).unwrap().at(now)), expected, "{text}");
        }
        for text in ["2026-11-23", "2026-11-23 07:46", "2026-11-23T07:46:40"] {
            assert!(parse_since(text).is_ok(), "{text}");
        }
        for text in ["", "yesterday", "2026-13-01", "-2h", "0s", "99999999999999y"] {
            assert!(parse_since(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_duration_is_the_sum_of_its_parts(
            days in 0_i64..1000, hours in 0_i64..100, minutes in 0_i64..1000, seconds in 1_i64..1000,
        ) {
            let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
            let since = parse_since(&format!("{days}d {hours}h{minutes}m {seconds} sec")).unwrap();
            let sum = ((days * 24 + hours) * 60 + minutes) * 60 + seconds;
            prop_assert_eq!(since.at(now).timestamp(), now.timestamp() - sum);
        }
    }
}
