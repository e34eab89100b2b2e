//! The run of a `send`: takes the numbers as they come, sends to many at once, reports each outcome, and stops in order.

use std::collections::HashSet;
use std::rc::Rc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::failures::FailureFile;
use super::input::{Entry, Origin, read_ahead};
use super::plan::Plan;
use super::report::{
    NumberReport, error_in_words, error_of_unstored, hint, note_of_hand_over, note_of_stop,
    warning_of_repetition, warning_of_unknown_arrival, warnings_of_early_end, why_unknown,
};
use super::tally::Tally;
use crate::backends::BackendName;
use crate::commands::{fixed_line_note, no_call_warning};
use crate::exit::{Error, Exit};
use crate::model::{NumberType, single_spaced};
use crate::output::Output;
use crate::service::arrival::Arrival;
use crate::service::hooks::{Event, HookError};
use crate::service::outcome::{Kind, Outcome};
use crate::service::preview::Preview;
use crate::service::repetition::Repetition;
use crate::service::sending::{Handover, SendResult, Sender};
use crate::system::random::SystemRandom;
use crate::system::signals::Signals;

/// How many sends may wait for the disk beside those that wait for the provider, so that commits are shared by many.
const SETTLING: usize = 512;
/// How many hooks may run or wait for their turn before no more numbers are taken.
const MAX_HOOKS_WAITING: usize = 64;
/// How long a program that was asked twice to stop may go on printing.
const MAX_FINAL_WRITE: Duration = Duration::from_millis(100);

/// How far a run has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Numbers are taken.
    Taking,
    /// All numbers were taken, and the last of them are being sent.
    Finishing,
    /// No more numbers are taken, because of a signal, an error or a closed stdout.
    Stopping,
    /// The summary was shown, but may not be written yet.
    Concluded,
}

type SendEnd = (Origin, Vec<String>, SendResult);
type HookEnd = (Origin, Result<(), HookError>);

/// A run of `send`.
pub(super) struct Run<'a> {
    plan: Plan<'a>,
    output: &'a mut Output,
    signals: Signals,
    entries: mpsc::Receiver<Result<Option<Entry>, Error>>,
    phase: Phase,
    /// Keeps requests that have not left from leaving.
    stop: CancellationToken,
    /// How the program ends if a signal stopped it.
    signal: Option<Exit>,
    was_asked_to_stop: bool,
    /// The first error that the run itself failed with.
    failure: Option<Error>,
    preview: Preview,
    /// Looks at the first numbers; None once that is over.
    repetition: Option<Repetition>,
    failures: Option<FailureFile>,
    /// Opened by the first number that is sent to: without one the database stays untouched.
    sender: Option<Rc<Sender<'a, SystemRandom>>>,
    sends: FuturesUnordered<LocalBoxFuture<'a, SendEnd>>,
    hooks: FuturesUnordered<LocalBoxFuture<'a, HookEnd>>,
    /// The numbers that were taken, as integers: a million of them need 20 MB.
    known: HashSet<u64>,
    tally: Tally,
    /// With `--wait`, a backend that has no call for the arrival of an SMS.
    silent: Option<BackendName>,
    /// The reasons for the notes and hints that were shown.
    noted: HashSet<String>,
}

impl<'a> Run<'a> {
    /// Starts to read `entries`, whose first error is their end. Numbers that fail go to `failures`, too.
    ///
    /// # Errors
    /// Returns an error if the system has no threads or doesn't let the program listen to signals.
    pub(super) fn start(
        plan: Plan<'a>,
        output: &'a mut Output,
        entries: impl Iterator<Item = Result<Entry, Error>> + Send + 'static,
        repetition: Option<Repetition>,
        failures: Option<FailureFile>,
    ) -> Result<Self, Error> {
        let (signals, entries) =
            (Signals::listen()?, read_ahead(entries).map_err(Error::no_thread)?);
        output.heading::<NumberReport<'_>>()?;
        // From here on an error is shown by the run alone.
        output.start_writer(plan.has_bar, plan.total).map_err(Error::no_thread)?;
        Ok(Self {
            tally: Tally::start(plan.is_dry_run),
            preview: plan.preview(),
            repetition,
            failures,
            plan,
            output,
            signals,
            entries,
            phase: Phase::Taking,
            stop: CancellationToken::new(),
            signal: None,
            was_asked_to_stop: false,
            failure: None,
            sender: None,
            sends: FuturesUnordered::new(),
            hooks: FuturesUnordered::new(),
            known: HashSet::new(),
            silent: None,
            noted: HashSet::new(),
        })
    }

