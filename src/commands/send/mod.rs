//! `send`: creates a security code for each number, stores it and sends it.

mod input;
mod number_file;
mod plan;
mod report;
mod run;
mod tally;

use std::path::PathBuf;
use std::time::Duration;

use self::input::Input;
use self::number_file::NumberFile;
use self::plan::Plan;
use self::run::Run;
use super::{Context, network_runtime};
use crate::exit::{Error, Exit};
use crate::model;
use crate::service::admission::{AdmissionRules, Resume};
use crate::service::hooks::HookRunner;
use crate::service::recipient::Routes;
use crate::settings::Limits;

/// The usage of `send`: numbers, a file, or both.
const USAGE: &str = "phone-verify send [OPTIONS] <PHONE_NUMBER>...
       phone-verify send [OPTIONS] --file <FILE> [PHONE_NUMBER]...";

/// The arguments of `send`.
#[derive(Debug, clap::Args)]
#[command(override_usage = USAGE)]
pub struct SendArgs {
    /// Phone number to send a code to, in international form such as +14155552671
    #[arg(required_unless_present = "file", value_name = "PHONE_NUMBER")]
    phone_numbers: Vec<String>,
    /// Read numbers from this file, or from stdin if it is `-`: one a line, or CSV whose heading
    /// names phone_number
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Use the message of the settings in this language, such as de or de-AT
    #[arg(long, value_name = "TAG")]
    language: Option<String>,
    /// Fill the placeholder {KEY} of the message with VALUE
    #[arg(long = "context", value_name = "KEY=VALUE")]
    context: Vec<String>,
    /// Show what would be sent, and what the limits would hold back now; write and send nothing
    #[arg(long)]
    dry_run: bool,
    /// Continue a stopped run: skip numbers whose unexpired code was accepted, or may have been
    #[arg(long)]
    resume: bool,
    /// With --resume, send again to numbers whose outcome is unknown
    #[arg(long, requires = "resume")]
    resend_unknown: bool,
    /// Send even if the limits of the settings forbid it
    #[arg(long)]
    ignore_limits: bool,
    /// Run no hook
    #[arg(long)]
    no_hooks: bool,
    /// Wait until the SMS is delivered, for at most SECONDS, or 60 if none are given
    #[arg(
        long,
        value_name = "SECONDS",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "60",
        value_parser = parse_wait,
        conflicts_with = "dry_run"
    )]
    wait: Option<u64>,
}

fn parse_wait(text: &str) -> Result<u64, &'static str> {
    let seconds = text.parse().ok().filter(|seconds| (1..=86_400).contains(seconds));
    seconds.ok_or("it has to be from 1 to 86400")
}

/// Runs `send`.
///
/// # Errors
/// Returns an error if the arguments or settings can't be followed, or if the network can't be used.
pub fn run(args: &SendArgs, context: &mut Context<'_>) -> Result<Exit, Error> {
    let Context { settings, clock, output, database } = context;
    check_wait(args)?;
    let placeholders = model::parse_context(&args.context)
        .map_err(|problem| Error::usage(format!("--context: {problem}")))?;
    let file = args.file.as_deref();
    let (numbers, language) = (args.phone_numbers.clone(), args.language.clone());
    let routes = Routes::from_settings(settings, clock.now());
    let input = Input::open(numbers, file, language, placeholders, settings, routes)?;
    let given = args.phone_numbers.len() as u64;
    let total = file.map(|file| move || Some(given + NumberFile::count(file)?));
    let resume = args.resume.then_some(Resume {
        code_lifetime: settings.code_lifetime,
        resends_unknown: args.resend_unknown,
    });
    let limits = if args.ignore_limits { Limits::none() } else { settings.limits.clone() };
    let hooks = HookRunner::new(settings);
    let plan = Plan {
        settings,
        clock,
        database,
        rules: AdmissionRules { limits, resume },
        patience: args.wait.map(Duration::from_secs),
        is_dry_run: args.dry_run,
        hooks: (!args.no_hooks && !args.dry_run).then_some(&hooks),
    };
    network_runtime()?
        .block_on(async { Ok(Run::start(plan, output, input, total)?.finish().await) })
}

/// Refuses `--wait 5`: clap takes the 5 for a phone number, and the other numbers would get their SMS.
fn check_wait(args: &SendArgs) -> Result<(), Error> {
    let is_wait = |number: &&String| args.wait.is_some() && parse_wait(number).is_ok();
    let Some(seconds) = args.phone_numbers.iter().find(is_wait) else { return Ok(()) };
    Err(Error::usage(format!("phone number {seconds}: it is too short"))
        .with_hint(format!("--wait={seconds} waits for that many seconds")))
}
