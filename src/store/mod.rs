//! The store of records and deliveries: its operations, and the engines, one directory each.

mod error;
mod group_commit;
mod interface;
mod migration;
mod sends;
mod sqlite;
#[cfg(test)]
mod tests;

use std::path::Path;

use crate::system::clock::Clock;

pub use error::{DamagedRow, StoreError};
pub use group_commit::GroupCommit;
pub use interface::{
    Attempt, Decision, DeliveryFilter, Evidence, Judge, Page, RecordChange, RecordFilter, Rows,
    Session, Store, Visit, WrongCodeFilter,
};
pub use migration::{Migration, TableChange};
#[cfg(test)]
pub use sends::PastDelivery;
pub use sends::{
    Admission, GroupHistory, Lapse, NewSend, Refusal, SendHistory, SendReply, SendStep,
    StartedSend, Window,
};
pub use sqlite::{check, engine, migrate};

/// Opens `database`.
///
/// # Errors
/// Returns an error if the database doesn't exist, isn't a database, or doesn't hold the current table of records.
pub fn open(database: &Path, clock: &Clock) -> Result<Box<dyn Store>, StoreError> {
    Ok(Box::new(sqlite::Sqlite::open(database, clock)?))
}

/// Opens `database` to look up what was sent before, so that no byte of it changes. Returns None if there is no database yet.
///
/// # Errors
/// Returns the errors of [`open`], except for a database that doesn't exist, and an error if a table of another program has the
/// ledger's name.
pub fn open_unchanged(
    database: &Path,
    clock: &Clock,
) -> Result<Option<Box<dyn Store>>, StoreError> {
    Ok(match sqlite::Sqlite::open_unchanged(database, clock)? {
        Some(store) => Some(Box::new(store)),
        None => None,
    })
}

/// Opens `database` to send. Creates the database or the ledger if it is missing.
///
/// # Errors
/// Returns the errors of [`open`], and an error if the database can't be created or written, or if a table of another program has
/// the ledger's name.
pub fn open_to_send(database: &Path, clock: &Clock) -> Result<Box<dyn Store>, StoreError> {
    Ok(Box::new(sqlite::Sqlite::open_to_send(database, clock)?))
}
