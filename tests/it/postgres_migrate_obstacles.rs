//! What keeps a server's tables from being created, changed or used, and tables that somebody else has shaped.

use tokio::runtime::Runtime;
use tokio_postgres::{Client, NoTls};

use crate::postgres_migrate::{DJANGO, UNIQUE, column, indexes, migrate};
use crate::support::postgres::{Database, Kind, Server, query};
use crate::support::{
    CODE, Checks, Environment, NUMBER, Run, SANDBOX_CODE, finish, run_command, wait_until,
};

/// Without a pooler, every session has the user and the settings that its address names.
const DIRECT: [Kind; 2] = [Kind::Plain, Kind::OtherVersion];

/// A session with an open transaction, which ends with it.
struct Held {
    _client: Client,
    _runtime: Runtime,
}

impl Held {
    fn new(database: &Database, statements: &str) -> Self {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let client = runtime.block_on(async {
            // A pooler would keep the connection open.
            let url = database.tcp_url();
            let (client, connection) =
                tokio_postgres::connect(&url, NoTls).await.expect("a server");
            tokio::spawn(connection);
            client.batch_execute(&format!("BEGIN; {statements}")).await.expect("the lock is free");
            client
        });
        Self { _client: client, _runtime: runtime }
    }
}

/// Asserts that a command failed with this problem and hint, without a result.
#[track_caller]
fn expect_error(run: Run, parts: &[&str]) {
    let run = run.expect_code(1);
    assert_eq!(run.stdout, "", "{run:#?}");
    assert!(run.stderr.starts_with("error: "), "{run:#?}");
    assert!(run.stderr.contains("\nhint: "), "{run:#?}");
    for part in parts {
        assert!(run.stderr.contains(part), "{part}: {run:#?}");
    }
}

/// Returns an environment on a database for a new user, who may log in.
fn of_new_user(database: &Database) -> (Environment, String) {
    let user = format!("{}_user", database.name());
    database.query(&format!("CREATE ROLE {user} LOGIN"));
    let url = database.url().replace("user=postgres", &format!("user={user}"));
    let settings = format!("backend = \"console\"\n[database]\nurl = \"{url}\"\n");
    (Environment::with_settings(&settings), user)
}

#[test]
fn without_tables_every_command_says_so() {
    for kind in Kind::ALL {
        let Some(database) = kind.database() else { continue };
        let environment = Environment::on_server(&database);
        for arguments in [
            &["send", NUMBER][..],
            &["verify", "--any-session", NUMBER, CODE],
            &["list"],
            &["purge", "--older-than", "1d"],
            &["status", NUMBER],
            &["deliveries"],
            &["stats"],
        ] {
            let problem =
                format!("error: database {}: there is no table sms_verification", database.url());
            expect_error(environment.run(arguments), &[&problem, "\nhint: phone-verify migrate\n"]);
        }
        let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
        assert_eq!(column(&database, tables), ["0"], "{kind:?}");
    }
}

#[test]
fn tables_of_others_are_refused_and_left_alone() {
    for kind in Kind::ALL {
        for statement in [
            "CREATE TABLE sms_verification (id uuid PRIMARY KEY, number text)".to_owned(),
            DJANGO.concat().replace("\"id\" uuid", "\"id\" bigint"),
            DJANGO.concat().replace("timestamp with time zone", "timestamp"),
            "CREATE VIEW sms_verification AS SELECT 1 AS id".to_owned(),
            "CREATE SEQUENCE sms_verification".to_owned(),
            "CREATE TABLE sms_delivery (id bigint)".to_owned(),
            "CREATE MATERIALIZED VIEW sms_delivery AS SELECT 1 AS id".to_owned(),
        ] {
            let Some(database) = kind.database() else { continue };
            database.query(&statement);
            let environment = Environment::on_server(&database);
            let relations =
                "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace";
            let before = column(&database, relations);
            expect_error(environment.run(&["migrate"]), &["sms_"]);
            assert_eq!(column(&database, relations), before, "{kind:?}: {statement}");
        }
    }
}

