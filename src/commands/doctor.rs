//! `doctor`: looks at the settings, the database and the provider, and tells what is weak or wrong; changes and sends nothing.

use std::path::Path;

use tokio_util::sync::CancellationToken;

use super::network_runtime;
use crate::backends::{Backend, ConnectError};
use crate::exit::{Error, Exit};
use crate::model::{Check, CheckStatus};
use crate::output::Output;
use crate::service::{checkup, providers};
use crate::settings::Settings;
use crate::store;
use crate::system::clock::Clock;

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
    let settings = Settings::examine(config);
    let mut checks = match &settings {
        Ok(settings) => checkup::check_settings(settings),
        Err(broken) => checkup::check_broken_settings(broken),
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
    let calling = checkup::calling(settings, CancellationToken::new(), clock.clone());
    let mut checks = Vec::new();
    let areas = [("provider", "Provider"), ("fallback", "Fallback")];
    for ((area, heading), backend) in areas.into_iter().zip(providers::connect(settings, &calling))
    {
        let of_provider = check_provider(area, backend)?;
        output.checks(heading, &of_provider)?;
        checks.extend(of_provider);
    }
    Ok(checks)
}

fn check_provider(area: &str, backend: Result<Backend, ConnectError>) -> Result<Vec<Check>, Error> {
    Ok(match backend {
        Ok(backend) => {
            let findings = network_runtime()?.block_on(backend.examine());
            checkup::check_provider(area, &findings)
        }
        Err(error) => vec![checkup::check_unconnected(area, &error)],
    })
}
