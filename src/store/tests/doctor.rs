//! What `doctor` says about clocks, which a test of the program can't set.

use chrono::{DateTime, TimeDelta, Utc};

use super::postgres::Kind;
use crate::model::CheckStatus;
use crate::store::{Database, ServerAddress, check};
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
