//! How often the program waits for its PostgreSQL server.

use crate::support::postgres::Kind;
use crate::support::postgres_proxy::Proxy;
use crate::support::{CODE, Environment, NUMBER, TOKEN, WRONG_CODE, run_command};

#[test]
fn verify_takes_two_round_trips_and_if_it_changes_nothing_one() {
    for kind in Kind::ALL {
        let Some(database) = kind.database() else { continue };
        database.migrate();
        database.insert_record();
        let proxy = Proxy::start(&database);
        let settings = "backend = \"console\"\nmax_failed_attempts = 2";
        let environment = Environment::with_settings(settings);
        let token = &["--session-token", TOKEN][..];
        for (code, session, exit_code, round_trips) in [
            // Another one looks for the SMS that the person may be reading.
            (WRONG_CODE, token, 11, 3),
            (CODE, token, 0, 2),
            (CODE, &["--any-session"], 13, 3),
            (WRONG_CODE, token, 11, 2),
            (CODE, token, 15, 1),
            (CODE, &["--session-token", "unknown"], 14, 1),
        ] {
            proxy.take_round_trips();
            let arguments = [&["verify", NUMBER, code], session].concat();
            run_command(environment.on(proxy.url(), &arguments)).expect_code(exit_code);
            assert_eq!(proxy.take_round_trips(), round_trips, "{kind:?}: {code} {session:?}");
        }
    }
}
