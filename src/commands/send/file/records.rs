//! The records of a CSV file (RFC 4180).

use std::io;

use super::lines::{Line, Lines, MAX_LENGTH};
use crate::model::counted;

/// The problem of a quotation mark that begins a field and doesn't end one.
pub(super) const NOT_CLOSED: &str = "a quotation mark is not closed at the end of its field";
/// Stands for no delimiter: a file with this byte in its beginning isn't text.
const NO_DELIMITER: u8 = 0;

/// A record of the file.
pub(crate) struct Record {
    /// The line on which it begins, counted from 1.
    pub(crate) line: u64,
    /// Its fields. A line of a plain file is one field. A line whose quotation marks aren't closed has more than the heading, so that
    /// nothing takes it for a record.
    pub(crate) fields: Vec<String>,
    /// Why it can't be used.
    pub(crate) problem: Option<String>,
}

impl Record {
    /// Returns whether nothing is in it.
    pub(super) fn is_empty(&self) -> bool {
        self.problem.is_none() && self.fields.iter().all(|field| field.trim().is_empty())
    }
}

impl From<Line> for Record {
    /// Returns the line as one field.
    fn from(Line { number: line, text }: Line) -> Self {
        match text {
            Ok(mut text) => {
                text.pop();
                Self { line, fields: vec![text], problem: None }
            }
            Err(problem) => Self { line, fields: Vec::new(), problem: Some(problem.to_owned()) },
        }
    }
}

/// The fields of a record, and the lines that it takes.
pub(super) struct Fields {
    pub(super) fields: Vec<String>,
    /// How many lines it takes; None if a quotation mark on its first line isn't closed. Then the fields are those of that line.
    pub(super) lines: Option<usize>,
}

/// Reads the fields of records.
///
/// The reader of the crate `csv` would hold as much in memory as there is behind a quotation mark that isn't closed. That of
/// `csv_core` takes a line at a time.
pub(super) struct RecordReader {
    delimiter: Option<u8>,
    /// The fields of the heading. Fields behind them have to be empty.
    width: usize,
    /// The most fields of a record, empty ones too; None before the first record.
    most: Option<usize>,
    parser: csv_core::Reader,
    text: Vec<u8>,
    ends: Vec<usize>,
}

impl RecordReader {
    /// Returns a reader of records of any width, or of a single field if there is no `delimiter`.
    pub(super) fn new(delimiter: Option<u8>) -> Self {
        let mut builder = csv_core::ReaderBuilder::new();
        let parser = builder.delimiter(delimiter.unwrap_or(NO_DELIMITER)).build();
        let (text, ends) = (Vec::new(), Vec::new());
        Self { delimiter, width: usize::MAX, most: None, parser, text, ends }
    }

    /// Returns the reader for records below a heading of `width` fields.
    pub(super) fn with_width(self, width: usize) -> Self {
        Self { width, ..self }
    }

    pub(super) fn delimiter(&self) -> Option<u8> {
        self.delimiter
    }

    /// Reads the next record, which may be empty; None if there is none.
    pub(super) fn read(&mut self, lines: &mut Lines) -> io::Result<Option<Record>> {
        let Some(&Line { number: line, .. }) = lines.peek(0)? else { return Ok(None) };
        let Some(Fields { mut fields, lines: taken }) = self.peek(lines)? else {
            return Ok(lines.take()?.map(Record::from));
        };
        lines.skip(taken.unwrap_or(1));
        let (count, width) = (fields.len(), self.width);
        let problem = if taken.is_none() {
            fields.resize(count.max(width + 1), String::new());
            Some(NOT_CLOSED.to_owned())
        } else if self.is_too_wide(&fields) {
            Some(format!("it has {}, the heading {width}", counted(count, "field")))
        } else {
            fields.truncate(width);
            None
        };
        let record = Record { line, fields, problem };
        if !record.is_empty() && record.problem.is_none() {
            self.most.get_or_insert(count.max(width));
        }
        Ok(Some(record))
    }

