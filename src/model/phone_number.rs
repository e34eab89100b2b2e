//! Phone numbers in E.164, parsed and validated by libphonenumber's rules.

use std::fmt;

use rlibphonenumber::PhoneNumberFormat;
pub use rlibphonenumber::Region;
use serde::Serialize;

/// The most characters that the table's `phone_number` column holds.
const MAX_LENGTH: usize = 128;

/// The regions that libphonenumber has numbers for. To ask libphonenumber would load its metadata. It also takes codes such as
/// `UK` and `EU`, and then calls each of their numbers invalid.
const REGIONS: &str = "\
    AC AD AE AF AG AI AL AM AO AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BW BY BZ CA \
    CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR \
    GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GT GU GW GY HK HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP \
    KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR \
    MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PR PS PT PW PY QA RE RO \
    RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TA TC TD TG TH TJ TK TL TM TN TO TR TT \
    TV TW TZ UA UG US UY UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW";

/// A phone number in the form that is stored and shown: `+` and digits (ITU-T E.164).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct PhoneNumber(String);

/// Why a text isn't a phone number that an SMS can go to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct InvalidPhoneNumber {
    /// The number in E.164 if it could be parsed, otherwise the text as given.
    pub phone_number: String,
    reason: &'static str,
}

impl PhoneNumber {
    /// Parses a number to send an SMS to, and returns its region too. `default_region` is the region of numbers without `+`.
    ///
    /// # Errors
    /// Returns an error if the text can't be parsed, or if libphonenumber calls the number invalid.
    pub fn parse(
        text: &str,
        default_region: Option<Region>,
    ) -> Result<(Self, Region), InvalidPhoneNumber> {
        let parsed = read(text, default_region)?;
        let phone_number = parsed.format_as(PhoneNumberFormat::E164).into_owned();
        match parsed.get_region_code().filter(|region| parsed.is_valid_for_region(*region)) {
            Some(region) => Ok((Self(phone_number), region)),
            None => {
                let reason = "no such number can exist in its numbering plan";
                Err(InvalidPhoneNumber { phone_number, reason })
            }
        }
    }

    /// Parses a number to look up records by. `+` and digits are taken unchanged. This finds the rows of other programs too, and
    /// doesn't load libphonenumber's metadata.
    ///
    /// # Errors
    /// Returns an error if the text has another form and can't be parsed.
    pub fn parse_for_lookup(
        text: &str,
        default_region: Option<Region>,
    ) -> Result<Self, InvalidPhoneNumber> {
        let text = text.trim();
        if is_plus_and_digits(text, MAX_LENGTH - 1) {
            return Ok(Self(text.to_owned()));
        }
        let parsed = read(text, default_region)?;
        Ok(Self(parsed.format_as(PhoneNumberFormat::E164).into_owned()))
    }

    /// Returns a number of the table, in whatever form it was stored.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// Returns whether the number is `+` and up to 15 digits, the first of them not zero (ITU-T E.164).
    pub fn is_e164(&self) -> bool {
        is_plus_and_digits(&self.0, 15) && !self.0.starts_with("+0")
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

/// Returns the region with the ISO 3166-1 code `code`, such as `US`.
///
/// # Errors
/// Returns what is wrong, to follow the name of a key, if there is no such region or if it has no phone numbers.
pub fn parse_region(code: &str) -> Result<Region, &'static str> {
    let code = code.to_ascii_uppercase();
    let is_known = REGIONS.split_whitespace().any(|known| known == code);
    code.parse().ok().filter(|_| is_known).ok_or(match code.as_str() {
        "UK" => "takes ISO 3166-1 codes; that of the United Kingdom is GB",
        _ => "takes the ISO 3166-1 code of a region with phone numbers, such as US",
    })
}

fn read(
    text: &str,
    default_region: Option<Region>,
) -> Result<rlibphonenumber::PhoneNumber, InvalidPhoneNumber> {
    use rlibphonenumber::ParseError as E;
    // rlibphonenumber 2.2.15 panics if the context of RFC 3966 comes before its prefix (build_national_number_for_parsing).
    let invalid = |reason| InvalidPhoneNumber { phone_number: text.to_owned(), reason };
    let unreadable = "it can't be read as a phone number";
    if let (Some(context), Some(prefix)) = (text.find(";phone-context="), text.find("tel:"))
        && context < prefix
    {
        return Err(invalid(unreadable));
    }
    rlibphonenumber::PhoneNumber::parse(text, default_region).map_err(|error| {
        invalid(match error {
            _ if text.trim().is_empty() => "it is empty",
            E::InvalidCountryCode if default_region.is_none() && !text.trim().starts_with('+') => {
                "it has no country code; write it as + and country code, or set default_region"
            }
            E::InvalidCountryCode => "it has no valid country code",
            E::TooShortAfterIdd | E::TooShortNsn => "it is too short",
            E::TooLongNsn => "it is too long",
            _ => unreadable,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_valid_number_is_brought_into_e164() {
        for text in ["+14155552671", "+1 (415) 555-2671", " +1-415-555-2671 "] {
            assert_eq!(
                PhoneNumber::parse(text, None).unwrap().0.as_str(),
                "+14155552671",
                "{text}"
            );
        }
    }

    #[test]
    fn a_number_without_plus_takes_the_default_region() {
        let region = parse_region("us").ok();
        assert_eq!(
            PhoneNumber::parse("(415) 555-2671", region).unwrap().0.as_str(),
            "+14155552671"
        );
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
    fn regions_are_known_in_any_case_and_others_are_refused() {
        assert_eq!(parse_region("US"), parse_region("us"));
        for unknown in ["", "ZZ", "XX", "UK", "EU", "001", "USA", "Germany"] {
            assert!(parse_region(unknown).is_err(), "{unknown}");
        }
    }

    #[test]
    fn the_regions_are_those_that_libphonenumber_has_numbers_of() {
        let regions = rlibphonenumber::PHONE_NUMBER_UTIL.get_supported_regions();
        let mut codes: Vec<_> = regions.map(|region| region.to_string()).collect();
        codes.sort_unstable();
        assert_eq!(REGIONS.split_whitespace().collect::<Vec<_>>(), codes);
        assert!(codes.iter().all(|code| parse_region(code).is_ok()));
    }
}
