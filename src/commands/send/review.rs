//! Before a bulk send: what it would come to, and the question whether to send.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};
use std::fmt::Display;
use std::io;

use super::input::Entry;
use super::report::warning_of_repetition;
use super::tally::Tally;
use crate::exit::Error;
use crate::model::{counted, grouped};
use crate::output::{Output, on_one_line};
use crate::service::outcome::{Kind, Outcome, OutcomeGroup};
use crate::service::preview::Preview;
use crate::service::repetition::Repetition;

/// The most numbers that are sent to without a question.
pub(super) const MAX_UNASKED: u64 = 100;

/// Shows what a run over `entries` would come to and, if it would send to any, asks whether to send.
///
/// # Errors
/// Returns an error if the entries or the database can't be read, or if the answer isn't yes.
pub(super) fn review(
    entries: impl Iterator<Item = Result<Entry, Error>>,
    mut preview: Preview,
    mut repetition: Option<Repetition>,
    output: &Output,
) -> Result<(), Error> {
    let (mut tally, mut known, mut regions) = (Tally::start(true), HashSet::new(), BTreeMap::new());
    for entry in entries {
        let outcome = match entry?.recipient {
            Err(outcome) => outcome,
            Ok(recipient) if !known.insert(recipient.phone_number.as_integer()) => {
                Outcome::Skipped { reason: Kind::Duplicate }
            }
            Ok(recipient) => {
                if let Some(repetition) = &mut repetition {
                    repetition.look_at(&recipient);
                }
                let outcome = preview.outcome(&recipient)?;
                if outcome.kind() == Kind::Sent {
                    let region = recipient.route.region();
                    let region = region.map(|region| region.as_region_str().to_string());
                    let region = region.unwrap_or_else(|| "test numbers".to_owned());
                    *regions.entry(region).or_insert(0_u64) += 1;
                }
                outcome
            }
        };
        tally.count(&outcome);
    }
    output.progress(&tally.to_string());
    if !regions.is_empty() {
        output.progress(&format!("by region: {}", most_first(regions)));
    }
    if let Some(found) = repetition.and_then(|repetition| repetition.found()) {
        output.warning(&warning_of_repetition(found));
    }
    match tally.sum(OutcomeGroup::Sent) {
        0 => Ok(()),
        to_send => confirm(&counted(to_send, "number"), output),
    }
}

/// Returns the counts of the regions, the largest first.
fn most_first(regions: BTreeMap<impl Display, u64>) -> String {
    let mut regions: Vec<_> = regions.into_iter().collect();
    regions.sort_by_key(|(_, count)| Reverse(*count));
    let counts = regions.iter().map(|(region, count)| format!("{} {region}", grouped(*count)));
    counts.collect::<Vec<_>>().join(", ")
}

/// Asks whether to send to these numbers.
///
/// # Errors
/// Returns an error unless the answer is yes.
pub(super) fn confirm(numbers: &str, output: &Output) -> Result<(), Error> {
    output.prompt(&format!("Send to {}? [y/N] ", on_one_line(numbers)));
    let mut answer = String::new();
    // An answer that can't be read isn't a yes.
    if io::stdin().read_line(&mut answer).is_ok_and(|length| length == 0) {
        output.end_prompt();
    }
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Error::failed("nothing was sent, since the answer wasn't yes")
            .with_hint("--yes sends without a question")),
    }
}
