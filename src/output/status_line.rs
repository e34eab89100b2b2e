//! The line below everything else at a terminal: how far a long send is, or else what the program waits for.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use unicode_width::UnicodeWidthChar;

use super::screen::size;
use super::text::on_one_line;
use crate::model::{grouped, span};
use crate::system::signals::clean_up_before_end;
use crate::system::waiting::awaited;

/// How often the line is drawn.
const TICK: Duration = Duration::from_millis(100);
/// The ticks after which a wait is worth a line. A quick command shows none.
const PATIENCE: usize = 4;
/// How often the end of the program tries to remove the line: a terminal may have been stopped.
const MAX_TRIES: usize = 10;
/// The columns that a bar needs besides its words. A terminal with fewer shows only the words.
const ROOM_FOR_A_BAR: usize = 70;
/// The columns that stay free for the `^C` of a terminal, so that the line can be removed together with it.
const ROOM_FOR_CONTROLS: usize = 3;
/// Takes the cursor to the first column and clears the line to its end (ECMA-48).
const CLEAR: &str = "\r\u{1b}[K";
const SPINNER: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];

/// The line, if stderr has one.
#[derive(Clone, Default)]
pub(super) struct StatusLine(Option<Arc<Mutex<Line>>>);

#[derive(Default)]
struct Line {
    /// How far the program is, if it counts that.
    bar: Option<Bar>,
    /// How many ticks there were, and at how many of the last ones the program waited for something.
    ticks: usize,
    ticks_of_wait: usize,
    is_shown: bool,
    is_finished: bool,
}

/// How many of how many numbers or rows are done.
struct Bar {
    /// None if it isn't known.
    total: Option<u64>,
    position: u64,
    /// What came of them.
    counts: String,
    started: Instant,
}

/// What a bar shows next.
#[derive(PartialEq)]
pub(super) enum Progress {
    /// How many numbers have ended, and the counts to show behind the bar.
    At(u64, String),
    /// Nothing: the bar is removed.
    Over,
}

/// A progress bar of a command that shows nothing else meanwhile. It is removed when this is dropped.
pub struct ProgressBar {
    line: StatusLine,
    position: u64,
}

impl ProgressBar {
    pub(super) fn start(line: &StatusLine, total: u64) -> Self {
        line.count_to(Some(total));
        Self { line: line.clone(), position: 0 }
    }

    /// Moves the bar on by `count`; `what` is what the program does.
    pub fn advance(&mut self, count: u64, what: &str) {
        self.position += count;
        self.line.show(Progress::At(self.position, what.to_owned()));
    }
}

impl Drop for ProgressBar {
    fn drop(&mut self) {
        self.line.show(Progress::Over);
    }
}

impl StatusLine {
    /// Returns a line on stderr, which a thread draws; none if the system can't start one.
    pub(super) fn start() -> Self {
        let line = Arc::default();
        let weak = Arc::downgrade(&line);
        Self(thread::Builder::new().spawn(move || tick(&weak)).is_ok().then_some(line))
    }

    /// Returns whether there is a line.
    pub(super) fn exists(&self) -> bool {
        self.0.is_some()
    }

    /// Shows from now on how many numbers have ended: of `total`, or without an end.
    pub(super) fn count_to(&self, total: Option<u64>) {
        if let Some(line) = &self.0 {
            let (position, counts, started) = (0, String::new(), Instant::now());
            lock(line).bar = Some(Bar { total, position, counts, started });
        }
    }

    /// Shows how far the program is.
    pub(super) fn show(&self, progress: Progress) {
        let Some(mut line) = self.0.as_ref().map(lock) else { return };
        match (progress, &mut line.bar) {
            (Progress::At(position, counts), Some(bar)) => {
                (bar.position, bar.counts) = (position, counts);
            }
            (Progress::At(..), None) => {}
            (Progress::Over, _) => {
                line.bar = None;
                line.clear();
            }
        }
    }

    /// Runs `write`, which writes whole lines to the terminal, above the line.
    pub(super) fn make_room<T>(&self, write: impl FnOnce() -> T) -> T {
        let Some(mut line) = self.0.as_ref().map(lock) else { return write() };
        let is_shown = line.is_shown;
        line.clear();
        let written = write();
        if is_shown {
            line.draw();
        }
        written
    }

