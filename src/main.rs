//! Reads the command line, runs the command, shows the error and turns it into the exit code.

use std::process::ExitCode;

use phone_verify::cli::Cli;
use phone_verify::clock::Clock;
use phone_verify::commands;
use phone_verify::error::exit_code;
use phone_verify::output::{Output, start_log};

fn main() -> ExitCode {
    let cli = match Cli::read(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to stdout, complaints to stderr; where that fails there is nobody left to tell.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    start_log(cli.global.verbose);
    let mut output = Output::new(cli.global.format, cli.global.color, cli.global.quiet);
    let result = commands::run(cli, &mut output, Clock::system());
    if let Err(error) = &result {
        output.error(error);
    }
    ExitCode::from(exit_code(&result))
}
