//! The rules of what a message has to be so that it can go out.

use super::Settings;
use crate::backends::BackendOptions;
use crate::model::{Message, MessageContext, RenderError, SecurityCode};

/// Why a message can't go out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// A placeholder has no value.
    #[error(transparent)]
    Render(#[from] RenderError),
    /// The provider doesn't take a text of this length.
    #[error("the message has {length} characters; the provider takes {most}")]
    TooLong {
        /// The characters of the text.
        length: usize,
        /// The most that the provider takes.
        most: usize,
    },
}

/// Returns the text of `message` with what `context` fills, and zeros for the code (a sandbox: its own code), having checked
/// that it can go out.
///
/// # Errors
/// Returns an error if a placeholder has no value, or if the text is too long for a provider.
pub fn preview(
    settings: &Settings,
    message: &Message,
    context: &MessageContext,
) -> Result<String, MessageError> {
    let zeros = || SecurityCode::from_stored("0".repeat(settings.token_length));
    let security_code = settings.backend.sandbox_token().cloned().unwrap_or_else(zeros);
    let text = message.render(&settings.app_name, &security_code, context)?;
    let length = text.chars().count();
    match settings.backends().filter_map(BackendOptions::max_message_length).min() {
        Some(most) if length > most => Err(MessageError::TooLong { length, most }),
        _ => Ok(text),
    }
}
