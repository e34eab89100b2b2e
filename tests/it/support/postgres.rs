//! PostgreSQL servers that belong to the test process, and a new database on one of them for each test.
//!
//! The unit tests include this file too, so it imports nothing from the other files. Its functions wait for the server: don't
//! call them from asynchronous code.

use std::env;
use std::fmt::Display;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{self, Child, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio_postgres::{NoTls, SimpleQueryMessage};

/// The variable with the directory of the programs (`initdb` and `postgres`) of another major version.
const OTHER_VERSION: &str = "PHONE_VERIFY_TEST_POSTGRES";
/// If this variable is set, a test fails when it misses a program, and isn't skipped.
const REQUIRED: &str = "PHONE_VERIFY_TEST_REQUIRE_POSTGRES";
/// How long a server has to start.
const DEADLINE: Duration = Duration::from_secs(60);
/// The password of `postgres`, who needs none on the Unix socket.
pub(crate) const PASSWORD: &str = "secret-of-the-tests";

/// The first commands of a keeper's shell. The trap ends the server and removes the directory when the shell's input ends.
const PROLOGUE: &str = r#"trap '' PIPE
server=
cd "$(mktemp -d /tmp/phone-verify.XXXXXX)" || exit
trap '[ -z "$server" ] || kill -s $1 $server; wait; rm -rf "$PWD"' EXIT
exec 2>log
chmod 755 .
pwd"#;

/// Ends the server and its processes as `kill -9` does, before any of them notices that another one has ended. A new server
/// can't start before they have all let go of the shared memory.
const KILL: &str = r#"kill -STOP $server
processes="$server $(cat /proc/$server/task/$server/children)"
kill -KILL $processes
wait $server
for id in $processes; do
    while grep -q '^State:.[^XZ]' /proc/$id/status; do sleep 0.01; done
done
server=; echo"#;

/// Ends the server and waits until it has written everything down.
const STOP: &str = "kill -INT $server; wait $server; server=; echo";

/// What the tests of the store run on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    /// The PostgreSQL of this machine.
    Plain,
    /// Another major version, which [`OTHER_VERSION`] names.
    OtherVersion,
    /// Through PgBouncer in transaction mode: several sessions share a few connections.
    Pooled,
    /// Every transaction is serializable unless it says something else.
    Serializable,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] =
        [Self::Plain, Self::OtherVersion, Self::Pooled, Self::Serializable];

    /// Returns an empty database that nothing else uses, or `None` if this machine lacks a program for it, so that the test
    /// can't be run.
    pub(crate) fn database(self) -> Option<Database> {
        let mut database = self.server()?.database();
        match self {
            Self::Plain | Self::OtherVersion => {}
            Self::Pooled => {
                let pooler = require("pgbouncer", POOLER.get_or_init(Pooler::start))?;
                database.address = pooler.address.clone();
            }
            Self::Serializable => {
                let name = &database.name;
                database.query(&format!(
                    "ALTER DATABASE {name} SET default_transaction_isolation = serializable"
                ));
            }
        }
        Some(database)
    }

    /// Returns the server for all tests of this process. It doesn't wait for the disk.
    fn server(self) -> Option<&'static Server> {
        let fast = &["fsync=off", "full_page_writes=off"];
        if self == Self::OtherVersion {
            let server = OTHER_SERVER.get_or_init(|| {
                let programs = PathBuf::from(env::var_os(OTHER_VERSION)?);
                Some(Server::start_from(&programs, fast, &[]))
            });
            return require(OTHER_VERSION, server);
        }
        let server = SERVER.get_or_init(|| Some(Server::start_from(&find_programs()?, fast, &[])));
        require("initdb", server)
    }
}

static SERVER: OnceLock<Option<Server>> = OnceLock::new();
static OTHER_SERVER: OnceLock<Option<Server>> = OnceLock::new();
static POOLER: OnceLock<Option<Pooler>> = OnceLock::new();

