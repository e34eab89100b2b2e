//! The run of a `send`: takes the numbers as they come, keeps many under way, reports each as it ends, and stops in order.

use std::cell::OnceCell;
use std::collections::HashSet;
use std::fs::File;
use std::io::BufRead;
use std::path::Path;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};

use super::input::{BadEntry, Entry};
use super::report::Origin;
use super::reporter::Reporter;
use super::{SendArgs, message_error};
use crate::backends::{Calling, Pace, Stop};
use crate::clock::Clock;
use crate::commands::{Context, network_runtime};
use crate::error::{Answer, Error};
use crate::model::{PhoneNumber, Segments};
use crate::random::SystemRandom;
use crate::service::admission::{AdmissionRules, Resume};
use crate::service::arrival::Arrival;
use crate::service::register::{self, Recipient, Registrar, Registration};
use crate::settings::{Limits, Settings};
use crate::store::{self, StoreError};

/// How many entries are read ahead.
const READ_AHEAD: usize = 256;
/// How many sends may wait for the disk beside those that wait for the provider, so that commits are shared by many.
const SETTLING: usize = 512;

/// The numbers that were taken, as numbers: a million of them need 20 MB.
type Known = HashSet<u64>;

/// What became of one number, and where it was given.
type Ended = (Recipient, Option<u64>, Result<(Registration, Option<Arrival>), StoreError>);

/// Runs `send` over `entries`.
///
/// # Errors
/// The settings can't be followed, or the database or stdout can't be used.
pub(super) fn run(
    args: &SendArgs,
    context: &mut Context<'_>,
    entries: impl Iterator<Item = Entry> + Send + 'static,
) -> Result<Answer, Error> {
    let Context { settings, clock, output, database } = context;
    let runtime = network_runtime()?;
    let (stopper, stop) = watch::channel(false);
    let connect = || connect(args, settings, clock, database, &stop);
    if let Some(file) = &args.file {
        output.start_progress(|| count_lines(file));
    }
    let reporter = Reporter::new(output, clock);
    runtime.block_on(take_all(args, settings, read_ahead(entries), stopper, &connect, reporter))
}

/// Reads entries in a thread of its own, as stdin may let wait for them.
fn read_ahead(entries: impl Iterator<Item = Entry> + Send + 'static) -> mpsc::Receiver<Entry> {
    let (sender, receiver) = mpsc::channel(READ_AHEAD);
    std::thread::spawn(move || {
        for entry in entries {
            let is_end = matches!(entry.recipient, Err(BadEntry::File(_)));
            // Nobody takes entries any more once the run is over.
            if sender.blocking_send(entry).is_err() || is_end {
                break;
            }
        }
    });
    receiver
}

/// Returns how many lines a regular file has; None where reading it ahead is not possible.
fn count_lines(path: &Path) -> Option<u64> {
    if !path.is_file() {
        return None;
    }
    let mut input = std::io::BufReader::new(File::open(path).ok()?);
    let mut lines = 0;
    loop {
        let buffer = input.fill_buf().ok()?;
        if buffer.is_empty() {
            return Some(lines);
        }
        lines += buffer.iter().filter(|byte| **byte == b'\n').count() as u64;
        let length = buffer.len();
        input.consume(length);
    }
}

type TheRegistrar<'a> = Registrar<'a, SystemRandom>;

/// Looks everything up that can be wrong with the settings, and then opens the database.
fn connect<'a>(
    args: &SendArgs,
    settings: &'a Settings,
    clock: &Clock,
    database: &Path,
    stop: &Stop,
) -> Result<TheRegistrar<'a>, Error> {
    let mut random = SystemRandom::default();
    let key = register::signing_key(settings, &mut random)
        .map_err(|error| Error::usage(format!("secret_key: {error}")))?;
    let delivery = settings.delivery.clone();
    let calling = Calling {
        pace: Pace::new(delivery.max_per_second).into(),
        delivery,
        stop: stop.clone(),
        clock: clock.clone(),
    };
    let backends = register::connect_backends(settings, &calling)?;
    let limits = if args.ignore_limits { Limits::default() } else { settings.limits.clone() };
    let resume = args.resume.then_some(Resume {
        code_lifetime: settings.code_lifetime,
        resends_unknown: args.resend_unknown,
    });
    let store = store::open_to_send(database, clock)?;
    let rules = AdmissionRules { limits, resume };
    Ok(Registrar::new(settings, store, backends, rules, key, random, stop.clone()))
}

