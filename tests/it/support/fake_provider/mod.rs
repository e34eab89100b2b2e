//! An SMS provider on loopback: it speaks like the real ones, checks requests against their documents, logs them, and gives
//! the answers that a test scripts.

mod apis;
mod connection;
mod documents;
mod log;
mod reply;
mod tls;

use std::collections::{HashMap, VecDeque};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

pub(crate) use apis::{API_SECRET, Api, INFOBIP, MESSAGEBIRD, PLIVO, TELNYX, TEXTBELT};
pub(crate) use connection::Request;
pub(crate) use documents::{NexmoAccount, TwilioAccount, page_of_numbers};
pub(crate) use log::{Accepted, Log};
pub(crate) use reply::{HeldRequest, Reply};
pub(crate) use tls::{TRUSTED_CERTIFICATE, TRUSTED_KEY};

use super::{DEADLINE, Environment, TWO_SHORT_ATTEMPTS};
use documents::Documents;

/// What a provider does with a new connection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Reception {
    /// It reads requests. It answers a TLS handshake in plain text, as a web server does.
    Http,
    /// The same inside TLS, with the certificate [`TRUSTED_CERTIFICATE`], which a client has to be given.
    Tls,
    /// The same with a certificate that has expired.
    ExpiredTls,
    /// The same with a certificate that isn't valid yet.
    FutureTls,
    /// The same with a certificate of an authority.
    AuthorityTls,
    /// It closes the connection at once, without reading.
    Close,
    /// It neither reads nor answers.
    Silence,
}

/// A provider that runs until it is dropped.
///
/// Dropping it fails the test if a request broke the rules of the provider's documents, if a client came back before the end
/// of the pause that it was asked for, or if there was no request (unless the test says [`FakeProvider::never_called`]).
pub(crate) struct FakeProvider {
    shared: Arc<Shared>,
    address: SocketAddr,
    acceptor: Option<JoinHandle<()>>,
    expects_requests: bool,
}

/// The data of all threads.
struct Shared {
    documents: Documents,
    reception: Reception,
    state: Mutex<State>,
    changed: Condvar,
}

/// The data behind the lock.
struct State {
    log: Log,
    messages: Script,
    questions: Script,
    open: HashMap<usize, TcpStream>,
    threads: Vec<JoinHandle<()>>,
    stopped: bool,
}

/// The replies to requests of one kind.
struct Script {
    next: VecDeque<Reply>,
    otherwise: Arc<dyn Fn(&Request) -> Reply + Send + Sync>,
}

impl Script {
    fn new(decide: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self { next: VecDeque::new(), otherwise: Arc::new(decide) }
    }
}

impl FakeProvider {
    /// Starts a Twilio with one account. It accepts every message, and answers that it is still queued.
    pub(crate) fn twilio() -> Self {
        Self::twilio_with(TwilioAccount::default())
    }

    /// Starts a Twilio whose only account is `account`.
    pub(crate) fn twilio_with(account: TwilioAccount) -> Self {
        Self::start(Documents::Twilio(account), Reception::Http)
    }

    /// Starts a Twilio at this address.
    pub(crate) fn twilio_at(address: SocketAddr) -> Self {
        let documents = Documents::Twilio(TwilioAccount::default());
        Self::start_at(address, documents, Reception::Http)
    }

    /// Starts a Nexmo (Vonage) with one account. It accepts every message.
    pub(crate) fn nexmo() -> Self {
        Self::nexmo_with(NexmoAccount::default())
    }

    /// Starts a Nexmo (Vonage) whose only account is `account`.
    pub(crate) fn nexmo_with(account: NexmoAccount) -> Self {
        Self::start(Documents::Nexmo(account), Reception::Http)
    }

    /// Starts a web server that isn't known to be a provider.
    pub(crate) fn web() -> Self {
        Self::start(Documents::Web, Reception::Http)
    }

    /// Starts a provider for the `http` backend that accepts any request.
    pub(crate) fn without_documents() -> Self {
        Self::from_api(apis::ANY)
    }

    /// Starts a provider for the `http` backend.
    pub(crate) fn from_api(api: Api) -> Self {
        Self::start(Documents::Api(api), Reception::Http)
    }

    /// Starts a proxy that answers each `CONNECT` with 502.
    pub(crate) fn proxy() -> Self {
        let proxy = Self::start(Documents::Proxy, Reception::Http);
        proxy.always(Reply::answer(502, ""));
        proxy
    }

