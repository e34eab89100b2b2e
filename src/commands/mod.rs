//! The commands: one file each, with its arguments and what it does.

mod causes;
pub mod completions;
pub mod copy;
pub mod deliveries;
pub mod doctor;
pub mod examples;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
pub mod init;
pub mod list;
mod listing;
pub mod man;
pub mod migrate;
mod numbers;
mod prompt;
pub mod purge;
pub mod send;
mod since;
pub mod stats;
pub mod status;
pub mod verify;

use std::ffi::OsString;

use chrono::TimeDelta;

use crate::exit::{Error, Exit};
use crate::model::{InvalidPhoneNumber, PhoneNumber};
use crate::output::Output;
use crate::settings::Settings;
use crate::store::{self, DamagedRow, Database, Store};
use crate::system::clock::Clock;

/// The variable of the global option `--database`.
pub const DATABASE_VARIABLE: &str = "PHONE_VERIFY_DATABASE";
/// The variable in which PostgreSQL's programs look for a password.
const PASSWORD_VARIABLE: &str = "PGPASSWORD";

/// What a command works with.
pub struct Context<'a> {
    /// The settings, validated.
    settings: Settings,
    database: Database,
    /// Stdout and stderr.
    output: &'a mut Output,
    /// The clock: that of the database once it is open.
    clock: Clock,
}

impl<'a> Context<'a> {
    /// Returns what a command works with: the database of the settings unless another one is `given`.
    pub fn new(
        mut settings: Settings,
        given: Option<Database>,
        output: &'a mut Output,
        clock: Clock,
    ) -> Self {
        let database = given.unwrap_or_else(|| settings.database.clone());
        settings.secret_variables.extend(secret_variables(&database).map(str::to_owned));
        Self { settings, database, output, clock }
    }

    fn open_store(&mut self) -> Result<Box<dyn Store>, Error> {
        let mut store = store::open(&self.database, &self.clock)?;
        self.clock = store.clock()?;
        Ok(store)
    }

    /// Shows damaged rows and what was done about each, and returns how the program ends.
    fn report_damage(&self, rows: &[DamagedRow], action: &str) -> Exit {
        report_damage(self.output, rows, action)
    }

    /// Reads a number to look records up by, and shows what was dropped from it.
    fn read_number(&self, text: &str) -> Result<PhoneNumber, InvalidPhoneNumber> {
        let (phone_number, warning) =
            PhoneNumber::parse_for_lookup(text, self.settings.default_region)?;
        if let Some(warning) = warning {
            self.output.warning(&warning);
        }
        Ok(phone_number)
    }

    /// Reads a number as [`Self::read_number`] does. The error repeats what was given.
    fn lookup_number(&self, text: &str) -> Result<PhoneNumber, Error> {
        self.read_number(text).map_err(|error| {
            Error::usage(match error.phone_number.as_str() {
                "" => "the phone number is empty".to_owned(),
                number => format!("phone number {number}: {error}"),
            })
        })
    }
}

/// Returns the environment variables that may hold a password of a database. That of `--database` may hold one even if another
/// database was given instead.
fn secret_variables(database: &Database) -> impl Iterator<Item = &'static str> {
    let is_server = matches!(database, Database::Server(_));
    let named = std::env::var_os(DATABASE_VARIABLE);
    let has_none = |text: &OsString| {
        Database::from_argument(text).is_ok_and(|database| !database.has_password())
    };
    let holds_password = named.is_some_and(|text| !has_none(&text));
    let variables =
        [is_server.then_some(PASSWORD_VARIABLE), holds_password.then_some(DATABASE_VARIABLE)];
    variables.into_iter().flatten()
}

/// Shows damaged rows and what was done about each, and returns how the program ends.
fn report_damage(output: &Output, rows: &[DamagedRow], action: &str) -> Exit {
    for row in rows {
        output.error(&Error::failed(format!("{row}; the row is {action}")));
    }
    if rows.is_empty() { Exit::Done } else { Exit::Failed }
}

fn fixed_line_note(number: &str) -> String {
    format!("{number} is a fixed line, which an SMS often can't reach")
}

fn no_call_warning(backend: &str) -> String {
    format!("{backend} has no call that reports whether an SMS arrived")
}

fn network_runtime() -> Result<tokio::runtime::Runtime, Error> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
        Error::failed(format!("the network can't be used: {error}")).caused_by(error)
    })
}

/// Reads a duration as [`read_duration`] does. An error also says how to write one.
fn parse_duration(text: &str) -> Result<TimeDelta, String> {
    read_duration(text).map_err(|problem| {
        format!("{problem}; a duration is a number and a unit, such as 30d, 12h or 1h 30m")
    })
}

/// Reads a duration such as `30d`, `12h` or `1h 30m`. An error says what is wrong with it.
fn read_duration(text: &str) -> Result<TimeDelta, &'static str> {
    let text = text.trim();
    let duration = humantime::parse_duration(text).map_err(|error| match error {
        _ if text.starts_with('-') => "it is negative",
        humantime::DurationError::NumberOverflow => "it is too long",
        _ => "it can't be read",
    })?;
    let duration = TimeDelta::from_std(duration).map_err(|_| "it is too long")?;
    if duration.is_zero() { Err("it is zero") } else { Ok(duration) }
}
