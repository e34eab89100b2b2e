//! The `[hooks]` table: the programs that run after an event.

use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use crate::model::values::patience;
use crate::system::program::Program;

/// The programs that run after an event. Each is off unless set.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub struct Hooks {
    /// After a code was verified.
    pub verified: Option<Program>,
    /// After an SMS was accepted.
    pub sent: Option<Program>,
    /// After a number was not, or not certainly, sent to.
    pub failed: Option<Program>,
    /// How long each may run.
    #[serde(rename = "timeout_seconds", deserialize_with = "patience")]
    pub timeout: Duration,
}

impl Default for Hooks {
    fn default() -> Self {
        Self { verified: None, sent: None, failed: None, timeout: Duration::from_secs(30) }
    }
}

impl Hooks {
    /// Returns the same programs, their paths relative to `directory`.
    pub(super) fn within(self, directory: &Path) -> Self {
        let programs = [self.verified, self.sent, self.failed];
        let [verified, sent, failed] = programs.map(|program| Some(program?.within(directory)));
        Self { verified, sent, failed, ..self }
    }
}
