//! The numbers of a `send`: from the command line and from a file, one a line or as CSV with a heading.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{FileType, fstat};

use crate::exit::Error;
use crate::model::{
    Composer, MessageContext, MessageError, MessageText, Messages, ParsedNumber, PhoneNumber,
    Region, check_context_key, normalized_tag,
};
use crate::service::outcome::{Kind, Outcome};
use crate::service::sending::Recipient;
use crate::settings::Settings;

/// The longest line of a file, in bytes.
const MAX_LINE: usize = 64 * 1024;
/// The column of the numbers; a file whose first line names it is CSV.
const PHONE_NUMBER: &str = "phone_number";
/// The column of the message's language.
const LANGUAGE: &str = "language";

/// One number of the input.
pub(super) struct Entry {
    pub(super) origin: Origin,
    /// The recipient, or the outcome if the number can't be sent to.
    pub(super) recipient: Result<Recipient, Outcome>,
    /// What the operator should know by now.
    pub(super) warnings: Vec<String>,
}

/// A number, and where it was given.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    /// The number in E.164, or the text as given if it can't be read.
    pub(super) phone_number: String,
    /// The line of the file, counted from 1; None on the command line.
    pub(super) line: Option<u64>,
}

impl Origin {
    /// Returns `text` with the line in front, if there is one.
    pub(super) fn within_line(&self, text: String) -> String {
        match self.line {
            Some(line) => format!("line {line}: {text}"),
            None => text,
        }
    }
}

/// The numbers of the command line and then those of the file.
pub(super) struct Input {
    composer: Composer,
    messages: Messages,
    default_region: Option<Region>,
    language: Option<String>,
    context: MessageContext,
    numbers: std::vec::IntoIter<String>,
    file: Option<NumberFile>,
    /// The text of all numbers except those of CSV.
    text: Result<Arc<MessageText>, MessageError>,
    /// The languages without a message that were asked for.
    missing: BTreeSet<String>,
    /// Warnings that weren't shown yet.
    warnings: Vec<String>,
}

impl Input {
    /// Returns the input of `numbers` and of the file at `path`, or stdin if that is `-`, and reads the file's first line. The
    /// messages are in `language`, with `context` for their placeholders, unless a line of CSV has its own.
    ///
    /// # Errors
    /// Returns an error if the file can't be read, holds nothing or no text, if its heading can't be followed, or if a message
    /// that all numbers share can't go out.
    pub(super) fn open(
        numbers: Vec<String>,
        path: Option<&Path>,
        language: Option<String>,
        context: MessageContext,
        settings: &Settings,
    ) -> Result<Self, Error> {
        let file = path.map(NumberFile::open).transpose()?;
        let is_shared = !numbers.is_empty() || file.as_ref().is_none_or(|file| file.csv.is_none());
        let composer = settings.composer();
        let messages = settings.messages.clone();
        let unused = |name: &&String| !messages.use_placeholder(name);
        let keys = context.keys().filter(unused);
        let mut warnings: Vec<_> =
            keys.map(|key| format!("--context {key}: no message uses it")).collect();
        let columns = file.iter().filter_map(|file| file.csv.as_ref()).flat_map(|(names, _)| names);
        let is_value = |name: &&String| *name != PHONE_NUMBER && *name != LANGUAGE;
        for name in columns.filter(is_value).filter(unused) {
            log::info!("--file: no message uses the column {name}");
        }
        let mut missing = BTreeSet::new();
        if is_shared {
            warnings.extend(warning_of_missing(&messages, language.as_deref(), &mut missing));
        }
        let message = messages.in_language(language.as_deref());
        let text = composer.compose(message, |name| Some(context.get(name)?.as_str()));
        if let (true, Err(error)) = (is_shared, &text) {
            let hint = match error {
                MessageError::NoValue(name) => format!("--context {name}=VALUE"),
                MessageError::TooLong { .. } => "shorten the message in the settings".to_owned(),
            };
            return Err(Error::usage(error.to_string()).with_hint(hint));
        }
        let (text, numbers) = (text.map(Arc::new), numbers.into_iter());
        let default_region = settings.default_region;
        Ok(Self {
            composer,
            messages,
            default_region,
            language,
            context,
            numbers,
            file,
            text,
            missing,
            warnings,
        })
    }

