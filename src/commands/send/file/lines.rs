//! The lines of a file, read as they come.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{FileType, Stat, fstat, stat};

use super::input_file::InputFile;
use crate::exit::Error;

/// The longest line, and the longest record, in bytes.
pub(super) const MAX_LENGTH: usize = 64 * 1024;

/// A line of the file.
pub(super) struct Line {
    /// Counted from 1.
    pub(super) number: u64,
    /// The line, or why it isn't text. Whatever ends it in the file, here it is a line feed.
    pub(super) text: Result<String, &'static str>,
}

/// The lines of a file that were not taken yet.
pub(super) struct Lines {
    file: InputFile,
    input: BufReader<Box<dyn Source>>,
    /// The content of a regular file when it was opened.
    version: Option<Version>,
    /// How many lines were read.
    count: u64,
    /// Whether the last line ended in a carriage return, to which a line feed may belong.
    is_after_return: bool,
    /// Lines that were looked at, but not taken.
    ahead: VecDeque<Line>,
}

/// What distinguishes the content of a regular file from that of another one, and from its own after a change: device, inode, size
/// and the time of the last change.
type Version = [i128; 5];

/// What lines are read from.
trait Source: Read + AsFd + Send {}

impl<T: Read + AsFd + Send> Source for T {}

impl Lines {
    /// Opens `file`.
    ///
    /// # Errors
    /// Returns an error if the file can't be read, isn't text, or is also an output.
    pub(super) fn open(file: &InputFile) -> Result<Self, Error> {
        let input: Box<dyn Source> = match file {
            InputFile::Stdin => Box::new(io::stdin()),
            InputFile::Path(path) => Box::new(File::open(path).map_err(Error::usage)?),
        };
        if is_output(&input) {
            let problem = "results are written into the same file, and would be read as numbers";
            return Err(Error::usage(problem).with_hint("write the results into another file"));
        }
        let version = fstat(&input).ok().and_then(version);
        let mut input = BufReader::with_capacity(MAX_LENGTH, input);
        let start = input.fill_buf().map_err(Error::usage)?;
        if start.starts_with(b"\xff\xfe") || start.starts_with(b"\xfe\xff") {
            let error = Error::usage("it is UTF-16");
            return Err(error.with_hint("convert it: iconv -f UTF-16 -t UTF-8"));
        }
        if start.contains(&0) {
            return Err(Error::usage("it isn't text: it contains NUL bytes"));
        }
        if start.starts_with(b"\xef\xbb\xbf") {
            input.consume(3);
        }
        let (file, ahead) = (file.clone(), VecDeque::new());
        Ok(Self { file, input, version, count: 0, is_after_return: false, ahead })
    }

    /// Returns whether the file is still at its path, as it was when it was opened.
    pub(super) fn is_unchanged(&self) -> bool {
        let now = match &self.file {
            InputFile::Stdin => None,
            InputFile::Path(path) => stat(path).ok().and_then(version),
        };
        now == self.version
    }

    /// Returns the next line but `index` without taking it; None if there isn't one.
    pub(super) fn peek(&mut self, index: usize) -> io::Result<Option<&Line>> {
        while self.ahead.len() <= index {
            let Some(line) = self.read()? else { return Ok(None) };
            self.ahead.push_back(line);
        }
        Ok(self.ahead.get(index))
    }

    /// Returns the next line.
    pub(super) fn take(&mut self) -> io::Result<Option<Line>> {
        self.peek(0)?;
        Ok(self.ahead.pop_front())
    }

    /// Drops the next `count` lines.
    pub(super) fn skip(&mut self, count: usize) {
        self.ahead.drain(..count);
    }

    /// Fills the buffer. Returns false if a signal came instead.
    fn fill(&mut self) -> io::Result<bool> {
        match self.input.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(false),
            buffer => buffer?,
        };
        if version(fstat(self.input.get_ref())?) != self.version {
            // What follows may begin in the middle of a number.
            return Err(io::Error::other("it has changed meanwhile"));
        }
        Ok(true)
    }

    /// Reads a line. Holds at most [`MAX_LENGTH`] bytes of it in memory, and waits for nothing behind it.
    fn read(&mut self) -> io::Result<Option<Line>> {
        let (mut bytes, mut is_begun) = (Vec::new(), false);
        loop {
            if self.input.buffer().is_empty() && !self.fill()? {
                continue;
            }
            let buffer = self.input.buffer();
            if std::mem::take(&mut self.is_after_return) && buffer.first() == Some(&b'\n') {
                self.input.consume(1);
                continue;
            }
            if buffer.is_empty() && !is_begun {
                return Ok(None);
            }
            is_begun = true;
            let end = buffer.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let part = &buffer[..end.unwrap_or(buffer.len())];
            let room = MAX_LENGTH + 1 - bytes.len();
            bytes.extend(&part[..part.len().min(room)]);
            self.is_after_return = end.is_some_and(|end| buffer[end] == b'\r');
            let is_over = end.is_some() || buffer.is_empty();
            let length = part.len() + usize::from(end.is_some());
            self.input.consume(length);
            if is_over {
                break;
            }
        }
        self.count += 1;
        let text = if bytes.len() > MAX_LENGTH {
            Err("it is longer than 64 KiB")
        } else {
            bytes.push(b'\n');
            String::from_utf8(bytes).map_err(|_| "it is not UTF-8 text; export the file as UTF-8")
        };
        Ok(Some(Line { number: self.count, text }))
    }
}

/// Returns the version of the file with this status if it is a regular one.
fn version(file: Stat) -> Option<Version> {
    let is_regular = FileType::from_raw_mode(file.st_mode) == FileType::RegularFile;
    // The system decides how wide these integers are.
    is_regular.then(|| {
        [
            file.st_dev.into(),
            file.st_ino.into(),
            file.st_size.into(),
            file.st_mtime.into(),
            file.st_mtime_nsec.into(),
        ]
    })
}

/// Returns whether `input` is a regular file that stdout or stderr writes.
fn is_output(input: &impl AsFd) -> bool {
    let file = |fd: BorrowedFd<'_>| {
        let [device, inode, ..] = version(fstat(fd).ok()?)?;
        Some((device, inode))
    };
    let (stdout, stderr) = (io::stdout(), io::stderr());
    let outputs = [file(stdout.as_fd()), file(stderr.as_fd())];
    file(input.as_fd()).is_some_and(|input| outputs.contains(&Some(input)))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use tempfile::NamedTempFile;

    use super::*;

    #[test]
    fn lines_end_and_count_alike_wherever_the_buffer_does() {
        let at_edge = "a".repeat(MAX_LENGTH - 1);
        let longest = "b".repeat(MAX_LENGTH);
        let text = format!("{at_edge}\r\n{longest}\r\n{longest}b\rc\r\r\nd\n\re");
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let mut lines = Lines::open(&InputFile::Path(file.path().to_owned())).unwrap();
        let mut read = Vec::new();
        while let Some(Line { number, text }) = lines.take().unwrap() {
            read.push((number, text.map(|text| text.trim_end_matches('\n').to_owned())));
        }
        let line = |text: &str| Ok(text.to_owned());
        let expected = [
            line(&at_edge),
            line(&longest),
            Err("it is longer than 64 KiB"),
            line("c"),
            line(""),
            line("d"),
            line(""),
            line("e"),
        ];
        assert!(read.into_iter().eq((1..).zip(expected)));
    }
}
