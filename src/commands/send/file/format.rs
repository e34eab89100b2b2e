//! What a file holds: plain numbers or CSV. Its first line says so.

use super::columns::Columns;
use super::lines::{Line, Lines};
use super::names::{listed, may_be_number};
use super::records::{Fields, NOT_CLOSED, RecordReader};
use crate::exit::Error;
use crate::model::is_written_number;

/// The delimiters that are looked for.
const DELIMITERS: &[u8] = b",;\t|";
/// What is in front of the delimiter on a line of its own, which Excel reads.
const SEPARATOR: &str = "sep=";

/// What a file holds.
pub(super) enum Format {
    /// One number a line.
    Plain,
    /// Records below a heading.
    Csv(Columns, Box<RecordReader>),
}

/// The first line that isn't empty, or the record that begins with it, as one delimiter divides it.
struct First {
    line: u64,
    text: String,
    reader: RecordReader,
    fields: Vec<String>,
    /// How many lines it takes; None if a quotation mark isn't closed.
    lines: Option<usize>,
    columns: Result<Option<Columns>, Error>,
}

impl Format {
    /// Finds out what the file holds, and takes its heading.
    ///
    /// # Errors
    /// Returns an error if there are no lines, if the first one can't be read, or if it is neither the first one of a plain file
    /// nor a heading with one column of phone numbers.
    pub(super) fn find(lines: &mut Lines, column: Option<&str>) -> Result<Self, Error> {
        let first = First::find(lines, column)?;
        let line = first.line;
        match (first.columns?, first.lines) {
            (Some(columns), Some(count)) => {
                lines.skip(count);
                let is_divided = first.fields.len() > 1;
                let reader = if is_divided { first.reader } else { RecordReader::new(None) };
                let reader = Box::new(reader.with_width(columns.names.len()));
                Ok(Self::Csv(columns, reader))
            }
            (Some(_), None) => Err(Error::usage(format!("line {line}: {NOT_CLOSED}"))),
            (None, _) if column.is_none() && is_plain(&first.text, &first.fields) => {
                Ok(Self::Plain)
            }
            (None, _) => Err(without_column(&first.fields, column).within(&format!("line {line}"))),
        }
    }
}

/// Returns the error of a first line that divides into `fields`, of which none is the name of the column that is wanted.
fn without_column(fields: &[String], column: Option<&str>) -> Error {
    let fields: Vec<_> = fields.iter().map(|field| field.trim()).collect();
    let shown = listed(fields.iter().copied().filter(|field| !field.is_empty()));
    let (problem, hint) = match column {
        Some(column) => {
            (format!("it has no column `{column}`, but"), "--column takes the name of one of these")
        }
        None if fields.iter().any(|field| may_be_number(field)) => (
            "it has several columns, and no heading is above it:".to_owned(),
            "put one above it, such as phone_number; if the line is one, --column NAME picks the column",
        ),
        None => (
            "it names no column of phone numbers:".to_owned(),
            "--column NAME picks the column; if the line isn't a heading, put one above it",
        ),
    };
    Error::usage(format!("{problem} {shown}")).with_hint(hint)
}

impl First {
    /// Reads the first line that isn't empty. It is divided by the delimiter that makes most of it.
    fn find(lines: &mut Lines, column: Option<&str>) -> Result<Self, Error> {
        let named = named_delimiter(lines)?;
        let delimiters = if named.is_some() { named.as_slice() } else { DELIMITERS };
        loop {
            let (line, text) = match lines.peek(0).map_err(Error::usage)? {
                None => return Err(Error::usage("it holds no numbers")),
                Some(Line { number, text: Err(problem) }) => {
                    return Err(Error::usage(format!("line {number}: {problem}")));
                }
                Some(Line { number, text: Ok(text) }) => (*number, text.clone()),
            };
            let (mut best, mut empty): (Option<Self>, _) = (None, None);
            for delimiter in delimiters {
                let mut reader = RecordReader::new(Some(*delimiter));
                let fields = reader.peek(lines).map_err(Error::usage)?;
                let Some(Fields { fields, lines }) = fields else { continue };
                if filled(&fields) == 0 {
                    empty = lines;
                }
                let columns = Columns::in_heading(&fields, column);
                let first = Self { line, text: text.clone(), reader, fields, lines, columns };
                if best.as_ref().is_none_or(|best| best.value() < first.value()) {
                    best = Some(first);
                }
            }
            match (best, empty) {
                (Some(first), None) => return Ok(first),
                (_, empty) => lines.skip(empty.unwrap_or(1)),
            }
        }
    }

    /// Returns what is compared to find the delimiter: whether there is a column of phone numbers, whether quotation marks are
    /// closed, how many fields hold something, and how many there are.
    fn value(&self) -> (bool, bool, usize, usize) {
        let has_column = !matches!(self.columns, Ok(None));
        (has_column, self.lines.is_some(), filled(&self.fields), self.fields.len())
    }
}

/// Returns how many of the fields aren't empty.
fn filled(fields: &[String]) -> usize {
    fields.iter().filter(|field| !field.trim().is_empty()).count()
}

/// Takes the line that names the delimiter, if the first one that isn't empty does, and returns that delimiter.
fn named_delimiter(lines: &mut Lines) -> Result<Option<u8>, Error> {
    while let Some(Line { number, text: Ok(text) }) = lines.peek(0).map_err(Error::usage)? {
        if !text.trim().is_empty() {
            let Some(delimiter) = delimiter_in(text.trim_end_matches('\n')) else {
                return Ok(None);
            };
            let delimiter = delimiter.map_err(|error| error.within(&format!("line {number}")))?;
            lines.skip(1);
            return Ok(Some(delimiter));
        }
        lines.skip(1);
    }
    Ok(None)
}

/// Returns the delimiter that a line such as `sep=;` names; None if it names none.
fn delimiter_in(line: &str) -> Option<Result<u8, Error>> {
    let unquoted = line.strip_prefix('"').and_then(|line| line.strip_suffix('"'));
    let (start, delimiter) = unquoted.unwrap_or(line).split_at_checked(SEPARATOR.len())?;
    start.eq_ignore_ascii_case(SEPARATOR).then(|| match *delimiter.as_bytes() {
        [c] if c.is_ascii_punctuation() && c != b'"' || c == b'\t' || c == b' ' => Ok(c),
        _ => Err(Error::usage("`sep=` has to name one ASCII character, such as `;`")),
    })
}

/// Returns whether a line is one of a plain file: a number, or what was meant to be one and isn't divided into fields.
fn is_plain(text: &str, fields: &[String]) -> bool {
    let count = |is_counted: fn(char) -> bool| text.chars().filter(|c| is_counted(*c)).count();
    let is_word = count(char::is_alphabetic) > count(char::is_numeric);
    is_written_number(text) || (filled(fields) < 2 && !is_word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_a_delimiter() {
        let named = |line| delimiter_in(line).map(|delimiter| delimiter.ok().map(char::from));
        for (line, delimiter) in [
            ("sep=;", Some(Some(';'))),
            ("SEP=\t", Some(Some('\t'))),
            ("\"sep=,\"", Some(Some(','))),
            ("sep=^", Some(Some('^'))),
            ("sep=", Some(None)),
            ("sep=ab", Some(None)),
            ("sep=1", Some(None)),
            ("sep=\"", Some(None)),
            ("sep=§", Some(None)),
            ("separator", None),
            ("phone_number", None),
            ("sé", None),
        ] {
            assert_eq!(named(line), delimiter, "{line}");
        }
    }
}
