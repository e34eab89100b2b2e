//! A thread that writes, one batch after the other.

use std::io;
use std::sync::mpsc;

use tokio::sync::oneshot;

/// The thread, and what it is busy with.
pub(super) struct Writer<B> {
    batches: mpsc::Sender<(B, oneshot::Sender<io::Result<()>>)>,
    written: Option<oneshot::Receiver<io::Result<()>>>,
}

impl<B: Send + 'static> Writer<B> {
    /// Starts a thread that writes each batch with `write`.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub(super) fn start(
        mut write: impl FnMut(B) -> io::Result<()> + Send + 'static,
    ) -> io::Result<Self> {
        let (batches, waiting) = mpsc::channel::<(B, oneshot::Sender<io::Result<()>>)>();
        std::thread::Builder::new().spawn(move || {
            for (batch, written) in waiting {
                // Nobody waits for the last one of a program that was told twice to stop.
                let _ = written.send(write(batch));
            }
        })?;
        Ok(Self { batches, written: None })
    }

    /// Returns whether a batch is being written.
    pub(super) fn is_busy(&self) -> bool {
        self.written.is_some()
    }

    /// Begins to write `batch`. The one before it has to be written.
    pub(super) fn begin(&mut self, batch: B) {
        let (sender, written) = oneshot::channel();
        self.batches.send((batch, sender)).expect("the thread lives as long as this");
        self.written = Some(written);
    }

    /// Waits until the batch that is being written is, or can't be. Dropped before its end, it goes on when called again.
    ///
    /// # Errors
    /// It can't be written.
    pub(super) async fn end(&mut self) -> io::Result<()> {
        let Some(written) = &mut self.written else { return Ok(()) };
        let result = written.await.expect("the thread tells of every batch");
        self.written = None;
        result
    }
}
