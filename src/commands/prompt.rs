//! A question at the terminal, which is left as it was found whatever ends the question.

use std::io;
use std::thread;

use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use tokio::sync::oneshot;

use super::network_runtime;
use super::signals::Signals;
use crate::error::Error;

/// What came of a question.
pub(super) enum Asked {
    /// The line that was typed.
    Line(String),
    /// The number of the signal that came in its place.
    Stopped(i32),
}

/// Asks `question` at the terminal of stdin, and reads one line that the terminal does not show.
///
/// # Errors
/// The terminal can't be used, or nothing is typed before its end.
pub(super) fn ask_without_echo(question: &'static str) -> Result<Asked, Error> {
    let unreadable = |error| Error::usage(format!("the security code can't be read: {error}"));
    let terminal = io::stdin();
    let as_found = tcgetattr(&terminal).map_err(|error| unreadable(error.into()))?;
    network_runtime()?.block_on(async {
        let mut signals = Signals::new()?;
        let (sender, typed) = oneshot::channel();
        // A thread, since nothing else can be heard while the terminal is read.
        thread::Builder::new()
            .spawn(move || sender.send(rpassword::prompt_password(question)))
            .map_err(unreadable)?;
        let signal = tokio::select! {
            signal = signals.next() => signal,
            Ok(line) = typed => match line {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => signals.next().await,
                line => return line.map(Asked::Line).map_err(unreadable),
            },
        };
        tcsetattr(&terminal, OptionalActions::Now, &as_found)
            .map_err(|error| unreadable(error.into()))?;
        Ok(Asked::Stopped(signal))
    })
}
