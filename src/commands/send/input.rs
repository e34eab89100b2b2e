//! The numbers of a `send`: from the command line and from a file, one a line or as CSV with a heading.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::number_file::{LANGUAGE, Line, NumberFile, PHONE_NUMBER, csv_fields};
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
        routes: Routes,
    ) -> Result<Self, Error> {
        let file = path.map(NumberFile::open).transpose()?;
        let language = language.filter(|language| !language.trim().is_empty());
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
            return Self::entry(&self.routes, line, &text, self.text.clone());
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
            &self.routes,
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
            Some(number) => Self::entry(&self.routes, None, &number, self.text.clone()),
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
