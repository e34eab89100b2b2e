//! The signals that ask the program to stop.

use std::future::poll_fn;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::task::Poll;
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::low_level::emulate_default_handler;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit::{Error, Exit};

/// How many [`Signals`] listen.
static LISTENERS: AtomicUsize = AtomicUsize::new(0);
/// Filled once a thread ends the program when a signal comes to which nobody listens.
static ENDING: OnceLock<()> = OnceLock::new();
/// What that thread does first.
static CLEAN_UP: Mutex<Option<Box<dyn Fn() + Send>>> = Mutex::new(None);

/// Ctrl-C, SIGTERM and SIGHUP, each with the exit of a program that it stops. They don't end the program as long as this exists.
pub struct Signals(Vec<(Signal, Exit)>);

impl Signals {
    /// Starts to listen.
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

    /// Stops listening. From now on the signals have their default effect, unless others listen.
    pub fn stop_listening(self) {
        drop(self);
        // Tokio's handlers stay, so that the signals have no effect by themselves any more.
        end_when_nobody_listens();
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

/// From now on, calls `clean_up` before a signal ends the program. While [`Signals`] listen, none does.
pub fn clean_up_before_end(clean_up: impl Fn() + Send + 'static) {
    *CLEAN_UP.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(clean_up));
    end_when_nobody_listens();
}

/// Gives the signals to which nobody listens their default effect. If the system can't, they have none.
fn end_when_nobody_listens() {
    if ENDING.set(()).is_err() {
        return;
    }
    let heard = [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| hears(*signal));
    let Ok(mut signals) = signal_hook::iterator::Signals::new(heard) else { return };
    let end = move || {
        for signal in signals.forever() {
            if LISTENERS.load(Ordering::SeqCst) == 0 {
                let clean_up = CLEAN_UP.lock().unwrap_or_else(PoisonError::into_inner);
                clean_up.iter().for_each(|clean_up| clean_up());
                let _ = emulate_default_handler(signal);
            }
        }
    };
    let _ = thread::Builder::new().spawn(end);
}

/// Returns whether `signal` would reach the program. A hang-up is ignored with `nohup`, Ctrl-C in the background of a shell, and to
/// listen would undo that. If the system doesn't say (only Linux has `proc_pid_status(5)`), a signal keeps its default effect.
fn hears(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_some_and(|mask| mask & (1 << (signal - 1)) == 0)
}
