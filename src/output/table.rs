//! Tables whose columns are as wide as their values. If the terminal is too narrow, the headings are folded; if that isn't
//! enough, each record becomes lines of names and values. Nothing is ever cut off.

use anstyle::Style;
use comfy_table::{CellAlignment, ColumnConstraint, Table as Grid, Width, presets};
use unicode_width::UnicodeWidthStr;

use super::screen::Screen;
use super::text::{ISOLATES, isolated, on_one_line, wrapped};

/// The most columns of a row that goes to a pipe or a file. A wider one is damaged, and more than the grid can count.
const WIDEST: usize = 10_000;
/// The spaces between a name and its value in a stacked record.
const STACK_GAP: usize = 2;
/// The fewest columns in which a long text is broken into lines.
const NARROWEST_TEXT: usize = 16;
/// How many forms of a value there are at most.
const FORMS: usize = 3;
/// The layouts and the forms of values to try, the best one first.
const ATTEMPTS: [(Layout, usize); 4] =
    [(Layout::Plain, 0), (Layout::Folded, 0), (Layout::Folded, 1), (Layout::Folded, 2)];

/// A value of a record.
pub(super) struct Cell {
    text: String,
    width: usize,
    /// Shorter forms of the text, the shortest one last.
    shorter: Vec<String>,
    style: Style,
    is_number: bool,
    is_prose: bool,
}

impl Cell {
    pub(super) fn new(text: &str, screen: &Screen) -> Self {
        let text = on_one_line(text);
        // Pipes get the text unchanged: isolates would surprise scripts.
        let text = if screen.is_terminal { isolated(text) } else { text };
        let width = text.width();
        let (style, shorter) = (Style::new(), Vec::new());
        Self { text, width, shorter, style, is_number: false, is_prose: false }
    }

    /// Returns the cell with shorter forms of its text, which must need no cleaning, for a table without room.
    pub(super) fn or_shorter(self, shorter: [String; FORMS - 1]) -> Self {
        Self { shorter: shorter.into(), ..self }
    }

    /// Returns the cell in its form with this index, or the shortest one.
    fn in_form(mut self, form: usize) -> Self {
        if let Some(index) = form.min(self.shorter.len()).checked_sub(1) {
            self.text = self.shorter.swap_remove(index);
            self.width = self.text.width();
        }
        self
    }

    fn width_in_form(&self, form: usize) -> usize {
        let shorter = form.min(self.shorter.len()).checked_sub(1);
        shorter.map_or(self.width, |index| self.shorter[index].width())
    }

    /// Returns the cell, aligned as numbers are.
    pub(super) fn number(self) -> Self {
        Self { is_number: true, ..self }
    }

    /// Returns the cell of a last column, whose text may take several lines unless it is longer than any table is wide.
    pub(super) fn prose(self) -> Self {
        Self { is_prose: self.width <= WIDEST, ..self }
    }

    /// Returns the cell in a style, which must not be the only thing that carries its meaning.
    pub(super) fn styled(self, style: Style) -> Self {
        Self { style, ..self }
    }
}

/// The rows of the next page, and how the pages before it looked.
pub(super) struct Table {
    /// The names of the columns.
    names: Vec<String>,
    rows: Vec<Vec<Cell>>,
    /// The columns' widths with each form of the values. They only grow from page to page.
    widths: [Vec<usize>; FORMS],
    /// The layout of the last page.
    layout: Option<Layout>,
    screen: Screen,
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
    pub(super) fn new(names: Vec<String>, screen: &Screen) -> Self {
        let widths = [(); FORMS].map(|()| vec![0; names.len()]);
        Self { names, rows: Vec::new(), widths, layout: None, screen: *screen }
    }

    /// Adds a row, which has a cell for each column.
    pub(super) fn add(&mut self, row: Vec<Cell>) {
        for (form, widths) in self.widths.iter_mut().enumerate() {
            for (width, cell) in widths.iter_mut().zip(&row) {
                *width = cell.width_in_form(form).max(*width);
            }
        }
        self.rows.push(row);
    }

