//! The signals that ask the program to stop.

use std::future;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit::{Error, Exit};

/// Ctrl-C, SIGTERM, and SIGHUP.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Option<Signal>,
}

impl Signals {
    /// Listens to them; from now on they no longer end the program by themselves.
    ///
    /// # Errors
    /// The system does not let it listen.
    pub(super) fn new() -> Result<Self, Error> {
        let listen = |kind| {
            signal(kind).map_err(|error| {
                Error::failed(format!("signals can't be heard: {error}")).caused_by(error)
            })
        };
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hang_up: hears_hang_ups().then(|| listen(SignalKind::hangup())).transpose()?,
        })
    }

    /// Waits for the next signal, and returns how the program ends if it stops for it.
    pub(super) async fn next(&mut self) -> Exit {
        let hang_up = async {
            match &mut self.hang_up {
                Some(hang_up) => hang_up.recv().await,
                None => future::pending().await,
            }
        };
        tokio::select! {
            biased;
            _ = self.interrupt.recv() => Exit::Interrupted,
            _ = self.terminate.recv() => Exit::Terminated,
            _ = hang_up => Exit::HungUp,
        }
    }
}

/// Returns whether a hang-up would reach the program: `nohup` has it ignored, and listening would undo that. Where the system
/// doesn't tell (`proc_pid_status(5)` is Linux's), a hang-up is left to what it does by itself.
fn hears_hang_ups() -> bool {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else { return false };
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_some_and(|mask| mask & (1 << (SignalKind::hangup().as_raw_value() - 1)) == 0)
}