/// Says that a test is skipped if `found` is `None`, or fails it if nothing may be missing.
fn require<T>(what: &str, found: &'static Option<T>) -> Option<&'static T> {
    if found.is_none() {
        report_missing(what);
    }
    found.as_ref()
}

fn report_missing(what: &str) {
    let test = thread::current().name().unwrap_or("a test").to_owned();
    assert!(env::var_os(REQUIRED).is_none(), "{test} needs {what}, which is missing");
    // The test harness would keep to itself what eprintln! prints.
    let _ = writeln!(std::io::stderr(), "{test}: skipped without {what}");
}

/// A server. It ends when it is dropped, or else when this process ends, in whatever way.
pub(crate) struct Server {
    keeper: Keeper,
    command: String,
    address: Address,
}

impl Server {
    /// Starts a server of the test's own, with settings such as `log_statement=all`. It returns `None` if this machine has no
    /// PostgreSQL, so that the test can't be run. Unlike the others it waits for the disk: it may be killed.
    pub(crate) fn start(settings: &[&str]) -> Option<Self> {
        Self::start_with_files(settings, &[])
    }

    /// Starts a server of the test's own that also accepts TLS, with this certificate and its key as PEM.
    pub(crate) fn start_with_tls(certificate: &str, key: &str) -> Option<Self> {
        Self::start_with_files(&["ssl=on"], &[("server.crt", certificate), ("server.key", key)])
    }

    fn start_with_files(settings: &[&str], files: &[(&str, &str)]) -> Option<Self> {
        let programs = find_programs();
        if programs.is_none() {
            report_missing("initdb");
        }
        Some(Self::start_from(&programs?, settings, files))
    }

    fn start_from(programs: &Path, settings: &[&str], files: &[(&str, &str)]) -> Self {
        let mut keeper = Keeper::start("QUIT");
        keeper.expect(&format!(
            "'{}' --pgdata=data --username=postgres --encoding=UTF8 --locale=C --no-sync --auth-local=trust \
                --auth-host=scram-sha-256",
            programs.join("initdb").display()
        ));
        for (name, text) in files {
            keeper.expect(&format!(
                "(umask 077; cat >data/{name} <<'end of {name}'\n{text}\nend of {name}\n)"
            ));
        }
        let server = Self::launch(programs, settings, keeper);
        query(
            &server.address.url("postgres"),
            &format!("ALTER ROLE postgres PASSWORD '{PASSWORD}'"),
        );
        server
    }

    /// Starts the server whose files `keeper` has.
    fn launch(programs: &Path, settings: &[&str], keeper: Keeper) -> Self {
        let port = free_port();
        let mut command = format!(
            "'{}' -D data -k \"$PWD\" -p {port} -c listen_addresses=127.0.0.1 \
                -c max_connections=200 -c timezone=UTC",
            programs.join("postgres").display()
        );
        for setting in settings {
            command += &format!(" -c '{setting}'");
        }
        let address = Address { directory: keeper.directory.clone(), port };
        let mut server = Self { keeper, command, address };
        server.restart();
        server
    }

    /// Starts a replica of this server, which follows it and takes no changes of its own.
    pub(crate) fn start_replica(&self) -> Self {
        let programs = find_programs().expect("it has started this server");
        let mut keeper = Keeper::start("QUIT");
        let Address { directory, port } = &self.address;
        keeper.expect(&format!(
            "'{}' --host={} --port={port} --username=postgres --pgdata=data --write-recovery-conf \
                --checkpoint=fast --no-sync",
            programs.join("pg_basebackup").display(),
            directory.display()
        ));
        Self::launch(&programs, &[], keeper)
    }

    /// Returns a URL with several servers, which are tried in turn, for a superuser who needs no password.
    pub(crate) fn url_of_all(servers: &[&Self], database: &str) -> String {
        let list = |item: &dyn Fn(&Address) -> String| {
            servers.iter().map(|server| item(&server.address)).collect::<Vec<_>>().join(",")
        };
        let hosts = list(&|address| address.directory.display().to_string());
        let ports = list(&|address| address.port.to_string());
        format!("postgresql:///{database}?host={hosts}&port={ports}&user=postgres")
    }

    /// Creates an empty database that nothing else uses.
    pub(crate) fn database(&self) -> Database {
        Database::create(&self.address, "template0")
    }

    /// Starts the server again after [`Server::kill`] or [`Server::stop`].
    pub(crate) fn restart(&mut self) {
        self.keeper.launch(&self.command, &self.address.url("postgres"));
    }

    /// Ends the server as `kill -9` does.
    pub(crate) fn kill(&mut self) {
        self.keeper.run(KILL);
    }

    /// Ends the server as an operator does.
    pub(crate) fn stop(&mut self) {
        self.keeper.run(STOP);
    }

    /// Returns the id of the first of the server's processes.
    pub(crate) fn id(&self) -> u32 {
        self.keeper.id
    }

    /// Returns the directory of the Unix socket, which is removed when the server has ended.
    pub(crate) fn directory(&self) -> &Path {
        &self.address.directory
    }

    /// Returns the port on 127.0.0.1, which is the one of the Unix socket too.
    pub(crate) fn port(&self) -> u16 {
        self.address.port
    }
}

/// A PgBouncer before the server for all tests.
struct Pooler {
    /// It runs as long as this exists.
    _keeper: Keeper,
    address: Address,
}

impl Pooler {
    fn start() -> Option<Self> {
        let program = ["/usr/sbin/pgbouncer", "/usr/local/sbin/pgbouncer", "/usr/bin/pgbouncer"]
            .into_iter()
            .find(|program| Path::new(program).exists())?;
        let server = Kind::Plain.server()?;
        // It may ignore SIGQUIT, and wait for its clients on SIGTERM.
        let mut keeper = Keeper::start("KILL");
        let address = Address { directory: keeper.directory.clone(), port: 6432 };
        let settings = format!(
            "[databases]\n\
            * = host={} port={} user=postgres\n\
            [pgbouncer]\n\
            unix_socket_dir = {}\n\
            listen_port = {}\n\
            auth_type = any\n\
            pool_mode = transaction\n\
            default_pool_size = 5\n\
            max_client_conn = 500",
            server.directory().display(),
            server.port(),
            address.directory.display(),
            address.port
        );
        keeper.expect(&format!("cat >settings <<'end of settings'\n{settings}\nend of settings\n"));
        keeper.launch(&format!("{program} settings"), &address.url("postgres"));
        Some(Self { _keeper: keeper, address })
    }
}

/// A Unix socket, as clients look for it.
#[derive(Clone)]
pub(crate) struct Address {
    pub(crate) directory: PathBuf,
    pub(crate) port: u16,
}

impl Address {
    /// Returns the URL of a database there, for a superuser who needs no password.
    pub(crate) fn url(&self, database: &str) -> String {
        let Self { directory, port } = self;
        format!("postgresql:///{database}?host={}&port={port}&user=postgres", directory.display())
    }

    /// Returns the path of the socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.join(format!(".s.PGSQL.{}", self.port))
    }
}

