//! How libphonenumber reads a number, and why a number that it doesn't take is wrong.

use std::borrow::Cow;

use rlibphonenumber::{NumberLengthType, PHONE_NUMBER_UTIL, Region, ValidationError};

use super::written_number::WrittenNumber;

/// The fewest digits that libphonenumber reads behind a `+`.
const MIN_DIGITS: usize = 3;

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
            invalid(reason, suggestion(&written, None))
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
    let code = PHONE_NUMBER_UTIL.get_country_code_for_region(region).unwrap_or_default();
    let digits = written.digits();
    if !digits.starts_with(&code.to_string()) {
        return Vec::new();
    }
    let texts = [format!("+{code}{digits}"), format!("+{digits}")];
    let mut readings: Vec<_> = texts.iter().filter_map(|text| valid_reading(text)).collect();
    readings.dedup();
    readings
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
        _ => "it is not a number of that country: no such number can exist in its numbering plan",
    }
}

/// Returns which valid number may be meant by one that isn't valid: that of its digits with a country code, or that which has
/// replaced an old form. `phone_number` is how it was read, if it could be read.
pub(super) fn suggestion(written: &WrittenNumber, phone_number: Option<&str>) -> Option<String> {
    let digits = written.digits();
    let international = format!("+{}", digits.strip_prefix("00").unwrap_or(&digits));
    let forms = [Some(international.as_str()), phone_number];
    let forms = forms.into_iter().flatten();
    let mut meant = forms.flat_map(|form| [Some(form.to_owned()), current_form(form)]).flatten();
    let meant = meant.find_map(|meant| valid_reading(&meant))?;
    Some(format!("did you mean {meant}?"))
}

/// Returns what has replaced the old form of a number, which may not have been one.
fn current_form(number: &str) -> Option<String> {
    // Mexico's mobiles lost the 1 in August 2019 (Instituto Federal de Telecomunicaciones, new rules of dialling).
    if let Some(rest) = number.strip_prefix("+521") {
        return Some(format!("+52{rest}"));
    }
    // Brazil's mobiles, which began with 6 to 9, got a 9 behind the area code until November 2016 (Anatel, Resolution 553/2010).
    if let Some((area, rest)) = number.strip_prefix("+55").and_then(|it| it.split_at_checked(2)) {
        let is_mobile = rest.len() == 8 && rest.starts_with(['6', '7', '8', '9']);
        return is_mobile.then(|| format!("+55{area}9{rest}"));
    }
    // All numbers of Benin got 01 in front on 30 November 2024 (ARCEP Benin, new numbering plan).
    let rest = number.strip_prefix("+229").filter(|rest| rest.len() == 8)?;
    Some(format!("+22901{rest}"))
}
