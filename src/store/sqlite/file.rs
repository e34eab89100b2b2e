//! The file of a database, and those beside it, as they look without being opened as a database.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::{Access, access};
use rustix::io::Errno;
use url::Url;

/// What the names of the files that SQLite puts beside a database end in.
pub(super) const BESIDE: [&str; 3] = ["-wal", "-shm", "-journal"];

/// Returns the folder of the database at `path`.
pub(super) fn folder_of(path: &Path) -> &Path {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

/// Returns the first bytes of a file.
fn start_of(path: &Path, length: u64) -> io::Result<Vec<u8>> {
    let mut start = Vec::new();
    File::open(path)?.take(length).read_to_end(&mut start)?;
    Ok(start)
}

/// Returns whether the file begins as an SQLite database does ("Database File Format", section 1.3).
pub(super) fn has_header(path: &Path) -> io::Result<bool> {
    const MAGIC: &[u8] = b"SQLite format 3\0";
    Ok(start_of(path, MAGIC.len() as u64)? == MAGIC)
}

/// Returns whether the database is in WAL mode: "Database File Format", section 1.3.3, the file format version numbers.
pub(super) fn is_wal(path: &Path) -> bool {
    start_of(path, 20).is_ok_and(|start| start.get(18..20) == Some(&[2, 2]))
}

/// Returns the path of a file that SQLite puts beside the database at `path`; `suffix` is one of [`BESIDE`].
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Returns whether there is a write-ahead log with content beside the database at `path`.
pub(super) fn has_log(path: &Path) -> bool {
    beside(path, "-wal").metadata().is_ok_and(|log| log.len() > 0)
}

/// Returns why the database at `file`, which isn't a link, can't be written, if so: SQLite puts files beside it while it writes.
pub(super) fn write_obstacle(file: &Path) -> Option<String> {
    let obstacle = |what: &str, path: &Path, needed| match access(path, needed) {
        Ok(()) | Err(Errno::NOENT) => None,
        Err(error) => Some(format!("{what} can't be written: {error}")),
    };
    let folder = file.parent().unwrap_or(file);
    let of_file_beside = |suffix| {
        let path = beside(file, suffix);
        let name = path.file_name().unwrap_or_default().display().to_string();
        obstacle(&format!("the file {name} beside it"), &path, Access::WRITE_OK)
    };
    obstacle("the file", file, Access::WRITE_OK)
        .or_else(|| obstacle("its folder", folder, Access::WRITE_OK | Access::EXEC_OK))
        .or_else(|| BESIDE.into_iter().find_map(of_file_beside))
}

/// Returns whether all of the database is in the one file, because no log is in use and none is left.
fn is_whole(file: &Path) -> bool {
    let is_in_use = beside(file, "-wal").exists() && beside(file, "-shm").exists();
    !(has_log(file) || is_in_use)
}

/// Returns the URI that opens the database in WAL mode at `file`, which isn't a link, to read it, and that creates nothing beside
/// it: files that one user leaves there can keep another one, who may write the database, from doing so.
pub(super) fn untouched_uri(file: &Path) -> String {
    let mut uri = Url::from_file_path(file).expect("a path without links is absolute");
    uri.set_query(Some(if is_whole(file) { "immutable=1" } else { "readonly_shm=1" }));
    uri.into()
}

/// What distinguishes a file from the same one after a write.
pub(super) type Stamp = (SystemTime, u64);

/// Returns the stamp of the database in WAL mode at `path`; None if it is in another mode, in which locks keep writers away from
/// readers, or isn't whole in the one file.
pub(super) fn stamp_if_whole(path: &Path) -> Option<Stamp> {
    let file = path.canonicalize().ok().filter(|file| is_wal(file) && is_whole(file))?;
    let metadata = file.metadata().ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}
