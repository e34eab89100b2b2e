//! `verify`: checks a security code; the exit code is the answer.

use std::io::{BufRead, IsTerminal, Read};

use serde::Serialize;

use super::Context;
use crate::error::{Answer, Error};
use crate::model::{InputError, PhoneNumber, SecurityCode, SessionToken, VerificationStatus};
use crate::output::Report;
use crate::service::verification::{Rules, Verification};
use crate::store::Session;

/// The most bytes that are read from stdin for a code; more can't be one.
const MAX_INPUT: u64 = 4096;

/// The arguments of `verify`.
#[derive(Debug, clap::Args)]
pub struct VerifyArgs {
    /// Phone number that the code went to
    #[arg(value_name = "PHONE_NUMBER")]
    phone_number: String,
    /// Security code that came back; left out or `-`, it is asked for or read from stdin
    #[arg(value_name = "SECURITY_CODE")]
    security_code: Option<String>,
    #[command(flatten)]
    session: SessionArgs,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct SessionArgs {
    /// Session token that `send` printed
    #[arg(long, value_name = "TOKEN", env = "PHONE_VERIFY_SESSION_TOKEN", hide_env_values = true)]
    session_token: Option<String>,
    /// Check against the newest record of the number, whatever its token
    #[arg(long)]
    any_session: bool,
}

#[derive(Debug, Serialize)]
struct VerificationReport<'a> {
    phone_number: &'a PhoneNumber,
    status: VerificationStatus,
    valid: bool,
    message: &'static str,
    failed_attempts: Option<u32>,
    attempts_left: Option<u32>,
}

impl Report for VerificationReport<'_> {
    fn text(&self) -> String {
        self.message.to_owned()
    }
}

/// Runs `verify`.
///
/// # Errors
/// The arguments can't be followed, or the database can't be used.
pub fn run(args: &VerifyArgs, context: &mut Context<'_>) -> Result<Answer, Error> {
    let phone_number = context.lookup_number(&args.phone_number)?;
    let session = match &args.session.session_token {
        Some(token) => Session::Token(
            SessionToken::from_input(token).map_err(|error| input_error("session token", error))?,
        ),
        None => Session::Newest,
    };
    let security_code = match args.security_code.as_deref() {
        None | Some("-") => SecurityCode::from_input(&ask_for_code()?),
        Some(code) => SecurityCode::from_input(code),
    }
    .map_err(|error| input_error("security code", error))?;
    let Verification { status, failed_attempts, attempts_left } = Rules::of(&context.settings)
        .verify(&mut *context.open_store()?, &phone_number, &session, &security_code)?;
    let report = VerificationReport {
        phone_number: &phone_number,
        status,
        valid: status == VerificationStatus::SecurityCodeValid,
        message: status.message(),
        failed_attempts,
        attempts_left,
    };
    // The answer stands in the exit code even where stdout does not take the message.
    if let Err(error) = context.output.report(&report) {
        context.output.error(&error);
    }
    Ok(Answer::Status(status))
}

fn input_error(what: &str, error: InputError) -> Error {
    Error::usage(format!("the {what} can't be used: {error}"))
}

/// Asks for the code at a terminal without echo, or reads it as one line from stdin.
fn ask_for_code() -> Result<String, Error> {
    let unreadable = |error| Error::usage(format!("the security code can't be read: {error}"));
    if std::io::stdin().is_terminal() {
        return rpassword::prompt_password("Security code: ").map_err(unreadable);
    }
    let mut line = Vec::new();
    std::io::stdin().lock().take(MAX_INPUT).read_until(b'\n', &mut line).map_err(unreadable)?;
    String::from_utf8(line)
        .map_err(|_| Error::usage("the security code can't be used: it is not UTF-8 text"))
}
