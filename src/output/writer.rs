//! A thread that writes stdout and stderr, so that a reader who takes their time, as at a pager, holds up neither the answers of
//! a provider nor a signal.

use std::io::{self, Write};
use std::sync::mpsc;

use indicatif::ProgressBar;
use tokio::sync::oneshot;

use super::messages::Messages;
use super::progress::{self, Progress};

/// So many bytes may wait for their reader before no more are to be made.
const MAX_UNWRITTEN: usize = 64 * 1024;

/// What is written together, in this order: an error comes before the result that it explains.
#[derive(Default)]
struct Batch {
    progress: Option<Progress>,
    messages: Vec<u8>,
    results: Vec<u8>,
}

/// What waits to be written, and the thread that writes.
pub(super) struct Writer {
    /// The next batch; its messages wait in [`Messages`].
    next: Batch,
    /// How far the progress bar is, if there is one.
    position: Option<u64>,
    batches: mpsc::Sender<(Batch, oneshot::Sender<io::Result<()>>)>,
    /// The end of the batch that is being written.
    written: Option<oneshot::Receiver<io::Result<()>>>,
}

impl Writer {
    /// Starts the thread. From now on `bar` is its own: drawing it may wait for the terminal.
    ///
    /// # Errors
    /// Returns an error if the system has no thread to give.
    pub(super) fn start(bar: Option<ProgressBar>, stdout_is_terminal: bool) -> io::Result<Self> {
        let position = bar.as_ref().map(|_| 0);
        let (batches, waiting) = mpsc::channel::<(Batch, oneshot::Sender<_>)>();
        std::thread::Builder::new().spawn(move || {
            for (batch, written) in waiting {
                // Nobody waits for the last one of a program that was asked twice to stop.
                let _ = written.send(write_batch(batch, bar.as_ref(), stdout_is_terminal));
            }
        })?;
        Ok(Self { next: Batch::default(), position, batches, written: None })
    }

    /// Takes lines for stdout.
    pub(super) fn take(&mut self, results: &[u8]) {
        self.next.results.extend(results);
    }

    /// Moves the progress bar on by one, with the counts behind it.
    pub(super) fn advance(&mut self, counts: impl FnOnce() -> String) {
        if let Some(position) = &mut self.position {
            *position += 1;
            self.next.progress = Some(Progress::At(*position, counts()));
        }
    }

    /// Removes the progress bar.
    pub(super) fn finish(&mut self) {
        if self.position.take().is_some() {
            self.next.progress = Some(Progress::Over);
        }
    }

    /// Returns whether anything is not written yet.
    pub(super) fn has_unwritten(&self, messages: &Messages) -> bool {
        let Batch { progress, results, .. } = &self.next;
        let is_waiting = progress.is_some() || !results.is_empty() || messages.length() > 0;
        is_waiting || self.written.is_some()
    }

    /// Returns whether so much waits for its reader that no more is to be made.
    pub(super) fn is_backed_up(&self, messages: &Messages) -> bool {
        self.next.results.len().max(messages.length()) >= MAX_UNWRITTEN
    }

    /// Has the next batch written, and returns once it is or can't be; if there is nothing to write, once there is. Dropped
    /// before its end, it goes on when called again.
    ///
    /// # Errors
    /// Returns an error if stdout can't be written. If stderr can't be, there is nobody left to tell.
    pub(super) async fn write(&mut self, messages: &Messages) -> io::Result<()> {
        while !self.has_unwritten(messages) {
            // The log says something while everything else waits.
            messages.another().await;
        }
        let (batches, next) = (&self.batches, &mut self.next);
        let written = self.written.get_or_insert_with(|| {
            let batch = Batch { messages: messages.take(), ..std::mem::take(next) };
            let (sender, written) = oneshot::channel();
            batches.send((batch, sender)).expect("the thread lives as long as this");
            written
        });
        let result = written.await.expect("the thread reports the end of every batch");
        self.written = None;
        result
    }
}

fn write_batch(
    Batch { progress, messages, results }: Batch,
    bar: Option<&ProgressBar>,
    stdout_is_terminal: bool,
) -> io::Result<()> {
    if let (Some(bar), Some(progress)) = (bar, progress) {
        progress::show(bar, progress);
    }
    let is_in_the_way = !messages.is_empty() || (stdout_is_terminal && !results.is_empty());
    let write = || {
        // Whether or not anybody reads the messages, the results have their reader.
        let _ = io::stderr().write_all(&messages);
        write_to_stdout(&results)
    };
    match bar {
        Some(bar) if is_in_the_way => bar.suspend(write),
        _ => write(),
    }
}

/// Writes `bytes` to stdout.
///
/// # Errors
/// Returns an error if it can't be written.
pub(super) fn write_to_stdout(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes)?;
    stdout.flush()
}
