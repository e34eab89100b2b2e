//! The rule for what looks like SMS pumping.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};

use crate::model::{Period, PhoneNumber};

/// The digits of a prefix: in North America an area code and an exchange, which has 10,000 numbers.
const PREFIX_DIGITS: usize = 7;
/// The most prefixes that are counted at a time.
const MOST_PREFIXES: usize = 100_000;
/// The fewest messages to one prefix that are worth a word.
const FEWEST_PUMPED: u64 = 20;
/// The most of them, in percent, that are verified if it is pumping.
const MOST_VERIFIED_PERCENT: u64 = 5;
/// The most prefixes that are pointed out.
const MOST_POINTED_OUT: usize = 10;

/// A prefix that was sent to a lot, with almost nothing verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PumpedPrefix {
    /// `+` and the first digits of the numbers.
    pub prefix: String,
    /// The messages to it whose codes have expired.
    pub sent: u64,
    /// Those of them that were verified.
    pub verified: u64,
}

impl PumpedPrefix {
    /// Returns the share that was verified.
    pub fn conversion(&self) -> f64 {
        self.verified as f64 / self.sent as f64
    }
}

/// The messages to one prefix whose codes have expired, and how many of them were verified.
#[derive(Debug, Clone, Copy, Default)]
struct PrefixCounts {
    sent: u64,
    verified: u64,
}

impl PrefixCounts {
    fn looks_pumped(self) -> bool {
        self.sent >= FEWEST_PUMPED && self.verified * 100 <= self.sent * MOST_VERIFIED_PERCENT
    }
}

/// The prefixes that were sent to.
pub(super) struct Prefixes {
    /// The codes of deliveries that began earlier have expired.
    expired: DateTime<Utc>,
    by_prefix: HashMap<[u8; PREFIX_DIGITS], PrefixCounts>,
}

impl Prefixes {
    pub(super) fn new(code_lifetime: TimeDelta, now: DateTime<Utc>) -> Self {
        Self { expired: Period::last(code_lifetime, now).from, by_prefix: HashMap::new() }
    }

    /// Counts a message that was sent, unless its code may yet be verified.
    pub(super) fn add(&mut self, number: &PhoneNumber, began: DateTime<Utc>, is_verified: bool) {
        if let Some(prefix) = prefix(number).filter(|_| began < self.expired) {
            let counts = self.by_prefix.entry(prefix).or_default();
            counts.sent += 1;
            counts.verified += u64::from(is_verified);
            if self.by_prefix.len() > MOST_PREFIXES {
                self.forget_rare_prefixes();
            }
        }
    }

    /// Forgets half of the prefixes or more, those with the fewest messages.
    fn forget_rare_prefixes(&mut self) {
        let mut sent: Vec<_> = self.by_prefix.values().map(|counts| counts.sent).collect();
        let middle = sent.len() / 2;
        let (_, median, _) = sent.select_nth_unstable(middle);
        self.by_prefix.retain(|_, counts| counts.sent > *median);
    }

    /// Returns the prefixes that look as if they were pumped, those with the most messages first.
    pub(super) fn pumped(&self) -> Vec<PumpedPrefix> {
        let pumped = self.by_prefix.iter().filter(|(_, counts)| counts.looks_pumped());
        let mut pumped: Vec<_> = pumped
            .map(|(digits, PrefixCounts { sent, verified })| {
                let prefix = "+".chars().chain(digits.iter().map(|digit| char::from(*digit)));
                PumpedPrefix { prefix: prefix.collect(), sent: *sent, verified: *verified }
            })
            .collect();
        pumped.sort_by(|a, b| b.sent.cmp(&a.sent).then_with(|| a.prefix.cmp(&b.prefix)));
        pumped.truncate(MOST_POINTED_OUT);
        pumped
    }
}

