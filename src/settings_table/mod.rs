//! A TOML table that is read key by key. Every error names the file, the line and the key, and never a value, since a value
//! may be a secret; serde's own messages repeat values.

mod document;
mod tree;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::system::program::Program;
use crate::system::secret::Secret;

pub use document::{Document, TableError};
pub use tree::Tree;

/// One table of the document.
pub struct Table<'a> {
    document: &'a Document,
    name: String,
    start: usize,
    entries: &'a DeTable<'a>,
    known: RefCell<BTreeSet<String>>,
}

const SECRET_FORM: &str = "must be a string, { env = \"NAME\" } or { file = \"PATH\" }";

type Entry<'a> = &'a Spanned<DeValue<'a>>;

impl<'a> Table<'a> {
    /// Returns whether the key is there.
    pub fn has(&self, key: &str) -> bool {
        self.entry(key).is_some()
    }

    /// Returns the names of the keys, in alphabetical order.
    pub fn keys(&self) -> impl Iterator<Item = &'a str> + '_ {
        let keys = self.entries.keys().map(|key| key.get_ref().as_ref());
        keys.filter(|key| !self.is_left_out(key))
    }

    /// Returns the text at `key`, if there is one.
    ///
    /// # Errors
    /// The value is no string, or an empty one.
    pub fn text(&self, key: &str) -> Result<Option<&'a str>, TableError> {
        let Some(entry) = self.entry(key) else { return Ok(None) };
        match entry.get_ref().as_str() {
            Some("") => Err(self.error(key, "must not be empty")),
            Some(text) if text.contains('\0') => Err(self.error(key, "must hold no NUL character")),
            Some(text) => Ok(Some(text)),
            None => Err(self.error(key, "must be a string")),
        }
    }

    /// Returns the text at `key`.
    ///
    /// # Errors
    /// The key is missing, or the value is no string, or an empty one.
    pub fn required_text(&self, key: &str) -> Result<&'a str, TableError> {
        self.required(key, self.text(key)?, "")
    }

    /// Returns the text at `key` as `parse` understands it, if there is one.
    ///
    /// # Errors
    /// The value is no string, or `parse` refuses it; its error must not repeat the value.
    pub fn parsed<T, E: ToString>(
        &self,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<T>, TableError> {
        self.text(key)?
            .map(|text| parse(text).map_err(|problem| self.error(key, &problem.to_string())))
            .transpose()
    }

    /// Returns the texts of the list at `key` as `parse` understands them, if there is one.
    ///
    /// # Errors
    /// The value is no list of strings, or an empty one, or `parse` refuses one of them; its error must not repeat it.
    pub fn parsed_list<T, E: ToString>(
        &self,
        key: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Result<Option<Vec<T>>, TableError> {
        let Some(entry) = self.entry(key) else { return Ok(None) };
        let items = entry.get_ref().as_array().filter(|items| items.iter().len() > 0);
        let items = items.ok_or_else(|| self.error(key, "must be a list of strings"))?;
        let item = |item: Entry<'_>| match item.get_ref().as_str() {
            Some(text) => parse(text).map_err(|problem| self.error(key, &problem.to_string())),
            None => Err(self.error(key, "must be a list of strings")),
        };
        items.iter().map(item).collect::<Result<_, _>>().map(Some)
    }

    /// Returns the whole number at `key`, if there is one.
    ///
    /// # Errors
    /// The value is no whole number, or out of `range`.
    pub fn integer(
        &self,
        key: &str,
        range: RangeInclusive<i64>,
    ) -> Result<Option<i64>, TableError> {
        let Some(entry) = self.entry(key) else { return Ok(None) };
        let problem = format!("must be a whole number {}", in_words(&range));
        let number = whole(entry, &range);
        number.map(Some).ok_or_else(|| self.error(key, &problem))
    }

    /// Returns the whole numbers of the list at `key`, if there is one.
    ///
    /// # Errors
    /// The value is no list of whole numbers, or one of them is out of `range`.
    pub fn integers(
        &self,
        key: &str,
        range: RangeInclusive<i64>,
    ) -> Result<Option<Vec<i64>>, TableError> {
        let Some(entry) = self.entry(key) else { return Ok(None) };
        let problem = format!("must be a list of whole numbers {}", in_words(&range));
        let numbers = entry
            .get_ref()
            .as_array()
            .and_then(|items| items.iter().map(|item| whole(item, &range)).collect());
        numbers.map(Some).ok_or_else(|| self.error(key, &problem))
    }

    /// Returns the time at `key`, if there is one: whole seconds, of one day at the most.
    ///
    /// # Errors
    /// The value is no whole number, or out of range.
    pub fn seconds(&self, key: &str) -> Result<Option<Duration>, TableError> {
        let seconds = self.integer(key, 1..=86_400)?;
        Ok(seconds.and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs))
    }

    /// Returns the boolean at `key`, if there is one.
    ///
    /// # Errors
    /// The value is neither true nor false.
    pub fn boolean(&self, key: &str) -> Result<Option<bool>, TableError> {
        let Some(entry) = self.entry(key) else { return Ok(None) };
        entry.get_ref().as_bool().map(Some).ok_or_else(|| self.error(key, "must be true or false"))
    }

    /// Returns the secret at `key`, if there is one: a string, `{ env = "NAME" }` or `{ file = "PATH" }`.
    ///
    /// # Errors
    /// The value has another form.
    pub fn secret(&self, key: &str) -> Result<Option<Secret>, TableError> {
        let Some(entry) = self.entry(key) else { return Ok(None) };
        if entry.get_ref().is_str() {
            self.document.note_literal_secret();
            return Ok(self.text(key)?.map(|text| Secret::Literal(text.into())));
        }
        if !entry.get_ref().is_table() {
            return Err(self.error(key, SECRET_FORM));
        }
        self.table_of(key, entry, Table::secret_elsewhere).map(Some)
    }

    /// Returns the secret whose place this table names: `env` or `file`.
    fn secret_elsewhere(&self) -> Result<Secret, TableError> {
        let secret = match (self.text("env")?, self.text("file")?) {
            (Some(name), None) => Secret::Environment(name.to_owned()),
            (None, Some(path)) => Secret::File(self.folder().join(path)),
            _ => {
                let problem = format!("`{}` {SECRET_FORM}", self.name);
                return Err(self.document.error(self.start, self.name.clone(), problem));
            }
        };
        self.document.note_secret(&self.name, &secret);
        Ok(secret)
    }

    /// Returns the program at `key`, if there is one: a list of its name or path and its arguments. A relative path starts from
    /// the settings file's folder.
    ///
    /// # Errors
    /// The value is no list of strings, or names no program.
    pub fn program(&self, key: &str) -> Result<Option<Program>, TableError> {
        let Some(entry) = self.entry(key) else { return Ok(None) };
        let words = entry.get_ref().as_array().and_then(|items| {
            items.iter().map(|item| item.get_ref().as_str().map(str::to_owned)).collect()
        });
        let program = words.and_then(|words| Program::new(words, self.folder()));
        let form = "must be a list of strings: a program and its arguments";
        program.map(Some).ok_or_else(|| self.error(key, form))
    }

    /// Lets `read` read the table at `key`, if there is one.
    ///
    /// # Errors
    /// The value is no table, `read` fails, or a key is left that `read` did not ask for.
    pub fn table<T>(
        &self,
        key: &str,
        read: impl FnOnce(&Table<'a>) -> Result<T, TableError>,
    ) -> Result<Option<T>, TableError> {
        self.entry(key).map(|entry| self.table_of(key, entry, read)).transpose()
    }

    fn table_of<T>(
        &self,
        key: &str,
        entry: Entry<'a>,
        read: impl FnOnce(&Table<'a>) -> Result<T, TableError>,
    ) -> Result<T, TableError> {
        let entries =
            entry.get_ref().as_table().ok_or_else(|| self.error(key, "must be a table"))?;
        let table = Table {
            document: self.document,
            name: self.full_name(key),
            start: entry.span().start,
            entries,
            known: RefCell::default(),
        };
        let value = read(&table)?;
        table.finish()?;
        Ok(value)
    }

    /// Lets `read` read the table at `key`, or an empty one where there is none.
    ///
    /// # Errors
    /// Those of [`Table::table`].
    pub fn table_or_empty<T>(
        &self,
        key: &str,
        read: impl FnOnce(&Table<'_>) -> Result<T, TableError>,
    ) -> Result<T, TableError> {
        if self.has(key) {
            return self.table(key, read)?.ok_or_else(|| self.missing(key));
        }
        let entries = DeTable::default();
        read(&Table {
            document: self.document,
            name: self.full_name(key),
            start: self.start,
            entries: &entries,
            known: RefCell::default(),
        })
    }

    /// Returns the folder of the settings file, which relative paths start from.
    pub fn folder(&self) -> &'a Path {
        self.document.file().parent().unwrap_or(Path::new(""))
    }

    /// Returns the error that `key` has this `problem`.
    pub fn error(&self, key: &str, problem: &str) -> TableError {
        let at = self
            .entries
            .iter()
            .find(|(name, _)| name.get_ref() == key)
            .map_or(self.start, |(name, _)| name.span().start);
        let key = self.full_name(key);
        let problem = format!("`{key}` {problem}");
        self.document.error(at, key, problem)
    }

    /// Returns the error that `key` is missing.
    pub fn missing(&self, key: &str) -> TableError {
        self.error(key, "is missing")
    }

    fn entry(&self, key: &str) -> Option<Entry<'a>> {
        self.known.borrow_mut().insert(key.to_owned());
        self.entries.get(key).filter(|_| !self.is_left_out(key))
    }

    fn is_left_out(&self, key: &str) -> bool {
        self.document.leaves_out(&self.full_name(key))
    }

    fn full_name(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }

    /// Refuses the first key, in the order of the file, that nobody asked for. It is called for every table that was read, and
    /// earlier where a missing key would hide an unknown one.
    ///
    /// # Errors
    /// There is such a key.
    pub fn finish(&self) -> Result<(), TableError> {
        let known = self.known.borrow();
        let unknown = self
            .entries
            .keys()
            .filter(|key| !known.contains(key.get_ref().as_ref()))
            .filter(|key| !self.is_left_out(key.get_ref()))
            .min_by_key(|key| key.span().start);
        let Some(unknown) = unknown else { return Ok(()) };
        let nearest = known
            .iter()
            .map(|key| (strsim::jaro_winkler(key, unknown.get_ref()), key))
            .filter(|(similarity, _)| *similarity > 0.8)
            .max_by(|a, b| a.0.total_cmp(&b.0));
        let problem = match nearest {
            Some((_, key)) => format!("is unknown; did you mean `{key}`?"),
            None => "is unknown".to_owned(),
        };
        Err(self.error(unknown.get_ref(), &problem))
    }
}

