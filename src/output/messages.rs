//! The lines of stderr, from the output and from the log.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use log::LevelFilter::{Debug, Info, Off, Trace};
use tokio::sync::Notify;

use super::status_line::StatusLine;
use super::text::on_one_line;

/// The way of the lines to stderr.
#[derive(Default)]
pub(super) struct Messages {
    /// The lines that wait to be taken; None if each goes to stderr at once.
    kept: Mutex<Option<Vec<u8>>>,
    /// Notified of each line that is kept.
    pub(super) another: Notify,
    status_line: StatusLine,
}

impl Messages {
    /// Returns the way of lines that stand above `status_line`.
    pub(super) fn above(status_line: StatusLine) -> Self {
        Self { status_line, ..Self::default() }
    }

    /// Shows `line`, or keeps it until it is taken.
    pub(super) fn show(&self, line: &str) {
        match &mut *self.kept() {
            Some(lines) => {
                lines.extend(line.as_bytes());
                self.another.notify_one();
            }
            // If stderr can't be written, no other place is left for a message.
            None => {
                let write = || io::stderr().write_all(line.as_bytes());
                let _ = self.status_line.make_room(write);
            }
        }
    }

    /// From now on keeps the lines until they are taken.
    pub(super) fn keep(&self) {
        self.kept().get_or_insert_default();
    }

    /// Shows the lines that are kept, and from now on each line at once.
    pub(super) fn stop_keeping(&self) {
        let kept = self.kept().take();
        let _ = io::stderr().write_all(&kept.unwrap_or_default());
    }

    /// Returns the lines kept since the last call.
    pub(super) fn take(&self) -> Vec<u8> {
        self.kept().as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Returns how many bytes are kept.
    pub(super) fn length(&self) -> usize {
        self.kept().as_ref().map_or(0, Vec::len)
    }

    fn kept(&self) -> MutexGuard<'_, Option<Vec<u8>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl log::Log for Messages {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        // Only this program's own log: libraries log requests, and so might log secrets.
        metadata.target().starts_with(env!("CARGO_CRATE_NAME"))
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            let level = record.level().as_str().to_lowercase();
            let text = record.args().to_string();
            self.show(&format!("{level}: {}\n", on_one_line(&text)));
        }
    }

    fn flush(&self) {}
}

/// Sends the log to `messages`: at `verbosity` 1 the steps, at 2 the details, above that everything.
pub(super) fn start_log(messages: &Arc<Messages>, verbosity: u8) {
    let level = [Off, Info, Debug, Trace][usize::from(verbosity.min(3))];
    // Only a test sets a second logger. The first one stays.
    if log::set_boxed_logger(Box::new(Arc::clone(messages))).is_ok() {
        log::set_max_level(level);
    }
}
