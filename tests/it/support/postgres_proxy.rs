//! A proxy between a program and PostgreSQL. It counts the round trips, and cuts a connection where a test wants it.
//!
//! The protocol: <https://www.postgresql.org/docs/current/protocol-message-formats.html>

use std::io::{self, BufReader, Read, Write};
use std::mem;
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use super::postgres::{Address, Database};

/// How long the proxy holds the answers back. A client that doesn't wait for them may need several writes for what it sends.
const PATIENCE: Duration = Duration::from_millis(10);

/// SSLRequest and GSSENCRequest: may the connection be encrypted?
const ENCRYPTION_REQUESTS: [[u8; 4]; 2] =
    [80_877_103_u32.to_be_bytes(), 80_877_104_u32.to_be_bytes()];

/// The end of an answer, outside of a transaction.
const READY_FOR_QUERY: &[u8] = b"Z\0\0\0\x05I";

/// Where a connection is cut. The messages of both directions and of all connections are counted from 1, from the call of
/// [`Proxy::cut`] on, except for the one that ends a connection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Cut {
    /// The message and what comes after it isn't passed on.
    Before(usize),
    /// The message is passed on, but nothing after it.
    After(usize),
}

/// What goes wrong with an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// The end of another client's answer comes before it.
    MixedUp,
    /// Nothing comes any more, and the connection stays open.
    Silence,
}

/// A proxy before a database.
///
/// A round trip is what a client sends before it has an answer to any of it, and the answers. So the proxy passes no answer
/// on before all is answered. It doesn't count what establishes a connection, and it expects neither Flush nor COPY.
pub(crate) struct Proxy {
    url: String,
    state: Arc<Mutex<State>>,
    _directory: TempDir,
}

#[derive(Default)]
struct State {
    round_trips: usize,
    messages: usize,
    cut: Option<Cut>,
    /// What goes wrong, and after how many answers.
    fault: Option<(Fault, usize)>,
    /// Whether a transaction has ended before the end of its round trip.
    has_ended_midway: bool,
}

impl Proxy {
    /// Starts a proxy that connects to where the URL of `database` does.
    pub(crate) fn start(database: &Database) -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let address = Address { directory: directory.path().to_owned(), port: 5432 };
        let listener = UnixListener::bind(address.socket()).expect("a socket");
        let state = Arc::<Mutex<State>>::default();
        let server = database.address().socket();
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming() {
                Connection::start(Arc::clone(&shared), client.expect("a client"), &server);
            }
        });
        Self { url: address.url(database.name()), state, _directory: directory }
    }

    /// Returns the URL for the program.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Returns the number of round trips since the last call.
    pub(crate) fn take_round_trips(&self) -> usize {
        mem::take(&mut lock(&self.state).round_trips)
    }

    /// Lets `fault` happen to the next answers, but for so many of them.
    pub(crate) fn fail(&self, fault: Fault, after: usize) {
        lock(&self.state).fault = Some((fault, after));
    }

    /// Returns whether there was a round trip of more than one transaction. A statement alone is one.
    pub(crate) fn had_several_transactions_at_once(&self) -> bool {
        lock(&self.state).has_ended_midway
    }

    /// Cuts one connection, and lets those after it through. When the client notices, the server has ended the session. (A
    /// pooler has too, but the server behind it may still be about to.)
    pub(crate) fn cut(&self, cut: Cut) {
        let mut state = lock(&self.state);
        state.messages = 0;
        state.cut = Some(cut);
    }

    /// Returns whether there was a message to cut at. If there wasn't, there isn't going to be a cut any more.
    pub(crate) fn has_cut(&self) -> bool {
        lock(&self.state).cut.take().is_none()
    }
}

/// A client and its connection to the server.
struct Connection {
    state: Arc<Mutex<State>>,
    progress: Mutex<Progress>,
    changed: Condvar,
}

#[derive(Default)]
struct Progress {
    /// How many ReadyForQuery the server still has to send.
    unanswered: usize,
    is_cut: bool,
}

impl Connection {
    fn start(state: Arc<Mutex<State>>, client: UnixStream, server: &Path) {
        // Without a server, the client finds its connection closed.
        let Ok(server) = UnixStream::connect(server) else { return };
        let requests =
            Arc::new(Self { state, progress: Mutex::default(), changed: Condvar::new() });
        let answers = Arc::clone(&requests);
        let client_and_server =
            [&client, &server].map(|socket| socket.try_clone().expect("a copy"));
        thread::spawn(move || {
            // An error means that one of them has gone away.
            let _ = requests.pass_requests_on(&client, &server);
            let _ = server.shutdown(Shutdown::Write);
        });
        thread::spawn(move || {
            let [client, server] = client_and_server;
            let _ = answers.pass_answers_on(&server, &client);
            let _ = client.shutdown(Shutdown::Both);
        });
    }

