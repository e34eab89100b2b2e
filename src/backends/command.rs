//! A program of the operator's that sends the SMS. `docs/providers.md` has its contract: it gets `{"phone_number","message"}`
//! as JSON on stdin. Exit 0 means accepted, with an optional message id as the first line of stdout; 75 (EX_TEMPFAIL of
//! sysexits.h) means try again later; any other exit means refused.

use std::io;
use std::sync::Arc;

use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::calling::Calling;
use super::provider::{Attempt, Connection, Kind, Provider, Question};
use super::sms::{Accepted, Sms, SmsError, SmsErrorKind};
use crate::model::{Check, PhoneNumber, words};
use crate::system::program::{End, Program, ProgramResult};

pub(super) const KINDS: &[Kind] = &[Kind {
    names: &["command"],
    summary: "a program of yours that sends each SMS",
    questions: &[Question::words("command", "Program and its arguments")],
    codes: None,
    read: |options| {
        let Keys { command } = options.read();
        let program = options.required("command", command)?.within(options.directory());
        Some(Arc::new(Command { program }))
    },
}];

/// The exit status that asks for another attempt.
const TRY_AGAIN: i32 = 75;

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
struct Keys {
    command: Option<Program>,
}

/// A program that sends.
#[derive(Debug)]
struct Command {
    program: Program,
}

/// The input of the program.
#[derive(Serialize)]
struct Order<'a> {
    phone_number: &'a PhoneNumber,
    message: &'a str,
}

impl Provider for Command {
    fn send<'a>(&'a self, connection: &'a Connection, sms: &'a Sms<'_>) -> Attempt<'a, Accepted> {
        Box::pin(async {
            let order = Order { phone_number: sms.phone_number, message: sms.text };
            let Calling { settings, secret_variables, .. } = &*connection.calling;
            let ended = self.program.run(&order, settings.timeout, secret_variables).await;
            judge(ended.map_err(|error| self.not_started(&error))?)
        })
    }

    /// Checks whether the program can be run. It isn't run, since all it does is send.
    fn check<'a>(&'a self, _connection: &'a Connection) -> Attempt<'a, Vec<Check>> {
        Box::pin(async { Ok(vec![self.program.check("command")]) })
    }
}

impl Command {
    /// Returns the error of a program that wasn't started, so that nothing was sent.
    fn not_started(&self, error: &io::Error) -> SmsError {
        let path = self.program.path().display();
        let message = format!("the command {path} can't be started: {error}");
        let unavailable = SmsError::new(SmsErrorKind::Unavailable, None, message);
        if is_momentary(error) {
            return SmsError { may_retry: true, ..unavailable };
        }
        let advice =
            "check `command` in the settings; phone-verify doctor checks whether it can be run";
        SmsError { more_info: Some(advice.to_owned()), ..unavailable }
    }
}

/// Returns whether the system is short of something for the moment: open files, processes or memory. A program file that is being
/// written is also there in a moment.
fn is_momentary(error: &io::Error) -> bool {
    use Errno as E;
    let shortages = [E::MFILE, E::NFILE, E::AGAIN, E::NOMEM, E::TXTBSY];
    Errno::from_io_error(error).is_some_and(|error| shortages.contains(&error))
}

fn judge(
    ProgramResult { end, first_line, last_error_line }: ProgramResult,
) -> Result<Accepted, SmsError> {
    let said = words(&last_error_line);
    match end {
        End::Exit(0) => Ok(Accepted::with_id(Some(words(&first_line)))),
        End::Exit(status) => {
            let (kind, code) = match status {
                TRY_AGAIN => (SmsErrorKind::Unavailable, None),
                _ => (SmsErrorKind::Rejected, Some(status.to_string())),
            };
            let silence = format!("the command says nothing, and {end}");
            let error = SmsError::new(kind, code, if said.is_empty() { silence } else { said });
            Err(SmsError { may_retry: status == TRY_AGAIN, ..error })
        }
        End::Signal(_) | End::TimedOut(_) | End::StillRunning(..) | End::NotReported => {
            let last_words = if said.is_empty() { said } else { format!("; it said: {said}") };
            let message = format!("the command may have sent it: {end}{last_words}");
            Err(SmsError::new(SmsErrorKind::Unknown, None, message))
        }
    }
}
