//! The providers of the settings.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use tokio_util::sync::CancellationToken;

use crate::backends::{Backend, Calling, ConnectError, Pace};
use crate::settings::Settings;
use crate::system::clock::Clock;

/// Returns how to call the providers of the settings, until `stop` is cancelled.
pub fn calling(settings: &Settings, stop: CancellationToken, clock: Clock) -> Calling {
    Calling {
        settings: settings.delivery.clone(),
        pace: Pace::new(settings.delivery.max_per_second),
        stop,
        secret_variables: settings.secret_variables.clone(),
        requests: AtomicUsize::default(),
        clock,
        spread: rand::random,
    }
}

/// Connects the backends of the settings: the first one and the fallback. Each is an error if it can't be connected.
pub fn connect(
    settings: &Settings,
    calling: &Arc<Calling>,
) -> impl Iterator<Item = Result<Backend, ConnectError>> {
    settings.backends().map(move |options| Backend::connect(options, calling))
}
