//! What the rules would say to a send now, for a dry run.

use std::path::Path;

use super::admission::AdmissionRules;
use super::outcome::Outcome;
use super::recipient::{Recipient, Route};
use crate::model::Composer;
use crate::store::{self, Admission, GroupHistory, Refusal, Store, StoreError};
use crate::system::clock::Clock;

/// Judges numbers as a real send would. Each one that may be sent to counts for those after it.
pub struct Preview {
    composer: Composer,
    rules: AdmissionRules,
    admission: Admission,
    /// None if the rules don't need it, or if nothing was ever sent.
    store: Option<Box<dyn Store>>,
    history: GroupHistory,
    clock: Clock,
}

impl Preview {
    /// Opens `database`, if `rules` need it and it exists.
    ///
    /// # Errors
    /// Returns an error if the database can't be used.
    pub fn open(
        composer: Composer,
        rules: AdmissionRules,
        database: &Path,
        clock: &Clock,
    ) -> Result<Self, StoreError> {
        let admission = rules.admission();
        let needs_store = admission.judge.is_some();
        let store = if needs_store { store::open_unchanged(database, clock)? } else { None };
        let history = GroupHistory::new(u32::MAX);
        Ok(Self { composer, rules, admission, store, history, clock: clock.clone() })
    }

    /// Returns what a send to `recipient` would come to now.
    ///
    /// # Errors
    /// Returns an error if the database can't be read.
    pub fn outcome(&mut self, recipient: &Recipient) -> Result<Outcome, StoreError> {
        Ok(match self.refuse(recipient)? {
            Some(refusal) => refusal.into(),
            None => {
                let text = self.composer.preview(&recipient.text);
                Outcome::dry_run(text, &recipient.route)
            }
        })
    }

    fn refuse(&mut self, recipient: &Recipient) -> Result<Option<Refusal>, StoreError> {
        let Recipient { phone_number, route, .. } = recipient;
        if let Route::Test(_) = route {
            return Ok(None);
        }
        if let Some(refusal) = self.rules.refuse_number(route) {
            return Ok(Some(refusal));
        }
        if let Some(store) = &mut self.store {
            store.look_up(&mut self.history, &self.admission, phone_number)?;
        }
        Ok(self.history.judge(&self.admission, phone_number, self.clock.now()))
    }
}