    /// Starts a Twilio with this reception.
    pub(crate) fn twilio_receiving(reception: Reception) -> Self {
        Self::start(Documents::Twilio(TwilioAccount::default()), reception)
    }

    fn start(documents: Documents, reception: Reception) -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), documents, reception)
    }

    fn start_at(address: SocketAddr, documents: Documents, reception: Reception) -> Self {
        let listener = TcpListener::bind(address).expect("a free port on loopback");
        let address = listener.local_addr().expect("its address");
        let shared = Arc::new(Shared {
            documents,
            reception,
            state: Mutex::new(State {
                log: Log::default(),
                messages: Script::new(|_| Reply::accept()),
                questions: Script::new(|request| match request.path.contains("/Messages/") {
                    true => Reply::message_status("queued"),
                    false => Reply::resource(),
                }),
                open: HashMap::new(),
                threads: Vec::new(),
                stopped: false,
            }),
            changed: Condvar::new(),
        });
        let acceptor = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || accept_connections(&listener, &shared))
        };
        Self { shared, address, acceptor: Some(acceptor), expects_requests: true }
    }

    /// Expects no request, instead of at least one.
    pub(crate) fn never_called(mut self) -> Self {
        self.expects_requests = false;
        self
    }

    /// Answers the next message without a scripted reply with `reply`.
    pub(crate) fn next(&self, reply: Reply) {
        self.shared.state().messages.next.push_back(reply);
    }

    /// Answers every message without a scripted reply with `reply`.
    pub(crate) fn always(&self, reply: Reply) {
        self.answer_with(move |_| reply.clone());
    }

    /// Answers every message without a scripted reply as `decide` returns. `decide` may block, since each connection has a
    /// thread.
    pub(crate) fn answer_with(&self, decide: impl Fn(&Request) -> Reply + Send + Sync + 'static) {
        self.shared.state().messages.otherwise = Arc::new(decide);
    }

    /// Answers the next question without a scripted reply with `reply`.
    pub(crate) fn answer_next_question(&self, reply: Reply) {
        self.shared.state().questions.next.push_back(reply);
    }

    /// Answers every question without a scripted reply as `decide` returns.
    pub(crate) fn answer_questions_with(
        &self,
        decide: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) {
        self.shared.state().questions.otherwise = Arc::new(decide);
    }

    /// Holds the next message without a scripted reply, until the test releases it.
    pub(crate) fn hold_next(&self) -> HeldRequest {
        let (reply, held) = Reply::hold();
        self.next(reply);
        held
    }

    /// Returns its address, as a value of `base_url`.
    pub(crate) fn base_url(&self) -> String {
        use Reception::{AuthorityTls, ExpiredTls, FutureTls, Tls};
        let has_tls = [Tls, ExpiredTls, FutureTls, AuthorityTls].contains(&self.shared.reception);
        let scheme = if has_tls { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Returns settings for its account, with further top-level keys and further tables.
    pub(crate) fn settings(&self, keys: &str, tables: &str) -> String {
        self.settings_at(&self.base_url(), keys, tables)
    }

    /// Returns settings for its account that give its address as `base_url`.
    pub(crate) fn settings_at(&self, base_url: &str, keys: &str, tables: &str) -> String {
        let (backend, options) = self.shared.documents.settings();
        format!(
            "backend = \"{backend}\"\n{keys}\n[options]\n{options}base_url = \"{base_url}\"\n{tables}\n"
        )
    }

    /// Returns the tables that make it the second provider.
    pub(crate) fn fallback_tables(&self) -> String {
        let (backend, options) = self.shared.documents.settings();
        let base_url = self.base_url();
        format!(
            "[fallback]\nbackend = \"{backend}\"\n[fallback.options]\n{options}base_url = \"{base_url}\"\n"
        )
    }

    /// Returns an environment with settings for its account.
    pub(crate) fn environment(&self) -> Environment {
        Environment::with_settings(&self.settings("", ""))
    }

    /// Returns an environment with settings for its account, further top-level keys and further tables.
    pub(crate) fn environment_with(&self, keys: &str, tables: &str) -> Environment {
        Environment::with_settings(&self.settings(keys, tables))
    }

    /// Returns an environment in which `second` is the second provider after this one, with [`TWO_SHORT_ATTEMPTS`].
    pub(crate) fn environment_with_fallback(&self, second: &Self) -> Environment {
        self.environment_with("", &format!("{TWO_SHORT_ATTEMPTS}\n{}", second.fallback_tables()))
    }

    /// Returns the log so far.
    pub(crate) fn log(&self) -> Log {
        self.shared.state().log.clone()
    }

    /// Returns the requests so far, in the order they arrived.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.log().requests
    }

    /// Returns the questions so far.
    pub(crate) fn questions(&self) -> Vec<Request> {
        self.requests().into_iter().filter(Request::is_question).collect()
    }

    /// Returns the messages that it accepted so far.
    pub(crate) fn accepted(&self) -> Vec<Accepted> {
        self.log().accepted
    }

    /// Waits until `reached` returns true for the log.
    #[track_caller]
    pub(crate) fn wait_until(&self, what: &str, reached: impl Fn(&Log) -> bool) {
        let waiting = |state: &mut State| !reached(&state.log);
        let (state, timeout) = self
            .shared
            .changed
            .wait_timeout_while(self.shared.state(), DEADLINE, waiting)
            .unwrap_or_else(PoisonError::into_inner);
        let log = state.log.clone();
        drop(state);
        assert!(!timeout.timed_out(), "waited in vain for {what}: {log:#?}");
    }

    /// Fails the test if a request so far broke the rules of the documents.
    #[track_caller]
    pub(crate) fn check(&self) {
        let log = self.log();
        assert!(log.violations.is_empty(), "the provider objects: {log:#?}");
    }

    /// Stops serving and returns the final log.
    fn stop(&mut self) -> Log {
        self.shared.state().stopped = true;
        // The acceptor waits in accept(), and a connection wakes it up.
        let _ = TcpStream::connect(self.address);
        let acceptor = self.acceptor.take().map(JoinHandle::join);
        let threads = {
            let mut state = self.shared.state();
            for stream in state.open.values() {
                // The client may have closed it already.
                let _ = stream.shutdown(std::net::Shutdown::Both);
            }
            std::mem::take(&mut state.threads)
        };
        let ends = threads.into_iter().map(JoinHandle::join).chain(acceptor);
        let panicked = ends.filter(Result::is_err).count();
        let mut log = self.log();
        if panicked > 0 {
            log.violations.push(format!("{panicked} of its threads panicked"));
        }
        log
    }
}

