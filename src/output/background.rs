//! Stdout and stderr, each written by a thread of its own: a reader who takes their time, as at a pager, then holds up what
//! they read and nothing else, neither the answers of a provider nor a signal.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::sync::mpsc;

use indicatif::ProgressBar;

use super::messages::Messages;
use super::progress::{self, Progress};
use super::writer::Writer;

/// So many bytes may wait for their reader before no more are to be made.
const MAX_UNWRITTEN: usize = 64 * 1024;

/// Lines for stdout, and where to wait for what comes before them.
type ResultBatch = (Vec<u8>, Option<mpsc::Receiver<()>>);
/// Lines for stderr, how far the run is, and what tells, when it is dropped, that they are written.
type MessageBatch = (Vec<u8>, Option<Progress>, mpsc::Sender<()>);

/// What waits to be written, and the threads that write.
pub(super) struct Background {
    results: Vec<u8>,
    progress: Option<Progress>,
    /// How far the progress bar is, where there is one.
    position: Option<u64>,
    stdout: Writer<ResultBatch>,
    stderr: Writer<MessageBatch>,
    /// Whether both end at one reader, for whom a line of one must not break a line of the other.
    are_one: bool,
}

impl Background {
    /// Starts the threads. From now on `bar` is theirs: drawing it may wait for the terminal.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub(super) fn start(bar: Option<ProgressBar>, stdout_is_terminal: bool) -> io::Result<Self> {
        let position = bar.as_ref().map(|_| 0);
        // The bar is in the way only where the results go to a terminal as well.
        let bar_on_stdout = bar.clone().filter(|_| stdout_is_terminal);
        let write_results = move |(lines, turn): ResultBatch| {
            // It fails as soon as what comes before is written, since nothing is ever sent.
            let _ = turn.map(|turn| turn.recv());
            beside(bar_on_stdout.as_ref(), || write_to_stdout(&lines))
        };
        let write_messages = move |(lines, progress, _done): MessageBatch| {
            if let (Some(bar), Some(progress)) = (&bar, progress) {
                progress::show(bar, progress);
            }
            if lines.is_empty() {
                return Ok(());
            }
            beside(bar.as_ref(), || io::stderr().write_all(&lines))
        };
        Ok(Self {
            results: Vec::new(),
            progress: None,
            position,
            stdout: Writer::start(write_results)?,
            stderr: Writer::start(write_messages)?,
            are_one: are_one(),
        })
    }

    /// Takes lines for stdout.
    pub(super) fn take(&mut self, results: &[u8]) {
        self.results.extend(results);
    }

    /// Drops what was taken for a stdout that nobody reads any more.
    pub(super) fn drop_results(&mut self) {
        self.results.clear();
    }

    /// Moves the progress bar on by one, with the counts behind it.
    pub(super) fn advance(&mut self, counts: impl FnOnce() -> String) {
        if let Some(position) = &mut self.position {
            *position += 1;
            self.progress = Some(Progress::At(*position, counts()));
        }
    }

    /// Removes the progress bar.
    pub(super) fn finish(&mut self) {
        if self.position.take().is_some() {
            self.progress = Some(Progress::Over);
        }
    }

    /// Returns whether anything is not written yet.
    pub(super) fn has_unwritten(&self, messages: &Messages) -> bool {
        let is_waiting =
            !self.results.is_empty() || self.progress.is_some() || messages.length() > 0;
        is_waiting || self.stdout.is_busy() || self.stderr.is_busy()
    }

    /// Returns whether so much waits for its reader that no more is to be made.
    pub(super) fn is_backed_up(&self, messages: &Messages) -> bool {
        self.results.len().max(messages.length()) >= MAX_UNWRITTEN
    }

    /// Writes what was taken, as far as the threads are free, and returns once one of them has written its part or could not;
    /// where there is nothing to write, never. Dropped before its end, it goes on when called again.
    ///
    /// # Errors
    /// Stdout can't be written. Where stderr can't be there is nobody left to tell.
    pub(super) async fn write(&mut self, messages: &Messages) -> io::Result<()> {
        loop {
            self.begin(messages);
            tokio::select! {
                biased;
                written = self.stdout.end(), if self.stdout.is_busy() => return written,
                _ = self.stderr.end(), if self.stderr.is_busy() => return Ok(()),
                // The log says something while everything else waits.
                () = messages.another() => {}
            }
        }
    }

    /// Gives each thread that is free what was taken for it.
    fn begin(&mut self, messages: &Messages) {
        let is_held_up = self.are_one && (self.stdout.is_busy() || self.stderr.is_busy());
        let (done, turn) = mpsc::channel();
        if !is_held_up && !self.stderr.is_busy() {
            let (lines, progress) = (messages.take(), self.progress.take());
            if !lines.is_empty() || progress.is_some() {
                self.stderr.begin((lines, progress, done));
            }
        }
        if !is_held_up && !self.stdout.is_busy() && !self.results.is_empty() {
            let results = std::mem::take(&mut self.results);
            // An error comes before the result that it explains.
            self.stdout.begin((results, self.are_one.then_some(turn)));
        }
    }
}

/// Writes `bytes` to stdout.
///
/// # Errors
/// It can't be written.
pub(super) fn write_to_stdout(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes)?;
    stdout.flush()
}

/// Runs `write` while the progress bar, where there is one, leaves the terminal alone.
fn beside<T>(bar: Option<&ProgressBar>, write: impl FnOnce() -> T) -> T {
    match bar {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

/// Returns whether stdout and stderr are the same terminal, pipe or file, as after `2>&1`, or might be.
fn are_one() -> bool {
    let identity = |stream: &dyn AsFd| {
        let file = File::from(stream.as_fd().try_clone_to_owned()?);
        file.metadata().map(|metadata| (metadata.dev(), metadata.ino()))
    };
    match (identity(&io::stdout()), identity(&io::stderr())) {
        (Ok(stdout), Ok(stderr)) => stdout == stderr,
        (_, Err(_)) | (Err(_), _) => true,
    }
}
