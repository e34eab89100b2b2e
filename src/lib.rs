//! Sends security codes to phone numbers by SMS, verifies the codes that come back, lists them and cleans them up, on the
//! table of the Django app django-phone-verify.
//!
//! The modules, from the top down; each imports only from its own line and those below it, but for [`commands::run`], which takes
//! the command line from [`cli`]:
//!
//! - [`cli`]: the global options and the commands
//! - [`commands`]: one file a command, with its arguments and what it does; the answers and the exit codes
//! - [`output`]: stdout and stderr; the only module that prints
//! - [`service`]: the rules of sending, verifying and retention
//! - [`settings`]: the settings file, validated
//! - [`store`], [`backends`]: the database and the SMS providers, which know neither each other nor the settings
//! - [`secret`], [`settings_table`], [`small_file`], [`program`], [`clock`], [`random`]: what they are made of
//! - [`model`]: the words of the field, without input or output
//!
//! [`error`] is what commands and output tell an operator; it knows nothing but itself.

pub mod backends;
pub mod cli;
pub mod clock;
pub mod commands;
pub mod error;
pub mod model;
pub mod output;
pub mod program;
pub mod random;
pub mod secret;
pub mod service;
pub mod settings;
pub mod settings_table;
pub mod small_file;
pub mod store;