/// Returns the first digits of a number that has so many.
fn prefix(number: &PhoneNumber) -> Option<[u8; PREFIX_DIGITS]> {
    let digits = number.as_str().strip_prefix('+')?.as_bytes().first_chunk()?;
    digits.iter().all(u8::is_ascii_digit).then_some(*digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFETIME: TimeDelta = TimeDelta::hours(1);
    /// The age of a code that has just expired.
    const EXPIRED: TimeDelta = TimeDelta::microseconds(3_600_000_001);

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    /// Counts messages of this age to these numbers, of which the first ones are verified.
    fn prefixes(
        numbers: impl IntoIterator<Item = String>,
        verified: usize,
        age: TimeDelta,
    ) -> Prefixes {
        let mut prefixes = Prefixes::new(LIFETIME, now());
        for (index, number) in numbers.into_iter().enumerate() {
            let number = PhoneNumber::from_stored(number);
            prefixes.add(&number, now() - age, index < verified);
        }
        prefixes
    }

    /// Returns so many numbers with one prefix.
    fn numbers(count: usize) -> impl Iterator<Item = String> {
        (0..count).map(|n| format!("+120255501{n:02}"))
    }

    #[test]
    fn many_messages_to_one_prefix_with_almost_nothing_verified_are_pumping() {
        for (count, verified, is_pumped) in [
            (19, 0, false),
            (20, 0, true),
            (20, 1, true),
            (20, 2, false),
            (39, 2, false),
            (40, 2, true),
        ] {
            let (prefix, sent) = ("+1202555".to_owned(), count as u64);
            let pumped = PumpedPrefix { prefix, sent, verified: verified as u64 };
            let expected = if is_pumped { vec![pumped] } else { vec![] };
            let prefixes = prefixes(numbers(count), verified, EXPIRED);
            assert_eq!(prefixes.pumped(), expected, "{verified} of {count}");
        }
    }

    #[test]
    fn a_code_that_may_yet_be_verified_does_not_count() {
        assert_eq!(prefixes(numbers(20), 0, EXPIRED).pumped()[0].conversion(), 0.0);
        assert_eq!(prefixes(numbers(20), 0, LIFETIME).pumped(), []);
        assert_eq!(prefixes(numbers(40), 2, EXPIRED).pumped()[0].conversion(), 0.05);
    }

    #[test]
    fn what_is_no_number_has_no_prefix() {
        for text in ["+abcdefgh", "+１２０２５５５", "12025550143", "+120255", ""] {
            let numbers = (0..20).map(|_| text.to_owned());
            assert_eq!(prefixes(numbers, 0, EXPIRED).pumped(), [], "{text}");
        }
    }

    #[test]
    fn the_ten_largest_prefixes_are_pointed_out() {
        let prefix = |n: usize| (0..20 + n % 3).map(move |_| format!("+49151{n:02}1"));
        let pumped = prefixes((0..12).flat_map(prefix), 0, EXPIRED).pumped();
        let prefixes: Vec<_> = pumped.iter().map(|pumped| &pumped.prefix[6..]).collect();
        assert_eq!(prefixes.join(" "), "02 05 08 11 01 04 07 10 00 03");
    }

    #[test]
    fn of_too_many_prefixes_the_rare_ones_are_forgotten() {
        let others = (0..2 * MOST_PREFIXES).map(|n| format!("+{}", 4_900_000 + n));
        let prefixes = prefixes(numbers(20).chain(others), 0, EXPIRED);
        assert!(prefixes.by_prefix.len() <= MOST_PREFIXES);
        assert_eq!(prefixes.pumped().len(), 1);
    }

    #[test]
    fn of_too_many_prefixes_at_least_half_are_forgotten() {
        let number = |n: usize| format!("+{}", 4_900_000 + n);
        // Most of them have two messages.
        let twice = (0..MOST_PREFIXES * 3 / 5).flat_map(|n| [number(n), number(n)]);
        let once = (MOST_PREFIXES * 3 / 5..=MOST_PREFIXES).map(number);
        let prefixes = prefixes(once.chain(twice), 0, EXPIRED);
        assert!(prefixes.by_prefix.len() <= MOST_PREFIXES / 2 + 1, "{}", prefixes.by_prefix.len());
    }
}
