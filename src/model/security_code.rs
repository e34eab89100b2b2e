//! The code that goes to the phone, and what the person who holds it types.

use rand::{CryptoRng, RngExt};
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

use super::trimmed_input;
use super::typed_text::in_plain_characters;

/// The most characters that the table's `security_code` column holds.
const MAX_LENGTH: usize = 120;

/// A security code. Its Debug output hides it, so that it can't leak into a log or a panic.
#[derive(Debug, Clone)]
pub struct SecurityCode(SecretString);

impl SecurityCode {
    /// A shorter code can be guessed within a few attempts (NIST SP 800-63B, section 5.1.3.2, has six digits).
    pub const SAFE_LENGTH: usize = 6;

    /// Returns `length` digits from `random`, each digit uniform.
    pub fn random(length: usize, random: &mut impl CryptoRng) -> Self {
        let digits = (0..length).map(|_| char::from(random.random_range(b'0'..=b'9')));
        Self::from_stored(digits.collect())
    }

    /// Returns a code of the table, or the fixed code of a sandbox.
    pub fn from_stored(text: String) -> Self {
        Self(text.into())
    }

    /// Returns a code of the settings, without white space around it.
    ///
    /// # Errors
    /// Returns what is wrong if nothing but separators is left, or if the code is longer than the table's column.
    pub fn from_settings(text: &str) -> Result<Self, String> {
        let text = trimmed_input(text, MAX_LENGTH)?;
        TypedCode::parse(text).map_err(|_| "must have a character that people type in a code")?;
        Ok(Self(text.into()))
    }

    /// Returns whether a stranger would soon guess it: it is short, one character again and again, or a run such as 123456.
    pub fn is_easy_to_guess(&self) -> bool {
        let code = without_separators(self.reveal());
        let characters: Vec<u32> = code.expose_secret().chars().map(u32::from).collect();
        let steps = |by: i64| {
            characters.windows(2).all(|pair| i64::from(pair[1]) - i64::from(pair[0]) == by)
        };
        characters.len() < Self::SAFE_LENGTH || [-1, 0, 1].into_iter().any(steps)
    }

    /// Returns whether the code was typed, in a time that doesn't depend on where they differ. A code of nothing but separators
    /// matches nothing.
    pub fn matches(&self, typed: &TypedCode) -> bool {
        let code = without_separators(self.reveal());
        code.expose_secret().as_bytes().ct_eq(typed.0.expose_secret().as_bytes()).into()
    }

    /// Returns the code itself: for the message, the table and `list`.
    pub fn reveal(&self) -> &str {
        self.0.expose_secret()
    }
}

/// A security code as a person typed it, without separators. Its Debug output hides it.
#[derive(Debug, Clone)]
pub struct TypedCode(SecretString);

impl TypedCode {
    /// Reads a typed code.
    ///
    /// # Errors
    /// Returns what is wrong if nothing but separators was typed, or if the rest is longer than the table's column.
    pub fn parse(text: &str) -> Result<Self, String> {
        let code = without_separators(text);
        trimmed_input(code.expose_secret(), MAX_LENGTH)?;
        Ok(Self(code))
    }
}

/// Returns a code with ASCII digits, and without what may separate them or shows nothing.
fn without_separators(code: &str) -> SecretString {
    in_plain_characters(code).replace(is_separator, "").into()
}

