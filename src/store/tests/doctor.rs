//! What `doctor` says about clocks, which a test of the program can't set, and about every column of every table.

use chrono::{DateTime, TimeDelta, Utc};

use super::postgres::Kind;
use crate::model::CheckStatus;
use crate::store::schema::{LEDGER, RECORDS, WRONG_CODES};
use crate::store::{Database, ServerAddress, check, migrate};
use crate::system::clock::Clock;

#[test]
fn a_clock_that_is_not_the_servers_is_pointed_out() {
    let Some(server) = Kind::Plain.database() else { return };
    let database = Database::Server(ServerAddress::parse(&server.url()).unwrap());
    for (seconds, expected) in [(0, "agrees"), (-90, "behind the server's"), (90, "ahead of")] {
        let now = move |time: DateTime<Utc>| time + TimeDelta::seconds(seconds);
        let system = Clock::system();
        let clock = Clock::from_fn(move || now(system.now()));
        let checks = check(&database, &clock);
        let check = checks.iter().find(|check| check.check == "database.clock").unwrap();
        assert!(check.message.contains(expected), "{check:?}");
        assert_eq!(check.status == CheckStatus::Ok, seconds == 0, "{check:?}");
    }
}

#[test]
fn a_column_of_another_type_makes_its_table_one_of_somebody_else() {
    let Some(server) = Kind::Plain.database() else { return };
    let database = Database::Server(ServerAddress::parse(&server.url()).unwrap());
    migrate(&database).unwrap();
    for (table, name) in [(&RECORDS, "schema"), (&LEDGER, "ledger"), (&WRONG_CODES, "wrong_codes")]
    {
        let is_foreign = || {
            let checks = check(&database, &Clock::system());
            let name = format!("database.{name}");
            let check = checks.into_iter().find(|check| check.check == name).unwrap();
            check.message.contains("has columns that no version of")
        };
        for column in table.column_names() {
            let alter = format!("ALTER TABLE {}", table.name);
            server.query(&format!("{alter} RENAME {column} TO own; {alter} ADD {column} json"));
            assert!(is_foreign(), "{}.{column}", table.name);
            server.query(&format!("{alter} DROP {column}; {alter} RENAME own TO {column}"));
        }
        let text = "ALTER phone_number TYPE text";
        server.query(&format!("ALTER TABLE {} {text}", table.name));
        assert!(!is_foreign(), "{}", table.name);
    }
}
