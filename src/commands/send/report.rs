//! The outcome of a number, in JSON and in words.

use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::input::Origin;
use super::tally::Tally;
use crate::backends::{BackendName, Explanation, SmsError};
use crate::exit::{Error, Exit};
use crate::model::{NumberType, counted, grouped, shell_word, single_spaced, span, with_code};
use crate::output::{Report, time_and_distance};
use crate::service::arrival::Arrival;
use crate::service::outcome::{Failure, Kind, Limit, Outcome, OutcomeGroup};
use crate::service::sending::Handover;
use crate::settings::Settings;
use crate::store::Database;
use crate::system::access::Access;

/// The result of one number.
#[derive(Debug, Serialize)]
pub(super) struct NumberReport<'a> {
    pub(super) phone_number: &'a str,
    #[serde(flatten)]
    pub(super) outcome: &'a Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) line: Option<u64>,
    /// When it is read.
    #[serde(skip)]
    pub(super) now: DateTime<Utc>,
    /// Whether the text has the reason of a failure, since no error is shown for it.
    #[serde(skip)]
    pub(super) explains: bool,
    /// What to do about a failure, if its text says why.
    #[serde(skip)]
    pub(super) hint: Option<String>,
}

impl Report for NumberReport<'_> {
    const COLUMNS: &'static [&'static str] = &[
        "phone_number",
        "status",
        "line",
        "session_token",
        "backend",
        "message_id",
        "expires_at",
        "delivery",
        "kind",
        "code",
        "message",
        "cause",
        "explanation",
        "next",
        "retry_at",
        "reason",
        "text",
        "encoding",
        "segments",
        "number_type",
        "stored",
    ];

    /// A number of the command line may take several lines; one of a file takes one, and one more for a hint.
    fn text(&self) -> String {
        let number = single_spaced(self.phone_number);
        let mut text = match self.line {
            Some(line) if number.is_empty() => format!("line {line}: "),
            Some(line) => format!("line {line}: {number} "),
            None if number.is_empty() => "(empty) ".to_owned(),
            None => format!("{number} "),
        };
        let mut fields = Vec::new();
        match self.outcome {
            Outcome::Sent { session_token, backend, message_id, expires_at, arrival, .. } => {
                text += match arrival {
                    Some(Arrival::Delivered) => "delivered",
                    _ if backend.is_test() => "sent (test number, no SMS)",
                    _ => "sent",
                };
                fields.push(("expires", time_and_distance(*expires_at, self.now)));
                fields.extend(message_id.clone().map(|message_id| ("message id", message_id)));
                // It comes last, since it is longer than a line of a terminal.
                fields.push(("session token", session_token.as_str().to_owned()));
            }
            Outcome::Failed { session_token: Some(session_token), error, .. } => {
                let is_undelivered = error.kind == Kind::Undelivered;
                text +=
                    if is_undelivered { "sent, not delivered" } else { "may or may not arrive" };
                fields.push(("session token", session_token.as_str().to_owned()));
            }
            Outcome::Failed { error: Failure { kind, .. }, .. } if kind.is_lapse() => {
                text += &kind.to_string();
            }
            Outcome::Failed { .. } => text += "not sent",
            Outcome::Skipped { reason } => {
                text += &format!("skipped ({})", reason.to_string().replace('_', " "));
            }
            Outcome::DryRun { text: message, encoding, segments, number_type } => {
                text += &match number_type.map(NumberType::in_words) {
                    Some(number_type) => {
                        let segments = counted(*segments, "segment");
                        format!("{encoding}, {segments}, {number_type}: {message}")
                    }
                    None => format!("test number, no SMS: {message}"),
                };
            }
        }
        let explained = match self.outcome {
            Outcome::Failed { error, .. } if self.explains && error.kind != Kind::Stopped => {
                Some(error)
            }
            _ => None,
        };
        if let Some(failure) = explained {
            text += &format!(": {}", single_spaced(&reason(failure)));
        }
        for (name, value) in fields {
            text += &match self.line {
                Some(_) => format!(", {name} {value}"),
                None => format!("\n  {name:13}  {value}"),
            };
        }
        if let Some(hint) = self.hint.as_ref().filter(|_| explained.is_some()) {
            text += &format!("\nhint: {}", single_spaced(hint));
        }
        text
    }
}

