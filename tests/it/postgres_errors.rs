//! Servers that can't be used: what the program says, and that it says no more.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::support::postgres::{Kind, PASSWORD, Server};
use crate::support::{Checks, Environment, NUMBER, TRUSTED_CERTIFICATE, TRUSTED_KEY};

/// A password that no output may have.
const SECRET: &str = "hunter2hunter2";

/// Listens on a port of its own, and hands each connection to `answer`. Returns the address of a database there, and where its
/// server is.
fn listen(answer: impl Fn(TcpStream) + Send + 'static) -> (String, String) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    thread::spawn(move || listener.incoming().flatten().for_each(answer));
    (format!("postgresql://u:{SECRET}@127.0.0.1:{port}/d"), at(port))
}

/// Reads what a client says first, and answers.
fn reply(mut stream: TcpStream, answer: &[u8]) {
    let _ = stream.read(&mut [0; 1000]);
    let _ = stream.write_all(answer);
}

/// Returns where a server is that was tried at this port of the machine.
fn at(port: impl std::fmt::Display) -> String {
    format!("127.0.0.1, port {port}")
}

/// Asserts that every command fails at `address`, which leads to `server`, with this problem and hint, and says nothing else.
#[track_caller]
fn expect_error(environment: &Environment, address: &str, server: &str, problem: &str, hint: &str) {
    let shown = address.replace(&format!(":{SECRET}"), "").replace(&format!(":{PASSWORD}"), "");
    let message = format!("database {shown} at {server}: {problem}");
    let expected = format!("error: {message}\nhint: {hint}\n");
    for arguments in [&["list"][..], &["send", NUMBER], &["migrate"]] {
        let run = environment.run(&[&["--database", address], arguments].concat());
        assert_eq!((run.code, run.stdout.as_str(), run.stderr.as_str()), (Some(1), "", &*expected));
    }
    let run = environment.run(&["--format", "json", "--database", address, "doctor"]);
    let checks = Checks::from_run(run.expect_code(1));
    assert_eq!(checks.names("database"), ["server"]);
    // The words are compared as JSON.
    let message = message.replace('"', "\\\"");
    checks.expect("database.server", "failure", &[&message, hint]);
    let output = format!("{checks:?}");
    assert!(!output.contains(SECRET) && !output.contains(PASSWORD), "{output}");
}

#[test]
fn a_server_that_is_not_there() {
    let environment = Environment::with_settings("backend = \"console\"\n");
    let hint = "check the server's name and port, that it is running, and the network between";
    // Nobody listens on a port that only root may use.
    let address = format!("postgresql://u:{SECRET}@127.0.0.1:1/d");
    let refused = "can't connect: Connection refused";
    expect_error(&environment, &address, &at(1), refused, hint);
    let several = "host=localhost,127.0.0.1 hostaddr=127.0.0.1,127.0.0.1 port=1,2 user=u";
    let servers = "localhost (127.0.0.1), port 1, or 127.0.0.1, port 2";
    expect_error(&environment, several, servers, refused, hint);
    let (address, socket) = ("host=/nowhere user=u", "socket /nowhere/.s.PGSQL.5432");
    let missing = "can't connect: No such file or directory";
    expect_error(&environment, address, socket, missing, hint);
}

#[test]
fn something_else_that_listens() {
    let environment = Environment::with_settings("backend = \"console\"\n");
    let web: fn(TcpStream) = |stream| reply(stream, b"HTTP/1.1 400 Bad Request\r\n\r\n");
    let greeting: fn(TcpStream) = |stream| reply(stream, b"SSH-2.0-OpenSSH_9.2p1\r\n");
    let zeros: fn(TcpStream) = |stream| reply(stream, &[0; 100]);
    let hint = "check the server's name and port";
    for (answer, modes) in
        [(web, &["disable"][..]), (greeting, &["prefer"]), (zeros, &["disable", "prefer"])]
    {
        for mode in modes {
            let (address, server) = listen(answer);
            let address = format!("{address}?sslmode={mode}");
            expect_error(
                &environment,
                &address,
                &server,
                "what answers there isn't a PostgreSQL server",
                hint,
            );
        }
    }
    let hint = "check the server's name and port; its log may say more";
    for mode in ["disable", "prefer", "verify-full"] {
        let (address, server) = listen(|stream| reply(stream, b""));
        let address = format!("{address}?sslmode={mode}");
        expect_error(&environment, &address, &server, "the server closed the connection", hint);
    }
}

