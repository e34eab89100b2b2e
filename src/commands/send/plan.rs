//! What a run of `send` works with, and what its first number opens.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::report::warnings_of_exposure;
use crate::exit::Error;
use crate::output::Output;
use crate::service::admission::AdmissionRules;
use crate::service::hooks::HookRunner;
use crate::service::preview::Preview;
use crate::service::providers;
use crate::service::sending::{Sender, signing_key};
use crate::settings::Settings;
use crate::store::{self, Database, GroupCommit};
use crate::system::clock::Clock;
use crate::system::process::allow_files_of;
use crate::system::random::SystemRandom;

/// What a run works with.
pub(super) struct Plan<'a> {
    pub(super) settings: &'a Settings,
    pub(super) clock: &'a Clock,
    pub(super) database: &'a Database,
    pub(super) rules: AdmissionRules,
    /// How long to wait for the arrival of each SMS.
    pub(super) patience: Option<Duration>,
    pub(super) is_dry_run: bool,
    /// How many numbers there are, if that is known before they are read.
    pub(super) total: Option<u64>,
    /// Whether a terminal shows how far the run is.
    pub(super) has_bar: bool,
    /// The hooks, if they are to run.
    pub(super) hooks: Option<&'a HookRunner<'a>>,
}

impl<'a> Plan<'a> {
    /// Returns what judges numbers without a send.
    pub(super) fn preview(&self) -> Preview {
        let Self { settings, clock, database, ref rules, .. } = *self;
        Preview::new(settings.composer(), rules.clone(), database.clone(), clock.clone())
    }

    /// Opens the database after everything else that can be wrong with the settings.
    pub(super) fn open_sender(
        &self,
        stop: &CancellationToken,
        output: &Output,
    ) -> Result<Sender<'a, SystemRandom>, Error> {
        let Self { settings, clock, database, ref rules, .. } = *self;
        allow_files_of(settings.delivery.max_in_flight);
        let mut random = SystemRandom::default();
        let key = signing_key(settings, &mut random)
            .map_err(|error| Error::usage(format!("secret_key: {error}")))?;
        let calling = Arc::new(providers::calling(settings, stop.clone(), clock.clone()));
        let backends = providers::connect(settings, &calling).collect::<Result<_, _>>()?;
        let store = store::open_to_send(database, clock)?;
        for warning in warnings_of_exposure(settings, database) {
            output.warning(&warning);
        }
        let store = GroupCommit::start(store, rules.admission())?;
        Ok(Sender::new(settings, store, backends, rules.clone(), key, random, &calling))
    }
}
