//! Whom a code goes to, and the text that carries it: the rules of what may go out.

use std::sync::Arc;

use crate::backends::BackendOptions;
use crate::model::{Message, MessageText, PhoneNumber, Region, RenderError, SecurityCode};
use crate::settings::Settings;

/// A number that a code is to go to, and the text that carries it.
#[derive(Debug)]
pub struct Recipient {
    /// The number.
    pub phone_number: PhoneNumber,
    /// The region that the number belongs to.
    pub region: Region,
    /// The text, which many recipients may share.
    pub text: Arc<MessageText>,
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

/// Fills messages, and checks that they can go out.
#[derive(Debug)]
pub struct Composer {
    app_name: String,
    /// As long as any code: zeros, or the code of a sandbox.
    stand_in: SecurityCode,
    max_length: Option<usize>,
}

impl Composer {
    /// Returns the composer for the app and the backends of the settings.
    pub fn new(settings: &Settings) -> Self {
        let zeros = || SecurityCode::from_stored("0".repeat(settings.token_length));
        let backends = std::iter::once(&settings.backend).chain(&settings.fallback);
        Self {
            app_name: settings.app_name.clone(),
            stand_in: settings.backend.sandbox_token().cloned().unwrap_or_else(zeros),
            max_length: backends.filter_map(BackendOptions::max_message_length).min(),
        }
    }

    /// Fills `message` but for its code. `value` returns what fills a placeholder that isn't the app's name.
    ///
    /// # Errors
    /// Returns an error if a placeholder has no value, or if the text is too long for a provider.
    pub fn compose<'a>(
        &self,
        message: &Message,
        value: impl Fn(&str) -> Option<&'a str>,
    ) -> Result<MessageText, MessageError> {
        let text = message.fill(&self.app_name, value)?;
        if let Some(most) = self.max_length {
            let length = self.preview(&text).chars().count();
            if length > most {
                return Err(MessageError::TooLong { length, most });
            }
        }
        Ok(text)
    }

    /// Returns `text` with zeros for the code, or with the code of a sandbox.
    pub fn preview(&self, text: &MessageText) -> String {
        text.with_code(&self.stand_in)
    }
}
