//! The one thread that writes while sends are running. It commits all waiting steps together, because a durable commit costs many
//! times as much as a row.

use std::cell::Cell;
use std::sync::mpsc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::error::{Result, StoreError};
use super::interface::Store;
use super::sends::{Admission, SendReply, SendStep};

/// The most steps in one transaction, so that other processes get their turn.
const MAX_GROUP: usize = 512;

/// How long the drop waits for the thread if nobody waits for a reply any more: the thread may be waiting for a lock.
const LAST_COMMIT: Duration = Duration::from_millis(200);

type Waiting = (SendStep, oneshot::Sender<Result<SendReply>>);

/// Hands the steps of sends to the thread that writes them. Its drop waits until the thread has closed the database, unless
/// replies were given up.
pub struct GroupCommit {
    /// None only during the drop, which ends the thread.
    steps: Option<mpsc::Sender<Waiting>>,
    /// Steps that have no reply yet.
    unanswered: Cell<usize>,
    /// Disconnected once the thread has closed the database.
    closed: mpsc::Receiver<()>,
}

impl Drop for GroupCommit {
    fn drop(&mut self) {
        self.steps = None;
        let patience = if self.unanswered.get() == 0 { Duration::MAX } else { LAST_COMMIT };
        // Nothing is ever received.
        let _ = self.closed.recv_timeout(patience);
    }
}

impl GroupCommit {
    /// Starts the thread that writes to `store`; `admission` decides which sends may start.
    ///
    /// # Errors
    /// Returns an error if the system can't start a thread.
    pub fn start(store: Box<dyn Store>, admission: Admission) -> Result<Self> {
        let (steps, waiting) = mpsc::channel::<Waiting>();
        let (running, closed) = mpsc::channel();
        let writer = move || {
            let _running = running;
            // Dropped first, so that the database is closed when `running` ends.
            let mut store = store;
            while let Ok(first) = waiting.recv() {
                let group = std::iter::once(first).chain(waiting.try_iter()).take(MAX_GROUP);
                // The replies to checks are only true for a moment, so no commit may come between.
                let (checks, steps): (Vec<_>, Vec<_>) =
                    group.partition(|(step, _)| step.is_check());
                for group in [steps, checks].into_iter().filter(|group| !group.is_empty()) {
                    let (steps, senders): (Vec<_>, Vec<_>) = group.into_iter().unzip();
                    let replies = store.take_send_steps(&steps, &admission);
                    for (sender, reply) in senders.into_iter().zip(replies) {
                        // The receiver may have stopped waiting.
                        let _ = sender.send(reply);
                    }
                }
            }
        };
        std::thread::Builder::new().spawn(writer).map_err(StoreError::no_thread)?;
        Ok(Self { steps: Some(steps), unanswered: Cell::new(0), closed })
    }

    /// Takes a step, and returns the reply once it is durable.
    ///
    /// # Errors
    /// Returns an error if the database can't be used. If the connection to a server was lost for good, the step may be stored all
    /// the same.
    pub async fn take(&self, step: SendStep) -> Result<SendReply> {
        let (sender, reply) = oneshot::channel();
        let steps = self.steps.as_ref().expect("this isn't dropped");
        steps.send((step, sender)).expect("the thread lives as long as this");
        self.unanswered.update(|count| count + 1);
        let reply = reply.await.expect("the thread replies to every step");
        self.unanswered.update(|count| count - 1);
        reply
    }
}
