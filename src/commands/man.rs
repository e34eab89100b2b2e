//! `man`: prints the manual page.

use crate::error::{Answer, Error};
use crate::output::Output;

/// The arguments of `man`: none.
#[derive(Debug, clap::Args)]
pub struct ManArgs {}

/// Runs `man` for this command line.
///
/// # Errors
/// Stdout can't be written.
pub fn run(_: &ManArgs, command_line: clap::Command, output: &mut Output) -> Result<Answer, Error> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command_line).render(&mut page).expect("writing to memory does not fail");
    output.write(&page)?;
    Ok(Answer::Done)
}
