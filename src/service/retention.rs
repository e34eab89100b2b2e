//! The rules for which records are removed.

use chrono::{DateTime, Datelike, TimeDelta, Utc};

use super::verification::WRONG_CODES_COUNT_FOR;
use crate::model::{NumberPattern, Period, PhoneNumber};
use crate::settings::Settings;
use crate::store::{RecordFilter, RowFilter, Rows};

/// Which records to remove.
#[derive(Debug, Clone)]
pub enum Retention {
    /// Those that the settings no longer keep. By default, those whose code has expired.
    OfSettings,
    /// Those older than this.
    OlderThan(TimeDelta),
    /// All those of these numbers.
    Erase(Vec<PhoneNumber>),
}

impl Retention {
    fn numbers(&self) -> Vec<NumberPattern> {
        let numbers = if let Self::Erase(numbers) = self { numbers.as_slice() } else { &[] };
        numbers.iter().cloned().map(NumberPattern::Whole).collect()
    }

    /// Returns the period whose records are kept at `now`; None if age doesn't matter.
    ///
    /// # Errors
    /// Returns what is wrong if the age reaches back further than the calendar.
    pub fn kept(
        &self,
        settings: &Settings,
        now: DateTime<Utc>,
    ) -> Result<Option<Period>, &'static str> {
        let age = match self {
            Self::OfSettings => settings.record_retention.unwrap_or(settings.code_lifetime),
            Self::OlderThan(age) => *age,
            Self::Erase(_) => return Ok(None),
        };
        let kept = Period::last(age, now);
        if kept.from.year() >= 1 {
            Ok(Some(kept))
        } else {
            Err("it reaches back before the year 1")
        }
    }

    /// Returns the records, the deliveries and the wrong codes to remove; `kept` is that of [`Retention::kept`].
    pub fn rows(
        &self,
        settings: &Settings,
        kept: Option<Period>,
        unverified_only: bool,
        now: DateTime<Utc>,
    ) -> [Option<Rows>; 3] {
        let records = RecordFilter {
            numbers: self.numbers(),
            is_verified: unverified_only.then_some(false),
            created_outside: kept,
            ..RecordFilter::default()
        };
        let of_age = |age| self.row_filter(age, unverified_only, now);
        [
            Some(Rows::Records(records)),
            of_age(settings.delivery.ledger_retention).map(Rows::Deliveries),
            of_age(WRONG_CODES_COUNT_FOR).map(Rows::WrongCodes),
        ]
    }

    /// Returns the filter for the rows of a table that keeps them for `age`: those of a number that is erased, otherwise those that
    /// were kept long enough at `now`. Returns None if `unverified_only` spares records of a number: this isn't an erasure, so the
    /// number's rows stay.
    fn row_filter(
        &self,
        age: TimeDelta,
        unverified_only: bool,
        now: DateTime<Utc>,
    ) -> Option<RowFilter> {
        let created_outside = match self {
            Self::Erase(_) if unverified_only => return None,
            Self::Erase(_) => None,
            _ => Some(Period::last(age, now)),
        };
        Some(RowFilter { numbers: self.numbers(), created_outside })
    }
}
