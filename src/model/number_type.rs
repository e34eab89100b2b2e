//! What a phone number is for, as far as its digits say.

use std::fmt;

use rlibphonenumber::PhoneNumberType;
use serde::{Deserialize, Serialize};

/// The type of a phone number, as libphonenumber tells it from the digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NumberType {
    /// A mobile phone.
    Mobile,
    /// A landline.
    FixedLine,
    /// Either of the two: the numbering plan doesn't tell them apart, as in the United States.
    FixedLineOrMobile,
    /// A phone of the internet.
    Voip,
    /// A number that is free for the caller.
    TollFree,
    /// A number that follows a person.
    Personal,
    /// A number that costs the caller more.
    PremiumRate,
    /// A number whose cost caller and owner share.
    SharedCost,
    /// A pager.
    Pager,
    /// A company's number for all its offices.
    Uan,
    /// A voice mailbox.
    Voicemail,
}

impl NumberType {
    /// Returns the type of a number; None unless libphonenumber calls the number valid.
    pub(super) fn of(number: &rlibphonenumber::PhoneNumber) -> Option<Self> {
        use PhoneNumberType as T;
        Some(match number.get_type() {
            T::Mobile => Self::Mobile,
            T::FixedLine => Self::FixedLine,
            T::FixedLineOrMobile => Self::FixedLineOrMobile,
            T::VoIP => Self::Voip,
            T::TollFree => Self::TollFree,
            T::PersonalNumber => Self::Personal,
            T::PremiumRate => Self::PremiumRate,
            T::SharedCost => Self::SharedCost,
            T::Pager => Self::Pager,
            T::UAN => Self::Uan,
            T::VoiceMail => Self::Voicemail,
            T::Unknown => return None,
        })
    }

    /// Returns the type in words.
    pub fn in_words(self) -> String {
        self.to_string().replace('_', " ")
    }
}

impl fmt::Display for NumberType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(formatter)
    }
}
