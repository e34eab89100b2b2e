//! Secrets of the settings: given literally, or by the name of an environment variable or a file.

use std::env::VarError;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use std::{fmt, io};

use secrecy::{ExposeSecret, SecretString};
use serde::de::{Error, IntoDeserializer};
use serde::{Deserialize, Deserializer};
use toml::Value;

use crate::model::values::parsed;
use crate::system::small_file;

/// How long a pipe or a device may take to deliver a secret.
const PATIENCE: Duration = Duration::from_secs(5);

/// A secret and where it comes from. Only a command that needs it looks it up, and only once. Its Debug output hides it.
#[derive(Debug, Clone)]
pub struct Secret {
    place: Place,
    /// The secret. All clones share it once one of them was looked up.
    value: Arc<OnceLock<SecretString>>,
}

#[derive(Debug, Clone)]
enum Place {
    Settings,
    Variable(String),
    File(PathBuf),
}

/// Why a secret can't be looked up.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// There is no such environment variable.
    #[error("the environment variable {0} is not set")]
    NotSet(String),
    /// The file can't be read.
    #[error("{0} can't be read: {1}")]
    Unreadable(String, #[source] io::Error),
    /// The place holds nothing.
    #[error("{0} is empty")]
    Empty(String),
    /// The place holds a character that the header of a request can't have.
    #[error("it holds a character that no header of a request can have")]
    Unsendable,
    /// The place holds something that isn't UTF-8 text.
    #[error("{0} is not UTF-8 text")]
    NotText(String),
}

impl Secret {
    /// Returns the secret `text`, which the settings hold literally.
    pub fn literal(text: String) -> Self {
        Self { place: Place::Settings, value: Arc::new(OnceLock::from(SecretString::from(text))) }
    }

    /// Returns this secret with its file relative to `directory`.
    pub fn within(self, directory: &Path) -> Self {
        match self.place {
            Place::File(path) => Self::at(Place::File(directory.join(path))),
            _ => self,
        }
    }

    fn at(place: Place) -> Self {
        Self { place, value: Arc::default() }
    }

    /// Returns whether the settings hold the secret literally.
    pub fn is_literal(&self) -> bool {
        matches!(self.place, Place::Settings)
    }

    /// Returns the environment variable that holds it, if one does.
    pub fn variable(&self) -> Option<&str> {
        if let Place::Variable(name) = &self.place { Some(name) } else { None }
    }

    /// Returns the file that holds it, if one does.
    pub fn file(&self) -> Option<&Path> {
        if let Place::File(path) = &self.place { Some(path) } else { None }
    }

    /// Returns whether the secret was looked up and is in quotation marks, which belong to it and are hardly meant.
    pub fn is_quoted(&self) -> bool {
        let value = self.value.get().map(ExposeSecret::expose_secret).unwrap_or_default();
        let is_within = |mark| value.len() > 1 && value.starts_with(mark) && value.ends_with(mark);
        is_within('"') || is_within('\'')
    }

    /// Looks the secret up. White space, line ends and a byte order mark around it are dropped.
    ///
    /// # Errors
    /// Returns an error if the variable or file is missing, empty or not UTF-8.
    pub fn reveal(&self) -> Result<&SecretString, SecretError> {
        if self.value.get().is_none() {
            let found = self.look_up()?;
            self.value.get_or_init(|| found);
        }
        let value = self.value.get().filter(|value| !value.expose_secret().is_empty());
        value.ok_or_else(|| SecretError::Empty(self.to_string()))
    }

    fn look_up(&self) -> Result<SecretString, SecretError> {
        let not_text = || SecretError::NotText(self.to_string());
        match &self.place {
            Place::Settings => Ok(SecretString::default()),
            Place::Variable(name) => match std::env::var(name) {
                Ok(value) => Ok(trimmed(&value).into()),
                Err(VarError::NotPresent) => Err(SecretError::NotSet(name.clone())),
                Err(VarError::NotUnicode(_)) => Err(not_text()),
            },
            Place::File(path) => {
                let unreadable = |error| SecretError::Unreadable(self.to_string(), error);
                let bytes = small_file::read_within(path, PATIENCE).map_err(unreadable)?;
                let text = String::from_utf8(bytes).map_err(|_| not_text())?;
                Ok(trimmed(&text).into())
            }
        }
    }

