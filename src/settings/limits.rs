//! The `[limits]` table: what may be sent, so that an attacker can't empty the account, and how often a code may be guessed.

use chrono::TimeDelta;
use serde::de::Error;
use serde::{Deserialize, Deserializer};

use crate::model::values::{count, list, number, seconds};
use crate::model::{NumberType, Region, parse_region};

/// The most consecutive failed attempts that NIST SP 800-63B-4, section 3.2.2 ("Rate Limiting"), allows an account. Here they
/// count for a day.
const MAX_WRONG_CODES: u32 = 100;

/// What may be sent and guessed.
#[derive(Debug, Clone, Deserialize)]
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
    /// The types of numbers that may be sent to.
    #[serde(deserialize_with = "list")]
    pub allowed_types: Option<Vec<NumberType>>,
    /// How many wrong codes a number may have within 24 hours.
    #[serde(deserialize_with = "count_or_zero")]
    pub max_wrong_codes_per_number_per_day: Option<u32>,
}

impl Default for Limits {
    /// Returns the limits that hold unless others are set: of the types those that a person may have for messages.
    fn default() -> Self {
        use NumberType::{FixedLine, FixedLineOrMobile, Mobile, Personal, TollFree, Voip};
        let types = [Mobile, FixedLine, FixedLineOrMobile, Voip, TollFree, Personal];
        Self {
            allowed_types: Some(types.into()),
            max_wrong_codes_per_number_per_day: Some(MAX_WRONG_CODES),
            ..Self::none()
        }
    }
}

impl Limits {
    /// Returns no limits: anything may be sent and guessed.
    pub fn none() -> Self {
        Self {
            resend_cooldown: None,
            max_per_number_per_day: None,
            max_per_hour: None,
            allowed_regions: None,
            allowed_types: None,
            max_wrong_codes_per_number_per_day: None,
        }
    }
}

/// Reads a count; 0 is no limit.
fn count_or_zero<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    let most = number::<_, u32, u32, 0, { u32::MAX as i64 }>(deserializer)?;
    Ok((most > 0).then_some(most))
}

fn regions<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Region>>, D::Error> {
    let codes: Option<Vec<String>> = list(deserializer)?;
    let regions = codes.into_iter().flatten().map(|code| parse_region(&code));
    regions.collect::<Result<_, _>>().map(Some).map_err(D::Error::custom)
}
