//! The rules of sending: store the record, send the SMS, settle what it came to, in this order, so that no code is ever
//! delivered without its record and no earlier code is lost for an SMS that did not leave.

use std::cell::{Cell, RefCell};
use std::io;
use std::time::Duration;

use chrono::{DateTime, Utc};
use rand::{CryptoRng, RngExt};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::admission::AdmissionRules;
use super::arrival::{self, Arrival};
use super::providers::all_options;
use crate::backends::{
    Accepted, Attempted, Backend, BackendName, BackendOptions, Pace, Sms, SmsError,
};
use crate::model::{
    DeliveryOutcome, DeliveryState, Message, MessageContext, PhoneNumber, RenderError,
    SecurityCode, Segments, SessionToken, SigningKey, expires_at,
};
use crate::settings::Settings;
use crate::store::{
    GroupCommit, NewSend, Refusal, SendReply, SendStep, StartedSend, Store, StoreError,
};
use crate::system::secret::SecretError;

/// How long a stored record may wait for its SMS to start before fewer are stored ahead.
const MAX_STAGED_WAIT: Duration = Duration::from_millis(20);
/// The most records that are stored ahead.
const MAX_STAGED: usize = 256;

/// A number that a code is to go to, with the message that carries it.
#[derive(Debug, Clone)]
pub struct Recipient {
    /// The number.
    pub phone_number: PhoneNumber,
    /// The message.
    pub message: Message,
    /// What fills the message's further placeholders.
    pub context: MessageContext,
}

/// Why a message can't go out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// A placeholder has no value.
    #[error(transparent)]
    Render(#[from] RenderError),
    /// The provider does not take a text of this length.
    #[error("the message has {length} characters; the provider takes {most}")]
    TooLong {
        /// The characters of the text.
        length: usize,
        /// The most that the provider takes.
        most: usize,
    },
}

/// What became of one number.
#[derive(Debug)]
pub enum Registration {
    /// A backend was called.
    Called(Called),
    /// It may not be sent to now; nothing was written.
    NotAdmitted(Refusal),
    /// The program was asked to stop before its turn; nothing was written.
    NotStarted,
}

/// What a backend said to one number.
#[derive(Debug)]
pub struct Called {
    /// The record's UUID; the record itself is gone where the SMS was certainly not accepted.
    pub verification_id: Uuid,
    /// The code, so that it can be masked where the provider repeats it later.
    security_code: SecurityCode,
    /// The token that the code is verified with.
    pub session_token: SessionToken,
    /// The last moment at which the code is accepted.
    pub expires_at: DateTime<Utc>,
    /// The backend that was called last.
    pub backend: BackendName,
    /// Its place among the backends: two of them may have one name.
    place: usize,
    /// How often that one was called, the backends before it not counted; 0 where the program was asked to stop first.
    pub tries: u32,
    /// What it said.
    pub result: Result<Accepted, SmsError>,
    /// The delivery's number in the ledger.
    pub delivery_id: i64,
    /// Why the database could not be brought up to date after the backend had answered.
    pub unsettled: Option<StoreError>,
}

/// Makes codes and tokens, stores them and sends them.
pub struct Registrar<'a, R> {
    settings: &'a Settings,
    /// The first is called first, the others where it refuses for a reason of its own.
    backends: Vec<Backend>,
    sends: GroupCommit,
    rules: AdmissionRules,
    key: SigningKey,
    random: RefCell<R>,
    stop: CancellationToken,
    /// Lets records be stored no faster than their SMS may start, so that no code grows old waiting.
    intake: Pace,
    /// Records that are stored, or about to be, and whose SMS has not started.
    staged: Semaphore,
    /// How many of those there may be.
    max_staged: Cell<usize>,
    in_flight: Semaphore,
}

/// Returns the key that signs session tokens: that of the settings, or a fresh one.
///
/// # Errors
/// The secret can't be looked up.
pub fn signing_key(
    settings: &Settings,
    random: &mut impl CryptoRng,
) -> Result<SigningKey, SecretError> {
    match &settings.secret_key {
        Some(secret) => Ok(SigningKey::from_secret(&secret.reveal()?)),
        None => Ok(SigningKey::random(random)),
    }
}

