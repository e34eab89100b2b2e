//! `verify`: checks a security code; the exit code is the answer.

use std::io::{self, BufRead, IsTerminal, Read};

use serde::Serialize;

use super::prompt::{Asked, ask_for_code};
use super::signals::Signals;
use super::{Context, network_runtime};
use crate::exit::{Error, Exit};
use crate::model::{InputError, PhoneNumber, SecurityCode, SessionToken, VerificationStatus};
use crate::output::Report;
use crate::service::hooks::{Event, EventName, Hooks};
use crate::service::verification::{Rules, Verification};
use crate::store::Session;

/// The most bytes that are read from stdin for a code; more can't be one.
const MAX_INPUT: u64 = 4096;

/// The usage of `verify`; what clap makes of it is longer than a line.
const USAGE: &str = "phone-verify verify [OPTIONS] <PHONE_NUMBER> [SECURITY_CODE]
       (--session-token <TOKEN> | --any-session)";

/// The arguments of `verify`.
#[derive(Debug, clap::Args)]
#[command(override_usage = USAGE, after_long_help = answers())]
pub struct VerifyArgs {
    /// Phone number that the code went to
    #[arg(value_name = "PHONE_NUMBER")]
    phone_number: String,
    /// Security code that came back; left out or `-`, it is asked for or read from stdin
    #[arg(value_name = "SECURITY_CODE")]
    security_code: Option<String>,
    #[command(flatten)]
    session: SessionArgs,
    /// Run no hook
    #[arg(long)]
    no_hooks: bool,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct SessionArgs {
    /// Check against the record with this session token, which `send` printed
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

/// Returns the exit codes that only `verify` ends with, as its help tells them.
fn answers() -> String {
    let own = Exit::ALL.into_iter().filter(|exit| exit.commands() == ["verify"]);
    let lines = own.map(|exit| {
        let words =
            exit.meaning().split_once(": ").map_or(exit.meaning(), |(_status, words)| words);
        format!("\n  {}  {}", exit.code(), words.trim_end_matches('.'))
    });
    std::iter::once("Exit codes, where the code is not valid:".to_owned()).chain(lines).collect()
}

/// Runs `verify`.
///
/// # Errors
/// Returns an error if the arguments can't be followed or the database can't be used.
pub fn run(args: &VerifyArgs, context: &mut Context<'_>) -> Result<Exit, Error> {
    // Not repeated in the error, as the code may stand in the number's place.
    let region = context.settings.default_region;
    let phone_number = PhoneNumber::parse_for_lookup(&args.phone_number, region)
        .map_err(|error| Error::usage(format!("phone number: {error}")))?;
    let session = match &args.session.session_token {
        Some(token) => Session::Token(
            SessionToken::from_input(token).map_err(|error| input_error("session token", error))?,
        ),
        None => Session::Newest,
    };
    let security_code = match args.security_code.as_deref() {
        None | Some("-") if io::stdin().is_terminal() => match ask_for_code(context.output)? {
            Asked::Line(line) => SecurityCode::from_input(&line),
            Asked::Stopped(exit) => return Ok(exit),
        },
        None | Some("-") => SecurityCode::from_input(&read_code()?),
        Some(code) => SecurityCode::from_input(code),
    }
    .map_err(|error| input_error("security code", error))?;
    let mut store = context.open_store()?;
    let rules = Rules::from_settings(&context.settings);
    let Verification { status, failed_attempts, attempts_left, verified } =
        rules.verify(&mut *store, &phone_number, &session, &security_code)?;
    // A hook may run for long, and needs no database.
    drop(store);
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
    let hooks = Hooks::of(&context.settings);
    let Some(verified) = verified.filter(|_| !args.no_hooks && hooks.want(EventName::Verified))
    else {
        return Ok(status.into());
    };
    match tell(&hooks, &Event::verified(&phone_number, verified)) {
        Ok(()) => Ok(status.into()),
        Err(error) => {
            let hint = "the code is verified all the same; do by hand what the hook left undone";
            context.output.error(&error.with_hint(hint));
            Ok(Exit::HookFailed)
        }
    }
}

/// Tells the hook of the event; a signal that asks the program to stop ends the hook, a terminal that closes does not.
fn tell(hooks: &Hooks<'_>, event: &Event) -> Result<(), Error> {
    network_runtime()?.block_on(async {
        let mut signals = Signals::new()?;
        let asked_to_stop = async { while signals.next().await == Exit::HungUp {} };
        tokio::select! {
            told = hooks.tell(event) => Ok(told?),
            () = asked_to_stop => {
                let reason = "it was ended, because phone-verify was asked to stop";
                Err(hooks.failure(event.name, reason.to_owned()).into())
            }
        }
    })
}

fn input_error(what: &str, error: InputError) -> Error {
    Error::usage(format!("the {what} {error}"))
}

/// Reads the code as one line from stdin.
fn read_code() -> Result<String, Error> {
    let mut line = Vec::new();
    io::stdin()
        .lock()
        .take(MAX_INPUT)
        .read_until(b'\n', &mut line)
        .map_err(|error| Error::usage(format!("the security code can't be read: {error}")))?;
    String::from_utf8(line).map_err(|_| Error::usage("the security code is not UTF-8 text"))
}
