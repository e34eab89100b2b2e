//! Reads the command line, runs the command, prints the error and returns the exit code.

use std::io::ErrorKind;
use std::process::ExitCode;

use phone_verify::cli::Cli;
use phone_verify::exit::{Error, Exit};
use phone_verify::output::{Color, Format, Output};
use phone_verify::system::clock::Clock;
use phone_verify::system::process;

fn main() -> ExitCode {
    // Before anything else, since the environment and the arguments may hold secrets.
    let prepared = process::prepare();
    let cli = match Cli::read(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to stdout, usage errors to stderr.
            let exit = match error.print() {
                _ if error.use_stderr() => Exit::Usage,
                Err(unprinted) if unprinted.kind() != ErrorKind::BrokenPipe => {
                    let output = Output::new(Format::Text, Color::Auto, false);
                    output.error(&Error::failed(format!("stdout can't be written: {unprinted}")));
                    Exit::Failed
                }
                _ => Exit::Done,
            };
            return ExitCode::from(exit.code());
        }
    };
    let mut output = Output::new(cli.global.format, cli.global.color, cli.global.quiet);
    output.start_log(cli.global.verbose);
    let run = prepared.and_then(|()| cli.run(&mut output, Clock::system()));
    let exit = run.unwrap_or_else(|error| {
        output.error(&error);
        error.exit
    });
    ExitCode::from(exit.code())
}