    /// Returns the fields of the record at the next line, without taking its lines; None if there is no line, or no text.
    pub(super) fn peek(&mut self, lines: &mut Lines) -> io::Result<Option<Fields>> {
        let Some(Line { text: Ok(first), .. }) = lines.peek(0)? else { return Ok(None) };
        if first.trim().is_empty() {
            return Ok(Some(Fields { fields: Vec::new(), lines: Some(1) }));
        }
        self.parser.reset();
        let (mut length, mut ends, mut size) = (0, 0, 0);
        for index in 0.. {
            let Some(Line { text: Ok(line), .. }) = lines.peek(index)? else { break };
            size += line.len();
            if size > MAX_LENGTH + 1 {
                break;
            }
            let (is_whole, more_length, more_ends) = self.feed(line.as_bytes(), length, ends);
            (length, ends) = (length + more_length, ends + more_ends);
            if is_whole {
                let fields = self.fields(ends);
                if index > 0 && self.is_too_wide(&fields) || !self.is_well_quoted(lines, index)? {
                    break;
                }
                return Ok(Some(Fields { fields, lines: Some(index + 1) }));
            }
        }
        self.peek_at_line(lines)
    }

    /// Returns the fields of the next line if a quotation mark on it isn't closed.
    fn peek_at_line(&mut self, lines: &mut Lines) -> io::Result<Option<Fields>> {
        let Some(Line { text: Ok(line), .. }) = lines.peek(0)? else { return Ok(None) };
        self.parser.reset();
        let (_, length, ends) = self.feed(line.trim_end_matches('\n').as_bytes(), 0, 0);
        // An empty input ends the record.
        let (_, _, last) = self.feed(b"", length, ends);
        Ok(Some(Fields { fields: self.fields(ends + last), lines: None }))
    }

    /// Parses more of a record, of which `length` bytes of its fields and `ends` of their ends are known. Returns whether the
    /// record has ended, and how many of both were added.
    fn feed(&mut self, input: &[u8], length: usize, ends: usize) -> (bool, usize, usize) {
        self.text.resize(self.text.len().max(length + input.len() + 1), 0);
        self.ends.resize(self.ends.len().max(ends + input.len() + 1), 0);
        let (text, all_ends) = (&mut self.text[length..], &mut self.ends[ends..]);
        let (result, _, length, ends) = self.parser.read_record(input, text, all_ends);
        (result == csv_core::ReadRecordResult::Record, length, ends)
    }

    fn fields(&self, ends: usize) -> Vec<String> {
        let mut start = 0;
        let field = |end: &usize| {
            let field = &self.text[std::mem::replace(&mut start, *end)..*end];
            str::from_utf8(field).expect("an ASCII character separates fields").to_owned()
        };
        self.ends[..ends].iter().map(field).collect()
    }

    fn is_too_wide(&self, fields: &[String]) -> bool {
        let has_more = self.most.is_some_and(|most| fields.len() > most);
        // Of a record with more fields than the first one, none may hold anything.
        let skipped = if has_more { 0 } else { self.width };
        fields.iter().skip(skipped).any(|field| !field.trim().is_empty())
    }

