//! The threads that write stdout and stderr, so that a reader who takes their time, as at a pager, holds up neither the answer of
//! a provider nor a signal.

use std::io::{self, IsTerminal, Write};
use std::sync::mpsc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Stat, fstat};
use tokio::sync::oneshot;

use super::status_line::{Progress, StatusLine};

/// What is written together, in this order.
#[derive(Default, PartialEq)]
pub(super) struct Chunk {
    pub(super) progress: Option<Progress>,
    /// Each part goes to another stream than the one before it.
    pub(super) parts: Vec<Part>,
}

#[derive(PartialEq)]
pub(super) enum Part {
    Messages(Vec<u8>),
    Results(Vec<u8>),
}

impl Chunk {
    /// Adds lines for stderr.
    pub(super) fn add_messages(&mut self, lines: &[u8]) {
        match self.parts.last_mut() {
            _ if lines.is_empty() => {}
            Some(Part::Messages(last)) => last.extend(lines),
            _ => self.parts.push(Part::Messages(lines.into())),
        }
    }

    /// Adds bytes for stdout.
    pub(super) fn add_results(&mut self, bytes: &[u8]) {
        match self.parts.last_mut() {
            _ if bytes.is_empty() => {}
            Some(Part::Results(last)) => last.extend(bytes),
            _ => self.parts.push(Part::Results(bytes.into())),
        }
    }

    /// Returns how many bytes are to be written.
    pub(super) fn length(&self) -> usize {
        let lengths = self.parts.iter().map(|part| match part {
            Part::Messages(bytes) | Part::Results(bytes) => bytes.len(),
        });
        lengths.sum()
    }
}

/// The index of a thread, and whether it could write its chunk to stdout.
pub(super) type ChunkEnd = (usize, io::Result<()>);

pub(super) struct Thread {
    chunks: mpsc::Sender<(Chunk, oneshot::Sender<ChunkEnd>)>,
    pub(super) is_busy: bool,
}

impl Thread {
    /// Starts a thread, which writes above `status_line`. Only threads touch that line, since drawing may wait for the terminal.
    ///
    /// # Errors
    /// Returns an error if the system can't start a thread.
    pub(super) fn start(index: usize, status_line: StatusLine) -> io::Result<Self> {
        let (chunks, waiting) = mpsc::channel::<(Chunk, oneshot::Sender<_>)>();
        std::thread::Builder::new().spawn(move || {
            for (chunk, end) in waiting {
                let written = write_chunk(chunk, &status_line);
                // A program that was asked twice to stop doesn't wait for the last one.
                let _ = end.send((index, written));
            }
        })?;
        Ok(Self { chunks, is_busy: false })
    }

    /// Has the thread write `chunk`, unless it is empty, and returns what receives its end.
    pub(super) fn write(&mut self, chunk: Chunk) -> Option<oneshot::Receiver<ChunkEnd>> {
        self.is_busy = chunk != Chunk::default();
        self.is_busy.then(|| {
            let (sender, end) = oneshot::channel();
            self.chunks.send((chunk, sender)).expect("the thread runs as long as its sender");
            end
        })
    }
}

fn write_chunk(chunk: Chunk, status_line: &StatusLine) -> io::Result<()> {
    let Chunk { progress, parts } = chunk;
    if let Some(progress) = progress {
        status_line.show(progress);
    }
    let mut written = Ok(());
    for part in parts {
        match part {
            // The results may have a reader even if the messages don't, and the other way round.
            Part::Messages(lines) => {
                let _ = status_line.make_room(|| io::stderr().write_all(&lines));
            }
            Part::Results(bytes) if written.is_ok() => {
                written = write_to_stdout(&bytes, status_line);
            }
            Part::Results(_) => {}
        }
    }
    written
}

/// Writes `bytes` to stdout: above `status_line` if stdout is a terminal too.
pub(super) fn write_to_stdout(bytes: &[u8], status_line: &StatusLine) -> io::Result<()> {
    let write = || {
        let mut stdout = io::stdout().lock();
        stdout.write_all(bytes)?;
        stdout.flush()
    };
    if io::stdout().is_terminal() { status_line.make_room(write) } else { write() }
}

/// Waits for `pause`, but no longer than stdout has a reader. Returns whether the reader has gone away.
pub(super) fn is_closed_within(pause: Duration) -> bool {
    let stdout = io::stdout();
    // Without a flag, poll waits for errors and the end alone.
    let mut waited = [PollFd::new(&stdout, PollFlags::empty())];
    let timeout = Timespec { tv_sec: pause.as_secs().cast_signed(), tv_nsec: 0 };
    matches!(poll(&mut waited, Some(&timeout)), Ok(1..))
}

/// Returns whether stdout and stderr are the same terminal, pipe or file, as after `2>&1`, or might be.
pub(super) fn has_one_reader() -> bool {
    let identity = |stat: Stat| (stat.st_dev, stat.st_ino);
    match (fstat(io::stdout()), fstat(io::stderr())) {
        (Ok(stdout), Ok(stderr)) => identity(stdout) == identity(stderr),
        _ => true,
    }
}
