//! The numbers of a `send`: from the command line and from a file, one a line or as CSV with a heading.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use crate::exit::Error;
use crate::model::{MessageContext, Messages, PhoneNumber, Region, check_context_key};
use crate::service::register::Recipient;

/// The longest line that is taken, in bytes; what is longer is no line of numbers.
const MAX_LINE: usize = 64 * 1024;
/// The column of the numbers; a file whose first line names it is CSV.
const PHONE_NUMBER: &str = "phone_number";
/// The column of the message's language.
const LANGUAGE: &str = "language";

/// One number, or what stands in its place.
pub(super) struct Entry {
    /// The line of the file, counted from 1; None on the command line.
    pub(super) line: Option<u64>,
    pub(super) recipient: Result<Recipient, BadEntry>,
}

/// What can't be sent to.
pub(super) enum BadEntry {
    /// A text that is no phone number.
    Number { text: String, problem: String },
    /// A line that can't be read as one number and what belongs to it.
    Line { text: String, problem: String },
    /// The file can't be read on.
    File(io::Error),
}

/// What makes a recipient of a number.
pub(super) struct RecipientMaker {
    pub(super) messages: Messages,
    pub(super) default_region: Option<Region>,
    pub(super) language: Option<String>,
    pub(super) context: MessageContext,
}

impl RecipientMaker {
    fn recipient(
        &self,
        phone_number: PhoneNumber,
        language: Option<&str>,
        context: MessageContext,
    ) -> Recipient {
        let language = language.or(self.language.as_deref());
        Recipient {
            phone_number,
            message: self.messages.in_language(language).clone(),
            context: self.context.clone().into_iter().chain(context).collect(),
        }
    }

    fn entry(
        &self,
        line: Option<u64>,
        number: &str,
        language: Option<&str>,
        context: MessageContext,
    ) -> Entry {
        let recipient = PhoneNumber::parse(number, self.default_region)
            .map(|phone_number| self.recipient(phone_number, language, context))
            .map_err(|invalid| BadEntry::Number {
                problem: invalid.to_string(),
                text: invalid.phone_number,
            });
        Entry { line, recipient }
    }

    /// Returns the entries of the command line's numbers and then those of the file.
    pub(super) fn entries(
        self,
        numbers: Vec<String>,
        file: Option<NumberFile>,
    ) -> impl Iterator<Item = Entry> + Send {
        let mut numbers = numbers.into_iter();
        let mut file = file;
        std::iter::from_fn(move || match numbers.next() {
            Some(number) => Some(self.entry(None, &number, None, MessageContext::new())),
            None => file.as_mut()?.next_entry(&self),
        })
    }
}

/// A file of numbers.
pub(super) struct NumberFile {
    lines: Lines,
    /// The first line, where it is no heading.
    first: Option<Line>,
    columns: Option<Columns>,
}

/// The columns of a CSV file, by place.
struct Columns {
    names: Vec<String>,
    phone_number: usize,
}

impl NumberFile {
    /// Opens the file at `path`, or stdin where that is `-`, and reads its first line.
    ///
    /// # Errors
    /// It can't be read, holds nothing or no text, or its heading can't be followed.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let name = if path == Path::new("-") { "stdin".into() } else { path.to_string_lossy() };
        let failed = |problem: String| Error::usage(format!("--file {name}: {problem}"));
        let input: Box<dyn Read + Send> = if path == Path::new("-") {
            Box::new(io::stdin())
        } else {
            Box::new(File::open(path).map_err(|error| failed(error.to_string()))?)
        };
        let mut lines = Lines { input: BufReader::with_capacity(MAX_LINE, input), number: 0 };
        let start = lines.input.fill_buf().map_err(|error| failed(error.to_string()))?;
        if start.starts_with(b"\xff\xfe") || start.starts_with(b"\xfe\xff") {
            return Err(
                failed("it is UTF-16".to_owned()).with_hint("convert it: iconv -f UTF-16 -t UTF-8")
            );
        }
        if start.contains(&0) {
            return Err(failed("it is no text: it holds NUL bytes".to_owned()));
        }
        if start.starts_with(b"\xef\xbb\xbf") {
            lines.input.consume(3);
        }
        let first = lines.next_line().map_err(|error| failed(error.to_string()))?;
        let Some(first) = first else { return Err(failed("it holds no numbers".to_owned())) };
        let heading = first.text.as_deref().ok().and_then(csv_fields);
        let heading = heading.filter(|names| names.iter().any(|name| name.trim() == PHONE_NUMBER));
        match heading {
            None => Ok(Self { lines, first: Some(first), columns: None }),
            Some(names) => {
                let columns = Some(Columns::read(names).map_err(failed)?);
                Ok(Self { lines, first: None, columns })
            }
        }
    }

    /// Returns how many numbers the file at `path` holds; None where reading it ahead is not possible.
    pub(super) fn count(path: &Path) -> Option<u64> {
        let mut file = path.is_file().then(|| Self::open(path).ok())??;
        let mut count = u64::from(file.first.is_some());
        while file.lines.next_line().ok()?.is_some() {
            count += 1;
        }
        Some(count)
    }

    /// Returns whether a heading names the columns, so that each line has a message of its own.
    pub(super) fn is_csv(&self) -> bool {
        self.columns.is_some()
    }

    fn next_entry(&mut self, maker: &RecipientMaker) -> Option<Entry> {
        let line = match self.first.take() {
            Some(first) => first,
            None => match self.lines.next_line() {
                Ok(line) => line?,
                Err(error) => {
                    let line = Some(self.lines.number + 1);
                    return Some(Entry { line, recipient: Err(BadEntry::File(error)) });
                }
            },
        };
        let number = Some(line.number);
        let bad = |text: &str, problem: &str| Entry {
            line: number,
            recipient: Err(BadEntry::Line { text: text.to_owned(), problem: problem.to_owned() }),
        };
        let text = match &line.text {
            Ok(text) => text,
            Err(problem) => return Some(bad("", problem)),
        };
        let Some(columns) = &self.columns else {
            return Some(maker.entry(number, text, None, MessageContext::new()));
        };
        let Some(fields) = csv_fields(text) else {
            return Some(bad("", "a quotation mark is not closed on the line"));
        };
        let phone_number = fields.get(columns.phone_number).cloned().unwrap_or_default();
        if fields.len() != columns.names.len() {
            let problem =
                format!("it has {} fields, the heading {}", fields.len(), columns.names.len());
            return Some(bad(&phone_number, &problem));
        }
        let mut context: MessageContext = columns.names.iter().cloned().zip(fields).collect();
        context.remove(PHONE_NUMBER);
        let language = context.remove(LANGUAGE).filter(|language| !language.trim().is_empty());
        Some(maker.entry(number, &phone_number, language.as_deref(), context))
    }
}

