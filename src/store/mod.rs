//! The store of records and deliveries: its operations, and the engines, one directory each.

mod checks;
mod copies;
mod database;
mod error;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod group_commit;
mod interface;
#[cfg(test)]
mod memory;
mod migration;
mod postgres;
mod schema;
mod sends;
mod sqlite;
#[cfg(test)]
mod tests;

use crate::model::Check;
use crate::system::clock::Clock;

#[cfg(test)]
pub use copies::WrongCode;
pub use copies::{Copies, LedgerIds};
pub use database::Database;
pub use error::{DamagedRow, StoreError};
pub use group_commit::GroupCommit;
pub use interface::{
    Attempt, Decision, DeliveryFilter, Evidence, Judge, LookUp, PAGE, Page, RecordChange,
    RecordFilter, Rows, SessionChoice, Store, Visit, WrongCodeFilter, separate_damaged,
};
#[cfg(test)]
pub use memory::{Memory, Tables};
pub use migration::{Migration, TableChange};
pub use postgres::ServerAddress;
pub use sends::{
    Admission, GroupHistory, Lapse, NewSend, PastDelivery, Refusal, SendHistory, SendReply,
    SendStep, StartedSend, Window,
};
pub use sqlite::engine;

/// Opens `database`.
///
/// # Errors
/// Returns an error if the database doesn't exist, isn't a database, or doesn't hold the current table of records. A server's
/// tables are looked at later, by the first operation.
pub fn open(database: &Database, clock: &Clock) -> Result<Box<dyn Store>, StoreError> {
    Ok(match database {
        Database::File(path) => Box::new(sqlite::Sqlite::open(path, clock)?),
        Database::Server(address) => Box::new(postgres::Postgres::open(address, clock)?),
    })
}

/// Opens `database` to look up what was sent before, so that no byte of it changes. Returns None if there is no database yet.
///
/// # Errors
/// Returns the errors of [`open`], except for a database that doesn't exist, and an error if a table of another program has the
/// ledger's name.
pub fn open_unchanged(
    database: &Database,
    clock: &Clock,
) -> Result<Option<Box<dyn Store>>, StoreError> {
    Ok(match database {
        Database::File(path) => {
            sqlite::Sqlite::open_unchanged(path, clock)?.map(|store| Box::new(store) as _)
        }
        Database::Server(address) => {
            Some(Box::new(postgres::Postgres::open_unchanged(address, clock)?))
        }
    })
}

/// Opens `database` to send. Creates a file or the ledger if it is missing.
///
/// # Errors
/// Returns the errors of [`open`], and an error if the database can't be created or written, or if a table of another program has
/// the ledger's name.
pub fn open_to_send(database: &Database, clock: &Clock) -> Result<Box<dyn Store>, StoreError> {
    Ok(match database {
        Database::File(path) => Box::new(sqlite::Sqlite::open_to_send(path, clock)?),
        Database::Server(address) => Box::new(postgres::Postgres::open_to_send(address, clock)?),
    })
}

/// Brings `database` up to date: creates a file or the tables, upgrades an older table, adds missing indexes.
///
/// # Errors
/// Returns an error if the database can't be used, if a table of another program has the name of one of its tables, or if Django
/// manages it and hasn't brought its table up to date.
pub fn migrate(database: &Database) -> Result<Migration, StoreError> {
    match database {
        Database::File(path) => sqlite::migrate(path),
        Database::Server(address) => postgres::migrate(address),
    }
}

/// Checks `database`, and changes nothing in it.
pub fn check(database: &Database, clock: &Clock) -> Vec<Check> {
    match database {
        Database::File(path) => sqlite::check(path, clock),
        Database::Server(address) => postgres::check(address, clock),
    }
}
