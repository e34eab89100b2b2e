//! The numbers of a send, and how each is reached.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::model::{
    InvalidPhoneNumber, MessageText, NumberType, ParsedNumber, PhoneNumber, Region, SecurityCode,
    Segments,
};
use crate::settings::{Settings, TestCodes};

/// A number to send a code to, and the text that carries it.
#[derive(Debug)]
pub struct Recipient {
    /// The number.
    pub phone_number: PhoneNumber,
    /// How it is reached.
    pub route: Route,
    /// The text, which many recipients may share.
    pub text: Arc<MessageText>,
}

/// How a number is reached.
#[derive(Debug, Clone)]
pub enum Route {
    /// By SMS.
    Sms {
        /// The region that the number belongs to.
        region: Region,
        /// What the number is for.
        number_type: NumberType,
    },
    /// Not at all, since it is a test number. It always gets this code.
    Test(SecurityCode),
}

impl Route {
    /// Returns the segments of `text` that are paid for.
    pub fn segments(&self, text: &str) -> usize {
        match self {
            Self::Sms { .. } => Segments::of(text).count,
            Self::Test(_) => 0,
        }
    }

    /// Returns the region that the SMS goes to, if there is one.
    pub fn region(&self) -> Option<Region> {
        match self {
            Self::Sms { region, .. } => Some(*region),
            Self::Test(_) => None,
        }
    }

    /// Returns what the number is for, if that matters to an SMS.
    pub fn number_type(&self) -> Option<NumberType> {
        match self {
            Self::Sms { number_type, .. } => Some(*number_type),
            Self::Test(_) => None,
        }
    }
}

/// Reads numbers, and knows how each is reached.
#[derive(Debug)]
pub struct Routes {
    default_region: Option<Region>,
    test_codes: TestCodes,
}

impl Routes {
    /// Returns the routes of the settings at `now`.
    pub fn from_settings(settings: &Settings, now: DateTime<Utc>) -> Self {
        let as_sent_to = |number: PhoneNumber| match PhoneNumber::parse(number.as_str(), None) {
            Ok(parsed) => parsed.phone_number,
            Err(invalid) => PhoneNumber::from_stored(invalid.phone_number),
        };
        let test_codes = settings.test_codes(now).into_iter();
        let test_codes = test_codes.map(|(number, code)| (as_sent_to(number), code)).collect();
        Self { default_region: settings.default_region, test_codes }
    }

    /// Reads a number. Returns it, how it is reached, and what was dropped from the text, in words.
    ///
    /// # Errors
    /// Returns an error if the text can't be read, or if libphonenumber calls the number invalid and it isn't a test number.
    pub fn find(
        &self,
        text: &str,
    ) -> Result<(PhoneNumber, Route, Option<String>), InvalidPhoneNumber> {
        let test = |number: &PhoneNumber| self.test_codes.get(number).cloned().map(Route::Test);
        match PhoneNumber::parse(text, self.default_region) {
            Ok(ParsedNumber { phone_number, region, number_type, warning }) => {
                let route = test(&phone_number).unwrap_or(Route::Sms { region, number_type });
                Ok((phone_number, route, warning))
            }
            Err(invalid) => {
                let phone_number = PhoneNumber::from_stored(invalid.phone_number.clone());
                let route = test(&phone_number).ok_or(invalid)?;
                Ok((phone_number, route, None))
            }
        }
    }
}
