//! The tests that run the program as a user does: one binary, a file a subcommand.

mod processes;
mod records;
mod support;
mod verify;
mod verify_input;
mod verify_sandbox;
