//! Stdout, written by a thread of its own: a reader who takes his time, as at a pager, then holds up the results and nothing
//! else, neither the answers of a provider nor a signal.

use std::io::{self, Write};
use std::sync::mpsc;

use indicatif::ProgressBar;
use tokio::sync::oneshot;

/// Lines, the progress bar that has to make room for them, and where to tell that they are written.
type Batch = (Vec<u8>, Option<ProgressBar>, oneshot::Sender<io::Result<()>>);

/// The thread that writes.
pub(super) struct ResultWriter {
    batches: mpsc::Sender<Batch>,
    written: Option<oneshot::Receiver<io::Result<()>>>,
}

impl ResultWriter {
    /// # Errors
    /// The system has no thread to give.
    pub(super) fn start() -> io::Result<Self> {
        let (batches, waiting) = mpsc::channel::<Batch>();
        std::thread::Builder::new().spawn(move || {
            for (lines, bar, written) in waiting {
                // Nobody waits for the last one of a program that was told twice to stop.
                let _ = written.send(write(&lines, bar.as_ref()));
            }
        })?;
        Ok(Self { batches, written: None })
    }

    /// Returns whether lines are being written.
    pub(super) fn is_busy(&self) -> bool {
        self.written.is_some()
    }

    /// Begins to write `lines`.
    pub(super) fn begin(&mut self, lines: Vec<u8>, bar: Option<ProgressBar>) {
        let (sender, written) = oneshot::channel();
        self.batches.send((lines, bar, sender)).expect("the thread lives as long as this");
        self.written = Some(written);
    }

    /// Waits until the lines that are being written are, or can't be.
    pub(super) async fn end(&mut self) -> io::Result<()> {
        let Some(written) = &mut self.written else { return Ok(()) };
        let result = written.await.expect("the thread tells of every batch");
        self.written = None;
        result
    }
}

/// Writes `bytes` to stdout while the progress bar, where there is one, leaves the terminal alone.
pub(super) fn write(bytes: &[u8], bar: Option<&ProgressBar>) -> io::Result<()> {
    let write = || {
        let mut stdout = io::stdout().lock();
        stdout.write_all(bytes).and_then(|()| stdout.flush())
    };
    bar.map_or_else(write, |bar| bar.suspend(write))
}
