//! The rules for which records are removed.

use chrono::{DateTime, Datelike, TimeDelta, Utc};

use super::verification::WRONG_CODES_COUNT_FOR;
use crate::model::{NumberPattern, Period, PhoneNumber};
use crate::settings::Settings;
use crate::store::{DeliveryFilter, RecordFilter, Rows, WrongCodeFilter};

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
        let kept = Period::not_older_than(age, now);
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
        let numbers = self.numbers();
        let records = Rows::Records(RecordFilter {
            numbers: numbers.clone(),
            is_verified: unverified_only.then_some(false),
            created_outside: kept,
            ..RecordFilter::default()
        });
        let is_erasure = matches!(self, Self::Erase(_));
        if is_erasure && unverified_only {
            // The verified records of the numbers are spared, and so are their other rows.
            return [Some(records), None, None];
        }
        let outside = |age| (!is_erasure).then(|| Period::not_older_than(age, now));
        let deliveries = Rows::Deliveries(DeliveryFilter {
            numbers: numbers.clone(),
            created_outside: outside(settings.delivery.ledger_retention),
            ..DeliveryFilter::default()
        });
        let created_outside = outside(WRONG_CODES_COUNT_FOR);
        let wrong_codes = Rows::WrongCodes(WrongCodeFilter { numbers, created_outside });
        [Some(records), Some(deliveries), Some(wrong_codes)]
    }
}

/// Returns the records and the deliveries that are from the future at `now`.
pub fn rows_from_the_future(now: DateTime<Utc>) -> [Rows; 2] {
    let created_outside = Some(Period::last(TimeDelta::MAX, now));
    [
        Rows::Records(RecordFilter { created_outside, ..RecordFilter::default() }),
        Rows::Deliveries(DeliveryFilter { created_outside, ..DeliveryFilter::default() }),
    ]
}
