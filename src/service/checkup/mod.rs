//! The rules of a check-up: what is weak or wrong in a set-up, how bad it is, and what to do about it.

mod provider;
mod settings;

use crate::model::Check;
use crate::system::program::Program;

pub use provider::{calling, check_provider, check_unconnected};
pub use settings::{check_broken_settings, check_settings};

/// The permission bit that lets others change a file.
const WRITABLE_BY_OTHERS: u32 = 0o002;

/// Returns the check of a program that is going to be run.
fn check_program(check: &str, program: &Program) -> Check {
    match program.find() {
        Ok(file) => Check::ok(check, file.display().to_string()),
        Err(error) => Check::failure(
            check,
            format!("{} can't be run: {error}", program.path().display()),
            "install the program, make it executable, or correct its path",
        ),
    }
}
