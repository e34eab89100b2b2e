//! The store on SQLite.

mod check;
mod copies;
mod database;
mod engine;
mod error;
mod file;
mod history;
mod lock;
mod migrate;
mod newest_deliveries;
mod pages;
mod removal;
mod rows;
mod selection;
mod sends;
mod tables;
mod verified;
mod verify;
mod wrong_codes;

pub use check::check;
pub(super) use engine::Sqlite;
pub use migrate::migrate;

/// Returns the name and the version of the database engine that is built into the program, such as `SQLite 3.50.4`.
pub fn engine() -> String {
    format!("SQLite {}", rusqlite::version())
}
