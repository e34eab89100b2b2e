//! What people write as a phone number, brought into the form that libphonenumber reads. On its own libphonenumber skips words in
//! front of a number, takes letters in it for digits of a keypad, and a decimal point for punctuation.

use std::borrow::Cow;

use super::typed_text::{in_plain_characters, named};

/// The marks of an extension, longest first. libphonenumber takes the tilde for one.
const EXTENSION_LABELS: [&str; 5] = ["extension", "ext", "x", "#", "~"];
/// The most digits of an extension that libphonenumber reads (`create_extn_pattern`).
const MAX_EXTENSION: usize = 20;
/// The decimal separators of spreadsheets; the last one is Arabic.
const DECIMAL_SEPARATORS: [char; 3] = ['.', ',', '\u{66b}'];

/// Returns whether `text` is written as a phone number is, valid or not.
pub fn is_written_number(text: &str) -> bool {
    WrittenNumber::parse(text).is_ok()
}

/// A number as it was written, without what may surround a number.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct WrittenNumber {
    /// ASCII digits with punctuation that libphonenumber takes; a `+` is only in front of the digits.
    pub(super) text: String,
    /// Whether an extension or a subaddress followed the number.
    pub(super) has_extension: bool,
}

impl WrittenNumber {
    /// Reads `text`.
    ///
    /// # Errors
    /// Returns what is wrong, to follow a name of the text. It repeats no digit, since the text may be a security code.
    pub(super) fn parse(text: &str) -> Result<Self, Cow<'static, str>> {
        let text: String = in_plain_characters(text).chars().map(half_width).collect();
        let text = without_scheme(without_marks(&text));
        if text.is_empty() {
            return Err("it is empty".into());
        }
        if is_rounded(text) {
            let reason =
                "it was rounded by a spreadsheet; format the column as text and export it again";
            return Err(reason.into());
        }
        let starts_rest = |c: char| "#~;".contains(c) || is_letter(c);
        let (number, rest) = text.split_at(text.find(starts_rest).unwrap_or(text.len()));
        let mut written = Self { text: String::new(), has_extension: !rest.is_empty() };
        if let Some(parameters) = rest.strip_prefix(';') {
            written.take_parameters(parameters)?;
        } else if !rest.is_empty() && !is_extension(rest) {
            return Err(misplaced(rest));
        }
        let may_follow = |c| c == ',' || is_punctuation(c);
        written.text += without_fraction(number.trim_end_matches(may_follow));
        written.check()?;
        Ok(written)
    }

    /// Returns the digits alone.
    pub(super) fn digits(&self) -> String {
        self.text.chars().filter(char::is_ascii_digit).collect()
    }

    /// Returns whether the number is written with its country code.
    pub(super) fn has_plus(&self) -> bool {
        self.text.contains('+')
    }

    /// Reads the parameters of a `tel:` URI (RFC 3966, section 3).
    fn take_parameters(&mut self, parameters: &str) -> Result<(), Cow<'static, str>> {
        self.has_extension = false;
        for parameter in parameters.split(';') {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            match name.to_ascii_lowercase().as_str() {
                "phone-context" if value.starts_with('+') && self.text.is_empty() => {
                    self.text += value;
                }
                // A domain, which says nothing about the country.
                "phone-context" if value.starts_with(|c: char| c.is_ascii_alphanumeric()) => {}
                "ext" if is_extension(&format!("ext{value}")) => self.has_extension = true,
                "isub" if !value.is_empty() => self.has_extension = true,
                _ => return Err("it can't be read: the part after its `;` isn't known".into()),
            }
        }
        Ok(())
    }

    fn check(&self) -> Result<(), Cow<'static, str>> {
        let is_allowed = |c: &char| c.is_ascii_digit() || *c == '+' || is_punctuation(*c);
        if let Some(at) = self.text.find(|c| !is_allowed(&c)) {
            return Err(misplaced(&self.text[at..]));
        }
        let Some(first) = self.text.find(|c: char| c.is_ascii_digit()) else {
            return Err("it contains no digits".into());
        };
        match self.text.rfind('+') {
            Some(plus) if plus > first => Err("it has a + after its first digit".into()),
            _ => Ok(()),
        }
    }
}

/// Returns the ASCII form of a full-width character (Unicode block "Halfwidth and Fullwidth Forms"), any other one as it is.
fn half_width(c: char) -> char {
    match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        _ => c,
    }
}

/// Returns `text` without what spreadsheets and lists leave around a number: commas and semicolons after it, then quotation marks
/// around it, or the apostrophe in front of it that marks text.
fn without_marks(text: &str) -> &str {
    let text = text.trim_end_matches(|c: char| c.is_whitespace() || ",;".contains(c)).trim_start();
    let quoted = ['"', '\''].iter().find_map(|&mark| text.strip_prefix(mark)?.strip_suffix(mark));
    quoted.or_else(|| text.strip_prefix('\'')).unwrap_or(text).trim()
}