async fn take_all<'a>(
    args: &SendArgs,
    settings: &'a Settings,
    mut entries: mpsc::Receiver<Entry>,
    stopper: watch::Sender<bool>,
    connect: &dyn Fn() -> Result<TheRegistrar<'a>, Error>,
    mut reporter: Reporter<'_>,
) -> Result<Answer, Error> {
    let registrar = OnceCell::new();
    let mut known = Known::new();
    let mut under_way = FuturesUnordered::new();
    let most_under_way = 2 * settings.delivery.max_in_flight + SETTLING;
    let mut signals = Signals::new()?;
    let mut stopped_by = None;
    let mut failure = None;
    let mut has_ended = false;
    loop {
        let is_over = stopped_by.is_some() || failure.is_some() || reporter.is_closed();
        if is_over {
            // Hundreds may be under way whose request has not left yet; now it is not to.
            stopper.send_if_modified(|is_stopped| !std::mem::replace(is_stopped, true));
        }
        let is_open = !has_ended && !is_over;
        if !is_open && under_way.is_empty() && !reporter.has_unwritten() {
            break;
        }
        tokio::select! {
            biased;
            signal = signals.next() => {
                // Whoever asks twice does not want to wait; what is in flight stays `sending` in the ledger.
                if stopped_by.replace(signal).is_some() {
                    break;
                }
            }
            Some(ended) = under_way.next() => {
                let (recipient, line, result): Ended = ended;
                let origin = Origin { phone_number: recipient.phone_number.as_str(), line };
                let reported = match result {
                    Ok((registration, arrival)) => {
                        reporter.registration(origin, &registration, arrival)
                    }
                    Err(error) => Err(error.into()),
                };
                failure = failure.or(reported.err());
            }
            entry = entries.recv(), if is_open && under_way.len() < most_under_way && !reporter.is_backed_up() => {
                let Some(entry) = entry else {
                    has_ended = true;
                    continue;
                };
                match accept(args, settings, entry, &mut known, &mut reporter) {
                    Ok(None) => {}
                    Ok(Some((recipient, line))) => match connected(&registrar, connect) {
                        Ok(registrar) => {
                            under_way.push(register(registrar, recipient, line, args));
                        }
                        Err(error) => failure = Some(error),
                    },
                    Err(error) => failure = Some(error),
                }
            }
            // Begun only when nothing else is ready: results that end together are written together.
            written = reporter.write_out(), if reporter.has_unwritten() => {
                failure = failure.or(written.err());
            }
        }
    }
    reporter.summarize();
    match (failure, stopped_by) {
        (Some(error), _) => Err(error),
        (None, Some(signal)) => Ok(Answer::Stopped(signal)),
        (None, None) => Ok(Answer::Sent(reporter.tally())),
    }
}

/// Returns the registrar, which the first number that is sent to brings into being: without one the database stays untouched.
fn connected<'c, 'a>(
    registrar: &'c OnceCell<TheRegistrar<'a>>,
    connect: &dyn Fn() -> Result<TheRegistrar<'a>, Error>,
) -> Result<&'c TheRegistrar<'a>, Error> {
    match registrar.get() {
        Some(registrar) => Ok(registrar),
        None => {
            let connected = connect()?;
            Ok(registrar.get_or_init(|| connected))
        }
    }
}

/// Returns the recipient of an entry that is to be sent to; reports every other entry.
fn accept(
    args: &SendArgs,
    settings: &Settings,
    Entry { line, recipient }: Entry,
    known: &mut Known,
    reporter: &mut Reporter<'_>,
) -> Result<Option<(Recipient, Option<u64>)>, Error> {
    let recipient = match recipient {
        Ok(recipient) => recipient,
        Err(bad) => return reporter.bad_entry(line, &bad).map(|()| None),
    };
    let origin = Origin { phone_number: recipient.phone_number.as_str(), line };
    let text = match register::preview(settings, &recipient) {
        Ok(text) => text,
        Err(error) if line.is_none() => return Err(message_error(error)),
        Err(error) => return reporter.bad_message(origin, &error).map(|()| None),
    };
    if !known.insert(as_integer(&recipient.phone_number)) {
        return reporter.duplicate(origin).map(|()| None);
    }
    if args.dry_run {
        return reporter.dry_run(origin, &text, Segments::of(&text)).map(|()| None);
    }
    Ok(Some((recipient, line)))
}

async fn register(
    registrar: &TheRegistrar<'_>,
    recipient: Recipient,
    line: Option<u64>,
    args: &SendArgs,
) -> Ended {
    let registration = match registrar.register(&recipient).await {
        Ok(registration) => registration,
        Err(error) => return (recipient, line, Err(error)),
    };
    let arrival = match (args.wait(), &registration) {
        (Some(patience), Registration::Called(called)) if called.result.is_ok() => {
            Some(registrar.await_arrival(called, patience).await)
        }
        _ => None,
    };
    (recipient, line, Ok((registration, arrival)))
}

/// Returns the digits of a valid number, at most 17 of them, as one integer.
fn as_integer(phone_number: &PhoneNumber) -> u64 {
    phone_number.digits().parse().unwrap_or(u64::MAX)
}

/// The signals that ask a program to stop.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> Result<Self, Error> {
        let listen = |kind| {
            signal(kind).map_err(|error| Error::failed(format!("signals can't be heard: {error}")))
        };
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    /// Returns the number of the next signal.
    async fn next(&mut self) -> i32 {
        tokio::select! {
            _ = self.interrupt.recv() => SignalKind::interrupt().as_raw_value(),
            _ = self.terminate.recv() => SignalKind::terminate().as_raw_value(),
        }
    }
}
