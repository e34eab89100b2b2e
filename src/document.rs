//! A TOML file that serde reads. Everything wrong with it is found at once: the value that serde refuses is taken out, and the
//! rest is read again. Every problem has its line and key, and never a value, since that may be a secret.

use std::fmt::{self, Display};
use std::ops::Range;
use std::path::Path;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer};

use crate::system::secret::Secret;

/// The most problems that are reported. With so many it's hardly a settings file, and each means reading it again.
const MAX_PROBLEMS: usize = 50;
/// How similar two keys are if one is likely a misspelling of the other.
const SIMILAR: f64 = 0.8;

/// Something wrong with a document.
#[derive(Debug)]
pub struct Problem {
    /// The line, counted from 1.
    pub line: usize,
    /// The key with its tables; empty if the document isn't TOML.
    pub key: String,
    /// What is wrong, with the key and never with a value.
    pub what: String,
    /// Whether the key isn't there.
    pub is_missing: bool,
    at: usize,
}

impl Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "line {}: {}", self.line, self.what)
    }
}

/// Lists the keys of a table.
type KeysOf = fn() -> Vec<String>;

/// A document, and what was found in it so far.
pub struct Document<'a> {
    text: &'a str,
    directory: &'a Path,
    root: DeValue<'a>,
    problems: Vec<Problem>,
    secrets: Vec<(String, Secret)>,
    tables: Vec<(String, KeysOf)>,
}

impl<'a> Document<'a> {
    /// Parses `text`. Its paths are relative to `directory`.
    ///
    /// # Errors
    /// Returns the first problem if the text isn't TOML.
    pub fn parse(text: &'a str, directory: &'a Path) -> Result<Self, Problem> {
        let root = DeTable::parse(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            let (line, what) = (line_of(text, at), syntax_problem(text, &error));
            Problem { line, key: String::new(), what, is_missing: false, at }
        })?;
        let (problems, secrets, tables) = (Vec::new(), Vec::new(), Vec::new());
        let root = DeValue::Table(root.into_inner());
        Ok(Self { text, directory, root, problems, secrets, tables })
    }

    /// Returns the table above the first header.
    pub fn root(&mut self) -> Section<'_, 'a> {
        Section { document: self, name: String::new() }
    }

    /// Returns the tables that were read, each with the keys that it may have.
    pub fn tables(&self) -> Vec<(&str, Vec<String>)> {
        self.tables.iter().map(|(name, keys)| (name.as_str(), keys())).collect()
    }

    /// Returns all problems in the order of the file, missing keys last, and every secret with its key.
    pub fn finish(mut self) -> (Vec<Problem>, Vec<(String, Secret)>) {
        self.find_misplaced();
        self.problems.sort_by_key(|problem| (problem.is_missing, problem.at));
        (self.problems, self.secrets)
    }

    /// Adds to each key that is unknown in its table, and known in another, where it belongs.
    fn find_misplaced(&mut self) {
        if self.problems.is_empty() {
            return;
        }
        let mut problems = std::mem::take(&mut self.problems);
        let tables = self.tables();
        for problem in problems.iter_mut().filter(|problem| !problem.is_missing) {
            let (table, key) = problem.key.rsplit_once('.').unwrap_or(("", &problem.key));
            let key = key.to_lowercase();
            let knows_key = |(_, keys): &&(&str, Vec<String>)| keys.contains(&key);
            let own = tables.iter().find(|(name, _)| *name == table);
            if own.is_some_and(|own| !knows_key(&own))
                && let Some((place, _)) = tables.iter().find(knows_key)
            {
                let place = match (*place, place.strip_suffix(".1")) {
                    ("", _) => "above the first [table]",
                    (_, Some(list)) => &format!("in [[{list}]]"),
                    (place, None) => &format!("in [{place}]"),
                };
                problem.what = format!("`{}` belongs {place}", problem.key);
            }
        }
        self.problems = problems;
    }

    /// Adds a problem, unless the key, its table or something in it has one already.
    fn add(&mut self, key: &str, what: String, at: usize, is_missing: bool) {
        if !self.is_wrong(key) && self.problems.len() < MAX_PROBLEMS {
            let line = line_of(self.text, at);
            self.problems.push(Problem { line, key: key.to_owned(), what, is_missing, at });
        }
    }

    fn is_wrong(&self, key: &str) -> bool {
        let mut wrong = self.problems.iter().map(|problem| problem.key.as_str());
        wrong.any(|wrong| is_within(wrong, key) || is_within(key, wrong))
    }

    /// Returns the value `name`, if it's there.
    fn value(&mut self, name: &str) -> Option<&mut DeValue<'a>> {
        let mut keys = name.split('.').filter(|key| !key.is_empty());
        keys.try_fold(&mut self.root, |value, key| match value {
            DeValue::Table(table) => Some(table.get_mut(key)?.get_mut()),
            DeValue::Array(items) => {
                let index = key.parse::<usize>().ok()?.checked_sub(1)?;
                Some(items.get_mut(index)?.get_mut())
            }
            _ => None,
        })
    }

    /// Returns the table `name`, if it's there.
    fn table(&mut self, name: &str) -> Option<&mut DeTable<'a>> {
        match self.value(name)? {
            DeValue::Table(table) => Some(table),
            _ => None,
        }
    }

    /// Reads the table `name`. What serde refuses becomes a problem and is taken out.
    fn read<T: DeserializeOwned + Default>(&mut self, name: &str) -> T {
        self.tables.push((name.to_owned(), keys_of::<T>));
        loop {
            let Some(table) = self.table(name) else { return T::default() };
            let whole = Spanned::new(0..0, table.clone());
            let error = match T::deserialize(Deserializer::from(whole)) {
                Ok(value) => return value,
                Err(error) => error,
            };
            let span = error.span().unwrap_or_default();
            let taken = if span.is_empty() { None } else { take_out(table, &span) };
            let Some((key, at, is_item)) = taken else {
                self.add(name, format!("`{name}` can't be read"), span.start, false);
                return T::default();
            };
            let key = full_key(name, &key);
            let what = in_words(error.message());
            let link = if is_item { ": each item" } else { "" };
            self.add(&key, format!("`{key}`{link} {what}"), at, false);
            if self.problems.len() >= MAX_PROBLEMS {
                return T::default();
            }
        }
    }
}