/// Returns the error for an operator: what failed, why in the provider's words, and what to do; None if the run ended before the
/// number's turn.
pub(super) fn error_in_words(
    origin: &Origin,
    failure: &Failure,
    hint: Option<String>,
) -> Option<Error> {
    if failure.kind == Kind::Stopped {
        return None;
    }
    let number = single_spaced(&origin.phone_number);
    let what = match failure.kind {
        Kind::InvalidLine if number.is_empty() => String::new(),
        Kind::InvalidNumber if number.is_empty() => "phone number: ".to_owned(),
        Kind::InvalidLine | Kind::InvalidNumber => format!("phone number {number}: "),
        Kind::Undelivered => format!("{number} was sent, but not delivered: "),
        Kind::Unknown => format!("the SMS to {number} may or may not arrive: "),
        kind if kind.is_lapse() => format!("the code for {number} doesn't work: "),
        _ => format!("{number} was not sent: "),
    };
    let message = what + &reason(failure);
    let mut error = match failure.kind {
        Kind::InvalidLine | Kind::InvalidNumber => Error::usage(message),
        _ => Error::failed(message),
    };
    error.hint = hint;
    Some(error)
}

/// Returns the error that the database doesn't have the outcome of a number; None if it has it, or if that is why the number
/// failed.
pub(super) fn error_of_unstored(phone_number: &str, outcome: &Outcome) -> Option<Error> {
    let error = outcome.unstored()?;
    let what = match outcome {
        Outcome::Failed { error: Failure { message, .. }, .. } if *message == error.to_string() => {
            return None;
        }
        Outcome::Failed { .. } => format!("{phone_number}: what became of it can't be stored"),
        _ => format!("{phone_number} was sent, but that can't be stored"),
    };
    Some(Error::from(error.clone()).within(&what))
}

/// Returns why a number failed, in the provider's words if it refused it.
fn reason(Failure { kind, code, message, backend, .. }: &Failure) -> String {
    let reason = with_code(message, code.as_deref());
    match backend {
        Some(backend) if *kind == Kind::Rejected => format!("{backend} refused it: {reason}"),
        _ => reason,
    }
}

/// Returns what to do about a failure, if anything helps.
pub(super) fn hint(failure: &Failure, now: DateTime<Utc>) -> Option<String> {
    let Failure { kind, explained, limit, more_info, .. } = failure;
    Some(match (kind, limit) {
        (_, Some(Limit { retry_at: Some(retry_at) })) => {
            let time = time_and_distance(*retry_at, now);
            format!("it may be sent at {time}, or now with --ignore-limits")
        }
        (_, Some(_)) => "--ignore-limits sends it anyway".to_owned(),
        (Kind::Unknown, _) => {
            "ask the person before sending again: the code works if it arrives".to_owned()
        }
        (Kind::Superseded, _) => "only the newest code works".to_owned(),
        (Kind::Erased | Kind::Expired, _) => "send another code if the person wants one".to_owned(),
        _ => match (explained, kind, more_info) {
            (Explanation { explanation: Some(explanation), next: Some(next), page, .. }, ..) => {
                let page = more_info.as_ref().or(page.as_ref());
                let page = page.map(|page| format!(" {page}")).unwrap_or_default();
                format!("{explanation} {next}{page}")
            }
            (_, _, Some(more_info)) => more_info.clone(),
            (_, Kind::Unavailable, None) => "send it again later".to_owned(),
            _ => return None,
        },
    })
}

