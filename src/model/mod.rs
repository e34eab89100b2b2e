//! The terms of the domain, without any input or output.

mod check;
mod composer;
mod delivery;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod human;
mod message;
mod number_pattern;
mod number_reading;
mod number_type;
mod period;
mod phone_number;
mod record_state;
mod region;
mod security_code;
mod segments;
mod session_token;
mod sms_verification;
mod template;
pub mod timestamp;
mod typed_text;
pub mod values;
mod verification_status;
mod words;
mod written_number;

pub use check::{Check, CheckStatus};
pub use composer::Composer;
pub use delivery::{Delivery, DeliveryOutcome, DeliveryState};
pub use human::{ago, counted, distance, grouped, plural, shell_word, span, with_code};
pub use message::{
    Message, MessageContext, MessageError, MessageText, Messages, is_language_tag, normalized_tag,
    parse_context,
};
pub use number_pattern::{NumberPattern, digits_alone};
pub use number_reading::InvalidPhoneNumber;
pub use number_type::NumberType;
pub use period::{Period, latest};
pub use phone_number::{ParsedNumber, PhoneNumber};
pub use record_state::RecordState;
pub use region::{Region, parse_region};
pub use security_code::{SecurityCode, TypedCode};
pub use segments::{Encoding, Segments, is_gsm7};
pub use session_token::{SessionToken, SigningKey};
pub use sms_verification::{ListedRecord, SmsVerification, expires_at};
pub use template::{Template, percent_encoded};
pub use verification_status::VerificationStatus;
pub use words::{single_spaced, steers_terminal, without_error_number, words};
pub use written_number::is_written_number;

/// Returns `text` without the white space around it, or what is wrong unless 1 to `most` characters are left.
fn trimmed_input(text: &str, most: usize) -> Result<&str, String> {
    match text.trim() {
        "" => Err("is empty".to_owned()),
        long if long.chars().count() > most => {
            Err(format!("is longer than {most} characters, the most that one can have"))
        }
        fitting => Ok(fitting),
    }
}