/// A table of a document.
pub struct Section<'d, 'a> {
    document: &'d mut Document<'a>,
    name: String,
}

impl<'a> Section<'_, 'a> {
    /// Returns the table's full name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the directory that paths are relative to.
    pub fn directory(&self) -> &'a Path {
        self.document.directory
    }

    /// Reads the table, or nothing if it isn't there.
    pub fn read<T: DeserializeOwned + Default>(&mut self) -> T {
        self.document.read(&self.name)
    }

    /// Returns the table `key` inside this one, which may be missing.
    pub fn inner(&mut self, key: &str) -> Section<'_, 'a> {
        let name = full_key(&self.name, key);
        if self.has(key) && self.document.table(&name).is_none() {
            self.error(&[key], "must be a table");
        }
        Section { document: self.document, name }
    }

    /// Returns the names inside this table of the tables of the list `key`, which may be missing: `key.1`, `key.2`.
    pub fn list(&mut self, key: &str) -> Vec<String> {
        let name = full_key(&self.name, key);
        let count = match self.document.value(&name) {
            None => 0,
            Some(DeValue::Array(items)) if items.iter().all(|item| item.get_ref().is_table()) => {
                items.len()
            }
            Some(_) => {
                self.error(&[key], format!("must be a list of tables, each headed by [[{name}]]"));
                0
            }
        };
        (1..=count).map(|number| format!("{key}.{number}")).collect()
    }

    /// Remembers that the table `key` is read as a `T`, so that keys of it are known if they are found elsewhere.
    pub fn expect_table<T: DeserializeOwned>(&mut self, key: &str) {
        self.document.tables.push((full_key(&self.name, key), keys_of::<T>));
    }

    /// Returns whether the key is there and sound.
    pub fn has(&mut self, key: &str) -> bool {
        self.document.table(&self.name).is_some_and(|table| table.contains_key(key))
    }

    /// Adds the problem that the first of `keys` has, unless one of `keys` is known to be wrong already.
    pub fn error(&mut self, keys: &[&str], what: impl Display) {
        let keys: Vec<_> = keys.iter().map(|key| full_key(&self.name, key)).collect();
        if keys.iter().any(|key| self.document.is_wrong(key)) {
            return;
        }
        let root = &self.document.root;
        let found = position(root, &keys[0]);
        let mut tables = keys[0].rmatch_indices('.').map(|(end, _)| &keys[0][..end]);
        let at = found.or_else(|| tables.find_map(|table| position(root, table)));
        let what = format!("`{}` {what}", keys[0]);
        self.document.add(&keys[0], what, at.unwrap_or_default(), found.is_none());
    }

    /// Adds the problem as [`Section::error`] does, if the keys have it.
    pub fn refuse(&mut self, keys: &[&str], is_wrong: bool, what: &str) {
        if is_wrong {
            self.error(keys, what);
        }
    }

    /// Returns the value, or adds its problem as [`Section::error`] does.
    pub fn checked<T>(&mut self, keys: &[&str], value: Result<T, impl Display>) -> Option<T> {
        value.map_err(|problem| self.error(keys, problem)).ok()
    }

    /// Returns `value`, or adds the problem that `key` is missing.
    pub fn required<T>(&mut self, key: &str, value: Option<T>) -> Option<T> {
        self.checked(&[key], value.ok_or("is missing"))
    }

    /// Returns the secret at `key` with the path of its file resolved, and keeps it for [`Document::finish`].
    pub fn secret(&mut self, key: &str, secret: Option<Secret>) -> Option<Secret> {
        let secret = secret?.within(self.document.directory);
        self.document.secrets.push((full_key(&self.name, key), secret.clone()));
        Some(secret)
    }

    /// Returns the secrets of this table, with their full keys.
    pub fn secrets(&self) -> Vec<(String, Secret)> {
        let secrets = self.document.secrets.iter();
        secrets.filter(|(key, _)| is_within(key, &self.name)).cloned().collect()
    }
}

