//! The run of a `send`: takes the numbers as they come, keeps many under way, reports each as it ends, and stops in order.

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::thread::JoinHandle;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::input::{BadEntry, Entry, NumberFile};
use super::report::Origin;
use super::reporter::{Reporter, RunEnd};
use super::{SendArgs, message_error};
use crate::commands::signals::Signals;
use crate::commands::{Context, network_runtime};
use crate::exit::{Error, Exit};
use crate::model::{PhoneNumber, Segments};
use crate::service::admission::{AdmissionRules, Resume};
use crate::service::arrival::Arrival;
use crate::service::hooks::{Event, EventName, HookError, Hooks};
use crate::service::providers;
use crate::service::register::{self, Recipient, Registrar, Registration};
use crate::settings::{Limits, Settings};
use crate::store::{self, StoreError};
use crate::system::clock::Clock;
use crate::system::random::SystemRandom;

/// How many entries are read ahead.
const READ_AHEAD: usize = 256;
/// How many sends may wait for the disk beside those that wait for the provider, so that commits are shared by many.
const SETTLING: usize = 512;
/// How many hooks may run or wait for their turn before no more numbers are taken.
const MAX_HOOKS_WAITING: usize = 64;

/// How long a program that was asked twice to stop may take to say what it has to say.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// The numbers that were taken, as numbers: a million of them need 20 MB.
type Known = HashSet<u64>;

/// Runs `send` over `entries`.
///
/// # Errors
/// The settings can't be followed, or the database or stdout can't be used.
pub(super) fn run(
    args: &SendArgs,
    context: &mut Context<'_>,
    entries: impl Iterator<Item = Entry> + Send + 'static,
) -> Result<Exit, Error> {
    let Context { settings, clock, output, database } = context;
    let runtime = network_runtime()?;
    if let Some(file) = &args.file {
        let given = args.phone_numbers.len() as u64;
        output.start_progress(|| Some(given + NumberFile::count(file)?));
    }
    let hooks = Some(Hooks::of(settings)).filter(|hooks| {
        let are_wanted = hooks.want(EventName::Sent) || hooks.want(EventName::Failed);
        are_wanted && !args.no_hooks && !args.dry_run
    });
    let run = Run {
        args,
        settings,
        clock,
        database,
        hooks: hooks.as_ref(),
        registrar: None,
        known: Known::new(),
        reporter: Reporter::new(output, clock, hooks.as_ref(), args.dry_run),
        stop: CancellationToken::new(),
        stopped_by: None,
        was_asked_to_stop: false,
        failure: None,
        has_ended: false,
        is_concluded: false,
    };
    let entries = ReadAhead::start(entries).map_err(no_thread)?;
    runtime.block_on(run.take_all(entries))
}

fn no_thread(error: io::Error) -> Error {
    Error::failed(format!("the system has no further thread to give: {error}"))
}

/// Entries that a thread of its own reads ahead, because stdin may block.
struct ReadAhead {
    entries: mpsc::Receiver<Entry>,
    reader: Option<JoinHandle<()>>,
}

impl ReadAhead {
    fn start(entries: impl Iterator<Item = Entry> + Send + 'static) -> io::Result<Self> {
        let (sender, receiver) = mpsc::channel(READ_AHEAD);
        let reader = std::thread::Builder::new().spawn(move || {
            for entry in entries {
                let is_end = matches!(entry.recipient, Err(BadEntry::File(_)));
                // Nobody takes entries any more once the run is over.
                if sender.blocking_send(entry).is_err() || is_end {
                    break;
                }
            }
        })?;
        Ok(Self { entries: receiver, reader: Some(reader) })
    }

    /// Returns the next entry; None after the last one.
    ///
    /// # Errors
    /// The reader came to no end of its own, so that there may be more.
    async fn next(&mut self) -> Result<Option<Entry>, Error> {
        let entry = self.entries.recv().await;
        let has_crashed =
            entry.is_none() && self.reader.take().is_some_and(|reader| reader.join().is_err());
        if has_crashed {
            return Err(Error::failed("the numbers can't be read on: the program has a fault"));
        }
        Ok(entry)
    }
}

/// A send to a number that has ended.
struct Ended {
    recipient: Recipient,
    line: Option<u64>,
    result: Result<(Registration, Option<Arrival>), StoreError>,
}

/// A hook that was told of an event.
struct Told {
    event: Event,
    line: Option<u64>,
    result: Result<(), HookError>,
}

/// A run of `send`, and how far it has come.
struct Run<'a> {
    args: &'a SendArgs,
    settings: &'a Settings,
    clock: &'a Clock,
    database: &'a Path,
    hooks: Option<&'a Hooks<'a>>,
    /// Brought into being by the first number that is sent to: without one the database stays untouched.
    registrar: Option<Rc<Registrar<'a, SystemRandom>>>,
    known: Known,
    reporter: Reporter<'a>,
    /// Keeps requests that have not left from leaving.
    stop: CancellationToken,
    stopped_by: Option<Exit>,
    was_asked_to_stop: bool,
    failure: Option<Error>,
    /// Whether all entries were taken.
    has_ended: bool,
    /// Whether it was shown what the numbers came to.
    is_concluded: bool,
}