/// A database for one test, which is gone when this is dropped.
pub(crate) struct Database {
    name: String,
    /// What the program connects to: the server or the pooler.
    address: Address,
    server: Address,
}

impl Database {
    fn create(server: &Address, template: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(1);
        let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        query(&server.url("postgres"), &format!("CREATE DATABASE {name} TEMPLATE {template}"));
        Self { name, address: server.clone(), server: server.clone() }
    }

    /// Creates a copy. Nothing may be connected to this database.
    pub(crate) fn copy(&self) -> Self {
        Self::create(&self.server, &self.name)
    }

    /// Returns the URL for the program: through the Unix socket, as a superuser who needs no password.
    pub(crate) fn url(&self) -> String {
        self.address.url(&self.name)
    }

    /// Returns the URL through TCP, without a pooler and with the password.
    pub(crate) fn tcp_url(&self) -> String {
        format!("postgresql://postgres:{PASSWORD}@127.0.0.1:{}/{}", self.server.port, self.name)
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// Runs statements, without a pooler, and returns the rows that they find.
    #[track_caller]
    pub(crate) fn query(&self, statements: &str) -> Vec<Vec<Option<String>>> {
        query(&self.server.url(&self.name), statements)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let drop = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        // The server may have ended before.
        let _ = try_query(&self.server.url("postgres"), &drop);
    }
}

/// A shell in a temporary directory. It ends its server and removes its directory when its input ends: when this is dropped,
/// or when this process ends. As the server's parent, it knows the server's id as long as the server hasn't ended.
struct Keeper {
    shell: Child,
    answers: BufReader<ChildStdout>,
    directory: PathBuf,
    id: u32,
}

impl Keeper {
    /// Starts the shell. `signal` is the one that ends the server at once.
    fn start(signal: &str) -> Self {
        let mut command = Command::new("/bin/sh");
        command
            .args(["-s", signal])
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("LC_ALL", "C")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // Ctrl-C is for the tests.
            .process_group(0);
        if let Some((user, group)) = unprivileged_account() {
            command.uid(user).gid(group);
        }
        let mut shell = command.spawn().expect("a shell");
        let answers = BufReader::new(shell.stdout.take().expect("stdout is piped"));
        let mut keeper = Self { shell, answers, directory: PathBuf::new(), id: 0 };
        keeper.directory = keeper.run(PROLOGUE).into();
        keeper
    }

