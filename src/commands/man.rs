//! `man`: prints the manual page of the program, or of one of its commands.

use std::io;

use clap::{Command, ValueEnum};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::exit::{Error, Exit};
use crate::output::Output;

/// The environment variables that the program reads, other than those of its options.
const ENVIRONMENT: [(&str, &str); 3] = [
    ("XDG_CONFIG_HOME", "The user's configuration directory; ~/.config if it is not set"),
    ("NO_COLOR", "Turns colours off if it is set and not empty (https://no-color.org)"),
    ("HTTPS_PROXY, ALL_PROXY, NO_PROXY", "The proxy through which the SMS provider is called"),
];

/// The files that the program reads or writes, in the order in which settings are looked for.
const FILES: [(&str, &str); 4] = [
    ("./phone-verify.toml", "The settings, unless --config or PHONE_VERIFY_CONFIG is given"),
    ("$XDG_CONFIG_HOME/phone-verify/phone-verify.toml", "The settings, if there are none here"),
    ("/etc/phone-verify/phone-verify.toml", "The settings, if the user has none"),
    (
        "phone-verify.sqlite3",
        "The database, beside the settings file unless the settings or --database name another one",
    ),
];

/// The arguments of `man`.
#[derive(Debug, clap::Args)]
pub struct ManArgs {
    /// Command whose page to print; without it, the program's own page
    command: Option<String>,
}

/// Runs `man` for this command line.
///
/// # Errors
/// Returns an error if the command is unknown, or if stdout can't be written.
pub fn run(args: &ManArgs, command_line: Command, output: &mut Output) -> Result<Exit, Error> {
    // `help` is another way to write `--help` and has no page.
    let mut program = command_line.disable_help_subcommand(true);
    program.build();
    let command = match &args.command {
        None => &program,
        Some(name) => program.find_subcommand(name).ok_or_else(|| {
            Error::usage("manual page: there is no such command")
                .with_hint("`phone-verify --help` lists the commands")
        })?,
    };
    let page = render(&program, command).expect("writing to memory does not fail");
    output.write(&page)?;
    Ok(Exit::Done)
}

/// Returns the page of `command`: `program` itself or one of its commands.
fn render(program: &Command, command: &Command) -> io::Result<Vec<u8>> {
    let is_program = command.get_name() == program.get_name();
    let version = program.get_version().unwrap_or_default();
    let man = Man::new(command.clone()).source(format!("{} {version}", program.get_name()));
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if is_program {
        man.render_subcommands_section(&mut page)?;
    }
    let exit_codes = Exit::value_variants().iter().filter(|exit| {
        let commands = exit.commands();
        is_program || commands.is_empty() || commands.contains(&command.get_name())
    });
    let exit_codes =
        exit_codes.map(|exit| (exit.code().to_string(), format!("{}.", exit.meaning())));
    let mut roff = Roff::default();
    define(&mut roff, "EXIT STATUS", exit_codes);
    if is_program {
        define(&mut roff, "ENVIRONMENT", ENVIRONMENT);
        define(&mut roff, "FILES", FILES);
    }
    let others = std::iter::once(program)
        .chain(program.get_subcommands())
        .filter(|other| other.get_name() != command.get_name())
        .map(|other| other.get_display_name().unwrap_or_else(|| other.get_name()));
    let names = others.flat_map(|name| [roman(", "), bold(name), roman("(1)")]).skip(1);
    roff.control("SH", ["SEE ALSO"]).text(names.collect::<Vec<_>>());
    roff.to_writer(&mut page)?;
    Ok(page)
}

/// Adds a section of names and their meanings.
fn define<T: Into<String>>(
    roff: &mut Roff,
    heading: &str,
    meanings: impl IntoIterator<Item = (T, T)>,
) {
    roff.control("SH", [heading]);
    for (name, meaning) in meanings {
        roff.control("TP", []).text([bold(name)]).text([roman(meaning)]);
    }
}
