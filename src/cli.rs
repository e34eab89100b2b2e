//! The command line: the global options, the commands, and the one match that runs them.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::LazyLock;

use clap::builder::{OsStr, PossibleValuesParser, Resettable, StyledStr};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{
    Arg, ArgAction, ColorChoice, CommandFactory, FromArgMatches, Parser, Subcommand, ValueHint,
};

use crate::commands::examples::examples;
use crate::commands::{
    Context, DATABASE_VARIABLE, completions, copy, deliveries, doctor, init, list, man, migrate,
    purge, send, stats, status, verify,
};
use crate::exit::{Error, Exit};
use crate::output::{Color, Format, Output, on_one_line};
use crate::settings::Settings;
use crate::store::{self, Database, ServerAddress};
use crate::system::clock::Clock;

/// The variable of the global option `--config`.
const CONFIG_VARIABLE: &str = "PHONE_VERIFY_CONFIG";

/// What `--version` prints after the name. `-V` prints only the version. Clap needs a static text.
static LONG_VERSION: LazyLock<String> =
    LazyLock::new(|| format!("{}\n{}", env!("CARGO_PKG_VERSION"), store::engine()));

/// Send security codes to phone numbers by SMS, verify the codes that come back, list them and clean them up
///
/// Works on the table of django-phone-verify, alone or beside a Django site, and calls the SMS provider directly.
#[derive(Debug, Parser)]
#[command(
    name = "phone-verify",
    version,
    long_version = LONG_VERSION.as_str(),
    max_term_width = 100
)]
pub struct Cli {
    /// The global options
    #[command(flatten)]
    pub global: GlobalOptions,
    /// The command
    #[command(subcommand)]
    pub command: Command,
}

/// The options that every command takes.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Global options")]
pub struct GlobalOptions {
    /// Read the settings from this file
    #[arg(long, global = true, value_name = "FILE", env = CONFIG_VARIABLE)]
    pub config: Option<PathBuf>,
    /// Use this database instead of the one in the settings: a file, or a PostgreSQL server's URL
    #[arg(
        long,
        global = true,
        value_name = "DATABASE",
        env = DATABASE_VARIABLE,
        hide_env_values = true
    )]
    pub database: Option<PathBuf>,
    /// Print results in this form
    #[arg(long, global = true, value_enum, default_value_t, env = "PHONE_VERIFY_FORMAT")]
    pub format: Format,
    /// Use colours
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t)]
    pub color: Color,
    /// Show no progress and no warnings, nothing of `purge`, and of `doctor` only what isn't ok
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Log each step to stderr; -vv logs more
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Send a security code to phone numbers by SMS
    Send(send::SendArgs),
    /// Verify a security code; the exit code is the answer
    Verify(verify::VerifyArgs),
    /// List the latest records, newest first
    List(list::ListArgs),
    /// Show what happened to a number, and what to do next
    ///
    /// Shows why its newest code can or can't be verified, its records, and what was sent to it.
    Status(status::StatusArgs),
    /// List the latest deliveries, newest first: what was sent, what failed and why
    Deliveries(deliveries::DeliveriesArgs),
    /// Count what was sent, arrived, was verified and failed, and point out pumping
    ///
    /// Counts the ledger of deliveries by day, region, backend or language. After a purge, it counts the same.
    Stats(stats::StatsArgs),
    /// Remove expired or old records; made for cron
    ///
    /// Without an option, remove every record whose code has expired or, if the settings have record_retention_days, every record
    /// older than that.
    Purge(purge::PurgeArgs),
    /// Create the tables or bring them up to date, and add the indexes
    Migrate,
    /// Copy records and ledger to another database: between a file and a PostgreSQL server, either way
    ///
    /// Needs no settings. The copy is checked at the end. If it is stopped, run it again: it skips what is there already. Let
    /// nothing write to either database meanwhile.
    Copy(copy::CopyArgs),
    /// Check the settings, the database and the provider, and report what is weak or wrong
    ///
    /// Nothing is sent and nothing is changed. The exit code is 1 if a check fails, and 0 otherwise, even with warnings.
    Doctor(doctor::DoctorArgs),
    /// Write a settings file, after questions or from options, and check it
    ///
    /// Writes --config or ./phone-verify.toml, with each key explained, and the secret to a file of its own. Creates the database,
    /// runs doctor and, at a terminal, offers a test SMS. Nothing is ever overwritten.
    Init(init::InitArgs),
    /// Print a completion script for a shell; --help says where to install it
    Completions(completions::CompletionsArgs),
    /// Show the manual page of the program, of one command or of the settings file
    ///
    /// At a terminal `man` shows it, elsewhere it is roff.
    Man(man::ManArgs),
}

