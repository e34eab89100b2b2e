//! `man`: shows the manual page of the program, of one of its commands, or of the settings file.

mod settings_page;

use std::io;

use clap::{Command, ValueEnum};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::examples::{Example, examples};
use crate::exit::{Error, Exit};
use crate::output::Output;

/// The page of the settings file.
pub const SETTINGS_PAGE: &str = "phone-verify.toml";

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
    /// Page to show: that of a command, or that of the settings file; without it, that of the
    /// program
    page: Option<String>,
}

/// Runs `man` for this command line, which allows the pages that there are.
///
/// # Errors
/// Returns an error if stdout can't be written.
pub fn run(args: &ManArgs, command_line: Command, output: &mut Output) -> Result<Exit, Error> {
    // `help` is another way to write `--help` and has no page.
    let mut program = command_line.disable_help_subcommand(true);
    program.build();
    let page = match args.page.as_deref() {
        Some(SETTINGS_PAGE) => settings_page(&program),
        None => command_page(&program, &program),
        Some(name) => {
            command_page(&program, program.find_subcommand(name).expect("it is a command"))
        }
    };
    output.manual_page(&page.expect("writing to memory does not fail"))?;
    Ok(Exit::Done)
}

/// Returns the page of the settings file.
fn settings_page(program: &Command) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    let about = format!("settings of {}", program.get_name());
    let title = Command::new(SETTINGS_PAGE).about(about);
    let man = Man::new(title).section("5").source(source(program));
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    settings_page::sections().to_writer(&mut page)?;
    let mut roff = Roff::default();
    add_see_also(&mut roff, program, SETTINGS_PAGE);
    roff.control("PP", []).text([roman("docs/reference.md explains what this page only names.")]);
    roff.to_writer(&mut page)?;
    Ok(page)
}

/// Returns the page of `command`: `program` itself or one of its commands.
fn command_page(program: &Command, command: &Command) -> io::Result<Vec<u8>> {
    let is_program = command.get_name() == program.get_name();
    let man = Man::new(command.clone()).source(source(program));
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
    add_examples(&mut roff, examples(command.get_name()));
    add_see_also(&mut roff, program, command.get_name());
    roff.to_writer(&mut page)?;
    Ok(page)
}

fn source(program: &Command) -> String {
    format!("{} {}", program.get_name(), program.get_version().unwrap_or_default())
}

fn add_examples(roff: &mut Roff, examples: &[Example]) {
    roff.control("SH", ["EXAMPLES"]);
    for (purpose, line) in examples {
        roff.control("PP", []).text([roman(format!("{purpose}:"))]);
        roff.control("RS", ["4"]).control("nf", []);
        roff.text([roman(*line)]);
        roff.control("fi", []).control("RE", []);
    }
}

/// Adds a section with the names of all other pages than `page`.
fn add_see_also(roff: &mut Roff, program: &Command, page: &str) {
    let commands = std::iter::once(program).chain(program.get_subcommands());
    let names = commands
        .filter(|command| command.get_name() != page)
        .map(|command| (command.get_display_name().unwrap_or_else(|| command.get_name()), "(1)"))
        .chain((page != SETTINGS_PAGE).then_some((SETTINGS_PAGE, "(5)")));
    let names = names.flat_map(|(name, section)| [roman(", "), bold(name), roman(section)]);
    roff.control("SH", ["SEE ALSO"]).text(names.skip(1).collect::<Vec<_>>());
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
