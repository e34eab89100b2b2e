//! The PostgreSQL servers of the tests: each one is what a test asks for, and none outlives its test process.

use std::collections::BTreeSet;
use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::NoTls;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::support::postgres::{Database, Kind, PASSWORD, Server, is_running, query, try_query};
use crate::support::{TRUSTED_CERTIFICATE, TRUSTED_KEY, wait_until};

/// Returns the only value that `statement` finds for a client that uses the database's URL.
#[track_caller]
fn value(database: &Database, statement: &str) -> String {
    query(&database.url(), statement)[0][0].clone().expect("a value")
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(future)
}

#[test]
fn databases_are_empty_and_separate() {
    for kind in Kind::ALL {
        let (Some(first), Some(second)) = (kind.database(), kind.database()) else { continue };
        first.query("CREATE TABLE mine ()");
        let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
        assert_eq!(value(&first, tables), "1", "{kind:?}");
        assert_eq!(value(&second, tables), "0", "{kind:?}");
        for (setting, expected) in [("server_encoding", "UTF8"), ("lc_messages", "C")] {
            assert_eq!(value(&first, &format!("SHOW {setting}")), expected, "{kind:?}");
        }
    }
}

#[test]
fn a_database_is_dropped_with_its_test() {
    let (Some(first), Some(second)) = (Kind::Plain.database(), Kind::Plain.database()) else {
        return;
    };
    let databases = "SELECT count(*) FROM pg_database WHERE datname = ";
    let name = value(&first, "SELECT quote_literal(current_database())");
    assert_eq!(value(&second, &format!("{databases}{name}")), "1");
    drop(first);
    assert_eq!(value(&second, &format!("{databases}{name}")), "0");
}

#[test]
fn the_other_version_is_another_one() {
    let (Some(plain), Some(other)) = (Kind::Plain.database(), Kind::OtherVersion.database()) else {
        return;
    };
    let version = "SELECT current_setting('server_version_num')::integer / 10000";
    assert_ne!(value(&plain, version), value(&other, version));
}

#[test]
fn transactions_are_serializable_where_the_kind_says_so() {
    for kind in Kind::ALL {
        let Some(database) = kind.database() else { continue };
        let isolation = value(&database, "SHOW transaction_isolation");
        assert_eq!(isolation == "serializable", kind == Kind::Serializable, "{kind:?}");
    }
}

#[test]
fn pooled_sessions_share_connections() {
    let Some(database) = Kind::Pooled.database() else { return };
    let processes = block_on(async {
        let mut clients = Vec::new();
        let mut processes = BTreeSet::new();
        for _ in 0..20 {
            let (client, connection) =
                tokio_postgres::connect(&database.url(), NoTls).await.expect("a connection");
            tokio::spawn(connection);
            let row = client.query_typed("SELECT pg_backend_pid()", &[]).await.expect("a row");
            processes.insert(row[0].get::<_, i32>(0));
            // If a session had a connection of its own until it ends, the sixth one would get none.
            clients.push(client);
        }
        processes
    });
    assert!(processes.len() <= 5, "{processes:?}");
}

#[test]
fn tcp_needs_the_password() {
    let Some(database) = Kind::Plain.database() else { return };
    assert_eq!(query(&database.tcp_url(), "SELECT 1")[0][0].as_deref(), Some("1"));
    let wrong = database.tcp_url().replace("postgres:", "postgres:not%20");
    let error = try_query(&wrong, "SELECT 1").expect_err("the password is wrong");
    assert_eq!(error.code().map(|code| code.code()), Some("28P01"), "{error:?}");
}

#[test]
fn a_server_has_the_settings_that_the_test_wants() {
    let Some(server) = Server::start(&["work_mem=12MB"]) else { return };
    let database = server.database();
    for (setting, expected) in [("work_mem", "12MB"), ("fsync", "on"), ("full_page_writes", "on")] {
        assert_eq!(value(&database, &format!("SHOW {setting}")), expected);
    }
}

#[test]
fn what_was_committed_is_there_after_the_server_was_killed_or_stopped() {
    let Some(mut server) = Server::start(&[]) else { return };
    let database = server.database();
    database.query("CREATE TABLE kept AS SELECT 1 AS value");
    let count = "SELECT count(*) FROM kept";
    for end in [Server::kill, Server::stop] {
        let id = server.id();
        end(&mut server);
        assert!(!is_running(id));
        try_query(&database.url(), count).expect_err("nobody answers");
        server.restart();
        assert_eq!(value(&database, count), "1");
    }
}

#[test]
fn a_server_accepts_tls() {
    let Some(server) = Server::start_with_tls(TRUSTED_CERTIFICATE, TRUSTED_KEY) else { return };
    let mut trusted = RootCertStore::empty();
    trusted
        .add(CertificateDer::from_pem_slice(TRUSTED_CERTIFICATE.as_bytes()).expect("PEM"))
        .expect("a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("TLS 1.2 and 1.3")
        .with_root_certificates(trusted)
        .with_no_client_auth();
    let url = format!(
        "host=127.0.0.1 port={} user=postgres password={PASSWORD} sslmode=require",
        server.port()
    );
    let uses_tls: bool = block_on(async {
        let (client, connection) =
            tokio_postgres::connect(&url, MakeRustlsConnect::new(config)).await.expect("TLS");
        tokio::spawn(connection);
        let statement = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
        client.query_typed(statement, &[]).await.expect("a row")[0].get(0)
    });
    assert!(uses_tls);
}

#[test]
fn a_server_and_its_directory_are_gone_when_it_is_dropped() {
    let Some(server) = Server::start(&[]) else { return };
    let (id, directory) = (server.id(), server.directory().to_owned());
    assert!(is_running(id) && directory.exists());
    drop(server);
    assert!(!is_running(id) && !directory.exists());
}

#[test]
fn everything_is_gone_when_the_test_process_is_killed() {
    let Some(_) = Kind::Pooled.database() else { return };
    let mut tests = Command::new(env::current_exe().expect("the tests"))
        .args(["--ignored", "--exact", "postgres_server::servers_in_a_process_that_is_killed"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the tests start");
    let mut line = String::new();
    let mut stderr = BufReader::new(tests.stderr.take().expect("stderr is piped"));
    stderr.read_line(&mut line).expect("a line");
    let directories: Vec<_> = line.split_whitespace().map(Path::new).collect();
    assert_eq!(directories.len(), 3, "{line}");
    assert!(directories.iter().all(|directory| directory.exists()), "{line}");
    tests.kill().expect("they run");
    tests.wait().expect("they end");
    // Each is removed when what runs in it has ended.
    wait_until("the servers end", || !directories.iter().any(|directory| directory.exists()));
}

#[test]
#[ignore = "another test runs this one, and kills it"]
fn servers_in_a_process_that_is_killed() {
    let server = Server::start(&[]).expect("PostgreSQL");
    let [own, plain, pooled] = [
        server.database(),
        Kind::Plain.database().expect("PostgreSQL"),
        Kind::Pooled.database().expect("PgBouncer"),
    ];
    let directories =
        [&own, &plain, &pooled].map(|database| database.address().directory.display().to_string());
    writeln!(std::io::stderr(), "{}", directories.join(" ")).expect("a reader");
    let _ = std::io::stdin().read_line(&mut String::new());
}
