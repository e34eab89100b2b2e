//! Manual pages at a terminal.

use std::io::{self, Write};
use std::process::{Command, Stdio};

/// Has `man` show a page in roff, with the pager that its reader chose. Returns false if it couldn't.
///
/// # Errors
/// Returns an error if there is no `man`.
pub(super) fn show(page: &[u8]) -> io::Result<bool> {
    let mut man = Command::new("man").args(["-l", "-"]).stdin(Stdio::piped()).spawn()?;
    if let Some(mut stdin) = man.stdin.take() {
        // A reader who has seen enough needs no more of it.
        let _ = stdin.write_all(page);
    }
    Ok(man.wait()?.success())
}
