//! Which numbers an operator means.

use super::PhoneNumber;

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
