//! The signals that ask the program to stop.

use std::future::poll_fn;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::low_level::emulate_default_handler;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit::{Error, Exit};

/// How many [`Signals`] listen.
static LISTENERS: AtomicUsize = AtomicUsize::new(0);

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
        let heard = kinds.into_iter().filter(|(_, exit)| *exit != Exit::HungUp || hears(SIGHUP));
        let signals: io::Result<_> = heard.map(|(kind, exit)| Ok((signal(kind)?, exit))).collect();
        let signals = signals.map_err(|error| {
            Error::failed(format!("can't listen to signals: {error}")).caused_by(error)
        })?;
        LISTENERS.fetch_add(1, Ordering::SeqCst);
        Ok(Self(signals))
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

impl Drop for Signals {
    fn drop(&mut self) {
        LISTENERS.fetch_sub(1, Ordering::SeqCst);
    }
}

/// From now on, calls `clean_up` before Ctrl-C or SIGTERM ends the program. While [`Signals`] listen, they don't end it.
///
/// # Errors
/// Returns an error if the system doesn't let the program listen, or can't start a thread.
pub fn clean_up_before_end(clean_up: impl Fn() + Send + 'static) -> io::Result<()> {
    let heard = [SIGINT, SIGTERM].into_iter().filter(|signal| hears(*signal));
    let mut signals = signal_hook::iterator::Signals::new(heard)?;
    thread::Builder::new().spawn(move || {
        for signal in signals.forever() {
            if LISTENERS.load(Ordering::SeqCst) == 0 {
                clean_up();
                // It ends the program, as for any other program that doesn't listen.
                let _ = emulate_default_handler(signal);
            }
        }
    })?;
    Ok(())
}

/// Returns whether `signal` would reach the program. A hang-up is ignored with `nohup`, Ctrl-C in the background of a shell, and to
/// listen would undo that. If the system doesn't say (only Linux has `proc_pid_status(5)`), a signal keeps its default effect.
fn hears(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_some_and(|mask| mask & (1 << (signal - 1)) == 0)
}
