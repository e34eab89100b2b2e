//! `verify`: checks a security code; the exit code is the answer.

use std::io::{self, BufRead, IsTerminal, Read};
use std::ops::ControlFlow;

use clap::ValueEnum;
use serde::Serialize;

use super::prompt::{self, NoAnswer};
use super::{Context, network_runtime};
use crate::exit::{Error, Exit};
use crate::model::{PhoneNumber, SessionToken, TypedCode, VerificationStatus, ago, counted};
use crate::output::Report;
use crate::service::hooks::{Event, EventName, HookRunner};
use crate::service::verification::Rules;
use crate::store::{self, Attempt, SessionChoice, Store};
use crate::system::signals::Signals;

/// The most bytes to read from stdin for a code. No code is longer.
const MAX_INPUT: u64 = 4096;

/// The message if the number has reached its limit of wrong codes. A Django site has no such limit, and its message advises a new
/// code, which wouldn't be compared either.
const LIMITED: &str = "Too many wrong codes for this number within 24 hours";
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
    /// What is left if a number with spaces isn't quoted
    #[arg(hide = true)]
    surplus: Vec<String>,
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
#[group(multiple = false)]
struct SessionArgs {
    /// Check against the record with this session token, which `send` printed
    #[arg(long, value_name = "TOKEN", env = "PHONE_VERIFY_SESSION_TOKEN", hide_env_values = true)]
    session_token: Option<String>,
    /// Check against the newest record of the number; for an operator on the phone with the person
    #[arg(long)]
    any_session: bool,
}

impl SessionArgs {
    fn session(&self) -> Result<SessionChoice, Error> {
        match &self.session_token {
            Some(token) => SessionToken::from_input(token)
                .map(SessionChoice::Token)
                .map_err(|problem| input_error("session token", &problem)),
            None if self.any_session => Ok(SessionChoice::Newest),
            None => Err(Error::usage("neither --session-token <TOKEN> nor --any-session is given")
                .with_hint("if you are on the phone with the person, add --any-session: it checks the number's newest code")),
        }
    }
}

#[derive(Debug, Serialize)]
struct VerificationReport<'a> {
    phone_number: &'a PhoneNumber,
    status: VerificationStatus,
    valid: bool,
    message: &'static str,
    failed_attempts: Option<u32>,
    attempts_left: Option<u32>,
    #[serde(skip)]
    session: &'a SessionChoice,
    /// What to do next, if anything helps.
    #[serde(skip)]
    next: Option<String>,
}

impl Report for VerificationReport<'_> {
    fn text(&self) -> String {
        let message = self.message.trim_end_matches('.');
        let mut text = match (self.status, self.session, self.attempts_left) {
            (VerificationStatus::SessionTokenInvalid, SessionChoice::Newest, _) => {
                format!("No code is known for {}.", self.phone_number)
            }
            (VerificationStatus::SecurityCodeInvalid, _, Some(0)) => {
                format!("{message}. No attempts left.")
            }
            (VerificationStatus::SecurityCodeInvalid, _, Some(left)) => {
                format!("{message}. {} left.", counted(left, "attempt"))
            }
            _ => format!("{message}."),
        };
        if let Some(next) = &self.next {
            text += &format!("\nnext: {next}");
        }
        text
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
    if !args.surplus.is_empty() {
        return Err(Error::usage("there are more arguments than a phone number and a code")
            .with_hint("quote a number that has spaces: '+1 415 555 2671'"));
    }
    let session = args.session.session()?;
    // The error doesn't repeat the text or suggest another: it may be the code, given in place of the number.
    let phone_number = context
        .read_number(&args.phone_number)
        .map_err(|error| Error::usage(format!("phone number: {}", error.reason)))?;
    let code = args.security_code.as_deref().filter(|code| *code != "-");
    let is_asked = code.is_none() && io::stdin().is_terminal();
    let rules = Rules::from_settings(&context.settings, args.ignore_limits);
    let verification = Verification { phone_number, session, rules };
    let Verification { phone_number, session, rules } = &verification;
    if is_asked {
        let mut store = context.open_store()?;
        let now = context.clock.now();
        // Nobody should have to say a code that can't be valid.
        if let Some(attempt) = rules.unknown(&mut *store, phone_number, session, now)? {
            verification.show(&attempt, &mut *store, context);
            return Ok(attempt.decision.status.into());
        }
    }
    let mut last = None;
    let attempt = loop {
        let text = match code {
            Some(code) => code.to_owned(),
            None if is_asked => match ask(last, context)? {
                ControlFlow::Continue(text) => text,
                ControlFlow::Break(exit) => return Ok(exit),
            },
            None => read_code()?,
        };
        let typed = TypedCode::parse(&text);
        match typed.map_err(|problem| input_error("security code", &problem)) {
            Ok(typed) => {
                let attempt = verification.check(&typed, context)?;
                if !(is_asked && rules.may_try_again(&attempt)) {
                    break attempt;
                }
                last = Some(attempt.decision.status.into());
            }
            Err(error) if is_asked => context.output.error(&error),
            Err(error) => return Err(error),
        }
    };
    let status = attempt.decision.status;
    let hooks = HookRunner::new(&context.settings);
    if status == VerificationStatus::SecurityCodeValid
        && !args.no_hooks
        && hooks.has_hook(EventName::Verified)
        && let Err(error) = run_hook(&hooks, &Event::from_attempt(phone_number, session, attempt))
    {
        let hint = "the code is verified anyway; do by hand what the hook didn't do";
        context.output.error(&error.with_hint(hint));
        return Ok(Exit::HookFailed);
    }
    Ok(status.into())
}

