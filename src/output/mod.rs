//! What the operator and the scripts see: results on stdout, everything else on stderr. Nothing else prints.

mod checks;
mod format;
mod messages;
mod progress;
mod records;
mod screen;
mod table;
mod text;
mod time;
mod writer;

use std::io;
use std::sync::Arc;

use anstyle::AnsiColor;
use serde::Serialize;

use self::messages::Messages;
use self::screen::Screen;
use self::text::{json_without_controls, without_controls, wrapped};
use self::writer::Writer;
use crate::exit::Error;
use crate::model::Check;

pub use format::{Color, Format};
pub use records::RecordWriter;
pub use time::time_and_distance;

/// A result: a value for scripts, a text for people.
pub trait Report: Serialize {
    /// Returns the text, without the line end at its end.
    fn text(&self) -> String;
}

/// Stdout and stderr.
pub struct Output {
    format: Format,
    is_quiet: bool,
    stdout: Screen,
    stderr: Screen,
    stdout_is_closed: bool,
    messages: Arc<Messages>,
    /// What writes once [`Output::start_writer`] was called.
    writer: Option<Writer>,
}

impl Output {
    /// Returns the output in this form.
    pub fn new(format: Format, color: Color, is_quiet: bool) -> Self {
        Self {
            format,
            is_quiet,
            stdout: Screen::of(&io::stdout(), color),
            stderr: Screen::of(&io::stderr(), color),
            stdout_is_closed: false,
            messages: Arc::default(),
            writer: None,
        }
    }

    /// Returns the form of the results.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Returns whether nobody reads the results any more.
    pub fn is_closed(&self) -> bool {
        self.stdout_is_closed
    }

    /// Shows a result.
    ///
    /// # Errors
    /// Returns an error if stdout can't be written. That nobody reads it is no error.
    pub fn report(&mut self, report: &impl Report) -> Result<(), Error> {
        let line = self.line(report)?;
        self.write(line.as_bytes())
    }

    fn line(&self, report: &impl Report) -> Result<String, Error> {
        match self.format {
            // A number that can't be read is repeated as it was given, and may hold anything.
            Format::Text | Format::Csv => Ok(fit(&report.text(), &self.stdout) + "\n"),
            Format::Json => self.json_line(report),
        }
    }

    /// Returns the line of a result for scripts.
    fn json_line(&self, value: &impl Serialize) -> Result<String, Error> {
        let line = serde_json::to_string(value).map_err(|error| {
            Error::failed(format!("the result can't be shown: {error}")).caused_by(error)
        })?;
        Ok(if self.stdout.is_terminal { json_without_controls(&line) } else { line } + "\n")
    }