impl<'a> Run<'a> {
    async fn take_all(mut self, mut entries: ReadAhead) -> Result<Exit, Error> {
        let mut under_way = FuturesUnordered::new();
        let mut hooks_under_way = FuturesUnordered::new();
        let most_under_way = 2 * self.settings.delivery.max_in_flight + SETTLING;
        let mut signals = Signals::new()?;
        self.reporter.output.start_writing().map_err(no_thread)?;
        loop {
            if self.is_over() {
                // Hundreds may be under way whose request has not left yet; now it is not to.
                self.stop.cancel();
            }
            for (event, line) in self.reporter.take_events() {
                hooks_under_way.extend(self.hooks.map(|hooks| tell(hooks, event, line)));
            }
            let is_open = !self.has_ended && !self.is_over();
            let takes_more = is_open
                && under_way.len() < most_under_way
                && hooks_under_way.len() < MAX_HOOKS_WAITING
                && !self.reporter.output.is_backed_up();
            let is_busy = !under_way.is_empty() || !hooks_under_way.is_empty();
            if !is_open && !is_busy && !self.reporter.output.has_unwritten() {
                if self.is_concluded {
                    break;
                }
                // The last words wait for their reader as all others do, and whoever asks twice ends that.
                self.conclude(0);
                continue;
            }
            tokio::select! {
                biased;
                signal = signals.next() => {
                    if self.is_to_end_at_once(signal) {
                        break;
                    }
                }
                Some(ended) = under_way.next() => self.report(ended),
                Some(told) = hooks_under_way.next() => self.report_hook(told),
                entry = entries.next(), if takes_more => under_way.extend(self.take(entry)),
                // Begun only when nothing else is ready: results that end together are written together.
                written = self.reporter.output.write_out() => self.note_failure(written),
            }
        }
        if !self.is_concluded {
            self.conclude(under_way.len());
            // A reader who is there gets what is left; the others are not waited for.
            let _ = timeout(LAST_WORDS, self.reporter.output.write_all_out()).await;
        }
        Ok(self.exit())
    }

    /// Shows what the numbers came to, of which so many are still under way.
    fn conclude(&mut self, under_way: usize) {
        let end = match (&self.failure, self.stopped_by) {
            (None, _) if self.has_ended => RunEnd::Complete,
            (None, Some(_)) => RunEnd::Stopped,
            _ => RunEnd::Broken,
        };
        self.reporter.conclude(end, under_way, self.failure.as_ref());
        self.is_concluded = true;
    }

    fn exit(&self) -> Exit {
        let of_numbers = self.reporter.tally().exit();
        match (&self.failure, self.stopped_by) {
            // A failure midway does not hide that something was sent.
            (Some(_), _) if of_numbers == Exit::PartlySent => Exit::PartlySent,
            (Some(error), _) => error.exit(),
            (None, Some(stopped)) => stopped,
            (None, None) => of_numbers,
        }
    }

    /// Returns whether no more numbers are to be taken, whatever may be left of them.
    fn is_over(&self) -> bool {
        self.stopped_by.is_some() || self.failure.is_some() || self.reporter.output.is_closed()
    }

    /// Notes a signal. Whoever asks twice does not want to wait: what is in flight stays `sending` in the ledger. A terminal
    /// that closes hangs up several times, and asks for nothing; of the last words it is the end.
    fn is_to_end_at_once(&mut self, signal: Exit) -> bool {
        self.stopped_by.get_or_insert(signal);
        if signal == Exit::HungUp {
            self.is_concluded
        } else {
            std::mem::replace(&mut self.was_asked_to_stop, true)
        }
    }

    /// Keeps the first failure of the run.
    fn note_failure(&mut self, result: Result<(), Error>) {
        self.failure = self.failure.take().or(result.err());
    }

    fn report(&mut self, Ended { recipient, line, result }: Ended) {
        let origin = Origin::new(recipient.phone_number.as_str(), line);
        let reported = match result {
            Ok((registration, arrival)) => {
                self.reporter.registration(origin, &registration, arrival)
            }
            Err(error) => {
                let reported = self.reporter.not_stored(origin, &error);
                reported.and(Err(Error::from(error).within(origin.phone_number)))
            }
        };
        self.note_failure(reported);
    }

    fn report_hook(&mut self, Told { event, line, result }: Told) {
        if let Err(error) = result {
            self.reporter.hook_failed(&event, line, error);
        }
    }

