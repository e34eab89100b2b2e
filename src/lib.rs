//! Sends security codes to phone numbers by SMS, verifies the codes that come back, lists them and cleans them up, on the
//! table of the Django app django-phone-verify.
//!
//! The modules, from the top down. Each imports only from those below it:
//!
//! - [`cli`]: the global options, the commands, and the match that runs them
//! - `commands`: one file per command, with its arguments and what it does
//! - [`output`]: stdout and stderr; the only module that prints
//! - `service`: the rules of sending, verifying and retention
//! - [`settings`]: the settings file, validated
//! - `store`, `backends`: the database and the SMS providers; neither knows the other or the settings
//! - `document`, [`system`]: TOML documents; the clock, random numbers, secrets, programs and signals
//! - [`exit`]: the exit codes and the error that an operator sees
//! - `model`: the terms of the field, without input or output

mod backends;
pub mod cli;
mod commands;
mod document;
pub mod exit;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod model;
pub mod output;
mod service;
pub mod settings;
#[cfg(test)]
mod simulation;
mod store;
pub mod system;
