//! What the operator and the scripts see: results on stdout, everything else on stderr. Nothing else prints.

mod checks;
mod fields;
mod format;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod manual;
mod messages;
mod rows;
mod screen;
mod status_line;
mod stderr;
mod table;
mod text;
mod time;
mod writer;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use anstyle::AnsiColor;
use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serde::Serialize;
use tokio::sync::oneshot;

use self::fields::csv_line_of;
use self::messages::Messages;
use self::screen::Screen;
use self::status_line::{Progress, StatusLine};
use self::text::{csv_without_controls, json_without_controls};
use self::writer::{Chunk, ChunkEnd, Thread, has_one_reader, is_closed_within, write_to_stdout};
use crate::exit::Error;
use crate::model::{Check, CheckStatus};

pub use fields::csv_line;
pub use format::{Color, Format};
pub use rows::{Column, RowWriter, Value};
pub use status_line::ProgressBar;
pub use text::on_one_line;
pub use time::time_and_distance;

/// The bytes that may wait for their reader before the output counts as backed up.
const MAX_UNWRITTEN: usize = 64 * 1024;

/// A result: a value for scripts, a text for people.
pub trait Report: Serialize {
    /// The columns of its CSV: names of fields of its JSON. None if it has no such form.
    const COLUMNS: &'static [&'static str] = &[];

    /// Returns the text without a final line end.
    fn text(&self) -> String;

    /// Returns the colour of the text's first line, if it has one. The line means the same without it.
    fn color(&self) -> Option<AnsiColor> {
        None
    }
}

/// Stdout and stderr.
pub struct Output {
    format: Format,
    is_quiet: bool,
    /// The options that an operator has to repeat in another command, so that it works on the same; a space follows each.
    repeated_options: String,
    stdout: Screen,
    stderr: Screen,
    stdout_is_closed: bool,
    messages: Arc<Messages>,
    status_line: StatusLine,
    /// What the threads write next, except for the messages.
    next: Chunk,
    /// How far the progress bar is, if there is one.
    position: Option<u64>,
    /// None before [`Output::start_writer`]: then everything is written at once. The first thread writes the messages, the last
    /// one the results: neither stream's reader holds up the other's. There is only one thread if both streams have the same
    /// reader, so that a line of one doesn't break a line of the other.
    threads: Vec<Thread>,
    /// Receives the ends of the chunks that are being written.
    ends: FuturesUnordered<oneshot::Receiver<ChunkEnd>>,
}

impl Output {
    /// Returns an output that shows results in this format.
    pub fn new(format: Format, color: Color, is_quiet: bool) -> Self {
        let stderr = Screen::new(&io::stderr(), color);
        let has_status_line = stderr.takes_a_status_line() && !is_quiet;
        let status_line = if has_status_line { StatusLine::start() } else { StatusLine::default() };
        Self {
            format,
            is_quiet,
            repeated_options: String::new(),
            stdout: Screen::new(&io::stdout(), color),
            stderr,
            stdout_is_closed: false,
            messages: Arc::new(Messages::above(status_line.clone())),
            status_line,
            next: Chunk::default(),
            position: None,
            threads: Vec::new(),
            ends: FuturesUnordered::new(),
        }
    }

    /// Returns the format of the results.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Returns whether stdout and stderr are one terminal.
    pub fn is_one_terminal(&self) -> bool {
        self.stdout.is_terminal && self.stderr.is_terminal && has_one_reader()
    }

    /// Returns whether the reader of stdout has gone away.
    pub fn is_closed(&self) -> bool {
        self.stdout_is_closed
    }

    /// Shows the heading of results, if their form has one.
    ///
    /// # Errors
    /// Returns an error if stdout can't be written, unless its reader has gone away.
    pub fn heading<R: Report>(&mut self) -> Result<(), Error> {
        match self.format {
            Format::Csv => self.write(csv_line(R::COLUMNS.iter().copied()).as_bytes()),
            Format::Text | Format::Json => Ok(()),
        }
    }

    /// Shows a result.
    ///
    /// # Errors
    /// Returns an error if stdout can't be written, unless its reader has gone away.
    pub fn report<R: Report>(&mut self, report: &R) -> Result<(), Error> {
        let line = match self.format {
            // A number that isn't valid is repeated as it was given, and may hold any character.
            Format::Text => self.text_lines(report),
            Format::Json => self.json_line(report),
            Format::Csv => {
                let line = csv_line_of(R::COLUMNS, report);
                if self.stdout.is_terminal { csv_without_controls(&line) } else { line }
            }
        };
        self.write(line.as_bytes())
    }

