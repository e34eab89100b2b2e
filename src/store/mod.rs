//! Where records and deliveries are kept: what any engine can do, and the engines, one folder each.

mod error;
mod group_commit;
mod interface;
mod migration;
mod sends;
mod sqlite;
#[cfg(test)]
mod tests;

use std::path::Path;

use crate::model::Check;
use crate::system::clock::Clock;

pub use error::{DamagedRow, StoreError};
pub use group_commit::GroupCommit;
pub use interface::{
    Attempt, Decision, DeliveryFilter, Judge, Page, RecordChange, RecordFilter, Session, Store,
    Visit,
};
pub use migration::{Migration, TableChange};
pub use sends::{
    Admission, JudgeSend, NewSend, PastDelivery, Refusal, SendHistory, SendReply, SendStep,
    StartedSend, Window,
};

/// Opens `database`.
///
/// # Errors
/// Returns an error if it doesn't exist, isn't a database, or doesn't hold the current table; the hint says what to do.
pub fn open(database: &Path, clock: &Clock) -> Result<Box<dyn Store>, StoreError> {
    Ok(Box::new(sqlite::Sqlite::open(database, clock)?))
}

/// Opens `database` to send: creates it if there is none, and the ledger if that is missing.
///
/// # Errors
/// Returns those of [`open`], and an error if it can't be created or written, or if a table of another program has the ledger's
/// name.
pub fn open_to_send(database: &Path, clock: &Clock) -> Result<Box<dyn Store>, StoreError> {
    Ok(Box::new(sqlite::Sqlite::open_to_send(database, clock)?))
}

/// Checks `database`, and changes nothing in it.
pub fn check(database: &Path, clock: &Clock) -> Vec<Check> {
    sqlite::check(database, clock)
}

/// Brings `database` up to date: creates it or its table, upgrades an older table, adds missing indexes.
///
/// # Errors
/// Returns an error if it can't be used, or if Django manages it and hasn't brought its table up to date.
pub fn migrate(database: &Path) -> Result<Migration, StoreError> {
    sqlite::migrate(database)
}

/// Returns the name and the version of the database engine that is built into the program.
pub fn engine() -> String {
    sqlite::engine()
}
