//! The text of an SMS, filled except for its code, and the rules for what can be sent.

use super::{Message, MessageError, MessageText, SecurityCode};

/// Fills messages, and checks that they can be sent.
#[derive(Debug)]
pub struct Composer {
    /// The value of `{app}`.
    pub app_name: String,
    /// What previews have for the code. It's as long as a code.
    pub stand_in: SecurityCode,
    /// The most characters that the providers take.
    pub max_length: Option<usize>,
}

impl Composer {
    /// Fills `message` except for its code. `value` returns what fills a placeholder that isn't the app's name.
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

    /// Returns `text` with a code that can't be used.
    pub fn preview(&self, text: &MessageText) -> String {
        text.with_code(&self.stand_in)
    }
}
