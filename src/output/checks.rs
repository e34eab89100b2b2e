//! Checks for people: in groups, the status in words and in colour, as wide as the terminal.

use comfy_table::{Cell, Color, ColumnConstraint, ContentArrangement, Table, Width, presets};

use super::human::counted;
use super::screen::Screen;
use super::text::without_controls;
use crate::model::{Check, CheckStatus};

/// The width of the status column: the longest status and a blank on each side.
const WIDEST_STATUS: u16 = 9;

/// Returns a group of checks under its heading.
pub(super) fn group(heading: &str, checks: &[Check], screen: &Screen) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if let Some(width) = screen.width {
        table.set_content_arrangement(ContentArrangement::Dynamic);
        table.set_width(u16::try_from(width).unwrap_or(u16::MAX));
    }
    if screen.has_colors {
        // Otherwise a table that goes to a pipe has no colours, whatever was asked for.
        table.enforce_styling();
    }
    for check in checks {
        // The heading says the area, so that the name needs none.
        let (_, name) = check.check.split_once('.').unwrap_or_default();
        let mut text = format!("{name}: {}", check.message);
        if let Some(hint) = &check.hint {
            text += &format!("\nhint: {hint}");
        }
        let status = Cell::new(check.status.as_str());
        let status = if screen.has_colors { status.fg(color(check.status)) } else { status };
        table.add_row([status, Cell::new(without_controls(&text))]);
    }
    if let Some(column) = table.column_mut(0) {
        column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(WIDEST_STATUS)));
    }
    let lines = table.lines().map(|line| [line.trim_end(), "\n"].concat());
    [heading, "\n"].into_iter().map(str::to_owned).chain(lines).collect()
}

/// Returns a colour that can be read on a light and on a dark background.
fn color(status: CheckStatus) -> Color {
    match status {
        CheckStatus::Ok => Color::DarkGreen,
        CheckStatus::Warning => Color::DarkYellow,
        CheckStatus::Failure => Color::DarkRed,
    }
}

/// Returns the line that counts `checks`.
pub(super) fn summary(checks: &[Check]) -> String {
    let count = |status| checks.iter().filter(|check| check.status == status).count();
    format!(
        "{}: {} ok, {}, {}.\n",
        counted(checks.len(), "check"),
        count(CheckStatus::Ok),
        counted(count(CheckStatus::Warning), "warning"),
        counted(count(CheckStatus::Failure), "failure"),
    )
}
