//! `doctor` on a database of a server.

use crate::postgres_migrate::{DJANGO, column, migrate};
use crate::support::postgres::{Database, Kind, PASSWORD, Server};
use crate::support::{
    Checks, Environment, NUMBER, TRUSTED_CERTIFICATE, TRUSTED_KEY, run_command, wait_until,
};

/// What a test may leave different: how often the server was asked.
const UNCHANGED: &str = "SELECT md5(string_agg(t::text, '' ORDER BY id)) FROM sms_verification AS t
     UNION ALL SELECT string_agg(concat(relname, relkind, relpages), ' ' ORDER BY oid) FROM pg_class
     WHERE relnamespace = 'public'::regnamespace";

/// Inserts records with these statements for `phone_number`, `created_at` and `failed_attempts`.
fn insert(database: &Database, rows: &str) {
    database.query(&format!(
        "INSERT INTO sms_verification (id, created_at, modified_at, security_code, phone_number, session_token,
             is_verified, failed_attempts)
         SELECT gen_random_uuid(), created_at, now(), '918273', phone_number, gen_random_uuid()::text, FALSE, 0
         FROM (VALUES {rows}) AS new(phone_number, created_at)"
    ));
}

#[test]
fn a_current_database_has_nothing_to_complain_of_and_does_not_change() {
    for kind in Kind::ALL {
        let Some(database) = kind.database() else { continue };
        let environment = Environment::on_server(&database);
        migrate(&environment);
        environment.run(&["send", NUMBER]).expect_code(0);
        let before = column(&database, UNCHANGED);
        let checks = environment.doctor(0, &[]);
        assert_eq!(column(&database, UNCHANGED), before, "{kind:?}");
        let expected = [
            "server",
            "tls",
            "writable",
            "privileges",
            "schema",
            "ledger",
            "wrong_codes",
            "indexes",
            "dead_rows",
            "isolation",
            "clock",
            "rows",
            "phone_numbers",
            "created_at",
        ];
        assert_eq!(checks.names("database"), expected, "{kind:?}");
        let complaints = checks.complaints();
        assert!(!complaints.iter().any(|name| name.starts_with("database.")), "{checks:#?}");
        let version = column(&database, "SELECT split_part(version(), ' ', 2)").remove(0);
        let parts = [&database.url(), "PostgreSQL ", &version, "user postgres", database.name()];
        checks.expect("database.server", "ok", &parts);
        let isolation =
            if kind == Kind::Serializable { "\"serializable, but" } else { "\"read committed\"" };
        checks.expect("database.isolation", "ok", &[isolation]);
        checks.expect("database.tls", "ok", &["doesn't leave this machine"]);
        checks.expect("database.rows", "ok", &["1 record and 1 delivery can be read"]);
    }
}

#[test]
fn missing_and_older_tables_wait_for_whoever_manages_them() {
    for kind in Kind::ALL {
        for (statements, hint) in [
            ("", "phone-verify migrate"),
            (DJANGO[0], "phone-verify migrate"),
            ("CREATE TABLE django_migrations ()", "manage.py migrate phone_verify"),
        ] {
            let Some(database) = kind.database() else { continue };
            database.query(statements);
            let checks = Environment::on_server(&database).doctor(1, &[]);
            checks.expect("database.schema", "failure", &[hint]);
            checks.expect("database.ledger", "warning", &["phone-verify migrate"]);
            let privileges = if statements == DJANGO[0] { "change the tables" } else { "missing" };
            checks.expect("database.privileges", "ok", &[privileges]);
            assert!(!checks.names("database").contains(&"wrong_codes"), "{kind:?}");
            assert!(!checks.names("database").contains(&"rows"), "{kind:?}");
        }
    }
}

#[test]
fn rows_that_can_not_be_used_are_counted_and_the_first_is_named() {
    for kind in Kind::ALL {
        let Some(database) = kind.database() else { continue };
        let environment = Environment::on_server(&database);
        migrate(&environment);
        insert(
            &database,
            "('+12025550101', now()), ('+12025550104', now() + '30 seconds'),
             ('+12025550104', now() + '2 hours'), ('4155552671', now()), ('+0123', now()), ('', now()),
             ('+12025550102', 'infinity'), ('+12025550103', '-infinity')",
        );
        database.query(
            "ALTER TABLE sms_verification DROP CONSTRAINT sms_verification_failed_attempts_check;
             UPDATE sms_verification SET failed_attempts = -1 WHERE phone_number = '+12025550101';
             INSERT INTO sms_delivery (verification_id, phone_number, backend, state, segments, tries, created_at,
                 updated_at)
             SELECT gen_random_uuid(), '+12025550101', 'console', state, 1, 1, created_at, now()
             FROM (VALUES ('lost', now()), ('accepted', now()), ('accepted', now() + '1 day'),
                 ('accepted', 'infinity')) AS new(state, created_at)",
        );
        let checks = environment.doctor(1, &[]);
        let parts =
            ["5; the first: table sms_verification, row ", ", column ", ": it is not a ", "psql"];
        checks.expect("database.rows", "failure", &parts);
        checks.expect("database.phone_numbers", "warning", &["E.164: 3; the first: ", "psql"]);
        let parts = [
            "records from the future: 1; the first: ",
            "; deliveries from the future: 1; the first: 3",
        ];
        checks.expect("database.created_at", "warning", &parts);
        database.query(
            "DELETE FROM sms_verification WHERE NOT isfinite(created_at) OR failed_attempts < 0",
        );
        let parts = ["2; the first: table sms_delivery, row 1, column state: it is not a state"];
        environment.doctor(1, &[]).expect("database.rows", "failure", &parts);
    }
}

