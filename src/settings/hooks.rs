//! The `[hooks]` table: the programs that are run once something has happened.

use std::time::Duration;

use crate::settings_table::{Table, TableError};
use crate::system::program::Program;

/// The programs that are run once something has happened. Each is off unless set.
#[derive(Debug, Clone)]
pub struct Hooks {
    /// After a code became valid.
    pub verified: Option<Program>,
    /// After an SMS was accepted.
    pub sent: Option<Program>,
    /// After a number was not sent to, or not certainly.
    pub failed: Option<Program>,
    /// How long each may run.
    pub timeout: Duration,
}

impl Default for Hooks {
    fn default() -> Self {
        Self { verified: None, sent: None, failed: None, timeout: Duration::from_secs(30) }
    }
}

impl Hooks {
    /// Reads the `[hooks]` table.
    ///
    /// # Errors
    /// A value has the wrong type or is out of range.
    pub(super) fn read(table: &Table<'_>) -> Result<Self, TableError> {
        Ok(Self {
            verified: table.program("verified")?,
            sent: table.program("sent")?,
            failed: table.program("failed")?,
            timeout: table.seconds("timeout_seconds")?.unwrap_or(Self::default().timeout),
        })
    }
}
