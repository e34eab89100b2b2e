//! The connection to a server: how it is made, what runs on it, and what happens when it is lost.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use futures_util::future::{Either, Fuse, FutureExt, select};
use rustls::ClientConfig;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::unconstrained;
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::{Client, Config, Connection, NoTls, Row};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::address::{ServerAddress, Target};
use super::encryption::WatchedTls;
use super::error::{Failure, LOCK_TIMEOUT};
use super::facts::Facts;
use super::values::Parameter;
use crate::store::error::{Result, StoreError};
use crate::system::clock::Clock;
use crate::system::waiting::Wait;

/// What an operator sees if the server takes long to answer.
const AWAITED: &str = "waiting for the database";
/// What an operator sees while the server is away.
const RECONNECTING: &str = "connecting to the database again; giving up";

/// How long a server that went away, or that is starting up, may take to come back.
const ABSENCE: Duration = Duration::from_secs(30);
/// The pause between two attempts to connect.
const PAUSE: Duration = Duration::from_millis(200);
/// How long a transaction that conflicts with others is tried again, and the first pause between, which doubles up to [`PAUSE`].
const CONFLICT: Duration = Duration::from_secs(10);
const CONFLICT_PAUSE: Duration = Duration::from_millis(1);
/// How long a server may take to answer, apart from the locks of others.
pub(super) const ANSWER: Duration = Duration::from_secs(30);
/// How long it may take for what needs no look at many rows.
pub(super) const SOON: Option<Duration> = Some(LOCK_TIMEOUT.saturating_add(ANSWER));

/// How long this machine may say nothing within a transaction before the server undoes it: if it has died, others need its locks.
const SILENCE: Duration = Duration::from_secs(5);

/// A thread on which the network's events and time-outs are noticed. What waits for them runs on the caller's thread, which may
/// itself be busy with futures of another runtime.
struct Reactor {
    handle: Handle,
    /// The thread ends once this is dropped.
    _alive: oneshot::Sender<Infallible>,
}

impl Reactor {
    fn start() -> std::io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (alive, ended) = oneshot::channel();
        thread::Builder::new().spawn(move || runtime.block_on(ended))?;
        Ok(Self { handle, _alive: alive })
    }

    fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        let _context = self.handle.enter();
        // A task of another runtime may be what calls this. Once its budget is used up, nothing would wake up the future: that
        // runtime would only do so after the task.
        futures_executor::block_on(unconstrained(future))
    }
}

/// The traffic of a connection. It goes on only while it is polled.
type Traffic = Fuse<Pin<Box<dyn Future<Output = ()> + Send>>>;

/// A session on the server.
pub(super) struct Session {
    pub(super) client: Client,
    /// Whether the connection is encrypted.
    pub(super) is_encrypted: bool,
    /// What the server says about itself once it was asked.
    facts: Mutex<Option<Arc<Facts>>>,
    clock: Clock,
}

impl Session {
    /// Returns what the server says about itself. It is asked once.
    pub(super) async fn facts(&self) -> Result<Arc<Facts>, Failure> {
        let known = self.known_facts().clone();
        match known.filter(|facts| facts.is_certain) {
            Some(facts) => Ok(facts),
            None => self.read_facts().await,
        }
    }

    /// Returns what the server says about itself if it was asked, and a guess otherwise: to ask for the tables takes longer than to
    /// read a record. If the guess is wrong, a statement fails, and [`Server::run`] asks the server.
    pub(super) async fn likely_facts(&self) -> Result<Arc<Facts>, Failure> {
        let known = self.known_facts().clone();
        if let Some(facts) = known {
            return Ok(facts);
        }
        let guess = Arc::new(Facts::guess(&self.client, &self.clock).await?);
        Ok(Arc::clone(self.known_facts().get_or_insert(guess)))
    }

    fn has_guessed(&self) -> bool {
        self.known_facts().as_ref().is_some_and(|facts| !facts.is_certain)
    }

    /// Asks the server about itself again, because its tables have changed.
    pub(super) async fn read_facts(&self) -> Result<Arc<Facts>, Failure> {
        let facts = Arc::new(Facts::read(&self.client, &self.clock).await?);
        *self.known_facts() = Some(Arc::clone(&facts));
        Ok(facts)
    }

