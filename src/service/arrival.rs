//! The rules for finding out whether an SMS arrived.

use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use crate::backends::{Backend, SmsError, SmsErrorKind};
use crate::model::{
    Delivery, DeliveryOutcome, DeliveryState, NumberPattern, PhoneNumber, SecurityCode,
};
use crate::store::{DeliveryFilter, RecordFilter, Store, StoreError};
use crate::system::waiting::Wait;

/// The wait before the provider is first asked; it doubles up to [`MAX_WAIT`].
const FIRST_WAIT: Duration = Duration::from_secs(1);
const MAX_WAIT: Duration = Duration::from_secs(5);

/// What is known about an SMS that a provider accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Arrival {
    /// It arrived.
    Delivered,
    /// It did not arrive.
    #[serde(skip)]
    Undelivered(DeliveryOutcome),
    /// It's unknown: it's too early, or the provider did not answer, for this reason.
    #[serde(skip)]
    Unknown(Option<SmsError>),
    /// The provider has no call that reports it.
    #[serde(skip)]
    NoCall,
}

/// A provider's answer to the question if a message arrived; None if it has no such call.
pub(super) type Answer = Result<Option<DeliveryOutcome>, SmsError>;

impl From<&Answer> for Arrival {
    fn from(answer: &Answer) -> Self {
        match answer {
            Ok(None) => Self::NoCall,
            Ok(Some(outcome)) => match outcome.state {
                DeliveryState::Delivered => Self::Delivered,
                DeliveryState::Undelivered => Self::Undelivered(outcome.clone()),
                _ => Self::Unknown(None),
            },
            Err(error) => Self::Unknown(Some(error.clone())),
        }
    }
}

/// Asks `backend` about the message that carried `security_code`, if it has an id. Asks until the outcome is final, `patience` is
/// over, or the provider refuses the question. Returns the last answer.
pub(super) async fn poll(
    backend: &Backend,
    message_id: Option<&str>,
    security_code: &SecurityCode,
    patience: Duration,
) -> Answer {
    let Some(message_id) = message_id else { return Ok(None) };
    let deadline = Instant::now() + patience;
    let _wait = Wait::start_until("waiting for the SMS to arrive; giving up", deadline.into());
    let security_codes = std::slice::from_ref(security_code);
    let mut wait = FIRST_WAIT;
    loop {
        let next = Instant::now() + wait;
        tokio::time::sleep_until(next.min(deadline)).await;
        let answer = backend.delivery_status(message_id, security_codes, Some(deadline)).await;
        let is_refused = answer.as_ref().is_err_and(|error| error.kind == SmsErrorKind::Rejected);
        let may_change = matches!(Arrival::from(&answer), Arrival::Unknown(_)) && !is_refused;
        if !may_change || Instant::now() >= deadline {
            return answer;
        }
        wait = MAX_WAIT.min(2 * wait);
    }
}

/// Asks `backends` if those of the `most` newest messages to `phone_number` that were accepted have arrived, and stores the
/// answers that are final. Returns each delivery as it was before, with what is known now, or None if no backend has its name.
///
/// # Errors
/// Returns an error if the database can't be used. Earlier answers are stored.
pub async fn refresh(
    store: &mut dyn Store,
    backends: &[Backend],
    phone_number: &PhoneNumber,
    most: usize,
) -> Result<Vec<(Delivery, Option<Arrival>)>, StoreError> {
    // The messages may have held the codes of the newest records.
    let numbers = vec![NumberPattern::Whole(phone_number.clone())];
    let filter = RecordFilter { numbers: numbers.clone(), ..RecordFilter::default() };
    let records = store.newest_records(&filter, most)?.into_iter().flatten();
    let security_codes: Vec<_> = records.map(|listed| listed.record.security_code).collect();
    let mut results = Vec::new();
    let filter = DeliveryFilter { numbers, ..DeliveryFilter::default() };
    for delivery in store.newest_deliveries(&filter, most)?.into_iter().flatten() {
        if delivery.outcome.state == DeliveryState::Accepted {
            let answer = ask(backends, &delivery, &security_codes).await;
            if let Some(Ok(Some(outcome))) = &answer
                && outcome.state.is_final()
            {
                store.update_delivery(delivery.id, outcome.clone())?;
            }
            results.push((delivery, answer.as_ref().map(Arrival::from)));
        }
    }
    Ok(results)
}

/// Asks the backends with the delivery's name. There may be two accounts at one provider; only one of them knows the message.
async fn ask(
    backends: &[Backend],
    delivery: &Delivery,
    security_codes: &[SecurityCode],
) -> Option<Answer> {
    let Some(message_id) = &delivery.outcome.message_id else { return Some(Ok(None)) };
    let mut first_error = None;
    for backend in backends.iter().filter(|backend| **backend.name().stored() == *delivery.backend)
    {
        match backend.delivery_status(message_id, security_codes, None).await {
            Err(error) => first_error = first_error.or(Some(Err(error))),
            answer => return Some(answer),
        }
    }
    first_error
}
