//! Tables whose columns are as wide as what stands in them. At a terminal that is too narrow the headings are folded, and
//! where that is not enough each record is shown as lines of names and values: nothing is ever cut off.

use comfy_table::{
    Attribute, CellAlignment, Color, ColumnConstraint, Table as Grid, Width, presets,
};
use unicode_width::UnicodeWidthStr;

use super::screen::Screen;
use super::text::{isolated, on_one_line, wrapped};

/// The most columns of a row where no terminal sets the limit. What is wider is damaged, and more than the grid can count.
const WIDEST: usize = 10_000;

/// A value of a record under the name of its column.
pub(super) struct Cell {
    name: &'static str,
    text: String,
    width: u16,
    color: Option<Color>,
    is_number: bool,
}

impl Cell {
    pub(super) fn new(name: &'static str, text: &str, screen: &Screen) -> Self {
        let text = on_one_line(text);
        // Pipes get the text unchanged: isolates would surprise scripts.
        let text = if screen.is_terminal { isolated(&text) } else { text.as_ref().into() };
        let width = u16::try_from(text.width()).unwrap_or(u16::MAX);
        Self { name, text: text.into_owned(), width, color: None, is_number: false }
    }

    /// Returns the cell, aligned as numbers are.
    pub(super) fn number(self) -> Self {
        Self { is_number: true, ..self }
    }

    /// Returns the cell in a colour, which must not be the only thing that carries its meaning.
    pub(super) fn colored(self, color: Color) -> Self {
        Self { color: Some(color), ..self }
    }

    fn value(&self) -> comfy_table::Cell {
        self.value_within(None)
    }

    fn value_within(&self, width: Option<usize>) -> comfy_table::Cell {
        let value = comfy_table::Cell::new(match width {
            Some(width) => wrapped(&self.text, width),
            None => self.text.clone(),
        });
        match self.color {
            Some(color) => value.fg(color),
            None => value,
        }
    }
}

/// Rows that were taken and not shown yet, and what the pages before them looked like.
pub(super) struct Table {
    rows: Vec<Vec<Cell>>,
    /// The columns' widths, which only grow from page to page.
    widths: Vec<u16>,
    /// How the last page was laid out.
    layout: Option<Layout>,
    max_width: Option<usize>,
    has_colors: bool,
}

/// How records are laid out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// A row each, below a heading of one line.
    Plain,
    /// A row each, close together, below headings that are folded at their underscores.
    Folded,
    /// A line a value.
    Stacked,
}

impl Table {
    pub(super) fn new(screen: &Screen) -> Self {
        let (max_width, has_colors) = (screen.width, screen.has_colors);
        Self { rows: Vec::new(), widths: Vec::new(), layout: None, max_width, has_colors }
    }

    /// Takes a row. Every row has the same columns.
    pub(super) fn take(&mut self, row: Vec<Cell>) {
        self.widths.resize(row.len(), 0);
        for (width, cell) in self.widths.iter_mut().zip(&row) {
            *width = cell.width.max(*width);
        }
        self.rows.push(row);
    }

    /// Returns what the rows since the last page look like.
    pub(super) fn finish_page(&mut self) -> String {
        let rows = std::mem::take(&mut self.rows);
        let Some(first) = rows.first() else { return String::new() };
        let mut grid = self.grid();
        grid.add_rows(rows.iter().map(|row| row.iter().map(Cell::value)));
        let fits = |layout: &Layout| {
            let width: usize = self.column_widths(first, *layout).map(usize::from).sum();
            let gaps = usize::from(layout.gap()) * (first.len() - 1);
            width + gaps <= self.max_width.unwrap_or(WIDEST).min(WIDEST)
        };
        let layout = [Layout::Plain, Layout::Folded].into_iter().find(fits);
        let layout = layout.unwrap_or(Layout::Stacked);
        let widths: Vec<_> = self.column_widths(first, layout).collect();
        let last = self.layout.replace(layout);
        if layout == Layout::Stacked {
            let records: Vec<_> = rows.iter().map(|row| self.stack(row)).collect();
            return last.map_or("", |_| "\n").to_owned() + &records.join("\n");
        }
        if last != Some(layout) {
            grid.set_header(headings(first, layout, &widths));
        }
        for ((column, width), cell) in grid.column_iter_mut().zip(widths).zip(first) {
            column.set_padding((0, layout.gap()));
            column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(
                width + layout.gap(),
            )));
            if cell.is_number {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        let is_apart = last.is_some_and(|last| last != layout);
        is_apart.then(String::new).into_iter().chain(grid.lines()).map(in_text).collect()
    }

    fn grid(&self) -> Grid {
        let mut grid = Grid::new();
        grid.load_style(presets::NOTHING);
        if self.has_colors {
            grid.enforce_styling().style_text_only();
        } else {
            grid.force_no_tty();
        }
        grid
    }

    fn column_widths(&self, row: &[Cell], layout: Layout) -> impl Iterator<Item = u16> {
        row.iter().zip(&self.widths).map(move |(cell, width)| {
            let lines = layout.heading(cell.name, *width);
            let heading = lines.iter().map(String::len).max().unwrap_or(0);
            u16::try_from(heading).unwrap_or(u16::MAX).max(*width)
        })
    }

    /// Returns a record as lines of names and values, each broken between words where it is longer than the terminal is wide.
    fn stack(&self, row: &[Cell]) -> String {
        const GAP: u16 = 2;
        let names = row.iter().map(|cell| cell.name.len()).max().unwrap_or(0);
        let room = self.max_width.map(|most| most.saturating_sub(names + usize::from(GAP)));
        let mut grid = self.grid();
        grid.add_rows(row.iter().map(|cell| [name(cell.name), cell.value_within(room)]));
        for column in grid.column_iter_mut() {
            column.set_padding((0, GAP));
        }
        grid.lines().map(in_text).collect()
    }
}

impl Layout {
    /// Returns the blanks between two columns.
    fn gap(self) -> u16 {
        if self == Self::Plain { 2 } else { 1 }
    }

    /// Returns the lines of a heading above values that are `width` columns wide.
    fn heading(self, name: &str, width: u16) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        for part in name.split_inclusive('_') {
            match lines.last_mut() {
                Some(line) if self == Self::Plain || line.len() + part.len() <= width.into() => {
                    *line += part;
                }
                _ => lines.push(part.to_owned()),
            }
        }
        lines
    }
}

/// Returns the names of the columns, each just above its values.
fn headings(row: &[Cell], layout: Layout, widths: &[u16]) -> Vec<comfy_table::Cell> {
    let all: Vec<_> =
        row.iter().zip(widths).map(|(cell, width)| layout.heading(cell.name, *width)).collect();
    let height = all.iter().map(Vec::len).max().unwrap_or(0);
    all.iter().map(|lines| name("\n".repeat(height - lines.len()) + &lines.join("\n"))).collect()
}

fn name(text: impl ToString) -> comfy_table::Cell {
    comfy_table::Cell::new(text).add_attribute(Attribute::Bold)
}

fn in_text(line: String) -> String {
    line.trim_end().to_owned() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(width: Option<usize>, rows: &[[&str; 3]]) -> String {
        let screen = Screen { is_terminal: width.is_some(), has_colors: false, width };
        let mut table = Table::new(&screen);
        for [number, attempts, time] in rows {
            table.take(vec![
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
        table.take(row("long"));
        assert_eq!(table.finish_page(), "a     b\nlong  1\n");
        table.take(row("x"));
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
