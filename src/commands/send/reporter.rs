//! Reports on the numbers of a `send` as they end, and counts them.

use chrono::{DateTime, Utc};

use super::input::BadEntry;
use super::report::{
    Failure, FailureKind, Limit, NumberReport, Origin, Status, as_given, in_brackets, in_words,
    not_known_yet,
};
use super::summary::{Summary, Tally};
use crate::backends::{Accepted, BackendName, SmsError, SmsErrorKind};
use crate::exit::Error;
use crate::model::{DeliveryState, Segments, SessionToken, counted};
use crate::output::{Output, time_and_distance};
use crate::service::arrival::Arrival;
use crate::service::hooks::{Event, HookError, Hooks};
use crate::service::register::{Called, MessageError, Registration};
use crate::store::{Refusal, StoreError};
use crate::system::clock::Clock;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RunEnd {
    /// All numbers were taken.
    Complete,
    /// A signal kept numbers from being taken.
    Stopped,
    /// Something failed, or nobody reads the reports any more.
    Broken,
}

/// Reports on the numbers of one `send`, and counts them.
pub(super) struct Reporter<'a> {
    /// Where the reports go, written as [`Output::start_writing`] has it.
    pub(super) output: &'a mut Output,
    clock: &'a Clock,
    hooks: Option<&'a Hooks<'a>>,
    events: Vec<(Event, Option<u64>)>,
    summary: Summary,
    tally: Tally,
    /// How many were stored ahead when the program was asked to stop, and so never sent.
    stopped: u64,
    /// A backend that can't be asked whether an SMS arrived, though that was to be waited for.
    silent: Option<BackendName>,
}

impl<'a> Reporter<'a> {
    /// Returns a reporter to `output`, and to those `hooks` that want to be told.
    pub(super) fn new(
        output: &'a mut Output,
        clock: &'a Clock,
        hooks: Option<&'a Hooks<'a>>,
        is_dry_run: bool,
    ) -> Self {
        let (summary, tally) = (Summary::start(is_dry_run), Tally::default());
        Self { output, clock, hooks, events: Vec::new(), summary, tally, stopped: 0, silent: None }
    }

    /// Takes what the hooks are to be told since this was last called, each with the line of its number.
    pub(super) fn take_events(&mut self) -> Vec<(Event, Option<u64>)> {
        std::mem::take(&mut self.events)
    }

    /// Reports that a hook failed. What it was told stands.
    pub(super) fn hook_failed(&mut self, event: &Event, line: Option<u64>, error: HookError) {
        self.tally.hooks_failed += 1;
        let error = match as_given(&event.phone_number) {
            number if number.is_empty() => Error::from(error),
            number => Error::from(error).within(&number),
        };
        let hint = "the report stands; do by hand what the hook left undone";
        self.error(line, error.with_hint(hint));
    }

    /// Returns how many numbers came to what.
    pub(super) fn tally(&self) -> Tally {
        self.tally
    }

    /// Shows what all numbers came to, where there were several, and says so where there was none; then what broke the run off.
    pub(super) fn conclude(&mut self, end: RunEnd, under_way: usize, failure: Option<&Error>) {
        self.output.finish_progress();
        if let Some(backend) = self.silent {
            let warning = format!("{backend} has no call that tells whether an SMS arrived");
            self.output.warning(&warning);
        }
        let waiting = counted(self.stopped, "number");
        let left = match (end, self.stopped) {
            (RunEnd::Stopped, 0) => Some("what follows got nothing".to_owned()),
            (RunEnd::Stopped, _) => Some(format!("{waiting} waiting and what follows got nothing")),
            (_, 0) => None,
            (_, _) => Some(format!("{waiting} waiting got nothing")),
        };
        if let Some(left) = left {
            self.output.warning(&format!("stopped: {left}; --resume goes on from here"));
        }
        if under_way > 0 {
            let numbers = counted(under_way as u64, "number");
            self.output.warning(&format!(
                "{numbers} still under way: --resume names those whose SMS may have been accepted"
            ));
        }
        match self.summary.total() + under_way as u64 {
            0 if end == RunEnd::Complete => {
                self.output.warning("--file: it has a heading, and no number below it");
            }
            0 | 1 => {}
            _ => self.output.progress(&self.summary.to_string()),
        }
        if let Some(error) = failure {
            self.output.error(error);
        }
    }