    /// Returns the rows added since the last page, laid out.
    pub(super) fn finish_page(&mut self) -> String {
        let rows = std::mem::take(&mut self.rows);
        if rows.is_empty() {
            return String::new();
        }
        let is_prose = rows.iter().filter_map(|row| row.last()).all(|cell| cell.is_prose);
        let fitting =
            |(layout, form)| Some((layout, form, self.fitting_widths(layout, form, is_prose)?));
        let fitting = ATTEMPTS.into_iter().find_map(fitting);
        let layout = fitting.as_ref().map_or(Layout::Stacked, |(layout, ..)| *layout);
        let last = self.layout.replace(layout);
        let is_apart = last.is_some_and(|last| last != layout || layout == Layout::Stacked);
        let page = match fitting {
            None => rows.iter().map(|row| self.stack(row)).collect::<Vec<_>>().join("\n"),
            Some((layout, form, widths)) => {
                let in_form = |row: Vec<Cell>| row.into_iter().map(|cell| cell.in_form(form));
                let rows = rows.into_iter().map(|row| in_form(row).collect());
                let rows = rows.flat_map(|row| lines(row, &widths, &self.screen));
                self.grid(&rows.collect::<Vec<_>>(), layout, &widths, last != Some(layout))
            }
        };
        if is_apart { format!("\n{page}") } else { page }
    }

    fn grid(
        &self,
        rows: &[Vec<Cell>],
        layout: Layout,
        widths: &[usize],
        has_headings: bool,
    ) -> String {
        let mut grid = Grid::new();
        grid.load_style(presets::NOTHING);
        grid.add_rows(rows.iter().map(|row| row.iter().map(|cell| &cell.text)));
        let headings = if has_headings { self.headings(layout, widths) } else { Vec::new() };
        let height = headings.first().map_or(0, |heading| heading.matches('\n').count() + 1);
        if has_headings {
            grid.set_header(headings);
        }
        for ((column, width), cell) in grid.column_iter_mut().zip(widths).zip(&rows[0]) {
            let full_width = u16::try_from(width + layout.gap()).unwrap_or(u16::MAX);
            column.set_padding((0, layout.gap() as u16));
            column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(full_width)));
            if cell.is_number {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        let mut page = String::new();
        for (index, line) in grid.lines().enumerate() {
            match index.checked_sub(height) {
                None => page += &self.screen.styled(line.trim_end(), Style::new().bold()),
                Some(index) => {
                    page += self.style_cells(&line, &rows[index], widths, layout).trim_end();
                }
            }
            page.push('\n');
        }
        page
    }

    /// Returns a line of the grid with its cells in their styles. Widths are columns; where a cell ends in bytes follows from them.
    fn style_cells(&self, line: &str, row: &[Cell], widths: &[usize], layout: Layout) -> String {
        let mut styled = String::with_capacity(line.len());
        let mut rest = line;
        for (cell, width) in row.iter().zip(widths) {
            let length = cell.text.len() + width.saturating_sub(cell.width) + layout.gap();
            let (part, behind) = rest.split_at(length.min(rest.len()));
            styled += &part.replacen(&cell.text, &self.screen.styled(&cell.text, cell.style), 1);
            rest = behind;
        }
        styled
    }

    /// Returns the widths of the columns if the screen has room for them. The last column may be narrower than its prose.
    fn fitting_widths(&self, layout: Layout, form: usize, is_prose: bool) -> Option<Vec<usize>> {
        let room = self.screen.width.unwrap_or(WIDEST).min(WIDEST);
        let mut widths = self.column_widths(layout, form);
        let needed = widths.iter().sum::<usize>() + layout.gap() * (widths.len() - 1);
        let last = widths.last_mut()?;
        let narrowed = last.saturating_sub(needed.saturating_sub(room));
        if narrowed < *last && !(is_prose && narrowed >= NARROWEST_TEXT) {
            return None;
        }
        *last = narrowed;
        Some(widths)
    }

    fn column_widths(&self, layout: Layout, form: usize) -> Vec<usize> {
        let width = |(name, width): (&String, &usize)| {
            let lines = layout.heading(name, *width);
            lines.iter().map(String::len).max().unwrap_or(0).max(*width)
        };
        self.names.iter().zip(&self.widths[form]).map(width).collect()
    }

    /// Returns the names of the columns, each right above its values.
    fn headings(&self, layout: Layout, widths: &[usize]) -> Vec<String> {
        let lines = |(name, width): (&String, &usize)| layout.heading(name, *width);
        let all: Vec<_> = self.names.iter().zip(widths).map(lines).collect();
        let height = all.iter().map(Vec::len).max().unwrap_or(0);
        all.iter().map(|lines| "\n".repeat(height - lines.len()) + &lines.join("\n")).collect()
    }

