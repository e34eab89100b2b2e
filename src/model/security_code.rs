//! The code that goes to the phone and comes back from the person who holds it.

use rand::{CryptoRng, RngExt};
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

use super::trimmed_input;

/// The most characters that the table's `security_code` column holds.
const MAX_LENGTH: usize = 120;

/// A security code. Its Debug output hides it, so that it can't leak into a log or a panic.
#[derive(Debug, Clone)]
pub struct SecurityCode(SecretString);

impl SecurityCode {
    /// Returns `length` digits from `random`, each digit uniform.
    pub fn random(length: usize, random: &mut impl CryptoRng) -> Self {
        let digits = (0..length).map(|_| char::from(random.random_range(b'0'..=b'9')));
        Self::from_stored(digits.collect())
    }

    /// Returns a code of the table, or the fixed code of a sandbox.
    pub fn from_stored(text: String) -> Self {
        Self(text.into())
    }

    /// Returns a typed code, without white space around it.
    ///
    /// # Errors
    /// Returns what is wrong if nothing is left, or if the code is longer than the table's column.
    pub fn from_input(text: &str) -> Result<Self, String> {
        trimmed_input(text, MAX_LENGTH).map(|text| Self(text.into()))
    }

    /// Returns whether the codes are the same, in a time that doesn't depend on where they differ.
    pub fn matches(&self, other: &Self) -> bool {
        self.reveal().as_bytes().ct_eq(other.reveal().as_bytes()).into()
    }

    /// Returns the code itself: for the message, the table and `list`.
    pub fn reveal(&self) -> &str {
        self.0.expose_secret()
    }
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

    #[test]
    fn codes_match_only_when_equal() {
        let code = SecurityCode::from_input(" 123456\n").unwrap();
        assert!(code.matches(&SecurityCode::from_stored("123456".into())));
        for other in ["123457", "12345", "1234567", "023456"] {
            assert!(!code.matches(&SecurityCode::from_stored(other.into())), "{other}");
        }
    }

    #[test]
    fn empty_and_overlong_input_is_refused() {
        assert!(SecurityCode::from_input(" \t").is_err());
        assert!(SecurityCode::from_input(&"1".repeat(121)).is_err());
        assert!(SecurityCode::from_input(&"1".repeat(120)).is_ok());
    }

    #[test]
    fn debug_shows_no_digit() {
        let shown = format!("{:?}", SecurityCode::from_stored("123456".into()));
        assert!(!shown.contains(|c: char| c.is_ascii_digit()), "{shown}");
    }
}