    /// Shows a result that people need not see: if quiet, only in the form for scripts.
    ///
    /// # Errors
    /// Returns an error if stdout can't be written, unless its reader has gone away.
    pub fn report_unless_quiet(&mut self, report: &impl Report) -> Result<(), Error> {
        if self.is_quiet && self.format == Format::Text { Ok(()) } else { self.report(report) }
    }

    fn text_lines(&self, report: &impl Report) -> String {
        let text = report.text();
        let (first, rest) = text.split_at(text.find('\n').unwrap_or(text.len()));
        let first = self.stdout.fit(first);
        let first = match report.color() {
            Some(color) => self.stdout.styled(&first, color.on_default()),
            None => first,
        };
        first + &self.stdout.fit(rest) + "\n"
    }

    /// Shows people an empty line between two results.
    ///
    /// # Errors
    /// Returns an error if stdout can't be written, unless its reader has gone away.
    pub fn separate(&mut self) -> Result<(), Error> {
        if self.format == Format::Text { self.write(b"\n") } else { Ok(()) }
    }

    fn json_line(&self, value: &impl Serialize) -> String {
        let line = serde_json::to_string(value).expect("the types of results fit into JSON");
        (if self.stdout.is_terminal { json_without_controls(&line) } else { line }) + "\n"
    }

