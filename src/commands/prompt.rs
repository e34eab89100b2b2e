//! Waiting for a person at the terminal of stdin.

use std::io;
use std::thread;

use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use tokio::sync::oneshot;

use super::network_runtime;
use crate::exit::{Error, Exit};
use crate::output::Output;
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

/// Returns what `read` reads from the terminal of stdin. Ends the line of the question if there is no answer, and restores the
/// terminal if a signal comes instead.
///
/// # Errors
/// Returns an error if there is no answer.
pub(super) fn answer(
    output: &Output,
    read: impl FnOnce() -> io::Result<String> + Send + 'static,
) -> Result<String, NoAnswer> {
    let answer = network_runtime()?.block_on(answer_or_signal(read));
    if answer.is_err() {
        output.end_prompt();
    }
    answer
}

async fn answer_or_signal(
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
