//! The threads that write stdout and stderr: a reader who takes their time, as at a pager, then holds up what they read and
//! nothing else, neither the answers of a provider nor a signal.

use std::fs::File;
use std::future::poll_fn;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::pin::Pin;
use std::sync::mpsc;
use std::task::{self, Poll, ready};

use indicatif::ProgressBar;
use tokio::sync::oneshot;

use super::messages::Messages;
use super::progress::{self, Progress};

/// So many bytes may wait for their reader before no more are to be made.
const MAX_UNWRITTEN: usize = 64 * 1024;

/// What is written together, in this order: an error comes before the result that it explains.
#[derive(Default, PartialEq)]
struct Batch {
    progress: Option<Progress>,
    messages: Vec<u8>,
    results: Vec<u8>,
}

/// What waits to be written, and the threads that write.
pub(super) struct Writer {
    /// What is written next; its messages wait in [`Messages`].
    next: Batch,
    /// How far the progress bar is, if there is one.
    position: Option<u64>,
    /// The thread of the messages and that of the results: neither stream's reader holds up the other's. They are the same if
    /// both streams end at one reader, for whom a line of one must not break a line of the other.
    threads: Vec<Thread>,
}

struct Thread {
    batches: mpsc::Sender<(Batch, oneshot::Sender<io::Result<()>>)>,
    /// The end of the batch that is being written.
    written: Option<oneshot::Receiver<io::Result<()>>>,
}

impl Writer {
    /// Starts the threads. From now on `bar` is theirs: drawing it may wait for the terminal.
    ///
    /// # Errors
    /// Returns an error if the system has no thread to give.
    pub(super) fn start(bar: Option<ProgressBar>, stdout_is_terminal: bool) -> io::Result<Self> {
        let position = bar.as_ref().map(|_| 0);
        let count = if has_one_reader() { 1 } else { 2 };
        let threads = (0..count).map(|_| Thread::start(bar.clone(), stdout_is_terminal));
        Ok(Self { next: Batch::default(), position, threads: threads.collect::<Result<_, _>>()? })
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
        is_waiting || self.threads.iter().any(|thread| thread.written.is_some())
    }

    /// Returns whether so much waits for its reader that no more is to be made.
    pub(super) fn is_backed_up(&self, messages: &Messages) -> bool {
        self.next.results.len().max(messages.length()) >= MAX_UNWRITTEN
    }

    /// Gives each thread that is free what waits for it, and returns once one of them has written its batch or could not.
    /// Dropped before its end, it goes on when called again.
    ///
    /// # Errors
    /// Returns an error if stdout can't be written. If stderr can't be, there is nobody left to tell.
    pub(super) async fn write(&mut self, messages: &Messages) -> io::Result<()> {
        loop {
            let last = self.threads.len() - 1;
            for (index, thread) in self.threads.iter_mut().enumerate() {
                if thread.written.is_none() {
                    let (mut batch, next) = (Batch::default(), &mut self.next);
                    if index == 0 {
                        (batch.progress, batch.messages) = (next.progress.take(), messages.take());
                    }
                    if index == last {
                        batch.results = std::mem::take(&mut next.results);
                    }
                    thread.begin(batch);
                }
            }
            let threads = &mut self.threads;
            let ended = poll_fn(|context| {
                let mut ends = threads.iter_mut().map(|thread| thread.poll_end(context));
                ends.find(Poll::is_ready).unwrap_or(Poll::Pending)
            });
            tokio::select! {
                result = ended => return result,
                // The log says something while everything else waits.
                () = messages.another() => {}
            }
        }
    }
}

impl Thread {
    fn start(bar: Option<ProgressBar>, stdout_is_terminal: bool) -> io::Result<Self> {
        let (batches, waiting) = mpsc::channel::<(Batch, oneshot::Sender<_>)>();
        std::thread::Builder::new().spawn(move || {
            for (batch, written) in waiting {
                // Nobody waits for the last one of a program that was asked twice to stop.
                let _ = written.send(write_batch(batch, bar.as_ref(), stdout_is_terminal));
            }
        })?;
        Ok(Self { batches, written: None })
    }

    fn begin(&mut self, batch: Batch) {
        if batch != Batch::default() {
            let (sender, written) = oneshot::channel();
            self.batches.send((batch, sender)).expect("the thread lives as long as this");
            self.written = Some(written);
        }
    }

    fn poll_end(&mut self, context: &mut task::Context<'_>) -> Poll<io::Result<()>> {
        let Some(written) = &mut self.written else { return Poll::Pending };
        let result = ready!(Pin::new(written).poll(context));
        self.written = None;
        Poll::Ready(result.expect("the thread reports the end of every batch"))
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
        // Each only if there is something to write: the other thread may hold the lock of its stream.
        if !messages.is_empty() {
            // Whether or not anybody reads the messages, the results have their reader.
            let _ = io::stderr().write_all(&messages);
        }
        if results.is_empty() { Ok(()) } else { write_to_stdout(&results) }
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

/// Returns whether stdout and stderr are the same terminal, pipe or file, as after `2>&1`, or might be.
fn has_one_reader() -> bool {
    let identity = |stream: &dyn AsFd| {
        let file = File::from(stream.as_fd().try_clone_to_owned()?);
        file.metadata().map(|metadata| (metadata.dev(), metadata.ino()))
    };
    match (identity(&io::stdout()), identity(&io::stderr())) {
        (Ok(stdout), Ok(stderr)) => stdout == stderr,
        _ => true,
    }
}
