//! The way from the settings to the providers that they name.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::backends::{Backend, Calling, ConnectError, Pace};
use crate::settings::Settings;
use crate::system::clock::Clock;

/// Returns how the providers of the settings are called, until `stop` says that the program is to stop.
pub fn calling(settings: &Settings, stop: CancellationToken, clock: Clock) -> Calling {
    Calling {
        settings: settings.delivery.clone(),
        pace: Pace::new(settings.delivery.max_per_second),
        stop,
        secret_variables: settings.secret_variables.clone(),
        clock,
    }
}

/// Returns the backends of the settings: the first, and the one that it may be handed over to. In place of one comes a secret
/// that can't be looked up, or an HTTP client that can't be built.
pub fn connect(
    settings: &Settings,
    calling: Calling,
) -> impl Iterator<Item = Result<Backend, ConnectError>> {
    let calling = Arc::new(calling);
    settings.backends().map(move |options| Backend::connect(options, &calling))
}