#[test]
fn an_index_that_a_killed_migrate_has_left_invalid_is_made_again() {
    let settings = ["client_connection_check_interval=10ms"];
    let Some(server) = Server::start(&settings) else { return };
    let database = server.database();
    let environment = Environment::on_server(&database);
    migrate(&environment);
    database.query("DROP INDEX phone_verify_created_at");
    // An index isn't complete as long as a transaction that has changed the table goes on.
    let held = Held::new(&database, "LOCK sms_verification IN ROW EXCLUSIVE MODE");
    let mut program = environment.start(&["migrate"]);
    let state =
        "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('phone_verify_created_at')";
    wait_until("the index is being made", || column(&database, state) == ["f"]);
    program.kill().expect("it still runs");
    finish(program);
    let sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'phone-verify'";
    wait_until("the server ends the session", || column(&database, sessions) == ["0"]);
    drop(held);
    assert_eq!(column(&database, state), ["f"]);
    environment.doctor(0, &[]).expect("database.indexes", "warning", &["phone_verify_created_at"]);
    let run = environment.run(&["migrate"]).expect_code(0);
    assert!(run.stdout.contains("phone_verify_created_at"), "{run:#?}");
    assert_eq!(column(&database, state), ["t"]);
    assert_eq!(indexes(&database, "sms_verification").len(), 4);
}

#[test]
fn the_first_schema_with_a_table_counts() {
    for kind in DIRECT {
        let Some(database) = kind.database() else { continue };
        let name = database.name();
        database.query(&format!(
            "CREATE SCHEMA one; CREATE SCHEMA \"Two\"; ALTER DATABASE {name} SET search_path = one, \"Two\""
        ));
        let environment = Environment::on_server(&database);
        database.query(&format!("SET search_path = \"Two\"; {}", DJANGO.concat()));
        // An index belongs to the schema of its table, whatever else has its name.
        database.query(
            "CREATE TABLE other (); CREATE INDEX phone_verify_created_at ON \"Two\".sms_verification (created_at);
             CREATE SEQUENCE one.phone_verify_created_at;
             UPDATE pg_index SET indisvalid = FALSE
                 WHERE indexrelid = '\"Two\".phone_verify_created_at'::regclass",
        );
        migrate(&environment);
        assert_eq!(indexes(&database, "sms_verification").len(), 4, "{kind:?}");
        let tables = "SELECT schemaname || '.' || tablename FROM pg_tables WHERE schemaname IN ('one', 'Two')
             ORDER BY 1";
        let expected = [
            "Two.sms_verification",
            "one.other",
            "one.phone_verify_lock",
            "one.sms_delivery",
            "one.sms_wrong_code",
        ];
        assert_eq!(column(&database, tables), expected, "{kind:?}");
        environment.run(&["send", NUMBER]).expect_code(0);
        assert_eq!(column(&database, "SELECT count(*) FROM \"Two\".sms_verification"), ["1"]);
        environment.doctor(0, &[]).expect("database.indexes", "ok", &[]);
    }
}

