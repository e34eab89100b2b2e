//! The text of a settings file, and what is wrong with it.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::Table;
use crate::system::secret::Secret;

/// The most errors that are told: with so many it is hardly a settings file, and finding each means reading it all again.
const MAX_ERRORS: usize = 50;

/// What is wrong with a settings file, and where.
#[derive(Debug, thiserror::Error)]
#[error("{}, line {line}: {problem}", file.display())]
pub struct TableError {
    /// The settings file.
    pub file: PathBuf,
    /// The line, counted from 1.
    pub line: usize,
    /// The key with the tables that it stands in; empty where the file is no TOML.
    pub key: String,
    /// The key and what is wrong with it.
    pub problem: String,
}

/// The text of a settings file.
pub struct Document {
    file: PathBuf,
    text: String,
    has_literal_secret: Cell<bool>,
    /// The secrets that were read and stand elsewhere, with the keys that name the place.
    secrets: RefCell<Vec<(String, Secret)>>,
    /// The keys whose errors were found, with the tables that they stand in: treated as if they were not there.
    left_out: RefCell<BTreeSet<String>>,
}

impl Document {
    /// Returns the document of `file`, whose content is `text`.
    pub fn new(file: PathBuf, text: String) -> Self {
        Self {
            file,
            text,
            has_literal_secret: Cell::default(),
            secrets: RefCell::default(),
            left_out: RefCell::default(),
        }
    }

    /// Returns whether a secret that was read stands in the document itself.
    pub fn has_literal_secret(&self) -> bool {
        self.has_literal_secret.get()
    }

    /// Returns the secrets that were read and stand in an environment variable or a file, with the keys that name the place.
    pub fn secrets_elsewhere(&self) -> Vec<(String, Secret)> {
        self.secrets.borrow().clone()
    }

    /// Parses the document and lets `read` read its root table.
    ///
    /// # Errors
    /// The document is no TOML, `read` fails, or a key is left that `read` did not ask for. The document is then read again
    /// without the key of the error, for what else is wrong; a key that has to be there ends that unless it has a stand-in
    /// ([`Table::unless_told`]).
    pub fn read<T>(
        &self,
        read: impl Fn(&Table<'_>) -> Result<T, TableError>,
    ) -> Result<T, Vec<TableError>> {
        let root = DeTable::parse(&self.text).map_err(|error| {
            // Only the first line of the message: what follows may show the source.
            let message = error.message().lines().next().unwrap_or_default().to_owned();
            let at = error.span().map_or(0, |span| span.start);
            vec![self.error(at, String::new(), format!("not TOML: {message}"))]
        })?;
        let mut errors: Vec<TableError> = Vec::new();
        loop {
            let table = Table {
                document: self,
                name: String::new(),
                start: 0,
                entries: root.get_ref(),
                known: RefCell::default(),
            };
            let error = match read(&table).and_then(|value| table.finish().map(|()| value)) {
                Ok(value) if errors.is_empty() => return Ok(value),
                Ok(_) => return Err(errors),
                Err(error) => error,
            };
            let is_new = self.left_out.borrow_mut().insert(error.key.clone());
            if !is_new || errors.len() == MAX_ERRORS {
                return Err(errors);
            }
            let within = [&error.key, "."].concat();
            if !errors.iter().any(|told| told.key.starts_with(&within)) {
                errors.push(error);
            }
        }
    }

    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// Takes note that a secret stands in the document itself.
    pub(super) fn note_literal_secret(&self) {
        self.has_literal_secret.set(true);
    }

    /// Takes note that the table `key` tells where `secret` stands.
    pub(super) fn note_secret(&self, key: &str, secret: &Secret) {
        self.secrets.borrow_mut().push((key.to_owned(), secret.clone()));
    }

    /// Returns whether `key` is to be taken as if it were not there.
    pub(super) fn leaves_out(&self, key: &str) -> bool {
        self.left_out.borrow().contains(key)
    }

    pub(super) fn error(&self, at: usize, key: String, problem: String) -> TableError {
        let before = self.text.get(..at).unwrap_or(&self.text);
        let line = 1 + before.bytes().filter(|byte| *byte == b'\n').count();
        TableError { file: self.file.clone(), line, key, problem }
    }
}

impl Table<'_> {
    /// Returns `value`, or the `stand_in` where an error of one of `keys` is told: then nothing but further errors is looked
    /// for, and nobody gets what is read.
    ///
    /// # Errors
    /// That of `value`.
    pub fn unless_told<T>(
        &self,
        keys: &[&str],
        value: Result<T, TableError>,
        stand_in: T,
    ) -> Result<T, TableError> {
        let is_told = keys.iter().any(|key| self.is_left_out(key));
        value.or_else(|error| if is_told { Ok(stand_in) } else { Err(error) })
    }

    /// Returns the `value` of a key that has to be there, or the `stand_in` where its error is told.
    ///
    /// # Errors
    /// It is missing.
    pub fn required<T>(
        &self,
        key: &str,
        value: Option<T>,
        stand_in: impl Into<T>,
    ) -> Result<T, TableError> {
        self.unless_told(&[key], value.ok_or_else(|| self.missing(key)), stand_in.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_that_is_wrong_is_told_once() {
        let text = "a = 10\nb = \"x\"\nbb = 1\ns = { env = 1 }\n[t]\nc = 0\nd = 1\n";
        let document = Document::new("settings.toml".into(), text.to_owned());
        let errors = document.read(|root| {
            root.integer("a", 1..=9)?;
            root.secret("s")?;
            root.table("t", |table| table.integer("c", 1..=9))?;
            root.boolean("b")
        });
        let keys: Vec<_> = errors.unwrap_err().into_iter().map(|error| error.key).collect();
        assert_eq!(keys, ["a", "s.env", "t.c", "t.d", "b", "bb"]);
    }

    #[test]
    fn a_key_that_is_missing_is_told_once_and_hides_nothing() {
        let document = Document::new("settings.toml".into(), "a = 10\nb = 1\n".to_owned());
        let errors = document.read(|root| {
            for key in ["b", "c"] {
                root.required_text(key)?;
            }
            root.integer("a", 1..=9)
        });
        let keys: Vec<_> = errors.unwrap_err().into_iter().map(|error| error.key).collect();
        assert_eq!(keys, ["b", "c", "a"]);
    }

    #[test]
    fn a_syntax_error_shows_its_line_and_no_source() {
        let text = "a = 1\nsecret = \"s3cret\nb = 2\n".to_owned();
        let errors = Document::new("dir/settings.toml".into(), text).read(|_| Ok(())).unwrap_err();
        let error = errors[0].to_string();
        assert!(error.starts_with("dir/settings.toml, line 2: not TOML: "), "{error}");
        assert!(!error.contains("s3cret"), "{error}");
    }
}
