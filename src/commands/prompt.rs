//! A question at the terminal, which is left as it was found whatever ends the question.

use std::io;
use std::thread;

use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use tokio::sync::oneshot;

use super::network_runtime;
use super::signals::Signals;
use crate::exit::{Error, Exit};
use crate::output::Output;

/// What came of a question.
pub(super) enum Asked {
    /// The line that was typed.
    Line(String),
    /// How the program ends, since a signal came in its place.
    Stopped(Exit),
}

/// Asks for the security code at the terminal of stdin, which does not show what is typed.
///
/// # Errors
/// The terminal can't be used, or the input ends before a line does.
pub(super) fn ask_for_code(output: &Output) -> Result<Asked, Error> {
    let asked = network_runtime()?.block_on(ask());
    if !matches!(asked, Ok(Asked::Line(_))) {
        output.end_prompt();
    }
    asked
}

async fn ask() -> Result<Asked, Error> {
    let terminal = io::stdin();
    let as_found = tcgetattr(&terminal).map_err(unreadable)?;
    let mut signals = Signals::new()?;
    let (sender, typed) = oneshot::channel();
    // A thread, since nothing else can be heard while the terminal is read.
    thread::Builder::new()
        .spawn(move || sender.send(rpassword::prompt_password("Security code: ")))
        .map_err(unreadable)?;
    let signal = tokio::select! {
        signal = signals.next() => signal,
        Ok(line) = typed => match line {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => signals.next().await,
            line => return line.map(Asked::Line).map_err(unreadable),
        },
    };
    tcsetattr(&terminal, OptionalActions::Now, &as_found).map_err(unreadable)?;
    Ok(Asked::Stopped(signal))
}

fn unreadable(error: impl Into<io::Error>) -> Error {
    let error = error.into();
    Error::usage(format!("the security code can't be read: {error}")).caused_by(error)
}
