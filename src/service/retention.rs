//! The rules for which records are removed.

use chrono::{DateTime, Datelike, TimeDelta, Utc};

use crate::model::PhoneNumber;
use crate::settings::Settings;
use crate::store::{DeliveryFilter, RecordFilter};

/// Which records are to go.
#[derive(Debug, Clone)]
pub enum Retention {
    /// Those whose code has expired or, if the settings say how long records are kept, those older than that.
    OfSettings,
    /// Those older than this.
    OlderThan(TimeDelta),
    /// All those of one number.
    Erase(PhoneNumber),
}

/// Why an age can't be one to delete by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it reaches back before the year 1")]
pub struct TooLong;

impl Retention {
    /// Returns the moment before which records are too old at `now`; None if age doesn't matter.
    ///
    /// # Errors
    /// Returns an error if the age reaches back further than the calendar.
    pub fn cutoff(
        &self,
        settings: &Settings,
        now: DateTime<Utc>,
    ) -> Result<Option<DateTime<Utc>>, TooLong> {
        let age = match self {
            Self::OfSettings => settings.record_retention.unwrap_or(settings.code_lifetime),
            Self::OlderThan(age) => *age,
            Self::Erase(_) => return Ok(None),
        };
        let cutoff = now.checked_sub_signed(age).filter(|cutoff| cutoff.year() >= 1);
        cutoff.map(Some).ok_or(TooLong)
    }

    /// Returns the filter that selects the records, with those before `cutoff`.
    pub fn filter(&self, cutoff: Option<DateTime<Utc>>, unverified_only: bool) -> RecordFilter {
        RecordFilter {
            phone_number: match self {
                Self::Erase(phone_number) => Some(phone_number.clone()),
                Self::OfSettings | Self::OlderThan(_) => None,
            },
            is_verified: unverified_only.then_some(false),
            created_before: cutoff,
            ..RecordFilter::default()
        }
    }

    /// Returns which deliveries of the ledger go with the records at `now`: those of a number that is erased, else those that
    /// the ledger has kept long enough. Returns None if none go: sparing a number's verified records isn't an erasure, and keeps
    /// what became of its messages.
    pub fn ledger_filter(
        &self,
        settings: &Settings,
        unverified_only: bool,
        now: DateTime<Utc>,
    ) -> Option<DeliveryFilter> {
        match self {
            Self::Erase(_) if unverified_only => None,
            Self::Erase(phone_number) => Some(DeliveryFilter {
                phone_number: Some(phone_number.clone()),
                created_before: None,
            }),
            Self::OfSettings | Self::OlderThan(_) => Some(DeliveryFilter {
                phone_number: None,
                created_before: now.checked_sub_signed(settings.delivery.ledger_retention),
            }),
        }
    }
}