fn without_scheme(text: &str) -> &str {
    match text.split_once(':') {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("tel") => rest.trim_start(),
        _ => text,
    }
}

/// Returns whether `c` is a letter. The Japanese prolonged sound mark counts as one in Unicode, but people write it for a dash.
fn is_letter(c: char) -> bool {
    c.is_alphabetic() && !is_punctuation(c)
}

/// Returns whether libphonenumber takes `c` inside a number (`VALID_PUNCTUATION`). Full-width characters are replaced before.
fn is_punctuation(c: char) -> bool {
    " -./()[]".contains(c)
        || matches!(c, '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{30fc}' | '\u{2053}' | '\u{223c}')
}

/// Returns whether `text` is a number in scientific notation: a spreadsheet has dropped its last digits.
fn is_rounded(text: &str) -> bool {
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let Some((mantissa, exponent)) = text.split_once(['e', 'E']) else { return false };
    let whole = mantissa.trim_end().trim_start_matches(['+', '-']);
    let whole = whole.replacen(DECIMAL_SEPARATORS, "", 1);
    is_digits(&whole) && is_digits(exponent.trim_start_matches(['+', '-', ' ']))
}

/// Returns a number without the zeros that a spreadsheet adds after a decimal separator. With any other punctuation than spaces
/// in front of them, they are a group of digits.
fn without_fraction(number: &str) -> &str {
    let is_whole = |text: &&str| text.chars().all(|c| c.is_ascii_digit() || c == '+' || c == ' ');
    let (rest, has_zeros) = (number.trim_end_matches('0').trim_end(), number.ends_with('0'));
    rest.strip_suffix(DECIMAL_SEPARATORS).filter(|_| has_zeros).filter(is_whole).unwrap_or(number)
}

