//! The signals that ask the program to stop.

use std::future::poll_fn;
use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use signal_hook::flag::register_conditional_default;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit::{Error, Exit};

/// Whether the signals have their default effect again. Tokio's handlers stay once somebody has listened.
static HAS_DEFAULTS: AtomicBool = AtomicBool::new(false);
/// Filled once the handlers are there that look at [`HAS_DEFAULTS`].
static DEFAULTS: OnceLock<()> = OnceLock::new();

/// Ctrl-C, SIGTERM and SIGHUP, each with the exit of a program that it stops.
pub struct Signals(Vec<(Signal, Exit)>);

impl Signals {
    /// Starts to listen. From now on the signals don't end the program by themselves.
    ///
    /// # Errors
    /// Returns an error if the system doesn't let the program listen.
    pub fn listen() -> Result<Self, Error> {
        let kinds = [
            (SignalKind::interrupt(), Exit::Interrupted),
            (SignalKind::terminate(), Exit::Terminated),
            (SignalKind::hangup(), Exit::HungUp),
        ];
        let heard = kinds.into_iter().filter(|(_, exit)| *exit != Exit::HungUp || hears_hang_ups());
        let signals: io::Result<_> = heard.map(|(kind, exit)| Ok((signal(kind)?, exit))).collect();
        HAS_DEFAULTS.store(false, Ordering::SeqCst);
        signals.map(Self).map_err(|error| {
            Error::failed(format!("can't listen to signals: {error}")).caused_by(error)
        })
    }

    /// Stops listening. From now on the signals end the program by themselves, until it listens again.
    ///
    /// # Errors
    /// Returns an error if the system doesn't let the program do that.
    pub fn stop_listening(self) -> io::Result<()> {
        if DEFAULTS.set(()).is_ok() {
            for (_, exit) in &self.0 {
                // The exit code is 128 plus the number of the signal.
                register_conditional_default(i32::from(exit.code()) - 128, &HAS_DEFAULTS)?;
            }
        }
        HAS_DEFAULTS.store(true, Ordering::SeqCst);
        Ok(())
    }

    /// Waits for the next signal, and returns the exit of a program that it stops.
    pub async fn next(&mut self) -> Exit {
        poll_fn(|context| {
            let mut signals = self.0.iter_mut();
            let received = signals.find_map(|(signal, exit)| {
                signal.poll_recv(context).is_ready().then_some(Poll::Ready(*exit))
            });
            received.unwrap_or(Poll::Pending)
        })
        .await
    }
}

/// Returns whether a hang-up would reach the program. With `nohup` it's ignored, and to listen would undo that. If the system
/// doesn't say (only Linux has `proc_pid_status(5)`), a hang-up keeps its default effect.
fn hears_hang_ups() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_some_and(|mask| mask & (1 << (SignalKind::hangup().as_raw_value() - 1)) == 0)
}
