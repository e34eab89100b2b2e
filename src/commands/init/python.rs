//! Python's literals, as a settings module has them. The module is read as text, and nothing of it runs.

/// How deep literals may be nested.
const MAX_DEPTH: usize = 8;
/// The marks around a string, and what may be in front of it.
const QUOTES: [&str; 4] = ["\"\"\"", "'''", "\"", "'"];
const PREFIXES: [&str; 12] = ["", "r", "u", "b", "f", "t", "br", "rb", "fr", "rf", "tr", "rt"];
const NAMES: [(&str, Literal); 3] =
    [("True", Literal::Boolean(true)), ("False", Literal::Boolean(false)), ("None", Literal::None)];

/// The value of an expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Literal {
    Text(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    None,
    /// A list or a tuple.
    List(Vec<Literal>),
    Dict(Vec<Item>),
    /// It isn't a plain literal.
    Other,
}

/// An item of a dict.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Item {
    pub(super) key: Literal,
    pub(super) value: Literal,
    /// The line of the key, counted from 1.
    pub(super) line: usize,
}

/// What a module does with a name.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Uses {
    /// The line and the value of its last assignment at the top level.
    pub(super) assigned: Option<(usize, Literal)>,
    /// The other lines that have the name.
    pub(super) others: Vec<usize>,
}

/// Returns what the module `text` does with `name`.
pub(super) fn uses_of(name: &str, text: &str) -> Uses {
    // Python reads any line end as `\n`.
    let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n").replace('\r', "\n");
    let line_ends: Vec<_> = text.match_indices('\n').map(|(at, _)| at).collect();
    let mut reader = Reader { text: &text, line_ends: &line_ends, at: 0, depth: 0, statement: 0 };
    let mut uses = Uses::default();
    while let Some(token) = reader.next_token() {
        let Token::Name(at, found) = token else { continue };
        if found != name {
            continue;
        }
        let line = reader.line(at);
        if at == reader.statement && reader.skip_to_value() {
            // A copy reads the value, because the names in it are uses as well.
            uses.assigned = Some((line, { reader }.value("\n;")));
        } else {
            uses.others.push(line);
        }
    }
    uses
}

enum Token<'a> {
    Name(usize, &'a str),
    Other,
}

#[derive(Clone, Copy)]
struct Reader<'a> {
    text: &'a str,
    /// The positions of the line ends.
    line_ends: &'a [usize],
    at: usize,
    /// How many brackets are open.
    depth: usize,
    /// Where the last statement at the top level began, if it isn't indented.
    statement: usize,
}

impl<'a> Reader<'a> {
    fn line(&self, at: usize) -> usize {
        1 + self.line_ends.partition_point(|end| *end < at)
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn take(&mut self, text: &str) -> bool {
        let is_there = self.rest().starts_with(text);
        if is_there {
            self.at += text.len();
        }
        is_there
    }

    fn take_while(&mut self, is_taken: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let taken = &rest[..rest.find(|c| !is_taken(c)).unwrap_or(rest.len())];
        self.at += taken.len();
        taken
    }

    /// Skips spaces, comments, joined lines, and within brackets line ends.
    fn skip_space(&mut self) {
        loop {
            match self.peek() {
                Some(' ' | '\t' | '\u{c}') => self.at += 1,
                Some('\n') if self.depth > 0 => self.at += 1,
                Some('#') => {
                    self.take_while(|c| c != '\n');
                }
                _ if self.take("\\\n") => {}
                _ => return,
            }
        }
    }

    /// Skips what is between a name and its value. Returns false if the statement isn't an assignment.
    fn skip_to_value(&mut self) -> bool {
        let mut ahead = *self;
        ahead.skip_space();
        if ahead.take(":") {
            ahead.skip_expression("=\n;");
        }
        let is_assignment = ahead.take("=") && ahead.peek() != Some('=');
        if is_assignment {
            self.at = ahead.at;
        }
        is_assignment
    }

    /// Takes the next name, string, bracket or other character.
    fn next_token(&mut self) -> Option<Token<'a>> {
        self.skip_space();
        let at = self.at;
        let c = self.peek()?;
        if self.string().is_some() {
            return Some(Token::Other);
        }
        if c.is_alphanumeric() || c == '_' {
            return Some(Token::Name(at, self.take_while(|c| c.is_alphanumeric() || c == '_')));
        }
        self.at += c.len_utf8();
        match c {
            '(' | '[' | '{' => self.depth += 1,
            ')' | ']' | '}' => self.depth = self.depth.saturating_sub(1),
            '\n' => self.statement = self.at,
            _ => {}
        }
        Some(Token::Other)
    }

    /// Skips an expression, up to one of the characters `ends` outside of its brackets.
    fn skip_expression(&mut self, ends: &str) {
        let outside = self.depth;
        self.skip_space();
        while self.depth > outside || self.peek().is_some_and(|c| !ends.contains(c)) {
            if self.next_token().is_none() {
                break;
            }
            self.skip_space();
        }
        self.depth = outside;
    }

    /// Takes a value that ends before one of the characters `ends`.
    fn value(&mut self, ends: &str) -> Literal {
        self.skip_space();
        let start = self.at;
        let literal = self.literal();
        self.skip_space();
        if literal != Literal::Other && self.peek().is_none_or(|c| ends.contains(c)) {
            return literal;
        }
        self.at = start;
        self.skip_expression(ends);
        Literal::Other
    }

