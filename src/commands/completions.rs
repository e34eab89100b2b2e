//! `completions`: prints a completion script.

use clap_complete::Shell;

use super::exit::Answer;
use crate::error::Error;
use crate::output::Output;

/// The arguments of `completions`.
#[derive(Debug, clap::Args)]
pub struct CompletionsArgs {
    /// Shell to print the script for
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// Runs `completions` for this command line.
///
/// # Errors
/// Stdout can't be written.
pub fn run(
    args: &CompletionsArgs,
    mut command_line: clap::Command,
    output: &mut Output,
) -> Result<Answer, Error> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command_line, "phone-verify", &mut script);
    output.write(&script)?;
    Ok(Answer::Done)
}
