//! Tables whose columns are as wide as their values. If the terminal is too narrow, the headings are folded; if that isn't
//! enough, each record becomes lines of names and values. Nothing is ever cut off.

use anstyle::Style;
use unicode_width::UnicodeWidthStr;

use super::screen::Screen;
use super::text::{isolated, on_one_line, wrapped};

/// The most columns of a row in a pipe or a file. Only damage makes a wider one, and it would make all other rows as wide.
const WIDEST: usize = 10_000;
/// The spaces between a name and its value in a stacked record.
const STACK_GAP: usize = 2;

/// A value of a record under the name of its column.
pub(super) struct Cell {
    name: &'static str,
    text: String,
    width: usize,
    style: Style,
    is_number: bool,
}

impl Cell {
    pub(super) fn new(name: &'static str, text: &str, screen: &Screen) -> Self {
        let text = on_one_line(text);
        // Not in pipes: isolates would surprise scripts.
        let text = if screen.is_terminal { isolated(text) } else { text };
        Self { name, width: text.width(), text, style: Style::new(), is_number: false }
    }

    /// Returns the cell, aligned as numbers are.
    pub(super) fn number(self) -> Self {
        Self { is_number: true, ..self }
    }

    /// Returns the cell in a style, which must not be the only thing that carries its meaning.
    pub(super) fn styled(self, style: Style) -> Self {
        Self { style, ..self }
    }

    /// Returns `text` with as many blanks, on the side where a value of this column has them.
    fn aligned(&self, text: &str, blanks: usize) -> String {
        let blanks = " ".repeat(blanks);
        if self.is_number { blanks + text } else { text.to_owned() + &blanks }
    }
}

/// The rows of the next page, and how the pages before it looked.
pub(super) struct Table {
    rows: Vec<Vec<Cell>>,
    /// The columns' widths, which only grow from page to page.
    widths: Vec<usize>,
    /// The layout of the last page.
    layout: Option<Layout>,
    screen: Screen,
}

/// A column of the grid: the lines of its heading, and how wide they and the values are.
struct Column {
    heading: Vec<String>,
    width: usize,
}

/// How records are laid out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// One row per record, below a heading of one line.
    Plain,
    /// One row per record, close together, below headings that are folded at their underscores.
    Folded,
    /// One line per value.
    Stacked,
}

impl Table {
    pub(super) fn new(screen: &Screen) -> Self {
        Self { rows: Vec::new(), widths: Vec::new(), layout: None, screen: *screen }
    }

    /// Adds a row. Every row has the same columns.
    pub(super) fn add(&mut self, row: Vec<Cell>) {
        self.widths.resize(row.len(), 0);
        for (width, cell) in self.widths.iter_mut().zip(&row) {
            *width = cell.width.max(*width);
        }
        self.rows.push(row);
    }

    /// Returns the rows added since the last page, laid out.
    pub(super) fn finish_page(&mut self) -> String {
        let rows = std::mem::take(&mut self.rows);
        let Some(first) = rows.first() else { return String::new() };
        let room = self.screen.width.unwrap_or(WIDEST);
        let fits = |(layout, columns): &(Layout, Vec<Column>)| {
            let width: usize = columns.iter().map(|column| column.width).sum();
            width + layout.gap() * (first.len() - 1) <= room
        };
        let grids =
            [Layout::Plain, Layout::Folded].map(|layout| (layout, self.columns(first, layout)));
        let (layout, columns) =
            grids.into_iter().find(fits).unwrap_or((Layout::Stacked, Vec::new()));
        let last = self.layout.replace(layout);
        let is_apart = last.is_some_and(|last| last != layout || layout == Layout::Stacked);
        let page = match layout {
            Layout::Stacked => {
                rows.iter().map(|row| self.stack(row)).collect::<Vec<_>>().join("\n")
            }
            _ => self.grid(&rows, &columns, layout.gap(), last != Some(layout)),
        };
        if is_apart { format!("\n{page}") } else { page }
    }

    fn grid(&self, rows: &[Vec<Cell>], columns: &[Column], gap: usize, is_headed: bool) -> String {
        let gap = " ".repeat(gap);
        let mut page = String::new();
        let height = columns.iter().map(|column| column.heading.len()).max().unwrap_or(0);
        // Counted from below, so that each heading is right above its values.
        for index in (0..height).rev().filter(|_| is_headed) {
            let cells = rows[0].iter().zip(columns).map(|(cell, column)| {
                let part = column.heading.iter().nth_back(index).map_or("", String::as_str);
                cell.aligned(part, column.width - part.len())
            });
            let line = cells.collect::<Vec<_>>().join(&gap);
            page += &self.screen.styled(line.trim_end(), Style::new().bold());
            page.push('\n');
        }
        for row in rows {
            let cells = row.iter().zip(columns).map(|(cell, column)| {
                cell.aligned(&self.screen.styled(&cell.text, cell.style), column.width - cell.width)
            });
            page += cells.collect::<Vec<_>>().join(&gap).trim_end();
            page.push('\n');
        }
        page
    }