impl Drop for FakeProvider {
    fn drop(&mut self) {
        let log = self.stop();
        if thread::panicking() {
            return;
        }
        assert!(log.violations.is_empty(), "the provider objects: {log:#?}");
        let was_called = !log.requests.is_empty();
        assert_eq!(was_called, self.expects_requests, "whether the provider was called: {log:#?}");
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // A test that failed while it waited has poisoned the lock, but its provider still has to stop.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the log and wakes up the threads that wait for it.
    fn record<T>(&self, change: impl FnOnce(&mut Log) -> T) -> T {
        let result = change(&mut self.state().log);
        self.changed.notify_all();
        result
    }

    /// Logs and checks a request that has arrived, and returns the scripted reply.
    fn receive(&self, request: &Request) -> Reply {
        self.record(|log| log.add(request, &self.documents));
        let otherwise = {
            let mut state = self.state();
            let State { messages, questions, .. } = &mut *state;
            let script = if self.documents.is_question(request) { questions } else { messages };
            if let Some(reply) = script.next.pop_front() {
                return reply;
            }
            Arc::clone(&script.otherwise)
        };
        otherwise(request)
    }

    fn is_stopped(&self) -> bool {
        self.state().stopped
    }
}

/// Gives each connection a number, in order of arrival, and a thread.
fn accept_connections(listener: &TcpListener, shared: &Arc<Shared>) {
    for (number, stream) in listener.incoming().enumerate() {
        let Ok(stream) = stream else { continue };
        // The lock is held until the thread is registered, so that stop() misses no connection.
        let mut state = shared.state();
        if state.stopped {
            return;
        }
        state.log.connections += 1;
        shared.changed.notify_all();
        if shared.reception == Reception::Close {
            continue;
        }
        let Ok(handle) = stream.try_clone() else { continue };
        state.open.insert(number, handle);
        let shared_by_thread = Arc::clone(shared);
        state.threads.push(thread::spawn(move || {
            // A client that is killed or loses patience isn't a failure of the provider.
            let _ = connection::serve(&shared_by_thread, number, stream);
            shared_by_thread.state().open.remove(&number);
        }));
    }
}
