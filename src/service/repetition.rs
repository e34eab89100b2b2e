//! The rule for whether a run seems to send to the same list again.

use super::admission::{AdmissionRules, Resume};
use super::outcome::Outcome;
use super::preview::Preview;
use super::recipient::Recipient;
use crate::settings::{Limits, Settings};
use crate::store::Database;
use crate::system::clock::Clock;

/// How many numbers of a run are looked at.
const SAMPLE: u32 = 20;

/// Looks at the first numbers of a run, before they are sent to: would `--resume` skip them?
pub struct Repetition {
    preview: Preview,
    looked_at: u32,
    repeated: u32,
}

impl Repetition {
    /// Returns a look at no numbers yet. The first one opens `database`.
    pub fn new(settings: &Settings, database: Database, clock: Clock) -> Self {
        let resume = Resume { code_lifetime: settings.code_lifetime, longest_send: None };
        let rules = AdmissionRules { limits: Limits::none(), resume: Some(resume) };
        let preview = Preview::new(settings.composer(), rules, database, clock);
        Self { preview, looked_at: 0, repeated: 0 }
    }

    /// Looks at a number, unless enough were looked at. What keeps the database from being read is an error of the send itself.
    pub fn look_at(&mut self, recipient: &Recipient) {
        if !self.is_complete() {
            let outcome = self.preview.outcome(recipient);
            self.looked_at += 1;
            self.repeated += u32::from(matches!(outcome, Ok(Outcome::Skipped { .. })));
        }
    }

    /// Returns whether enough numbers were looked at.
    pub fn is_complete(&self) -> bool {
        self.looked_at == SAMPLE
    }

    /// Returns how many of how many numbers `--resume` would skip, if they are most of two or more.
    pub fn found(&self) -> Option<(u32, u32)> {
        let is_found = self.looked_at >= 2 && 2 * self.repeated > self.looked_at;
        is_found.then_some((self.repeated, self.looked_at))
    }
}
