//! The file of a `send`: one number a line, or CSV with a heading.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use rustix::fs::{FileType, fstat};

use crate::exit::Error;
use crate::model::check_context_key;

/// The longest line of a file, in bytes.
const MAX_LINE: usize = 64 * 1024;
/// The column of the numbers; a file whose first line names it is CSV.
pub(super) const PHONE_NUMBER: &str = "phone_number";
/// The column of the message's language.
pub(super) const LANGUAGE: &str = "language";

/// A file of numbers.
pub(super) struct NumberFile {
    input: BufReader<Box<dyn Source>>,
    /// How many lines were read.
    count: u64,
    /// The first line, if it isn't a heading and was not taken yet.
    first: Option<Line>,
    /// The names of the columns of a CSV file, and the reader of its records.
    pub(super) csv: Option<(Vec<String>, csv_core::Reader)>,
}

/// What numbers are read from.
trait Source: Read + AsFd + Send {}

impl<T: Read + AsFd + Send> Source for T {}

/// A line of the file that is not empty.
pub(super) struct Line {
    pub(super) number: u64,
    /// The line, or why it isn't text.
    pub(super) text: Result<String, &'static str>,
}

impl NumberFile {
    /// Opens the file at `path`, or stdin if that is `-`, and reads its first line.
    ///
    /// # Errors
    /// Returns an error if the file can't be read, holds nothing or no text, is also an output, or if its heading can't be followed.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let name = if path == Path::new("-") { "stdin".into() } else { path.to_string_lossy() };
        let failed = |problem: &dyn ToString| {
            Error::usage(format!("--file {name}: {}", problem.to_string()))
        };
        let input: Box<dyn Source> = if path == Path::new("-") {
            Box::new(io::stdin())
        } else {
            Box::new(File::open(path).map_err(|error| failed(&error))?)
        };
        if is_output(&input) {
            let error =
                failed(&"results are written into the same file, and would be read as numbers");
            return Err(error.with_hint("write the results into another file"));
        }
        let mut input = BufReader::with_capacity(MAX_LINE, input);
        let start = input.fill_buf().map_err(|error| failed(&error))?;
        if start.starts_with(b"\xff\xfe") || start.starts_with(b"\xfe\xff") {
            let error = failed(&"it is UTF-16");
            return Err(error.with_hint("convert it: iconv -f UTF-16 -t UTF-8"));
        }
        if start.contains(&0) {
            return Err(failed(&"it isn't text: it contains NUL bytes"));
        }
        if start.starts_with(b"\xef\xbb\xbf") {
            input.consume(3);
        }
        let mut file = Self { input, count: 0, first: None, csv: None };
        let first = file.next_line().map_err(|error| failed(&error))?;
        let first = first.ok_or_else(|| failed(&"it holds no numbers"))?;
        let heading = first.text.as_ref().ok().filter(|text| text.contains(PHONE_NUMBER));
        file.csv = heading.and_then(|heading| {
            let mut reader = csv_reader();
            let names = csv_fields(&mut reader, heading)?;
            let names: Vec<_> = names.iter().map(|name| name.trim().to_owned()).collect();
            names.iter().any(|name| name == PHONE_NUMBER).then_some((names, reader))
        });
        match &file.csv {
            None => file.first = Some(first),
            Some((names, _)) => check_columns(names).map_err(|problem| failed(&problem))?,
        }
        Ok(file)
    }

    /// Returns how many numbers the file at `path` holds; None if it can't be read ahead.
    pub(super) fn count(path: &Path) -> Option<u64> {
        let is_regular = path != Path::new("-") && path.is_file();
        let mut file = is_regular.then(|| Self::open(path).ok())??;
        let mut count = 0;
        while file.next_line().ok()?.is_some() {
            count += 1;
        }
        Some(count)
    }

    /// Reads the next line that is not empty. Holds at most [`MAX_LINE`] bytes of it in memory.
    pub(super) fn next_line(&mut self) -> io::Result<Option<Line>> {
        if let Some(first) = self.first.take() {
            return Ok(Some(first));
        }
        loop {
            let mut bytes = Vec::new();
            let most = MAX_LINE as u64 + 1;
            if self.input.by_ref().take(most).read_until(b'\n', &mut bytes)? == 0 {
                return Ok(None);
            }
            self.count += 1;
            let has_end = bytes.pop_if(|byte| *byte == b'\n').is_some();
            let is_too_long = bytes.len() > MAX_LINE;
            if is_too_long && !has_end {
                self.input.skip_until(b'\n')?;
            }
            let text = if is_too_long {
                Err("it is longer than 64 KiB")
            } else {
                String::from_utf8(bytes).map_err(|_| "it is not UTF-8 text")
            };
            if text.as_ref().is_ok_and(|text| text.trim().is_empty()) {
                continue;
            }
            let text = text.map(|text| text.strip_suffix('\r').unwrap_or(&text).to_owned());
            return Ok(Some(Line { number: self.count, text }));
        }
    }
}

