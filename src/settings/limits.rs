//! The `[limits]` table: how much may be sent, so that nobody can empty the account.

use chrono::TimeDelta;

use crate::model::{Region, parse_region};
use crate::settings_table::{Table, TableError};

/// What may be sent. Each limit is off unless set.
#[derive(Debug, Clone, Default)]
pub struct Limits {
    /// How long a number waits between two sends.
    pub resend_cooldown: Option<TimeDelta>,
    /// How often a number may be sent to within 24 hours.
    pub max_per_number_per_day: Option<u32>,
    /// How many sends there may be within an hour, to all numbers.
    pub max_per_hour: Option<u32>,
    /// The regions whose numbers may be sent to.
    pub allowed_regions: Option<Vec<Region>>,
}

impl Limits {
    /// Reads the `[limits]` table. The ledger is kept for `retention`.
    ///
    /// # Errors
    /// A value has the wrong type or is out of range, or a limit looks back further than the ledger is kept.
    pub(super) fn read(table: &Table<'_>, retention: TimeDelta) -> Result<Self, TableError> {
        const COOLDOWN: &str = "resend_cooldown_seconds";
        let count = |key| {
            let value = table.integer(key, 1..=i64::from(u32::MAX))?;
            Ok(value.and_then(|value| u32::try_from(value).ok()))
        };
        let resend_cooldown =
            table.integer(COOLDOWN, 1..=super::SECONDS_OF_365_DAYS)?.map(TimeDelta::seconds);
        if resend_cooldown.is_some_and(|cooldown| cooldown > retention) {
            let problem = "is longer than delivery.record_retention_days: purge would end the wait";
            return Err(table.error(COOLDOWN, problem));
        }
        Ok(Self {
            resend_cooldown,
            max_per_number_per_day: count("max_per_number_per_day")?,
            max_per_hour: count("max_per_hour")?,
            allowed_regions: table.parsed_list("allowed_regions", parse_region)?,
        })
    }
}