    fn entry(
        default_region: Option<Region>,
        line: Option<u64>,
        number: &str,
        text: Result<Arc<MessageText>, MessageError>,
    ) -> Entry {
        let (phone_number, recipient, warning) = match PhoneNumber::parse(number, default_region) {
            Ok(ParsedNumber { phone_number, region, number_type, warning }) => (
                phone_number.as_str().to_owned(),
                text.map(|text| Recipient { phone_number, region, number_type, text })
                    .map_err(|error| Outcome::failed(Kind::InvalidLine, error)),
                warning,
            ),
            Err(invalid) => {
                let outcome = Outcome::failed(Kind::InvalidNumber, &invalid);
                (invalid.phone_number, Err(outcome), None)
            }
        };
        let origin = Origin { phone_number, line };
        let warnings = warning.into_iter().map(|warning| origin.within_line(warning)).collect();
        Entry { origin, recipient, warnings }
    }

    fn entry_of_line(&mut self, Line { number, text }: Line) -> Entry {
        let line = Some(number);
        let invalid = |phone_number: &str, problem: &str| Entry {
            origin: Origin { phone_number: phone_number.to_owned(), line },
            recipient: Err(Outcome::failed(Kind::InvalidLine, problem)),
            warnings: Vec::new(),
        };
        let text = match text {
            Ok(text) => text,
            Err(problem) => return invalid("", problem),
        };
        let Some(NumberFile { csv: Some((columns, reader)), .. }) = &mut self.file else {
            return Self::entry(self.default_region, line, &text, self.text.clone());
        };
        let Some(fields) = csv_fields(reader, &text) else {
            return invalid("", "a quotation mark is not closed on the line");
        };
        let index = |name: &str| columns.iter().position(|column| column == name);
        let field = |index: usize| fields.get(index).map(String::as_str);
        let phone_number = index(PHONE_NUMBER).and_then(field).unwrap_or_default();
        if fields.len() != columns.len() {
            let problem = format!("it has {} fields, the heading {}", fields.len(), columns.len());
            return invalid(phone_number, &problem);
        }
        let language = index(LANGUAGE).and_then(field);
        let language = language.filter(|language| !language.trim().is_empty());
        let language = language.or(self.language.as_deref());
        self.warnings.extend(warning_of_missing(&self.messages, language, &mut self.missing));
        let message = self.messages.in_language(language);
        let value = |name: &str| {
            let own = index(name).filter(|_| name != PHONE_NUMBER && name != LANGUAGE);
            own.and_then(field).or_else(|| Some(self.context.get(name)?.as_str()))
        };
        Self::entry(
            self.default_region,
            line,
            phone_number,
            self.composer.compose(message, value).map(Arc::new),
        )
    }
}

impl Iterator for Input {
    type Item = Result<Entry, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut entry = match self.numbers.next() {
            Some(number) => Self::entry(self.default_region, None, &number, self.text.clone()),
            None => match self.file.as_mut()?.next_line() {
                Ok(line) => self.entry_of_line(line?),
                Err(error) => {
                    return Some(Err(Error::failed(format!("--file: can't read on: {error}"))));
                }
            },
        };
        entry.warnings.append(&mut self.warnings);
        Some(Ok(entry))
    }
}

/// Returns the warning that there is no message in `language`, once for each language.
fn warning_of_missing(
    messages: &Messages,
    language: Option<&str>,
    warned: &mut BTreeSet<String>,
) -> Option<String> {
    let language = language.filter(|language| !messages.have(language))?;
    let is_new = warned.insert(normalized_tag(language));
    is_new.then(|| format!("no message for {language}: the default message is used"))
}

/// A file of numbers.
pub(super) struct NumberFile {
    input: BufReader<Box<dyn Source>>,
    /// How many lines were read.
    count: u64,
    /// The first line, if it isn't a heading and was not taken yet.
    first: Option<Line>,
    /// The names of the columns of a CSV file, and the reader of its records.
    csv: Option<(Vec<String>, csv_core::Reader)>,
}

/// What numbers are read from.
trait Source: Read + AsFd + Send {}

impl<T: Read + AsFd + Send> Source for T {}

/// A line of the file that is not empty.
struct Line {
    number: u64,
    /// The line, or why it isn't text.
    text: Result<String, &'static str>,
}

impl NumberFile {
    fn open(path: &Path) -> Result<Self, Error> {
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
        let mut file = path.is_file().then(|| Self::open(path).ok())??;
        let mut count = 0;
        while file.next_line().ok()?.is_some() {
            count += 1;
        }
        Some(count)
    }

    /// Reads the next line that is not empty. Holds at most [`MAX_LINE`] bytes of it in memory.
    fn next_line(&mut self) -> io::Result<Option<Line>> {
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
fn csv_fields(reader: &mut csv_core::Reader, line: &str) -> Option<Vec<String>> {
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