    fn pass_requests_on(&self, mut client: &UnixStream, mut server: &UnixStream) -> io::Result<()> {
        let mut requests = BufReader::with_capacity(1 << 20, client);
        // The first message has no type. What is there instead is 0.
        let mut message = read_message(&mut requests, 0)?;
        while ENCRYPTION_REQUESTS.iter().any(|request| message[4..] == request[..]) {
            client.write_all(b"N")?;
            message = read_message(&mut requests, 0)?;
        }
        let mut batch = Vec::new();
        loop {
            let is_last = message[0] == b'X';
            if is_last {
                batch.extend(&message);
            }
            let is_cut = !is_last && !self.add(&message, &mut batch);
            let mut progress = lock(&self.progress);
            progress.is_cut |= is_cut;
            progress.unanswered += usize::from(matches!(message[0], b'Q' | b'S'));
            self.changed.notify_all();
            drop(progress);
            if is_cut || requests.buffer().is_empty() {
                server.write_all(&mem::take(&mut batch))?;
            }
            if is_cut {
                return Ok(());
            }
            message = read_message(&mut requests, 1)?;
        }
    }

    fn pass_answers_on(&self, server: &UnixStream, mut client: &UnixStream) -> io::Result<()> {
        let mut answers = BufReader::new(server);
        let mut held = Vec::new();
        while let Ok(message) = read_message(&mut answers, 1) {
            let is_answered = self.is_answered(&message);
            held.push(message);
            if !is_answered {
                continue;
            }
            let mut batch = match self.fault() {
                Some(Fault::MixedUp) => READY_FOR_QUERY.to_vec(),
                Some(Fault::Silence) => return io::copy(&mut client, &mut io::sink()).map(drop),
                None => Vec::new(),
            };
            let is_cut = !held.drain(..).all(|message| self.add(&message, &mut batch));
            if is_cut {
                server.shutdown(Shutdown::Write)?;
                io::copy(&mut answers, &mut io::sink())?;
            }
            client.write_all(&batch)?;
            if is_cut {
                return Ok(());
            }
        }
        if lock(&self.progress).is_cut { Ok(()) } else { client.write_all(&held.concat()) }
    }

    /// Returns whether the client may have the answers, of which `message` is the last one.
    fn is_answered(&self, message: &[u8]) -> bool {
        let mut progress = lock(&self.progress);
        if progress.unanswered == 0 || progress.is_cut {
            // Until the connection is established there is nothing else, and a notice may come at any time.
            return !progress.is_cut;
        }
        if message[0] == b'Z' {
            progress.unanswered -= 1;
        }
        if progress.unanswered > 0 {
            lock(&self.state).has_ended_midway |= message == READY_FOR_QUERY;
            return false;
        }
        let is_silent = |progress: &mut Progress| progress.unanswered == 0 && !progress.is_cut;
        let waited = self.changed.wait_timeout_while(progress, PATIENCE, is_silent);
        let (_progress, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        lock(&self.state).round_trips += usize::from(timeout.timed_out());
        timeout.timed_out()
    }

    /// Returns what goes wrong with the next answers.
    fn fault(&self) -> Option<Fault> {
        let mut state = lock(&self.state);
        let now = state.fault.take_if(|(_, after)| *after == 0);
        state.fault = state.fault.map(|(fault, after)| (fault, after - 1));
        now.map(|(fault, _)| fault)
    }

    /// Adds a message to those to pass on. Returns false if the connection has to be cut there.
    fn add(&self, message: &[u8], batch: &mut Vec<u8>) -> bool {
        let mut state = lock(&self.state);
        state.messages += 1;
        let number = state.messages;
        let cut = state.cut.take_if(|cut| [Cut::Before(number), Cut::After(number)].contains(cut));
        if !matches!(cut, Some(Cut::Before(_))) {
            batch.extend(message);
        }
        cut.is_none()
    }
}

/// Reads a message with a type of so many bytes, and returns all of its bytes.
fn read_message(stream: &mut impl Read, type_length: usize) -> io::Result<Vec<u8>> {
    let mut message = vec![0; type_length + 4];
    stream.read_exact(&mut message)?;
    let length =
        message[type_length..].iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
    let mut rest = vec![0; length - 4];
    stream.read_exact(&mut rest)?;
    message.extend(rest);
    Ok(message)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