    /// Writes `bytes` to stdout as they are.
    ///
    /// # Errors
    /// Returns an error if stdout can't be written, unless its reader has gone away.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if self.stdout_is_closed {
            return Ok(());
        }
        if self.threads.is_empty() {
            return self.note(write_to_stdout(bytes, &self.status_line));
        }
        if self.threads.len() == 1 {
            // One reader sees both streams in the order in which they were shown.
            self.next.add_messages(&self.messages.take());
        }
        self.next.add_results(bytes);
        Ok(())
    }

    /// Shows a manual page: at a terminal through `man`, elsewhere, or if that can't show it, in roff.
    ///
    /// # Errors
    /// Returns an error if stdout can't be written, unless its reader has gone away.
    pub fn manual_page(&mut self, page: &[u8]) -> Result<(), Error> {
        let is_shown = self.stdout.is_terminal && manual::show(page).unwrap_or(false);
        if is_shown { Ok(()) } else { self.write(page) }
    }

    fn note(&mut self, written: io::Result<()>) -> Result<(), Error> {
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.stdout_is_closed = true;
                Ok(())
            }
            result => result.map_err(|error| {
                Error::failed(format!("the results can't be written to stdout: {error}"))
                    .caused_by(error)
            }),
        }
    }

    /// From now on threads write whatever is shown, including the log, so that no reader holds up the program. They write only
    /// what [`Output::write_out`] gives them. If `has_bar`, the status line, if there is one, becomes a progress bar over `total`,
    /// or without an end.
    ///
    /// # Errors
    /// Returns an error if the system can't start a thread.
    pub fn start_writer(&mut self, has_bar: bool, total: Option<u64>) -> io::Result<()> {
        self.position = (has_bar && self.status_line.exists()).then(|| {
            self.status_line.count_to(total);
            0
        });
        let indexes = if has_one_reader() { 0..1 } else { 0..2 };
        let threads = indexes.map(|index| Thread::start(index, self.status_line.clone()));
        self.threads = threads.collect::<Result<_, _>>()?;
        self.messages.keep();
        Ok(())
    }

    /// From now on whatever is shown is written at once again, first the messages that are left.
    pub fn stop_writer(&mut self) {
        self.threads.clear();
        self.messages.stop_keeping();
    }

    /// Returns whether something was shown that isn't written yet.
    pub fn has_unwritten(&self) -> bool {
        !self.ends.is_empty() || self.next != Chunk::default() || self.messages.length() > 0
    }

    /// Returns whether so much waits for its reader that the program should produce no more.
    pub fn is_backed_up(&self) -> bool {
        self.next.length().max(self.messages.length()) >= MAX_UNWRITTEN
    }

    /// Gives each free thread what waits for it, and returns once a thread has written its chunk or couldn't. If nothing is to be
    /// written, waits until something is. If the future is dropped early, the next call continues.
    ///
    /// # Errors
    /// Returns an error if stdout can't be written, unless its reader has gone away. There is no error for stderr, since no other
    /// place is left for a message.
    pub async fn write_out(&mut self) -> Result<(), Error> {
        loop {
            let count = self.threads.len();
            let threads = self.threads.iter_mut().enumerate();
            for (index, thread) in threads.filter(|(_, thread)| !thread.is_busy) {
                let mut chunk = Chunk::default();
                if index + 1 == count {
                    chunk.parts = std::mem::take(&mut self.next.parts);
                }
                if index == 0 {
                    chunk.progress = self.next.progress.take();
                    chunk.add_messages(&self.messages.take());
                }
                self.ends.extend(thread.write(chunk));
            }
            tokio::select! {
                Some(end) = self.ends.next() => {
                    let (index, written) = end.expect("a thread reports the end of every chunk");
                    self.threads[index].is_busy = false;
                    return self.note(written);
                }
                // The log writes even while everything else waits.
                () = self.messages.another.notified() => {}
            }
        }
    }

    /// Shows checks: for people as a group, for scripts as a line each. If quiet, only those that aren't ok.
    ///
    /// # Errors
    /// Returns an error if stdout can't be written, unless its reader has gone away.
    pub fn checks(&mut self, heading: &str, checks: &[Check]) -> Result<(), Error> {
        let is_shown = |check: &&Check| !self.is_quiet || check.status != CheckStatus::Ok;
        let completed = |check: &Check| Check {
            hint: check.hint.as_deref().map(|hint| self.completed(hint)),
            ..check.clone()
        };
        let checks: Vec<_> = checks.iter().filter(is_shown).map(completed).collect();
        let shown = match self.format {
            _ if checks.is_empty() => String::new(),
            Format::Text | Format::Csv => checks::group(heading, &checks, &self.stdout) + "\n",
            Format::Json => checks.iter().map(|check| self.json_line(check)).collect(),
        };
        self.write(shown.as_bytes())
    }

    /// Shows people how many of the checks have which status, unless quiet.
    ///
    /// # Errors
    /// Returns an error if stdout can't be written, unless its reader has gone away.
    pub fn check_summary(&mut self, checks: &[Check]) -> Result<(), Error> {
        if self.format == Format::Json || self.is_quiet {
            return Ok(());
        }
        let summary = self.stdout.fit(&checks::summary(checks));
        self.write(summary.as_bytes())
    }

    /// Returns a writer of rows with these columns, in the format of the results. People see how far times are from `now`.
    pub fn row_writer<C: Column>(&self, columns: Vec<C>, now: DateTime<Utc>) -> RowWriter<C> {
        RowWriter::new(self.format, columns, self.stdout, now)
    }

    /// Returns whether the results are a text at a terminal.
    pub fn is_text_at_terminal(&self) -> bool {
        self.stdout.is_terminal && self.format == Format::Text
    }

    /// Returns how many lines the terminal has now, if results are a text that can be drawn again at its top.
    pub fn lines_to_redraw(&mut self) -> Option<usize> {
        self.stdout.measure(&io::stdout());
        let can_redraw = self.is_text_at_terminal() && self.stdout.takes_a_status_line();
        self.stdout.height.filter(|_| can_redraw)
    }

    /// Shows `page` at the top of the terminal, in place of what was there, as many lines as it has room for.
    ///
    /// # Errors
    /// Returns an error if stdout can't be written, unless its reader has gone away.
    pub fn redraw(&mut self, page: &[u8]) -> Result<(), Error> {
        let page = String::from_utf8_lossy(page);
        // ECMA-48: CUP to the top, EL to the end of each line, ED to the end of the screen.
        // The last line of the terminal is that of the cursor.
        let mut left = self.stdout.height.map_or(usize::MAX, |height| height - 1);
        let fits = |line: &&str| match left.checked_sub(self.stdout.lines_of(line)) {
            Some(rest) => {
                left = rest;
                true
            }
            None => false,
        };
        let lines = page.lines().take_while(fits);
        let lines: String = lines.flat_map(|line| [line, "\x1b[K\n"]).collect();
        self.write(format!("\x1b[H{lines}\x1b[J").as_bytes())
    }

    /// Waits, and returns whether stdout still has a reader then.
    pub fn wait(&mut self, pause: Duration) -> bool {
        self.stdout_is_closed |= is_closed_within(pause);
        !self.stdout_is_closed
    }

    /// Makes the status line, if there is one, a progress bar over `total`, for as long as the result lives.
    pub fn progress_bar(&self, total: u64) -> ProgressBar {
        ProgressBar::start(&self.status_line, total)
    }

    /// Moves the progress bar on by one, with the counts behind it.
    pub fn advance_progress(&mut self, counts: impl FnOnce() -> String) {
        if let Some(position) = &mut self.position {
            *position += 1;
            self.next.progress = Some(Progress::At(*position, counts()));
        }
    }

    /// Removes the progress bar.
    pub fn finish_progress(&mut self) {
        if self.position.take().is_some() {
            self.next.progress = Some(Progress::Over);
        }
    }

    /// Sends the log of this program to stderr: with `-v` the steps, with `-vv` the details, with `-vvv` everything.
    pub fn start_log(&self, verbosity: u8) {
        messages::start_log(&self.messages, verbosity);
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.status_line.finish();
    }
}
