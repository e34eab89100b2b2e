//! Text that is safe on a terminal: nothing in it controls the terminal, and its lines break between words.

use unicode_width::UnicodeWidthStr;

use crate::model::steers_terminal;

/// Replaces a character that can't be shown.
const REPLACEMENT: &str = "\u{fffd}";

/// Returns `text` without the characters that could control a terminal or reorder the text around them. Line ends stay.
pub(super) fn without_controls(text: &str) -> String {
    text.replace(|c| c != '\n' && steers_terminal(c), REPLACEMENT)
}

/// Returns `text` without the characters that could control a terminal or reorder the text around them, and on one line.
pub fn on_one_line(text: &str) -> String {
    text.replace(steers_terminal, REPLACEMENT)
}

/// Returns CSV like [`without_controls`], with each record on one line. The mark that quotes a field isn't a part of it.
pub(super) fn csv_without_controls(csv: &str) -> String {
    let fields = csv.split('"').enumerate();
    let clean = fields.map(|(index, text)| match index % 2 {
        0 => without_controls(text),
        _ => on_one_line(text),
    });
    clean.collect::<Vec<_>>().join("\"")
}

/// Returns JSON with escapes for the characters that JSON allows and a terminal obeys. Its value stays the same.
pub(super) fn json_without_controls(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        if steers_terminal(c) && c != '\n' {
            for unit in c.encode_utf16(&mut [0; 2]) {
                escaped += &format!("\\u{unit:04x}");
            }
        } else {
            escaped.push(c);
        }
    }
    escaped
}

/// FIRST STRONG ISOLATE and POP DIRECTIONAL ISOLATE (UAX #9).
pub(super) const ISOLATES: [char; 2] = ['\u{2068}', '\u{2069}'];

/// Returns the text of a table cell so that right-to-left characters in it don't reorder the other cells.
pub(super) fn isolated(text: String) -> String {
    let is_right_to_left = |c| {
        matches!(c, '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{feff}'
            | '\u{10800}'..='\u{10fff}' | '\u{1e800}'..='\u{1efff}')
    };
    let [start, end] = ISOLATES;
    if text.contains(is_right_to_left) { format!("{start}{text}{end}") } else { text }
}

/// Returns `text` with lines longer than `width` columns broken between words. The rest of a line is indented. A word that is too
/// long for any line stays whole, and so does text between backticks, which an operator may copy.
pub(super) fn wrapped(text: &str, width: Option<usize>) -> String {
    let Some(width) = width else { return text.to_owned() };
    text.split('\n').map(|line| wrap_line(line, width)).collect::<Vec<_>>().join("\n")
}

fn wrap_line(line: &str, width: usize) -> String {
    let mut lines = String::with_capacity(line.len());
    let indent = continuation(line).min(width / 2);
    let mut column = 0;
    let mut is_quoted = false;
    let words = line.split(|c| {
        is_quoted ^= c == '`';
        c == ' ' && !is_quoted
    });
    for (index, word) in words.enumerate() {
        let word_width = word.width();
        let is_long = column + 1 + word_width > width && indent + word_width <= width;
        if index > 0 && is_long {
            lines.push('\n');
            lines += &" ".repeat(indent);
            column = indent;
        } else if index > 0 {
            lines.push(' ');
            column += 1;
        }
        lines += word;
        column += word_width;
        if column > width {
            // The terminal itself breaks a word that is too long.
            column %= width.max(1);
        }
    }
    lines
}

/// Returns the column at which the rest of a long line continues: in a field such as `  reason   …` below its text, in any other
/// line two columns further in.
fn continuation(line: &str) -> usize {
    let text = line.trim_start_matches(' ');
    let start = line.len() - text.len();
    match text.find("  ").filter(|_| start > 0) {
        Some(gap) => line.len() - text[gap..].trim_start_matches(' ').len(),
        None => start + 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_broken_between_words() {
        for (text, expected) in [
            ("error: it is short", "error: it is short"),
            ("error: it is a short one", "error: it is a short\n  one"),
            ("error: the number is not a valid one", "error: the number is\n  not a valid one"),
            (
                "  reason   not a valid number",
                "  reason   not a\n          valid\n          number",
            ),
            ("see the `verify list` now", "see the\n  `verify list` now"),
            (
                "token eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9",
                "token eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9",
            ),
            ("電話番号 電話番号 電話番号", "電話番号 電話番号\n  電話番号"),
        ] {
            assert_eq!(wrapped(text, Some(20)), expected);
        }
    }

    #[test]
    fn no_width_is_too_narrow() {
        for width in 0..5 {
            assert_eq!(wrapped("a bc def", Some(width)).split_whitespace().count(), 3);
        }
    }

    #[test]
    fn what_steers_a_terminal_is_replaced_and_in_json_escaped() {
        let text = "a\u{1b}[2J\u{9b}b\u{202e}c\nd\u{200f}é";
        assert_eq!(without_controls(text), "a\u{fffd}[2J\u{fffd}b\u{fffd}c\nd\u{200f}é");
        let hidden = "\u{61c}\u{fff9}\u{fffb}\u{e0000}\u{e007f}\u{2028}\u{2029}";
        assert_eq!(without_controls(hidden), REPLACEMENT.repeat(7));
        let escaped = json_without_controls(&format!("\"{hidden}\""));
        assert_eq!(escaped, r#""\u061c\ufff9\ufffb\udb40\udc00\udb40\udc7f\u2028\u2029""#);
        assert_eq!(serde_json::from_str::<String>(&escaped).unwrap(), hidden);
        let shown = csv_without_controls("a,\"b\n\"\"\u{7}\n\",\u{e0041}\nc,\"\",\"d\n\"\n");
        let expected = "a,\"b\u{fffd}\"\"\u{fffd}\u{fffd}\",\u{fffd}\nc,\"\",\"d\u{fffd}\"\n";
        assert_eq!(shown, expected);
        assert_eq!(on_one_line("a\nb"), "a\u{fffd}b");
        let escaped = json_without_controls(&serde_json::to_string(text).unwrap());
        assert_eq!(escaped, r#""a\u001b[2J\u009bb\u202ec\nd‏é""#);
        assert_eq!(serde_json::from_str::<String>(&escaped).unwrap(), text);
    }
}