/// Returns the whole number that a value is, where it lies in `range`.
fn whole(value: Entry<'_>, range: &RangeInclusive<i64>) -> Option<i64> {
    let number = value.get_ref().as_integer()?;
    let number = i64::from_str_radix(number.as_str(), number.radix()).ok()?;
    range.contains(&number).then_some(number)
}

/// Returns `range` as an error has it.
fn in_words(range: &RangeInclusive<i64>) -> String {
    match (*range.start(), *range.end()) {
        (least, i64::MAX) => format!("of at least {least}"),
        (least, most) => format!("from {least} to {most}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: std::fmt::Debug>(
        text: &str,
        read: impl Fn(&Table<'_>) -> Result<T, TableError>,
    ) -> Result<T, String> {
        let document = Document::new("dir/settings.toml".into(), text.to_owned());
        document.read(read).map_err(|errors| errors[0].to_string())
    }

    #[test]
    fn an_error_names_file_line_and_key_but_not_the_value() {
        let error = read("a = 1\n[options]\nsid = 4711\n", |root| {
            root.integer("a", 0..=9)?;
            root.table("options", |options| options.required_text("sid").map(str::to_owned))
        })
        .unwrap_err();
        assert_eq!(error, "dir/settings.toml, line 3: `options.sid` must be a string");
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest_known_one() {
        let error = read("b = 1\ntoken_lenght = 6\n", |root| {
            root.integer("token_length", 1..=9)?;
            root.integer("b", 1..=9)
        });
        assert_eq!(
            error.unwrap_err(),
            "dir/settings.toml, line 2: `token_lenght` is unknown; did you mean `token_length`?"
        );
    }

    #[test]
    fn numbers_are_held_to_their_range() {
        for (text, fits) in [
            ("1", true),
            ("9", true),
            ("0", false),
            ("10", false),
            ("1.5", false),
            ("\"5\"", false),
        ] {
            let result = read(&format!("a = {text}"), |root| root.integer("a", 1..=9));
            assert_eq!(result.is_ok(), fits, "{text}: {result:?}");
        }
    }

    #[test]
    fn a_secret_has_three_forms() {
        let secret = |text: &str| read(&format!("s = {text}"), |root| root.secret("s"));
        assert!(matches!(secret("\"x\""), Ok(Some(Secret::Literal(_)))));
        assert!(matches!(secret("{ env = \"X\" }"), Ok(Some(Secret::Environment(_)))));
        let Ok(Some(Secret::File(path))) = secret("{ file = \"x\" }") else { panic!() };
        assert_eq!(path, Path::new("dir/x"));
        for bad in
            ["1", "{}", "{ env = 1 }", "{ env = \"X\", file = \"x\" }", "{ enf = \"X\" }", "\"\""]
        {
            assert!(secret(bad).is_err(), "{bad}");
        }
    }
}