/// Returns the note that another backend was called, and why.
pub(super) fn note_of_hand_over(handover: &Handover, outcome: &Outcome) -> String {
    let Handover { from, why, to } = handover;
    let refused = match why.kind {
        Kind::Rejected => "refused it",
        _ => "was not available",
    };
    let sent = match outcome {
        Outcome::Sent { .. } => "sent",
        _ => "tried",
    };
    let reason = with_code(&why.message, why.code.as_deref());
    format!("{from} {refused}: {reason}; {sent} through {to}")
}

/// Returns why `--resume` skips a number whose outcome is unknown, and what to do. `longest_send` is how long a send may take, if
/// such numbers are sent to again.
pub(super) fn why_unknown(longest_send: Option<TimeDelta>) -> (&'static str, String) {
    match longest_send {
        None => (
            "whether an earlier SMS was accepted is unknown",
            "--resend-unknown sends to such numbers again".to_owned(),
        ),
        Some(longest) => (
            "another run may be sending to it",
            format!("if no other run is at work, try again in {}", span(longest)),
        ),
    }
}

/// Returns the warning that nothing is known about the arrival of an SMS, with the error if the provider was asked in vain.
pub(super) fn warning_of_unknown_arrival(
    phone_number: &str,
    backend: &BackendName,
    error: Option<&SmsError>,
) -> String {
    let reason = error.map_or_else(String::new, |error| {
        let reason = with_code(&error.message, error.code.as_deref());
        format!(", since {backend} did not report it: {reason}")
    });
    format!(
        "{phone_number} was sent; whether it arrived is not known yet{reason}; ask again: phone-verify status {phone_number} --refresh"
    )
}

/// Returns the warning that most of the first numbers were sent to within a code's life: so many of so many.
pub(super) fn warning_of_repetition((repeated, looked_at): (u32, u32)) -> String {
    format!(
        "{repeated} of the first {looked_at} numbers were sent a code that may still be valid; if this is the same list again, --resume skips them"
    )
}

/// Returns the note that a signal stops the run while so many requests have no answer.
pub(super) fn note_of_stop(signal: Exit, requests: usize) -> String {
    let after = match requests {
        0 => String::new(),
        1 => " after the request under way".to_owned(),
        _ => format!(" after the {} requests under way", grouped(requests as u64)),
    };
    let again = match signal {
        Exit::Interrupted => "; Ctrl-C again stops now",
        Exit::Terminated => "; a second signal stops now",
        _ => "",
    };
    format!("stopping{after}{again}")
}

/// Returns the warnings of a run that ended early: `is_stopped` says whether it was stopped before its last number.
pub(super) fn warnings_of_early_end(tally: &Tally, is_stopped: bool) -> Vec<String> {
    let waiting = tally.sum(OutcomeGroup::Stopped);
    let waiting = (waiting > 0).then(|| format!("{} waiting", counted(waiting, "number")));
    let unsent = waiting.into_iter().chain(is_stopped.then(|| "what follows".to_owned()));
    let unsent = unsent.collect::<Vec<_>>().join(" and ");
    let stopped = (!unsent.is_empty())
        .then(|| format!("stopped: {unsent} got nothing; --resume goes on from here"));
    let under_way = (tally.under_way > 0).then(|| {
        let numbers = counted(tally.under_way, "number");
        format!("{numbers} still under way: --resume names those whose SMS may have been accepted")
    });
    let unstored = (tally.unstored > 0 && tally.taken() > 1).then(|| {
        let numbers = counted(tally.unstored, "number");
        format!(
            "what became of {numbers} isn't stored, so --resume may skip them as unknown; see above which were not sent"
        )
    });
    stopped.into_iter().chain(under_way).chain(unstored).collect()
}

/// Returns warnings of what gives secrets or codes away, once the secrets were looked up and the database is there.
pub(super) fn warnings_of_exposure(settings: &Settings, database: &Database) -> Vec<String> {
    let is_exposed = |path: &&Path| Access::of(path).is_ok_and(Access::others_can_read);
    let of_database = database.file().filter(is_exposed).map(|path| {
        let word = shell_word(path);
        format!("database {database}: others can read the codes in it; `chmod o-r {word}`")
    });
    settings.secret_warnings().chain(of_database).collect()
}
