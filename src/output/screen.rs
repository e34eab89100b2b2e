//! What stdout and stderr are: terminals of some width, pipes or files.

use std::io::IsTerminal;
use std::os::fd::AsFd;

use anstyle::Style;
use unicode_width::UnicodeWidthStr;

use super::format::Color;
use super::text::{without_controls, wrapped};

/// What a stream is, and therefore what may be written to it.
#[derive(Clone, Copy)]
pub(super) struct Screen {
    pub(super) is_terminal: bool,
    pub(super) has_colors: bool,
    /// The columns of a terminal that reports them.
    pub(super) width: Option<usize>,
    /// The lines of a terminal that reports them.
    pub(super) height: Option<usize>,
}

impl Screen {
    pub(super) fn new(stream: &(impl IsTerminal + AsFd), color: Color) -> Self {
        let is_terminal = stream.is_terminal();
        let has_colors = match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => {
                let no_color = std::env::var_os("NO_COLOR");
                is_terminal && !is_dumb() && no_color.is_none_or(|value| value.is_empty())
            }
        };
        let mut screen = Self { is_terminal, has_colors, width: None, height: None };
        screen.measure(stream);
        screen
    }

    /// Finds out how large the terminal is now.
    pub(super) fn measure(&mut self, stream: &impl AsFd) {
        (self.width, self.height) = size(stream);
    }

    /// Returns whether a line of it can be drawn again and again. Drawing moves the cursor.
    pub(super) fn takes_a_status_line(&self) -> bool {
        self.is_terminal && !is_dumb()
    }

    /// Returns how many lines of the screen `line` takes. Its styles take no room.
    pub(super) fn lines_of(&self, line: &str) -> usize {
        let (first, styled) = line.split_once('\x1b').unwrap_or((line, ""));
        let behind_styles = styled.split('\x1b').filter_map(|part| Some(part.split_once('m')?.1));
        let columns = first.width() + behind_styles.map(UnicodeWidthStr::width).sum::<usize>();
        self.width.map_or(1, |width| columns.div_ceil(width).max(1))
    }

    /// Returns `text` without control characters, its lines as wide as the screen.
    pub(super) fn fit(&self, text: &str) -> String {
        wrapped(&without_controls(text), self.width)
    }

    /// Returns `text` in `style` if the screen has colours.
    pub(super) fn styled(&self, text: &str, style: Style) -> String {
        if self.has_colors { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }
}

/// Returns the columns and the lines of a terminal that reports them.
pub(super) fn size(stream: &impl AsFd) -> (Option<usize>, Option<usize>) {
    let size = rustix::termios::tcgetwinsize(stream).ok();
    let reported = |count: Option<u16>| count.map(usize::from).filter(|count| *count > 0);
    (reported(size.map(|size| size.ws_col)), reported(size.map(|size| size.ws_row)))
}

/// Returns whether the terminal doesn't understand escape sequences.
fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}