fn line_of(text: &str, at: usize) -> usize {
    1 + text.get(..at).unwrap_or(text).matches('\n').count()
}

/// Returns whether `key` is `outer` or in it.
pub fn is_within(key: &str, outer: &str) -> bool {
    key.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn full_key(table: &str, key: &str) -> String {
    if table.is_empty() { key.to_owned() } else { format!("{table}.{key}") }
}

/// Returns the position of `key`. The names in it may have dots. An item of a list is named by its number.
fn position(value: &DeValue<'_>, key: &str) -> Option<usize> {
    let within = |name: &str, at: usize, value: &Spanned<DeValue<'_>>| {
        let rest = key.strip_prefix(name)?;
        match rest.strip_prefix('.') {
            None if rest.is_empty() => Some(at),
            rest => position(value.get_ref(), rest?),
        }
    };
    match value {
        DeValue::Table(table) => {
            table.iter().find_map(|(name, value)| within(name.get_ref(), name.span().start, value))
        }
        DeValue::Array(items) => (1..)
            .zip(items.iter())
            .find_map(|(number, item)| within(&format!("{number}"), item.span().start, item)),
        _ => None,
    }
}

/// Takes out the innermost key that an error at `span` is about. Returns the key, its position, and whether the error is about an
/// item of its list.
fn take_out(table: &mut DeTable<'_>, span: &Range<usize>) -> Option<(String, usize, bool)> {
    for (name, value) in table.iter_mut() {
        if let DeValue::Table(inner) = value.get_mut()
            && let Some((key, at, is_item)) = take_out(inner, span)
        {
            return Some((format!("{}.{key}", name.get_ref()), at, is_item));
        }
    }
    let holds = |outer: Range<usize>| outer.start <= span.start && span.end <= outer.end;
    let (name, value) =
        table.iter().find(|(name, value)| holds(name.span()) || holds(value.span()))?;
    let is_item = value.get_ref().is_array() && value.span() != *span && !holds(name.span());
    let (key, at) = (name.get_ref().to_string(), name.span().start);
    table.remove(key.as_str());
    Some((key, at, is_item))
}