    /// Sends to all numbers unless something stops it, and returns how the program ends.
    pub(super) async fn finish(mut self) -> Exit {
        let mut goes_on = true;
        while goes_on && (self.phase == Phase::Taking || self.is_busy()) {
            goes_on = self.step().await;
        }
        self.conclude();
        if !goes_on {
            // Write what is left if a reader takes it at once.
            let rest = async {
                while self.output.has_unwritten() {
                    let _ = self.output.write_out().await;
                }
            };
            let _ = timeout(MAX_FINAL_WRITE, rest).await;
        }
        while goes_on && self.output.has_unwritten() {
            goes_on = self.step().await;
        }
        self.exit()
    }

    fn is_busy(&self) -> bool {
        !self.sends.is_empty() || !self.hooks.is_empty() || self.output.has_unwritten()
    }

    /// Waits for the next thing that happens. Returns whether the run goes on.
    async fn step(&mut self) -> bool {
        let takes_more = self.phase == Phase::Taking
            && self.sends.len() < 2 * self.plan.settings.delivery.max_in_flight + SETTLING
            && self.hooks.len() < MAX_HOOKS_WAITING
            && !self.output.is_backed_up();
        let mut goes_on = true;
        let result = tokio::select! {
            biased;
            signal = self.signals.next() => {
                goes_on = self.take_signal(signal);
                Ok(())
            }
            Some(end) = self.sends.next() => self.end_send(end),
            Some(end) = self.hooks.next() => {
                self.end_hook(end);
                Ok(())
            }
            entry = self.entries.recv(), if takes_more => self.take(entry),
            () = delayed(self.sender.clone()) => {
                let note = "the database is busy or away: what the provider answered can't be stored yet";
                self.note_once(note.to_owned(), note);
                Ok(())
            }
            // Last, so that results that end together are written together.
            written = self.output.write_out() => written,
        };
        self.failure = self.failure.take().or(result.err());
        if self.failed_with().is_some() || self.output.is_closed() {
            self.stop();
        }
        goes_on
    }

    fn stop(&mut self) {
        if self.phase == Phase::Taking {
            self.phase = Phase::Stopping;
        }
        // Hundreds of sends may have started whose request has not left yet. It must not leave now.
        self.stop.cancel();
    }

    /// Returns whether the run goes on in spite of the signal. An operator who asks twice doesn't want to wait: what is in flight
    /// stays `sending` in the ledger. A terminal that closes may send SIGHUP several times, so it counts only once the summary was
    /// shown.
    fn take_signal(&mut self, signal: Exit) -> bool {
        if self.signal.is_none() {
            let requests = self.sender.as_ref().map_or(0, |sender| sender.requests());
            self.output.progress(&note_of_stop(signal, requests));
        }
        self.signal.get_or_insert(signal);
        self.stop();
        match signal {
            Exit::HungUp => self.phase != Phase::Concluded,
            _ => !std::mem::replace(&mut self.was_asked_to_stop, true),
        }
    }

