//! The draft of a settings file: the example, in which the keys that were chosen are set and all others are comments.

use toml::Value;

use crate::backends::{self, Input, Kind, Question};
use crate::exit::Error;
use crate::settings::{self, Findings, Problem};

/// The example settings, which document every key.
pub(super) const EXAMPLE: &str = include_str!("../../../phone-verify.toml.example");
/// What stands in place of the example's own introduction.
const INTRODUCTION: &str = "\
# Settings of phone-verify, written by `phone-verify init`. A key in a comment isn't set, and shows its default or an example.
";

/// The keys that are set, with their tables, and their values.
#[derive(Clone, Default)]
pub(super) struct Draft(Vec<(String, Value)>);

/// A line of the example.
struct Line<'a> {
    text: &'a str,
    /// The table that it belongs to.
    table: &'a str,
    /// The first line of its paragraph.
    paragraph: &'a str,
    content: Content<'a>,
}

#[derive(Clone, Copy, PartialEq)]
enum Content<'a> {
    /// The header of a table.
    Header,
    /// A key and its value.
    Key(&'a str),
    Words,
}

impl Draft {
    /// Sets `key`, which is written with its tables.
    pub(super) fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.remove(key);
        self.0.push((key.to_owned(), value.into()));
    }

    /// Removes `key`.
    pub(super) fn remove(&mut self, key: &str) {
        self.0.retain(|(other, _)| other != key);
    }

    /// Returns the value of `key`, if it is set.
    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        self.0.iter().find(|(other, _)| other == key).map(|(_, value)| value)
    }

    /// Returns what is known about the settings.
    pub(super) fn findings(&self) -> Findings {
        settings::examine(&self.text())
    }

    fn kind(&self) -> Option<&'static Kind> {
        self.get("backend").and_then(Value::as_str).and_then(backends::kind)
    }

    /// Returns what a person is asked about the options of the provider.
    pub(super) fn questions(&self) -> &'static [Question] {
        self.kind().map_or(&[], |kind| kind.questions)
    }

    /// Returns the question about this key.
    pub(super) fn question(&self, key: &str) -> Option<&'static Question> {
        let option = key.strip_prefix("options.")?;
        self.questions().iter().find(|question| question.key == option)
    }

    /// Returns the problem as an error. What is missing can be given as options.
    pub(super) fn error(&self, problem: &Problem) -> Error {
        let Problem { key, what, is_missing, .. } = problem;
        let error = Error::usage(what);
        match self.question(key).map(|question| question.input) {
            _ if !is_missing => error,
            _ if key == "backend" => error.with_hint("name the provider: --backend NAME"),
            Some(Input::Secret) => {
                error.with_hint("name an environment variable that holds it: --secret-env NAME")
            }
            _ => error.with_hint(format!("give it: --set {key}=VALUE")),
        }
    }

    /// Returns the text of the file.
    pub(super) fn text(&self) -> String {
        let lines = lines();
        let set: Vec<_> =
            self.0.iter().map(|(key, value)| self.place(key, value, &lines)).collect();
        let mut text = format!("{INTRODUCTION}\n");
        for (index, line) in lines.iter().enumerate() {
            let has_keys = set.iter().any(|(_, table, _, _)| *table == line.table);
            let here = || set.iter().filter(|(at, ..)| *at == index);
            let is_replaced = here().any(|(_, _, name, _)| line.content == Content::Key(name));
            match line.content {
                Content::Key(_) if is_replaced => {}
                Content::Key(_) => text += &format!("# {}\n", uncommented(line.text)),
                Content::Header if has_keys => text += &format!("{}\n", uncommented(line.text)),
                _ => text += &format!("{}\n", line.text),
            }
            text.extend(here().map(|(.., setting)| format!("{setting}\n")));
        }
        text
    }

    /// Returns the index of the line in whose place or behind which `key` is set, its table, its first name there, and the text
    /// that sets it.
    fn place<'a>(
        &self,
        key: &'a str,
        value: &Value,
        lines: &[Line<'a>],
    ) -> (usize, &'a str, &'a str, String) {
        let tables = lines.iter().map(|line| line.table);
        let rest_in = |table: &str| key.strip_prefix(table)?.strip_prefix('.');
        let table = tables.filter(|table| rest_in(table).is_some()).max_by_key(|table| table.len());
        let table = table.unwrap_or_default();
        let rest = rest_in(table).unwrap_or(key);
        let name = rest.split('.').next().unwrap_or(rest);
        let provider = self.kind().map_or("", |kind| kind.name().trim_end_matches("-sandbox"));
        let is_own = |line: &Line<'_>| line.paragraph.contains(&format!("({provider})"));
        let is_key = |line: &Line<'_>| line.table == table && line.content == Content::Key(name);
        let is_first = |line: &Line<'_>| line.table == table && line.content != Content::Words;
        let line = lines
            .iter()
            .position(|line| is_key(line) && is_own(line))
            .or_else(|| lines.iter().position(is_key))
            .or_else(|| lines.iter().position(is_first));
        let line = line.expect("each table has a header, and the first key has none");
        (line, table, name, format!("{rest} = {value}"))
    }
}

/// Returns the lines of the example below its introduction.
fn lines() -> Vec<Line<'static>> {
    let (_, body) = EXAMPLE.split_once("\n\n").expect("the example has an introduction");
    let (mut table, mut paragraph) = ("", "");
    let lines = body.lines().map(|text| {
        let content = content(text);
        if content == Content::Header {
            table = uncommented(text).trim_matches(['[', ']']);
        }
        let is_break = text.trim_start_matches('#').is_empty();
        if is_break || paragraph.is_empty() || content == Content::Header {
            paragraph = "";
        }
        if paragraph.is_empty() && !is_break && content == Content::Words {
            paragraph = text;
        }
        Line { text, table, paragraph, content }
    });
    lines.collect()
}

fn content(line: &str) -> Content<'_> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    let text = uncommented(line);
    match text.split_once(" = ") {
        Some((key, _)) if key.chars().all(is_plain) => Content::Key(key),
        None if text.starts_with('[') && text.ends_with(']') => Content::Header,
        _ => Content::Words,
    }
}

fn uncommented(line: &str) -> &str {
    line.strip_prefix("# ").unwrap_or(line)
}
