//! The one thread that writes while sends are running. It commits all waiting steps together, because a durable commit costs many
//! times as much as a row.

use std::cell::Cell;
use std::sync::mpsc;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

use super::error::{Result, StoreError};
use super::interface::Store;
use super::sends::{Admission, SendReply, SendStep};
use crate::system::clock::Clock;

/// The most steps in one transaction, so that other processes get their turn.
const MAX_GROUP: usize = 512;

/// How long the drop waits for the thread if nobody waits for a reply any more: the thread may be waiting for a lock.
const LAST_COMMIT: Duration = Duration::from_millis(200);

type Waiting = (SendStep, oneshot::Sender<Result<SendReply>>);

/// Hands the steps of sends to the thread that writes them. Its drop waits until the thread has closed the database, unless
/// replies were given up.
pub struct GroupCommit {
    /// None only during the drop, which ends the thread.
    steps: Option<UnboundedSender<Waiting>>,
    /// Steps that have no reply yet.
    unanswered: Cell<usize>,
    /// Disconnected once the thread has closed the database.
    closed: mpsc::Receiver<()>,
    clock: Clock,
}

/// Commits the steps that wait. Whoever drops it closes the database.
pub struct Writer {
    // Dropped before `_running`, so that the database is closed when that ends.
    store: Box<dyn Store>,
    admission: Admission,
    waiting: UnboundedReceiver<Waiting>,
    _running: mpsc::Sender<()>,
}

impl Writer {
    /// Commits what waits, together with `first`.
    fn commit(&mut self, first: Waiting) {
        let others = std::iter::from_fn(|| self.waiting.try_recv().ok());
        let group = std::iter::once(first).chain(others).take(MAX_GROUP);
        // The replies to checks are only true for a moment, so no commit may come between.
        let (checks, steps): (Vec<_>, Vec<_>) = group.partition(|(step, _)| step.is_check());
        for group in [steps, checks].into_iter().filter(|group| !group.is_empty()) {
            let (steps, senders): (Vec<_>, Vec<_>) = group.into_iter().unzip();
            let replies = self.store.take_send_steps(&steps, &self.admission);
            for (sender, reply) in senders.into_iter().zip(replies) {
                // The receiver may have stopped waiting.
                let _ = sender.send(reply);
            }
        }
    }

    /// Commits all steps, each group after `pause` from its first step on. Returns once there are no more.
    #[cfg(test)]
    pub async fn run(mut self, pause: impl AsyncFn()) {
        while let Some(first) = self.waiting.recv().await {
            pause().await;
            self.commit(first);
        }
    }
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
    /// Returns an error if the database can't be used, or if the system can't start a thread.
    pub fn start(store: Box<dyn Store>, admission: Admission) -> Result<Self> {
        let (this, mut writer) = Self::new(store, admission)?;
        let write = move || {
            while let Some(first) = writer.waiting.blocking_recv() {
                writer.commit(first);
            }
        };
        std::thread::Builder::new().spawn(write).map_err(StoreError::no_thread)?;
        Ok(this)
    }

    /// Returns the same without a thread, and the writer that has to run elsewhere.
    ///
    /// # Errors
    /// Returns an error if the database can't be used.
    pub fn new(mut store: Box<dyn Store>, admission: Admission) -> Result<(Self, Writer)> {
        let (steps, waiting) = unbounded_channel();
        let (running, closed) = mpsc::channel();
        let clock = store.clock()?;
        let this = Self { steps: Some(steps), unanswered: Cell::new(0), closed, clock };
        Ok((this, Writer { store, admission, waiting, _running: running }))
    }

    /// Returns the clock of the database.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Takes a step, and returns the reply once it is durable.
    ///
    /// # Errors
    /// Returns an error if the database can't be used. If the connection to a server was lost for good, the step may be stored all
    /// the same.
    pub async fn take(&self, step: SendStep) -> Result<SendReply> {
        let (sender, reply) = oneshot::channel();
        let steps = self.steps.as_ref().expect("this isn't dropped");
        steps.send((step, sender)).expect("the writer lives as long as this");
        self.unanswered.update(|count| count + 1);
        let reply = reply.await.expect("the thread replies to every step");
        self.unanswered.update(|count| count - 1);
        reply
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use super::*;
    use crate::model::{DeliveryOutcome, DeliveryState};
    use crate::store::memory::Memory;
    use crate::store::sends::JudgeSend;

    /// What takes long to drop, as a database that is closed.
    struct Slow(Arc<AtomicBool>);

    impl Drop for Slow {
        fn drop(&mut self) {
            thread::sleep(2 * LAST_COMMIT);
            self.0.store(true, Ordering::SeqCst);
        }
    }

    #[test]
    fn once_all_steps_have_their_replies_the_drop_waits_for_the_database_to_be_closed() {
        let is_closed = Arc::<AtomicBool>::default();
        let slow = Slow(Arc::clone(&is_closed));
        let judge: Box<JudgeSend> = Box::new(move |_, _| {
            let _ = &slow;
            None
        });
        let admission = Admission { judge: Some(judge), ..Admission::default() };
        let store = Box::new(Memory::new(Clock::system()));
        let commit = GroupCommit::start(store, admission).unwrap();
        let outcome = DeliveryOutcome {
            state: DeliveryState::Delivered,
            message_id: None,
            error_code: None,
            error_message: None,
        };
        let step = SendStep::Update { delivery_id: 1, outcome };
        futures_executor::block_on(commit.take(step)).unwrap();
        drop(commit);
        assert!(is_closed.load(Ordering::SeqCst));
    }
}
