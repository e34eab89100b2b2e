//! A file of which nothing can be used: found out before anything is sent.

use std::collections::VecDeque;

use super::input::{Entry, Input};
use crate::exit::Error;
use crate::model::single_spaced;
use crate::service::outcome::Outcome;

/// How many records of a file have to fail, one after the other and with more behind them, for it to be the wrong file.
const MOST_FAILURES: usize = 20;

/// Returns the entries of `input`, or an error alone if its file has more than [`MOST_FAILURES`] records and none of the first
/// ones can be sent to. Entries are held back as long as that may be so. Without a file, none is.
pub(super) fn unless_all_fail(input: Input) -> impl Iterator<Item = Result<Entry, Error>> {
    let mut unchecked = input.file_name();
    let has_columns = input.columns().is_some();
    let (mut entries, mut held) = (input.fuse(), VecDeque::new());
    std::iter::from_fn(move || {
        if let Some(file) = unchecked.take() {
            held = first_entries(&mut entries, &file, has_columns);
        }
        held.pop_front().or_else(|| entries.next())
    })
}

/// Returns the entries up to the first record that can be sent to, or an error if too many fail.
fn first_entries(
    entries: &mut impl Iterator<Item = Result<Entry, Error>>,
    file: &str,
    has_columns: bool,
) -> VecDeque<Result<Entry, Error>> {
    let mut held = VecDeque::new();
    let mut failures = 0;
    for entry in entries {
        let is_of_file = entry.as_ref().is_ok_and(|entry| entry.origin.line.is_some());
        let is_failure = is_of_file && entry.as_ref().is_ok_and(|entry| entry.recipient.is_err());
        if is_of_file && failures == MOST_FAILURES {
            return [Err(all_failed(held.iter().flatten(), has_columns).within(file))].into();
        }
        let is_last = entry.is_err() || is_of_file && !is_failure;
        failures += usize::from(is_failure);
        held.push_back(entry);
        if is_last {
            break;
        }
    }
    held
}

/// Returns the error of a file whose first records, among `entries`, have all failed.
fn all_failed<'a>(mut entries: impl Iterator<Item = &'a Entry>, has_columns: bool) -> Error {
    let example = entries.find_map(|Entry { origin, recipient, .. }| match recipient {
        Err(Outcome::Failed { error, .. }) if origin.line.is_some() => {
            let number = single_spaced(&origin.phone_number);
            let number = if number.is_empty() { number } else { format!("{number}: ") };
            Some(origin.within_line(number + &error.message))
        }
        _ => None,
    });
    let example = example.unwrap_or_default();
    Error::usage(format!(
        "none of the first {MOST_FAILURES} records can be sent to, such as {example}"
    ))
    .with_hint(if has_columns {
        "--dry-run shows how the file was understood; --column picks another column"
    } else {
        "it needs one number a line, or a heading that names the column of the numbers"
    })
}