/// Returns what serde complains about without the value that it repeats.
fn in_words(message: &str) -> String {
    // What toml says of anything but a name in a closed set.
    if message.starts_with("wanted ") {
        return "must be a string".to_owned();
    }
    let Some((before, expected)) = message.rsplit_once(", expected ") else {
        return message.to_owned();
    };
    if let Some(unknown) = before.strip_prefix("unknown field `") {
        let unknown = unknown.trim_end_matches('`').to_lowercase();
        if unknown.starts_with("$__toml") {
            return "must not be a date or a time".to_owned();
        }
        return match nearest(&unknown, expected) {
            Some(key) => format!("is unknown; did you mean `{key}`?"),
            None => "is unknown".to_owned(),
        };
    }
    if let Some(unknown) = before.strip_prefix("unknown variant `")
        && let Some(name) = nearest(&unknown.to_lowercase(), expected)
    {
        return format!("must be {expected}; did you mean `{name}`?");
    }
    match expected {
        "a boolean" => "must be true or false".to_owned(),
        "a sequence" => "must be a list".to_owned(),
        expected => format!("must be {expected}"),
    }
}

/// Returns which of the names that serde expected is meant by `unknown`, if one is likely.
fn nearest<'e>(unknown: &str, expected: &'e str) -> Option<&'e str> {
    let known = expected.split('`').skip(1).step_by(2);
    let known = known.map(|name| (strsim::jaro_winkler(name, unknown), name));
    let (similarity, name) = known.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (similarity > SIMILAR).then_some(name)
}

/// Returns the keys of a table that is read as a `T`: serde lists them if one is unknown.
pub fn keys_of<T: DeserializeOwned>() -> Vec<String> {
    let unknown = Deserializer::parse("_ = 0").map(T::deserialize);
    let message = unknown.ok().and_then(Result::err).map(|error| error.message().to_owned());
    let message = message.unwrap_or_default();
    message.split('`').skip(3).step_by(2).map(str::to_owned).collect()
}

/// Returns why `text` isn't TOML, without any value of it.
fn syntax_problem(text: &str, error: &toml::de::Error) -> String {
    // Only the first line of the message: what follows may show the source.
    let message = error.message().lines().next().unwrap_or_default();
    let span = error.span().unwrap_or_default();
    if message == "duplicate key"
        && let Some(first) = first_of_duplicate(text, &span)
    {
        let (key, line) = (&text[span], line_of(text, first));
        return format!("not TOML: `{key}` is there already, on line {line}");
    }
    let line = text.lines().nth(line_of(text, span.start) - 1).unwrap_or_default();
    if line.contains(['“', '”', '‘', '’']) {
        return format!(
            "not TOML: {message}; type straight quotes (\" or ') instead of curly ones"
        );
    }
    let value = line.split_once('=').map_or("", |(_, value)| value.trim_start());
    if value.starts_with(char::is_alphabetic) {
        return format!("not TOML: {message}; a text needs quotation marks, as in key = \"text\"");
    }
    format!("not TOML: {message}")
}

/// Returns the position of the key that `span` repeats. It is beside the repeated one, once that has another name.
fn first_of_duplicate(text: &str, span: &Range<usize>) -> Option<usize> {
    fn sibling(table: &DeTable<'_>, at: usize, name: &str) -> Option<usize> {
        if table.keys().any(|key| key.span().start == at) {
            return table.keys().find(|key| key.get_ref() == name).map(|key| key.span().start);
        }
        let inner = table.values().filter_map(|value| value.get_ref().as_table());
        inner.into_iter().find_map(|inner| sibling(inner, at, name))
    }
    let mut renamed = text.to_owned();
    renamed.replace_range(span.clone(), &"_".repeat(span.len()));
    let (root, _) = DeTable::parse_recoverable(&renamed);
    sibling(root.get_ref(), span.start, text[span.clone()].trim_matches(['"', '\'']))
}
