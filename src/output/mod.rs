//! What the operator and the scripts see: results on stdout, everything else on stderr. Nothing else prints.

mod checks;
mod human;
mod progress;
mod records;
mod results;
mod screen;
mod table;
mod text;

use std::io::{self, Write};

use indicatif::ProgressBar;
use serde::Serialize;

use self::results::ResultWriter;
use self::screen::Screen;
use self::text::{json_without_controls, without_controls, wrapped};
use crate::error::Error;
use crate::model::Check;

pub use human::{counted, distance, time_and_distance};
pub use records::RecordWriter;

/// The form of the results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Text,
    /// One JSON object a line
    Json,
    /// With a heading line; for `list` alone
    Csv,
}

/// When colours are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Color {
    /// At a terminal that has them, unless NO_COLOR is set
    #[default]
    Auto,
    /// In pipes and files too
    Always,
    /// Nowhere
    Never,
}

impl From<Color> for clap::ColorChoice {
    fn from(color: Color) -> Self {
        match color {
            Color::Auto => Self::Auto,
            Color::Always => Self::Always,
            Color::Never => Self::Never,
        }
    }
}

/// A result: a value for scripts, a text for people.
pub trait Report: Serialize {
    /// Returns the text, without the line end at its end.
    fn text(&self) -> String;
}

/// So many bytes of results may wait for their reader before no more are to be made.
const MAX_UNWRITTEN: usize = 64 * 1024;

/// Stdout and stderr.
pub struct Output {
    format: Format,
    is_quiet: bool,
    stdout: Screen,
    stderr: Screen,
    stdout_is_closed: bool,
    unwritten: Vec<u8>,
    writer: Option<ResultWriter>,
    bar: Option<ProgressBar>,
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
            unwritten: Vec::new(),
            writer: None,
            bar: None,
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
    /// Stdout can't be written. That nobody reads it is no error.
    pub fn report(&mut self, report: &impl Report) -> Result<(), Error> {
        let line = self.line(report)?;
        self.write(line.as_bytes())
    }

    /// Takes a result that [`Output::write_out`] shows.
    ///
    /// # Errors
    /// It can't be shown in the form of the results.
    pub fn report_later(&mut self, report: &impl Report) -> Result<(), Error> {
        let line = self.line(report)?;
        self.unwritten.extend(line.into_bytes());
        Ok(())
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
        let line = serde_json::to_string(value)
            .map_err(|error| Error::failed(format!("the result can't be shown: {error}")))?;
        Ok(if self.stdout.is_terminal { json_without_controls(&line) } else { line } + "\n")
    }

    /// Returns whether results were taken that are not shown yet.
    pub fn has_unwritten(&self) -> bool {
        !self.unwritten.is_empty() || self.writer.as_ref().is_some_and(ResultWriter::is_busy)
    }

    /// Returns whether so many results wait for their reader that no more are to be made.
    pub fn is_backed_up(&self) -> bool {
        self.unwritten.len() >= MAX_UNWRITTEN
    }

    /// Shows the results that were taken when this was first polled. Dropped before its end, it goes on when called again.
    ///
    /// # Errors
    /// Stdout can't be written. That nobody reads it is no error.
    pub async fn write_out(&mut self) -> Result<(), Error> {
        if self.writer.is_none() {
            self.writer = ResultWriter::start().ok();
        }
        let is_busy = self.writer.as_ref().is_some_and(ResultWriter::is_busy);
        // The bar is in the way only where the results go to a terminal as well.
        let bar = self.bar.clone().filter(|_| self.stdout.is_terminal);
        let lines = if is_busy { Vec::new() } else { std::mem::take(&mut self.unwritten) };
        if self.stdout_is_closed && !is_busy {
            return Ok(());
        }
        let written = match &mut self.writer {
            Some(writer) => {
                if !is_busy {
                    writer.begin(lines, bar);
                }
                writer.end().await
            }
            // What was sent is told, though a slow reader then holds everything up.
            None => results::write(&lines, bar.as_ref()),
        };
        self.take_note(written)
    }