/// Returns whether `c` is white space, or a hyphen or dash as people and programs put it between digits.
fn is_separator(c: char) -> bool {
    c.is_whitespace() || matches!(c, '-' | '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{ff0d}')
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn a_random_code_has_its_length_and_every_digit_equally_often() {
        let mut random = StdRng::seed_from_u64(1);
        let code = SecurityCode::random(120, &mut random);
        assert_eq!(code.reveal().len(), 120);
        let mut counts = [0_u32; 10];
        for digit in SecurityCode::random(100_000, &mut random).reveal().bytes() {
            counts[usize::from(digit - b'0')] += 1;
        }
        // The bound of 5 standard deviations (95 each) is missed by chance once in about 170,000 seeds.
        assert!(counts.iter().all(|count| count.abs_diff(10_000) < 5 * 95), "{counts:?}");
    }

    fn matches(code: &str, typed: &str) -> bool {
        SecurityCode::from_stored(code.into()).matches(&TypedCode::parse(typed).unwrap())
    }

    #[test]
    fn a_code_may_be_typed_as_people_write_it() {
        for typed in [
            "341035",
            " 341035\n",
            "341 035",
            "341-035",
            "3-4-1\t0\r3\u{a0}5",
            "341\u{2010}0\u{2011}3\u{2012}5",
            "341\u{2013}0\u{2014}3\u{2015}5",
            "341\u{2212}035",
            "341\u{202f}03\u{2007}5",
            "\u{feff}341035",
            "\u{200f}\u{202b}341\u{2066}035\u{2069}\u{202c}\u{61c}",
            "٣٤١٠٣٥",
            "۳۴۱-۰۳۵",
            "３４１－０３５",
            "३४१०३५",
            "3\u{fe0f}\u{20e3}4\u{fe0f}\u{20e3}1035",
            "341\u{34f}0\u{3164}35\u{115f}\u{2800}\u{fffc}",
        ] {
            assert!(matches("341035", typed), "{typed:?}");
        }
    }

    #[test]
    fn a_wrong_code_matches_nothing() {
        for typed in
            ["341036", "34103", "3410355", "041035", "34103S", "341.035", "341035x", "²41035"]
        {
            for code in ["341035", "341-035", "٣٤١٠٣٥"] {
                assert!(!matches(code, typed), "{code} {typed}");
            }
        }
        assert!(!matches("AB-12C", "AB-12D") && !matches("AB-12C", "ab-12c"));
    }

    #[test]
    fn a_stored_code_is_compared_without_what_is_dropped_from_a_typed_one() {
        for code in ["341-035", "341 035", "٣٤١٠٣٥", "３４１０３５", "\u{200f}341035"] {
            for typed in [" {}\n", "\u{feff}\u{202b}{}\u{202c}"] {
                assert!(matches(code, &typed.replace("{}", code)), "{code} {typed:?}");
            }
            assert!(matches(code, "341035") && matches(code, "341\u{2011}035"), "{code}");
        }
        for typed in ["\u{200f}AB-12C\u{200f}", "\u{feff}AB-12C", "AB\u{2011}12C", "AB 12C"] {
            assert!(matches("AB-12C", typed), "{typed:?}");
        }
    }

    #[test]
    fn a_stored_code_of_which_nothing_is_left_matches_nothing() {
        for code in ["", "-", " \u{feff}"] {
            assert!(!matches(code, "341035"), "{code:?}");
            assert!(TypedCode::parse(code).is_err(), "{code:?}");
        }
    }

    #[test]
    fn empty_and_overlong_input_is_refused_and_separators_count_for_nothing() {
        for empty in ["", " \t", "-", "– \u{200f}\u{feff}", "\u{3164}\u{2800}\u{20e3}"] {
            assert!(TypedCode::parse(empty).is_err(), "{empty:?}");
        }
        assert!(TypedCode::parse(&"1".repeat(121)).is_err());
        assert!(matches(&"1".repeat(120), &"1 ".repeat(120)));
        for empty in [" \t", "-", "\u{feff} \u{2013}"] {
            assert!(SecurityCode::from_settings(empty).is_err(), "{empty:?}");
        }
        assert!(SecurityCode::from_settings(&"1".repeat(121)).is_err());
        assert_eq!(SecurityCode::from_settings(" 12-34 ").unwrap().reveal(), "12-34");
    }

    #[test]
    fn a_short_or_regular_code_is_easy_to_guess() {
        for (code, is_easy) in [
            ("73914", true),
            ("7-3914 ", true),
            ("777777", true),
            ("123456", true),
            ("012-345", true),
            ("98765432", true),
            ("abcdef", true),
            ("739142", false),
            ("123457", false),
            ("890123", false),
            ("112233", false),
        ] {
            assert_eq!(
                SecurityCode::from_stored(code.into()).is_easy_to_guess(),
                is_easy,
                "{code}"
            );
        }
    }

    #[test]
    fn debug_shows_no_digit() {
        let (code, typed) =
            (SecurityCode::from_stored("123456".into()), TypedCode::parse("123456"));
        let shown = format!("{code:?} {typed:?}");
        assert!(!shown.contains(|c: char| c.is_ascii_digit()), "{shown}");
    }
}
