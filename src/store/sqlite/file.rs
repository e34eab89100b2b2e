//! The file of a database, as it is seen without opening it as one, and those beside it.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rusqlite::{Connection, OpenFlags};
use rustix::fs::{Access, access};
use rustix::io::Errno;

use super::error::MIGRATE_HINT;
use crate::store::StoreError;

/// What the names of the files that SQLite puts beside a database end in.
pub(super) const BESIDE: [&str; 3] = ["-wal", "-shm", "-journal"];

/// Checks that there may be a database at `path`.
///
/// # Errors
/// It is missing, no file, or holds something else.
pub(super) fn check_file(path: &Path) -> Result<(), StoreError> {
    match std::fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => {
            let problem =
                if metadata.is_dir() { "it is a folder" } else { "it is no regular file" };
            Err(StoreError::new(path, problem, Some("name a file")))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(match std::fs::read_link(path) {
                Ok(target) => {
                    let target = target.display();
                    let problem = format!("it is a link to {target}, which does not exist");
                    StoreError::new(path, problem, Some("remove the link, or name another file"))
                }
                Err(_) => without_folder(path).unwrap_or_else(|| {
                    StoreError::new(path, "it does not exist", Some(MIGRATE_HINT))
                }),
            })
        }
        Err(error) => Err(StoreError::io(path, &error)),
        // SQLite takes a file that is shorter than its header for an empty database, and would write over it.
        Ok(metadata) if metadata.len() > 0 && !has_header(path)? => {
            Err(StoreError::new(path, "it is not an SQLite database", Some("check the path")))
        }
        Ok(_) => Ok(()),
    }
}

/// Returns the error of a database whose folder does not exist either, which no command creates.
pub(super) fn without_folder(path: &Path) -> Option<StoreError> {
    let folder = folder_of(path);
    let problem = format!("its folder {} does not exist", folder.display());
    let hint = "create the folder, or correct the path";
    (!folder.exists()).then(|| StoreError::new(path, problem, Some(hint)))
}

/// Returns the folder of the database at `path`.
pub(super) fn folder_of(path: &Path) -> &Path {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

/// Returns whether the file begins as an SQLite database does ("Database File Format", section 1.3).
fn has_header(path: &Path) -> Result<bool, StoreError> {
    const MAGIC: &[u8] = b"SQLite format 3\0";
    let mut start = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAGIC.len() as u64).read_to_end(&mut start))
        .map_err(|error| StoreError::io(path, &error))?;
    Ok(start == MAGIC)
}

/// Returns whether the database is in WAL mode: "Database File Format", section 1.3.3, the file format version numbers.
pub(super) fn is_wal(path: &Path) -> std::io::Result<bool> {
    let mut header = Vec::new();
    File::open(path)?.take(20).read_to_end(&mut header)?;
    Ok(header.get(18..20) == Some(&[2, 2]))
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

/// Returns why the database at `file`, which is no link, can't be written, if so: SQLite puts files beside it while it writes.
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

/// Returns whether all of the database is in the one file, since no log is in use and none is left.
fn is_whole(file: &Path) -> bool {
    let is_in_use = beside(file, "-wal").exists() && beside(file, "-shm").exists();
    !(has_log(file) || is_in_use)
}

/// What tells a file from the same one written.
#[derive(PartialEq, Eq)]
pub(super) struct Stamp {
    modified: SystemTime,
    length: u64,
}

impl Stamp {
    /// Returns the stamp of the database in WAL mode at `path`; None where it is in another mode, in which locks keep writers off
    /// who reads, or not all in the one file.
    pub(super) fn of_whole(path: &Path) -> Option<Self> {
        let file = path.canonicalize().ok()?;
        if !is_wal(&file).unwrap_or(false) || !is_whole(&file) {
            return None;
        }
        let metadata = file.metadata().ok()?;
        Some(Self { modified: metadata.modified().ok()?, length: metadata.len() })
    }
}

/// Opens the database at `file`, which is no link, with `flags`, or to read alone where it is in WAL mode and can't be written.
pub(super) fn open(file: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    if is_wal(file).unwrap_or(false) && write_obstacle(file).is_some() {
        open_untouched(file)
    } else {
        Connection::open_with_flags(file, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)
    }
}

/// Opens the database in WAL mode at `file`, which is no link, to read it, and creates nothing beside it: files that one user
/// leaves there can keep another one, who may write the database, from doing so.
fn open_untouched(file: &Path) -> rusqlite::Result<Connection> {
    let mut uri = b"file://".to_vec();
    for byte in file.as_os_str().as_bytes() {
        match byte {
            b'%' => uri.extend(b"%25"),
            b'?' => uri.extend(b"%3f"),
            b'#' => uri.extend(b"%23"),
            _ => uri.push(*byte),
        }
    }
    uri.extend(if is_whole(file) { &b"?immutable=1"[..] } else { b"?readonly_shm=1" });
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(OsStr::from_bytes(&uri), flags)
}