/// Returns the text of `message` with what `context` fills, and zeros for the code (a sandbox: its own code), having checked
/// that it can go out.
///
/// # Errors
/// A placeholder has no value, or the text is too long for a provider.
pub fn preview(
    settings: &Settings,
    message: &Message,
    context: &MessageContext,
) -> Result<String, MessageError> {
    let zeros = || SecurityCode::from_stored("0".repeat(settings.token_length));
    let security_code = settings.backend.sandbox_token().cloned().unwrap_or_else(zeros);
    let text = message.render(&settings.app_name, &security_code, context)?;
    let length = text.chars().count();
    match all_options(settings).filter_map(BackendOptions::max_message_length).min() {
        Some(most) if length > most => Err(MessageError::TooLong { length, most }),
        _ => Ok(text),
    }
}

impl<'a, R: CryptoRng> Registrar<'a, R> {
    /// Returns a registrar that writes to `store`, sends with `backends` and takes codes and tokens from `random`.
    ///
    /// # Errors
    /// The system has no thread to give that writes.
    pub fn new(
        settings: &'a Settings,
        store: Box<dyn Store>,
        backends: Vec<Backend>,
        rules: AdmissionRules,
        key: SigningKey,
        random: R,
        stop: CancellationToken,
    ) -> io::Result<Self> {
        Ok(Self {
            settings,
            backends,
            sends: GroupCommit::start(store, rules.admission())?,
            rules,
            key,
            random: random.into(),
            stop,
            intake: Pace::new(settings.delivery.max_per_second),
            staged: Semaphore::new(settings.delivery.max_in_flight),
            max_staged: Cell::new(settings.delivery.max_in_flight),
            in_flight: Semaphore::new(settings.delivery.max_in_flight),
        })
    }

    /// Registers `recipient`: stores a new code and sends it.
    ///
    /// # Errors
    /// The record could not be stored; then nothing was sent.
    ///
    /// # Panics
    /// The message needs a value that the context lacks: it has to have passed [`preview`].
    pub async fn register(&self, recipient: &Recipient) -> Result<Registration, StoreError> {
        let Recipient { phone_number, message, context } = recipient;
        if let Some(refusal) = self.rules.refuse_region(phone_number) {
            return Ok(Registration::NotAdmitted(refusal));
        }
        let staged = tokio::select! {
            biased;
            () = self.stop.cancelled() => return Ok(Registration::NotStarted),
            staged = async { self.intake.turn().await; self.staged.acquire().await } => {
                staged.expect("the semaphore is never closed")
            }
        };
        let (security_code, session_token) = self.new_code_and_token(phone_number);
        let text = message
            .render(&self.settings.app_name, &security_code, context)
            .expect("the preview was filled");
        let send = self.new_send(phone_number, &security_code, &session_token, &text);
        let send = match self.sends.take(SendStep::Start(send)).await? {
            SendReply::Started(send) => send,
            SendReply::Refused(refusal) => return Ok(Registration::NotAdmitted(refusal)),
            SendReply::Done => unreachable!("a start settles nothing"),
        };
        log::debug!("{phone_number}: the record {} is stored", send.verification_id);
        let expires_at = expires_at(send.created_at, self.settings.code_lifetime);
        let in_flight = self.start(staged).await;
        let sms = Sms { phone_number, text: &text, security_code: &security_code };
        let (send, place, attempted, unsettled) = self.call_backends(send, &sms).await;
        drop(in_flight);
        let outcome = delivery_outcome(&attempted);
        let StartedSend { verification_id, delivery_id, .. } = send;
        let Attempted { tries, result } = attempted;
        let unsettled = match unsettled {
            Some(error) => Some(error),
            None => self.sends.take(SendStep::Settle { send, outcome, tries }).await.err(),
        };
        Ok(Registration::Called(Called {
            verification_id,
            security_code,
            session_token,
            expires_at,
            backend: self.backends[place].name(),
            place,
            tries,
            result,
            delivery_id,
            unsettled,
        }))
    }

