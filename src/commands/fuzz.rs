//! Fuzz target of the option `--since`.

use chrono::{DateTime, Utc};

use super::since::{Since, parse_since};
use crate::model::timestamp::to_rfc3339;

/// A duration ends before now and comes back from its words, a time comes back from RFC 3339, and no error repeats the text.
pub(crate) fn since(text: &str) {
    let now = DateTime::<Utc>::UNIX_EPOCH;
    match parse_since(text) {
        Ok(since @ Since::Ago(length)) => {
            assert!(since.at(now) < now);
            let words = humantime::format_duration(length.to_std().expect("a positive duration"));
            let again = parse_since(&words.to_string()).expect("a duration");
            assert_eq!(again.at(now), since.at(now));
        }
        Ok(since @ Since::Time(time)) => {
            assert_eq!(since.at(now), time);
            if let Ok(again) = parse_since(&to_rfc3339(time)) {
                assert_eq!(to_rfc3339(again.at(now)), to_rfc3339(time));
            }
        }
        Err(error) => {
            let [error, usual] =
                [error, parse_since("").expect_err("no time")].map(|it| it.to_string());
            assert!(error == usual || error.ends_with("skip this time"), "{error}");
        }
    }
}