#[test]
fn a_user_without_privileges_is_named_the_grants() {
    for kind in DIRECT {
        let Some(database) = kind.database() else { continue };
        let (environment, user) = of_new_user(&database);
        expect_error(
            environment.run(&["migrate"]),
            &["permission denied for schema public", "phone-verify doctor"],
        );
        let grant = format!("GRANT CREATE ON SCHEMA public TO {user}`");
        environment.doctor(1, &[]).expect(
            "database.privileges",
            "failure",
            &["CREATE ON SCHEMA public", &grant],
        );

        migrate(&Environment::on_server(&database));
        for arguments in [&["list"][..], &["verify", "--any-session", NUMBER, CODE], &["migrate"]] {
            expect_error(
                environment.run(arguments),
                &["permission denied for table", "phone-verify doctor"],
            );
        }
        environment.write("numbers", "+12025550101\n+12025550102\n");
        let of_send = format!(
            "the user {user} lacks SELECT, INSERT, UPDATE ON sms_delivery, phone_verify_lock; SELECT, INSERT, UPDATE, DELETE ON sms_verification\nhint: let the owner of the tables run `GRANT SELECT, INSERT, UPDATE ON sms_delivery, phone_verify_lock TO {user}; GRANT SELECT, INSERT, UPDATE, DELETE ON sms_verification TO {user}`\n"
        );
        for arguments in [&["send", NUMBER][..], &["send", "--file", "numbers"]] {
            expect_error(environment.run(arguments), &[&of_send]);
        }
        let checks = environment.doctor(1, &[]);
        let granted = format!(
            "`GRANT SELECT, INSERT, UPDATE ON phone_verify_lock TO {user}; GRANT SELECT, INSERT, UPDATE, DELETE ON sms_verification, sms_delivery, sms_wrong_code TO {user}`"
        );
        checks.expect("database.privileges", "failure", &[&granted]);
        checks.expect("database.rows", "failure", &["permission denied"]);
        // What doctor names is enough.
        database.query(granted.trim_matches('`'));
        environment.run(&["send", NUMBER]).expect_code(0);
        environment.run(&["migrate"]).expect_code(0);
        environment.doctor(0, &[]).expect("database.privileges", "ok", &[]);

        database.query("DROP INDEX phone_verify_created_at");
        let owner = "let the owner of the tables run";
        environment.doctor(0, &[]).expect("database.indexes", "warning", &[owner, "migrate"]);
        let parts = ["must be owner of table sms_verification", owner, "`phone-verify migrate`"];
        expect_error(environment.run(&["migrate"]), &parts);

        database.query("ALTER TABLE sms_verification ENABLE ROW LEVEL SECURITY");
        let policy = "`CREATE POLICY … ON … TO … USING (TRUE)`";
        let run = environment.run(&["send", NUMBER]).expect_code(1);
        assert!(run.stderr.contains("row-level security"), "{run:#?}");
        assert!(run.stderr.contains(policy), "{run:#?}");
        let checks = environment.doctor(0, &[]);
        checks.expect("database.row_security", "warning", &["sms_verification", policy]);
        database
            .query(&format!("CREATE POLICY all_rows ON sms_verification TO {user} USING (TRUE)"));
        environment.run(&["send", NUMBER]).expect_code(0);

        database.query(&format!("ALTER TABLE sms_verification DROP CONSTRAINT {UNIQUE}"));
        expect_error(environment.run(&["migrate"]), &["must be owner", "`phone-verify migrate`"]);
        database.query("REVOKE USAGE ON SCHEMA public FROM PUBLIC");
        let grant = format!("`GRANT USAGE ON SCHEMA public TO {user}`");
        environment.doctor(1, &[]).expect("database.privileges", "failure", &[&grant]);
        expect_error(environment.run(&["migrate"]), &["no schema", "search_path"]);
        database.query(&format!("ALTER ROLE {user} SET search_path = nowhere"));
        let problem = "search_path names no schema";
        environment.doctor(1, &[]).expect("database.privileges", "failure", &[problem]);
    }
}

#[test]
fn a_database_that_takes_no_changes_is_read_and_nothing_is_sent() {
    for kind in DIRECT {
        let Some(database) = kind.database() else { continue };
        let environment = Environment::on_server(&database);
        migrate(&environment);
        environment.run(&["send", NUMBER]).expect_code(0);
        let name = database.name();
        database.query(&format!("ALTER DATABASE {name} SET default_transaction_read_only = on"));
        environment.write("numbers", "+12025550101\n+12025550102\n");
        for arguments in [&["send", NUMBER][..], &["send", "--file", "numbers"]] {
            expect_error(
                environment.run(arguments),
                &["default_transaction_read_only is on", "turn"],
            );
        }
        environment.run(&["list"]).expect_code(0);
        expect_error(environment.run(&["purge", NUMBER]), &["takes no changes"]);
        let checks = environment.doctor(1, &[]);
        checks.expect("database.writable", "failure", &["default_transaction_read_only is on"]);
        checks.expect("database.rows", "ok", &["1 record"]);
    }
}

