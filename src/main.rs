//! Reads the command line, runs the command, shows the error and turns it into the exit code.

use std::io::ErrorKind;
use std::process::ExitCode;

use phone_verify::cli::Cli;
use phone_verify::clock::Clock;
use phone_verify::commands;
use phone_verify::commands::exit::exit_code;
use phone_verify::output::Output;

fn main() -> ExitCode {
    let cli = match Cli::read(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to stdout, complaints to stderr.
            let printed = error.print();
            let is_unread = printed.is_err_and(|error| error.kind() != ErrorKind::BrokenPipe);
            let code = if is_unread && !error.use_stderr() { 1 } else { error.exit_code() };
            return ExitCode::from(u8::try_from(code).unwrap_or(2));
        }
    };
    let mut output = Output::new(cli.global.format, cli.global.color, cli.global.quiet);
    output.start_log(cli.global.verbose);
    let result = commands::run(cli, &mut output, Clock::system());
    if let Err(error) = &result {
        output.error(error);
    }
    ExitCode::from(exit_code(&result))
}
