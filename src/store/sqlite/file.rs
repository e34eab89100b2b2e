//! The file of a database and the files beside it, as they look without SQLite.

use std::fs::File;
use std::io::{self, Read};
use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::{Access, access};
use rustix::io::Errno;
use url::Url;

use crate::store::error::StoreError;

/// How the names of the files end that SQLite puts beside a database.
pub(super) const BESIDE: [&str; 3] = ["-wal", "-shm", "-journal"];

/// Returns the directory of the database at `path`, or an error if it doesn't exist: no command creates it.
pub(super) fn directory_of(path: &Path) -> Result<&Path, StoreError> {
    let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty());
    let directory = directory.unwrap_or(Path::new("."));
    if directory.exists() {
        return Ok(directory);
    }
    let problem = format!("its directory {} does not exist", directory.display());
    Err(StoreError::new(problem, "create the directory, or correct the path"))
}

/// The beginning of a file, as "Database File Format" describes it in sections 1.3.1 to 1.3.3.
pub(super) struct Header(Vec<u8>);

impl Header {
    /// Reads the header of the file at `path`. This is the only place that opens a database other than through SQLite.
    pub(super) fn read(path: &Path) -> io::Result<Self> {
        let mut header = Vec::new();
        // If a process closes any descriptor of a file, it loses all its locks on the file, those of SQLite's connections
        // included (fcntl(2), "Advisory record locking"). So this one stays open.
        let file = ManuallyDrop::new(File::open(path)?);
        (&*file).take(20).read_to_end(&mut header)?;
        Ok(Self(header))
    }

    /// Returns whether the file is an SQLite database. One without content is.
    pub(super) fn is_database(&self) -> bool {
        self.0.is_empty() || self.0.starts_with(b"SQLite format 3\0")
    }

    /// Returns whether the database is in WAL mode, which the two version numbers of the file format show.
    pub(super) fn is_wal(&self) -> bool {
        self.0.get(18..20) == Some(&[2, 2])
    }
}

/// Returns the path of a file that SQLite puts beside the database at `path`; `suffix` is one of [`BESIDE`].
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Returns whether the database at `path` has a write-ahead log with content.
pub(super) fn has_log(path: &Path) -> bool {
    beside(path, "-wal").metadata().is_ok_and(|log| log.len() > 0)
}

/// Returns why the database at `file`, which isn't a link, can't be written, if so. SQLite also needs files beside it to write.
pub(super) fn write_obstacle(file: &Path) -> Option<String> {
    let obstacle = |what: &str, path: &Path, needed| match access(path, needed) {
        Ok(()) | Err(Errno::NOENT) => None,
        Err(error) => Some(format!("{what} can't be written: {error}")),
    };
    let directory = file.parent().unwrap_or(file);
    let of_file_beside = |suffix| {
        let path = beside(file, suffix);
        let name = path.file_name().unwrap_or_default().display().to_string();
        obstacle(&format!("the file {name} beside it"), &path, Access::WRITE_OK)
    };
    obstacle("the file", file, Access::WRITE_OK)
        .or_else(|| obstacle("its directory", directory, Access::WRITE_OK | Access::EXEC_OK))
        .or_else(|| BESIDE.into_iter().find_map(of_file_beside))
}

/// Returns whether the whole database is in this file, because no log is in use or left over.
fn is_whole(file: &Path) -> bool {
    let is_in_use = beside(file, "-wal").exists() && beside(file, "-shm").exists();
    !(has_log(file) || is_in_use)
}

/// Returns a URI that opens the database in WAL mode at `file`, which isn't a link, only to read it, and creates no files beside
/// it. Such files belong to the user who reads, and could keep a user who may write the database from writing. `is_whole` says
/// that the whole database is in this file; then it is read without a lock.
pub(super) fn untouched_uri(file: &Path, is_whole: bool) -> String {
    let mut uri = Url::from_file_path(file).expect("a path without links is absolute");
    uri.set_query(Some(if is_whole { "immutable=1" } else { "readonly_shm=1" }));
    uri.into()
}

/// The time of the last change and the size of a file, which show whether it was written.
pub(super) type Stamp = (SystemTime, u64);

/// Returns the stamp of the database in WAL mode at `file`, which isn't a link. Returns None if the database isn't whole in this
/// file.
pub(super) fn stamp_if_whole(file: &Path) -> Option<Stamp> {
    let metadata = file.metadata().ok().filter(|_| is_whole(file))?;
    Some((metadata.modified().ok()?, metadata.len()))
}
