//! What the program needs of its own process and of the machine before it does anything.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rand::TryRng;
use rand::rngs::SysRng;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use signal_hook::consts::SIGXFSZ;

use crate::exit::Error;

/// How many more files this process has to be able to open: for the settings, the database, the signals, a hook and a connection.
/// Tokio panics if it can't open those of the signals.
const MIN_FREE_FILES: usize = 16;

/// How many files an SMS in flight may need: a program's pipes and what waits for its end, or connections to two providers.
const FILES_PER_SMS: u64 = 4;
/// How many files everything else may need beside them: the database, eight hooks, and a program that is being started.
const OTHER_FILES: u64 = 128;

/// Prepares this process: no core dump shows its memory, and a file that may not grow is an error instead of the end.
///
/// # Errors
/// Returns an error if that can't be done, or if the machine lacks what every command needs.
pub fn prepare() -> Result<(), Error> {
    let no_core = Rlimit { current: Some(0), maximum: Some(0) };
    setrlimit(Resource::Core, no_core).map_err(|error| {
        Error::failed(format!("core dumps, which hold secrets, can't be turned off: {error}"))
    })?;
    // A signal that has a handler doesn't end the program, and programs that it starts get the default back (`execve(2)`).
    signal_hook::flag::register(SIGXFSZ, Arc::<AtomicBool>::default())
        .map_err(|error| Error::failed(format!("can't handle signals: {error}")))?;
    check_free_files()?;
    check_random(&mut SysRng)
}

fn check_free_files() -> Result<(), Error> {
    let pipes: io::Result<Vec<_>> = (0..MIN_FREE_FILES / 2).map(|_| io::pipe()).collect();
    pipes.map(drop).map_err(|error| {
        Error::failed(format!("fewer than {MIN_FREE_FILES} more files can be opened: {error}"))
            .with_hint("`ulimit -n` shows how many files a process may have open")
    })
}

/// Lets this process open as many files as so many SMS in flight need, as far as the system allows it. If none is left, SQLite
/// can't open its journal, and what became of an SMS can't be stored.
pub fn allow_files_of(sms_in_flight: usize) {
    let limit = getrlimit(Resource::Nofile);
    let needed = (sms_in_flight as u64).saturating_mul(FILES_PER_SMS) + OTHER_FILES;
    let allowed = limit.maximum.map_or(needed, |most| most.min(needed));
    if limit.current.is_some_and(|current| current < allowed) {
        let raised = Rlimit { current: Some(allowed), ..limit };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            log::debug!("no more files can be opened: {error}");
        }
    }
}

/// Codes and tokens need random numbers, and so do the standard library's hash tables, which panic without them.
fn check_random<R: TryRng>(random: &mut R) -> Result<(), Error> {
    random
        .try_next_u64()
        .map(drop)
        .map_err(|error| Error::failed(format!("the system has no random numbers: {error}")))
}

#[cfg(test)]
mod tests {
    use rand::rngs::SysError;

    use super::*;

    /// A machine without random numbers.
    struct NoRandom;

    impl TryRng for NoRandom {
        type Error = SysError;

        fn try_next_u32(&mut self) -> Result<u32, SysError> {
            Err(SysError::UNSUPPORTED)
        }

        fn try_next_u64(&mut self) -> Result<u64, SysError> {
            Err(SysError::UNSUPPORTED)
        }

        fn try_fill_bytes(&mut self, _: &mut [u8]) -> Result<(), SysError> {
            Err(SysError::UNSUPPORTED)
        }
    }

    #[test]
    fn no_random_numbers_are_an_error() {
        let error = check_random(&mut NoRandom).unwrap_err();
        assert!(error.to_string().starts_with("the system has no random numbers: "), "{error}");
        assert!(check_random(&mut SysRng).is_ok());
    }
}
