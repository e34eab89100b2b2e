//! The files that an address leads to.

use std::path::Path;
use std::time::Duration;

use crate::store::error::StoreError;
use crate::system::small_file;

/// How long a pipe or a device may take to deliver a file.
const PATIENCE: Duration = Duration::from_secs(5);

/// What to do about a file that can't be read.
pub(super) const READ_HINT: &str =
    "correct the path, or let the user who runs phone-verify read it";

/// Returns the content of the file at `path`; `what` says what kind of file it is.
pub(super) fn read(what: &str, path: &Path) -> Result<Vec<u8>, StoreError> {
    small_file::read_within(path, PATIENCE).map_err(|error| unreadable(what, path, error))
}

/// Returns the error that the file at `path` can't be read.
pub(super) fn unreadable(what: &str, path: &Path, why: impl std::fmt::Display) -> StoreError {
    let problem = format!("can't read the {what} {}: {why}", path.display());
    StoreError::new(problem, READ_HINT)
}

/// Returns the text in `bytes`, the content of the file at `path`.
pub(super) fn text(what: &str, path: &Path, bytes: Vec<u8>) -> Result<String, StoreError> {
    String::from_utf8(bytes).map_err(|_| unreadable(what, path, "it isn't UTF-8 text"))
}