    /// Takes what was read, and returns the send to it; None where there is nothing to send, which is reported.
    fn take(
        &mut self,
        entry: Result<Option<Entry>, Error>,
    ) -> Option<impl Future<Output = Ended> + use<'a>> {
        let begun = match entry {
            Ok(Some(entry)) => self.begin(entry),
            Ok(None) => {
                self.has_ended = true;
                Ok(None)
            }
            Err(error) => Err(error),
        };
        begun.unwrap_or_else(|error| {
            self.note_failure(Err(error));
            None
        })
    }

    fn begin(
        &mut self,
        entry: Entry,
    ) -> Result<Option<impl Future<Output = Ended> + use<'a>>, Error> {
        let Some((recipient, line)) = self.accept(entry)? else { return Ok(None) };
        let registrar = match &self.registrar {
            Some(registrar) => Rc::clone(registrar),
            None => Rc::clone(self.registrar.insert(Rc::new(self.connect()?))),
        };
        Ok(Some(register(registrar, recipient, line, self.args.wait())))
    }

    /// Returns the recipient of an entry that is to be sent to; reports every other entry.
    fn accept(
        &mut self,
        Entry { line, recipient }: Entry,
    ) -> Result<Option<(Recipient, Option<u64>)>, Error> {
        let reporter = &mut self.reporter;
        let recipient = match recipient {
            Ok(recipient) => recipient,
            Err(bad) => return reporter.bad_entry(line, &bad).map(|()| None),
        };
        let origin = Origin::new(recipient.phone_number.as_str(), line);
        let text = match register::preview(self.settings, &recipient.message, &recipient.context) {
            Ok(text) => text,
            Err(error) if line.is_none() => return Err(message_error(error)),
            Err(error) => return reporter.bad_message(origin, &error).map(|()| None),
        };
        if !self.known.insert(as_integer(&recipient.phone_number)) {
            return reporter.duplicate(origin).map(|()| None);
        }
        if self.args.dry_run {
            return reporter.dry_run(origin, &text, Segments::of(&text)).map(|()| None);
        }
        Ok(Some((recipient, line)))
    }

    /// Looks everything up that can be wrong with the settings, and then opens the database.
    fn connect(&self) -> Result<Registrar<'a, SystemRandom>, Error> {
        let Self { args, settings, clock, .. } = *self;
        let mut random = SystemRandom::default();
        let key = register::signing_key(settings, &mut random)
            .map_err(|error| Error::usage(format!("secret_key: {error}")))?;
        let calling = providers::calling(settings, self.stop.clone(), clock.clone());
        let backends = providers::connect(settings, calling).collect::<Result<_, _>>()?;
        let limits = if args.ignore_limits { Limits::default() } else { settings.limits.clone() };
        let resume = args.resume.then_some(Resume {
            code_lifetime: settings.code_lifetime,
            resends_unknown: args.resend_unknown,
        });
        let store = store::open_to_send(self.database, clock)?;
        let rules = AdmissionRules { limits, resume };
        let stop = self.stop.clone();
        Registrar::new(settings, store, backends, rules, key, random, stop).map_err(no_thread)
    }
}

/// Sends to a number, and waits for at most `patience` until the SMS has arrived.
async fn register(
    registrar: Rc<Registrar<'_, SystemRandom>>,
    recipient: Recipient,
    line: Option<u64>,
    patience: Option<Duration>,
) -> Ended {
    let mut registered = registrar.register(&recipient).await;
    let arrival = match (patience, &mut registered) {
        (Some(patience), Ok(Registration::Called(called))) if called.result.is_ok() => {
            Some(registrar.await_arrival(called, patience).await)
        }
        _ => None,
    };
    Ended { recipient, line, result: registered.map(|registration| (registration, arrival)) }
}

async fn tell(hooks: &Hooks<'_>, event: Event, line: Option<u64>) -> Told {
    let result = hooks.tell(&event).await;
    Told { event, line, result }
}

/// Returns the digits of a valid number, at most 17 of them, as one integer.
fn as_integer(phone_number: &PhoneNumber) -> u64 {
    phone_number.digits().parse().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_crashes_is_no_end_of_the_numbers() {
        let bad = BadEntry::Number { text: String::new(), problem: String::new() };
        let mut entries = Some(Entry { line: None, recipient: Err(bad) }).into_iter();
        let crashing = std::iter::from_fn(move || Some(entries.next().expect("there is one")));
        let read = async {
            let mut read_ahead = ReadAhead::start(crashing).unwrap();
            (read_ahead.next().await.unwrap().is_some(), read_ahead.next().await.is_err())
        };
        assert_eq!(network_runtime().unwrap().block_on(read), (true, true));
    }

    #[test]
    fn a_reader_at_its_end_is_one() {
        let read = async { ReadAhead::start(std::iter::empty()).unwrap().next().await };
        assert!(network_runtime().unwrap().block_on(read).unwrap().is_none());
    }
}
