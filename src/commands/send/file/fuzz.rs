//! Fuzz target of files of numbers.

use std::collections::BTreeSet;
use std::io::Write;

use tempfile::NamedTempFile;

use super::input_file::InputFile;
use super::{NumberFile, Record, overview};

/// What was read of a file: the heading of CSV, and the records without a problem.
type Understood = (Option<Vec<String>>, Vec<Vec<String>>);

/// Each record begins on a line of its own, all are counted, and what was understood comes back from a file that says the same in
/// the plainest form.
pub(crate) fn number_file(input: &[u8]) {
    let Some(understood) = understand(input) else { return };
    let (heading, records) = &understood;
    let plainest = match heading {
        Some(heading) => {
            let mut csv = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
            for record in std::iter::once(heading).chain(records) {
                csv.write_record(record).expect("memory takes all");
            }
            [b"sep=,\n", &csv.into_inner().expect("memory takes all")[..]].concat()
        }
        // A line that names the delimiter is gone, and another line may now end what a quotation mark begins.
        None if input.to_ascii_lowercase().windows(4).any(|it| it == b"sep=") => return,
        None if input.contains(&b'"') => return,
        None => records.concat().join("\n").into_bytes(),
    };
    let plainest = ["\u{feff}".as_bytes(), &plainest].concat();
    let again = understand(&plainest);
    assert!(records.is_empty() || again.as_ref() == Some(&understood), "{again:?} {understood:?}");
}

/// Returns what is read of `content`, unless it is refused.
fn understand(content: &[u8]) -> Option<Understood> {
    let mut file = NamedTempFile::new().expect("a temporary file");
    file.write_all(content).expect("a file that can be written");
    let input = InputFile::Path(file.path().to_owned());
    let mut numbers = NumberFile::open(&input, None).ok()?;
    let heading = numbers.columns().map(|columns| columns.names.clone());
    let width = heading.as_ref().map_or(1, Vec::len);
    let notes = overview(&mut numbers).expect("a file that can be read");
    assert!(!notes.iter().any(|note| note.contains('\n')), "{notes:?}");
    let (mut lines, mut records) = (BTreeSet::new(), Vec::new());
    while let Some(record) = numbers.next_record().expect("a file that can be read") {
        let Record { line, fields, problem } = record;
        assert!(lines.last().is_none_or(|last| *last < line) && lines.insert(line), "line {line}");
        assert_eq!(
            problem.is_none(),
            (1..=width).contains(&fields.len()),
            "{problem:?} {fields:?}"
        );
        if problem.is_none() {
            records.push(fields);
        }
    }
    let ends = content.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count();
    assert!(lines.last().is_none_or(|last| *last <= ends as u64 + 1), "{lines:?}");
    assert_eq!(NumberFile::count(&input, None), Some(lines.len() as u64));
    Some((heading, records))
}
