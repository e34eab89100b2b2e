//! `doctor`: checks the settings, the database and the provider, and reports what is weak or wrong. It changes and sends nothing.

use std::path::PathBuf;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::network_runtime;
use crate::exit::{Error, Exit};
use crate::model::{Check, CheckStatus};
use crate::output::Output;
use crate::service::providers;
use crate::settings::Settings;
use crate::store::{self, Database};
use crate::system::clock::Clock;
use crate::system::waiting::Wait;

/// How often a provider is asked if it doesn't answer.
const MAX_ATTEMPTS: usize = 2;

/// The arguments of `doctor`.
#[derive(Debug, clap::Args)]
pub struct DoctorArgs {
    /// Do not ask the provider
    #[arg(long)]
    pub(super) offline: bool,
}

/// Runs `doctor` with the settings at `config`, or else those that are found, and with `database`, or else the one in the
/// settings.
///
/// # Errors
/// Returns an error if the checks can't be shown, or the network can't be used at all.
pub fn run(
    args: &DoctorArgs,
    config: Option<PathBuf>,
    database: Option<Database>,
    output: &mut Output,
    clock: &Clock,
) -> Result<Exit, Error> {
    let settings = Settings::load(config.as_deref());
    let mut checks = match &settings {
        Ok(settings) => settings.check(clock.now()),
        Err(error) => error.check(),
    };
    output.checks("Settings", &checks)?;
    let settings = settings.ok();
    if let Some(database) = database.or(settings.as_ref().map(|found| found.database.clone())) {
        let wait = Wait::start("checking the database");
        let found = store::check(&database, clock);
        drop(wait);
        output.checks("Database", &found)?;
        checks.extend(found);
    }
    if let Some(settings) = settings.filter(|_| !args.offline) {
        checks.extend(check_providers(&settings, output, clock)?);
    }
    output.check_summary(&checks)?;
    let has_failed = checks.iter().any(|check| check.status == CheckStatus::Failure);
    Ok(if has_failed { Exit::Failed } else { Exit::Done })
}

fn check_providers(
    settings: &Settings,
    output: &mut Output,
    clock: &Clock,
) -> Result<Vec<Check>, Error> {
    let mut calling = providers::calling(settings, CancellationToken::new(), clock.clone());
    calling.settings.max_attempts = calling.settings.max_attempts.min(MAX_ATTEMPTS);
    let mut checks = Vec::new();
    let areas = [("provider", "Provider"), ("fallback", "Fallback")];
    let calling = Arc::new(calling);
    let backends = providers::connect(settings, &calling);
    for ((area, heading), backend) in areas.into_iter().zip(backends) {
        let found = match backend {
            Ok(backend) => network_runtime()?.block_on(backend.check()),
            Err(error) => vec![error.check()],
        };
        let found: Vec<_> = found.into_iter().map(|check| check.within(area)).collect();
        output.checks(heading, &found)?;
        checks.extend(found);
    }
    Ok(checks)
}
