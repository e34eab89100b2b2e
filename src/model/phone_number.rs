//! Phone numbers in E.164, parsed and validated by libphonenumber's rules.

use std::fmt;

use rlibphonenumber::{PhoneNumberFormat, Region};
use serde::Serialize;

use super::number_reading::{InvalidPhoneNumber, Reading, read, suggestion, why_invalid};
use super::number_type::NumberType;

/// The most characters that the table's `phone_number` column holds.
const MAX_LENGTH: usize = 128;

/// A phone number in the form that is stored and shown: `+` and digits (ITU-T E.164).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct PhoneNumber(String);

/// A number that an SMS can go to, with what libphonenumber knows about it.
#[derive(Debug, Clone)]
pub struct ParsedNumber {
    /// The number.
    pub phone_number: PhoneNumber,
    /// The region that it belongs to.
    pub region: Region,
    /// What it is for.
    pub number_type: NumberType,
    /// What was dropped from the text, in words.
    pub warning: Option<String>,
}

impl PhoneNumber {
    /// Parses a number to send an SMS to. `default_region` is the region of numbers without `+`.
    ///
    /// # Errors
    /// Returns an error if the text can't be parsed, or if libphonenumber calls the number invalid.
    pub fn parse(
        text: &str,
        default_region: Option<Region>,
    ) -> Result<ParsedNumber, InvalidPhoneNumber> {
        let (written, reading) = read(text, default_region)?;
        let phone_number = Self::from_reading(&reading);
        let Some((region, number_type)) = reading.get_region_code().zip(NumberType::of(&reading))
        else {
            let suggestion = suggestion(&written, default_region, Some(phone_number.as_str()));
            let reason = why_invalid(&reading).into();
            return Err(InvalidPhoneNumber { phone_number: phone_number.0, reason, suggestion });
        };
        let warning = written.has_extension.then(|| extension_warning(&phone_number));
        Ok(ParsedNumber { phone_number, region, number_type, warning })
    }

    /// Parses a number to look up records by, and returns what was dropped from the text, in words. `+` and digits are taken
    /// unchanged. This finds the rows of other programs too, and doesn't load libphonenumber's metadata.
    ///
    /// # Errors
    /// Returns an error if the text has another form and can't be parsed.
    pub fn parse_for_lookup(
        text: &str,
        default_region: Option<Region>,
    ) -> Result<(Self, Option<String>), InvalidPhoneNumber> {
        let unchanged = Self(text.trim().to_owned());
        if unchanged.is_findable() {
            return Ok((unchanged, None));
        }
        let (written, reading) = read(text, default_region)?;
        let phone_number = Self::from_reading(&reading);
        let warning = written.has_extension.then(|| extension_warning(&phone_number));
        Ok((phone_number, warning))
    }

    fn from_reading(reading: &Reading) -> Self {
        Self(reading.format_as(PhoneNumberFormat::E164).into_owned())
    }

    /// Returns a number of the table, in whatever form it was stored.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// Returns what the number is for; None unless libphonenumber calls it valid.
    pub fn number_type(&self) -> Option<NumberType> {
        NumberType::of(&Reading::parse(&self.0, None).ok()?)
    }

    /// Returns the region that the number belongs to by libphonenumber; None if it has none or can't be read.
    pub fn region(&self) -> Option<Region> {
        Reading::parse(&self.0, None).ok()?.get_region_code()
    }

    /// Returns whether the number is `+` and up to 15 digits, the first of them not zero (ITU-T E.164).
    pub fn is_e164(&self) -> bool {
        is_plus_and_digits(&self.0, 15) && !self.0.starts_with("+0")
    }

    /// Returns whether commands find rows of the number, since [`PhoneNumber::parse_for_lookup`] takes it unchanged.
    pub fn is_findable(&self) -> bool {
        is_plus_and_digits(&self.0, MAX_LENGTH - 1)
    }

    /// Returns the number with its `+`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the digits of a valid number, at most 17 of them, as one integer.
    pub fn as_integer(&self) -> u64 {
        self.digits().parse().unwrap_or(u64::MAX)
    }

    /// Returns the number without its `+`.
    pub fn digits(&self) -> &str {
        self.0.trim_start_matches('+')
    }
}

/// Returns whether `text` is `+` and 1 to `most` digits.
fn is_plus_and_digits(text: &str, most: usize) -> bool {
    text.strip_prefix('+').is_some_and(|digits| {
        (1..=most).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
    })
}

