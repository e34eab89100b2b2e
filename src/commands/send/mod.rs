//! `send`: creates a security code for each number, stores it and sends it.

mod failures;
pub(crate) mod file;
mod first_records;
mod input;
mod plan;
mod report;
mod review;
mod run;
mod tally;

use std::path::PathBuf;
use std::time::Duration;

use clap::ValueHint;

use self::failures::FailureFile;
use self::file::{InputFile, NumberFile};
use self::first_records::unless_all_fail;
use self::input::Input;
use self::plan::Plan;
use self::review::{MAX_UNASKED, confirm, review};
use self::run::Run;
use super::{Context, network_runtime};
use crate::exit::{Error, Exit};
use crate::model;
use crate::service::admission::{AdmissionRules, Resume};
use crate::service::hooks::HookRunner;
use crate::service::recipient::Routes;
use crate::service::repetition::Repetition;
use crate::settings::Limits;

/// The usage of `send`: numbers, a file, or both.
const USAGE: &str = "phone-verify send [OPTIONS] <PHONE_NUMBER>...
       phone-verify send [OPTIONS] --file <FILE> [PHONE_NUMBER]...";

/// The arguments of `send`.
#[derive(Debug, Default, clap::Args)]
#[command(override_usage = USAGE)]
pub struct SendArgs {
    /// Phone number to send a code to, in international form such as +14155552671
    #[arg(required_unless_present = "file", value_name = "PHONE_NUMBER")]
    phone_numbers: Vec<String>,
    /// Read numbers from this file, or from stdin if it is `-`: one a line, or CSV from a
    /// spreadsheet, with a heading such as phone_number
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    file: Option<InputFile>,
    /// The column of the file that has the phone numbers
    #[arg(long, value_name = "NAME", requires = "file")]
    column: Option<String>,
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
    /// Write the numbers that failed, and why, into this new file: CSV that --file takes
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run")]
    failures: Option<PathBuf>,
    /// Don't ask before sending to more than 100 numbers
    #[arg(short, long)]
    yes: bool,
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

impl SendArgs {
    /// Returns the arguments that send to this number.
    pub fn to(phone_number: String) -> Self {
        Self { phone_numbers: vec![phone_number], ..Self::default() }
    }
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
    check_wait(args)?;
    context.check_parts(&args.phone_numbers)?;
    let Context { settings, clock, output, database } = context;
    let placeholders = model::parse_context(&args.context)
        .map_err(|problem| Error::usage(format!("--context: {problem}")))?;
    let (file, column) = (args.file.as_ref(), args.column.as_deref());
    let open = || {
        let file = file.map(|file| NumberFile::open(file, column)).transpose()?;
        let (numbers, language) = (args.phone_numbers.clone(), args.language.clone());
        let routes = Routes::from_settings(settings, clock.now());
        Input::new(numbers, file, language, placeholders.clone(), settings, routes)
    };
    let mut input = open()?;
    if args.dry_run {
        for note in input.overview()? {
            output.progress(&note);
        }
    }
    let given = args.phone_numbers.len() as u64;
    let total = file.map_or(Some(given), |file| Some(given + NumberFile::count(file, column)?));
    let resume = args.resume.then_some(Resume {
        code_lifetime: settings.code_lifetime,
        longest_send: args.resend_unknown.then(|| settings.longest_send()),
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
        total,
        has_bar: file.is_some(),
        hooks: (!args.no_hooks && !args.dry_run).then_some(&hooks),
    };
    let may_repeat = !args.dry_run && !args.resume && total.is_none_or(|total| total > 1);
    let mut repetition =
        may_repeat.then(|| Repetition::new(settings, database.clone(), clock.clone()));
    let may_ask = !args.yes && !args.dry_run && file != Some(&InputFile::Stdin);
    let create_failures = || {
        let created = args.failures.as_deref().map(|path| FailureFile::create(path, &input));
        created.transpose()
    };
    if may_ask && total.is_none_or(|total| total > MAX_UNASKED) && output.can_ask() {
        // An empty one is removed at once. Nobody should answer before it's clear that there can be one.
        drop(create_failures()?);
        match (total, file) {
            (None, Some(file)) => confirm(&format!("the numbers of {file}"), output)?,
            _ => review(unless_all_fail(open()?), plan.preview(), repetition.take(), output)?,
        }
        if !input.is_unchanged() {
            let problem = "the file has changed since it was read, and nothing was sent";
            return Err(Error::failed(problem).with_hint("send again to see what is in it now"));
        }
    }
    let failures = create_failures()?;
    network_runtime()?.block_on(async {
        let entries = unless_all_fail(input);
        Ok(Run::start(plan, output, entries, repetition, failures)?.finish().await)
    })
}

/// Refuses `--wait 5`: clap takes the 5 for a phone number, and the other numbers would get their SMS.
fn check_wait(args: &SendArgs) -> Result<(), Error> {
    let is_wait = |number: &&String| args.wait.is_some() && parse_wait(number).is_ok();
    let Some(seconds) = args.phone_numbers.iter().find(is_wait) else { return Ok(()) };
    Err(Error::usage(format!("phone number {seconds}: it is too short"))
        .with_hint(format!("--wait={seconds} waits for that many seconds")))
}
