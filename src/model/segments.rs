//! How many segments a text needs. Providers charge for each segment.

use std::fmt;

use serde::Serialize;

/// The characters of the GSM 7-bit default alphabet (3GPP TS 23.038, section 6.2.1), without the escape character.
const GSM7_BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡\
    ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";
/// The characters of the extension table (section 6.2.1.1). Each one takes the room of two.
const GSM7_EXTENSION: &str = "\u{c}^{}\\[~]|€";

/// How a text travels in an SMS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Encoding {
    /// Seven bits per character: 160 characters in one segment, 153 each in several.
    #[serde(rename = "GSM-7")]
    Gsm7,
    /// Sixteen bits per character: 70 in one segment, 67 each in several.
    #[serde(rename = "UCS-2")]
    Ucs2,
}

/// The encoding of a text and the number of segments that it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segments {
    /// The encoding that the text needs.
    pub encoding: Encoding,
    /// How many segments are sent and charged.
    pub count: usize,
}

impl fmt::Display for Encoding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(formatter)
    }
}

impl Segments {
    /// Returns the encoding and the segments of `text`.
    pub fn of(text: &str) -> Self {
        if is_gsm7(text) {
            let widths = text.chars().map(|c| 1 + usize::from(GSM7_EXTENSION.contains(c)));
            Self { encoding: Encoding::Gsm7, count: count(widths, 160, 153) }
        } else {
            let widths = text.chars().map(char::len_utf16);
            Self { encoding: Encoding::Ucs2, count: count(widths, 70, 67) }
        }
    }
}

/// Returns whether every character of `text` is in GSM 03.38, so that it doesn't need UCS-2.
pub fn is_gsm7(text: &str) -> bool {
    // Most characters are among these, and need no search.
    let is_common = |c: char| c.is_ascii_alphanumeric() || c == ' ';
    text.chars().all(|c| is_common(c) || GSM7_BASIC.contains(c) || GSM7_EXTENSION.contains(c))
}

/// Returns the number of segments for characters of these widths. A character is never split between two segments.
fn count(widths: impl Iterator<Item = usize> + Clone, alone: usize, each: usize) -> usize {
    if widths.clone().sum::<usize>() <= alone {
        return 1;
    }
    let add = |(segments, used), width| {
        if used + width > each { (segments + 1, width) } else { (segments, used + width) }
    };
    widths.fold((1, 0), add).0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, encoding: Encoding, count: usize) {
        assert_eq!(Segments::of(text), Segments { encoding, count }, "{text}");
    }

    #[test]
    fn gsm7_takes_160_alone_and_153_each() {
        check(&"a".repeat(160), Encoding::Gsm7, 1);
        check(&"a".repeat(161), Encoding::Gsm7, 2);
        check(&"a".repeat(306), Encoding::Gsm7, 2);
        check(&"a".repeat(307), Encoding::Gsm7, 3);
    }

    #[test]
    fn extension_characters_count_two_and_are_not_split() {
        check(&"€".repeat(80), Encoding::Gsm7, 1);
        check(&"€".repeat(81), Encoding::Gsm7, 2);
        // 76 fit in 153 with one septet left over, which half a character can't use.
        check(&"€".repeat(152), Encoding::Gsm7, 2);
        check(&"€".repeat(153), Encoding::Gsm7, 3);
    }

    #[test]
    fn ucs2_takes_70_alone_and_67_each_and_splits_no_surrogate_pair() {
        check(&"ő".repeat(70), Encoding::Ucs2, 1);
        check(&"ő".repeat(71), Encoding::Ucs2, 2);
        check(&"ő".repeat(134), Encoding::Ucs2, 2);
        check(&"ő".repeat(135), Encoding::Ucs2, 3);
        check(&"😀".repeat(35), Encoding::Ucs2, 1);
        check(&"😀".repeat(67), Encoding::Ucs2, 3);
    }

    #[test]
    fn one_character_outside_the_alphabet_makes_it_ucs2() {
        assert!(is_gsm7("Grüße an Ærø: 5 € {ok}"));
        for text in ["`", "ç", "“quoted”", "日本"] {
            assert!(!is_gsm7(text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn there_are_as_many_segments_as_are_filled_one_after_the_other(
            text in prop_oneof!["[aÅ€{]{0,500}", "[aÅ€ő😀日]{0,300}"],
        ) {
            let is_ucs2 = text.contains(['ő', '😀', '日']);
            let width = |c| match c {
                '€' | '{' => if is_ucs2 { 1 } else { 2 },
                '😀' => 2,
                _ => 1,
            };
            let (alone, each) = if is_ucs2 { (70, 67) } else { (160, 153) };
            let mut filled = vec![0];
            for width in text.chars().map(width) {
                match filled.last_mut() {
                    Some(used) if *used + width <= each => *used += width,
                    _ => filled.push(width),
                }
            }
            let count = if filled.iter().sum::<usize>() <= alone { 1 } else { filled.len() };
            let encoding = if is_ucs2 { Encoding::Ucs2 } else { Encoding::Gsm7 };
            prop_assert_eq!(Segments::of(&text), Segments { encoding, count });
        }
    }
}