    /// Returns the secret after it was looked up.
    ///
    /// # Panics
    /// Panics if [`Secret::reveal`] wasn't called before.
    pub fn expose(&self) -> &str {
        self.value.get().expect("a secret that was looked up").expose_secret()
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let problem = "must be a string, { env = \"NAME\" } or { file = \"PATH\" }";
        let (key, value) = match Value::deserialize(deserializer)? {
            Value::Table(table) if table.len() == 1 => table.into_iter().next().unzip(),
            value => (None, Some(value)),
        };
        let make: fn(String) -> Self = match key.as_deref() {
            None => |text| Self::literal(trimmed(&text).to_owned()),
            Some("env") => |name| Self::at(Place::Variable(name)),
            Some("file") => |path| Self::at(Place::File(path.into())),
            Some(_) => return Err(D::Error::custom(problem)),
        };
        match value {
            Some(Value::String(text)) => {
                parsed(text.into_deserializer(), |text| Ok::<_, String>(make(text.to_owned())))
            }
            _ => Err(D::Error::custom(problem)),
        }
    }
}

impl fmt::Display for Secret {
    /// Writes where the secret comes from.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Settings => formatter.write_str("the value in the settings file"),
            Place::Variable(name) => write!(formatter, "the environment variable {name}"),
            Place::File(path) => write!(formatter, "the file {}", path.display()),
        }
    }
}

/// Returns `text` without what an editor, a shell or a form may have put around a secret.
fn trimmed(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the secret whose settings hold `value`, in `directory`.
    fn read(value: Value, directory: &Path) -> Secret {
        Secret::deserialize(value).unwrap().within(directory)
    }

    #[test]
    fn what_is_around_a_secret_is_dropped_whatever_its_form() {
        let folder = tempfile::tempdir().unwrap();
        let file = || read(toml::toml! { file = "secret" }.into(), folder.path());
        for (content, expected) in [
            ("s3cret", "s3cret"),
            ("s3cret\n", "s3cret"),
            ("s3cret\r\n", "s3cret"),
            ("s\n\n", "s"),
            (" \t\u{a0}s 3\u{2028}\n", "s 3"),
            ("\u{feff}s3cret\u{feff}\r\n", "s3cret"),
            (" \"s\" ", "\"s\""),
        ] {
            std::fs::write(folder.path().join("secret"), content).unwrap();
            for secret in [file(), read(content.into(), folder.path())] {
                assert_eq!(secret.reveal().unwrap().expose_secret(), expected, "{content:?}");
                assert_eq!(secret.clone().expose(), expected);
            }
        }
        for empty in ["", "\n", " \u{feff}\t\r\n"] {
            std::fs::write(folder.path().join("secret"), empty).unwrap();
            assert!(matches!(file().reveal(), Err(SecretError::Empty(_))), "{empty:?}");
        }
        std::fs::write(folder.path().join("secret"), b"\xff").unwrap();
        assert!(matches!(file().reveal(), Err(SecretError::NotText(_))));
    }

    #[test]
    fn quotation_marks_are_around_a_secret_only_as_a_pair() {
        for (secret, is_quoted) in [
            ("'s'", true),
            ("\"s\"", true),
            ("''", true),
            ("'", false),
            ("'s", false),
            ("s\"", false),
            ("'s\"", false),
            ("s", false),
        ] {
            assert_eq!(Secret::literal(secret.into()).is_quoted(), is_quoted, "{secret}");
        }
    }

    #[test]
    fn debug_and_display_show_no_secret() {
        let secret = Secret::literal("s3cret".into());
        assert!(!format!("{secret:?} {secret}").contains("s3cret"));
    }
}
