//! The file of a `send`: one number a line, or what a spreadsheet exports.

mod columns;
mod format;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod input_file;
mod lines;
mod names;
mod number_file;
mod overview;
mod records;

pub(super) use input_file::InputFile;
pub(super) use names::{PHONE_NUMBER, folded};
pub(super) use number_file::NumberFile;
pub(super) use overview::overview;
pub(super) use records::Record;
