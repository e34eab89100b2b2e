//! Files that are read whole: settings and secrets. A path that names a device or a pipe by mistake doesn't fill the memory, and
//! opening it doesn't block.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;

/// The most bytes that are read.
const MAX_SIZE: u64 = 1024 * 1024;

/// Opens the file at `path`. If that is a pipe, doesn't wait for its writer.
///
/// # Errors
/// Returns an error if the file can't be opened.
pub fn open(path: &Path) -> io::Result<File> {
    let file = open_nonblocking(path)?;
    fcntl_setfl(&file, fcntl_getfl(&file)? - OFlags::NONBLOCK)?;
    Ok(file)
}

/// Returns the content of `file`.
///
/// # Errors
/// Returns an error if the file can't be read or is larger than 1 MiB.
pub fn read(file: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if file.take(MAX_SIZE + 1).read_to_end(&mut bytes)? as u64 > MAX_SIZE {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 1 MiB"));
    }
    Ok(bytes)
}

/// Returns the content of the file at `path`. A pipe or a device has `limit` to deliver it.
///
/// # Errors
/// Returns an error if the file can't be read, is larger than 1 MiB or takes longer.
pub fn read_within(path: &Path, limit: Duration) -> io::Result<Vec<u8>> {
    let file = open_nonblocking(path)?;
    if file.metadata()?.is_file() {
        return read(file);
    }
    read(Slow { file, limit, since: Instant::now() })
}

fn open_nonblocking(path: &Path) -> io::Result<File> {
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).expect("a flag of open(2)");
    File::options().read(true).custom_flags(flags).open(path)
}

/// A pipe or a device, which may deliver nothing for long.
struct Slow {
    file: File,
    limit: Duration,
    since: Instant,
}

impl Read for Slow {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let rest = self.limit.saturating_sub(self.since.elapsed());
            let rest = rest.try_into().map_err(|_| io::ErrorKind::InvalidInput)?;
            // A pipe that nobody has opened for writing yet isn't ready. To read it would be its end.
            match poll(&mut [PollFd::new(&self.file, PollFlags::IN)], Some(&rest)) {
                Ok(0) => {
                    let problem = format!("it isn't complete after {} s", self.limit.as_secs());
                    return Err(io::Error::new(io::ErrorKind::TimedOut, problem));
                }
                Err(Errno::INTR) => continue,
                result => result?,
            };
            match self.file.read(buffer) {
                // Another reader was faster.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return result,
            }
        }
    }
}
