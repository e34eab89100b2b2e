//! The `[delivery]` table: how patiently a provider is called.

use std::time::Duration;

use crate::settings_table::{Table, TableError};

/// How the provider is called.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The time for one attempt, whole.
    pub timeout: Duration,
    /// The time for connecting, which lies within an attempt.
    pub connect_timeout: Duration,
    /// How often an SMS is tried while it is certain that nothing was accepted.
    pub max_attempts: usize,
}

impl Default for Delivery {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(15),
            connect_timeout: Duration::from_secs(5),
            max_attempts: 4,
        }
    }
}

impl Delivery {
    /// Reads the `[delivery]` table.
    ///
    /// # Errors
    /// A value has the wrong type or is out of range.
    pub fn read(table: &Table<'_>) -> Result<Self, TableError> {
        let defaults = Self::default();
        let seconds = |key, default: Duration| {
            let value = table.integer(key, 1..=86_400)?;
            Ok(value
                .and_then(|value| u64::try_from(value).ok())
                .map_or(default, Duration::from_secs))
        };
        Ok(Self {
            timeout: seconds("timeout_seconds", defaults.timeout)?,
            connect_timeout: seconds("connect_timeout_seconds", defaults.connect_timeout)?,
            max_attempts: table
                .integer("max_attempts", 1..=1000)?
                .and_then(|value| usize::try_from(value).ok())
                .unwrap_or(defaults.max_attempts),
        })
    }
}
