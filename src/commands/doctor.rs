//! `doctor`: looks at the settings, the database and the provider, and tells what is weak or wrong; changes and sends nothing.

use std::path::Path;

use tokio_util::sync::CancellationToken;

use super::network_runtime;
use crate::exit::{Error, Exit};
use crate::model::{Check, CheckStatus};
use crate::output::Output;
use crate::service::providers;
use crate::settings::Settings;
use crate::store;
use crate::system::clock::Clock;

/// How often a question is asked that was not answered.
const MAX_ATTEMPTS: usize = 2;

/// The arguments of `doctor`.
#[derive(Debug, clap::Args)]
pub struct DoctorArgs {
    /// Ask no provider
    #[arg(long)]
    offline: bool,
}

/// Runs `doctor` with the settings at `config` and the `database`, or else those that are found and named.
///
/// # Errors
/// Returns an error if the checks can't be shown, or the network can't be used at all.
pub fn run(
    args: &DoctorArgs,
    config: Option<&Path>,
    database: Option<&Path>,
    output: &mut Output,
    clock: &Clock,
) -> Result<Exit, Error> {
    let settings = Settings::load(config);
    let mut checks = match &settings {
        Ok(settings) => settings.check(),
        Err(error) => error.check(),
    };
    output.checks("Settings", &checks)?;
    let settings = settings.ok();
    let named = settings.as_ref().map(|settings| settings.database.as_path());
    if let Some(database) = database.or(named) {
        let of_database = store::check(database, clock);
        output.checks("Database", &of_database)?;
        checks.extend(of_database);
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
    for ((area, heading), backend) in areas.into_iter().zip(providers::connect(settings, calling)) {
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
