//! `completions`: prints a completion script.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::Cli;
use crate::error::{Answer, Error};
use crate::output::Output;

/// The arguments of `completions`.
#[derive(Debug, clap::Args)]
pub struct CompletionsArgs {
    /// Shell to print the script for
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// Runs `completions`.
///
/// # Errors
/// Stdout can't be written.
pub fn run(args: &CompletionsArgs, output: &mut Output) -> Result<Answer, Error> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "phone-verify", &mut script);
    output.write(&script)?;
    Ok(Answer::Done)
}