#[test]
fn rows_whose_count_conflicts_with_others_are_counted_again() {
    let Some(database) = Kind::Plain.database() else { return };
    migrate(&Environment::on_server(&database));
    insert(&database, "('+12025550101', now())");
    let user = format!("{}_user", database.name());
    database.query(&format!(
        "CREATE SEQUENCE tries; CREATE FUNCTION conflict() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
             IF nextval('tries') < 2 THEN RAISE serialization_failure; END IF;
             RETURN TRUE;
         END $$;
         CREATE POLICY conflict ON sms_verification USING (conflict());
         ALTER TABLE sms_verification ENABLE ROW LEVEL SECURITY;
         CREATE ROLE {user} LOGIN; GRANT ALL ON ALL TABLES IN SCHEMA public TO {user};
         GRANT ALL ON SEQUENCE tries TO {user}"
    ));
    let url = database.url().replace("user=postgres", &format!("user={user}"));
    let settings = format!("backend = \"console\"\n[database]\nurl = \"{url}\"\n");
    let checks = Environment::with_settings(&settings).doctor(0, &[]);
    checks.expect("database.rows", "ok", &["1 record"]);
}

#[test]
fn tables_of_another_shape_are_told() {
    for kind in Kind::ALL {
        for (statement, check, status, part) in [
            (
                "ALTER TABLE sms_verification RENAME is_verified TO done",
                "schema",
                "failure",
                "no version",
            ),
            ("ALTER TABLE sms_verification ADD user_id integer", "schema", "ok", "user_id"),
            (
                "ALTER TABLE sms_verification ADD ip text NOT NULL",
                "schema",
                "failure",
                "further column ip",
            ),
            ("ALTER TABLE sms_delivery ALTER tries TYPE text", "ledger", "failure", "no version"),
            (
                "DROP TABLE sms_wrong_code; CREATE VIEW sms_wrong_code AS SELECT 1",
                "wrong_codes",
                "failure",
                "view",
            ),
        ] {
            let Some(database) = kind.database() else { continue };
            let environment = Environment::on_server(&database);
            migrate(&environment);
            database.query(statement);
            let checks = environment.doctor(i32::from(status != "ok"), &[]);
            checks.expect(&format!("database.{check}"), status, &[part]);
        }
    }
}

#[test]
fn dead_rows_that_nobody_removes_are_pointed_out() {
    let Some(database) = Kind::Plain.database() else { return };
    let environment = Environment::on_server(&database);
    migrate(&environment);
    database.query("ALTER TABLE sms_verification SET (autovacuum_enabled = off)");
    insert(&database, "('+12025550101', now())");
    environment.doctor(0, &[]).expect("database.dead_rows", "ok", &[]);
    database.query(
        "INSERT INTO sms_verification SELECT gen_random_uuid(), now(), now(), '1', '+12025550101', i::text, FALSE, 0
         FROM generate_series(1, 10001) AS i;
         DELETE FROM sms_verification WHERE security_code = '1'",
    );
    // A session counts for the statistics when it ends.
    let dead =
        "SELECT n_dead_tup > 10000 FROM pg_stat_user_tables WHERE relname = 'sms_verification'";
    wait_until("the rows count as dead", || column(&database, dead) == ["t"]);
    let parts = ["sms_verification has 10,001 beside 1", "VACUUM sms_verification"];
    environment.doctor(0, &[]).expect("database.dead_rows", "warning", &parts);

    // After a crash, the server has forgotten what was there before.
    let live = "INSERT INTO sms_verification
         SELECT gen_random_uuid(), now(), now(), i % 2, '+12025550101', i::text, FALSE, 0
             FROM generate_series(1, 20002) AS i;
         ANALYZE sms_verification";
    for statements in ["VACUUM sms_verification", live, "SELECT pg_stat_reset()"] {
        database.query(statements);
    }
    database.query("DELETE FROM sms_verification WHERE security_code = '1'");
    wait_until("the rows count as dead", || column(&database, dead) == ["t"]);
    environment.doctor(0, &[]).expect("database.dead_rows", "ok", &[]);
}

#[test]
fn tls_and_what_an_address_asks_for_in_vain() {
    let Some(server) = Server::start_with_tls(TRUSTED_CERTIFICATE, TRUSTED_KEY) else { return };
    let environment = Environment::without_settings();
    environment.write("root.crt", TRUSTED_CERTIFICATE);
    environment.write("pass", &format!("*:*:*:*:{PASSWORD}\n"));
    let host = format!("host=127.0.0.1 port={} user=postgres", server.port());
    let doctor = |parameters: &str| {
        let arguments =
            ["--format", "json", "--database", &format!("{host} {parameters}"), "doctor"];
        let run = run_command(environment.command(&arguments)).expect_code(1);
        assert!(!format!("{run:?}").contains(PASSWORD), "{run:#?}");
        Checks::from_run(run)
    };
    let checks = doctor("passfile=pass sslmode=verify-full sslrootcert=root.crt");
    checks.expect("database.tls", "ok", &["encrypted, and the server's certificate was verified"]);
    let checks = doctor("passfile=pass sslmode=prefer sslrootcert=root.crt");
    checks.expect("database.tls", "ok", &["encrypted"]);
    let parts = ["sslrootcert has no effect with sslmode=prefer", "verify-full"];
    checks.expect("database.address", "warning", &parts);
    let checks = doctor("passfile=pass sslmode=disable");
    checks.expect("database.tls", "ok", &["not encrypted"]);
    environment.set_mode("pass", 0o644);
    let checks = doctor("passfile=pass");
    assert_eq!(checks.names("database"), ["server"]);
    let parts =
        ["the server asks for a password", "PGPASSWORD", "others have access to it", "chmod 600"];
    checks.expect("database.server", "failure", &parts);
}