    fn take(&mut self, entry: Option<Result<Option<Entry>, Error>>) -> Result<(), Error> {
        let crashed = || Error::failed("no more numbers can be read: the program has a bug");
        let entry = entry.unwrap_or_else(|| Err(crashed()))?;
        let Some(Entry { origin, recipient, warnings, fields }) = entry else {
            self.phase = Phase::Finishing;
            self.warn_of_repetition();
            return Ok(());
        };
        for warning in warnings {
            self.output.warning(&warning);
        }
        let recipient = match recipient {
            Ok(recipient) => recipient,
            Err(outcome) => return self.end(&origin, &fields, &outcome),
        };
        if !self.known.insert(recipient.phone_number.as_integer()) {
            let outcome = Outcome::Skipped { reason: Kind::Duplicate };
            return self.end(&origin, &fields, &outcome);
        }
        if self.plan.is_dry_run {
            let outcome = self.preview.outcome(&recipient)?;
            return self.end(&origin, &fields, &outcome);
        }
        if let Some(repetition) = &mut self.repetition {
            repetition.look_at(&recipient);
            if repetition.is_complete() {
                self.warn_of_repetition();
            }
        }
        let sender = match &self.sender {
            Some(sender) => Rc::clone(sender),
            None => {
                let sender = self.plan.open_sender(&self.stop, self.output)?;
                Rc::clone(self.sender.insert(Rc::new(sender)))
            }
        };
        let patience = self.plan.patience;
        self.sends.push(Box::pin(async move {
            let ended = sender.send(&recipient, patience).await;
            (origin, fields, ended)
        }));
        Ok(())
    }

    fn warn_of_repetition(&mut self) {
        let found = self.repetition.take().and_then(|repetition| repetition.found());
        found.into_iter().for_each(|found| self.output.warning(&warning_of_repetition(found)));
    }

    fn end_send(&mut self, (origin, fields, ended): SendEnd) -> Result<(), Error> {
        let SendResult { outcome, handover } = ended;
        if let Some(handover) = handover {
            let Handover { from, why, .. } = &handover;
            let reason = why.code.as_ref().unwrap_or(&why.message);
            let key = format!("{from} {reason}");
            self.note_once(key, &note_of_hand_over(&handover, &outcome));
        }
        self.end(&origin, &fields, &outcome)
    }

    /// Keeps a number that failed, and reports its outcome.
    fn end(&mut self, origin: &Origin, fields: &[String], outcome: &Outcome) -> Result<(), Error> {
        let failures = self.failures.as_mut();
        let kept = failures.map_or(Ok(()), |failures| failures.take(origin, fields, outcome));
        self.report(origin, outcome).and(kept)
    }

    /// Reports the outcome of a number: to the operator, to the hooks, and as a result.
    fn report(&mut self, origin: &Origin, outcome: &Outcome) -> Result<(), Error> {
        let (number, now) = (&origin.phone_number, self.plan.clock.now());
        // Whoever sees both streams together reads the reason of a failure once.
        let explains = self.output.is_one_terminal();
        let hint = self.hint(outcome, now);
        self.tally.count(outcome);
        match outcome {
            Outcome::Sent { backend, arrival, shown_text, .. } => {
                if let Some(text) = shown_text {
                    self.output.message(number, text);
                }
                match arrival {
                    Some(Arrival::Unknown(error)) => {
                        let error = error.as_ref();
                        let warning = warning_of_unknown_arrival(number, backend, error);
                        self.output.warning(&warning);
                    }
                    Some(Arrival::NoCall) => self.silent = Some(backend.clone()),
                    _ => {}
                }
            }
            Outcome::Failed { error, .. } if !explains => {
                if let Some(error) = error_in_words(origin, error, hint.clone()) {
                    self.error(origin, error);
                }
            }
            Outcome::Skipped { reason: Kind::UnknownOutcome } => {
                let resume = self.plan.rules.resume;
                let (why, note) = why_unknown(resume.and_then(|resume| resume.longest_send));
                self.output.warning(&origin.within_line(format!("{number} is skipped: {why}")));
                self.note_once(note.clone(), &note);
            }
            Outcome::DryRun { number_type: Some(NumberType::FixedLine), .. } => {
                self.output.progress(&origin.within_line(fixed_line_note(number)));
            }
            Outcome::Failed { .. } | Outcome::Skipped { .. } | Outcome::DryRun { .. } => {}
        }
        if let Some(mut error) = error_of_unstored(number, outcome) {
            error.hint = error.hint.filter(|hint| self.noted.insert(hint.clone()));
            self.error(origin, error);
        }
        if let Some(hooks) = self.plan.hooks
            && let Some(event) = Event::from_outcome(number, outcome)
            && hooks.has_hook(event.name)
        {
            let origin = origin.clone();
            self.hooks.push(Box::pin(async move { (origin, hooks.run(&event).await) }));
        }
        if outcome.kind() != Kind::Stopped {
            self.output.advance_progress(|| self.tally.in_short());
        }
        let (phone_number, line) = (number.as_str(), origin.line);
        let hint = hint.map(|hint| self.output.completed(&hint));
        let report = NumberReport { phone_number, outcome, line, now, explains, hint };
        self.output.report(&report)
    }

