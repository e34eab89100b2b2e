//! The password file: a line `HOST:PORT:DBNAME:USER:PASSWORD` for each login.

use std::io;
use std::path::{Path, PathBuf};

use secrecy::SecretString;

use super::files::{self, READ_HINT};
use crate::store::error::StoreError;
use crate::system::access::Access;
use crate::system::small_file;

const WHAT: &str = "password file";

/// What a line of the password file has to be for.
#[derive(Debug)]
pub(super) struct Login<'a> {
    /// The names that the host goes by.
    pub(super) hosts: Vec<&'a str>,
    pub(super) port: String,
    pub(super) dbname: &'a str,
    pub(super) user: &'a str,
}

/// The lines of a password file.
#[derive(Default)]
pub(super) struct Passwords(String);

impl Passwords {
    /// Reads the file at `path`, or else the one in `home`, if there is one. Adds why a file is ignored to `warnings`.
    pub(super) fn read(
        path: Option<&str>,
        home: Option<&Path>,
        warnings: &mut Vec<StoreError>,
    ) -> Result<Self, StoreError> {
        let default = || home.map(|home| home.join(".pgpass")).filter(|path| path.exists());
        let Some(path) = path.map(PathBuf::from).or_else(default) else {
            return Ok(Self::default());
        };
        match read(&path) {
            Ok(bytes) => Ok(Self(files::text(WHAT, &path, bytes)?)),
            Err((why, hint)) => {
                let problem = format!("{WHAT} {} is ignored, because {why}", path.display());
                warnings.push(StoreError::new(problem, hint));
                Ok(Self::default())
            }
        }
    }

    /// Returns the password of the first line that is for `login`.
    pub(super) fn find(&self, login: &Login<'_>) -> Option<SecretString> {
        let mut lines = self.0.lines().filter(|line| !line.starts_with('#'));
        let password = lines.find_map(|line| password_in(line, login))?;
        (!password.is_empty()).then(|| password.into())
    }
}

/// Returns the content of the file at `path`, or why it has to be ignored and what to do: no password may be needed.
fn read(path: &Path) -> Result<Vec<u8>, (String, &'static str)> {
    let unreadable = |error: io::Error| (format!("it can't be read: {error}"), READ_HINT);
    let file = small_file::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(("it isn't a plain file".to_owned(), "name a plain file as passfile"));
    }
    let access = Access::from(&metadata);
    if !access.is_private() {
        return Err((format!("others have access to it ({access})"), "chmod 600 it"));
    }
    small_file::read(file).map_err(unreadable)
}

fn password_in(line: &str, login: &Login<'_>) -> Option<String> {
    let mut rest = line;
    for accepted in [&login.hosts[..], &[&login.port], &[login.dbname], &[login.user]] {
        let (field, after) = split_field(rest);
        if !rest.starts_with("*:") && !accepted.contains(&field.as_str()) {
            return None;
        }
        rest = after;
    }
    Some(split_field(rest).0)
}

/// Splits `line` at its first `:`. A backslash takes away the meaning of the character after it.
fn split_field(line: &str) -> (String, &str) {
    let mut field = String::new();
    let mut characters = line.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            ':' => return (field, &line[at + 1..]),
            '\\' => field.push(characters.next().map_or(c, |(_, escaped)| escaped)),
            _ => field.push(c),
        }
    }
    (field, "")
}
