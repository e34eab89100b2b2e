//! A database on a PostgreSQL server for each environment of the tests that run on one.

use std::sync::OnceLock;
use std::thread;

use super::Environment;
use super::postgres::{Database, Kind};

/// The module of `main.rs` whose tests run on a server.
const MODULE: &str = "on_postgresql::";

/// A database with the tables that `migrate` creates. It is copied for each environment: to migrate each one takes longer.
static TEMPLATE: OnceLock<Option<Database>> = OnceLock::new();

/// Returns whether this test runs on a server. The thread of a test has its name.
pub(crate) fn is_on_server() -> bool {
    thread::current().name().is_some_and(|name| name.starts_with(MODULE))
}

/// Returns a database for this test, if it runs on a server.
pub(crate) fn server_for_test() -> Option<Database> {
    if !is_on_server() {
        return None;
    }
    let template = TEMPLATE.get_or_init(|| Some(migrated(Kind::Plain.database()?)));
    template.as_ref().map(Database::copy)
}

fn migrated(database: Database) -> Database {
    let environment = Environment::with_server(Some(database));
    environment.write("phone-verify.toml", "backend = \"console\"\n");
    environment.run(&["migrate"]).expect_code(0);
    environment.server.expect("it was given")
}
