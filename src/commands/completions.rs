//! `completions`: prints a completion script.

use clap_complete::Shell;

use crate::exit::{Error, Exit};
use crate::output::Output;

/// In clap_complete's script for bash, a state is set under one name and looked up under the other if the program's name has a
/// hyphen. Then bash completes nothing after a command (<https://github.com/clap-rs/clap/issues/6421>, in clap_complete 4.6.11).
const BASH_NAME: &str = "phone__subcmd__verify";
const BASH_STATE: &str = "phone__verify";

/// The arguments of `completions`.
#[derive(Debug, clap::Args)]
pub struct CompletionsArgs {
    /// Shell to print the script for
    shell: Shell,
}

/// Runs `completions` for this command line.
///
/// # Errors
/// Returns an error if stdout can't be written.
pub fn run(
    args: &CompletionsArgs,
    mut command_line: clap::Command,
    output: &mut Output,
) -> Result<Exit, Error> {
    let mut script = generated(args.shell, &mut command_line);
    if args.shell == Shell::Bash {
        script = script.replace(BASH_NAME, BASH_STATE);
    }
    output.write(script.as_bytes())?;
    Ok(Exit::Done)
}

fn generated(shell: Shell, command_line: &mut clap::Command) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, command_line, "phone-verify", &mut script);
    String::from_utf8(script).expect("the names and the help are UTF-8")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn clap_complete_still_writes_the_name_in_two_ways_for_bash() {
        let script = generated(Shell::Bash, &mut crate::cli::Cli::command());
        assert!(script.contains(BASH_STATE));
        assert!(script.contains(BASH_NAME), "the replacement is no longer needed");
    }
}
