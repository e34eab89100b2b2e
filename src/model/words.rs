//! Text from providers and programs, made safe for a terminal.

/// Returns the words of a provider or a program on one line, without characters that could control a terminal. They may still be
/// long, and hold a secret.
pub fn words(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_whitespace() { ' ' } else { c })
        .filter(|c| !c.is_control() && !is_bidirectional_control(*c))
        .collect::<String>()
        .trim()
        .to_owned()
}

/// Returns whether `c` reorders or hides the text around it on a terminal.
fn is_bidirectional_control(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_lose_what_could_steer_a_terminal() {
        assert_eq!(words("a\u{1b}[31mb\r\nc\u{202e}d\u{7}\u{ad}e"), "a[31mb  cde");
    }
}
