//! A question at the terminal, which is left as it was found whatever ends the question.

use std::io;
use std::ops::ControlFlow;
use std::thread;

use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use tokio::sync::oneshot;

use crate::exit::{Error, Exit};
use crate::system::signals::Signals;

/// Asks for the security code at the terminal of stdin, which does not show what is typed. Breaks with how the program ends if
/// a signal comes instead.
///
/// # Errors
/// Returns an error if the terminal can't be used, or if the input ends before a line does.
pub(super) async fn ask_for_code() -> Result<ControlFlow<Exit, String>, Error> {
    let terminal = io::stdin();
    let as_found = tcgetattr(&terminal).map_err(unreadable)?;
    let mut signals = Signals::listen()?;
    let (sender, typed) = oneshot::channel();
    // A thread, since nothing else can be heard while the terminal is read.
    thread::Builder::new()
        .spawn(move || sender.send(rpassword::prompt_password("Security code: ")))
        .map_err(unreadable)?;
    let signal = tokio::select! {
        signal = signals.next() => signal,
        Ok(line) = typed => match line {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => signals.next().await,
            line => return line.map(ControlFlow::Continue).map_err(unreadable),
        },
    };
    tcsetattr(&terminal, OptionalActions::Now, &as_found).map_err(unreadable)?;
    Ok(ControlFlow::Break(signal))
}

fn unreadable(error: impl Into<io::Error>) -> Error {
    let error = error.into();
    Error::usage(format!("the security code can't be read: {error}")).caused_by(error)
}
