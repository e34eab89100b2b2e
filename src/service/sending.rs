//! The rules of sending: store the record, send the SMS, settle its outcome. In this order, no code is delivered without its
//! record, and no earlier code is lost to an SMS that was not sent.

use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::slice;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use chrono::TimeDelta;
use rand::{CryptoRng, RngExt};
use tokio::sync::{Notify, SemaphorePermit};
use tokio::time::timeout;
use uuid::Uuid;

use super::admission::AdmissionRules;
use super::arrival::{self, Answer, Arrival};
use super::outcome::{Failure, Kind, Outcome};
use super::recipient::{Recipient, Route};
use super::staging::Staging;
use crate::backends::{Accepted, Attempted, Backend, BackendName, Calling, Sms};
use crate::model::{
    DeliveryOutcome, DeliveryState, PhoneNumber, SecurityCode, SessionToken, SigningKey,
};
use crate::settings::Settings;
use crate::store::{GroupCommit, Lapse, NewSend, SendReply, SendStep, StartedSend, StoreError};
use crate::system::secret::SecretError;

/// For so long after the transaction that allowed an SMS, it may leave without another check.
const FRESH: TimeDelta = TimeDelta::milliseconds(100);
/// An outcome that waits longer than this to be stored is worth a note.
const LONG_WAIT: Duration = Duration::from_secs(2);

/// How a send ended.
#[derive(Debug)]
pub struct SendResult {
    /// The outcome.
    pub outcome: Outcome,
    /// The hand-over to another backend on the way.
    pub handover: Option<Handover>,
}

/// A hand-over of a send, because the first backend refused for a reason of its own.
#[derive(Debug)]
pub struct Handover {
    /// The first backend.
    pub from: BackendName,
    /// Why it refused.
    pub why: Failure,
    /// The other backend.
    pub to: BackendName,
}

/// Makes codes and tokens, stores them and sends them.
pub struct Sender<'a, R> {
    settings: &'a Settings,
    /// The first one is called first, the others if it refuses for a reason of its own.
    backends: Vec<Backend>,
    /// The one that is called for test numbers.
    test: Backend,
    store: GroupCommit,
    rules: AdmissionRules,
    key: SigningKey,
    random: RefCell<R>,
    staging: Staging,
    calling: Arc<Calling>,
    /// Notified if an outcome can't be stored soon.
    delay: Notify,
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
    /// Returns a sender that writes to `store`, which goes by the same `rules`, sends with `backends`, which were connected with
    /// `calling`, and takes codes and tokens from `random`.
    pub fn new(
        settings: &'a Settings,
        store: GroupCommit,
        backends: Vec<Backend>,
        rules: AdmissionRules,
        key: SigningKey,
        random: R,
        calling: &Arc<Calling>,
    ) -> Self {
        Self {
            staging: Staging::new(calling),
            calling: Arc::clone(calling),
            settings,
            backends,
            test: Backend::of_test_numbers(calling),
            store,
            rules,
            key,
            random: random.into(),
            delay: Notify::new(),
        }
    }

    /// Waits until an outcome has to wait for another process before it can be stored.
    pub async fn delayed(&self) {
        self.delay.notified().await;
    }

    /// Returns how many requests to send an SMS have no answer yet.
    pub fn requests(&self) -> usize {
        self.calling.requests.load(Ordering::Relaxed)
    }

    /// Stores a new code for `recipient` and sends it. Waits until it has arrived, but not longer than `patience`.
    pub async fn send(&self, recipient: &Recipient, patience: Option<Duration>) -> SendResult {
        let mut dispatch = Dispatch { sender: self, handover: None, unstored: None };
        let outcome = dispatch.send(recipient, patience).await.unwrap_or_else(|outcome| outcome);
        let outcome = match dispatch.unstored {
            Some(error) => outcome.but_unstored(error),
            None => outcome,
        };
        SendResult { outcome, handover: dispatch.handover }
    }

    fn new_code(
        &self,
        phone_number: &PhoneNumber,
        fixed_code: Option<&SecurityCode>,
    ) -> (Uuid, SecurityCode, SessionToken) {
        let random = &mut *self.random.borrow_mut();
        let security_code = match fixed_code {
            Some(code) => code.clone(),
            None => SecurityCode::random(self.settings.token_length, random),
        };
        let session_token = SessionToken::issue(phone_number, &self.key, random);
        let id = uuid::Builder::from_random_bytes(random.random()).into_uuid();
        (id, security_code, session_token)
    }

    /// Calls a backend as long as the code of `send` counts.
    async fn call(&self, backend: &Backend, send: &StartedSend, sms: &Sms<'_>) -> CallResult {
        let obstacle = Cell::new(None);
        let may_leave = async |tries: u32| {
            let age = self.store.clock().now() - send.allowed_at;
            if tries == 0 && (TimeDelta::zero()..FRESH).contains(&age) {
                return Ok(());
            }
            let (failure, reason) = match self.lapse(send, false).await {
                Ok(None) => return Ok(()),
                Ok(Some(lapse)) => {
                    let failure = Failure::lapsed(lapse, Some(false));
                    let reason = failure.message.clone();
                    (failure, reason)
                }
                Err(error) => {
                    let reason = "the database didn't say whether its code still counts";
                    (Failure::from_store(&error), reason.to_owned())
                }
            };
            obstacle.set(Some(failure));
            Err(reason)
        };
        let attempted = backend.send(sms, may_leave).await;
        let (outcome, tries) = (delivery_outcome(&attempted), attempted.tries);
        let may_hand_over = attempted.result.as_ref().is_err_and(|error| error.is_providers_own);
        let result = attempted.result.map_err(|error| match obstacle.take() {
            Some(failure) => failure,
            None if tries == 0 => Failure::stopped(),
            None => Failure::from_sms_error(backend, error),
        });
        CallResult { result, outcome, tries, may_hand_over }
    }

    /// Returns why the code of `send` doesn't count any more, if so.
    async fn lapse(&self, send: &StartedSend, has_left: bool) -> Result<Option<Lapse>, StoreError> {
        match self.store.take(SendStep::Check { send: send.clone(), has_left }).await? {
            SendReply::Lapsed(lapse) => Ok(Some(lapse)),
            _ => Ok(None),
        }
    }

    /// Takes a step that stores the outcome of an SMS. If another process keeps it waiting, says so.
    async fn store_outcome(&self, step: SendStep) -> Result<SendReply, StoreError> {
        let mut stored = pin!(self.store.take(step));
        match timeout(LONG_WAIT, &mut stored).await {
            Ok(reply) => reply,
            Err(_) => {
                self.delay.notify_one();
                stored.await
            }
        }
    }
}

