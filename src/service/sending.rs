//! The rules of sending: store the record, send the SMS, settle its outcome. In this order, no code is delivered without its
//! record, and no earlier code is lost to an SMS that was not sent.

use std::cell::{Cell, RefCell};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rand::{CryptoRng, RngExt};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::admission::AdmissionRules;
use super::arrival::{self, Arrival};
use super::outcome::{Failure, Kind, Outcome};
use crate::backends::{Attempted, Backend, Pace, Sms, SmsErrorKind};
use crate::model::{
    DeliveryOutcome, DeliveryState, MessageText, NumberType, PhoneNumber, Region, SecurityCode,
    Segments, SessionToken, SigningKey, expires_at,
};
use crate::settings::Settings;
use crate::store::{GroupCommit, NewSend, SendReply, SendStep, StartedSend, Store, StoreError};
use crate::system::secret::SecretError;

/// How long a stored record may wait for its SMS to start. If it takes longer, fewer are stored ahead.
const MAX_STAGED_WAIT: Duration = Duration::from_millis(20);
/// The most records that are stored ahead.
const MAX_STAGED: usize = 256;

/// A number to send a code to, and the text that carries it.
#[derive(Debug)]
pub struct Recipient {
    /// The number.
    pub phone_number: PhoneNumber,
    /// The region that the number belongs to.
    pub region: Region,
    /// What the number is for.
    pub number_type: NumberType,
    /// The text, which many recipients may share.
    pub text: Arc<MessageText>,
}

/// Makes codes and tokens, stores them and sends them.
pub struct Sender<'a, R> {
    settings: &'a Settings,
    /// The first one is called first, the others if it refuses for a reason of its own.
    backends: Vec<Backend>,
    store: GroupCommit,
    rules: AdmissionRules,
    key: SigningKey,
    random: RefCell<R>,
    stop: CancellationToken,
    /// Limits how fast records are stored to how fast their SMS may start, so that no code expires while it waits.
    intake: Pace,
    /// The places for records that are stored, or about to be, and whose SMS has not started.
    staged: Semaphore,
    /// How many of these places there are.
    max_staged: Cell<usize>,
    in_flight: Semaphore,
}

/// Returns the key that signs session tokens: the key of the settings, or a fresh one.
///
/// # Errors
/// Returns an error if the secret can't be looked up.
pub fn signing_key(
    settings: &Settings,
    random: &mut impl CryptoRng,
) -> Result<SigningKey, SecretError> {
    match &settings.secret_key {
        Some(secret) => Ok(SigningKey::from_secret(secret.reveal()?)),
        None => Ok(SigningKey::random(random)),
    }
}

impl<'a, R: CryptoRng> Sender<'a, R> {
    /// Returns a sender that writes to `store`, sends with `backends` and takes codes and tokens from `random`.
    ///
    /// # Errors
    /// Returns an error if the system can't start the thread that writes.
    pub fn new(
        settings: &'a Settings,
        store: Box<dyn Store>,
        backends: Vec<Backend>,
        rules: AdmissionRules,
        key: SigningKey,
        random: R,
        stop: CancellationToken,
    ) -> io::Result<Self> {
        let max_in_flight = settings.delivery.max_in_flight;
        Ok(Self {
            settings,
            backends,
            store: GroupCommit::start(store, rules.admission())?,
            rules,
            key,
            random: random.into(),
            stop,
            intake: Pace::new(settings.delivery.max_per_second),
            staged: Semaphore::new(max_in_flight),
            max_staged: Cell::new(max_in_flight),
            in_flight: Semaphore::new(max_in_flight),
        })
    }

    /// Stores a new code for `recipient` and sends it. Waits until it has arrived, but not longer than `patience`. Returns the
    /// outcome, and the error if the database could not be brought up to date.
    pub async fn send(
        &self,
        recipient: &Recipient,
        patience: Option<Duration>,
    ) -> (Outcome, Option<StoreError>) {
        let Recipient { phone_number, region, number_type, text } = recipient;
        if let Some(refusal) = self.rules.refuse_number(*region, *number_type) {
            return (refusal.into(), None);
        }
        let staged = async {
            self.intake.turn().await;
            self.staged.acquire().await.expect("the semaphore is never closed")
        };
        // A stop frees places too, but they are not to be used.
        let staged = self.stop.run_until_cancelled(staged).await;
        let Some(staged) = staged.filter(|_| !self.stop.is_cancelled()) else {
            return (Outcome::stopped(), None);
        };
        let (id, security_code, session_token) = self.new_code(phone_number);
        let text = text.with_code(&security_code);
        let send = NewSend {
            verification_id: id,
            phone_number: phone_number.clone(),
            security_code: security_code.clone(),
            session_token: session_token.clone(),
            backend: self.backends[0].name().as_str(),
            segments: u32::try_from(Segments::of(&text).count).unwrap_or(u32::MAX),
        };
        let send = match self.store.take(SendStep::Start(send)).await {
            Ok(SendReply::Started(send)) => send,
            Ok(SendReply::Refused(refusal)) => return (refusal.into(), None),
            Ok(SendReply::Done) => unreachable!("a start is stored or refused"),
            Err(error) => return (Outcome::failed(Kind::Unavailable, &error), Some(error)),
        };
        log::debug!("{phone_number}: the record {id} is stored");
        let expires_at = expires_at(send.created_at, self.settings.code_lifetime);
        let sms = Sms { phone_number, text: &text, security_code: &security_code };
        let (delivery_id, backend, attempted, mut unsettled) =
            self.deliver(send, &sms, staged).await;
        let backend_name = backend.name();
        let accepted = match attempted.result {
            Err(_) if attempted.tries == 0 => return (Outcome::stopped(), unsettled),
            Err(error) => {
                let session_token = (error.kind == SmsErrorKind::Unknown).then_some(session_token);
                let error = Failure::from_sms_error(backend_name, error);
                return (Outcome::Failed { id: Some(id), session_token, error }, unsettled);
            }
            Ok(accepted) => accepted,
        };
        let mut arrival = None;
        if let Some(patience) = patience {
            let message_id = accepted.message_id.as_deref();
            let asking = arrival::poll(backend, message_id, &security_code, patience);
            let answer = self.stop.run_until_cancelled(asking).await;
            arrival = Some(answer.as_ref().map_or(Arrival::Unknown(None), Arrival::from));
            if let Some(Ok(Some(outcome))) = answer {
                let stored = self.store.take(SendStep::Update { delivery_id, outcome }).await;
                unsettled = unsettled.or(stored.err());
            }
        }
        let outcome = match arrival {
            Some(Arrival::Undelivered(DeliveryOutcome {
                error_code: code, error_message, ..
            })) => {
                let message =
                    error_message.unwrap_or_else(|| "the provider gives no reason".to_owned());
                let error = Failure { code, ..Failure::new(Kind::Undelivered, message) };
                Outcome::Failed { id: Some(id), session_token: Some(session_token), error }
            }
            arrival => Outcome::Sent {
                id,
                session_token,
                backend: backend_name,
                message_id: accepted.message_id,
                expires_at,
                arrival,
                shown_text: accepted.shown_text,
            },
        };
        (outcome, unsettled)
    }

