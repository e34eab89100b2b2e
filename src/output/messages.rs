//! The lines of stderr, which the output and the log write alike.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::text::without_controls;

/// Where the lines go.
#[derive(Default)]
pub(super) struct Messages {
    /// The lines that are to go to stderr together; None if each goes there at once.
    kept: Mutex<Option<Vec<u8>>>,
    another: Notify,
}

impl Messages {
    /// Shows `line`, or keeps it until it is taken.
    pub(super) fn show(&self, line: &str) {
        match &mut *self.kept() {
            Some(lines) => {
                lines.extend(line.as_bytes());
                self.another.notify_one();
            }
            // If stderr can't be written, there is nobody left to tell.
            None => _ = io::stderr().write_all(line.as_bytes()),
        }
    }

    /// From now on keeps the lines until they are taken.
    pub(super) fn keep(&self) {
        self.kept().get_or_insert_default();
    }

    /// Returns the lines that were kept since this was last called.
    pub(super) fn take(&self) -> Vec<u8> {
        self.kept().as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Waits for another line that is kept.
    pub(super) async fn another(&self) {
        self.another.notified().await;
    }

    /// Returns how many bytes are kept.
    pub(super) fn length(&self) -> usize {
        self.kept().as_ref().map_or(0, Vec::len)
    }

    fn kept(&self) -> MutexGuard<'_, Option<Vec<u8>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The log of this program, and of no library.
struct Log(Arc<Messages>);

impl log::Log for Log {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        // Libraries log requests, and so might log secrets.
        metadata.target().starts_with(env!("CARGO_CRATE_NAME"))
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            let level = record.level().as_str().to_lowercase();
            let text = record.args().to_string();
            self.0.show(&format!("{level}: {}\n", without_controls(&text)));
        }
    }

    fn flush(&self) {}
}

/// Sends the log to `messages`: at `verbosity` 1 the steps, at 2 the details, above that everything.
pub(super) fn start_log(messages: &Arc<Messages>, verbosity: u8) {
    let level = match verbosity {
        0 => log::LevelFilter::Off,
        1 => log::LevelFilter::Info,
        2 => log::LevelFilter::Debug,
        _ => log::LevelFilter::Trace,
    };
    // A second logger is refused, and the first one serves.
    if log::set_boxed_logger(Box::new(Log(Arc::clone(messages)))).is_ok() {
        log::set_max_level(level);
    }
}
