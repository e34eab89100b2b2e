//! `verify`: checks a security code; the exit code is the answer.

use std::io::{self, BufRead, IsTerminal, Read};
use std::ops::ControlFlow;

use clap::ValueEnum;
use serde::Serialize;

use super::prompt::{self, NoAnswer};
use super::{Context, network_runtime};
use crate::exit::{Error, Exit};
use crate::model::{PhoneNumber, SessionToken, TypedCode, VerificationStatus};
use crate::output::Report;
use crate::service::hooks::{Event, EventName, HookRunner};
use crate::service::verification::Rules;
use crate::store::Session;
use crate::system::signals::Signals;

/// The most bytes to read from stdin for a code. No code is longer.
const MAX_INPUT: u64 = 4096;

/// The usage of `verify`. The one that clap generates is longer than a line.
const USAGE: &str = "phone-verify verify [OPTIONS] <PHONE_NUMBER> [SECURITY_CODE]
       (--session-token <TOKEN> | --any-session)";

/// The arguments of `verify`.
#[derive(Debug, clap::Args)]
#[command(override_usage = USAGE, after_long_help = answers())]
pub struct VerifyArgs {
    /// Phone number that the code went to
    phone_number: String,
    /// Security code that came back; without it or with `-`, it is prompted for or read from stdin
    security_code: Option<String>,
    #[command(flatten)]
    session: SessionArgs,
    /// Compare the code even if the number has had too many wrong ones; for an operator who knows
    /// the person
    #[arg(long)]
    ignore_limits: bool,
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

/// Returns the exit codes that only `verify` has, for its help.
fn answers() -> String {
    let mut help = "Exit codes if the code is not valid:".to_owned();
    for exit in Exit::value_variants().iter().filter(|exit| exit.commands() == ["verify"]) {
        let meaning = exit.meaning();
        let (_status, meaning) = meaning.split_once(": ").unwrap_or(("", &meaning));
        help += &format!("\n  {}  {meaning}", exit.code());
    }
    help
}

/// Runs `verify`.
///
/// # Errors
/// Returns an error if the arguments are wrong or the database can't be used.
pub fn run(args: &VerifyArgs, context: &mut Context<'_>) -> Result<Exit, Error> {
    // The error doesn't repeat the text or suggest another: it may be the code, given in place of the number.
    let phone_number = context
        .read_number(&args.phone_number)
        .map_err(|error| Error::usage(format!("phone number: {}", error.reason)))?;
    let session = match &args.session.session_token {
        Some(token) => Session::Token(
            SessionToken::from_input(token)
                .map_err(|problem| input_error("session token", &problem))?,
        ),
        None => Session::Newest,
    };
    let typed = match read_typed_code(args.security_code.as_deref(), context)? {
        ControlFlow::Continue(text) => TypedCode::parse(&text),
        ControlFlow::Break(exit) => return Ok(exit),
    };
    let typed = typed.map_err(|problem| input_error("security code", &problem))?;
    let mut store = context.open_store()?;
    let rules = Rules::from_settings(&context.settings, args.ignore_limits);
    let attempt = rules.verify(&mut *store, &phone_number, &session, &typed)?;
    let status = attempt.decision.status;
    let valid = status == VerificationStatus::SecurityCodeValid;
    // A hook may run for long, and needs no database.
    drop(store);
    let report = VerificationReport {
        phone_number: &phone_number,
        status,
        valid,
        message: status.message(),
        failed_attempts: attempt.failed_attempts(),
        attempts_left: rules.attempts_left(&attempt),
    };
    // The exit code is the answer, even if stdout doesn't take the message.
    if let Err(error) = context.output.report(&report) {
        context.output.error(&error);
    }
    if rules.is_limited(&attempt) {
        context.output.warning(
            "limits.max_wrong_codes_per_number_per_day is reached, so the code was not compared, and a new code won't help; if you know the person, use `verify --ignore-limits`",
        );
    }
    let hooks = HookRunner::new(&context.settings);
    if valid
        && !args.no_hooks
        && hooks.has_hook(EventName::Verified)
        && let Err(error) = run_hook(&hooks, &Event::from_attempt(&phone_number, &session, attempt))
    {
        let hint = "the code is verified anyway; do by hand what the hook didn't do";
        context.output.error(&error.with_hint(hint));
        return Ok(Exit::HookFailed);
    }
    Ok(status.into())
}

/// Runs the hook of the event. A signal that asks the program to stop ends the hook; a terminal that closes does not.
fn run_hook(hooks: &HookRunner<'_>, event: &Event) -> Result<(), Error> {
    network_runtime()?.block_on(async {
        let mut signals = Signals::listen()?;
        let stop = async { while signals.next().await == Exit::HungUp {} };
        tokio::select! {
            result = hooks.run(event) => Ok(result?),
            () = stop => {
                let reason = "it was ended because phone-verify was asked to stop";
                Err(hooks.failure(event.name, reason).into())
            }
        }
    })
}

fn input_error(what: &str, problem: &str) -> Error {
    Error::usage(format!("the {what} {problem}"))
}

/// Returns the code as it was typed: the argument, or else the answer to a question at a terminal, or a line of stdin. If a
/// signal comes instead of an answer, breaks with how the program ends.
fn read_typed_code(
    argument: Option<&str>,
    context: &Context<'_>,
) -> Result<ControlFlow<Exit, String>, Error> {
    match argument {
        None | Some("-") if io::stdin().is_terminal() => {
            let answer = network_runtime()?.block_on(ask_for_code());
            if !matches!(answer, Ok(ControlFlow::Continue(_))) {
                context.output.end_prompt();
            }
            answer
        }
        None | Some("-") => read_code().map(ControlFlow::Continue),
        Some(code) => Ok(ControlFlow::Continue(code.to_owned())),
    }
}

/// Reads the code from stdin, as one line.
fn read_code() -> Result<String, Error> {
    let mut line = Vec::new();
    io::stdin().lock().take(MAX_INPUT).read_until(b'\n', &mut line).map_err(unreadable)?;
    String::from_utf8(line).map_err(|_| Error::usage("the security code is not UTF-8 text"))
}

/// Asks for the security code at the terminal of stdin, which doesn't show what is typed. If a signal comes instead, breaks with
/// how the program ends.
async fn ask_for_code() -> Result<ControlFlow<Exit, String>, Error> {
    match prompt::answer(|| rpassword::prompt_password("Security code: ")).await {
        Ok(code) => Ok(ControlFlow::Continue(code)),
        Err(NoAnswer::Signal(exit)) => Ok(ControlFlow::Break(exit)),
        Err(NoAnswer::Unreadable(error)) => Err(unreadable(error)),
        Err(NoAnswer::Failed(error)) => Err(error),
    }
}

fn unreadable(error: io::Error) -> Error {
    Error::usage(format!("the security code can't be read: {error}")).caused_by(error)
}