impl fmt::Display for PhoneNumber {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

fn extension_warning(phone_number: &PhoneNumber) -> String {
    format!("phone number {phone_number}: the extension after it is dropped")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rlibphonenumber::PHONE_NUMBER_UTIL;

    use super::*;
    use crate::model::parse_region;

    fn parse(text: &str, region: &str) -> Result<String, String> {
        PhoneNumber::parse(text, parse_region(region).ok())
            .map(|parsed| parsed.phone_number.0)
            .map_err(|invalid| invalid.to_string())
    }

    #[test]
    fn a_valid_number_is_brought_into_e164() {
        for (text, region, number) in [
            ("+14155552671", "", "+14155552671"),
            ("+1 (415) 555-2671", "", "+14155552671"),
            (" ＋1-415-555-2671 ", "", "+14155552671"),
            ("tel:555-2671;phone-context=+1-415", "", "+14155552671"),
            ("(415) 555-2671", "US", "+14155552671"),
            ("14155552671", "US", "+14155552671"),
            ("011 44 20 7946 0018", "US", "+442079460018"),
            ("٠٢٠ ٧٩٤٦ ٠٠١٨", "GB", "+442079460018"),
            ("+49 (0) 30 123456", "", "+4930123456"),
            ("+491701234567.0", "", "+491701234567"),
            // Of a number that begins with the country code, one reading is valid.
            ("442079460018", "GB", "+442079460018"),
            ("393123456789", "IT", "+393123456789"),
            ("4930123456", "DE", "+4930123456"),
            ("3912345678", "IT", "+393912345678"),
            // Argentina's 15 in front of a mobile's number, libphonenumber knows.
            ("011 15-2345-6789", "AR", "+5491123456789"),
        ] {
            assert_eq!(parse(text, region), Ok(number.to_owned()), "{text} in {region}");
        }
    }

    #[test]
    fn a_number_that_may_be_national_and_international_is_refused_everywhere() {
        let refusal = "it is valid both with and without a country code; \
                       write +491701234567 or +49491701234567";
        assert_eq!(parse("491701234567", "DE"), Err(refusal.to_owned()));
        let lookup = PhoneNumber::parse_for_lookup("491701234567", parse_region("DE").ok());
        assert_eq!(lookup.unwrap_err().to_string(), refusal);
    }

    #[test]
    fn a_refusal_says_what_is_wrong_and_what_may_be_meant() {
        let no_code =
            "it has no country code; write it as + and country code, or set default_region";
        let not_there = "it isn't valid: the numbering plan has no such number";
        for (text, region, reason, meant) in [
            ("14155552671", "", no_code, "+14155552671"),
            ("00 1 415 555 2671", "", no_code, "+14155552671"),
            ("5215512345678", "", no_code, "+525512345678"),
            ("4155552671", "", no_code, ""),
            ("0014155552671", "US", "it is too long", "+14155552671"),
            ("+1415555267", "", "it is too short", ""),
            ("555-2671", "US", "it is too short", ""),
            ("+1", "", "it is too short", ""),
            ("12", "US", "it is too short", ""),
            ("+141555526711", "", "it is too long", ""),
            ("+1415555267100000000", "", "it is too long", ""),
            ("+15551234567", "", not_there, ""),
            ("+49170123456", "", not_there, ""),
            ("+999123456789", "", "it has no valid country code", ""),
            // Without all their digits, or in another country than was written, these would be numbers.
            ("011 86 131 2345 6789", "CN", "it is too long", ""),
            ("118505277770", "DE", not_there, ""),
            ("118505277770", "", no_code, ""),
            ("202-555-0143-0", "US", "it is too long", ""),
            ("14155552671", "DE", not_there, ""),
            ("0049 30 123456", "US", "it is too long", "+4930123456"),
            ("+52 1 55 1234 5678", "", "it is too long", "+525512345678"),
            ("+52 01 55 1234 5678", "", "it is too long", "+525512345678"),
            ("+52 (044) 55 1234 5678", "", "it is too long", "+525512345678"),
            ("+52 045 55 1234 5678", "", "it is too long", "+525512345678"),
            ("52 1 55 1234 5678", "MX", "it is too long", "+525512345678"),
            ("0052 1 55 1234 5678", "MX", "it is too long", "+525512345678"),
            ("044 55 1234 5678", "MX", "it is too long", "+525512345678"),
            ("045 55 1234 5678", "MX", "it is too long", "+525512345678"),
            ("01 55 1234 5678", "MX", "it is too long", "+525512345678"),
            ("1 55 1234 5678", "MX", "it is too long", ""),
            ("14155552671", "MX", "it is too long", ""),
            ("011 52 1 55 1234 5678", "US", "it is too long", "+525512345678"),
            ("044 55 1234 567", "MX", "it is too long", ""),
            ("0162 123 4567", "VN", not_there, "+84321234567"),
            ("+84 (0)169 123 4567", "", not_there, "+84391234567"),
            ("84 120 123 4567", "VN", not_there, "+84701234567"),
            ("+84 121 123 4567", "", not_there, "+84791234567"),
            ("+84 129 123 4567", "", not_there, "+84821234567"),
            ("+84 186 123 4567", "", not_there, "+84561234567"),
            ("+84 188 123 4567", "", not_there, "+84581234567"),
            ("+84 199 123 4567", "", not_there, "+84591234567"),
            ("+84 187 123 4567", "", not_there, ""),
            ("+84 162 123 456", "", not_there, ""),
            ("+55 11 8765-4321", "", not_there, "+5511987654321"),
            ("+55 11 1765-4321", "", not_there, ""),
            ("+229 97 12 34 56", "", not_there, "+2290197123456"),
        ] {
            let refusal = match meant {
                "" => reason.to_owned(),
                meant => format!("{reason}; did you mean {meant}?"),
            };
            assert_eq!(parse(text, region), Err(refusal), "{text} in {region}");
        }
    }

    #[test]
    fn an_invalid_number_is_refused_in_e164_and_an_unreadable_one_as_given() {
        for (text, number) in [
            ("+1 555 123 4567", "+15551234567"),
            ("hello", "hello"),
            ("+49 30 123456 Tom", "+49 30 123456 Tom"),
            ("14155552671", "14155552671"),
        ] {
            assert_eq!(PhoneNumber::parse(text, None).unwrap_err().phone_number, number);
        }
    }

    proptest! {
        #[test]
        fn what_separates_its_digits_makes_no_other_number(
            gaps in prop::collection::vec("[ ./()-]{0,2}|[\u{a0}–\u{200b}]", 11),
        ) {
            let written: String =
                "+14155552671".chars().zip(gaps.iter().map(String::as_str).chain([""])).fold(
                    String::new(),
                    |text, (c, gap)| format!("{text}{c}{gap}"),
                );
            prop_assert_eq!(parse(&written, ""), Ok("+14155552671".to_owned()), "{}", written);
        }

        #[test]
        fn no_text_is_too_odd_and_no_reason_repeats_a_digit(
            text in "(\\+|tel:|00|49|1)?[0-9 ().,/~#x;+-]{0,24}(;ext=|ext|E|;phone-context=|٣)?[0-9+]{0,6}",
            region in prop::sample::select(vec!["", "US", "DE", "BR", "IT"]),
        ) {
            let region = parse_region(region).ok();
            if let Err(invalid) = PhoneNumber::parse(&text, region) {
                prop_assert!(!invalid.reason.contains(|c: char| c.is_ascii_digit()));
            }
            if let Ok((phone_number, _)) = PhoneNumber::parse_for_lookup(&text, region) {
                prop_assert!(is_plus_and_digits(phone_number.as_str(), MAX_LENGTH - 1));
            }
        }
    }

    #[test]
    fn an_extension_is_dropped_with_a_warning() {
        for text in ["+14155552671 x5", "tel:+14155552671;ext=5", "+1 415 555 2671 ~5"] {
            let parsed = PhoneNumber::parse(text, None).unwrap();
            let warning = "phone number +14155552671: the extension after it is dropped";
            assert_eq!(parsed.phone_number.as_str(), "+14155552671", "{text}");
            assert_eq!(parsed.warning.as_deref(), Some(warning), "{text}");
            let lookup = PhoneNumber::parse_for_lookup(text, None).unwrap();
            assert_eq!(lookup, (parsed.phone_number, parsed.warning), "{text}");
        }
    }

    #[test]
    fn libphonenumbers_example_of_each_type_has_that_type() {
        use NumberType as N;
        use rlibphonenumber::PhoneNumberType as T;
        for (theirs, ours) in [
            (T::Mobile, N::Mobile),
            (T::FixedLine, N::FixedLine),
            (T::FixedLineOrMobile, N::FixedLineOrMobile),
            (T::VoIP, N::Voip),
            (T::TollFree, N::TollFree),
            (T::PersonalNumber, N::Personal),
            (T::PremiumRate, N::PremiumRate),
            (T::SharedCost, N::SharedCost),
            (T::Pager, N::Pager),
            (T::UAN, N::Uan),
            (T::VoiceMail, N::Voicemail),
        ] {
            // In the United States no digits tell a landline from a mobile phone.
            let example = match theirs {
                T::FixedLineOrMobile => PHONE_NUMBER_UTIL.get_example_number(Region::US),
                _ => PHONE_NUMBER_UTIL.get_example_number_for_type(theirs),
            };
            let example = PhoneNumber::from_reading(&example.unwrap());
            let parsed = PhoneNumber::parse(example.as_str(), None).unwrap();
            assert_eq!(parsed.number_type, ours, "{example}");
            assert_eq!(example.number_type(), Some(ours), "{example}");
        }
        for invalid in ["+15551234567", "+0"] {
            assert_eq!(PhoneNumber::from_stored(invalid.into()).number_type(), None);
        }
    }

    #[test]
    fn a_lookup_takes_plus_and_digits_as_they_stand() {
        let lookup = |text| PhoneNumber::parse_for_lookup(text, None);
        for text in ["+15551234567", "+0", "+99999999999999999999"] {
            assert_eq!(lookup(text), Ok((PhoneNumber(text.to_owned()), None)));
        }
        assert_eq!(lookup("+1 555 123 4567").unwrap().0.as_str(), "+15551234567");
        for text in ["+", "+1٢", "+15551234567 Tom", "4.2E+11"] {
            assert!(lookup(text).is_err(), "{text}");
        }
    }
}