    /// Returns whether each field of the record that ends with the next line but `last` ends with its quotation mark if it begins
    /// with one, and has none otherwise, unless the record is one line. The parser takes any.
    fn is_well_quoted(&self, lines: &mut Lines, last: usize) -> io::Result<bool> {
        let mut record = String::new();
        for index in 0..=last {
            if let Some(Line { text: Ok(line), .. }) = lines.peek(index)? {
                record += line;
            }
        }
        let delimiter = char::from(self.delimiter.unwrap_or(NO_DELIMITER));
        let mut rest = record.as_str();
        while !rest.is_empty() {
            let (is_quoted, mut is_open) = (rest.starts_with('"'), false);
            let end = rest.find(|c: char| {
                is_open ^= is_quoted && c == '"';
                !is_open && (c == delimiter || c == '\n')
            });
            let (field, after) = rest.split_at(end.unwrap_or(rest.len()));
            let is_well_quoted = match field.strip_prefix('"') {
                Some(text) => text
                    .strip_suffix('"')
                    .is_some_and(|text| !text.replace("\"\"", "").contains('"')),
                None => last == 0 || !field.contains('"'),
            };
            if !is_well_quoted {
                return Ok(false);
            }
            rest = after.get(1..).unwrap_or_default();
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;
    use tempfile::NamedTempFile;

    use super::*;
    use crate::commands::send::file::InputFile;

    fn records(text: &[u8], delimiter: u8, width: usize) -> Vec<Record> {
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(text).unwrap();
        let mut lines = Lines::open(&InputFile::Path(file.path().to_owned())).unwrap();
        let mut reader = RecordReader::new(Some(delimiter)).with_width(width);
        std::iter::from_fn(|| reader.read(&mut lines).unwrap()).collect()
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_and_begins_on_its_line(
            rows in proptest::collection::vec(["[ab\",;\n]{0,4}", "[ab\",;\n]{0,4}"], 1..6),
            delimiter in prop_oneof![Just(b','), Just(b';')],
        ) {
            let mut writer = csv::WriterBuilder::new().delimiter(delimiter).from_writer(Vec::new());
            for row in &rows {
                writer.write_record(row).unwrap();
            }
            let read = records(&writer.into_inner().unwrap(), delimiter, 2);
            prop_assert_eq!(read.len(), rows.len());
            let mut line = 1;
            for (record, row) in read.iter().zip(&rows) {
                prop_assert_eq!((record.line, &record.fields[..], &record.problem), (line, &row[..], &None));
                line += 1 + row.concat().matches('\n').count() as u64;
            }
        }
    }

    #[test]
    fn a_record_takes_only_its_lines_even_if_its_quotation_marks_are_wrong() {
        for (text, expected) in [
            ("\"a\r\nb\";c\rd;e", &["1:a\nb|c", "3:d|e"][..]),
            ("\"a\n\n\"\"b\";\"\"\nc;d\n", &["1:a\n\n\"b|", "4:c|d"]),
            ("a;\"b\nc;d", &["1!a|b|", "2:c|d"]),
            ("a;\"b\nc;\"d\ne;f", &["1!a|b|", "2!c|d|", "3:e|f"]),
            ("a;\"b\nc\"d;\ne;f", &["1!a|b|", "2:c\"d|", "3:e|f"]),
            ("a;\"b\nc;d\n\";e;f", &["1!a|b|", "2:c|d", "3!;e;f||"]),
            ("a;b\";\nc;\"d\"e\nf;\"g\"\"\"", &["1:a|b\"", "2!c|de|", "3:f|g\""]),
            ("\"a, \"b\"; c\";d\n\"e\";f", &["1!a, b\"| c\"|d", "2:e|f"]),
            ("a;b;;\n;;c\n\nd", &["1:a|b", "2!||c", "3:", "4:d"]),
            // A field that is empty beyond the heading is at the end of each record, or its record was shifted.
            ("a;b\nc;d;\n;;;\ne", &["1:a|b", "2!c|d|", "3:|", "4:e"]),
            (";;;\n\na;b;\nc;d;;\ne;f;\ng;h", &["1:|", "2:", "3:a|b", "4!c|d||", "5:e|f", "6:g|h"]),
        ] {
            let read = records(text.as_bytes(), b';', 2).into_iter().map(|record| {
                let mark = if record.problem.is_some() { '!' } else { ':' };
                format!("{}{mark}{}", record.line, record.fields.join("|"))
            });
            assert_eq!(read.collect::<Vec<_>>(), expected, "{text:?}");
        }
    }
}
