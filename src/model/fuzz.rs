//! Fuzz targets of what people type and what the table holds.

use chrono::NaiveDateTime;

use super::template::{Part, Template};
use super::timestamp::{from_stored, to_stored};
use super::{
    Message, PhoneNumber, SecurityCode, SessionToken, TypedCode, parse_region, steers_terminal,
};

const REGIONS: [&str; 5] = ["", "US", "DE", "MX", "IT"];

/// Asserts that a terminal does nothing with `text` but show it, on one line or several.
pub(crate) fn assert_harmless(text: &str) {
    assert!(
        !text.contains(|c: char| c != '\n' && (c.is_control() || steers_terminal(c))),
        "{text:?}"
    );
}

/// A template is the one writing of its parts, and a message fills like any template.
pub(crate) fn template(text: &str) {
    let Ok(template) = Template::parse(text) else {
        return assert!(Message::parse(text).is_err());
    };
    let writing = template.0.iter().map(|part| match part {
        Part::Text(text) => text.replace('{', "{{").replace('}', "}}"),
        Part::Placeholder(name) => format!("{{{name}}}"),
    });
    assert_eq!(writing.collect::<String>(), text);
    let value = |name: &str| match name {
        "app" => "{name}",
        "security_code" => "{app}",
        _ => "{security_code}",
    };
    let filled = template.fill(|name| Some(value(name).to_owned())).expect("every value");
    if let Ok(message) = Message::parse(text) {
        let message = message.fill(value("app"), |name| Some(value(name))).expect("every value");
        let code = SecurityCode::from_stored(value("security_code").to_owned());
        assert_eq!(message.with_code(&code), filled);
    }
}

/// A number that is taken comes back unchanged, is found again under what was typed, and no refusal repeats a digit.
pub(crate) fn phone_number(text: &str) {
    for region in REGIONS.map(|region| parse_region(region).ok()) {
        let found = PhoneNumber::parse_for_lookup(text, region);
        match PhoneNumber::parse(text, region) {
            Ok(parsed) => {
                let number = parsed.phone_number.as_str();
                assert!(parsed.phone_number.is_findable(), "{number}");
                let again = PhoneNumber::parse(number, None).expect("a number that was taken");
                assert_eq!(again.phone_number.as_str(), number);
                assert_eq!((again.region, again.number_type), (parsed.region, parsed.number_type));
                assert_eq!(again.warning, None);
                let (found, _) = found.expect("a number that was taken");
                assert!(found.as_str() == text.trim() || found == parsed.phone_number, "{found}");
            }
            Err(invalid) => {
                // A character that can't be seen is named by its code point.
                let mut words = invalid.reason.split(' ').filter(|word| !word.starts_with("U+"));
                assert!(
                    !words.any(|word| word.contains(|c: char| c.is_ascii_digit())),
                    "{invalid}"
                );
                if let Ok((found, _)) = found {
                    assert!(found.is_findable(), "{found}");
                }
            }
        }
    }
}

/// A typed code is itself, also with separators in it, and one of the settings can be typed.
pub(crate) fn security_code(text: &str) {
    if let Ok(typed) = TypedCode::parse(text) {
        assert!(SecurityCode::from_stored(text.to_owned()).matches(&typed));
        let apart = text.chars().map(String::from).collect::<Vec<_>>().join("-");
        let apart = TypedCode::parse(&apart).expect("the same code");
        assert!(SecurityCode::from_stored(text.to_owned()).matches(&apart));
        assert!(!SecurityCode::from_stored(format!("{text}7")).matches(&typed));
    }
    if let Ok(code) = SecurityCode::from_settings(text) {
        assert_eq!(code.reveal(), text.trim());
        assert!(code.matches(&TypedCode::parse(text).expect("a code of the settings")));
    }
}

/// A token is what was typed without white space around it, fits into the table, and stays hidden.
pub(crate) fn session_token(text: &str) {
    let token = SessionToken::from_input(text);
    assert_eq!(token.is_ok(), (1..=500).contains(&text.trim().chars().count()));
    if let Ok(token) = token {
        assert_eq!(token.as_str(), text.trim());
        assert_eq!(SessionToken::from_input(token.as_str()), Ok(token.clone()));
        assert_eq!(format!("{token:?}"), "SessionToken(…)");
    }
}

/// A stored time is what chrono reads, and is written as Django writes it.
pub(crate) fn stored_time(text: &str) {
    let Some(time) = from_stored(text) else { return };
    let known = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f");
    assert_eq!(known.map(|time| time.and_utc()), Ok(time));
    let written = to_stored(time);
    assert_eq!(from_stored(&written), Some(time));
    let is_short = written.len() == 19;
    let padded = format!("{text:0<width$}", width = written.len());
    assert_eq!(if is_short { &text[..19] } else { &padded }, written);
}
