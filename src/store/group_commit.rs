//! The one thread that writes while sends are under way. What waits for it is committed together: a durable commit costs
//! many times what a row does.

use std::sync::mpsc;

use tokio::sync::oneshot;

use super::{SendStep, Store, StoreError, StoredRecord};

/// The most steps in one transaction, so that other processes get their turn.
const MAX_GROUP: usize = 256;

type Waiting = (SendStep, oneshot::Sender<Result<StoredRecord, StoreError>>);

/// Hands the steps of sends to the thread that writes them. The thread ends when this is dropped.
pub struct GroupCommit {
    steps: mpsc::Sender<Waiting>,
}

impl GroupCommit {
    /// Starts the thread that writes to `store`.
    pub fn start(mut store: Box<dyn Store>) -> Self {
        let (steps, waiting) = mpsc::channel::<Waiting>();
        std::thread::spawn(move || {
            while let Ok(first) = waiting.recv() {
                let group = std::iter::once(first).chain(waiting.try_iter()).take(MAX_GROUP);
                let (steps, answers): (Vec<_>, Vec<_>) = group.unzip();
                // An answer that nobody waits for any more is dropped with its receiver.
                match store.take_send_steps(&steps) {
                    Ok(records) => answers.into_iter().zip(records).for_each(|(answer, record)| {
                        let _ = answer.send(Ok(record));
                    }),
                    Err(error) => answers.into_iter().for_each(|answer| {
                        let _ = answer.send(Err(error.clone()));
                    }),
                }
            }
        });
        Self { steps }
    }

    /// Takes `step`, and returns once it is durable.
    ///
    /// # Errors
    /// Those of [`Store::take_send_steps`].
    pub async fn take(&self, step: SendStep) -> Result<StoredRecord, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.steps.send((step, answer)).expect("the thread lives as long as this");
        answered.await.expect("the thread answers every step")
    }
}