    fn known_facts(&self) -> MutexGuard<'_, Option<Arc<Facts>>> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Access to a server. It connects when it is first used, and again when the connection was lost.
pub(super) struct Server {
    address: ServerAddress,
    target: Target,
    clock: Clock,
    connection: Option<(Session, Traffic)>,
    reactor: Reactor,
}

impl Server {
    /// Connects to the server at `address`.
    pub(super) fn connect(address: &ServerAddress, clock: &Clock) -> Result<Self> {
        let mut server = Self {
            target: address.resolve(|name| std::env::var(name).ok())?,
            address: address.clone(),
            clock: clock.clone(),
            connection: None,
            reactor: Reactor::start().map_err(StoreError::no_thread)?,
        };
        match server.run(SOON, async |_| Ok(())) {
            Ok(()) => Ok(server),
            // What was left out, such as a password that others can read, is the likeliest reason.
            Err(error) => Err(match server.target.warnings.first() {
                Some(warning) => error.with_further_hint(warning),
                None => error,
            }),
        }
    }

    /// Returns what the address means.
    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    /// Returns the address, to name it in errors.
    pub(super) fn address(&self) -> &ServerAddress {
        &self.address
    }

    /// Runs `work` in a session. If that takes longer than `limit`, the connection counts as lost. If the connection is lost, this
    /// connects again and runs `work` once more, which then has to find out what it has done already. It also runs `work` once
    /// more if a transaction conflicts with another one, or if `work` has guessed what tables there are and fails.
    pub(super) fn run<T>(
        &mut self,
        limit: Option<Duration>,
        mut work: impl AsyncFnMut(&Session) -> Result<T, Failure>,
    ) -> Result<T> {
        let Self { address, target, clock, connection, reactor } = self;
        let result = reactor.block_on(async {
            let mut back_by = None;
            let (mut conflicts_until, mut conflict_pause) = (None, CONFLICT_PAUSE);
            loop {
                let (session, traffic) = match connection {
                    Some(connection) => connection,
                    None => connection.insert(connect(target, clock, back_by).await?),
                };
                let wait = Wait::start(AWAITED);
                let result = drive(traffic, limit, work(session)).await;
                drop(wait);
                let mut failure = match result {
                    Ok(value) => return Ok(value),
                    Err(failure) => failure,
                };
                let mut is_lost = failure.is_lost() || !undo(session, traffic).await;
                if !is_lost && session.has_guessed() && failure.may_be_of_tables() {
                    log::debug!("the tables may not be as they should: {failure}");
                    match drive(traffic, limit, session.read_facts()).await {
                        Ok(_) => continue,
                        Err(error) => failure = error,
                    }
                    is_lost = failure.is_lost();
                }
                let now = Instant::now();
                if is_lost {
                    log::info!("the connection to the database is lost: {failure}");
                    *connection = None;
                }
                if failure.is_lost() {
                    match back_by {
                        None => back_by = Some(now + ABSENCE),
                        Some(end) if now > end => return Err(failure),
                        Some(_) => sleep(PAUSE).await,
                    }
                } else if failure.is_conflict() {
                    if now > *conflicts_until.get_or_insert(now + CONFLICT) {
                        return Err(failure);
                    }
                    log::debug!("a transaction conflicts with another one: {failure}");
                    sleep(conflict_pause).await;
                    conflict_pause = PAUSE.min(2 * conflict_pause);
                } else {
                    return Err(failure);
                }
            }
        });
        result.map_err(|failure: Failure| match failure.is_of_connection() {
            true => failure.at(format_args!("{address} at {}", target.servers)),
            false => failure.at(address),
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some((session, traffic)) = self.connection.take() {
            // The client's end lets the connection say goodbye.
            drop(session);
            self.reactor.block_on(async { drop(timeout(PAUSE, traffic).await) });
        }
    }
}

/// Ends the transaction that a failure may have left open. Returns whether the connection can still be used.
async fn undo(session: &Session, traffic: &mut Traffic) -> bool {
    let undo = async { Ok(session.client.batch_execute("ROLLBACK").await?) };
    drive(traffic, Some(ANSWER), undo).await.is_ok()
}

/// Connects once, or again and again until `back_by` if the connection was lost. A server that is starting up is waited for.
async fn connect(
    target: &Target,
    clock: &Clock,
    back_by: Option<Instant>,
) -> Result<(Session, Traffic), Failure> {
    // The client's own limit ends with the connection of the network, before the server has said anything.
    let limits = target.configs.iter().map(Config::get_connect_timeout);
    let limits = limits.map(|limit| limit.copied().unwrap_or(Duration::MAX));
    let most = limits.fold(Duration::ZERO, Duration::saturating_add);
    let starts_by = Instant::now() + ABSENCE;
    let _wait = back_by.map(|end| Wait::start_until(RECONNECTING, end.into_std()));
    loop {
        let left = back_by.map(|end| end.saturating_duration_since(Instant::now()));
        let most = left.map_or(most, |left| most.min(left));
        let failure = match timeout(most, connect_once(target, clock)).await {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(failure)) => failure,
            Err(_) => Failure::NoAnswer(most),
        };
        let now = Instant::now();
        let may_come = match back_by {
            Some(end) => now < end && !failure.is_refusal(),
            None => now < starts_by && failure.is_starting(),
        };
        if !may_come {
            return Err(failure);
        }
        sleep(PAUSE).await;
    }
}

/// Connects to the first of the servers that can be used.
async fn connect_once(target: &Target, clock: &Clock) -> Result<(Session, Traffic), Failure> {
    let mut last_failure = None;
    for config in &target.configs {
        match connect_to(config, target.tls.as_ref(), clock).await {
            Ok(connection) => return Ok(connection),
            Err(failure) => last_failure = Some(failure),
        }
    }
    Err(last_failure.expect("there is a server"))
}

async fn connect_to(
    config: &Config,
    tls: Option<&ClientConfig>,
    clock: &Clock,
) -> Result<(Session, Traffic), Failure> {
    let is_used = Arc::<AtomicBool>::default();
    let (client, traffic) = match tls {
        None => {
            let (client, connection) = config.connect(NoTls).await?;
            (client, traffic_of(connection))
        }
        Some(tls) => {
            let inner = MakeRustlsConnect::new(tls.clone());
            let tls = WatchedTls { inner, is_used: Arc::clone(&is_used) };
            let (client, connection) = config.connect(tls).await?;
            (client, traffic_of(connection))
        }
    };
    let (facts, is_encrypted) = (Mutex::default(), is_used.load(Ordering::Relaxed));
    let session = Session { client, is_encrypted, facts, clock: clock.clone() };
    Ok((session, traffic))
}

fn traffic_of<S, T>(connection: Connection<S, T>) -> Traffic
where
    Connection<S, T>: Future<Output = Result<(), tokio_postgres::Error>> + Send + 'static,
{
    let ended = connection.map(|result| {
        if let Err(error) = result {
            log::debug!("the connection to the database ended: {}", Failure::from(error));
        }
    });
    let ended: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(ended);
    ended.fuse()
}

/// Drives the connection while `work` runs. Statements that `work` starts together leave together, in their order.
async fn drive<T>(
    traffic: &mut Traffic,
    limit: Option<Duration>,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let work = async {
        match select(pin!(work), traffic).await {
            Either::Left((result, _)) => result,
            // The connection has ended, and so does what waits for it.
            Either::Right(((), work)) => work.await,
        }
    };
    match limit {
        Some(limit) => timeout(limit, work).await.unwrap_or(Err(Failure::NoAnswer(limit))),
        None => work.await,
    }
}

/// Runs `statements`, all of which have to start at once, in a transaction that leaves as a whole. It waits so long for the locks
/// of others. No other statement may leave together with it: between two transactions a pooler may give the session to another
/// client.
pub(super) async fn transaction<T>(
    client: &Client,
    locks: Duration,
    statements: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let (begun, result, committed) =
        tokio::join!(biased; begin(client, locks), statements, commit(client));
    begun?;
    let value = result?;
    committed?;
    Ok(value)
}

/// Reads one row, as [`read`] does.
pub(super) async fn read_one(
    client: &Client,
    sql: &str,
    parameters: &[Parameter<'_>],
) -> Result<Row, Failure> {
    let row = async { Ok(client.query_typed_one(sql, parameters).await?) };
    transaction(client, LOCK_TIMEOUT, row).await
}

/// Reads rows, and waits no longer than [`LOCK_TIMEOUT`] for the locks of others.
pub(super) async fn read(
    client: &Client,
    sql: &str,
    parameters: &[Parameter<'_>],
) -> Result<Vec<Row>, Failure> {
    transaction(client, LOCK_TIMEOUT, async { Ok(client.query_typed(sql, parameters).await?) })
        .await
}

/// Begins a transaction. Neither its isolation level nor that it is on the disk once it is committed depends on the server's
/// defaults.
pub(super) async fn begin(client: &Client, locks: Duration) -> Result<(), Failure> {
    let (locks, silence) = (locks.as_millis(), SILENCE.as_millis());
    let begin = format!(
        "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL synchronous_commit = on; \
         SET LOCAL lock_timeout = {locks}; SET LOCAL idle_in_transaction_session_timeout = {silence}"
    );
    Ok(client.batch_execute(&begin).await?)
}

/// Ends a transaction. If one of its statements failed, the server undoes it without a further error.
pub(super) async fn commit(client: &Client) -> Result<(), Failure> {
    Ok(client.batch_execute("COMMIT").await?)
}
