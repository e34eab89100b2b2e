//! Files that are read whole: settings and secrets. A path that names a device or a pipe by mistake doesn't fill the memory, and
//! doesn't block.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

/// The most bytes that are read.
const MAX_SIZE: u64 = 1024 * 1024;

/// Returns the content of the file at `path`.
///
/// # Errors
/// Returns an error if the file can't be read or is larger than 1 MiB.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    // To open a pipe would wait for a writer. To read it doesn't wait if there is none.
    let without_waiting = OFlags::NONBLOCK;
    let flags = i32::try_from(without_waiting.bits()).expect("a flag of open(2)");
    let file = File::options().read(true).custom_flags(flags).open(path)?;
    fcntl_setfl(&file, fcntl_getfl(&file)? - without_waiting)?;
    let mut bytes = Vec::new();
    if file.take(MAX_SIZE + 1).read_to_end(&mut bytes)? as u64 > MAX_SIZE {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 1 MiB"));
    }
    Ok(bytes)
}