/// One send, and what happens on the way to its outcome.
struct Dispatch<'s, 'a, R> {
    sender: &'s Sender<'a, R>,
    handover: Option<Handover>,
    /// The first error of the database.
    unstored: Option<StoreError>,
}

impl<R: CryptoRng> Dispatch<'_, '_, R> {
    /// Returns the outcome: as an error unless a provider has accepted the SMS.
    async fn send(
        &mut self,
        recipient: &Recipient,
        patience: Option<Duration>,
    ) -> Result<Outcome, Outcome> {
        let Recipient { phone_number, route, text } = recipient;
        if let Some(refusal) = self.sender.rules.refuse_number(route) {
            return Err(refusal.into());
        }
        let staged = self.sender.staging.stage().await.ok_or_else(Outcome::stopped)?;
        let (backends, fixed_code) = match route {
            Route::Sms { .. } => {
                (&*self.sender.backends, self.sender.settings.backend.sandbox_token())
            }
            Route::Test(code) => (slice::from_ref(&self.sender.test), Some(code)),
        };
        let (id, security_code, session_token) = self.sender.new_code(phone_number, fixed_code);
        let text = text.with_code(&security_code);
        let segments = route.segments(&text);
        let send = NewSend {
            verification_id: id,
            phone_number: phone_number.clone(),
            security_code: security_code.clone(),
            session_token: session_token.clone(),
            code_lifetime: self.sender.settings.code_lifetime,
            backend: Arc::clone(backends[0].name().stored()),
            segments: u32::try_from(segments).unwrap_or(u32::MAX),
            language: recipient.text.language(),
        };
        let send = match self.sender.store.take(SendStep::Start(send)).await {
            Ok(SendReply::Started(send)) => send,
            Ok(SendReply::Refused(refusal)) => return Err(refusal.into()),
            Ok(reply) => unreachable!("a start is stored or refused: {reply:?}"),
            Err(error) => {
                let failure = Failure::from_store(&error);
                self.unstored = Some(error);
                return Err(failure.into());
            }
        };
        log::debug!("{phone_number}: the record {id} is stored");
        let sms = Sms { phone_number, text: &text, security_code: &security_code };
        let failed = |error: Failure| {
            let may_arrive = matches!(error.kind, Kind::Unknown | Kind::Undelivered);
            let session_token = may_arrive.then(|| session_token.clone());
            Outcome::Failed { id: Some(id), session_token, error, unstored: None }
        };
        let (send, backend, accepted) =
            self.deliver(backends, send, &sms, staged).await.map_err(&failed)?;
        let message_id = accepted.message_id;
        let mut arrival = None;
        if let (Some(patience), Route::Sms { .. }) = (patience, route) {
            let asking = arrival::poll(backend, message_id.as_deref(), &security_code, patience);
            let found = self.await_arrival(&send, backend, asking).await;
            arrival = Some(found.map_err(failed)?);
        }
        Ok(Outcome::Sent {
            id,
            session_token,
            backend: backend.name().clone(),
            message_id,
            expires_at: send.expires_at,
            arrival,
            shown_text: accepted.shown_text,
            unstored: None,
        })
    }