    /// Removes the line for good.
    pub(super) fn finish(&self) {
        for _ in 0..MAX_TRIES {
            match self.0.as_ref().map(|line| line.try_lock()) {
                Some(Err(TryLockError::WouldBlock)) => thread::sleep(TICK / 10),
                Some(Ok(mut line)) => {
                    line.is_finished = true;
                    return line.clear();
                }
                _ => return,
            }
        }
    }
}

impl Line {
    fn tick(&mut self) {
        self.ticks += 1;
        self.ticks_of_wait = if awaited().is_some() { self.ticks_of_wait + 1 } else { 0 };
        self.draw();
    }

    fn draw(&mut self) {
        let columns = size(&io::stderr()).0.unwrap_or(80).saturating_sub(ROOM_FOR_CONTROLS);
        let text = match &self.bar {
            _ if self.is_finished => String::new(),
            Some(bar) => bar.text(columns, self.spinner()),
            None => awaited()
                .filter(|_| self.ticks_of_wait >= PATIENCE)
                .map_or_else(String::new, |what| format!("{} {what}", self.spinner())),
        };
        if text.is_empty() {
            return self.clear();
        }
        self.is_shown = true;
        write(&[CLEAR, &cut(&on_one_line(&text), columns)].concat());
    }

    fn clear(&mut self) {
        if std::mem::take(&mut self.is_shown) {
            write(CLEAR);
        }
    }

    fn spinner(&self) -> &'static str {
        SPINNER[self.ticks % SPINNER.len()]
    }
}

impl Bar {
    /// Returns the bar and the words behind it; at a narrow terminal the words alone.
    fn text(&self, columns: usize, spinner: &str) -> String {
        let Self { total, position, counts, started } = self;
        let of_total = total.map_or_else(String::new, |total| format!("/{}", grouped(total)));
        let counts = if counts.is_empty() { counts } else { &format!(" ({counts})") };
        let words = format!("{}{of_total}{counts}", grouped(*position));
        if columns + ROOM_FOR_CONTROLS < ROOM_FOR_A_BAR {
            return words;
        }
        let elapsed = started.elapsed().as_secs_f64();
        let rate = *position as f64 / elapsed.max(0.001);
        let in_words = |seconds: f64| span(TimeDelta::seconds(seconds as i64));
        let Some(total) = total else {
            return format!("{spinner} {words}, {rate:.0}/s, {}", in_words(elapsed));
        };
        let left = match *position {
            0 => String::new(),
            _ => format!(", {} left", in_words(total.saturating_sub(*position) as f64 / rate)),
        };
        let words = format!("{words}, {rate:.0}/s{left}");
        let room = columns.saturating_sub(words.chars().count() + 1);
        let done = (room as u64 * position / (*total).max(1)) as usize;
        format!("{}{} {words}", "█".repeat(done.min(room)), "░".repeat(room.saturating_sub(done)))
    }
}

/// Draws the line again and again as long as there is one.
fn tick(line: &Weak<Mutex<Line>>) {
    let mut has_clean_up = false;
    loop {
        thread::sleep(TICK);
        let Some(line) = line.upgrade() else { return };
        lock(&line).tick();
        if !has_clean_up && lock(&line).is_shown {
            has_clean_up = true;
            let shown = StatusLine(Some(line));
            clean_up_before_end(move || shown.finish());
        }
    }
}

/// Returns as much of `text` as fits into so many columns.
fn cut(text: &str, columns: usize) -> String {
    let mut left = columns;
    let fits = |c: &char| match left.checked_sub(c.width().unwrap_or(0)) {
        Some(rest) => {
            left = rest;
            true
        }
        None => false,
    };
    text.chars().take_while(fits).collect()
}

fn write(text: &str) {
    // If stderr can't be written, no other place is left.
    let _ = io::stderr().write_all(text.as_bytes());
}

fn lock(line: &Arc<Mutex<Line>>) -> MutexGuard<'_, Line> {
    line.lock().unwrap_or_else(PoisonError::into_inner)
}