impl Columns {
    fn read(names: Vec<String>) -> Result<Self, String> {
        let names: Vec<String> = names.iter().map(|name| name.trim().to_owned()).collect();
        let mut known = BTreeSet::new();
        for name in &names {
            if !known.insert(name) {
                return Err(format!("the heading names the column `{name}` twice"));
            }
            if name != PHONE_NUMBER && name != LANGUAGE {
                check_context_key(name)
                    .map_err(|problem| format!("the heading's column `{name}`: {problem}"))?;
            }
        }
        let phone_number = names.iter().position(|name| name == PHONE_NUMBER);
        let phone_number = phone_number.ok_or("the heading names no phone_number")?;
        Ok(Self { names, phone_number })
    }
}

/// Returns the fields of a CSV record (RFC 4180) that stands on one line; None where a quotation mark is not closed.
fn csv_fields(line: &str) -> Option<Vec<String>> {
    if line.bytes().filter(|byte| *byte == b'"').count() % 2 == 1 {
        return None;
    }
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        // A carriage return within the line would end the record, and what follows it would be lost.
        .terminator(csv::Terminator::Any(b'\n'))
        .buffer_capacity(line.len().max(1))
        .from_reader(line.as_bytes());
    let record = reader.records().next()?.ok()?;
    Some(record.iter().map(str::to_owned).collect())
}

/// A line of the file that is not empty.
struct Line {
    number: u64,
    /// The line, or why it is no text.
    text: Result<String, &'static str>,
}

/// The lines of a file, each held in memory only up to the longest that is taken.
struct Lines {
    input: BufReader<Box<dyn Read + Send>>,
    number: u64,
}

impl Lines {
    fn next_line(&mut self) -> io::Result<Option<Line>> {
        loop {
            let mut bytes = Vec::new();
            let mut is_too_long = false;
            let mut has_more = false;
            loop {
                let buffer = self.input.fill_buf()?;
                if buffer.is_empty() {
                    break;
                }
                has_more = true;
                let end = buffer.iter().position(|byte| *byte == b'\n');
                let part = &buffer[..end.unwrap_or(buffer.len())];
                is_too_long |= bytes.len() + part.len() > MAX_LINE;
                if !is_too_long {
                    bytes.extend_from_slice(part);
                }
                let used = part.len() + usize::from(end.is_some());
                self.input.consume(used);
                if end.is_some() {
                    break;
                }
            }
            if !has_more {
                return Ok(None);
            }
            self.number += 1;
            let text = if is_too_long {
                Err("it is longer than 64 KiB")
            } else {
                String::from_utf8(bytes).map_err(|_| "it is not UTF-8 text")
            };
            if text.as_ref().is_ok_and(|text| text.trim().is_empty()) {
                continue;
            }
            let text = text.map(|text| text.strip_suffix('\r').unwrap_or(&text).to_owned());
            return Ok(Some(Line { number: self.number, text }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_fields_may_be_quoted() {
        assert_eq!(csv_fields(r#"a,"b, ""c""",d"#).unwrap(), ["a", "b, \"c\"", "d"]);
        assert_eq!(csv_fields(r#"a,"b"#), None);
    }

    #[test]
    fn a_heading_names_each_column_once_and_none_that_the_program_fills() {
        let read =
            |names: &[&str]| Columns::read(names.iter().map(|name| (*name).to_owned()).collect());
        assert_eq!(read(&["name", " phone_number"]).unwrap().phone_number, 1);
        for bad in
            [&["phone_number", "phone_number"][..], &["phone_number", "app"], &["phone_number", ""]]
        {
            assert!(read(bad).is_err(), "{bad:?}");
        }
    }
}