    /// Waits until an SMS that was accepted has arrived, for `patience` at the most or until the program is to stop, and
    /// stores what the provider tells; where that can't be stored, [`Called::unsettled`] says why.
    pub async fn await_arrival(&self, called: &mut Called, patience: Duration) -> Arrival {
        let message_id =
            called.result.as_ref().ok().and_then(|accepted| accepted.message_id.as_ref());
        let Some(message_id) = message_id else { return Arrival::Untold };
        let backend = &self.backends[called.place];
        let told = tokio::select! {
            biased;
            () = self.stop.cancelled() => return Arrival::NotYet(None),
            told = arrival::poll(backend, message_id, &called.security_code, patience) => told,
        };
        match told {
            Ok(Some(outcome)) => {
                let arrival = Arrival::from_outcome(&outcome).unwrap_or(Arrival::NotYet(None));
                let step = SendStep::Update { delivery_id: called.delivery_id, outcome };
                if let Err(error) = self.sends.take(step).await {
                    called.unsettled.get_or_insert(error);
                }
                arrival
            }
            Ok(None) => Arrival::Untold,
            Err(error) => Arrival::NotYet(Some(error)),
        }
    }

    /// Waits until the SMS of a stored record may start. Where that takes long, the provider is slower than the disk, and
    /// fewer records are stored ahead: after a crash the outcome of each of them is unknown. Where it does not, more are
    /// stored ahead, so that more of them share a commit. None where the program is to stop: then no backend calls anybody.
    async fn start(&self, staged: SemaphorePermit<'_>) -> Option<SemaphorePermit<'_>> {
        let waiting_since = Instant::now();
        let in_flight = tokio::select! {
            biased;
            () = self.stop.cancelled() => return None,
            in_flight = self.in_flight.acquire() => in_flight.expect("the semaphore is never closed"),
        };
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
        Some(in_flight)
    }

    /// Calls the backends until one does more than refuse for a reason of its own. Returns the send as it stands, the place of
    /// the one that was called last, what it said, and why the send could not be handed over.
    async fn call_backends(
        &self,
        mut send: StartedSend,
        sms: &Sms<'_>,
    ) -> (StartedSend, usize, Attempted, Option<StoreError>) {
        let mut place = 0;
        loop {
            let backend = &self.backends[place];
            let attempted = backend.send(sms).await;
            let refused = attempted.result.as_ref().is_err_and(|error| error.is_providers_own);
            let Some(next) = self.backends.get(place + 1).filter(|_| refused) else {
                return (send, place, attempted, None);
            };
            log::info!(
                "{}: {} refused it, {} is next",
                sms.phone_number,
                backend.name(),
                next.name()
            );
            let step = SendStep::HandOver {
                send: send.clone(),
                outcome: delivery_outcome(&attempted),
                tries: attempted.tries,
                backend: next.name().as_str(),
            };
            match self.sends.take(step).await {
                Ok(SendReply::Started(handed_over)) => send = handed_over,
                Ok(_) => unreachable!("a send that goes on was admitted and isn't over"),
                Err(error) => return (send, place, attempted, Some(error)),
            }
            place += 1;
        }
    }

    fn new_code_and_token(&self, phone_number: &PhoneNumber) -> (SecurityCode, SessionToken) {
        let random = &mut *self.random.borrow_mut();
        let security_code = match self.settings.backend.sandbox_token() {
            Some(sandbox_token) => sandbox_token.clone(),
            None => SecurityCode::random(self.settings.token_length, random),
        };
        (security_code, SessionToken::issue(phone_number, &self.key, random))
    }

    fn new_send(
        &self,
        phone_number: &PhoneNumber,
        security_code: &SecurityCode,
        session_token: &SessionToken,
        text: &str,
    ) -> NewSend {
        let random_bytes = self.random.borrow_mut().random();
        NewSend {
            verification_id: uuid::Builder::from_random_bytes(random_bytes).into_uuid(),
            phone_number: phone_number.clone(),
            security_code: security_code.clone(),
            session_token: session_token.clone(),
            backend: self.settings.backend.name().as_str(),
            segments: u32::try_from(Segments::of(text).count).unwrap_or(u32::MAX),
        }
    }
}

/// Returns what the ledger keeps of a backend's answer.
fn delivery_outcome(Attempted { result, .. }: &Attempted) -> DeliveryOutcome {
    match result {
        Ok(accepted) => DeliveryOutcome {
            state: DeliveryState::Accepted,
            message_id: accepted.message_id.clone(),
            error_code: None,
            error_message: None,
        },
        Err(error) => DeliveryOutcome {
            state: error.kind.delivery_state(),
            message_id: None,
            error_code: error.code.clone(),
            error_message: Some(error.message.clone()),
        },
    }
}