/// Returns whether `text` is the mark of an extension and its digits.
fn is_extension(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    let label = EXTENSION_LABELS.iter().find_map(|label| text.strip_prefix(label));
    label.is_some_and(|rest| {
        let rest = rest.strip_prefix(['.', ':']).unwrap_or(rest).trim_start_matches([' ', '-']);
        let digits = rest.strip_suffix('#').unwrap_or(rest);
        (1..=MAX_EXTENSION).contains(&digits.len())
            && digits.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// Returns what is wrong with `rest`, which isn't empty: its letters or else its first character.
fn misplaced(rest: &str) -> Cow<'static, str> {
    if rest.contains(is_letter) {
        return "it contains letters; write the number alone, in digits".into();
    }
    match rest.chars().next().unwrap_or_default() {
        c if c.is_control() => "it contains a tab, a line end or another control character".into(),
        c => format!("it contains {}, which no phone number has", named(c)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_surround_a_number_is_taken_off() {
        for (text, number, has_extension) in [
            (" +49 30/123456 ", "+49 30/123456", false),
            ("+1.202.555.0143", "+1.202.555.0143", false),
            ("[+1] (202) 555–0143", "[+1] (202) 555–0143", false),
            ("tel:+1-202-555-0143", "+1-202-555-0143", false),
            ("TEL: +12025550143", "+12025550143", false),
            ("+12025550143x5", "+12025550143", true),
            ("+12025550143 X 12#", "+12025550143", true),
            ("+12025550143, ext. 12345", "+12025550143", true),
            ("+12025550143 EXT:5", "+12025550143", true),
            ("+12025550143 extension 12345678901234567890", "+12025550143", true),
            ("+12025550143 #5", "+12025550143", true),
            ("4930123456~59", "4930123456", true),
            ("tel:+12025550143;ext=5", "+12025550143", true),
            ("tel:+12025550143;isub=abc", "+12025550143", true),
            ("tel:555-0143;phone-context=+1-202", "+1-202555-0143", false),
            ("tel:5550143;ext=5;phone-context=example.com", "5550143", true),
            ("＋４４　２０（７９４６）００１８ｘ９", "+44 20(7946)0018", true),
            ("٠٢٠ ٧٩٤٦ ٠٠١٨", "020 7946 0018", false),
            ("\u{feff}\u{202a}+44\u{a0}20\u{202f}7946 0018\u{202c}", "+44 20 7946 0018", false),
            ("03ー1234ー5678", "03ー1234ー5678", false),
            ("'+49 30 123456", "+49 30 123456", false),
            ("\"+49 30 123456\"", "+49 30 123456", false),
            ("'+4930123456',", "+4930123456", false),
            (" \"tel:+4930123456\" ;", "+4930123456", false),
            ("+4930123456;;", "+4930123456", false),
            ("+4930123456,", "+4930123456", false),
            ("'+4930123456 x5;", "+4930123456", true),
            ("+491701234567.0 ext 5", "+491701234567", true),
            ("+491701234567,0, ext 5", "+491701234567", true),
            ("+491701234567.00#5", "+491701234567", true),
            ("+491701234567.0~5", "+491701234567", true),
            ("tel:+491701234567.0;ext=5", "+491701234567", true),
            ("tel:+491701234567.0;isub=5", "+491701234567", true),
            ("tel:5550143.0;phone-context=+1-202", "+1-2025550143", false),
            ("tel:+491701234567.0;", "+491701234567", false),
            ("+491701234567.0 - ext 5", "+491701234567", true),
            ("+491701234567.0 (x5", "+491701234567", true),
            ("+491701234567.0 /;ext=5", "+491701234567", true),
            ("+1.202.555.00 x5", "+1.202.555.00", true),
            (
                "+4\u{fe0f}9\u{20e3}30\u{34f}12\u{3164}34\u{115f}5\u{2800}6\u{fffc}",
                "+4930123456",
                false,
            ),
        ] {
            let expected = WrittenNumber { text: number.to_owned(), has_extension };
            assert_eq!(WrittenNumber::parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn the_zeros_of_a_spreadsheet_are_dropped_and_groups_of_digits_stay() {
        for (text, number) in [
            ("+491701234567.0", "+491701234567"),
            ("491701234567,00", "491701234567"),
            ("49 170 1234567.0", "49 170 1234567"),
            ("+491701234567 . 0", "+491701234567 "),
            ("+49 170 1234 00", "+49 170 1234 00"),
            ("٤٩١٧٠١٢٣٤٥٦٧٫٠", "491701234567"),
            ("+491701234567.", "+491701234567"),
            ("+491701234567.0.", "+491701234567"),
            ("+491701234567.0-", "+491701234567"),
            ("+491701234567.5", "+491701234567.5"),
            ("+33.1.23.45.67.00", "+33.1.23.45.67.00"),
            ("(202) 555.0000", "(202) 555.0000"),
            ("+1.202.555.0143", "+1.202.555.0143"),
        ] {
            assert_eq!(WrittenNumber::parse(text).map(|it| it.text), Ok(number.to_owned()));
        }
    }

    #[test]
    fn anything_else_is_refused_with_what_is_wrong_and_without_a_digit() {
        for (text, words) in [
            ("\u{feff} ", "empty"),
            ("tel:", "empty"),
            ("()+", "no digits"),
            ("+49 30 123456 Tom", "letters"),
            ("Tel. +49 30 123456", "letters"),
            ("+49 30 123456 телефон", "letters"),
            ("1-800-FLOWERS", "letters"),
            ("+12025550143 x", "letters"),
            ("+12025550143 anexo 5", "letters"),
            ("+12025550143 x5 Tom", "letters"),
            ("+12025550143 x5/x6", "letters"),
            ("+12025550143 ext 123456789012345678901", "letters"),
            ("x5", "no digits"),
            ("tel:+12025550143;cic=1", "after its `;`"),
            ("+12025550143#", "`#`"),
            ("+12025550143;5", "after its `;`"),
            (";phone-context=+1;tel:2025550143", "after its `;`"),
            ("8~10 1 2025550143", "`~`"),
            ("+12025550143, +12025550144", "`,`"),
            ("+12025550143'", "`'`"),
            ("''+12025550143", "`'`"),
            ("\"+12025550143'", "`\"`"),
            ("\"+12025550143", "`\"`"),
            ("\"+12025550143 Tom\"", "letters"),
            ("'", "empty"),
            ("\"\";", "empty"),
            ("+12025550143 Tom;", "letters"),
            ("*1002025550143", "`*`"),
            ("+1 202\t5550143", "control character"),
            ("+1202555014³", "`³`"),
            ("+12025550143.5,0", "`,`"),
            ("+1 202 +5550143", "after its first digit"),
            ("tel:+12025550143;phone-context=+49", "after its first digit"),
            ("4.42079E+11", "export it again"),
            ("4,42E+11", "export it again"),
            ("+4e11", "export it again"),
            ("٤٫٤٢E+١١", "export it again"),
            ("4.42079 E+11", "export it again"),
            ("4.42079E +11", "export it again"),
            ("\"4.42079E+11\"", "export it again"),
            ("'4,42E+11", "export it again"),
            ("4,42E+11;", "export it again"),
        ] {
            let reason = WrittenNumber::parse(text).expect_err(text);
            assert!(reason.starts_with("it ") && reason.contains(words), "{text}: {reason}");
            assert!(!reason.contains(|c: char| c.is_ascii_digit()), "{text}: {reason}");
        }
    }

    #[test]
    fn a_character_that_cannot_be_seen_is_named_by_its_number() {
        for (c, name) in [
            ('\u{2028}', "U+2028"),
            ('\u{301}', "U+0301"),
            ('\u{e000}', "U+E000"),
            ('\u{378}', "U+0378"),
            ('\u{20de}', "U+20DE"),
            ('\u{1d165}', "U+1D165"),
            ('*', "`*`"),
            ('😀', "`😀`"),
        ] {
            let refusal = format!("it contains {name}, which no phone number has");
            let text = format!("+1202{c}5550143");
            assert_eq!(WrittenNumber::parse(&text), Err(refusal.into()));
        }
    }
}
