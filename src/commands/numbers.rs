//! The numbers that an operator gives a command, whole or only their last digits.

use super::{Context, parse_duration};
use crate::exit::Error;
use crate::model::{NumberPattern, PhoneNumber, Region, digits_alone};
use crate::service::recipient::Routes;

/// The most parts in which a number is written.
const MOST_PARTS: usize = 8;
/// The fewest digits that find numbers by their end.
const FEWEST_DIGITS: usize = 4;

impl Context<'_> {
    /// Reads numbers to look rows up by. Digits that are no whole number stand for the numbers that end in them. `options` are those
    /// of the command that a word may have been meant for, up to their values.
    ///
    /// # Errors
    /// Returns an error if one can't be read, or if several are parts of one number.
    pub(super) fn number_patterns(
        &self,
        words: &[String],
        options: &[&str],
    ) -> Result<Vec<NumberPattern>, Error> {
        self.check_parts(words)?;
        let pattern = |word: &String| {
            let pattern = self.number_pattern(word);
            pattern.map_err(|error| match option_meant(word, options) {
                Some(option) => error.with_hint(format!("{option}{word}")),
                None => error,
            })
        };
        words.iter().map(pattern).collect()
    }

    /// Reads whole numbers to look rows up by, as [`Context::number_patterns`] does.
    ///
    /// # Errors
    /// Returns an error if one can't be read or isn't whole, or if several are parts of one number.
    pub(super) fn whole_numbers(
        &self,
        words: &[String],
        options: &[&str],
    ) -> Result<Vec<PhoneNumber>, Error> {
        let patterns = self.number_patterns(words, options)?;
        let numbers = patterns.into_iter().map(|pattern| match pattern {
            NumberPattern::Whole(number) => Ok(number),
            NumberPattern::Ending(digits) => {
                Err(Error::usage(format!("phone number {digits}: it isn't a whole number"))
                    .with_hint(format!("`phone-verify status {digits}` finds numbers ending so")))
            }
        });
        numbers.collect()
    }

    fn number_pattern(&self, word: &str) -> Result<NumberPattern, Error> {
        let end = digits_alone(word);
        if end.as_ref().is_some_and(|digits| digits.len() < FEWEST_DIGITS) {
            return Err(Error::usage(format!(
                "phone number {word}: it is too short; `status`, `list` and `deliveries` find numbers by {FEWEST_DIGITS} or more last digits"
            )));
        }
        if let Some(digits) = end
            && PhoneNumber::parse(&digits, self.settings.default_region).is_err()
        {
            return Ok(NumberPattern::Ending(digits));
        }
        self.lookup_number(word).map(NumberPattern::Whole)
    }

    /// Returns whether a number is one that can be sent to: it is valid, or a test number.
    pub(super) fn is_sendable(&self, phone_number: &PhoneNumber) -> bool {
        Routes::from_settings(&self.settings, self.clock.now()).find(phone_number.as_str()).is_ok()
    }

    /// Checks that no words are the parts of one number, which a shell splits at its spaces.
    ///
    /// # Errors
    /// Returns an error if some are.
    pub(super) fn check_parts(&self, words: &[String]) -> Result<(), Error> {
        let Some(whole) = parts_of_one_number(words, self.settings.default_region) else {
            return Ok(());
        };
        Err(Error::usage(format!("{whole} looks like one number in several arguments"))
            .with_hint(format!("quote it: '{whole}'")))
    }
}

/// Returns the one of the command's `options` that `word` may have been meant for: one that takes an age for a duration such as
/// `2h`, one that takes a count or seconds for a small number.
pub(super) fn option_meant<'a>(word: &str, options: &[&'a str]) -> Option<&'a str> {
    let is_count = (1..FEWEST_DIGITS).contains(&word.len()) && word.parse::<u32>().is_ok();
    let meant: &[_] = match parse_duration(word) {
        Ok(_) => &["--since ", "--older-than "],
        Err(_) if is_count => &["--limit ", "--watch="],
        Err(_) => &[],
    };
    options.iter().copied().find(|option| meant.contains(option))
}

/// Returns consecutive words that together are a valid number, if the first of them isn't one by itself.
fn parts_of_one_number(words: &[String], region: Option<Region>) -> Option<String> {
    // One word has no parts, and to ask libphonenumber takes many times as long as all else of a start.
    if words.len() < 2 {
        return None;
    }
    let is_number = |text: &str| PhoneNumber::parse(text, region).is_ok();
    let starts = (0..words.len()).filter(|start| !is_number(&words[*start]));
    let ends = |start| start + 2..=words.len().min(start + MOST_PARTS);
    let mut spans = starts.flat_map(|start| ends(start).map(move |end| start..end));
    spans.find_map(|span| Some(words[span].join(" ")).filter(|joined| is_number(joined)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::parse_region;

    #[test]
    fn the_parts_of_one_number_are_found_and_several_numbers_are_left_alone() {
        let us = parse_region("US").ok();
        let parts = |text: &str, region| {
            let words: Vec<_> = text.split('|').map(str::to_owned).collect();
            parts_of_one_number(&words, region)
        };
        assert_eq!(parts("+1|415|555|2671", None).as_deref(), Some("+1 415 555 2671"));
        assert_eq!(parts("+12025550143|+44|20|79460018", us).as_deref(), Some("+44 20 79460018"));
        assert_eq!(parts("(415)|555-2671", us).as_deref(), Some("(415) 555-2671"));
        for several in ["+14155552671|+12025550143", "2671|0143", "+14155552671", "+1555|2671"] {
            assert_eq!(parts(several, us), None, "{several}");
        }
    }
}
