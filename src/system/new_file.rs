//! New files, which replace nothing that is there.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use rustix::fs::{Access, access};

/// Checks that there is nothing at `path`, and that this user can create a file there.
///
/// # Errors
/// Returns an error of the kind `AlreadyExists` if there is something, and others if the directory can't be written.
pub fn check(path: &Path) -> io::Result<()> {
    if path.symlink_metadata().is_ok() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    Ok(access(directory_of(path), Access::WRITE_OK | Access::EXEC_OK)?)
}

/// Writes `content` to a new file at `path`, which only its owner can read: whole or not at all, and never through a link.
///
/// # Errors
/// Returns an error of the kind `AlreadyExists` if there is anything at `path`, and others if the file can't be written.
pub fn create(path: &Path, content: &[u8]) -> io::Result<()> {
    let directory = directory_of(path);
    let mut file = tempfile::Builder::new()
        .prefix(".phone-verify-")
        .tempfile_in(directory)
        // The error itself names the temporary file, which means nothing to an operator.
        .map_err(|error| io::Error::from(error.kind()))?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    file.persist_noclobber(path).map_err(|error| error.error)?;
    // The directory's entry has to survive a power cut as well.
    File::open(directory)?.sync_all()
}

fn directory_of(path: &Path) -> &Path {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    directory.unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_new_file_is_private_and_replaces_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new");
        create(&path, b"first").unwrap();
        let mode = path.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let link = folder.path().join("link");
        symlink(folder.path().join("nowhere"), &link).unwrap();
        for taken in [&path, &link] {
            let error = create(taken, b"second").unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
            assert_eq!(check(taken).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        }
        assert!(check(&folder.path().join("other")).is_ok());
        assert!(check(&folder.path().join("nowhere/other")).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"first");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
