//! Checks for people: in groups, the status in words and in colour, as wide as the terminal.

use anstyle::AnsiColor;

use super::screen::Screen;
use super::text::{without_controls, wrapped};
use crate::model::{Check, CheckStatus, counted};

/// Where a line goes on that is too long: below the name of the check, behind the longest status.
const INDENT: usize = 10;

/// Returns a group of checks under its heading.
pub(super) fn group(heading: &str, checks: &[Check], screen: &Screen) -> String {
    let lines = checks.iter().map(|check| lines(check, screen));
    std::iter::once([heading, "\n"].concat()).chain(lines).collect()
}

/// Returns the lines of a check and of its hint.
fn lines(check: &Check, screen: &Screen) -> String {
    // Below its heading a check needs no area before its name.
    let (_, name) = check.check.split_once('.').unwrap_or_default();
    let mut text = format!("{name}: {}", check.message);
    if let Some(hint) = &check.hint {
        text += &format!("\nhint: {hint}");
    }
    let text = without_controls(&text).replace('\n', &["\n", &" ".repeat(INDENT)].concat());
    let status = &check.status.to_string();
    let text = format!(" {status:<width$}{text}\n", width = INDENT - 1);
    let text = screen.width.map_or_else(|| text.clone(), |width| wrapped(&text, width));
    if screen.has_colors {
        let style = color(check.status).on_default();
        text.replacen(status, &format!("{style}{status}{style:#}"), 1)
    } else {
        text
    }
}

/// Returns a colour of the terminal's own palette, which can be read on a light and on a dark background.
fn color(status: CheckStatus) -> AnsiColor {
    match status {
        CheckStatus::Ok => AnsiColor::Green,
        CheckStatus::Warning => AnsiColor::Yellow,
        CheckStatus::Failure => AnsiColor::Red,
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
