//! A PostgreSQL server whose clock isn't this machine's.

use crate::support::postgres::Kind;
use crate::support::{Environment, NUMBER};

/// Lets the server's clock be an hour ahead: the program finds this function before the server's own.
const AHEAD: &str = "CREATE SCHEMA ahead;
    CREATE FUNCTION ahead.clock_timestamp() RETURNS timestamptz LANGUAGE sql
        AS 'SELECT pg_catalog.clock_timestamp() + interval ''1 hour'''";

#[test]
fn every_time_is_the_servers_whatever_this_machine_shows() {
    for kind in [Kind::Plain, Kind::OtherVersion, Kind::Serializable] {
        let Some(database) = kind.database() else { continue };
        let environment = Environment::on_server(&database);
        environment.run(&["migrate"]).expect_code(0);
        database.query(AHEAD);
        let name = database.name();
        database
            .query(&format!("ALTER DATABASE {name} SET search_path = ahead, pg_catalog, public"));
        environment.run(&["send", NUMBER]).expect_code(0);
        let is_ahead = "SELECT (created_at - pg_catalog.clock_timestamp() > '59 minutes')::text
             FROM sms_verification UNION SELECT
             (created_at - pg_catalog.clock_timestamp() > '59 minutes')::text FROM sms_delivery";
        assert_eq!(database.column(is_ahead), ["true"], "{kind:?}");
        let listed = environment.run(&["--format", "json", "list", "--since", "5m"]).json();
        assert_eq!(listed["state"], "live", "{kind:?}: {listed}");
        let purged = environment.run(&["--format", "json", "purge", "--older-than", "20m"]).json();
        assert_eq!(purged["deleted"], 0, "{kind:?}: {purged}");
        let code = database.column("SELECT security_code FROM sms_verification").remove(0);
        environment.run(&["verify", NUMBER, &code, "--any-session"]).expect_code(0);
        let ahead = ["this machine's clock is"];
        environment.doctor(0, &[]).expect("database.clock", "warning", &ahead);
    }
}
