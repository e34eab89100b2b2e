//! Times as text: as Django stores them in SQLite, and as JSON and CSV show them.

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use serde::{Serialize, Serializer};

/// Returns `time` as Django's SQLite backend writes it: UTC, `YYYY-MM-DD HH:MM:SS.ffffff`, without the decimals if they are
/// zero (Python's `str(datetime)`).
pub fn to_stored(time: DateTime<Utc>) -> String {
    let decimals = if time.timestamp_subsec_micros() == 0 { 0 } else { ".ffffff".len() };
    let mut text = to_rfc3339(time).replace('T', " ");
    text.truncate("YYYY-MM-DD HH:MM:SS".len() + decimals);
    text
}

/// Reads a time that [`to_stored`] or Django wrote.
pub fn from_stored(text: &str) -> Option<DateTime<Utc>> {
    let bytes = text.as_bytes();
    let number = |from: usize, length: usize| -> Option<u32> {
        let digits = bytes.get(from..from + length)?;
        digits.iter().try_fold(0, |sum, digit| {
            digit.is_ascii_digit().then(|| sum * 10 + u32::from(digit - b'0'))
        })
    };
    let separators = [(4, b'-'), (7, b'-'), (10, b' '), (13, b':'), (16, b':')];
    if separators.iter().any(|(index, separator)| bytes.get(*index) != Some(separator)) {
        return None;
    }
    let micros = match bytes.len() {
        19 => 0,
        length @ 21..=26 if bytes[19] == b'.' => {
            (length..26).try_fold(number(20, length - 20)?, |sum, _| Some(sum * 10))?
        }
        _ => return None,
    };
    let date =
        NaiveDate::from_ymd_opt(number(0, 4)?.try_into().ok()?, number(5, 2)?, number(8, 2)?)?;
    let time = date.and_hms_micro_opt(number(11, 2)?, number(14, 2)?, number(17, 2)?, micros)?;
    Some(time.and_utc())
}

/// Returns `time` as JSON and CSV show it: RFC 3339, UTC, six decimals, `Z`.
pub fn to_rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// Serializes a time, which may be optional, as [`to_rfc3339`] writes it.
///
/// # Errors
/// Returns an error if the serializer fails.
pub fn serialize<S: Serializer>(
    time: &(impl Copy + Into<Option<DateTime<Utc>>>),
    serializer: S,
) -> Result<S::Ok, S::Error> {
    (*time).into().map(to_rfc3339).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn decimals_are_left_out_where_they_are_zero() {
        let whole = from_stored("2026-11-23 07:46:40").unwrap();
        assert_eq!(to_stored(whole), "2026-11-23 07:46:40");
        assert_eq!(to_rfc3339(whole), "2026-11-23T07:46:40.000000Z");
        let precise = from_stored("2026-11-23 07:46:40.000691").unwrap();
        assert_eq!(to_stored(precise), "2026-11-23 07:46:40.000691");
        assert_eq!(to_rfc3339(precise), "2026-11-23T07:46:40.000691Z");
        assert_eq!(
            from_stored("2026-11-23 07:46:40.5").unwrap().timestamp_subsec_micros(),
            500_000
        );
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in [
            "",
            "yesterday",
            "2026-11-23",
            "2026-11-23T07:46:40",
            "2026-13-23 07:46:40",
            "2026-11-23 24:46:40",
            "2026-11-23 07:46:40.",
            "2026-11-23 07:46:40.1234567",
            "2026-11-23 07:46:40Z",
            "2026-11-23 07:46:4é",
        ] {
            assert_eq!(from_stored(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn stored_times_come_back_and_sort_as_text(a in 0_i64..250_000_000_000_000_000, b in 0_i64..250_000_000_000_000_000) {
            let time = |micros| DateTime::from_timestamp_micros(micros).unwrap();
            prop_assert_eq!(from_stored(&to_stored(time(a))), Some(time(a)));
            prop_assert_eq!(to_stored(time(a)).cmp(&to_stored(time(b))), a.cmp(&b));
            prop_assert_eq!(to_rfc3339(time(a)), time(a).format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string());
        }
    }
}
