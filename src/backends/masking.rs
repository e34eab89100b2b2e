//! Hides secrets and codes that a provider repeats, in whatever form.

use std::sync::Arc;

use super::sms::SmsError;
use crate::model::{DeliveryOutcome, SecurityCode, words};

/// Replaces a secret.
const MASK: &str = "***";
/// The most characters between two digits of a code, as in `123-456` or `1, 2, 3`.
const MAX_GAP: usize = 3;
/// The most characters of a provider's words that are shown.
const MAX_WORDS: usize = 500;
/// The most characters of a provider's code or id that are shown.
const MAX_CODE: usize = 64;

/// Hides what must not be shown.
#[derive(Clone, Default)]
pub(super) struct Mask(Vec<Arc<Pattern>>);

impl Mask {
    /// Returns the mask for these secrets.
    pub(super) fn of<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        Self(secrets.into_iter().map(|secret| Arc::new(Pattern::of(secret))).collect())
    }

    /// Returns the mask for these codes too.
    pub(super) fn and(&self, security_codes: &[SecurityCode]) -> Self {
        let codes = Self::of(security_codes.iter().map(SecurityCode::reveal));
        Self(self.0.iter().cloned().chain(codes.0).collect())
    }

    /// Returns a provider's words on one line, masked, and then cut if they are too long, so that no half of a secret is left.
    pub(super) fn words(&self, text: &str) -> String {
        self.masked(&words(text)).chars().take(MAX_WORDS).collect()
    }

    /// Returns a provider's code or id, masked and cut.
    pub(super) fn code(&self, code: &str) -> String {
        self.masked(code).chars().take(MAX_CODE).collect()
    }

    /// Returns an error with its texts masked and cut.
    pub(super) fn error(&self, error: SmsError) -> SmsError {
        SmsError {
            code: error.code.map(|code| self.code(&code)),
            message: self.words(&error.message),
            more_info: error.more_info.map(|more_info| self.words(&more_info)),
            ..error
        }
    }

    /// Returns a provider's answer about a message with its texts masked and cut.
    pub(super) fn outcome(&self, outcome: DeliveryOutcome) -> DeliveryOutcome {
        DeliveryOutcome {
            error_code: outcome.error_code.map(|code| self.code(&code)),
            error_message: outcome.error_message.map(|message| self.words(&message)),
            ..outcome
        }
    }

    /// Returns `text` with every secret masked in each form: plain, as in a URL or a form, as in JSON, and as [`words`] shows it. A
    /// secret of digits, such as a code, is also masked with other characters between its digits.
    fn masked(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, pattern| pattern.masked(text))
    }
}

/// A secret, with the ways to write each of its characters.
struct Pattern {
    characters: Vec<Vec<String>>,
    /// The most characters between two of them.
    max_gap: usize,
}

impl Pattern {
    fn of(secret: &str) -> Self {
        let is_code = secret.bytes().all(|byte| byte.is_ascii_digit());
        Self {
            // `words` drops invisible characters at the ends of a text, and Base64 may come without its padding.
            characters: secret
                .trim_matches(is_blank)
                .trim_end_matches('=')
                .chars()
                .map(writings)
                .collect(),
            max_gap: if is_code { MAX_GAP } else { 0 },
        }
    }

    fn masked(&self, text: String) -> String {
        if self.characters.is_empty() {
            return text;
        }
        let mut shown = String::with_capacity(text.len());
        let mut rest = text.as_str();
        while let Some(next) = rest.chars().next() {
            let end = self.end_in(rest);
            match end {
                Some(_) => shown.push_str(MASK),
                None => shown.push(next),
            }
            rest = &rest[end.unwrap_or(next.len_utf8())..];
        }
        shown
    }

    /// Returns where the secret ends in `text`, if `text` begins with it.
    fn end_in(&self, text: &str) -> Option<usize> {
        // All places at which the characters so far may end: a character has several writings.
        let mut ends = vec![0];
        for (place, writings) in self.characters.iter().enumerate() {
            let max_gap = if place == 0 { 0 } else { self.max_gap };
            let begins = ends.iter().flat_map(|end| gaps(text, *end, max_gap));
            let mut next: Vec<usize> = begins
                .flat_map(|begin| writings.iter().filter_map(move |it| end_of(text, begin, it)))
                .collect();
            next.sort_unstable();
            next.dedup();
            ends = next;
            if ends.is_empty() {
                return None;
            }
        }
        ends.pop()
    }
}

