//! How providers are called, all of them together.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::pace::Pace;
use crate::model::values::{days, number, patience};
use crate::system::clock::Clock;

/// The `[delivery]` table: how patiently a provider is called.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub struct CallSettings {
    /// The time for one attempt, whole.
    #[serde(rename = "timeout_seconds", deserialize_with = "patience")]
    pub timeout: Duration,
    /// The time for connecting, which lies within an attempt.
    #[serde(rename = "connect_timeout_seconds", deserialize_with = "patience")]
    pub connect_timeout: Duration,
    /// How often an SMS is tried while it's certain that nothing was accepted, and how often its outcome is asked for.
    #[serde(deserialize_with = "number::<_, usize, _, 1, 1000>")]
    pub max_attempts: usize,
    /// How many numbers are sent to at once.
    #[serde(deserialize_with = "number::<_, usize, _, 1, 10_000>")]
    pub max_in_flight: usize,
    /// How many calls may start in any one second.
    #[serde(deserialize_with = "number::<_, usize, _, 1, 100_000>")]
    pub max_per_second: Option<usize>,
    /// How long the ledger keeps what became of each number.
    #[serde(rename = "record_retention_days", deserialize_with = "days")]
    pub ledger_retention: TimeDelta,
}

impl Default for CallSettings {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(15),
            connect_timeout: Duration::from_secs(5),
            max_attempts: 4,
            max_in_flight: 32,
            max_per_second: None,
            ledger_retention: TimeDelta::days(90),
        }
    }
}

/// How providers are called.
pub struct Calling {
    /// How patiently.
    pub settings: CallSettings,
    /// How fast.
    pub pace: Arc<Pace>,
    /// Whether the sends that are under way are to come to an end.
    pub stop: CancellationToken,
    /// The environment variables that hold secrets, which no program is to inherit.
    pub secret_variables: Vec<String>,
    /// The clock.
    pub clock: Clock,
}
