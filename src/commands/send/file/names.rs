//! The names that people give to columns.

use icu_normalizer::DecomposingNormalizer;

use crate::model::{is_written_number, single_spaced};

/// The documented name of the column of phone numbers.
pub(crate) const PHONE_NUMBER: &str = "phone_number";
/// The name of the column of the message's language.
pub(super) const LANGUAGE: &str = "language";

/// What names for phone numbers consist of, without accents: English, German, French, Spanish and Portuguese.
const PHONE_WORDS: [&str; 22] = [
    "phone",
    "telephone",
    "tel",
    "mobile",
    "cell",
    "cellular",
    "number",
    "msisdn",
    "gsm",
    "telefon",
    "mobil",
    "mobilfunk",
    "handy",
    "rufnummer",
    "portable",
    "numero",
    "telefono",
    "movil",
    "celular",
    "telefone",
    "telemovel",
    "movel",
];
/// What may be beside them.
const FURTHER_WORDS: [&str; 9] = ["no", "num", "nummer", "nr", "de", "du", "n", "del", "do"];
/// The length of no name for phone numbers, in bytes.
const TOO_LONG: usize = 80;
/// The most names in a list for people.
const MOST_LISTED: usize = 20;
/// The fewest digits of what is taken for a phone number where a name should be.
const FEWEST_DIGITS: usize = 7;

/// Returns what is compared of a name: its letters without accents and case, and its digits.
pub(crate) fn folded(name: &str) -> String {
    let decomposed = DecomposingNormalizer::new_nfkd().normalize(name);
    decomposed.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Returns whether a column of this name usually has phone numbers.
pub(super) fn is_for_phone_numbers(name: &str) -> bool {
    let name = folded(name);
    name.len() < TOO_LONG && consists_of_words(&name, false)
}

/// Returns whether `name` consists of words for phone numbers, one of them from the first list unless there was one before.
fn consists_of_words(name: &str, has_phone: bool) -> bool {
    let goes_on = |words: &[&str], has_phone| {
        let mut rests = words.iter().filter_map(|word| name.strip_prefix(word));
        rests.any(|rest| consists_of_words(rest, has_phone))
    };
    match name {
        "" => has_phone,
        _ => goes_on(&PHONE_WORDS, true) || goes_on(&FURTHER_WORDS, has_phone),
    }
}

/// Returns whether `text` may be a phone number rather than a name.
pub(super) fn may_be_number(text: &str) -> bool {
    let digits = text.chars().filter(|c| c.is_numeric()).count();
    digits >= FEWEST_DIGITS && is_written_number(text)
}

/// Returns `names` as a list for people.
pub(super) fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.map(|name| format!("`{}`", single_spaced(name))).collect();
    let (shown, rest) = names.split_at(names.len().min(MOST_LISTED));
    match shown {
        _ if !rest.is_empty() => format!("{} and {} more", shown.join(", "), rest.len()),
        [first @ .., last] if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        _ => shown.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_for_phone_numbers_are_known_in_five_languages_and_many_forms() {
        for name in [
            "phone_number",
            "Phone Number",
            "PHONE-NUMBER",
            "phoneNumber",
            "phone",
            "Phone No.",
            "Mobile",
            "mobile phone",
            "Cell phone number",
            "number",
            "Tel.",
            "telephone",
            "MSISDN",
            "Telefon",
            "Telefonnummer",
            "Tel.-Nr.",
            "Handy",
            "Handynummer",
            "Mobilnummer",
            "Mobiltelefon",
            "Rufnummer",
            "Téléphone",
            "telephone",
            "portable",
            "mobile",
            "numéro",
            "nume\u{301}ro de te\u{301}le\u{301}phone portable",
            "N° de téléphone",
            "Nº de teléfono",
            "Teléfono",
            "móvil",
            "CELULAR",
            "número",
            "Número de teléfono móvil",
            "telefone",
            "telemóvel",
            "Número do telemóvel",
            "Telefone celular",
            "Ｔｅｌｅｆｏｎ",
            " phone ",
        ] {
            assert!(is_for_phone_numbers(name), "{name}");
        }
        for name in [
            "",
            "-",
            "No.",
            "Nr",
            "de",
            "Kundennummer",
            "name",
            "fax",
            "Telefon 2",
            "phone_type",
            "telemetry",
            "Hausnummer",
            "phones",
            "language",
        ] {
            assert!(!is_for_phone_numbers(name), "{name}");
        }
        assert!(!is_for_phone_numbers(&"tel".repeat(20_000)));
    }
}
