//! The file of a `send`, understood from its first line.

use std::collections::VecDeque;
use std::io;

use super::columns::Columns;
use super::format::Format;
use super::input_file::InputFile;
use super::lines::Lines;
use super::records::Record;
use crate::exit::Error;

/// A file of numbers.
pub(crate) struct NumberFile {
    /// The file in the words of the command line.
    pub(crate) name: String,
    pub(super) format: Format,
    lines: Lines,
    /// Records that were looked at, but not taken.
    ahead: VecDeque<Record>,
}

impl NumberFile {
    /// Opens `file` and reads its first line. The phone numbers of CSV are in the `column`, if one is given.
    ///
    /// # Errors
    /// Returns an error if the file can't be read, holds nothing or no text, is also an output, or if it is neither plain nor has
    /// one column of phone numbers.
    pub(crate) fn open(file: &InputFile, column: Option<&str>) -> Result<Self, Error> {
        let name = format!("--file {file}");
        let opened = Lines::open(file).and_then(|mut lines| {
            let format = Format::find(&mut lines, column)?;
            Ok((format, lines))
        });
        let (format, lines) = opened.map_err(|error| error.within(&name))?;
        Ok(Self { name, format, lines, ahead: VecDeque::new() })
    }

    /// Returns how many records `file` holds; None if it can't be read ahead.
    pub(crate) fn count(file: &InputFile, column: Option<&str>) -> Option<u64> {
        let is_regular = matches!(file, InputFile::Path(path) if path.is_file());
        let mut file = is_regular.then(|| Self::open(file, column).ok())??;
        let mut count = 0;
        while file.next_record().ok()?.is_some() {
            count += 1;
        }
        Some(count)
    }

    /// Returns whether the file is still at its path, as it was when it was opened.
    pub(crate) fn is_unchanged(&self) -> bool {
        self.lines.is_unchanged()
    }

    /// Returns the columns of a CSV file.
    pub(crate) fn columns(&self) -> Option<&Columns> {
        match &self.format {
            Format::Plain => None,
            Format::Csv(columns, _) => Some(columns),
        }
    }

    /// Finds the columns that have the values of these placeholders.
    ///
    /// # Errors
    /// Returns an error if more than one column may have the values of one of them.
    pub(crate) fn fill<'a>(
        &mut self,
        placeholders: impl Iterator<Item = &'a str>,
    ) -> Result<(), Error> {
        match &mut self.format {
            Format::Plain => Ok(()),
            Format::Csv(columns, _) => {
                columns.fill(placeholders).map_err(|error| error.within(&self.name))
            }
        }
    }

    /// Returns the next `count` records without taking them, or fewer if there aren't as many.
    ///
    /// # Errors
    /// Returns an error if the file can't be read on.
    pub(crate) fn peek(&mut self, count: usize) -> io::Result<&VecDeque<Record>> {
        while self.ahead.len() < count {
            let Some(record) = self.read_record()? else { break };
            self.ahead.push_back(record);
        }
        Ok(&self.ahead)
    }

    /// Returns the next record that isn't empty.
    ///
    /// # Errors
    /// Returns an error if the file can't be read on.
    pub(crate) fn next_record(&mut self) -> io::Result<Option<Record>> {
        match self.ahead.pop_front() {
            Some(record) => Ok(Some(record)),
            None => self.read_record(),
        }
    }

    fn read_record(&mut self) -> io::Result<Option<Record>> {
        loop {
            let record = match &mut self.format {
                Format::Plain => self.lines.take()?.map(Record::from),
                Format::Csv(_, reader) => reader.read(&mut self.lines)?,
            };
            if !record.as_ref().is_some_and(Record::is_empty) {
                return Ok(record);
            }
        }
    }
}
