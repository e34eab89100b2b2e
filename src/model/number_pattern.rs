//! Which numbers an operator means.

use super::PhoneNumber;
use super::typed_text::in_plain_characters;

/// A number, or those that end alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NumberPattern {
    /// This number.
    Whole(PhoneNumber),
    /// The numbers that end in these digits.
    Ending(String),
}

impl From<PhoneNumber> for NumberPattern {
    fn from(phone_number: PhoneNumber) -> Self {
        Self::Whole(phone_number)
    }
}

/// Returns the digits of `text`, of any script, if it is nothing else.
pub fn digits_alone(text: &str) -> Option<String> {
    let text = in_plain_characters(text);
    let digits = text.trim();
    let is_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_digits.then(|| digits.to_owned())
}
