//! A program of the operator's that sends the SMS. Its contract, which `docs/providers.md` tells to the operator: it gets
//! `{"phone_number","message"}` as JSON on stdin; exit 0 means accepted, with an optional message id as the first line of
//! stdout; 75 (EX_TEMPFAIL of sysexits.h) means try again later; any other exit means refused.

use std::io;
use std::time::Duration;

use rustix::io::Errno;
use serde::Serialize;

use super::answer::AttemptError;
use super::examination::Finding;
use super::{Accepted, Attempted, Caller, Calling, Sms, SmsError, SmsErrorKind};
use crate::model::{PhoneNumber, words};
use crate::settings_table::{Table, TableError};
use crate::system::program::{End, Program, ProgramResult};

/// The exit status of a program that may be asked again.
const TRY_AGAIN: i32 = 75;

/// What the backend needs to know.
#[derive(Debug, Clone)]
pub struct Options {
    program: Program,
}

impl Options {
    pub(super) fn read(table: &Table<'_>) -> Result<Self, TableError> {
        let stand_in = Program::new(vec!["true".to_owned()], table.folder()).expect("a name");
        let program = table.required("command", table.program("command")?, stand_in)?;
        Ok(Self { program })
    }
}

/// A program that is ready to send.
pub(super) struct Command {
    program: Program,
    limit: Duration,
    secret_variables: Vec<String>,
    caller: Caller,
}

/// What the program is told.
#[derive(Serialize)]
struct Order<'a> {
    phone_number: &'a PhoneNumber,
    message: &'a str,
}

impl Command {
    pub(super) fn new(options: &Options, calling: &Calling, caller: Caller) -> Self {
        Self {
            program: options.program.clone(),
            limit: calling.settings.timeout,
            secret_variables: calling.secret_variables.clone(),
            caller,
        }
    }

    pub(super) async fn send(&self, sms: &Sms<'_>) -> Attempted {
        let order = Order { phone_number: sms.phone_number, message: sms.text };
        self.caller.call(async || self.attempt(&order).await).await
    }

    /// Looks whether the program is there. It is not run: it has no other use than to send.
    pub(super) fn examine(&self) -> Vec<Finding> {
        vec![Finding::Program(self.program.clone())]
    }

    async fn attempt(&self, order: &Order<'_>) -> Result<Accepted, AttemptError> {
        let ended = self.program.run(order, self.limit, &self.secret_variables).await;
        judge(ended.map_err(|error| self.not_started(&error))?)
    }

    /// Returns the error of a program that was not started, so that nothing was sent.
    fn not_started(&self, error: &io::Error) -> AttemptError {
        let path = self.program.path().display();
        let message = format!("the command {path} can't be started: {error}");
        let unavailable = SmsError::new(SmsErrorKind::Unavailable, None, message);
        if is_momentary(error) {
            return AttemptError::Retry(unavailable, None);
        }
        let advice =
            "check `command` in the settings; phone-verify doctor looks whether it can be run";
        AttemptError::Final(SmsError { more_info: Some(advice.to_owned()), ..unavailable })
    }
}

/// Returns whether it is the system that lacks something for now: open files, processes or memory. A program that somebody is
/// writing is there in a moment too.
fn is_momentary(error: &io::Error) -> bool {
    use Errno as E;
    let shortages = [E::MFILE, E::NFILE, E::AGAIN, E::NOMEM, E::TXTBSY];
    Errno::from_io_error(error).is_some_and(|error| shortages.contains(&error))
}

fn judge(
    ProgramResult { end, first_line, last_error_line }: ProgramResult,
) -> Result<Accepted, AttemptError> {
    let said = words(&last_error_line);
    match end {
        End::Exit(0) => {
            let message_id = Some(words(&first_line)).filter(|id| !id.is_empty());
            Ok(Accepted { message_id, ..Accepted::default() })
        }
        End::Exit(status) => {
            let (kind, code) = match status {
                TRY_AGAIN => (SmsErrorKind::Unavailable, None),
                _ => (SmsErrorKind::Rejected, Some(status.to_string())),
            };
            let silence = format!("the command says nothing, and {end}");
            let error = SmsError::new(kind, code, if said.is_empty() { silence } else { said });
            Err(match kind {
                SmsErrorKind::Unavailable => AttemptError::Retry(error, None),
                _ => AttemptError::Final(error),
            })
        }
        End::Signal(_) | End::TimedOut(_) | End::StillRunning(..) | End::NotReported => {
            let last_words = if said.is_empty() { said } else { format!("; it said: {said}") };
            let message = format!("the command may have sent it: {end}{last_words}");
            Err(AttemptError::Final(SmsError::new(SmsErrorKind::Unknown, None, message)))
        }
    }
}