#[test]
fn a_server_that_does_not_answer() {
    let environment = Environment::with_settings("backend = \"console\"\n");
    let (address, server) = listen(|stream| {
        // It says nothing until the client goes away.
        let _ = (&stream).read_to_end(&mut Vec::new());
    });
    let address = format!("{address}?connect_timeout=1");
    let run = environment.run(&["--database", &address, "send", NUMBER]).expect_code(1);
    let shown = address.replace(&format!(":{SECRET}"), "");
    let expected = format!(
        "error: database {shown} at {server}: the server has not answered for 1 s\nhint: check the server and the network between\n"
    );
    assert_eq!((run.stdout.as_str(), run.stderr), ("", expected));
}

#[test]
fn a_server_that_is_starting_is_waited_for() {
    let environment = Environment::with_settings("backend = \"console\"\n");
    let tries = AtomicUsize::new(0);
    let (address, _) = listen(move |stream| {
        let (code, words) = match tries.fetch_add(1, Ordering::Relaxed) {
            0 => ("57P03", "the database system is starting up"),
            _ => ("3D000", "database \"d\" does not exist"),
        };
        let fields = format!("SFATAL\0VFATAL\0C{code}\0M{words}\0\0");
        let length = 4 + fields.len() as u32;
        reply(stream, &[b"E", &length.to_be_bytes()[..], fields.as_bytes()].concat());
    });
    let address = format!("{address}?sslmode=disable");
    let run = environment.run(&["--database", &address, "list"]).expect_code(1);
    let words = ": database \"d\" does not exist\nhint: check the name, or ask the administrator of that server to create the database\n";
    assert!(run.stderr.ends_with(words), "{run:#?}");
}

#[test]
fn a_login_that_is_refused() {
    for kind in [Kind::Plain, Kind::OtherVersion] {
        let Some(database) = kind.database() else { continue };
        let environment = Environment::with_settings("backend = \"console\"\n");
        let url = database.tcp_url();
        let server = &at(database.address().port);
        let hint = "check the password: that of the address, or else of PGPASSWORD or ~/.pgpass; `password` in [database] is for the url there";
        let wrong = url.replace(PASSWORD, SECRET);
        let problem = "password authentication failed for user \"postgres\"";
        expect_error(&environment, &wrong, server, problem, hint);
        let unknown = wrong.replace("postgres:", "nobody:");
        let unknown = unknown.replace("nobody://", "postgresql://");
        let problem = "password authentication failed for user \"nobody\"";
        expect_error(&environment, &unknown, server, problem, hint);
        let missing = url.replace(&format!(":{PASSWORD}"), "");
        expect_error(&environment, &missing, server, "the server asks for a password", hint);

        let other = url.replace(database.name(), "nowhere");
        let hint = "check the name, or ask the administrator of that server to create the database";
        expect_error(&environment, &other, server, "database \"nowhere\" does not exist", hint);
        let unknown = database.url().replace("user=postgres", "user=nobody");
        let hint = "check the user, sslmode and the server's pg_hba.conf";
        let socket = format!("socket {}", database.address().socket().display());
        expect_error(&environment, &unknown, &socket, "role \"nobody\" does not exist", hint);
        let hint = "turn TLS on there; sslmode=prefer and sslmode=disable go on without encryption";
        let problem = "the server has no TLS, which sslmode requires";
        expect_error(&environment, &format!("{url}?sslmode=require"), server, problem, hint);
        let hint = "use sslmode=verify-full, or leave channel_binding out";
        let problem =
            "channel_binding=require needs TLS and a password that the server has in SCRAM";
        expect_error(
            &environment,
            &format!("{url}?channel_binding=require"),
            server,
            problem,
            hint,
        );
        let hint = "leave target_session_attrs out, or name a replica";
        let problem =
            "the server takes changes, and target_session_attrs=read-only wants one that doesn't";
        let replica = format!("{url}?target_session_attrs=read-only");
        expect_error(&environment, &replica, server, problem, hint);

        let name = database.name();
        let user = format!("{name}_user");
        database.query(&format!("CREATE ROLE {user} LOGIN"));
        let address = database.url().replace("user=postgres", &format!("user={user}"));
        let limit = "try again, or raise the limit: CONNECTION LIMIT of the role or the database that it names, or else max_connections of the server";
        for (statement, problem, hint) in [
            (
                format!("REVOKE CONNECT ON DATABASE {name} FROM PUBLIC"),
                format!("permission denied for database \"{name}\""),
                "let its owner run `GRANT CONNECT ON DATABASE … TO` this user",
            ),
            (
                format!(
                    "GRANT CONNECT ON DATABASE {name} TO {user}; ALTER DATABASE {name} CONNECTION LIMIT 0"
                ),
                format!("too many connections for database \"{name}\""),
                limit,
            ),
            (
                format!("ALTER ROLE {user} CONNECTION LIMIT 0"),
                format!("too many connections for role \"{user}\""),
                limit,
            ),
        ] {
            database.query(&statement);
            expect_error(&environment, &address, &socket, &problem, hint);
        }
    }
}