/// What a code is verified against, and by which rules.
struct Verification {
    phone_number: PhoneNumber,
    session: SessionChoice,
    rules: Rules,
}

impl Verification {
    /// Checks a code and shows the answer.
    fn check(&self, typed: &TypedCode, context: &mut Context<'_>) -> Result<Attempt, Error> {
        // It is closed after each answer: a person or a hook may take long, and needs no database. Its clock isn't asked for: a server
        // would have to be waited for once more.
        let mut store = store::open(&context.database, &context.clock)?;
        let Self { phone_number, session, rules } = self;
        let attempt = rules.verify(&mut *store, phone_number, session, typed)?;
        self.show(&attempt, &mut *store, context);
        Ok(attempt)
    }

    /// Shows the answer to a code.
    fn show(&self, attempt: &Attempt, store: &mut dyn Store, context: &mut Context<'_>) {
        use VerificationStatus::*;
        let Self { phone_number, session, rules } = self;
        let status = attempt.decision.status;
        let next = match status {
            // A new code wouldn't be compared either.
            _ if rules.is_limited(attempt) => None,
            SecurityCodeInvalid if rules.may_try_again(attempt) => {
                // The answer is the same, whatever is known about other SMS.
                let earlier = rules.earlier_sms(store, attempt).ok().flatten();
                let ago = earlier.map(|time| ago(time, attempt.judged_at));
                ago.map(|ago| format!("ask for the code of the newer SMS; the person may be reading the one that was sent {ago}"))
            }
            SecurityCodeValid | SecurityCodeVerified => None,
            SessionTokenInvalid if matches!(session, SessionChoice::Token(_)) => None,
            SessionTokenInvalid if !context.is_sendable(phone_number) => Some(
                "check the number: it isn't valid; `phone-verify status` finds one by its last digits"
                    .to_owned(),
            ),
            _ => Some(format!("phone-verify send {phone_number}")),
        };
        let report = VerificationReport {
            phone_number,
            status,
            valid: status == SecurityCodeValid,
            message: match status {
                SecurityCodeTooManyAttempts if rules.is_limited(attempt) => LIMITED,
                _ => status.message(),
            },
            failed_attempts: attempt.failed_attempts(),
            attempts_left: rules.attempts_left(attempt),
            session,
            next: next.map(|next| context.output.completed(&next)),
        };
        // The exit code is the answer, even if stdout doesn't take the message.
        if let Err(error) = context.output.report(&report) {
            context.output.error(&error);
        }
        if rules.is_limited(attempt) {
            context.output.warning(
                "limits.max_wrong_codes_per_number_per_day is reached, so no code is compared, and a new code won't help; if you know the person, use `verify --ignore-limits`",
            );
        }
    }
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

/// Reads the code from stdin, as one line.
fn read_code() -> Result<String, Error> {
    let mut line = Vec::new();
    io::stdin().lock().take(MAX_INPUT).read_until(b'\n', &mut line).map_err(unreadable)?;
    String::from_utf8(line).map_err(|_| Error::usage("the security code is not UTF-8 text"))
}

/// Asks for the security code at the terminal of stdin, which doesn't show what is typed. If a signal comes instead, or the end of
/// the input after the answer `last`, breaks with how the program ends.
fn ask(last: Option<Exit>, context: &Context<'_>) -> Result<ControlFlow<Exit, String>, Error> {
    match prompt::answer(context.output, || rpassword::prompt_password("Security code: ")) {
        Ok(code) => Ok(ControlFlow::Continue(code)),
        Err(NoAnswer::Signal(exit)) => Ok(ControlFlow::Break(exit)),
        Err(NoAnswer::Unreadable(error)) => {
            last.map(ControlFlow::Break).ok_or_else(|| unreadable(error))
        }
        Err(NoAnswer::Failed(error)) => Err(error),
    }
}

fn unreadable(error: io::Error) -> Error {
    Error::usage(format!("the security code can't be read: {error}")).caused_by(error)
}