    fn columns(&self, row: &[Cell], layout: Layout) -> Vec<Column> {
        let column = |(cell, width): (&Cell, &usize)| {
            let heading = layout.heading(cell.name, *width);
            let width = heading.iter().map(String::len).fold(*width, usize::max);
            Column { heading, width }
        };
        row.iter().zip(&self.widths).map(column).collect()
    }

    /// Returns a record as lines of names and values. A value longer than the terminal is wide is broken between words.
    fn stack(&self, row: &[Cell]) -> String {
        let names = row.iter().map(|cell| cell.name.len()).max().unwrap_or(0);
        let indent = names + STACK_GAP;
        let room = self.screen.width.map(|width| width.saturating_sub(indent));
        let mut stack = String::new();
        for Cell { name, text, style, .. } in row {
            let text = wrapped(text, room);
            let lines = text.split('\n').map(|line| self.screen.styled(line, *style));
            let value = lines.collect::<Vec<_>>().join(&["\n", &" ".repeat(indent)].concat());
            let padding = " ".repeat(indent - name.len());
            let name = self.screen.styled(name, Style::new().bold());
            stack += format!("{name}{padding}{value}").trim_end();
            stack.push('\n');
        }
        stack
    }
}

impl Layout {
    /// Returns the number of spaces between two columns.
    fn gap(self) -> usize {
        if self == Self::Plain { 2 } else { 1 }
    }

    /// Returns the lines of a heading above values that are `width` columns wide.
    fn heading(self, name: &str, width: usize) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        for part in name.split_inclusive('_') {
            match lines.last_mut() {
                Some(line) if self == Self::Plain || line.len() + part.len() <= width => {
                    *line += part;
                }
                _ => lines.push(part.to_owned()),
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(width: Option<usize>, rows: &[[&str; 3]]) -> String {
        let screen = Screen { is_terminal: width.is_some(), has_colors: false, width };
        let mut table = Table::new(&screen);
        for [number, attempts, time] in rows {
            table.add(vec![
                Cell::new("phone_number", number, &screen),
                Cell::new("failed_attempts", attempts, &screen).number(),
                Cell::new("created_at", time, &screen),
            ]);
        }
        table.finish_page()
    }

    const ROWS: [[&str; 3]; 2] = [["+14155552671", "0", "2026-11-23"], ["電話", "12", ""]];

    #[test]
    fn wide_characters_are_aligned_and_no_line_ends_with_blanks() {
        let expected = "phone_number  failed_attempts  created_at\n\
                        +14155552671                0  2026-11-23\n\
                        電話                       12\n";
        assert_eq!(page(None, &ROWS), expected);
        assert_eq!(page(Some(41), &ROWS), expected);
    }

    #[test]
    fn a_narrow_terminal_gets_folded_headings() {
        let expected = "              failed_\n\
                        phone_number attempts created_at\n\
                        +14155552671        0 2026-11-23\n\
                        電話               12\n";
        assert_eq!(page(Some(40), &ROWS), expected);
        assert_eq!(page(Some(32), &ROWS), expected);
    }

    #[test]
    fn a_terminal_that_is_narrower_yet_gets_a_line_a_value() {
        let expected = "phone_number     +14155552671\n\
                        failed_attempts  0\n\
                        created_at       2026-11-23\n\
                        \n\
                        phone_number     電話\n\
                        failed_attempts  12\n\
                        created_at\n";
        assert_eq!(page(Some(31), &ROWS), expected);
        assert_eq!(page(Some(10), &ROWS), expected);
    }

    #[test]
    fn a_page_is_as_wide_as_those_before_it() {
        let screen = Screen { is_terminal: false, has_colors: false, width: None };
        let mut table = Table::new(&screen);
        let row = |text: &str| vec![Cell::new("a", text, &screen), Cell::new("b", "1", &screen)];
        table.add(row("long"));
        assert_eq!(table.finish_page(), "a     b\nlong  1\n");
        table.add(row("x"));
        assert_eq!(table.finish_page(), "x     1\n");
        assert_eq!(table.finish_page(), "");
    }

    #[test]
    fn at_a_terminal_right_to_left_text_reorders_nothing_around_it() {
        let cell = |text: &str, is_terminal| {
            let screen = Screen { is_terminal, has_colors: false, width: None };
            let cell = Cell::new("name", text, &screen);
            cell.text
        };
        assert_eq!(cell("שלום", true), "\u{2068}שלום\u{2069}");
        assert_eq!(cell("שלום", false), "שלום");
        assert_eq!(cell("a\u{202e}\nb", true), "a\u{fffd}\u{fffd}b");
    }
}