impl Cli {
    /// Reads the command line.
    ///
    /// # Errors
    /// Returns clap's error, which prints the help, the version or the usage error. It repeats no argument that may be a security
    /// code or hold a password.
    pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let arguments: Vec<_> = arguments.into_iter().collect();
        let color = color_of(&arguments);
        let mut command = Self::parser().color(color);
        if has_stray_address(&arguments) {
            let problem = "an argument is the address of a server, which belongs behind --database";
            return Err(command.error(ErrorKind::UnknownArgument, problem));
        }
        let matches = command.try_get_matches_from_mut(&arguments);
        let mut matches = matches.map_err(|error| match error.kind() {
            // To write the examples takes as long as to read the command line, so only a help has them.
            ErrorKind::DisplayHelp => {
                let help = Self::documented().color(color).try_get_matches_from(&arguments);
                help.err().unwrap_or(error)
            }
            _ => without_controls(without_secrets(without_wrong_tip(error))),
        })?;
        Self::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command))
    }

    /// Returns the command line as it is read.
    fn parser() -> clap::Command {
        let command = Self::command().mut_args(without_empty_variable);
        let command = command.mut_subcommands(|command| command.mut_args(without_empty_variable));
        let commands = command.get_subcommands().map(|command| command.get_name().to_owned());
        let pages = commands.chain([man::SETTINGS_PAGE.to_owned()]).collect::<Vec<_>>();
        command.mut_subcommand("man", |man| {
            man.mut_arg("page", |page| page.value_parser(PossibleValuesParser::new(pages)))
        })
    }

    /// Returns the command line as help, manual pages and completions show it.
    fn documented() -> clap::Command {
        let document = |command| with_examples(command).mut_args(with_value_hint);
        document(Self::parser()).mut_subcommands(document)
    }

    /// Runs the command, and returns how the program ends.
    ///
    /// # Errors
    /// Returns an error if the command fails.
    pub fn run(self, output: &mut Output, clock: Clock) -> Result<Exit, Error> {
        let Self { global, command } = self;
        clock.check()?;
        output.repeat_options(&global.to_repeat());
        let has_csv = matches!(
            command,
            Command::List(_) | Command::Deliveries(_) | Command::Stats(_) | Command::Send(_)
        );
        if global.format == Format::Csv && !has_csv {
            return Err(Error::usage(
                "`--format csv` is only for `list`, `deliveries`, `stats` and `send`",
            ));
        }
        match command {
            Command::Send(args) => send::run(&args, &mut global.context(output, clock)?),
            Command::Verify(args) => verify::run(&args, &mut global.context(output, clock)?),
            Command::List(args) => list::run(&args, &mut global.context(output, clock)?),
            Command::Deliveries(args) => {
                deliveries::run(&args, &mut global.context(output, clock)?)
            }
            Command::Purge(args) => purge::run(&args, &mut global.context(output, clock)?),
            Command::Status(args) => status::run(&args, &mut global.context(output, clock)?),
            Command::Stats(args) => stats::run(&args, &mut global.context(output, clock)?),
            Command::Migrate => migrate::run(&mut global.context(output, clock)?),
            Command::Copy(args) => copy::run(&args, output, &clock),
            Command::Doctor(args) => {
                let database = global.database()?;
                doctor::run(&args, global.config, database, output, &clock)
            }
            Command::Init(args) => {
                let database = global.database()?;
                init::run(&args, global.config, database, output, clock)
            }
            Command::Completions(args) => completions::run(&args, Self::documented(), output),
            Command::Man(args) => man::run(&args, Self::documented(), output),
        }
    }
}

impl GlobalOptions {
    /// Returns the database that was given.
    fn database(&self) -> Result<Option<Database>, Error> {
        let database =
            self.database.as_deref().map(|text| Database::from_argument(text.as_os_str()));
        database.transpose().map_err(|error| Error::usage(format!("--database: {error}")))
    }