    /// Returns a record as lines of names and values, without those that are empty. A value longer than the terminal is wide is
    /// broken between words.
    fn stack(&self, row: &[Cell]) -> String {
        let names = self.names.iter().map(String::len).max().unwrap_or(0);
        let indent = names + STACK_GAP;
        let room = self.screen.width.map(|width| width.saturating_sub(indent));
        let mut stack = String::new();
        let filled = self.names.iter().zip(row).filter(|(_, cell)| !cell.text.is_empty());
        for (name, Cell { text, style, .. }) in filled {
            let text = wrapped(text, room);
            let padding = " ".repeat(indent - name.len());
            let lines: Vec<_> =
                text.split('\n').map(|line| self.screen.styled(line, *style)).collect();
            let value = lines.join(&["\n", &" ".repeat(indent)].concat());
            let name = self.screen.styled(name, Style::new().bold());
            stack += &format!("{name}{padding}{value}\n");
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

/// Returns the lines of a row whose last text is broken at the width of its column.
fn lines(mut row: Vec<Cell>, widths: &[usize], screen: &Screen) -> Vec<Vec<Cell>> {
    let (Some(last), Some(width)) = (row.last_mut(), widths.last()) else { return vec![row] };
    if last.width <= *width {
        return vec![row];
    }
    // Each of the lines is isolated by itself.
    let text = wrapped(last.text.trim_matches(ISOLATES), Some(*width));
    let style = last.style;
    let mut texts = text.split('\n').map(|text| Cell::new(text, screen).styled(style));
    *last = texts.next().expect("a text has a first line");
    let rest: Vec<_> = texts
        .map(|text| {
            let blank = widths.iter().skip(1).map(|_| Cell::new("", screen));
            blank.chain([text]).collect()
        })
        .collect();
    std::iter::once(row).chain(rest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(width: Option<usize>, rows: &[[&str; 3]]) -> String {
        let screen =
            Screen { is_terminal: width.is_some(), has_colors: false, width, height: None };
        let names = ["phone_number", "failed_attempts", "created_at"].map(str::to_owned);
        let mut table = Table::new(names.into(), &screen);
        for [number, attempts, time] in rows {
            table.add(vec![
                Cell::new(number, &screen),
                Cell::new(attempts, &screen).number(),
                Cell::new(time, &screen),
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
                        failed_attempts  12\n";
        assert_eq!(page(Some(31), &ROWS), expected);
        assert_eq!(page(Some(10), &ROWS), expected);
    }

    #[test]
    fn numbers_are_aligned_in_a_last_column_too() {
        let screen = Screen { is_terminal: false, has_colors: false, width: None, height: None };
        let mut table = Table::new(["a", "many"].map(str::to_owned).into(), &screen);
        table.add(vec![Cell::new("x", &screen), Cell::new("1", &screen).number()]);
        assert_eq!(table.finish_page(), "a  many\nx     1\n");
    }

    #[test]
    fn prose_that_is_wider_than_any_table_gets_a_line_of_its_own() {
        let screen = Screen { is_terminal: false, has_colors: false, width: None, height: None };
        let mut table = Table::new(["a", "why"].map(str::to_owned).into(), &screen);
        let long = "x".repeat(usize::from(u16::MAX) + 1);
        table.add(vec![Cell::new("1", &screen), Cell::new(&long, &screen).prose()]);
        assert_eq!(table.finish_page(), format!("a    1\nwhy  {long}\n"));
    }

    #[test]
    fn a_page_is_as_wide_as_those_before_it() {
        let screen = Screen { is_terminal: false, has_colors: false, width: None, height: None };
        let mut table = Table::new(["a", "b"].map(str::to_owned).into(), &screen);
        let row = |text: &str| vec![Cell::new(text, &screen), Cell::new("1", &screen)];
        table.add(row("long"));
        assert_eq!(table.finish_page(), "a     b\nlong  1\n");
        table.add(row("x"));
        assert_eq!(table.finish_page(), "x     1\n");
        assert_eq!(table.finish_page(), "");
    }

    #[test]
    fn at_a_terminal_right_to_left_text_reorders_nothing_around_it() {
        let cell = |text: &str, is_terminal| {
            let screen = Screen { is_terminal, has_colors: false, width: None, height: None };
            let cell = Cell::new(text, &screen);
            cell.text
        };
        assert_eq!(cell("שלום", true), "\u{2068}שלום\u{2069}");
        assert_eq!(cell("שלום", false), "שלום");
        assert_eq!(cell("a\u{202e}\nb", true), "a\u{fffd}\u{fffd}b");
    }

    #[test]
    fn each_line_of_right_to_left_prose_is_isolated() {
        let width = Some(24);
        let screen = Screen { is_terminal: true, has_colors: false, width, height: None };
        let mut table = Table::new(["n", "why"].map(str::to_owned).into(), &screen);
        let prose = Cell::new("המספר אינו נכון ואינו קיים", &screen).prose();
        table.add(vec![Cell::new("1", &screen), prose]);
        let expected = "n  why\n\
                        1  \u{2068}המספר אינו נכון ואינו\u{2069}\n   \u{2068}  קיים\u{2069}\n";
        assert_eq!(table.finish_page(), expected);
    }
}
