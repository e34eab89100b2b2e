//! The store on SQLite.

mod check;
mod database;
mod engine;
mod error;
mod file;
mod ledger;
mod migrate;
mod rows;
mod selection;
mod sends;
mod tables;

pub(super) use check::check;
pub(super) use engine::Sqlite;
pub(super) use migrate::migrate;

/// Returns the engine's name and version, such as `SQLite 3.50.4`.
pub(super) fn engine() -> String {
    format!("SQLite {}", rusqlite::version())
}
