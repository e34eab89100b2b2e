//! The text of an SMS, filled but for its code, and the rules of what may go out.

use super::{Message, MessageText, RenderError, SecurityCode};

/// Fills messages, and checks that they can go out.
#[derive(Debug)]
pub struct Composer {
    /// The name that `{app}` stands for.
    pub app_name: String,
    /// What previews have for the code, as long as any code is.
    pub stand_in: SecurityCode,
    /// The most characters that the providers take.
    pub max_length: Option<usize>,
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

impl Composer {
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

    /// Returns `text` as it looks, without a code that anybody could use.
    pub fn preview(&self, text: &MessageText) -> String {
        text.with_code(&self.stand_in)
    }
}