    /// Returns what to do about a number that failed. What a code means is said once, and what to do about the database too.
    fn hint(&mut self, outcome: &Outcome, now: DateTime<Utc>) -> Option<String> {
        let Outcome::Failed { error, .. } = outcome else { return None };
        let meaning = error.explained.explanation.as_ref().or(error.more_info.as_ref());
        let is_new = meaning.is_none_or(|meaning| self.noted.insert(meaning.clone()));
        is_new.then(|| hint(error, now)).flatten()
    }

    fn end_hook(&mut self, (origin, result): HookEnd) {
        let Err(error) = result else { return };
        self.tally.failed_hooks += 1;
        let error = match single_spaced(&origin.phone_number) {
            number if number.is_empty() => Error::from(error),
            number => Error::from(error).within(&number),
        };
        let hint = "the outcome is the same; do by hand what the hook didn't do";
        self.error(&origin, error.with_hint(hint));
    }

    /// Shows a note, unless one was shown for this reason: what is true for one number is often true for all of them.
    fn note_once(&mut self, reason: String, note: &str) {
        if self.noted.insert(reason) {
            self.output.progress(note);
        }
    }

    fn error(&self, origin: &Origin, error: Error) {
        self.output.error(&match origin.line {
            Some(line) => error.within(&format!("line {line}")),
            None => error,
        });
    }

    /// Shows the summary of several numbers, or a warning if there was none, and then the error that ended the run.
    fn conclude(&mut self) {
        let took_all = self.phase == Phase::Finishing;
        let is_complete = took_all && self.failed_with().is_none();
        let is_stopped = self.phase == Phase::Stopping
            && self.failure.is_none()
            && (self.signal.is_some() || self.tally.unstored > 0);
        self.phase = Phase::Concluded;
        self.output.finish_progress();
        if let Some(backend) = &self.silent {
            self.output.warning(&no_call_warning(&backend.to_string()));
        }
        let total = self.plan.total.filter(|_| !took_all);
        let taken = self.tally.conclude(self.sends.len() as u64, total);
        for warning in warnings_of_early_end(&self.tally, is_stopped) {
            self.output.warning(&warning);
        }
        match (taken, self.tally.not_reached) {
            (0, _) if is_complete => {
                self.output.warning("--file: it has a heading, and no number below it");
            }
            (0, _) | (1, 0) => {}
            _ => self.output.progress(&self.tally.to_string()),
        }
        if let Some(error) = &self.failure {
            self.output.error(error);
        }
    }

    /// Returns how the program ends if the run itself has failed, be it that the database doesn't take what became of a number.
    fn failed_with(&self) -> Option<Exit> {
        let of_database = (self.tally.unstored > 0).then_some(Exit::Failed);
        self.failure.as_ref().map(|error| error.exit).or(of_database)
    }

    fn exit(&self) -> Exit {
        match (self.failed_with(), self.signal, self.tally.exit()) {
            // A failure doesn't hide that something was sent.
            (Some(_), _, Exit::PartlySent) => Exit::PartlySent,
            (Some(exit), ..) => exit,
            (None, Some(signal), _) => signal,
            (None, None, exit) => exit,
        }
    }
}

/// Waits until an outcome can't be stored soon.
async fn delayed(sender: Option<Rc<Sender<'_, SystemRandom>>>) {
    match sender {
        Some(sender) => sender.delayed().await,
        None => std::future::pending().await,
    }
}