    fn new_code(&self, phone_number: &PhoneNumber) -> (Uuid, SecurityCode, SessionToken) {
        let random = &mut *self.random.borrow_mut();
        let security_code = match self.settings.backend.sandbox_token() {
            Some(sandbox_token) => sandbox_token.clone(),
            None => SecurityCode::random(self.settings.token_length, random),
        };
        let session_token = SessionToken::issue(phone_number, &self.key, random);
        let id = uuid::Builder::from_random_bytes(random.random()).into_uuid();
        (id, security_code, session_token)
    }

    /// Waits until the SMS of a stored record may start. If that takes long, the provider is slower than the disk, and fewer
    /// records are stored ahead, since after a crash each of their outcomes is unknown. Otherwise more are stored ahead, so that
    /// more of them share a commit. Returns None if the program is to stop; then the backends make no calls.
    async fn start(&self, staged: SemaphorePermit<'_>) -> Option<SemaphorePermit<'_>> {
        let waiting_since = Instant::now();
        let in_flight = self.stop.run_until_cancelled(self.in_flight.acquire()).await?;
        let max_staged = self.max_staged.get();
        if waiting_since.elapsed() > MAX_STAGED_WAIT {
            if max_staged > self.settings.delivery.max_in_flight {
                self.max_staged.set(max_staged - 1);
                staged.forget();
            }
        } else if max_staged < MAX_STAGED {
            self.max_staged.set(max_staged + 1);
            self.staged.add_permits(1);
        }
        in_flight.ok()
    }

    /// Calls the backends once the SMS may start, until one of them does anything but refuse for a reason of its own. Then
    /// settles the send. Returns the delivery's number in the ledger, the last backend, its answer, and the error if the database
    /// could not be brought up to date.
    async fn deliver(
        &self,
        mut send: StartedSend,
        sms: &Sms<'_>,
        staged: SemaphorePermit<'_>,
    ) -> (i64, &Backend, Attempted, Option<StoreError>) {
        let in_flight = self.start(staged).await;
        let mut backends = self.backends.iter().peekable();
        while let Some(backend) = backends.next() {
            let attempted = backend.send(sms).await;
            let may_hand_over =
                attempted.result.as_ref().is_err_and(|error| error.is_providers_own);
            let (delivery_id, outcome) = (send.delivery_id, delivery_outcome(&attempted));
            let tries = attempted.tries;
            let Some(next) = backends.peek().filter(|_| may_hand_over) else {
                drop(in_flight);
                let step = SendStep::Settle { send, outcome, tries };
                let unsettled = self.store.take(step).await.err();
                return (delivery_id, backend, attempted, unsettled);
            };
            let (name, next) = (backend.name(), next.name());
            log::info!("{}: {name} refused it, {next} is next", sms.phone_number);
            let step = SendStep::HandOver { send, outcome, tries, backend: next.as_str() };
            match self.store.take(step).await {
                Ok(SendReply::Started(started)) => send = started,
                Ok(_) => unreachable!("a hand-over starts a delivery"),
                Err(error) => return (delivery_id, backend, attempted, Some(error)),
            }
        }
        unreachable!("the settings name a backend")
    }
}

/// Returns what the ledger keeps of an attempt.
fn delivery_outcome(Attempted { result, .. }: &Attempted) -> DeliveryOutcome {
    let (accepted, error) = (result.as_ref().ok(), result.as_ref().err());
    DeliveryOutcome {
        state: error.map_or(DeliveryState::Accepted, |error| error.kind.delivery_state()),
        message_id: accepted.and_then(|accepted| accepted.message_id.clone()),
        error_code: error.and_then(|error| error.code.clone()),
        error_message: error.map(|error| error.message.clone()),
    }
}

#[cfg(test)]
mod tests;
