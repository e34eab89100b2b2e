//! What was understood of a file, for people.

use std::io;

use super::columns::Columns;
use super::format::Format;
use super::names::listed;
use super::number_file::NumberFile;
use super::records::{Record, RecordReader};
use crate::model::{counted, single_spaced};

/// How many records are shown.
const SHOWN: usize = 3;

/// Returns what was understood of `file`, a note each: how it is divided, what its columns are for, and its first records.
///
/// # Errors
/// Returns an error if the file can't be read on.
pub(crate) fn overview(file: &mut NumberFile) -> io::Result<Vec<String>> {
    let mut notes = match &file.format {
        Format::Plain => vec!["one number a line".to_owned()],
        Format::Csv(columns, reader) => vec![division(columns, reader), uses(columns)],
    };
    notes[0].insert_str(0, &format!("{}: ", file.name));
    notes.extend(file.peek(SHOWN)?.iter().map(|Record { line, fields, problem }| {
        let fields: Vec<_> = fields.iter().map(|field| single_spaced(field)).collect();
        let shown = problem.clone().unwrap_or_else(|| fields.join(" | "));
        format!("line {line}: {}", shown.trim_end_matches([' ', '|']))
    }));
    Ok(notes)
}

fn division(columns: &Columns, reader: &RecordReader) -> String {
    let named = columns.names.iter().filter(|name| !name.is_empty());
    let count = counted(named.count() as u64, "column");
    match reader.delimiter() {
        None => format!("CSV, {count}"),
        Some(b'\t') => format!("CSV, {count}, separated by tabs"),
        Some(delimiter) => format!("CSV, {count}, separated by `{}`", char::from(delimiter)),
    }
}

fn uses(columns: &Columns) -> String {
    let name = |index: usize| single_spaced(&columns.names[index]);
    let mut uses = vec![format!("phone numbers from `{}`", name(columns.phone_number))];
    uses.extend(columns.language.map(|index| format!("languages from `{}`", name(index))));
    let values = columns.values.iter();
    uses.extend(values.map(|(key, index)| format!("{{{key}}} from `{}`", name(*index))));
    let unused = listed(columns.unused());
    let unused = if unused.is_empty() { unused } else { format!("; not used: {unused}") };
    format!("{}{unused}", uses.join(", "))
}
