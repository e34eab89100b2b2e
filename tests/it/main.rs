//! The tests that run the program as a user does: one binary, a file a subcommand.

mod concurrency;
mod database;
mod database_trouble;
mod example;
mod leaks;
mod list;
mod list_damaged;
mod list_filters;
mod migrate;
mod migrate_django;
mod processes;
mod purge;
mod purge_many;
mod records;
mod settings;
mod settings_backends;
mod settings_messages;
mod settings_search;
mod settings_secrets;
mod support;
mod usage;
mod verify;
mod verify_input;
mod verify_sandbox;
