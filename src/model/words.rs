//! Text from providers and programs, made safe for a terminal.

/// Returns the words of a provider or a program on one line, without characters that could control a terminal. They may still be
/// long, and hold a secret.
pub fn words(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_whitespace() { ' ' } else { c })
        .filter(|c| !steers_terminal(*c) && !is_invisible(*c))
        .collect::<String>()
        .trim()
        .to_owned()
}

/// Returns `text` on one line, with a single space for each white space.
pub fn single_spaced(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Returns an error of the system without the number that Rust adds to its words.
pub fn without_error_number(mut text: String) -> String {
    while let Some(start) = text.find(" (os error ")
        && let Some(length) = text[start..].find(')')
    {
        text.replace_range(start..=start + length, "");
    }
    text
}

/// Returns whether a terminal may do anything with `c` but show it: it is a control character; it marks, embeds, overrides or
/// isolates a writing direction (UAX #9); it separates lines or paragraphs, annotates text or tags it (The Unicode Standard,
/// sections 23.2, 23.8 and 23.9).
pub fn steers_terminal(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        || matches!(c, '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Returns whether `c` takes no room, so that it can hide in a word.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2065}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_system_is_in_words_alone() {
        let error = std::io::Error::from_raw_os_error(2);
        let text = without_error_number(format!("a.toml: {error}; b.toml: {error}, too"));
        let words = "No such file or directory";
        assert_eq!(text, format!("a.toml: {words}; b.toml: {words}, too"));
        assert_eq!(without_error_number("a (os error ".to_owned()), "a (os error ");
    }

    #[test]
    fn words_lose_what_could_steer_a_terminal() {
        let text =
            "a\u{1b}[31mb\r\nc\u{202e}d\u{7}\u{ad}e\u{61c}\u{fffa}\u{e0041}f\u{200f}\u{2028}g";
        assert_eq!(words(text), "a[31mb  cdef g");
    }
}
