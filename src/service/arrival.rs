//! The rules for finding out whether an SMS arrived.

use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::time::Instant;

use crate::backends::{Backend, SmsError, SmsErrorKind};
use crate::model::{Delivery, DeliveryOutcome, DeliveryState, PhoneNumber, SecurityCode};
use crate::store::{RecordFilter, Store, StoreError};

/// The wait before the provider is first asked; it doubles up to [`MAX_WAIT`].
const FIRST_WAIT: Duration = Duration::from_secs(1);
const MAX_WAIT: Duration = Duration::from_secs(5);

/// What was found out about an SMS that the provider had accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arrival {
    /// It arrived.
    Delivered,
    /// It did not arrive.
    Undelivered {
        /// The provider's error code.
        code: Option<String>,
        /// The provider's words.
        message: Option<String>,
    },
    /// It is not known: it had not arrived when the time was over, or the provider did not tell, for this reason.
    NotYet(Option<SmsError>),
    /// The provider has no call that tells.
    Untold,
}

impl Arrival {
    /// Returns what an outcome that the provider reported means; None if it isn't final.
    pub fn from_outcome(outcome: &DeliveryOutcome) -> Option<Self> {
        match outcome.state {
            DeliveryState::Delivered => Some(Self::Delivered),
            DeliveryState::Undelivered => Some(Self::Undelivered {
                code: outcome.error_code.clone(),
                message: outcome.error_message.clone(),
            }),
            _ => None,
        }
    }
}

/// Asks `backend` about the message that carried `security_code` until its outcome is final, `patience` is over or the
/// provider refuses the question for good. Returns the last outcome that it told.
///
/// # Errors
/// Returns an error if the provider refused the question, or didn't answer the last one.
pub async fn poll(
    backend: &Backend,
    message_id: &str,
    security_code: &SecurityCode,
    patience: Duration,
) -> Result<Option<DeliveryOutcome>, SmsError> {
    let deadline = Instant::now() + patience;
    let security_codes = std::slice::from_ref(security_code);
    let mut wait = FIRST_WAIT;
    loop {
        let next = Instant::now() + wait;
        tokio::time::sleep_until(next.min(deadline)).await;
        let told = backend.delivery_status(message_id, security_codes, Some(deadline)).await;
        let is_over = Instant::now() >= deadline;
        match told {
            Ok(None) => return Ok(None),
            Ok(Some(outcome)) if is_over || Arrival::from_outcome(&outcome).is_some() => {
                return Ok(Some(outcome));
            }
            Err(error) if is_over || error.kind == SmsErrorKind::Rejected => return Err(error),
            Ok(Some(_)) | Err(_) => wait = MAX_WAIT.min(2 * wait),
        }
    }
}

/// What came of asking about a message that the ledger has as accepted.
#[derive(Debug)]
pub enum RefreshResult {
    /// The provider reported what became of it, and the ledger has the answer.
    Stored,
    /// The backend has no call for that, or gave the message no id to ask by.
    NoCall {
        /// The backend's canonical name.
        backend: String,
    },
    /// The settings no longer name the backend that sent it.
    NoBackend {
        /// The backend's canonical name.
        backend: String,
        /// The provider's id of the message.
        message_id: String,
    },
    /// The provider didn't answer the question.
    Failed {
        /// The backend's canonical name.
        backend: String,
        /// The provider's id of the message.
        message_id: String,
        /// Why.
        error: SmsError,
    },
}

/// Asks `backends`, on `runtime`, what became of those of the `most` newest messages to `phone_number` that were accepted, and
/// stores what they report. Returns what came of each question.
///
/// # Errors
/// Returns an error if the database can't be used; what was reported before is stored.
pub fn refresh(
    store: &mut dyn Store,
    backends: &[Backend],
    runtime: &Runtime,
    phone_number: &PhoneNumber,
    most: usize,
) -> Result<Vec<RefreshResult>, StoreError> {
    let security_codes = newest_codes(store, phone_number, most)?;
    let mut results = Vec::new();
    for delivery in store.deliveries(phone_number, most)?.into_iter().flatten() {
        if delivery.outcome.state == DeliveryState::Accepted {
            let id = delivery.id;
            results.push(match runtime.block_on(ask(backends, delivery, &security_codes)) {
                Ok(outcome) => {
                    store.update_delivery(id, outcome)?;
                    RefreshResult::Stored
                }
                Err(result) => result,
            });
        }
    }
    Ok(results)
}

/// Returns what the backend that sent a message reports about it, or why there is nothing to store.
async fn ask(
    backends: &[Backend],
    Delivery { backend, outcome, .. }: Delivery,
    security_codes: &[SecurityCode],
) -> Result<DeliveryOutcome, RefreshResult> {
    let Some(message_id) = outcome.message_id else {
        return Err(RefreshResult::NoCall { backend });
    };
    // The two backends may be accounts at one provider; only the one that sent the message knows it.
    let mut first_error = None;
    for named in backends.iter().filter(|named| named.name().as_str() == backend) {
        match named.delivery_status(&message_id, security_codes, None).await {
            Ok(Some(outcome)) => return Ok(outcome),
            Ok(None) => return Err(RefreshResult::NoCall { backend }),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    Err(match first_error {
        Some(error) => RefreshResult::Failed { backend, message_id, error },
        None => RefreshResult::NoBackend { backend, message_id },
    })
}

/// Returns the codes of a number's newest records, which the messages may have held.
fn newest_codes(
    store: &mut dyn Store,
    phone_number: &PhoneNumber,
    most: usize,
) -> Result<Vec<SecurityCode>, StoreError> {
    let filter =
        RecordFilter { phone_number: Some(phone_number.clone()), ..RecordFilter::default() };
    let mut codes = Vec::new();
    store.list(&filter, most as u64, &mut |page| {
        codes.extend(page.into_iter().flatten().map(|listed| listed.record.security_code));
        true
    })?;
    Ok(codes)
}
