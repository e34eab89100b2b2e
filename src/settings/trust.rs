//! Whether a settings file may be trusted that nobody named: it was found in the current directory, and it names programs to run.

use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};

use crate::model::shell_word;
use crate::system::access::Access;

/// Why a file isn't trusted.
pub(super) struct Distrust {
    pub(super) problem: String,
    /// The command that removes the problem, if one can.
    remedy: Option<String>,
}

impl Distrust {
    /// Returns what to do about the file at `path`.
    pub(super) fn hint(&self, path: &Path) -> String {
        let remedy = self.remedy.iter().map(|remedy| format!("{remedy}; ")).collect::<String>();
        format!("{remedy}if you trust the file, name it: --config {}", shell_word(path))
    }
}

/// Returns whether somebody besides this user and root can have put the file at `path` there, or changed it. Links are followed.
///
/// # Errors
/// Returns an error if that can't be found out.
pub(super) fn distrust(path: &Path, opened: &Metadata) -> io::Result<Option<Distrust>> {
    Ok(in_place(path)?.or_else(|| in_file(path, opened)))
}

/// Judges the place of the file and of every link on the way to it.
fn in_place(path: &Path) -> io::Result<Option<Distrust>> {
    let mut place = path.to_owned();
    loop {
        let directory = place.parent().filter(|parent| !parent.as_os_str().is_empty());
        let directory = directory.map_or_else(|| PathBuf::from("."), Path::to_owned);
        let entry = place.symlink_metadata()?;
        if entry.is_symlink() && Access::from(&entry).is_strangers() {
            return Ok(Some(strangers(&format!("the link {}", place.display()))));
        }
        if let Some(distrust) = in_directory(&directory)? {
            return Ok(Some(distrust));
        }
        if !entry.is_symlink() {
            return Ok(None);
        }
        place = directory.join(place.read_link()?);
    }
}

fn in_directory(directory: &Path) -> io::Result<Option<Distrust>> {
    let access = Access::of(directory)?;
    let directory = directory.canonicalize()?;
    let what = format!("the directory {}", directory.display());
    Ok(if access.is_strangers() {
        Some(strangers(&what))
    } else if access.is_shared() && !access.is_sticky() {
        Some(shared(&what, access, &directory))
    } else {
        None
    })
}

fn in_file(path: &Path, opened: &Metadata) -> Option<Distrust> {
    let access = Access::from(opened);
    if access.is_strangers() {
        Some(strangers("it"))
    } else {
        access.is_shared().then(|| shared("it", access, path))
    }
}

fn strangers(what: &str) -> Distrust {
    Distrust { problem: format!("{what} belongs to another user"), remedy: None }
}

fn shared(what: &str, access: Access, path: &Path) -> Distrust {
    Distrust {
        problem: format!("{what} can be written by its group or others ({access})"),
        remedy: Some(format!("`chmod go-w {}`", shell_word(path))),
    }
}
