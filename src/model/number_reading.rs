//! How libphonenumber reads a number, and why a number that it doesn't take is wrong.

use std::borrow::Cow;

use rlibphonenumber::{
    NumberLengthType, PHONE_NUMBER_UTIL, PhoneNumberFormat, Region, ValidationError,
};

use super::written_number::WrittenNumber;

/// The fewest digits that libphonenumber reads after a `+`.
const MIN_DIGITS: usize = 3;
/// Prefixes of numbers that were replaced, how many digits follow them, and what has replaced them.
const OLD_PREFIXES: [(&str, usize, &str); 26] = [
    // Mexico has dialled ten digits alone since August 2019 (Instituto Federal de Telecomunicaciones, new rules of dialling).
    ("+521", 10, "+52"),
    ("+5201", 10, "+52"),
    ("+52044", 10, "+52"),
    ("+52045", 10, "+52"),
    // All numbers of Benin got 01 in front on 30 November 2024 (ARCEP Benin, new numbering plan).
    ("+229", 8, "+22901"),
    // Vietnam's mobiles of eleven digits lost one from September to November 2018 (Ministry of Information and Communications).
    ("+84162", 7, "+8432"),
    ("+84163", 7, "+8433"),
    ("+84164", 7, "+8434"),
    ("+84165", 7, "+8435"),
    ("+84166", 7, "+8436"),
    ("+84167", 7, "+8437"),
    ("+84168", 7, "+8438"),
    ("+84169", 7, "+8439"),
    ("+84120", 7, "+8470"),
    ("+84121", 7, "+8479"),
    ("+84122", 7, "+8477"),
    ("+84126", 7, "+8476"),
    ("+84128", 7, "+8478"),
    ("+84123", 7, "+8483"),
    ("+84124", 7, "+8484"),
    ("+84125", 7, "+8485"),
    ("+84127", 7, "+8481"),
    ("+84129", 7, "+8482"),
    ("+84186", 7, "+8456"),
    ("+84188", 7, "+8458"),
    ("+84199", 7, "+8459"),
];

/// Why a text isn't a phone number that an SMS can go to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}{}", suggestion.as_ref().map(|suggestion| format!("; {suggestion}")).unwrap_or_default())]
pub struct InvalidPhoneNumber {
    /// The number in E.164 if it could be parsed, otherwise the text as given.
    pub phone_number: String,
    /// What is wrong, without a digit of the text.
    pub reason: Cow<'static, str>,
    /// Which number may be meant.
    pub suggestion: Option<String>,
}

/// How libphonenumber reads a number.
pub(super) type Reading = rlibphonenumber::PhoneNumber;

/// Reads a number, valid or not. Returns how it was written too.
pub(super) fn read(
    text: &str,
    default_region: Option<Region>,
) -> Result<(WrittenNumber, Reading), InvalidPhoneNumber> {
    let invalid = |reason, suggestion| InvalidPhoneNumber {
        phone_number: text.to_owned(),
        reason,
        suggestion,
    };
    let written = WrittenNumber::parse(text).map_err(|reason| invalid(reason, None))?;
    let readings = readings_with_country_code(&written, default_region);
    let reading = match readings.as_slice() {
        [reading] => reading.clone(),
        [national, international, ..] => {
            let reason = "it is valid both with and without a country code";
            let choice = format!("write {international} or {national}");
            return Err(invalid(reason.into(), Some(choice)));
        }
        [] => Reading::parse(&written.text, default_region).map_err(|error| {
            let reason = why_unreadable(&error, &written, default_region).into();
            invalid(reason, suggestion(&written, default_region, None))
        })?,
    };
    Ok((written, reading))
}

