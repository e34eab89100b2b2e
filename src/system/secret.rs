//! Secrets of the settings: given as they are, or by the name of an environment variable or a file.

use std::fmt;
use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};

use crate::system::small_file;

/// Where a secret comes from. It is looked up only by a command that needs it; its Debug shows no secret.
#[derive(Debug, Clone)]
pub enum Secret {
    /// The secret itself stands in the settings.
    Literal(SecretString),
    /// An environment variable holds it.
    Environment(String),
    /// A file holds it; one line end at its end is dropped.
    File(PathBuf),
}

/// Why a secret can't be looked up.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The environment variable is not there.
    #[error("the environment variable {0} is not set")]
    NotSet(String),
    /// The file can't be read.
    #[error("the file {path} can't be read: {source}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The place holds nothing.
    #[error("{0} is empty")]
    Empty(String),
    /// What the place holds can't stand in the header of a request.
    #[error("it holds a character that no header of a request can have")]
    Unsendable,
    /// The place holds something other than UTF-8 text.
    #[error("{0} is not UTF-8 text")]
    NotText(String),
}

impl Secret {
    /// Returns the name of the environment variable that holds it, if one does.
    pub fn variable(&self) -> Option<&str> {
        match self {
            Self::Environment(name) => Some(name),
            Self::Literal(_) | Self::File(_) => None,
        }
    }

    /// Returns the secret.
    ///
    /// # Errors
    /// The variable or file is missing, empty or not UTF-8.
    pub fn reveal(&self) -> Result<SecretString, SecretError> {
        let place = self.to_string();
        let secret = match self {
            Self::Literal(secret) => secret.clone(),
            Self::Environment(name) => match std::env::var(name) {
                Ok(value) => value.into(),
                Err(std::env::VarError::NotPresent) => {
                    return Err(SecretError::NotSet(name.clone()));
                }
                Err(std::env::VarError::NotUnicode(_)) => return Err(SecretError::NotText(place)),
            },
            Self::File(path) => {
                let bytes = small_file::read(path).map_err(|source| SecretError::Unreadable {
                    path: path.display().to_string(),
                    source,
                })?;
                let text =
                    String::from_utf8(bytes).map_err(|_| SecretError::NotText(place.clone()))?;
                let line = text.strip_suffix('\n').unwrap_or(&text);
                line.strip_suffix('\r').unwrap_or(line).into()
            }
        };
        if secret.expose_secret().is_empty() {
            return Err(SecretError::Empty(place));
        }
        Ok(secret)
    }
}

impl fmt::Display for Secret {
    /// Writes where the secret comes from.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(_) => formatter.write_str("the value in the settings file"),
            Self::Environment(name) => write!(formatter, "the environment variable {name}"),
            Self::File(path) => write!(formatter, "the file {}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_end_at_the_end_of_a_file_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        for (content, expected) in [
            ("s3cret", "s3cret"),
            ("s3cret\n", "s3cret"),
            ("s3cret\r\n", "s3cret"),
            ("s\n\n", "s\n"),
        ] {
            std::fs::write(&path, content).unwrap();
            let secret = Secret::File(path.clone()).reveal().unwrap();
            assert_eq!(secret.expose_secret(), expected);
        }
        std::fs::write(&path, "\n").unwrap();
        assert!(matches!(Secret::File(path.clone()).reveal(), Err(SecretError::Empty(_))));
        std::fs::write(&path, b"\xff").unwrap();
        assert!(matches!(Secret::File(path).reveal(), Err(SecretError::NotText(_))));
    }

    #[test]
    fn debug_and_display_show_no_secret() {
        let secret = Secret::Literal("s3cret".into());
        assert!(!format!("{secret:?} {secret}").contains("s3cret"));
    }
}