#[test]
fn a_replica_is_read_only_until_it_takes_over() {
    let Some(mut primary) = Server::start(&[]) else { return };
    let database = primary.database();
    let environment = Environment::on_server(&database);
    migrate(&environment);
    environment.run(&["send", NUMBER]).expect_code(0);
    let replica = primary.start_replica();
    let only = Server::url_of_all(&[&replica], database.name());
    let run = |url: &str, arguments: &[&str]| {
        environment.run(&[&["--database", url], arguments].concat())
    };
    expect_error(
        run(&only, &["send", NUMBER]),
        &["the server is a read-only replica", "read-write"],
    );
    expect_error(run(&only, &["purge", NUMBER]), &["the server takes no changes: it is a replica"]);
    let listed = run(&only, &["list"]).expect_code(0);
    assert!(listed.stdout.contains(NUMBER), "{listed:#?}");
    let checks = Checks::from_run(run(&only, &["--format", "json", "doctor"]).expect_code(1));
    checks.expect("database.writable", "failure", &["the server is a read-only replica"]);

    let none = format!("{only}&target_session_attrs=read-write");
    expect_error(run(&none, &["list"]), &["the server takes no changes: it is a replica"]);

    let either = Server::url_of_all(&[&replica, &primary], database.name());
    let either = format!("{either}&target_session_attrs=read-write");
    run(&either, &["send", "+12025550101"]).expect_code(0);
    assert_eq!(column(&database, "SELECT count(*) FROM sms_verification"), ["2"]);
    let count = "SELECT count(*) FROM sms_verification";
    wait_until("the replica has followed", || query(&only, count)[0][0].as_deref() == Some("2"));
    primary.kill();
    query(&only, "SELECT pg_promote()");
    run(&either, &["send", "+12025550102"]).expect_code(0);
    assert_eq!(query(&only, count)[0][0].as_deref(), Some("3"));
}

#[test]
fn a_statement_waits_for_its_locks_and_no_longer_than_the_server_allows() {
    for kind in Kind::ALL {
        let Some(database) = kind.database() else { continue };
        let environment = Environment::sandbox("");
        let url = database.url();
        let run =
            |arguments: &[&str]| environment.command(&[&["--database", &url], arguments].concat());
        run_command(run(&["migrate"])).expect_code(0);
        run_command(run(&["send", NUMBER])).expect_code(0);
        let lock = "LOCK TABLE sms_verification IN ACCESS EXCLUSIVE MODE";
        let held = Held::new(&database, lock);
        let child = run(&["verify", "--any-session", NUMBER, SANDBOX_CODE])
            .spawn()
            .expect("the program starts");
        let waits = "SELECT count(*) > 0 FROM pg_stat_activity
             WHERE datname = current_database() AND wait_event_type = 'Lock'";
        wait_until("the program waits", || column(&database, waits) == ["t"]);
        drop(held);
        finish(child).expect_code(0);

        if kind != Kind::Pooled {
            let name = database.name();
            database.query(&format!("ALTER DATABASE {name} SET statement_timeout = 100"));
            let _held = Held::new(&database, lock);
            let run = run_command(run(&["verify", "--any-session", NUMBER, SANDBOX_CODE]));
            expect_error(
                run,
                &["the server gave up: a statement took too long", "statement_timeout"],
            );
        }
    }
}

#[test]
fn a_migration_waits_until_another_one_is_done() {
    for kind in Kind::ALL {
        let Some(database) = kind.database() else { continue };
        let environment = Environment::on_server(&database);
        migrate(&environment);
        database.query("DROP INDEX phone_verify_created_at");
        let held = Held::new(&database, "INSERT INTO phone_verify_lock VALUES (3, 1)");
        let child = environment.start(&["migrate"]);
        let is_there = "SELECT count(*) > 0 FROM pg_stat_activity
             WHERE datname = current_database() AND query LIKE 'ROLLBACK%'";
        wait_until("the program has seen that it isn't its turn", || {
            column(&database, is_there) == ["t"]
        });
        assert_eq!(indexes(&database, "sms_verification").len(), 3, "{kind:?}");
        drop(held);
        finish(child).expect_code(0);
        assert_eq!(indexes(&database, "sms_verification").len(), 4, "{kind:?}");
    }
}

