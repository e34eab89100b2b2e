//! The rules for which records are removed.

use chrono::{DateTime, Datelike, TimeDelta, Utc};

use crate::model::PhoneNumber;
use crate::settings::Settings;
use crate::store::{DeliveryFilter, RecordFilter};

/// Which records to remove.
#[derive(Debug, Clone)]
pub enum Retention {
    /// Those that the settings no longer keep. By default, those whose code has expired.
    OfSettings,
    /// Those older than this.
    OlderThan(TimeDelta),
    /// All those of one number.
    Erase(PhoneNumber),
}

impl Retention {
    fn phone_number(&self) -> Option<PhoneNumber> {
        if let Self::Erase(phone_number) = self { Some(phone_number.clone()) } else { None }
    }

    /// Returns the moment before which records are too old at `now`; None if age doesn't matter.
    ///
    /// # Errors
    /// Returns what is wrong if the age reaches back further than the calendar.
    pub fn cutoff(
        &self,
        settings: &Settings,
        now: DateTime<Utc>,
    ) -> Result<Option<DateTime<Utc>>, &'static str> {
        let age = match self {
            Self::OfSettings => settings.record_retention.unwrap_or(settings.code_lifetime),
            Self::OlderThan(age) => *age,
            Self::Erase(_) => return Ok(None),
        };
        let cutoff = now.checked_sub_signed(age).filter(|cutoff| cutoff.year() >= 1);
        cutoff.map(Some).ok_or("it reaches back before the year 1")
    }

    /// Returns the filter for the records; `cutoff` is that of [`Retention::cutoff`].
    pub fn filter(&self, cutoff: Option<DateTime<Utc>>, unverified_only: bool) -> RecordFilter {
        RecordFilter {
            phone_number: self.phone_number(),
            is_verified: unverified_only.then_some(false),
            created_before: cutoff,
            ..RecordFilter::default()
        }
    }

    /// Returns the filter for the deliveries to remove with the records: those of a number that is erased, otherwise those that
    /// the ledger has kept long enough at `now`. Returns None if `unverified_only` spares records of a number: this isn't an
    /// erasure, so the number's deliveries stay.
    pub fn ledger_filter(
        &self,
        settings: &Settings,
        unverified_only: bool,
        now: DateTime<Utc>,
    ) -> Option<DeliveryFilter> {
        let created_before = match self {
            Self::Erase(_) if unverified_only => return None,
            Self::Erase(_) => None,
            _ => now.checked_sub_signed(settings.delivery.ledger_retention),
        };
        Some(DeliveryFilter { phone_number: self.phone_number(), created_before })
    }
}
