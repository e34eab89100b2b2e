//! The `[limits]` table: what may be sent, so that an attacker can't empty the account.

use chrono::TimeDelta;
use serde::de::Error;
use serde::{Deserialize, Deserializer};

use crate::model::values::{count, list, seconds};
use crate::model::{NumberType, Region, parse_region};

/// What may be sent.
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
}

impl Default for Limits {
    /// Returns the limits that hold unless others are set: of the types those that a person may have for messages.
    fn default() -> Self {
        use NumberType::{FixedLine, FixedLineOrMobile, Mobile, Personal, TollFree, Voip};
        let types = [Mobile, FixedLine, FixedLineOrMobile, Voip, TollFree, Personal];
        Self { allowed_types: Some(types.into()), ..Self::none() }
    }
}

impl Limits {
    /// Returns no limits: anything may be sent.
    pub fn none() -> Self {
        Self {
            resend_cooldown: None,
            max_per_number_per_day: None,
            max_per_hour: None,
            allowed_regions: None,
            allowed_types: None,
        }
    }
}

fn regions<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Region>>, D::Error> {
    let codes: Option<Vec<String>> = list(deserializer)?;
    let regions = codes.into_iter().flatten().map(|code| parse_region(&code));
    regions.collect::<Result<_, _>>().map(Some).map_err(D::Error::custom)
}
