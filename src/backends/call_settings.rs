//! The `[delivery]` table: how patiently a provider is called.

use std::time::Duration;

use chrono::TimeDelta;

use crate::settings_table::{Table, TableError};

/// How the provider is called.
#[derive(Debug, Clone)]
pub struct CallSettings {
    /// The time for one attempt, whole.
    pub timeout: Duration,
    /// The time for connecting, which lies within an attempt.
    pub connect_timeout: Duration,
    /// How often an SMS is tried while it is certain that nothing was accepted, and how often what became of it is asked.
    pub max_attempts: usize,
    /// How many numbers are sent to at once.
    pub max_in_flight: usize,
    /// How many calls may start in any one second.
    pub max_per_second: Option<usize>,
    /// How long the ledger keeps what became of each number.
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

impl CallSettings {
    /// Reads the `[delivery]` table.
    ///
    /// # Errors
    /// A value has the wrong type or is out of range.
    pub fn read(table: &Table<'_>) -> Result<Self, TableError> {
        let defaults = Self::default();
        let count = |key, most| {
            let value = table.integer(key, 1..=most)?;
            Ok(value.and_then(|value| usize::try_from(value).ok()))
        };
        Ok(Self {
            timeout: table.seconds("timeout_seconds")?.unwrap_or(defaults.timeout),
            connect_timeout: table
                .seconds("connect_timeout_seconds")?
                .unwrap_or(defaults.connect_timeout),
            max_attempts: count("max_attempts", 1000)?.unwrap_or(defaults.max_attempts),
            max_in_flight: count("max_in_flight", 10_000)?.unwrap_or(defaults.max_in_flight),
            max_per_second: count("max_per_second", 100_000)?,
            ledger_retention: table
                .integer("record_retention_days", 1..=36_500)?
                .map_or(defaults.ledger_retention, TimeDelta::days),
        })
    }
}