    /// Writes `bytes` to stdout as they are.
    ///
    /// # Errors
    /// Returns an error if stdout can't be written. That nobody reads it is no error.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        match &mut self.writer {
            _ if self.stdout_is_closed => {}
            Some(writer) => writer.take(bytes),
            None => return self.note(writer::write_to_stdout(bytes)),
        }
        Ok(())
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

    /// Has a thread write from now on whatever is shown, the log too, so that no reader holds up the program. Then nothing is
    /// written unless [`Output::write_out`] is called. If stderr is a terminal, and unless quiet, `total` gives it a progress
    /// bar: over so many, or without an end if it returns None.
    ///
    /// # Errors
    /// Returns an error if the system has no thread to give.
    pub fn start_writer(&mut self, total: Option<impl FnOnce() -> Option<u64>>) -> io::Result<()> {
        let total = total.filter(|_| self.stderr.takes_a_bar() && !self.is_quiet);
        let bar = total.map(|total| progress::bar(total(), self.stderr.width));
        self.writer = Some(Writer::start(bar, self.stdout.is_terminal)?);
        self.messages.keep();
        Ok(())
    }

    /// Returns whether something was shown that is not written yet.
    pub fn has_unwritten(&self) -> bool {
        self.writer.as_ref().is_some_and(|writer| writer.has_unwritten(&self.messages))
    }

    /// Returns whether so much waits for its reader that no more is to be made.
    pub fn is_backed_up(&self) -> bool {
        self.writer.as_ref().is_some_and(|writer| writer.is_backed_up(&self.messages))
    }

    /// Writes what was shown since this was last called; if there is nothing to write, waits until there is. Dropped before its
    /// end, it goes on when called again.
    ///
    /// # Errors
    /// Returns an error if stdout can't be written. That nobody reads it is no error.
    pub async fn write_out(&mut self) -> Result<(), Error> {
        let Some(writer) = &mut self.writer else { return std::future::pending().await };
        let written = writer.write(&self.messages).await;
        self.note(written)
    }

    /// Shows checks: a group for people, a line each for scripts.
    ///
    /// # Errors
    /// Returns an error if stdout can't be written. That nobody reads it is no error.
    pub fn checks(&mut self, heading: &str, checks: &[Check]) -> Result<(), Error> {
        let shown = match self.format {
            _ if checks.is_empty() => String::new(),
            Format::Text | Format::Csv => checks::group(heading, checks, &self.stdout) + "\n",
            Format::Json => {
                checks.iter().map(|check| self.json_line(check)).collect::<Result<_, _>>()?
            }
        };
        self.write(shown.as_bytes())
    }

    /// Shows people how many `checks` came to what.
    ///
    /// # Errors
    /// Returns an error if stdout can't be written. That nobody reads it is no error.
    pub fn check_summary(&mut self, checks: &[Check]) -> Result<(), Error> {
        match self.format {
            Format::Text | Format::Csv => {
                self.write(fit(&checks::summary(checks), &self.stdout).as_bytes())
            }
            Format::Json => Ok(()),
        }
    }

    /// Returns a writer of records in the form of the results.
    pub fn record_writer(&self, is_wide: bool) -> RecordWriter {
        RecordWriter::new(self.format, is_wide, self.stdout)
    }

    /// Shows the message that a sandbox or the console has instead of a phone.
    pub fn message(&self, to: &str, text: &str) {
        self.stderr("message", AnsiColor::Cyan, &format!("to {to}: {text}"));
    }

    /// Shows how things go, unless quiet.
    pub fn progress(&self, progress: &str) {
        if !self.is_quiet {
            self.stderr("note", AnsiColor::Cyan, progress);
        }
    }

    /// Shows what the operator should know, unless quiet.
    pub fn warning(&self, warning: &str) {
        if !self.is_quiet {
            self.stderr("warning", AnsiColor::Yellow, warning);
        }
    }

    /// Ends the line of a prompt that nobody has answered, if an error is to follow on the same screen.
    pub fn end_prompt(&self) {
        if self.stderr.is_terminal {
            self.messages.show("\n");
        }
    }

    /// Shows an error and what to do about it.
    pub fn error(&self, error: &Error) {
        self.stderr("error", AnsiColor::Red, &error.to_string());
        if let Some(hint) = &error.hint {
            self.stderr("hint", AnsiColor::Cyan, hint);
        }
    }

    fn stderr(&self, label: &str, color: AnsiColor, text: &str) {
        let line = fit(&format!("{label}: {text}\n"), &self.stderr);
        let line = match line.strip_prefix(label).and_then(|line| line.strip_prefix(':')) {
            Some(text) if self.stderr.has_colors => {
                let style = color.on_default().bold();
                format!("{style}{label}:{style:#}{text}")
            }
            _ => line,
        };
        self.messages.show(&line);
    }

    /// Moves the progress bar on by one, with the counts behind it.
    pub fn advance_progress(&mut self, counts: impl FnOnce() -> String) {
        if let Some(writer) = &mut self.writer {
            writer.advance(counts);
        }
    }

    /// Removes the progress bar.
    pub fn finish_progress(&mut self) {
        if let Some(writer) = &mut self.writer {
            writer.finish();
        }
    }

    /// Sends the log of this program to stderr: `-v` the steps, `-vv` the details, `-vvv` everything.
    pub fn start_log(&self, verbosity: u8) {
        messages::start_log(&self.messages, verbosity);
    }
}

/// Returns `text` as `screen` may show it.
fn fit(text: &str, screen: &Screen) -> String {
    let text = without_controls(text);
    screen.width.map_or_else(|| text.to_string(), |width| wrapped(&text, width))
}
