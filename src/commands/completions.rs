//! `completions`: prints a completion script.

use clap_complete::Shell;

use crate::exit::{Error, Exit};
use crate::output::Output;

/// In clap_complete's script for bash, a state is set under one name and looked up under the other if the program's name has a
/// hyphen. Then bash completes nothing after a command (<https://github.com/clap-rs/clap/issues/6421>, in clap_complete 4.6.11).
const BASH_NAME: &str = "phone__subcmd__verify";
const BASH_STATE: &str = "phone__verify";

/// What has bash complete the names of files if there is nothing else: also for a number.
const BASH_FILES: &str = " -o bashdefault -o default";

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
    match args.shell {
        Shell::Bash => script = script.replace(BASH_NAME, BASH_STATE).replace(BASH_FILES, ""),
        Shell::Fish => script += &fish_arguments(&command_line),
        _ => {}
    }
    output.write(script.as_bytes())?;
    Ok(Exit::Done)
}

/// Returns what clap_complete leaves out for fish: the values of arguments that aren't options, and that no others are files.
fn fish_arguments(command_line: &clap::Command) -> String {
    let lines = command_line.get_subcommands().map(|command| {
        let values = command.get_positionals().flat_map(clap::Arg::get_possible_values);
        let values: Vec<_> = values.map(|value| value.get_name().to_owned()).collect();
        let condition = format!("__fish_phone_verify_using_subcommand {}", command.get_name());
        format!("complete -c phone-verify -n \"{condition}\" -f -a \"{}\"\n", values.join(" "))
    });
    lines.collect()
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
    fn clap_complete_still_writes_for_bash_what_is_replaced() {
        let script = generated(Shell::Bash, &mut crate::cli::Cli::command());
        assert!(script.contains(BASH_STATE));
        for replaced in [BASH_NAME, BASH_FILES] {
            assert!(script.contains(replaced), "the replacement of {replaced} is no longer needed");
        }
    }
}
