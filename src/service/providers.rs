//! The providers of the settings.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::backends::{Backend, Calling, ConnectError};
use crate::settings::Settings;
use crate::system::clock::Clock;

/// Returns how to call the providers of the settings, until `stop` is cancelled.
pub fn calling(settings: &Settings, stop: CancellationToken, clock: Clock) -> Calling {
    let secret_variables = settings.secret_variables.clone();
    Calling { stop, secret_variables, ..Calling::new(settings.delivery.clone(), clock) }
}

/// Connects the backends of the settings: the first one and the fallback. Each is an error if it can't be connected.
pub fn connect(
    settings: &Settings,
    calling: &Arc<Calling>,
) -> impl Iterator<Item = Result<Backend, ConnectError>> {
    settings.backends().map(move |options| Backend::connect(options, calling))
}
