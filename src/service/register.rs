//! The rules of sending: store the record, send the SMS, settle what it came to, in this order, so that no code is ever
//! delivered without its record and no earlier code is lost for an SMS that did not leave.

use std::cell::RefCell;

use chrono::{DateTime, Utc};
use rand::{CryptoRng, RngExt};

use crate::backends::{Accepted, Backend, Sms, SmsError, SmsErrorKind};
use crate::model::{
    Context, Message, PhoneNumber, RenderError, SecurityCode, SessionToken, SigningKey, expires_at,
};
use crate::secret::SecretError;
use crate::settings::Settings;
use crate::store::{GroupCommit, NewRecord, SendStep, StoreError, StoredRecord};

/// A number that a code is to go to, with the message that carries it.
#[derive(Debug, Clone)]
pub struct Recipient {
    /// The number.
    pub phone_number: PhoneNumber,
    /// The message.
    pub message: Message,
    /// What fills the message's further placeholders.
    pub context: Context,
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
pub struct Registration {
    /// The number.
    pub phone_number: PhoneNumber,
    /// The token that the code is verified with.
    pub session_token: SessionToken,
    /// The last moment at which the code is accepted.
    pub expires_at: DateTime<Utc>,
    /// What the provider said.
    pub result: Result<Accepted, SmsError>,
    /// Why the database could not be brought up to date after the provider had answered.
    pub unsettled: Option<StoreError>,
}

/// Makes codes and tokens, stores them and sends them.
pub struct Registrar<'a, R> {
    settings: &'a Settings,
    backend: &'a Backend,
    records: GroupCommit,
    key: SigningKey,
    random: RefCell<R>,
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

/// Returns the text that `recipient` would get, with zeros for the code (a sandbox: its own code), having checked that the
/// message can go out.
///
/// # Errors
/// A placeholder has no value, or the text is too long for the provider.
pub fn preview(settings: &Settings, recipient: &Recipient) -> Result<String, MessageError> {
    let zeros = || SecurityCode::from_stored("0".repeat(settings.token_length));
    let security_code = settings.backend.sandbox_token().cloned().unwrap_or_else(zeros);
    let text = recipient.message.render(&settings.app_name, &security_code, &recipient.context)?;
    let length = text.chars().count();
    match settings.backend.max_message_length() {
        Some(most) if length > most => Err(MessageError::TooLong { length, most }),
        _ => Ok(text),
    }
}

impl<'a, R: CryptoRng> Registrar<'a, R> {
    /// Returns a registrar that stores with `records` and sends with `backend`, and takes codes and tokens from `random`.
    pub fn new(
        settings: &'a Settings,
        backend: &'a Backend,
        records: GroupCommit,
        key: SigningKey,
        random: R,
    ) -> Self {
        Self { settings, backend, records, key, random: random.into() }
    }

    /// Registers `recipient`: stores a new code and sends it. The message has to have passed [`preview`].
    ///
    /// # Errors
    /// The record could not be stored; then nothing was sent.
    pub async fn register(&self, recipient: &Recipient) -> Result<Registration, StoreError> {
        let Recipient { phone_number, message, context } = recipient;
        let record = self.new_record(phone_number);
        let (security_code, session_token) =
            (record.security_code.clone(), record.session_token.clone());
        let text = message
            .render(&self.settings.app_name, &security_code, context)
            .expect("the preview was filled");
        let record = self.records.take(SendStep::Record(record)).await?;
        log::debug!("{phone_number}: the record {} is stored", record.id);
        let sms = Sms { phone_number, text: &text, security_code: &security_code };
        let result = self.backend.send(&sms).await;
        let unsettled = self.settle(&record, &result).await.err();
        let expires_at = expires_at(record.created_at, self.settings.code_lifetime);
        Ok(Registration {
            phone_number: phone_number.clone(),
            session_token,
            expires_at,
            result,
            unsettled,
        })
    }

    fn new_record(&self, phone_number: &PhoneNumber) -> NewRecord {
        let random = &mut *self.random.borrow_mut();
        NewRecord {
            id: uuid::Builder::from_random_bytes(random.random()).into_uuid(),
            phone_number: phone_number.clone(),
            security_code: match self.settings.backend.sandbox_token() {
                Some(sandbox_token) => sandbox_token.clone(),
                None => SecurityCode::random(self.settings.token_length, random),
            },
            session_token: SessionToken::issue(phone_number, &self.key, random),
        }
    }

    async fn settle(
        &self,
        record: &StoredRecord,
        result: &Result<Accepted, SmsError>,
    ) -> Result<(), StoreError> {
        let step = match result {
            Ok(_) => SendStep::Accepted(record.clone()),
            Err(SmsError { kind: SmsErrorKind::Rejected | SmsErrorKind::Unavailable, .. }) => {
                SendStep::NotAccepted(record.clone())
            }
            // The new code may still arrive, and until it does the earlier one is what the person has: both stay.
            Err(SmsError { kind: SmsErrorKind::Unknown, .. }) => return Ok(()),
        };
        self.records.take(step).await.map(|_| ())
    }
}