    /// Reports what can't be sent to.
    ///
    /// # Errors
    /// The file can't be read on, or stdout can't be written.
    pub(super) fn bad_entry(&mut self, line: Option<u64>, bad: &BadEntry) -> Result<(), Error> {
        let (kind, text, problem) = match bad {
            BadEntry::Number { text, problem } => (FailureKind::InvalidNumber, text, problem),
            BadEntry::Line { text, problem } => (FailureKind::InvalidLine, text, problem),
            BadEntry::File(error) => {
                return Err(Error::failed(format!("--file: it can't be read on: {error}")));
            }
        };
        let words = match (bad, as_given(text)) {
            (BadEntry::Line { .. }, number) if number.is_empty() => Error::usage(problem),
            (_, number) if number.is_empty() => Error::usage(format!("phone number: {problem}")),
            (_, number) => Error::usage(format!("phone number {number}: {problem}")),
        };
        self.failed(Origin::new(text, line), Failure::new(kind, None, problem), &words)
    }

    /// Reports a line whose message can't go out.
    ///
    /// # Errors
    /// Stdout can't be written.
    pub(super) fn bad_message(
        &mut self,
        origin: Origin<'_>,
        error: &MessageError,
    ) -> Result<(), Error> {
        let message = error.to_string();
        let words = Error::usage(format!("{} was not sent: {message}", origin.phone_number));
        self.failed(origin, Failure::new(FailureKind::InvalidLine, None, &message), &words)
    }

    /// Reports a number that was given before.
    ///
    /// # Errors
    /// Stdout can't be written.
    pub(super) fn duplicate(&mut self, origin: Origin<'_>) -> Result<(), Error> {
        self.skipped(origin, "duplicate")
    }

    /// Reports what would be sent to a number.
    ///
    /// # Errors
    /// Stdout can't be written.
    pub(super) fn dry_run(
        &mut self,
        origin: Origin<'_>,
        text: &str,
        Segments { encoding, count }: Segments,
    ) -> Result<(), Error> {
        self.tally.sent += 1;
        self.summary.sent += 1;
        self.summary.segments += count;
        self.show(origin, Status::DryRun { text, encoding, segments: count })
    }

    /// Reports what became of a number that was to be sent to.
    ///
    /// # Errors
    /// Stdout can't be written, or the database could not be brought up to date.
    pub(super) fn registration(
        &mut self,
        origin: Origin<'_>,
        registration: &Registration,
        arrival: Option<Arrival>,
    ) -> Result<(), Error> {
        match registration {
            Registration::NotStarted => self.not_started(origin),
            Registration::NotAdmitted(Refusal::AlreadySent) => {
                self.tally.sent += 1;
                self.skipped(origin, "already_sent")
            }
            Registration::NotAdmitted(Refusal::UnknownOutcome) => {
                let phone_number = origin.phone_number;
                self.output.warning(&format!(
                    "{phone_number} is skipped: whether an earlier SMS was accepted is unknown"
                ));
                self.tally.not_sent += 1;
                self.skipped(origin, "unknown_outcome")
            }
            Registration::NotAdmitted(Refusal::Limited { reason, retry_at }) => {
                self.limited(origin, reason, *retry_at)
            }
            Registration::Called(called) => {
                let origin = Origin { verification_id: Some(called.verification_id), ..origin };
                let reported = match &called.result {
                    Ok(accepted) => self.accepted(origin, called, accepted, arrival),
                    Err(error) => self.refused(origin, called, error),
                };
                let unsettled = called.unsettled.as_ref().map(|error| {
                    Error::from(error.clone()).within(&format!(
                        "{}: the provider has answered, but the records could not be brought up to date",
                        origin.phone_number
                    ))
                });
                reported.and(unsettled.map_or(Ok(()), Err))
            }
        }
    }

    fn limited(
        &mut self,
        origin: Origin<'_>,
        reason: &str,
        retry_at: Option<DateTime<Utc>>,
    ) -> Result<(), Error> {
        let error = Error::failed(format!("{} was not sent: {reason}", origin.phone_number));
        let hint = match retry_at {
            Some(retry_at) => {
                let time = time_and_distance(retry_at, self.clock.now());
                format!("it may be sent at {time}, or now with --ignore-limits")
            }
            None => "--ignore-limits sends it all the same".to_owned(),
        };
        let failure = Failure {
            limit: Some(Limit { retry_at }),
            ..Failure::new(FailureKind::Limited, None, reason)
        };
        self.failed(origin, failure, &error.with_hint(hint))
    }