/// Returns the valid readings of a number without `+` that begins with the country code of its region: as a national number, and
/// as an international one. On its own libphonenumber takes one of them.
fn readings_with_country_code(
    written: &WrittenNumber,
    default_region: Option<Region>,
) -> Vec<Reading> {
    let Some(region) = default_region.filter(|_| !written.has_plus()) else { return Vec::new() };
    let (code, digits) = (country_code(region), written.digits());
    if !digits.starts_with(&code) {
        return Vec::new();
    }
    let texts = [format!("+{code}{digits}"), format!("+{digits}")];
    let mut readings: Vec<_> = texts.iter().filter_map(|text| valid_reading(text)).collect();
    readings.dedup();
    readings
}

fn country_code(region: Region) -> String {
    PHONE_NUMBER_UTIL.get_country_code_for_region(region).unwrap_or_default().to_string()
}

fn valid_reading(text: &str) -> Option<Reading> {
    Reading::parse(text, None).ok().filter(Reading::is_valid)
}

fn why_unreadable(
    error: &rlibphonenumber::ParseError,
    written: &WrittenNumber,
    default_region: Option<Region>,
) -> &'static str {
    use rlibphonenumber::ParseError as E;
    match error {
        E::InvalidCountryCode if default_region.is_none() && !written.has_plus() => {
            "it has no country code; write it as + and country code, or set default_region"
        }
        E::InvalidCountryCode => "it has no valid country code",
        E::TooShortAfterIdd | E::TooShortNsn => "it is too short",
        E::TooLongNsn => "it is too long",
        E::NotANumber(_) if written.digits().len() < MIN_DIGITS => "it is too short",
        E::NotANumber(_) => "it can't be read as a phone number",
    }
}

pub(super) fn why_invalid(reading: &Reading) -> &'static str {
    match reading.is_possible_with_reason() {
        // Without the area code it is possible too, but only for a call from the same area.
        Err(ValidationError::TooShort) | Ok(NumberLengthType::IsPossibleLocalOnly) => {
            "it is too short"
        }
        Err(ValidationError::TooLong) => "it is too long",
        _ => "it isn't valid: the numbering plan has no such number",
    }
}

/// Returns which valid number may be meant by one that isn't valid: that of exactly its digits, or that which has replaced an old
/// form. `phone_number` is how it was read, if it could be read.
pub(super) fn suggestion(
    written: &WrittenNumber,
    default_region: Option<Region>,
    phone_number: Option<&str>,
) -> Option<String> {
    let digits = written.digits();
    let has_code = written.has_plus()
        || default_region.is_none_or(|region| digits.starts_with(&country_code(region)));
    let international = digits.strip_prefix("00").or(has_code.then_some(digits.as_str()));
    let international = international.map(|digits| format!("+{digits}"));
    // In Mexico itself nobody dialled the 1: there it may be the country code of North America.
    let phone_number =
        phone_number.filter(|number| !number.starts_with("+521") || digits.ends_with(&number[1..]));
    let forms = [international.as_deref(), phone_number].into_iter().flatten();
    let mut candidates = international.clone().into_iter().chain(forms.filter_map(current_form));
    let meant = candidates.find(|candidate| is_valid_as_it_is(candidate))?;
    Some(format!("did you mean {meant}?"))
}

/// Returns whether `number` is a valid number in E.164. libphonenumber drops digits that it takes for a trunk prefix.
fn is_valid_as_it_is(number: &str) -> bool {
    valid_reading(number)
        .is_some_and(|reading| reading.format_as(PhoneNumberFormat::E164) == number)
}

/// Returns what has replaced the old form of a number, which may not have been one.
fn current_form(number: &str) -> Option<String> {
    // Brazil's mobiles, which began with 6 to 9, got a 9 after the area code until November 2016 (Anatel, Resolution 553/2010).
    if let Some((area, rest)) = number.strip_prefix("+55").and_then(|it| it.split_at_checked(2)) {
        let is_mobile = rest.len() == 8 && rest.starts_with(['6', '7', '8', '9']);
        return is_mobile.then(|| format!("+55{area}9{rest}"));
    }
    OLD_PREFIXES.iter().find_map(|(old, length, new)| {
        let rest = number.strip_prefix(old).filter(|rest| rest.len() == *length)?;
        Some(format!("{new}{rest}"))
    })
}
