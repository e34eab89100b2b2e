//! The one thread that writes while sends are under way. What waits for it is committed together: a durable commit costs
//! many times what a row does.

use std::io;
use std::sync::mpsc;
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use super::error::StoreError;
use super::interface::Store;
use super::sends::{Admission, SendReply, SendStep};

/// The most steps in one transaction, so that other processes get their turn.
const MAX_GROUP: usize = 512;

type Waiting = (SendStep, oneshot::Sender<Result<SendReply, StoreError>>);

/// Hands the steps of sends to the thread that writes them. Dropped, it waits until the thread has closed the database.
pub struct GroupCommit {
    /// None only while this is dropped, which is what ends the thread.
    steps: Option<mpsc::Sender<Waiting>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for GroupCommit {
    fn drop(&mut self) {
        self.steps = None;
        // A thread that panicked has said so itself.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl GroupCommit {
    /// Starts the thread that writes to `store`; `admission` decides which sends may start.
    ///
    /// # Errors
    /// Returns an error if the system has no thread to give.
    pub fn start(mut store: Box<dyn Store>, admission: Admission) -> io::Result<Self> {
        let (steps, waiting) = mpsc::channel::<Waiting>();
        let thread = std::thread::Builder::new().spawn(move || {
            while let Ok(first) = waiting.recv() {
                let group = std::iter::once(first).chain(waiting.try_iter()).take(MAX_GROUP);
                let (steps, senders): (Vec<_>, Vec<_>) = group.unzip();
                let replies = store.take_send_steps(&steps, &admission);
                for (sender, reply) in senders.into_iter().zip(replies) {
                    // A reply that nobody waits for any more is dropped with its receiver.
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
    pub async fn take(&self, step: SendStep) -> Result<SendReply, StoreError> {
        let (sender, reply) = oneshot::channel();
        let steps = self.steps.as_ref().expect("this isn't dropped");
        steps.send((step, sender)).expect("the thread lives as long as this");
        reply.await.expect("the thread replies to every step")
    }
}