/// Returns whether `input` is a regular file that stdout or stderr writes.
fn is_output(input: &impl AsFd) -> bool {
    let file = |fd: BorrowedFd<'_>| {
        let status = fstat(fd).ok()?;
        let is_regular = FileType::from_raw_mode(status.st_mode) == FileType::RegularFile;
        is_regular.then_some((status.st_dev, status.st_ino))
    };
    let (stdout, stderr) = (io::stdout(), io::stderr());
    let outputs = [file(stdout.as_fd()), file(stderr.as_fd())];
    file(input.as_fd()).is_some_and(|input| outputs.contains(&Some(input)))
}

/// Returns what is wrong with the names of a heading.
fn check_columns(names: &[String]) -> Result<(), String> {
    let mut known = BTreeSet::new();
    for name in names {
        if !known.insert(name) {
            return Err(format!("the heading names the column `{name}` twice"));
        }
        if name != PHONE_NUMBER && name != LANGUAGE {
            check_context_key(name)
                .map_err(|problem| format!("the heading's column `{name}`: {problem}"))?;
        }
    }
    Ok(())
}

/// Returns a reader of CSV records, which takes many times as long to build as to read a record.
fn csv_reader() -> csv_core::Reader {
    // A carriage return within the line would end the record, and what follows it would be lost.
    csv_core::ReaderBuilder::new().terminator(csv_core::Terminator::Any(b'\n')).build()
}

/// Returns the fields of a CSV record (RFC 4180) on one line, or None if a quotation mark is not closed.
pub(super) fn csv_fields(reader: &mut csv_core::Reader, line: &str) -> Option<Vec<String>> {
    if line.bytes().filter(|byte| *byte == b'"').count() % 2 == 1 {
        return None;
    }
    let (mut text, mut ends) = (vec![0; line.len() + 1], vec![0; line.len() + 1]);
    reader.reset();
    let (_, _, length, count) = reader.read_record(line.as_bytes(), &mut text, &mut ends);
    // The end of the input ends the last field.
    let (_, _, _, last) = reader.read_record(&[], &mut text[length..], &mut ends[count..]);
    let mut start = 0;
    let fields = ends[..count + last].iter().map(|end| {
        let field = text.get(std::mem::replace(&mut start, *end)..*end)?;
        std::str::from_utf8(field).ok().map(str::to_owned)
    });
    fields.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_fields_may_be_quoted() {
        let mut reader = csv_reader();
        let mut fields = |line| csv_fields(&mut reader, line);
        assert_eq!(fields(r#"a,"b, ""c""",d"#).unwrap(), ["a", "b, \"c\"", "d"]);
        assert_eq!(fields(r#"a,"b"#), None);
        assert_eq!(fields("a\rb,").unwrap(), ["a\rb", ""]);
        assert_eq!(fields(r#""""#).unwrap(), [""]);
    }

    #[test]
    fn a_heading_names_each_column_once_and_none_that_the_program_fills() {
        let check = |names: &[&str]| {
            check_columns(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(check(&["name", "phone_number"]), Ok(()));
        for bad in
            [&["phone_number", "phone_number"][..], &["phone_number", "app"], &["phone_number", ""]]
        {
            assert!(check(bad).is_err(), "{bad:?}");
        }
    }
}