    fn accepted(
        &mut self,
        origin: Origin<'_>,
        called: &Called,
        accepted: &Accepted,
        arrival: Option<Arrival>,
    ) -> Result<(), Error> {
        let Called { session_token, expires_at, backend, .. } = called;
        let phone_number = origin.phone_number;
        if let Some(text) = &accepted.shown_text {
            self.output.message(phone_number, text);
        }
        match &arrival {
            Some(Arrival::Undelivered { code, message }) => {
                let message = message.as_deref().unwrap_or("the provider says no more");
                let words = Error::failed(format!(
                    "{phone_number} was sent, but not delivered: {message}{}",
                    in_brackets(code.as_deref())
                ));
                let failure = Failure::new(FailureKind::Undelivered, code.as_deref(), message);
                return self.failed_with_token(origin, Some(session_token), failure, &words);
            }
            Some(Arrival::NotYet(error)) => {
                self.output.warning(&not_known_yet(phone_number, *backend, error.as_ref()));
            }
            Some(Arrival::Untold) => self.silent = Some(*backend),
            Some(Arrival::Delivered) | None => {}
        }
        self.tally.sent += 1;
        self.summary.sent += 1;
        let status = Status::Sent {
            session_token,
            backend: *backend,
            message_id: accepted.message_id.as_deref(),
            expires_at: *expires_at,
            delivery: arrival
                .filter(|arrival| *arrival == Arrival::Delivered)
                .map(|_| DeliveryState::Delivered),
        };
        self.show(origin, status)
    }

    fn refused(
        &mut self,
        origin: Origin<'_>,
        called: &Called,
        error: &SmsError,
    ) -> Result<(), Error> {
        if called.tries == 0 {
            return self.not_started(origin);
        }
        let SmsError { kind, code, message, .. } = error;
        let session_token = (*kind == SmsErrorKind::Unknown).then_some(&called.session_token);
        let failure = Failure::new(FailureKind::Sms(*kind), code.as_deref(), message);
        let words = in_words(origin.phone_number, called.backend, error);
        self.failed_with_token(origin, session_token, failure, &words)
    }

    /// Reports a number that the end of the run left waiting. There may be hundreds: they are counted, and only what became
    /// of an SMS is an error and news for hooks.
    fn not_started(&mut self, origin: Origin<'_>) -> Result<(), Error> {
        self.stopped += 1;
        self.tally.not_sent += 1;
        self.summary.failed("stopped");
        let kind = FailureKind::Sms(SmsErrorKind::Unavailable);
        let error = Failure::new(kind, None, "the run ended before it was sent");
        self.print(origin, Status::Failed { session_token: None, error })
    }

    /// Reports a number that could not be stored, and so was not sent to. The error itself is the run's.
    ///
    /// # Errors
    /// Stdout can't be written.
    pub(super) fn not_stored(
        &mut self,
        origin: Origin<'_>,
        error: &StoreError,
    ) -> Result<(), Error> {
        let kind = FailureKind::Sms(SmsErrorKind::Unavailable);
        self.tally.not_sent += 1;
        self.summary.failed(kind.as_str());
        let message = error.to_string();
        let error = Failure::new(kind, None, &message);
        self.show(origin, Status::Failed { session_token: None, error })
    }

    fn failed(
        &mut self,
        origin: Origin<'_>,
        failure: Failure<'_>,
        words: &Error,
    ) -> Result<(), Error> {
        self.failed_with_token(origin, None, failure, words)
    }

    fn failed_with_token(
        &mut self,
        origin: Origin<'_>,
        session_token: Option<&SessionToken>,
        error: Failure<'_>,
        words: &Error,
    ) -> Result<(), Error> {
        match error.kind {
            FailureKind::InvalidNumber | FailureKind::InvalidLine => self.tally.invalid += 1,
            FailureKind::Limited | FailureKind::Undelivered | FailureKind::Sms(_) => {
                self.tally.not_sent += 1;
            }
        }
        self.summary.failed(error.kind.as_str());
        let shown = self.show(origin, Status::Failed { session_token, error });
        self.error(origin.line, words.clone());
        shown
    }

    fn error(&self, line: Option<u64>, error: Error) {
        self.output.error(&match line {
            Some(line) => error.within(&format!("line {line}")),
            None => error,
        });
    }

    fn skipped(&mut self, origin: Origin<'_>, reason: &'static str) -> Result<(), Error> {
        self.summary.skipped(reason);
        self.show(origin, Status::Skipped { reason })
    }

    /// Tells the hooks and the output.
    fn show(&mut self, origin: Origin<'_>, status: Status<'_>) -> Result<(), Error> {
        if let Some(hooks) = self.hooks
            && let Some(event) = status.event(origin).filter(|event| hooks.want(event.name))
        {
            self.events.push((event, origin.line));
        }
        self.print(origin, status)
    }

    fn print(&mut self, origin: Origin<'_>, status: Status<'_>) -> Result<(), Error> {
        let Origin { phone_number, line, .. } = origin;
        self.output.advance_progress(|| self.summary.in_short());
        self.output.report(&NumberReport { phone_number, status, line, now: self.clock.now() })
    }
}