    /// Calls `backends` once the SMS may start, until one of them does anything but refuse for a reason of its own. Then
    /// settles the send. Returns the send, the backend that accepted the SMS and its answer, or why the code isn't on its way.
    async fn deliver<'b>(
        &mut self,
        backends: &'b [Backend],
        mut send: StartedSend,
        sms: &Sms<'_>,
        staged: SemaphorePermit<'_>,
    ) -> Result<(StartedSend, &'b Backend, Accepted), Failure> {
        let in_flight = self.sender.staging.start(staged).await;
        let mut backends = backends.iter().peekable();
        let mut handover = None;
        while let Some(backend) = backends.next() {
            let CallResult { result, outcome, tries, may_hand_over } =
                self.sender.call(backend, &send, sms).await;
            if tries > 0 {
                self.handover = handover.take();
            }
            let (why, next) = match (result, backends.peek()) {
                (Err(why), Some(next)) if may_hand_over => (why, next),
                (result, _) => {
                    drop(in_flight);
                    let step = SendStep::Settle { send: send.clone(), outcome, tries };
                    match self.sender.store_outcome(step).await {
                        Ok(SendReply::Lapsed(lapse)) => {
                            return Err(Failure::lapsed(lapse, result.is_ok().then_some(true)));
                        }
                        reply => self.unstored = reply.err(),
                    }
                    return result.map(|accepted| (send, backend, accepted));
                }
            };
            let name = Arc::clone(next.name().stored());
            let step = SendStep::HandOver { send, outcome, tries, backend: name };
            match self.sender.store_outcome(step).await {
                Ok(SendReply::Started(started)) => send = started,
                Ok(SendReply::Lapsed(lapse)) => return Err(Failure::lapsed(lapse, Some(false))),
                Ok(reply) => unreachable!("a hand-over starts a delivery: {reply:?}"),
                Err(error) => {
                    self.unstored = Some(error);
                    return Err(why);
                }
            }
            let (from, to) = (backend.name().clone(), next.name().clone());
            handover = Some(Handover { from, why, to });
        }
        unreachable!("the settings name a backend")
    }

    /// Waits for the answer to whether the SMS of `send` arrived, and stores it. Returns why its code isn't of use, if so.
    async fn await_arrival(
        &mut self,
        send: &StartedSend,
        backend: &Backend,
        asking: impl Future<Output = Answer>,
    ) -> Result<Arrival, Failure> {
        let answer = self.sender.calling.stop.run_until_cancelled(asking).await;
        let arrival = answer.as_ref().map_or(Arrival::Unknown(None), Arrival::from);
        if let Some(Ok(Some(outcome))) = answer
            && outcome.state.is_final()
        {
            let step = SendStep::Update { delivery_id: send.delivery_id, outcome };
            self.unstored = self.unstored.take().or(self.sender.store.take(step).await.err());
        }
        match self.sender.lapse(send, true).await {
            Ok(Some(lapse)) => return Err(Failure::lapsed(lapse, Some(true))),
            Ok(None) => {}
            Err(error) => self.unstored = self.unstored.take().or(Some(error)),
        }
        match arrival {
            Arrival::Undelivered(DeliveryOutcome { error_code: code, error_message, .. }) => {
                let message =
                    error_message.unwrap_or_else(|| "the provider gives no reason".to_owned());
                Err(Failure::reported(Kind::Undelivered, backend, code, message))
            }
            arrival => Ok(arrival),
        }
    }
}

/// What came of calling a backend.
struct CallResult {
    result: Result<Accepted, Failure>,
    /// What the ledger keeps of it.
    outcome: DeliveryOutcome,
    tries: u32,
    /// Whether another backend may accept the SMS.
    may_hand_over: bool,
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