/// Certificates for `localhost` with the key [`TRUSTED_KEY`], valid for 100 years from 2026 on: one that signs itself and others,
/// as `openssl req -x509` makes it, and one of version 1 that it has signed, as `openssl x509 -req` makes it.
const AUTHORITY: &str = "-----BEGIN CERTIFICATE-----
MIIBlTCCATugAwIBAgIUDJuwjkqRv66KHkgYZRbqeQO5iR8wCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEzMDEyMzUyOFoYDzIxMjYxMTA2
MTIzNTI4WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAATjX7W/p5pe7LgCHJr7bQr4k+3AxowJx4iLuf1oZ/3/HvNxsPYANqVz
ugVbV1uUxNN7hpRSthM6+/zFVvzIFz1So2kwZzAdBgNVHQ4EFgQUSpSlxrL4Ukyj
tv4FBVQ6C8F5jCQwHwYDVR0jBBgwFoAUSpSlxrL4Ukyjtv4FBVQ6C8F5jCQwDwYD
VR0TAQH/BAUwAwEB/zAUBgNVHREEDTALgglsb2NhbGhvc3QwCgYIKoZIzj0EAwID
SAAwRQIhAJ7cvdeZ/sjVS0y8EH3CgFbPl6QNjHgp2j8sliPLZVMMAiB9G2qm7m/4
QzngtidI52zAPV30dOFN7ZwGrKJ9GUWgjA==
-----END CERTIFICATE-----
";
const VERSION_1: &str = "-----BEGIN CERTIFICATE-----
MIIBIzCBywIUa7Br/bx+xSOxFw4TaTQebYGV0ggwCgYIKoZIzj0EAwIwFDESMBAG
A1UEAwwJbG9jYWxob3N0MCAXDTI2MTEzMDEyMzUyOFoYDzIxMjYxMTA2MTIzNTI4
WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC
AATjX7W/p5pe7LgCHJr7bQr4k+3AxowJx4iLuf1oZ/3/HvNxsPYANqVzugVbV1uU
xNN7hpRSthM6+/zFVvzIFz1SMAoGCCqGSM49BAMCA0cAMEQCIG/9viP9c2Enn47n
LEYOWRHhPLd7B2p9QkNCOxR5hSEsAiBQ5DbtiPRHb1rv8D4pm78JBFYiQXLwOXup
fTHOLVCnYg==
-----END CERTIFICATE-----
";

#[test]
fn a_certificate_that_is_refused() {
    let Some(server) = Server::start_with_tls(TRUSTED_CERTIFICATE, TRUSTED_KEY) else { return };
    let environment = Environment::with_settings("backend = \"console\"\n");
    environment.write("root.crt", TRUSTED_CERTIFICATE);
    let hint = "name the certificate of the authority that signed the server's with sslrootcert, and the server by the name in its certificate";
    let port = server.port();
    let login = format!("postgresql://postgres:{PASSWORD}@");
    for mode in ["require", "verify-ca", "verify-full"] {
        let address = format!(
            "{login}localhost:{port}/postgres?hostaddr=127.0.0.1&sslmode={mode}&sslrootcert=root.crt"
        );
        let problem = "the server's certificate is refused: invalid peer certificate: certificate not valid for name \"localhost\"; certificate is only valid for IpAddress(127.0.0.1)";
        let server = format!("localhost (127.0.0.1), port {port}");
        expect_error(&environment, &address, &server, problem, hint);
        let address = format!("{login}127.0.0.1:{port}/postgres?sslmode={mode}");
        let problem =
            "the server's certificate is refused: invalid peer certificate: UnknownIssuer";
        expect_error(&environment, &address, &at(port), problem, hint);
    }
}

#[test]
fn a_certificate_that_is_made_in_another_way() {
    let environment = Environment::with_settings("backend = \"console\"\n");
    environment.write("root.crt", AUTHORITY);
    for (certificate, problem, hint) in [
        (
            AUTHORITY,
            "it is the certificate of an authority, not of a server",
            "let the authority sign a certificate for the server",
        ),
        (
            VERSION_1,
            "it is of version 1, without extensions",
            "make it again with the server's name as subjectAltName, which makes it version 3",
        ),
    ] {
        let Some(server) = Server::start_with_tls(certificate, TRUSTED_KEY) else { return };
        let port = server.port();
        let address = format!(
            "postgresql://postgres:{PASSWORD}@localhost:{port}/postgres?hostaddr=127.0.0.1&sslmode=verify-full&sslrootcert=root.crt"
        );
        let server = format!("localhost (127.0.0.1), port {port}");
        let problem = format!("the server's certificate is refused: {problem}");
        expect_error(&environment, &address, &server, &problem, hint);
    }
}