    /// Takes a literal, or what looks like the beginning of one.
    fn literal(&mut self) -> Literal {
        if let Some(text) = self.string() {
            return self.concatenated(text);
        }
        match self.peek() {
            Some('{') => self.dict(),
            Some('[') => self.list(']'),
            Some('(') => self.list(')'),
            Some('0'..='9' | '-' | '.') => self.number(),
            _ => {
                let found = NAMES.iter().find(|(name, _)| {
                    let rest = self.rest().strip_prefix(name);
                    rest.is_some_and(|rest| {
                        !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_')
                    })
                });
                found.map_or(Literal::Other, |(name, literal)| {
                    self.at += name.len();
                    literal.clone()
                })
            }
        }
    }

    /// Takes the strings that follow `first` and are one with it.
    fn concatenated(&mut self, first: Option<String>) -> Literal {
        let mut whole = first;
        self.skip_space();
        while let Some(next) = self.string() {
            whole = whole.zip(next).map(|(whole, next)| whole + &next);
            self.skip_space();
        }
        whole.map_or(Literal::Other, Literal::Text)
    }

    fn number(&mut self) -> Literal {
        let sign = if self.take("-") { "-" } else { "" };
        let digits = self.take_while(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.');
        let digits = format!("{sign}{}", digits.replace('_', ""));
        let is_float = digits.contains('.') && !digits.contains(char::is_alphabetic);
        let float = digits.parse().ok().filter(|_| is_float).map(Literal::Float);
        digits.parse().ok().map(Literal::Integer).or(float).unwrap_or(Literal::Other)
    }

    fn list(&mut self, end: char) -> Literal {
        let mut items = Vec::new();
        let mut has_comma = false;
        let is_closed = self.bracketed(end, |reader| {
            let ends = [',', end].iter().collect::<String>();
            items.push(reader.value(&ends));
            has_comma |= reader.peek() == Some(',');
        });
        match items.pop() {
            _ if !is_closed => Literal::Other,
            Some(only) if end == ')' && items.is_empty() && !has_comma => only,
            last => {
                items.extend(last);
                let is_plain = !items.contains(&Literal::Other);
                if is_plain { Literal::List(items) } else { Literal::Other }
            }
        }
    }

    fn dict(&mut self) -> Literal {
        let mut items = Vec::new();
        let is_closed = self.bracketed('}', |reader| {
            let line = reader.line(reader.at);
            let key = reader.value(":,}");
            let value = if reader.take(":") { reader.value(",}") } else { Literal::Other };
            items.push(Item { key, value, line });
        });
        if is_closed { Literal::Dict(items) } else { Literal::Other }
    }

    /// Takes items, which `take_item` takes, from the opening bracket here to `end`. Returns whether they end there.
    fn bracketed(&mut self, end: char, mut take_item: impl FnMut(&mut Self)) -> bool {
        self.at += 1;
        self.depth += 1;
        let mut is_closed = false;
        while !is_closed && self.depth <= MAX_DEPTH {
            self.skip_space();
            is_closed = self.peek() == Some(end);
            if !is_closed {
                take_item(self);
                if !self.take(",") && self.peek() != Some(end) {
                    break;
                }
            }
        }
        self.depth -= 1;
        is_closed && self.take(end.encode_utf8(&mut [0; 4]))
    }

    /// Takes a string if one begins here. It is None if it isn't a plain text: it has bytes, expressions, or no end.
    fn string(&mut self) -> Option<Option<String>> {
        let rest = self.rest();
        let (prefix, _) =
            rest.split_at(rest.bytes().take(2).take_while(u8::is_ascii_alphabetic).count());
        let quote = QUOTES.iter().find(|quote| rest[prefix.len()..].starts_with(**quote))?;
        let prefix = prefix.to_ascii_lowercase();
        if !PREFIXES.contains(&&*prefix) {
            return None;
        }
        self.at += prefix.len() + quote.len();
        let text = self.characters(quote, prefix.contains('r'));
        Some(text.filter(|_| !prefix.contains(['b', 'f', 't'])))
    }

    /// Takes the characters of a string, and its final `quote`.
    fn characters(&mut self, quote: &str, is_raw: bool) -> Option<String> {
        let mut text = Some(String::new());
        while !self.take(quote) {
            let c = self.peek().filter(|c| *c != '\n' || quote.len() == 3)?;
            self.at += c.len_utf8();
            let read = match c {
                '\\' if is_raw => {
                    let escaped = self.peek()?;
                    self.at += escaped.len_utf8();
                    Some(format!("\\{escaped}"))
                }
                '\\' => self.escape(),
                c => Some(c.to_string()),
            };
            text = text.zip(read).map(|(text, read)| text + &read);
        }
        text
    }

    /// Takes what follows a backslash, and returns what it stands for.
    fn escape(&mut self) -> Option<String> {
        let c = self.peek()?;
        if ('0'..='7').contains(&c) {
            let rest = self.rest();
            let length = rest.chars().take(3).take_while(|c| ('0'..='7').contains(c)).count();
            return self.code(length, 8);
        }
        self.at += c.len_utf8();
        let plain = |c: char| Some(c.to_string());
        match c {
            '\n' => Some(String::new()),
            '\\' | '\'' | '"' => plain(c),
            'a' => plain('\u{7}'),
            'b' => plain('\u{8}'),
            'f' => plain('\u{c}'),
            'n' => plain('\n'),
            'r' => plain('\r'),
            't' => plain('\t'),
            'v' => plain('\u{b}'),
            'x' => self.code(2, 16),
            'u' => self.code(4, 16),
            'U' => self.code(8, 16),
            'N' => None,
            // Python keeps the backslash of what isn't an escape.
            other => Some(format!("\\{other}")),
        }
    }

    /// Takes the number of a character.
    fn code(&mut self, length: usize, radix: u32) -> Option<String> {
        let digits = self.rest().get(..length)?;
        let c = u32::from_str_radix(digits, radix).ok().and_then(char::from_u32)?;
        self.at += length;
        Some(c.to_string())
    }
}

#[cfg(test)]
mod tests;
