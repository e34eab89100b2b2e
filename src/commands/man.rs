//! `man`: prints the manual page.

use clap::CommandFactory;

use crate::cli::Cli;
use crate::error::{Answer, Error};
use crate::output::Output;

/// The arguments of `man`: none.
#[derive(Debug, clap::Args)]
pub struct ManArgs {}

/// Runs `man`.
///
/// # Errors
/// Stdout can't be written.
pub fn run(_: &ManArgs, output: &mut Output) -> Result<Answer, Error> {
    let mut page = Vec::new();
    clap_mangen::Man::new(Cli::command())
        .render(&mut page)
        .expect("writing to memory does not fail");
    output.write(&page)?;
    Ok(Answer::Done)
}