    /// Returns the options that another command needs to work on the same settings and database, with their values: those that were
    /// given and don't come from the environment. None holds a password.
    fn to_repeat(&self) -> Vec<(&'static str, PathBuf)> {
        let is_from = |variable, value: &PathBuf| {
            env::var_os(variable).is_some_and(|text| text == value.as_os_str())
        };
        let config = self.config.clone().filter(|path| !is_from(CONFIG_VARIABLE, path));
        let database = self.database.as_ref().filter(|text| !is_from(DATABASE_VARIABLE, text));
        let database = database.and_then(|_| self.database().ok().flatten());
        let database = database.map(|database| ("--database", database.to_string().into()));
        config.map(|path| ("--config", path)).into_iter().chain(database).collect()
    }

    /// Returns what a command works with, and warns about weak settings.
    fn context(self, output: &mut Output, clock: Clock) -> Result<Context<'_>, Error> {
        let given = self.database()?;
        let settings = Settings::load(self.config.as_deref())?;
        settings.warning().iter().for_each(|warning| output.warning(warning));
        log::info!("the settings are {}", settings.path().display());
        log::info!("the database is {}", given.as_ref().unwrap_or(&settings.database));
        for backend in settings.backends() {
            log::info!("the backend is {}", backend.name());
        }
        // Every command with a context is about the database.
        if let Some(password) = given.as_ref().unwrap_or(&settings.database).password() {
            password.reveal().map_err(|error| {
                Error::usage(format!("database.password: {error}"))
                    .with_hint("set the variable, or write the file, that the settings name")
            })?;
        }
        Ok(Context::new(settings, given, output, clock))
    }
}

/// Returns the command with its examples in its help.
fn with_examples(command: clap::Command) -> clap::Command {
    let header = command.get_styles().get_header();
    let mut help = format!("{header}Examples:{header:#}");
    for (purpose, line) in examples(command.get_name()) {
        help += &format!("\n  # {purpose}\n  {}\n", line.replace('\n', "\n  "));
    }
    if let Some(more) = command.get_after_long_help() {
        help += &format!("\n{}", more.ansi());
    }
    command.after_long_help(StyledStr::from(help.trim_end().to_owned()))
}

/// Returns the argument so that a shell completes the names of files only for an option that takes a file.
fn with_value_hint(argument: Arg) -> Arg {
    match argument.get_value_hint() {
        _ if !argument.get_action().takes_values() => argument,
        ValueHint::AnyPath => argument.value_hint(ValueHint::FilePath),
        ValueHint::Unknown => argument.value_hint(ValueHint::Other),
        _ => argument,
    }
}

/// Returns the argument without its environment variable if that is empty, since unit files and compose files often set variables
/// without a value.
fn without_empty_variable(argument: Arg) -> Arg {
    if argument.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty()) {
        argument.env(Resettable::<OsStr>::Reset)
    } else {
        argument
    }
}

/// Returns when to use colours in the help and in usage errors, which are printed before the command line is parsed.
fn color_of(arguments: &[OsString]) -> ColorChoice {
    let words = || arguments.iter().map(|argument| argument.to_str().unwrap_or_default());
    let joined = words().find_map(|word| word.strip_prefix("--color="));
    let separate = || words().skip_while(|word| *word != "--color").nth(1);
    joined.or_else(separate).unwrap_or_default().parse().unwrap_or_default()
}

/// Returns whether an argument is the address of a server, which may hold a password, and isn't the value of an option that may
/// have one. It would be shown as the phone number or the file that it isn't.
fn has_stray_address(arguments: &[OsString]) -> bool {
    const OPTIONS: [&str; 5] = ["--database", "--from", "--to", "--set", "--context"];
    let mut before = "";
    arguments.iter().filter_map(|argument| argument.to_str()).any(|text| {
        let joined = text.split_once('=').filter(|(option, _)| option.starts_with("--"));
        let (option, value) = joined.unwrap_or((before, text));
        before = text;
        !OPTIONS.contains(&option) && !value.starts_with('-') && ServerAddress::is_meant_by(value)
    })
}

/// Removes the tip to give a word that begins with a dash as a value. No command takes one.
fn without_wrong_tip(mut error: clap::Error) -> clap::Error {
    let is_wrong = |tip: &StyledStr| tip.to_string().contains(" as a value, ");
    let tips = error.get(ContextKind::Suggested);
    if matches!(tips, Some(ContextValue::StyledStrs(tips)) if tips.iter().any(is_wrong)) {
        error.remove(ContextKind::Suggested);
    }
    error
}

