//! Waiting for a person at the terminal of stdin.

use std::io;
use std::thread;

use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use tokio::sync::oneshot;

use crate::exit::{Error, Exit};
use crate::system::signals::Signals;

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum NoAnswer {
    /// A signal came instead. The program ends like this.
    Signal(Exit),
    /// The terminal can't be read, or its input has ended.
    Unreadable(io::Error),
    /// Something else went wrong.
    Failed(Error),
}

impl From<Error> for NoAnswer {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<io::Error> for NoAnswer {
    fn from(error: io::Error) -> Self {
        Self::Unreadable(error)
    }
}

/// Returns what `read` reads from the terminal of stdin. If a signal comes instead, restores the terminal.
///
/// # Errors
/// Returns an error if there is no answer.
pub(super) async fn answer(
    read: impl FnOnce() -> io::Result<String> + Send + 'static,
) -> Result<String, NoAnswer> {
    let terminal = io::stdin();
    let original = tcgetattr(&terminal).map_err(io::Error::from)?;
    let mut signals = Signals::listen()?;
    let (sender, typed) = oneshot::channel();
    // On a thread, because reading the terminal blocks and signals have to get through.
    thread::Builder::new().spawn(move || sender.send(read()))?;
    let signal = tokio::select! {
        signal = signals.next() => signal,
        Ok(line) = typed => match line {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => signals.next().await,
            line => {
                signals.stop_listening();
                return Ok(line?);
            }
        },
    };
    tcsetattr(&terminal, OptionalActions::Now, &original).map_err(io::Error::from)?;
    Err(NoAnswer::Signal(signal))
}
