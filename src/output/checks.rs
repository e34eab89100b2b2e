//! Checks for people: in groups, with the status in words and in colour, as wide as the terminal.

use anstyle::AnsiColor;

use super::screen::Screen;
use super::text::on_one_line;
use crate::model::{Check, CheckStatus, counted};

/// The column at which a long line continues: below the name of the check, after the longest status.
const INDENT: usize = 10;

/// Returns a group of checks below its heading.
pub(super) fn group(heading: &str, checks: &[Check], screen: &Screen) -> String {
    let lines = checks.iter().map(|check| lines(check, screen));
    std::iter::once([heading, "\n"].concat()).chain(lines).collect()
}

/// Returns the lines of a check and of its hint.
fn lines(check: &Check, screen: &Screen) -> String {
    // The heading already says the area.
    let (_, name) = check.check.split_once('.').unwrap_or_default();
    let mut text = on_one_line(&format!("{name}: {}", check.message));
    if let Some(hint) = &check.hint {
        text += &format!("\n{}hint: {}", " ".repeat(INDENT), on_one_line(hint));
    }
    let status = check.status.to_string();
    let text = screen.fit(&format!(" {status:<width$}{text}\n", width = INDENT - 1));
    // Colours of the terminal's own palette are readable on a light and on a dark background.
    let color = match check.status {
        CheckStatus::Ok => AnsiColor::Green,
        CheckStatus::Warning => AnsiColor::Yellow,
        CheckStatus::Failure => AnsiColor::Red,
    };
    text.replacen(&status, &screen.styled(&status, color.on_default()), 1)
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
