//! The `[limits]` table: how much may be sent, so that an attacker can't empty the account, and how often a code may be guessed.

use chrono::TimeDelta;
use serde::de::Error;
use serde::{Deserialize, Deserializer};

use crate::model::values::{count, list, number, seconds};
use crate::model::{Region, parse_region};

/// How many wrong codes a number may have within a day by NIST SP 800-63B, section 3.2.2 ("Rate Limiting").
const MAX_WRONG_CODES: u32 = 100;

/// What may be sent and guessed. Each limit but that of wrong codes is off unless set.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub struct Limits {
    /// How long a number waits between two sends.
    #[serde(rename = "resend_cooldown_seconds", deserialize_with = "seconds")]
    pub resend_cooldown: Option<TimeDelta>,
    /// How many sends a number may have within 24 hours.
    #[serde(deserialize_with = "count")]
    pub max_per_number_per_day: Option<u32>,
    /// How many sends there may be within an hour, to all numbers.
    #[serde(deserialize_with = "count")]
    pub max_per_hour: Option<u32>,
    /// The regions whose numbers may be sent to.
    #[serde(deserialize_with = "regions")]
    pub allowed_regions: Option<Vec<Region>>,
    /// How many wrong codes a number may have within 24 hours, if that is set; 0 is no limit.
    #[serde(deserialize_with = "count_or_none")]
    pub max_wrong_codes_per_number_per_day: Option<u32>,
}

impl Limits {
    /// Returns how many wrong codes a number may have within 24 hours; None if that isn't limited.
    pub fn max_wrong_codes(&self) -> Option<u32> {
        let most = self.max_wrong_codes_per_number_per_day.unwrap_or(MAX_WRONG_CODES);
        (most > 0).then_some(most)
    }
}

fn count_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    number::<_, u32, u32, 0, { u32::MAX as i64 }>(deserializer).map(Some)
}

fn regions<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Region>>, D::Error> {
    let codes: Option<Vec<String>> = list(deserializer)?;
    let regions = codes.into_iter().flatten().map(|code| parse_region(&code));
    regions.collect::<Result<_, _>>().map(Some).map_err(D::Error::custom)
}
