//! The draft of a settings file: the example, in which the keys that were chosen are set and all others are comments.

use toml::Value;

use crate::backends::{self, Input, Kind, Question};
use crate::exit::Error;
use crate::settings::{self, Findings, Problem};

/// The example settings, which document every key.
pub(super) const EXAMPLE: &str = include_str!("../../../phone-verify.toml.example");
/// What replaces the example's own introduction.
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

/// How the file sets a key.
struct Assignment<'a> {
    /// The line of the example that it replaces or follows.
    line: usize,
    /// The table of the key.
    table: &'a str,
    /// Its first name in that table.
    name: &'a str,
    text: String,
}

impl Draft {
    /// Sets `key`, which is written with its tables, or the keys of the table `key`.
    pub(super) fn set(&mut self, key: &str, value: impl Into<Value>) {
        match value.into() {
            Value::Table(table) if lines().iter().any(|line| line.table == key) => {
                for (name, value) in table {
                    self.set(&format!("{key}.{name}"), value);
                }
            }
            value => {
                self.0.retain(|(other, _)| other != key);
                self.0.push((key.to_owned(), value));
            }
        }
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
        let assignments: Vec<_> =
            self.0.iter().map(|(key, value)| self.assignment(key, value, &lines)).collect();
        let mut text = format!("{INTRODUCTION}\n");
        for (index, line) in lines.iter().enumerate() {
            let bare = uncommented(line.text);
            let here = || assignments.iter().filter(|assignment| assignment.line == index);
            match line.content {
                Content::Key(key) if here().any(|assignment| assignment.name == key) => {}
                Content::Key(_) => text += &format!("# {bare}\n"),
                Content::Header if assignments.iter().any(|it| it.table == line.table) => {
                    text += &format!("{bare}\n");
                }
                Content::Header | Content::Words => text += &format!("{}\n", line.text),
            }
            text.extend(here().map(|assignment| format!("{}\n", assignment.text)));
        }
        text
    }

    /// Returns how the file sets `key`, and where: in the place of the line that documents it, in the paragraph of the provider if
    /// there are several; or else at the beginning of its table.
    fn assignment<'a>(&self, key: &'a str, value: &Value, lines: &[Line<'a>]) -> Assignment<'a> {
        let rest_in = |table: &str| key.strip_prefix(table)?.strip_prefix('.');
        let tables = lines.iter().map(|line| line.table);
        let table = tables.filter(|table| rest_in(table).is_some()).max_by_key(|table| table.len());
        let table = table.unwrap_or_default();
        let rest = rest_in(table).unwrap_or(key);
        let name = rest.split('.').next().unwrap_or(rest);
        let provider = self.kind().map_or("", |kind| kind.name().trim_end_matches("-sandbox"));
        let provider = format!("({provider})");
        let fitness = |line: &Line<'_>| match line.content {
            _ if line.table != table => 0,
            Content::Words => 0,
            Content::Key(key) if key != name => 1,
            Content::Header => 1,
            Content::Key(_) if !line.paragraph.contains(&provider) => 2,
            Content::Key(_) => 3,
        };
        // The first of the fittest.
        let line = lines.iter().enumerate().rev().max_by_key(|(_, line)| fitness(line));
        let (line, _) = line.expect("the example has lines");
        Assignment { line, table, name, text: format!("{rest} = {value}") }
    }
}

/// Returns the lines of the example below its introduction.
fn lines() -> Vec<Line<'static>> {
    let (_, body) = EXAMPLE.split_once("\n\n").expect("the example has an introduction");
    let (mut table, mut paragraph) = ("", "");
    let lines = body.lines().map(|text| {
        let content = content(text);
        match content {
            Content::Header => {
                table = uncommented(text).trim_matches(['[', ']']);
                paragraph = "";
            }
            Content::Words if text.trim_start_matches('#').is_empty() => paragraph = "",
            Content::Words if paragraph.is_empty() => paragraph = text,
            _ => {}
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