    /// Writes `bytes` to stdout as they are.
    ///
    /// # Errors
    /// Stdout can't be written. That nobody reads it is no error.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if self.stdout_is_closed {
            return Ok(());
        }
        let written = results::write(bytes, self.bar.as_ref());
        self.take_note(written)
    }

    fn take_note(&mut self, written: io::Result<()>) -> Result<(), Error> {
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.stdout_is_closed = true;
                Ok(())
            }
            result => result.map_err(|error| {
                Error::failed(format!("the results can't be written to stdout: {error}"))
            }),
        }
    }

    /// Shows checks: a group for people, a line each for scripts.
    ///
    /// # Errors
    /// Stdout can't be written. That nobody reads it is no error.
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
    /// Stdout can't be written. That nobody reads it is no error.
    pub fn check_summary(&mut self, checks: &[Check]) -> Result<(), Error> {
        match self.format {
            Format::Text | Format::Csv => self.write(checks::summary(checks).as_bytes()),
            Format::Json => Ok(()),
        }
    }

    /// Returns a writer of records in the form of the results.
    pub fn record_writer(&self, is_wide: bool) -> RecordWriter {
        RecordWriter::new(self.format, is_wide, self.stdout)
    }

    /// Shows the message that a sandbox or the console has instead of a phone.
    pub fn message(&self, to: &str, text: &str) {
        self.stderr("message", "36", &format!("to {to}: {text}"));
    }

    /// Shows how things go, unless quiet.
    pub fn progress(&self, progress: &str) {
        if !self.is_quiet {
            self.stderr("note", "36", progress);
        }
    }

    /// Shows what the operator should know, unless quiet.
    pub fn warning(&self, warning: &str) {
        if !self.is_quiet {
            self.stderr("warning", "33", warning);
        }
    }

    /// Shows an error and what to do about it.
    pub fn error(&self, error: &Error) {
        self.stderr("error", "31", &error.to_string());
        if let Some(hint) = &error.hint {
            self.stderr("hint", "36", hint);
        }
    }

    fn stderr(&self, label: &str, color: &str, text: &str) {
        let line = fit(&format!("{label}: {text}\n"), &self.stderr);
        let line = match line.strip_prefix(label).and_then(|line| line.strip_prefix(':')) {
            Some(text) if self.stderr.has_colors => {
                format!("\u{1b}[1;{color}m{label}:\u{1b}[0m{text}")
            }
            _ => line,
        };
        // Where stderr can't be written there is nobody left to tell.
        let _ = self.beside_the_bar(|| io::stderr().write_all(line.as_bytes()));
    }

    /// Starts a progress bar on stderr where that is a terminal, unless quiet. `total`, where it is known, costs reading the
    /// input ahead, and so is asked for only then.
    pub fn start_progress(&mut self, total: impl FnOnce() -> Option<u64>) {
        if self.stderr.takes_a_bar() && !self.is_quiet {
            self.bar = Some(progress::bar(total(), self.stderr.width));
        }
    }

    /// Moves the progress bar on by one, with the counts behind it.
    pub fn advance_progress(&self, counts: impl FnOnce() -> String) {
        if let Some(bar) = &self.bar {
            progress::advance(bar, 1, &counts());
        }
    }

    /// Removes the progress bar.
    pub fn finish_progress(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    /// Runs `write` while the progress bar, where there is one, leaves the terminal alone.
    fn beside_the_bar<T>(&self, write: impl FnOnce() -> T) -> T {
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }
}

/// Returns `text` as `screen` may show it.
fn fit(text: &str, screen: &Screen) -> String {
    let text = without_controls(text);
    screen.width.map_or_else(|| text.to_string(), |width| wrapped(&text, width))
}

/// Sends the log of this program, and of no library, to stderr: `-v` the steps, `-vv` the details, `-vvv` everything.
pub fn start_log(verbosity: u8) {
    struct Stderr;
    impl log::Log for Stderr {
        fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
            // Libraries log requests, and so might log secrets.
            metadata.target().starts_with(env!("CARGO_CRATE_NAME"))
        }
        fn log(&self, record: &log::Record<'_>) {
            if self.enabled(record.metadata()) {
                let level = record.level().as_str().to_lowercase();
                let line = format!("{level}: {}\n", without_controls(&record.args().to_string()));
                let _ = io::stderr().write_all(line.as_bytes());
            }
        }
        fn flush(&self) {}
    }
    let level = match verbosity {
        0 => log::LevelFilter::Off,
        1 => log::LevelFilter::Info,
        2 => log::LevelFilter::Debug,
        _ => log::LevelFilter::Trace,
    };
    // A second logger is refused, and the first one serves.
    if log::set_logger(&Stderr).is_ok() {
        log::set_max_level(level);
    }
}
