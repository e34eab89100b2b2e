//! The run of a `send`: takes the numbers as they come, keeps many under way, reports each as it ends, and stops in order.

use std::cell::OnceCell;
use std::collections::HashSet;
use std::io;
use std::path::Path;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{mpsc, watch};

use super::input::{BadEntry, Entry, NumberFile};
use super::report::Origin;
use super::reporter::Reporter;
use super::{SendArgs, message_error};
use crate::backends::{Calling, Pace, Stop};
use crate::clock::Clock;
use crate::commands::signals::{HANG_UP, Signals};
use crate::commands::{Context, network_runtime};
use crate::error::{Answer, Error};
use crate::model::{PhoneNumber, Segments};
use crate::random::SystemRandom;
use crate::service::admission::{AdmissionRules, Resume};
use crate::service::arrival::Arrival;
use crate::service::hooks::{Event, EventName, HookError, Hooks};
use crate::service::register::{self, Recipient, Registrar, Registration};
use crate::settings::{Limits, Settings};
use crate::store::{self, StoreError};

/// How many entries are read ahead.
const READ_AHEAD: usize = 256;
/// How many sends may wait for the disk beside those that wait for the provider, so that commits are shared by many.
const SETTLING: usize = 512;
/// How many hooks may run or wait for their turn before no more numbers are taken.
const MAX_HOOKS_WAITING: usize = 64;

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
        let given = args.phone_numbers.len() as u64;
        output.start_progress(|| Some(given + NumberFile::count(file)?));
    }
    let hooks = Some(Hooks::of(settings)).filter(|hooks| {
        let are_wanted = hooks.want(EventName::Sent) || hooks.want(EventName::Failed);
        are_wanted && !args.no_hooks && !args.dry_run
    });
    let reporter = Reporter::new(output, clock, hooks.as_ref(), args.dry_run);
    let entries = read_ahead(entries).map_err(no_thread)?;
    runtime.block_on(take_all(args, settings, entries, stopper, &connect, hooks.as_ref(), reporter))
}

/// Reads entries in a thread of its own, as stdin may let wait for them.
fn read_ahead(
    entries: impl Iterator<Item = Entry> + Send + 'static,
) -> io::Result<mpsc::Receiver<Entry>> {
    let (sender, receiver) = mpsc::channel(READ_AHEAD);
    std::thread::Builder::new().spawn(move || {
        for entry in entries {
            let is_end = matches!(entry.recipient, Err(BadEntry::File(_)));
            // Nobody takes entries any more once the run is over.
            if sender.blocking_send(entry).is_err() || is_end {
                break;
            }
        }
    })?;
    Ok(receiver)
}

fn no_thread(error: io::Error) -> Error {
    Error::failed(format!("the system has no further thread to give: {error}"))
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
        secret_variables: settings.secret_variables.clone(),
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
    Registrar::new(settings, store, backends, rules, key, random, stop.clone()).map_err(no_thread)
}

async fn take_all<'a>(
    args: &SendArgs,
    settings: &'a Settings,
    mut entries: mpsc::Receiver<Entry>,
    stopper: watch::Sender<bool>,
    connect: &dyn Fn() -> Result<TheRegistrar<'a>, Error>,
    hooks: Option<&Hooks<'_>>,
    mut reporter: Reporter<'_>,
) -> Result<Answer, Error> {
    let registrar = OnceCell::new();
    let mut known = Known::new();
    let mut under_way = FuturesUnordered::new();
    let mut hooks_under_way = FuturesUnordered::new();
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
        for (event, line) in reporter.take_events() {
            hooks_under_way.extend(hooks.map(|hooks| tell(hooks, event, line)));
        }
        let is_open = !has_ended && !is_over;
        let takes_more = is_open
            && under_way.len() < most_under_way
            && hooks_under_way.len() < MAX_HOOKS_WAITING
            && !reporter.is_backed_up();
        let is_busy = !under_way.is_empty() || !hooks_under_way.is_empty();
        if !is_open && !is_busy && !reporter.has_unwritten() {
            break;
        }
        tokio::select! {
            biased;
            signal = signals.next() => {
                // Whoever asks twice does not want to wait; what is in flight stays `sending` in the ledger. A terminal
                // that closes hangs up several times, and asks for nothing.
                if stopped_by.is_some() && signal != HANG_UP {
                    break;
                }
                stopped_by.get_or_insert(signal);
            }
            Some(ended) = under_way.next() => {
                failure = failure.or(report(&mut reporter, ended).err());
            }
            Some((event, line, told)) = hooks_under_way.next() => {
                if let Err(error) = told {
                    reporter.hook_failed(&event, line, error);
                }
            }
            entry = entries.recv(), if takes_more => match entry {
                None => has_ended = true,
                Some(entry) => {
                    let begun =
                        begin(args, settings, entry, &mut known, &mut reporter, &registrar, connect);
                    match begun {
                        Ok(send) => under_way.extend(send),
                        Err(error) => failure = Some(error),
                    }
                }
            },
            // Begun only when nothing else is ready: results that end together are written together.
            written = reporter.write_out(), if reporter.has_unwritten() => {
                failure = failure.or(written.err());
            }
        }
    }
    reporter.summarize(has_ended && failure.is_none());
    match (failure, stopped_by) {
        (Some(error), _) => Err(error),
        (None, Some(signal)) => Ok(Answer::Stopped(signal)),
        (None, None) => Ok(Answer::Sent(reporter.tally())),
    }
}

/// Reports on a number that has ended.
fn report(reporter: &mut Reporter<'_>, (recipient, line, result): Ended) -> Result<(), Error> {
    let (registration, arrival) = result?;
    let origin = Origin::new(recipient.phone_number.as_str(), line);
    reporter.registration(origin, &registration, arrival)
}

/// Returns the send to an entry; None where there is nothing to send, which is reported.
fn begin<'c, 'a>(
    args: &'c SendArgs,
    settings: &Settings,
    entry: Entry,
    known: &mut Known,
    reporter: &mut Reporter<'_>,
    registrar: &'c OnceCell<TheRegistrar<'a>>,
    connect: &dyn Fn() -> Result<TheRegistrar<'a>, Error>,
) -> Result<Option<impl Future<Output = Ended> + use<'c, 'a>>, Error> {
    let Some((recipient, line)) = accept(args, settings, entry, known, reporter)? else {
        return Ok(None);
    };
    Ok(Some(register(connected(registrar, connect)?, recipient, line, args)))
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
    let origin = Origin::new(recipient.phone_number.as_str(), line);
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

async fn tell(
    hooks: &Hooks<'_>,
    event: Event,
    line: Option<u64>,
) -> (Event, Option<u64>, Result<(), HookError>) {
    let told = hooks.tell(&event).await;
    (event, line, told)
}

/// Returns the digits of a valid number, at most 17 of them, as one integer.
fn as_integer(phone_number: &PhoneNumber) -> u64 {
    phone_number.digits().parse().unwrap_or(u64::MAX)
}