#[test]
fn all_commands_work_on_a_partitioned_table() {
    for kind in Kind::ALL {
        let Some(database) = kind.database() else { continue };
        let table =
            DJANGO.concat().replace("\"id\" uuid NOT NULL PRIMARY KEY", "\"id\" uuid NOT NULL");
        let (create, rest) = table.split_once(';').expect("statements");
        let (_, rest) = rest.split_once(';').expect("the unique constraint");
        database.query(&format!(
            "{create} PARTITION BY RANGE (created_at); {rest}
             ALTER TABLE sms_verification ADD PRIMARY KEY (id, created_at);
             DO $$ BEGIN FOR day IN -2..2 LOOP
                 EXECUTE format('CREATE TABLE day_%s PARTITION OF sms_verification FOR VALUES FROM (%L) TO (%L)',
                     day + 2, current_date + day, current_date + day + 1);
             END LOOP; END $$"
        ));
        let environment = Environment::sandbox("");
        let url = database.url();
        let run = |arguments: &[&str], code: i32| {
            let arguments = [&["--database", &url], arguments].concat();
            environment.run(&arguments).expect_code(code)
        };
        run(&["migrate"], 0);
        assert_eq!(indexes(&database, "sms_verification").len(), 3, "{kind:?}");
        run(&["migrate"], 0);
        environment.write("numbers", "+12025550101\n+12025550102\n");
        run(&["send", "--file", "numbers"], 0);
        run(&["send", NUMBER], 0);
        run(&["send", NUMBER], 0);
        run(&["verify", "--any-session", NUMBER, CODE], 11);
        run(&["verify", "--any-session", NUMBER, SANDBOX_CODE], 0);
        run(&["status", NUMBER], 0);
        run(&["stats"], 0);
        assert!(run(&["deliveries"], 0).stdout.contains(NUMBER), "{kind:?}");
        assert!(run(&["list"], 0).stdout.contains(NUMBER), "{kind:?}");
        let checks = Checks::from_run(run(&["--format", "json", "doctor"], 0));
        checks.expect("database.schema", "ok", &[]);
        checks.expect("database.indexes", "ok", &[]);
        run(&["purge", NUMBER], 0);
        database.query("UPDATE sms_verification SET created_at = created_at - interval '1 day'");
        run(&["purge", "--older-than", "1h"], 0);
        assert_eq!(column(&database, "SELECT count(*) FROM sms_verification"), ["0"], "{kind:?}");
        database.query("DROP TABLE day_2, day_3");
        let refused = run(&["send", NUMBER], 1).stderr;
        let parts = ["no partition of relation \"sms_verification\"", "create the partition"];
        assert!(parts.iter().all(|part| refused.contains(part)), "{kind:?}: {refused}");
    }
}

#[test]
fn a_table_that_can_not_be_created_at_once_is_tried_again_a_few_times() {
    for (failures, exit) in [(5, 0), (6, 1)] {
        let Some(database) = Kind::Plain.database() else { return };
        let environment = Environment::on_server(&database);
        migrate(&environment);
        database.query(&format!(
            "DROP TABLE sms_wrong_code; CREATE SEQUENCE tries;
             CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
                 IF nextval('tries') <= {failures} THEN RAISE EXCEPTION 'not now'; END IF;
             END $$;
             CREATE EVENT TRIGGER refuse ON ddl_command_start WHEN TAG IN ('CREATE TABLE')
                 EXECUTE FUNCTION refuse()"
        ));
        environment.run(&["migrate"]).expect_code(exit);
        assert_eq!(column(&database, "SELECT last_value FROM tries"), ["6"]);
    }
}