/// Returns the positions in `text` after `begin` and up to `most` characters that aren't letters or digits.
fn gaps(text: &str, begin: usize, most: usize) -> impl Iterator<Item = usize> {
    let gap = text[begin..].char_indices().take_while(|(_, c)| !c.is_alphanumeric()).take(most);
    std::iter::once(begin).chain(gap.map(move |(at, c)| begin + at + c.len_utf8()))
}

/// Returns where `writing` ends if it is at `begin` in `text`, in upper or lower case.
fn end_of(text: &str, begin: usize, writing: &str) -> Option<usize> {
    let end = begin + writing.len();
    text.get(begin..end)?.eq_ignore_ascii_case(writing).then_some(end)
}

/// Returns the ways in which `c` may come back.
fn writings(c: char) -> Vec<String> {
    let text = c.to_string();
    let in_url = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let in_json = c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect();
    let quoted = serde_json::Value::from(c.to_string()).to_string();
    let escaped = quoted[1..quoted.len() - 1].to_owned();
    let mut writings = vec![in_url, in_json, escaped, format!("\\{c}"), text];
    match c {
        // Base64 has another alphabet for URLs (RFC 4648, section 5).
        '+' => writings.push("-".to_owned()),
        '/' => writings.push("_".to_owned()),
        _ if c.is_whitespace() => writings.extend(["+".to_owned(), " ".to_owned()]),
        _ if is_blank(c) => writings.push(String::new()),
        _ => {}
    }
    writings
}

/// Returns whether [`words`] shows nothing of `c`.
fn is_blank(c: char) -> bool {
    words(c.encode_utf8(&mut [0; 4])).is_empty()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::percent_encoded;

    fn masked(text: &str, secrets: &[&str]) -> String {
        Mask::of(secrets.iter().copied()).masked(text)
    }

    #[test]
    fn secrets_are_masked_in_each_form_that_they_may_come_back_in() {
        for text in ["s/e+ €", "s%2Fe%2B+%E2%82%AC", "s%2fe%2b%20%e2%82%ac", "s\\/e+ \\u20AC"] {
            assert_eq!(masked(&format!("bad {text}!"), &["", "s/e+ €"]), "bad ***!", "{text}");
        }
        assert_eq!(masked(r#"in {"key":"a\"b"}"#, &["a\"b"]), r#"in {"key":"***"}"#);
        assert_eq!(masked(&words("your s\tecret\n is bad"), &["s\tecret\n"]), "your ***  is bad");
        assert_eq!(masked(&words("bad a\u{200b}b\u{7}"), &["\u{200b}a\u{200b}b\u{7}"]), "bad ***");
        for text in ["ab+/cQ==", "ab+/cQ", "ab-_cQ"] {
            assert_eq!(masked(text, &["ab+/cQ=="]).trim_end_matches('='), "***", "{text}");
        }
        assert_eq!(masked("10%25", &["0%"]), "1***");
    }

    #[test]
    fn a_message_id_shows_no_secret() {
        assert_eq!(Mask::of(["s3cret"]).code("SM-s3cret-1"), "SM-***-1");
        assert_eq!(Mask::of([]).code(&"1".repeat(2 * MAX_CODE)).len(), MAX_CODE);
    }

    #[test]
    fn a_code_is_masked_whatever_stands_between_its_digits() {
        for text in
            ["123456", "123-456", "1 2 3 4 5 6", "12.34.56", "1, 2, 3 - 456", "%31\\u00323456"]
        {
            assert_eq!(masked(&format!("code {text}."), &["123456"]), "code ***.", "{text}");
        }
        for text in ["12345", "123x456", "1234 and 56", "124356"] {
            assert_eq!(masked(text, &["123456"]), text);
        }
        assert_eq!(masked("s e c r e t", &["secret"]), "s e c r e t");
    }

    proptest! {
        #[test]
        fn a_secret_is_masked_and_nothing_else(
            secret in "[a-m0-9][a-m0-9/+€\"\\\\ ]{0,6}[a-m0-9]",
            before in "[N-Z .]{0,8}",
            after in "[N-Z .]{0,8}",
        ) {
            let in_json = serde_json::Value::from(secret.as_str()).to_string();
            let in_form: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
            for written in [
                secret.as_str(),
                &secret.to_uppercase(),
                &in_form,
                &percent_encoded(&secret),
                &in_json[1..in_json.len() - 1],
            ] {
                let shown = masked(&format!("{before}{written}{after}"), &[&secret]);
                prop_assert_eq!(shown, format!("{before}***{after}"), "{}", written);
            }
        }
    }
}
