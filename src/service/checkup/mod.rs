//! The rules of a check-up of the database: what is weak or wrong in it, how bad it is, and what to do about it.

mod database;

pub use database::check_database;

/// The permission bit that lets others change a file.
const WRITABLE_BY_OTHERS: u32 = 0o002;