/// Removes arguments that hold a digit or may hold a password from a usage error, and the suggestions that repeat them. The value of
/// an option stays, since it isn't a code.
fn without_secrets(mut error: clap::Error) -> clap::Error {
    let mut kinds = vec![ContextKind::InvalidArg, ContextKind::InvalidSubcommand];
    if error.kind() == ErrorKind::TooManyValues {
        kinds.push(ContextKind::InvalidValue);
    }
    for kind in kinds {
        let value = error.get(kind).map(ContextValue::to_string).unwrap_or_default();
        if value.contains(char::is_numeric) || ServerAddress::is_meant_by(&value) {
            error.remove(kind);
            error.remove(ContextKind::Suggested);
        }
    }
    error
}

/// Replaces what could control a terminal in the arguments that a usage error repeats.
fn without_controls(mut error: clap::Error) -> clap::Error {
    let harmless = |value: &ContextValue| match value {
        ContextValue::String(text) => ContextValue::String(on_one_line(text)),
        ContextValue::Strings(texts) => {
            ContextValue::Strings(texts.iter().map(|text| on_one_line(text)).collect())
        }
        value => value.clone(),
    };
    let context: Vec<_> = error.context().map(|(kind, value)| (kind, harmless(value))).collect();
    if error.context().zip(&context).any(|((_, value), (_, harmless))| value != harmless) {
        // A tip repeats the argument in its own way.
        error.remove(ContextKind::Suggested);
    }
    for (kind, value) in context.into_iter().filter(|(kind, _)| *kind != ContextKind::Suggested) {
        error.insert(kind, value);
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::documented().debug_assert();
    }

    #[test]
    fn every_command_has_examples_that_are_right() {
        let program = Cli::documented();
        let names = program.get_subcommands().map(clap::Command::get_name);
        for name in names.chain([program.get_name()]) {
            assert!(!examples(name).is_empty(), "{name} has no examples");
            for (_, line) in examples(name) {
                let words = line.split(['|', '>']).find(|part| part.contains("phone-verify "));
                let words = words.unwrap_or_default().split_whitespace();
                let words = words.skip_while(|word| !word.ends_with("phone-verify"));
                let words = words.filter(|word| *word != "\\").map(|word| word.trim_matches('"'));
                let read = Cli::read(words.map(Into::into));
                assert!(read.is_ok(), "{line}: {}", read.unwrap_err());
                assert!(name == "phone-verify" || line.contains(name), "{line} is about {name}");
            }
        }
    }

    #[test]
    fn an_address_in_the_place_of_something_else_is_refused_and_not_shown() {
        let address = "postgresql://user:s3cret@host/db";
        for arguments in [
            &["list", address][..],
            &["send", "+12025550101", address],
            &["--format", address, "list"],
            &["--config", address, "list"],
            &["--config=postgresql://user:s3cret@host/db", "list"],
            &["list", "host=a password=s3cret"],
        ] {
            let words = [&["phone-verify"], arguments].concat();
            let error = Cli::read(words.into_iter().map(Into::into)).unwrap_err().to_string();
            assert!(error.contains("belongs behind --database"), "{error}");
            assert!(!error.contains("s3cret"), "{error}");
        }
        for arguments in
            [&["--database", address, "list"][..], &["copy", "--from=a", "--to", address]]
        {
            let words = [&["phone-verify"], arguments].concat();
            assert!(Cli::read(words.into_iter().map(Into::into)).is_ok());
        }
    }

    #[test]
    fn a_usage_error_repeats_nothing_that_steers_a_terminal() {
        for arguments in [
            &["a\u{1b}[A\nerror: b"][..],
            &["list", "--a\u{1b}[A\nb"],
            &["doctor", "a\u{e0041}\nb"],
            &["--format", "a\u{1b}\n", "list"],
            &["list", "--limit", "a\u{7}\n"],
        ] {
            let words = [&["phone-verify"], arguments].concat();
            let error = Cli::read(words.into_iter().map(Into::into)).unwrap_err().to_string();
            let first = error.lines().next().unwrap_or_default();
            assert!(first.contains("a\u{fffd}") && first.contains('\''), "{error:?}");
            let steers = |c: char| c.is_control() && c != '\n' || c == '\u{e0041}';
            assert!(!error.contains(steers), "{error:?}");
        }
    }
}
