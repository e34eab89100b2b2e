//! The signals that ask the program to stop.

use std::future::poll_fn;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::thread;
use std::time::Duration;

use futures_util::task::AtomicWaker;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::low_level::emulate_default_handler;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit::{Error, Exit};

/// How long a program that is asked a second time to stop may be busy with something else, such as a database that doesn't answer.
const GRACE: Duration = Duration::from_millis(500);

/// Whether [`Signals`] listen.
static IS_LISTENING: AtomicBool = AtomicBool::new(false);
/// Wakes up who listens.
static LISTENER: AtomicWaker = AtomicWaker::new();
/// Whether who listens was awake since this was false.
static WAS_AWAKE: AtomicBool = AtomicBool::new(false);
/// Whether a thread ends the program when nobody listens.
static IS_WATCHED: Mutex<bool> = Mutex::new(false);
/// What that thread does first.
static CLEAN_UP: Mutex<Option<Box<dyn Fn() + Send>>> = Mutex::new(None);

/// Ctrl-C, SIGTERM and SIGHUP, each with the exit of a program that it stops. From [`Signals::listen`] on they don't end the
/// program, unless it is asked a second time to stop and doesn't listen now.
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
        let heard = kinds.into_iter().filter(|(kind, _)| hears(kind.as_raw_value()));
        let signals: io::Result<_> = heard.map(|(kind, exit)| Ok((signal(kind)?, exit))).collect();
        let signals = signals.and_then(|signals| watch().map(|()| signals)).map_err(|error| {
            Error::failed(format!("can't listen to signals: {error}")).caused_by(error)
        })?;
        IS_LISTENING.store(true, Ordering::SeqCst);
        Ok(Self(signals))
    }

    /// Stops listening. From now on the signals have their default effect.
    pub fn stop_listening(self) {
        IS_LISTENING.store(false, Ordering::SeqCst);
    }

    /// Waits for the next signal, and returns the exit of a program that it stops.
    pub async fn next(&mut self) -> Exit {
        poll_fn(|context| {
            LISTENER.register(context.waker());
            WAS_AWAKE.store(true, Ordering::SeqCst);
            let mut signals = self.0.iter_mut();
            let received = signals.find_map(|(signal, exit)| {
                signal.poll_recv(context).is_ready().then_some(Poll::Ready(*exit))
            });
            received.unwrap_or(Poll::Pending)
        })
        .await
    }
}

/// From now on, calls `clean_up` before a signal ends the program.
pub fn clean_up_before_end(clean_up: impl Fn() + Send + 'static) {
    *lock(&CLEAN_UP) = Some(Box::new(clean_up));
    // If the system doesn't let the program listen, signals keep their default effect.
    let _ = watch();
}

/// Starts the thread that ends the program when a signal comes and nobody listens, unless it runs already.
fn watch() -> io::Result<()> {
    let mut is_watched = lock(&IS_WATCHED);
    if !*is_watched {
        let heard = [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| hears(*signal));
        let mut signals = signal_hook::iterator::Signals::new(heard)?;
        let mut times_asked = 0;
        let watch = move || {
            for signal in signals.forever() {
                // A terminal that closes may send SIGHUP several times.
                times_asked += u32::from(signal != SIGHUP);
                let is_listening = IS_LISTENING.load(Ordering::SeqCst);
                if !is_listening || signal != SIGHUP && times_asked > 1 && is_deaf() {
                    lock(&CLEAN_UP).iter().for_each(|clean_up| clean_up());
                    let _ = emulate_default_handler(signal);
                }
            }
        };
        thread::Builder::new().spawn(watch)?;
        *is_watched = true;
    }
    Ok(())
}

/// Returns whether who listens is busy with something else for long.
fn is_deaf() -> bool {
    WAS_AWAKE.store(false, Ordering::SeqCst);
    LISTENER.wake();
    thread::sleep(GRACE);
    !WAS_AWAKE.load(Ordering::SeqCst)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns whether `signal` would reach the program. A hang-up is ignored with `nohup`, Ctrl-C in the background of a shell, and to
/// listen would undo that. If the system doesn't say (only Linux has `proc_pid_status(5)`), all of them do but a hang-up, which
/// keeps its default effect.
fn hears(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.map_or(signal != SIGHUP, |mask| mask & (1 << (signal - 1)) == 0)
}
