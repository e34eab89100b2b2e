//! Phone numbers in E.164, read and judged by libphonenumber's rules.

use std::fmt;

use rlibphonenumber::PhoneNumberFormat;
pub use rlibphonenumber::Region;

/// The most characters that the table's `phone_number` column holds.
const MAX_LENGTH: usize = 128;

/// A phone number as it is stored and shown: `+` and digits (ITU-T E.164).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PhoneNumber(String);

/// A text that is no phone number that an SMS can go to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct InvalidPhoneNumber {
    /// The number in E.164 where it could be read, else the text as given.
    pub phone_number: String,
    reason: &'static str,
}

impl PhoneNumber {
    /// Reads a number that an SMS can be sent to. `default_region` is the region of numbers without `+`.
    ///
    /// # Errors
    /// The text can't be read as a number, or libphonenumber calls the number invalid.
    pub fn parse(text: &str, default_region: Option<Region>) -> Result<Self, InvalidPhoneNumber> {
        let parsed = read(text, default_region)?;
        let phone_number = parsed.format_as(PhoneNumberFormat::E164).into_owned();
        if parsed.is_valid() {
            Ok(Self(phone_number))
        } else {
            let reason = "no such number can exist in its numbering plan";
            Err(InvalidPhoneNumber { phone_number, reason })
        }
    }

    /// Reads a number to look records up by. `+` and digits are taken as they stand, so that a row of another program
    /// can be reached whatever it holds, and without loading libphonenumber's metadata.
    ///
    /// # Errors
    /// The text has another form and can't be read as a number.
    pub fn parse_for_lookup(
        text: &str,
        default_region: Option<Region>,
    ) -> Result<Self, InvalidPhoneNumber> {
        let text = text.trim();
        let is_plain = text.strip_prefix('+').is_some_and(|digits| {
            (1..MAX_LENGTH).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit())
        });
        if is_plain {
            return Ok(Self(text.to_owned()));
        }
        let parsed = read(text, default_region)?;
        Ok(Self(parsed.format_as(PhoneNumberFormat::E164).into_owned()))
    }

    /// Returns the region that the number belongs to, from libphonenumber's metadata.
    pub fn region(&self) -> Option<Region> {
        rlibphonenumber::PhoneNumber::parse(&self.0, None).ok()?.get_region_code()
    }

    /// Returns a number as the table holds it, whatever form another program gave it.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// Returns whether the number is `+` and up to 15 digits, of which the first is no zero, as ITU-T E.164 has it.
    pub fn is_e164(&self) -> bool {
        self.0.strip_prefix('+').is_some_and(|digits| {
            (1..=15).contains(&digits.len())
                && !digits.starts_with('0')
                && digits.bytes().all(|byte| byte.is_ascii_digit())
        })
    }

    /// Returns the number with its `+`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the number without its `+`.
    pub fn digits(&self) -> &str {
        self.0.trim_start_matches('+')
    }
}

impl fmt::Display for PhoneNumber {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl serde::Serialize for PhoneNumber {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// Returns the region that `code`, an ISO 3166-1 code such as `US`, names; None where libphonenumber knows no such region.
pub fn parse_region(code: &str) -> Option<Region> {
    let code = code.to_ascii_uppercase();
    // ISO 3166-1 reserves XX and ZZ for no place; libphonenumber's list has them and `001`, the whole world.
    let is_a_place = code.len() == 2 && !["XX", "ZZ"].contains(&code.as_str());
    code.parse().ok().filter(|_| is_a_place)
}

fn read(
    text: &str,
    default_region: Option<Region>,
) -> Result<rlibphonenumber::PhoneNumber, InvalidPhoneNumber> {
    use rlibphonenumber::ParseError as E;
    // rlibphonenumber 2.2.15 panics where RFC 3966's context stands before its prefix (build_national_number_for_parsing).
    if let (Some(context), Some(prefix)) = (text.find(";phone-context="), text.find("tel:"))
        && context < prefix
    {
        let reason = "it can't be read as a phone number";
        return Err(InvalidPhoneNumber { phone_number: text.to_owned(), reason });
    }
    rlibphonenumber::PhoneNumber::parse(text, default_region).map_err(|error| {
        let reason = match error {
            _ if text.trim().is_empty() => "it is empty",
            E::InvalidCountryCode if default_region.is_none() && !text.trim().starts_with('+') => {
                "it has no country code; write it as + and country code, or set default_region"
            }
            E::InvalidCountryCode => "it has no valid country code",
            E::TooShortAfterIdd | E::TooShortNsn => "it is too short",
            E::TooLongNsn => "it is too long",
            _ => "it can't be read as a phone number",
        };
        InvalidPhoneNumber { phone_number: text.to_owned(), reason }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_valid_number_is_brought_into_e164() {
        for text in ["+14155552671", "+1 (415) 555-2671", " +1-415-555-2671 "] {
            assert_eq!(PhoneNumber::parse(text, None).unwrap().as_str(), "+14155552671", "{text}");
        }
    }

    #[test]
    fn a_number_without_plus_takes_the_default_region() {
        let region = parse_region("us");
        assert_eq!(PhoneNumber::parse("(415) 555-2671", region).unwrap().as_str(), "+14155552671");
        assert!(PhoneNumber::parse("(415) 555-2671", None).is_err());
    }

    #[test]
    fn an_invalid_number_is_refused_in_e164_and_an_unreadable_one_as_given() {
        let invalid = PhoneNumber::parse("+1 555 123 4567", None).unwrap_err();
        assert_eq!(invalid.phone_number, "+15551234567");
        let unreadable = PhoneNumber::parse("hello", None).unwrap_err();
        assert_eq!(unreadable.phone_number, "hello");
    }

    #[test]
    fn a_lookup_takes_plus_and_digits_as_they_stand() {
        for text in ["+15551234567", "+0", "+99999999999999999999"] {
            assert_eq!(PhoneNumber::parse_for_lookup(text, None).unwrap().as_str(), text);
        }
        assert!(PhoneNumber::parse_for_lookup("+", None).is_err());
        assert!(PhoneNumber::parse_for_lookup("+1٢", None).is_err());
    }

    #[test]
    fn unknown_regions_are_none() {
        assert_eq!(parse_region("US"), parse_region("us"));
        for unknown in ["", "ZZ", "XX", "USA", "Germany"] {
            assert_eq!(parse_region(unknown), None, "{unknown}");
        }
    }
}
