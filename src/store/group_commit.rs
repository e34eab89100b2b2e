//! The one thread that writes while sends are under way. What waits for it is committed together: a durable commit costs
//! many times what a row does.

use std::io;
use std::sync::mpsc;
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use super::{
    Admit, AttemptOutcome, NewSend, Refusal, SendReply, SendStep, StartedSend, Store, StoreError,
};
use crate::model::DeliveryOutcome;

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
        // A thread that panicked has told so itself.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl GroupCommit {
    /// Starts the thread that writes to `store`; `admit` decides which sends may start.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub fn start(mut store: Box<dyn Store>, admit: Box<Admit>) -> io::Result<Self> {
        let (steps, waiting) = mpsc::channel::<Waiting>();
        let thread = std::thread::Builder::new().spawn(move || {
            while let Ok(first) = waiting.recv() {
                let group = std::iter::once(first).chain(waiting.try_iter()).take(MAX_GROUP);
                let (steps, answers): (Vec<_>, Vec<_>) = group.unzip();
                let results = store.take_send_steps(&steps, &*admit);
                for (answer, result) in answers.into_iter().zip(results) {
                    // An answer that nobody waits for any more is dropped with its receiver.
                    let _ = answer.send(result);
                }
            }
        })?;
        Ok(Self { steps: Some(steps), thread: Some(thread) })
    }

    /// Stores a send, and returns once it is durable: its SMS may leave. The inner error says why it may not.
    ///
    /// # Errors
    /// The database can't be used; nothing was stored.
    pub async fn start_send(
        &self,
        send: NewSend,
    ) -> Result<Result<StartedSend, Refusal>, StoreError> {
        match self.take(SendStep::Start(send)).await? {
            SendReply::Started(send) => Ok(Ok(send)),
            SendReply::NotAdmitted(refusal) => Ok(Err(refusal)),
            SendReply::Done => unreachable!("a start settles nothing"),
        }
    }

    /// Hands a send over to another backend, and returns once that is durable.
    ///
    /// # Errors
    /// The database can't be used; the other backend must not be called.
    pub async fn hand_over(
        &self,
        send: StartedSend,
        outcome: AttemptOutcome,
        backend: &'static str,
    ) -> Result<StartedSend, StoreError> {
        match self.take(SendStep::HandOver { send, outcome, backend }).await? {
            SendReply::Started(send) => Ok(send),
            SendReply::NotAdmitted(_) | SendReply::Done => {
                unreachable!("a send that goes on is admitted and not over")
            }
        }
    }

    /// Settles a send, and returns once that is durable.
    ///
    /// # Errors
    /// The database can't be used; the records are as before.
    pub async fn settle(
        &self,
        send: StartedSend,
        outcome: AttemptOutcome,
    ) -> Result<(), StoreError> {
        self.take(SendStep::Settle { send, outcome }).await.map(|_| ())
    }

    /// Stores what a provider said later about a delivery, and returns once that is durable.
    ///
    /// # Errors
    /// The database can't be used.
    pub async fn learn(
        &self,
        delivery_id: i64,
        outcome: DeliveryOutcome,
    ) -> Result<(), StoreError> {
        self.take(SendStep::Learn { delivery_id, outcome }).await.map(|_| ())
    }

    async fn take(&self, step: SendStep) -> Result<SendReply, StoreError> {
        let (answer, answered) = oneshot::channel();
        let steps = self.steps.as_ref().expect("this is not dropped");
        steps.send((step, answer)).expect("the thread lives as long as this");
        answered.await.expect("the thread answers every step")
    }
}
