//! The one thread that writes while sends are running. It commits all waiting steps together, because a durable commit costs many
//! times as much as a row.

use std::io;
use std::sync::mpsc;
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use super::error::Result;
use super::interface::Store;
use super::sends::{Admission, SendReply, SendStep};

/// The most steps in one transaction, so that other processes get their turn.
const MAX_GROUP: usize = 512;

type Waiting = (SendStep, oneshot::Sender<Result<SendReply>>);

/// Hands the steps of sends to the thread that writes them. Its drop waits until the thread has closed the database.
pub struct GroupCommit {
    /// None only during the drop, which ends the thread.
    steps: Option<mpsc::Sender<Waiting>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for GroupCommit {
    fn drop(&mut self) {
        self.steps = None;
        // A panic of the thread was already printed.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl GroupCommit {
    /// Starts the thread that writes to `store`; `admission` decides which sends may start.
    ///
    /// # Errors
    /// Returns an error if the system can't start a thread.
    pub fn start(mut store: Box<dyn Store>, admission: Admission) -> io::Result<Self> {
        let (steps, waiting) = mpsc::channel::<Waiting>();
        let thread = std::thread::Builder::new().spawn(move || {
            while let Ok(first) = waiting.recv() {
                let group = std::iter::once(first).chain(waiting.try_iter()).take(MAX_GROUP);
                let (steps, senders): (Vec<_>, Vec<_>) = group.unzip();
                let replies = store.take_send_steps(&steps, &admission);
                for (sender, reply) in senders.into_iter().zip(replies) {
                    // The receiver may have stopped waiting.
                    let _ = sender.send(reply);
                }
            }
        })?;
        Ok(Self { steps: Some(steps), thread: Some(thread) })
    }

    /// Takes a step, and returns the reply once it is durable.
    ///
    /// # Errors
    /// Returns an error if the database can't be used; nothing was changed.
    pub async fn take(&self, step: SendStep) -> Result<SendReply> {
        let (sender, reply) = oneshot::channel();
        let steps = self.steps.as_ref().expect("this isn't dropped");
        steps.send((step, sender)).expect("the thread lives as long as this");
        reply.await.expect("the thread replies to every step")
    }
}
