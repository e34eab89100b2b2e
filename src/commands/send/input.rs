//! The numbers of a `send`: from the command line and from a file.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::file::{NumberFile, Record, folded, overview};
use crate::exit::Error;
use crate::model::{Composer, MessageContext, MessageError, MessageText, Messages, normalized_tag};
use crate::service::outcome::{Kind, Outcome};
use crate::service::recipient::{Recipient, Routes};
use crate::settings::Settings;

/// How many entries are read ahead.
const READ_AHEAD: usize = 256;

/// One number of the input.
pub(super) struct Entry {
    pub(super) origin: Origin,
    /// The recipient, or the outcome if the number can't be sent to.
    pub(super) recipient: Result<Recipient, Outcome>,
    /// What the operator should know by now.
    pub(super) warnings: Vec<String>,
    /// The fields of its record, as they are in the file; empty on the command line.
    pub(super) fields: Vec<String>,
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
    routes: Routes,
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
    /// Returns the input of `numbers` and of `file`. The messages are in `language`, with `context` for their placeholders, unless
    /// a record of the file has its own.
    ///
    /// # Errors
    /// Returns an error if the file's columns don't suit the placeholders, or if a message that all numbers share can't go out.
    pub(super) fn new(
        numbers: Vec<String>,
        mut file: Option<NumberFile>,
        language: Option<String>,
        context: MessageContext,
        settings: &Settings,
        routes: Routes,
    ) -> Result<Self, Error> {
        let language = language.filter(|language| !language.trim().is_empty());
        let composer = settings.composer();
        let messages = settings.messages.clone();
        let placeholders = messages.context_keys();
        let unused = context.keys().filter(|key| !placeholders.contains(key.as_str()));
        let mut warnings: Vec<_> =
            unused.map(|key| format!("--context {key}: no message uses it")).collect();
        if let Some(file) = &mut file {
            file.fill(placeholders.into_iter())?;
        }
        let columns = file.as_ref().and_then(NumberFile::columns);
        for name in columns.iter().flat_map(|columns| columns.unused()) {
            log::info!("--file: no message uses the column {name}");
        }
        let is_shared = !numbers.is_empty() || columns.is_none();
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
        Ok(Self {
            composer,
            messages,
            routes,
            language,
            context,
            numbers,
            file,
            text,
            missing,
            warnings,
        })
    }

    /// Returns the heading of the file as it is written there; None if the file has no columns.
    pub(super) fn columns(&self) -> Option<&[String]> {
        Some(&self.file.as_ref()?.columns()?.names)
    }

    /// Returns the index of the phone numbers' column.
    pub(super) fn number_column(&self) -> usize {
        let columns = self.file.as_ref().and_then(NumberFile::columns);
        columns.map_or(0, |columns| columns.phone_number)
    }

    /// Returns whether a column of this name has the phone numbers, or would fill a message.
    pub(super) fn uses(&self, name: &str) -> bool {
        let number_column = self.columns().map(|columns| columns[self.number_column()].as_str());
        let mut used = self.messages.context_keys().into_iter().chain(number_column);
        used.any(|used| folded(used) == name)
    }

    /// Returns the file in the words of the command line, if there is one.
    pub(super) fn file_name(&self) -> Option<String> {
        Some(self.file.as_ref()?.name.clone())
    }

    /// Returns whether the file, if there is one, is still what was opened.
    pub(super) fn is_unchanged(&self) -> bool {
        self.file.as_ref().is_none_or(NumberFile::is_unchanged)
    }

    /// Returns what was understood of the file, a note each.
    ///
    /// # Errors
    /// Returns an error if the file can't be read on.
    pub(super) fn overview(&mut self) -> Result<Vec<String>, Error> {
        let Some(file) = &mut self.file else { return Ok(Vec::new()) };
        overview(file).map_err(|error| unreadable(file, &error))
    }

    fn entry(
        routes: &Routes,
        line: Option<u64>,
        number: &str,
        text: Result<Arc<MessageText>, MessageError>,
    ) -> Entry {
        let (phone_number, recipient, warning) = match routes.find(number) {
            Ok((phone_number, route, warning)) => (
                phone_number.as_str().to_owned(),
                text.map(|text| Recipient { phone_number, route, text })
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
        Entry { origin, recipient, fields: Vec::new(), warnings }
    }

    fn entry_of_record(&mut self, Record { line, fields, problem }: Record) -> Entry {
        let columns = self.file.as_ref().and_then(NumberFile::columns);
        let phone_number = fields.get(self.number_column()).map_or("", String::as_str);
        if let Some(problem) = problem {
            let origin = Origin { phone_number: phone_number.to_owned(), line: Some(line) };
            let recipient = Err(Outcome::failed(Kind::InvalidLine, problem));
            return Entry { origin, recipient, fields, warnings: Vec::new() };
        }
        let Some(columns) = columns else {
            return Self::entry(&self.routes, Some(line), phone_number, self.text.clone());
        };
        let field = |index: usize| fields.get(index).map(String::as_str);
        let language = columns.language.and_then(field);
        let language = language.filter(|language| !language.trim().is_empty());
        let language = language.or(self.language.as_deref());
        self.warnings.extend(warning_of_missing(&self.messages, language, &mut self.missing));
        let message = self.messages.in_language(language);
        let value = |name: &str| match columns.values.get(name) {
            Some(index) => field(*index),
            None => self.context.get(name).map(String::as_str),
        };
        let text = self.composer.compose(message, value).map(Arc::new);
        let entry = Self::entry(&self.routes, Some(line), phone_number, text);
        Entry { fields, ..entry }
    }
}

impl Iterator for Input {
    type Item = Result<Entry, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut entry = match self.numbers.next() {
            Some(number) => Self::entry(&self.routes, None, &number, self.text.clone()),
            None => {
                let file = self.file.as_mut()?;
                match file.next_record() {
                    Ok(record) => self.entry_of_record(record?),
                    Err(error) => return Some(Err(unreadable(file, &error))),
                }
            }
        };
        entry.warnings.append(&mut self.warnings);
        Some(Ok(entry))
    }
}

fn unreadable(file: &NumberFile, error: &io::Error) -> Error {
    Error::failed(format!("{}: can't read on: {error}", file.name))
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

/// Starts a thread that reads `entries` ahead, because stdin may block. It sends None after the last one. If it panics, the
/// channel closes without it.
pub(super) fn read_ahead(
    entries: impl Iterator<Item = Result<Entry, Error>> + Send + 'static,
) -> io::Result<mpsc::Receiver<Result<Option<Entry>, Error>>> {
    let (sender, receiver) = mpsc::channel(READ_AHEAD);
    std::thread::Builder::new().spawn(move || {
        let entries = entries.map(|entry| entry.map(Some)).chain([Ok(None)]);
        for entry in entries {
            let is_end = entry.is_err();
            // The receiver is gone once the run is over.
            if sender.blocking_send(entry).is_err() || is_end {
                break;
            }
        }
    })?;
    Ok(receiver)
}
