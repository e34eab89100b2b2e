//! Where the settings and their secrets go.

use std::io;
use std::path::{Path, PathBuf};

use crate::exit::Error;
use crate::settings::FILE_NAME;
use crate::system::new_file;

/// Where the settings go.
pub(super) struct Target {
    /// The settings file.
    pub(super) path: PathBuf,
    /// The path that was given, if it isn't the usual one.
    pub(super) config: Option<PathBuf>,
}

impl Target {
    /// Returns the target at `config`, or in the working directory.
    pub(super) fn new(config: Option<PathBuf>) -> Self {
        Self { path: config.clone().unwrap_or_else(|| FILE_NAME.into()), config }
    }

    /// Returns the path of the file of the secret `key`.
    pub(super) fn secret_file(&self, key: &str) -> PathBuf {
        let mut name = self.path.file_stem().unwrap_or_default().to_owned();
        name.push(".");
        name.push(key.strip_prefix("options.").unwrap_or(key));
        self.path.with_file_name(name)
    }
}

/// Checks that a file can be created at `path`.
///
/// # Errors
/// Returns an error if there is something already, or if this user can't write there.
pub(super) fn check(path: &Path) -> Result<(), Error> {
    new_file::check(path).map_err(|error| unwritable(path, error))
}

/// Writes all `files`, or none of them.
///
/// # Errors
/// Returns an error if one of them is there already or can't be written.
pub(super) fn write(files: &[(PathBuf, String)]) -> Result<(), Error> {
    for (index, (path, text)) in files.iter().enumerate() {
        if let Err(error) = new_file::create(path, text.as_bytes()) {
            for (written, _) in &files[..index] {
                // The first error matters more.
                let _ = std::fs::remove_file(written);
            }
            return Err(unwritable(path, error));
        }
    }
    Ok(())
}

fn unwritable(path: &Path, error: io::Error) -> Error {
    let path = path.display();
    match error.kind() {
        io::ErrorKind::AlreadyExists => {
            Error::usage(format!("{path} is there already, and init overwrites nothing"))
                .with_hint("move it away, or name another settings file with --config")
        }
        _ => Error::failed(format!("{path} can't be written: {error}")).caused_by(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_files_are_written_or_none() {
        let folder = tempfile::tempdir().unwrap();
        let target = Target::new(Some(folder.path().join("a.toml")));
        let secret = target.secret_file("options.secret");
        assert_eq!(secret, folder.path().join("a.secret"));
        let files = [(secret.clone(), "s".to_owned()), (target.path.clone(), "t".to_owned())];
        std::fs::write(&target.path, "precious").unwrap();
        let error = write(&files).unwrap_err().to_string();
        assert!(error.contains("a.toml is there already") && !secret.exists(), "{error}");
        std::fs::remove_file(&target.path).unwrap();
        write(&files).unwrap();
        assert!(secret.exists() && target.path.exists());
    }
}
