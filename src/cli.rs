//! The command line: the global options and the commands. Nothing is decided here.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgAction, Parser, Subcommand};

use crate::commands::{completions, list, man, migrate, purge, send, status, verify};
use crate::output::{Color, Format};

/// Send security codes to phone numbers by SMS, verify the codes that come back, list them and clean them up
///
/// Works on the table of django-phone-verify, alone or beside a Django site, and calls the SMS provider directly.
#[derive(Debug, Parser)]
#[command(name = "phone-verify", version, max_term_width = 100, infer_subcommands = false)]
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
    #[arg(long, global = true, value_name = "FILE", env = "PHONE_VERIFY_CONFIG")]
    pub config: Option<PathBuf>,
    /// Use this database rather than the one that the settings name
    #[arg(long, global = true, value_name = "FILE", env = "PHONE_VERIFY_DATABASE")]
    pub database: Option<PathBuf>,
    /// Print results in this form
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "FORMAT",
        default_value_t,
        env = "PHONE_VERIFY_FORMAT"
    )]
    pub format: Format,
    /// Use colours
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t)]
    pub color: Color,
    /// Show no progress and no warnings
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Log to stderr what is done; more with -vv
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
    /// Remove expired or old records; made for cron
    Purge(purge::PurgeArgs),
    /// Show what became of one number, why its code can't be verified, and what to do next
    Status(status::StatusArgs),
    /// Create the table, or bring an older one up to date, and add the indexes
    Migrate(migrate::MigrateArgs),
    /// Print a completion script for a shell
    Completions(completions::CompletionsArgs),
    /// Print the manual page
    Man(man::ManArgs),
}

impl Cli {
    /// Reads the command line.
    ///
    /// # Errors
    /// The error of clap, whose printing is its help, its version or its complaint. It repeats no argument that may be a
    /// security code.
    pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        Self::try_parse_from(arguments).map_err(without_codes)
    }
}

/// Removes the arguments that hold a digit from a complaint, and the advice that repeats them. The value of an option that
/// takes one stays: none of those is a code.
fn without_codes(mut error: clap::Error) -> clap::Error {
    let may_be_code =
        |value: &ContextValue| value.to_string().contains(|c: char| c.is_ascii_digit());
    let stray_value =
        (error.kind() == ErrorKind::TooManyValues).then_some(ContextKind::InvalidValue);
    let kinds = [ContextKind::InvalidArg, ContextKind::InvalidSubcommand];
    for kind in kinds.into_iter().chain(stray_value) {
        if error.get(kind).is_some_and(may_be_code) {
            error.remove(kind);
            error.remove(ContextKind::Suggested);
        }
    }
    error
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