    /// Runs commands that print one line, and returns it.
    fn run(&mut self, commands: &str) -> String {
        let mut shell = self.shell.stdin.as_ref().expect("stdin is piped");
        shell.write_all(format!("{commands}\n").as_bytes()).expect("the shell runs");
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("a line");
        answer.trim_end().to_owned()
    }

    /// Runs a command that has to succeed.
    fn expect(&mut self, command: &str) {
        let status = self.run(&format!("{{ {command}\n}} </dev/null >>log 2>&1; echo $?"));
        assert_eq!(status, "0", "{command}: {}", self.log());
    }

    /// Starts the server with `command`, and waits until it answers at `url`.
    fn launch(&mut self, command: &str, url: &str) {
        let id = self.run(&format!("{command} >>log 2>&1 & server=$!; echo $server"));
        self.id = id.parse().expect("an id");
        let deadline = Instant::now() + DEADLINE;
        while let Err(error) = try_query(url, "SELECT 1") {
            let goes_on = is_running(self.id) && Instant::now() < deadline;
            assert!(goes_on, "{command}: it doesn't start: {error}\n{}", self.log());
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn log(&self) -> impl Display {
        fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

/// Runs statements at `url`, and returns the rows that they find.
#[track_caller]
pub(crate) fn query(url: &str, statements: &str) -> Vec<Vec<Option<String>>> {
    try_query(url, statements).unwrap_or_else(|error| panic!("{statements}: {error:?}"))
}

/// Runs statements at `url`, and returns the rows that they find or the first error.
pub(crate) fn try_query(
    url: &str,
    statements: &str,
) -> Result<Vec<Vec<Option<String>>>, tokio_postgres::Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
        tokio::spawn(connection);
        let messages = client.simple_query(statements).await?;
        let rows = messages.iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => {
                Some((0..row.len()).map(|column| row.get(column).map(str::to_owned)).collect())
            }
            _ => None,
        });
        Ok(rows.collect())
    })
}

/// Returns whether the process runs. One that has ended may wait for its parent to ask why.
pub(crate) fn is_running(id: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    status.lines().any(|line| line.starts_with("State:") && !line.contains(['X', 'Z']))
}

/// Returns the directory with the programs of this machine's PostgreSQL.
fn find_programs() -> Option<PathBuf> {
    let debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = debian
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .max()
        .map(|version| PathBuf::from(format!("/usr/lib/postgresql/{version}/bin")));
    // Elsewhere than in Debian, all of them are in PATH.
    let search_path = env::var_os("PATH").unwrap_or_default();
    newest
        .into_iter()
        .chain(env::split_paths(&search_path))
        .find(|programs| programs.join("initdb").exists())
        .map(|programs| programs.join("initdb").canonicalize().expect("a program"))
        .and_then(|initdb| initdb.parent().map(Path::to_owned))
}

/// Returns the user and the group that run the servers if root runs the tests, as PostgreSQL refuses to run as root.
fn unprivileged_account() -> Option<(u32, u32)> {
    if fs::metadata("/proc/self").expect("proc is mounted").uid() != 0 {
        return None;
    }
    let accounts = fs::read_to_string("/etc/passwd").expect("accounts");
    let find = |name| {
        let fields = accounts.lines().map(|line| line.split(':').collect::<Vec<_>>());
        let account = fields.into_iter().find(|fields| fields[0] == name)?;
        Some((account[2].parse().ok()?, account[3].parse().ok()?))
    };
    find("postgres").or_else(|| find("nobody"))
}

/// Returns a port that nothing else uses. It's below those that the system hands out, so nobody gets it meanwhile.
fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let count = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = u16::try_from(12_000 + (process::id() * 16 + count) % 20_000).expect("a port");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
