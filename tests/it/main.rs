//! The tests that run the program as a user does: one binary, a file a subcommand.

mod list;
mod list_damaged;
mod list_filters;
mod migrate;
mod migrate_django;
mod processes;
mod purge;
mod purge_many;
mod records;
mod support;
mod verify;
mod verify_input;
mod verify_sandbox;
