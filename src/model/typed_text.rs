//! Text as people type and copy it, in the characters that programs compare.

use icu_properties::props::{DefaultIgnorableCodePoint, GeneralCategory, GeneralCategoryGroup};
use icu_properties::{CodePointMapData, CodePointSetData};

/// Unicode doesn't call these ignorable, but they show nothing that a person would type: the frame that makes a digit an emoji of
/// a keycap, the Braille pattern without a dot, and the place of an object.
const BLANKS: [char; 3] = ['\u{20e3}', '\u{2800}', '\u{fffc}'];

/// Returns `text` with ASCII digits in place of the decimal digits of any script, with plain spaces, and without the characters
/// that show nothing, such as direction marks, variation selectors and a byte order mark.
pub(super) fn in_plain_characters(text: &str) -> String {
    text.chars().filter(|c| !shows_nothing(*c)).map(plain_character).collect()
}

fn shows_nothing(c: char) -> bool {
    category(c) == GeneralCategory::Format
        || CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
        || BLANKS.contains(&c)
}

fn plain_character(c: char) -> char {
    match category(c) {
        // ASCII needs no search, which would take longer for some digits of a stored code than for others.
        _ if c.is_ascii() => c,
        GeneralCategory::DecimalNumber => ascii_digit(c),
        GeneralCategory::SpaceSeparator => ' ',
        _ => c,
    }
}

/// Returns `c` itself between backticks, or its code point if it can't be seen on its own.
pub(super) fn named(c: char) -> String {
    let visible = GeneralCategoryGroup::Letter
        .union(GeneralCategoryGroup::Number)
        .union(GeneralCategoryGroup::Punctuation)
        .union(GeneralCategoryGroup::Symbol);
    if visible.contains(category(c)) { format!("`{c}`") } else { format!("U+{:04X}", u32::from(c)) }
}

fn category(c: char) -> GeneralCategory {
    CodePointMapData::<GeneralCategory>::new().get(c)
}

/// Returns the value of a decimal digit. The ten digits of a script follow each other, from zero to nine, and nothing but other
/// such tens may be next to them (The Unicode Standard, section 4.6).
fn ascii_digit(c: char) -> char {
    let is_digit =
        |c: &u32| char::from_u32(*c).is_some_and(|c| category(c) == GeneralCategory::DecimalNumber);
    let before = (0..u32::from(c)).rev().take_while(is_digit).count();
    char::from(b"0123456789"[before % 10])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digits_of_every_script_count_from_zero_to_nine() {
        // Zeros of the Unicode Character Database: ASCII, Arabic-Indic, Persian, Devanagari, Khmer, full-width, Adlam, and the
        // five sets of mathematical digits, of which the second one follows the first.
        for zero in [
            '0',
            '٠',
            '۰',
            '०',
            '០',
            '\u{ff10}',
            '\u{1e950}',
            '\u{1d7ce}',
            '\u{1d7d8}',
            '\u{1d7f6}',
        ] {
            let digits: String = (0..10).filter_map(|n| char::from_u32(zero as u32 + n)).collect();
            assert_eq!(in_plain_characters(&digits), "0123456789", "{zero}");
        }
        let tens = CodePointMapData::<GeneralCategory>::new();
        for range in tens.iter_ranges_for_value(GeneralCategory::DecimalNumber) {
            assert_eq!((range.end() + 1 - range.start()) % 10, 0, "{range:x?}");
        }
    }

    #[test]
    fn spaces_are_plain_and_what_shows_nothing_is_dropped() {
        let text = "\u{feff}\u{202a}+1\u{a0}2\u{202f}3\u{3000}4\u{200b}5\u{2060}6\u{ad}7\u{202c}\u{61c}\u{200f}";
        assert_eq!(in_plain_characters(text), "+1 2 3 4567");
        let text = "3\u{fe0f}\u{20e3}\u{34f}4\u{3164}\u{115f}1\u{17b4}\u{180b}0\u{2800}\u{fffc}\u{e0041}3\u{e0100}\u{600}\u{fff9}5";
        assert_eq!(in_plain_characters(text), "341035");
        // These are numbers, but no decimal digits.
        assert_eq!(in_plain_characters("²½Ⅷ①-–\t"), "²½Ⅷ①-–\t");
    }
}
