//! What the rules would say to a send now, for a dry run.

use super::admission::AdmissionRules;
use super::outcome::Outcome;
use super::recipient::{Recipient, Route};
use crate::model::Composer;
use crate::store::{self, Admission, Database, GroupHistory, Refusal, Store, StoreError};
use crate::system::clock::Clock;

/// Judges numbers, each of which comes once, as a real send would. Each one that may be sent to counts for those after it.
pub struct Preview {
    composer: Composer,
    rules: AdmissionRules,
    admission: Admission,
    /// The database that the first number opens, if the rules need it.
    database: Option<Database>,
    /// None before that, and if nothing was ever sent.
    store: Option<Box<dyn Store>>,
    history: GroupHistory,
    clock: Clock,
}

impl Preview {
    /// Returns a preview by these rules. Its first number opens `database`, if `rules` need it and it exists.
    pub fn new(
        composer: Composer,
        rules: AdmissionRules,
        database: Database,
        clock: Clock,
    ) -> Self {
        let admission = rules.admission();
        let database = admission.judge.is_some().then_some(database);
        let history = GroupHistory::new(u32::MAX);
        Self { composer, rules, admission, database, store: None, history, clock }
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
        let refusal = self.rules.refuse_number(route);
        if refusal.is_some() || matches!(route, Route::Test(_)) {
            return Ok(refusal);
        }
        if let Some(database) = self.database.take() {
            self.store = store::open_unchanged(&database, &self.clock)?;
            if let Some(store) = &mut self.store {
                self.clock = store.clock()?;
            }
        }
        if let Some(store) = &mut self.store {
            store.look_up(&mut self.history, &self.admission, phone_number)?;
        }
        let refusal = self.history.judge(&self.admission, phone_number, self.clock.now());
        self.history.forget(phone_number);
        Ok(refusal)
    }
}
