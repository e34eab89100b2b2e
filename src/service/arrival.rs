//! The rules of finding out whether an SMS arrived.

use std::time::Duration;

use tokio::time::Instant;

use crate::backends::{Backend, SmsError, SmsErrorKind};
use crate::model::{DeliveryOutcome, DeliveryState, SecurityCode};

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
    /// Returns what an outcome that the provider told means; None where it is not final.
    pub fn of(outcome: &DeliveryOutcome) -> Option<Self> {
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
/// The provider refused the question, or did not answer the last one.
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
            Ok(Some(outcome)) if is_over || Arrival::of(&outcome).is_some() => {
                return Ok(Some(outcome));
            }
            Err(error) if is_over || error.kind == SmsErrorKind::Rejected => return Err(error),
            Ok(Some(_)) | Err(_) => wait = MAX_WAIT.min(2 * wait),
        }
    }
}
