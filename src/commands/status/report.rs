//! What `status` says about a number, as text and as JSON.

use anstyle::AnsiColor;
use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use crate::model::{
    DeliveryOutcome, DeliveryState, NumberType, PhoneNumber, RecordState, counted, grouped, latest,
    timestamp, with_code, words,
};
use crate::output::{Report, time_and_distance};
use crate::service::diagnosis::{ExplainedDelivery, Verdict};

/// All that is known about a number.
#[derive(Debug, Serialize)]
pub(super) struct StatusReport {
    pub(super) phone_number: PhoneNumber,
    pub(super) number_type: Option<NumberType>,
    pub(super) verdict: Verdict,
    pub(super) message: String,
    pub(super) next: String,
    pub(super) wrong_codes: Option<u32>,
    pub(super) wrong_codes_allowed: Option<u32>,
    pub(super) records: Vec<RecordReport>,
    pub(super) deliveries: Vec<ExplainedDelivery>,
    /// Whether people see only the first lines, because the number is one of several.
    #[serde(skip)]
    pub(super) is_short: bool,
    #[serde(skip)]
    pub(super) now: DateTime<Utc>,
}

#[derive(Debug, Serialize)]
pub(super) struct RecordReport {
    pub(super) id: Uuid,
    pub(super) is_verified: bool,
    pub(super) is_valid: bool,
    pub(super) failed_attempts: u32,
    #[serde(with = "timestamp")]
    pub(super) created_at: DateTime<Utc>,
    #[serde(with = "timestamp")]
    pub(super) expires_at: DateTime<Utc>,
    pub(super) delivery: Option<DeliveryState>,
    pub(super) state: RecordState,
}

impl Report for StatusReport {
    fn text(&self) -> String {
        let Self { phone_number, number_type, message, next, now, .. } = self;
        let mut text = format!("{phone_number}: {message}");
        if self.is_short {
            return text;
        }
        text += &format!("\nnext: {next}");
        if let Some(number_type) = number_type {
            text += &format!("\ntype: {}", number_type.in_words());
        }
        if let (Some(count @ 1..), Some(allowed)) = (self.wrong_codes, self.wrong_codes_allowed) {
            let [count, allowed] = [count, allowed].map(|count| grouped(count.into()));
            text += &format!("\nwrong codes: {count} of {allowed} within 24 hours");
        }
        for record in &self.records {
            text += &record.text(*now);
        }
        for delivery in &self.deliveries {
            text += &self.delivery_text(delivery);
        }
        text
    }

    fn color(&self) -> Option<AnsiColor> {
        Some(match self.verdict {
            Verdict::Verifiable | Verdict::Used => AnsiColor::Green,
            Verdict::Expired | Verdict::None => AnsiColor::Yellow,
            Verdict::Undelivered
            | Verdict::Locked
            | Verdict::TooManyWrongCodes
            | Verdict::NeverAccepted => AnsiColor::Red,
        })
    }
}

impl StatusReport {
    /// Returns a delivery in words. What the first lines say isn't said again.
    fn delivery_text(&self, explained: &ExplainedDelivery) -> String {
        let ExplainedDelivery { delivery, backend_in_words, explanation } = explained;
        let DeliveryOutcome { state, message_id, error_code, error_message } = &delivery.outcome;
        // Others can write the ledger too.
        let [message_id, error_code, error_message] = [message_id, error_code, error_message]
            .map(|text| text.as_deref().map(words).filter(|text| !text.is_empty()));
        let meaning = explanation.explanation.as_deref().unwrap_or_default();
        let is_said = self.message.starts_with(meaning.trim_end_matches('.'));
        let calls = match delivery.tries {
            // The program was killed before it could count.
            0 => "no call was counted",
            1 => "called once",
            tries => &format!("called {tries} times"),
        };
        let reason = match (error_message, error_code) {
            (Some(reason), code @ Some(_)) => Some(with_code(&reason, code.as_deref())),
            (None, Some(code)) => Some(format!("error {code}")),
            (reason, None) => reason,
        };
        let mut text =
            format!("\n\ndelivery  {state} through {}, {calls}", words(backend_in_words));
        for (name, value) in [
            ("began", Some(time_and_distance(delivery.created_at, self.now))),
            ("verified", delivery.verified_at.map(|time| time_and_distance(time, self.now))),
            ("language", delivery.language.as_deref().map(words)),
            ("message", message_id),
            ("reason", reason),
            ("meaning", explanation.explanation.clone().filter(|_| !is_said)),
            ("advice", explanation.next.clone().filter(|_| !is_said)),
        ] {
            if let Some(value) = value {
                text += &format!("\n  {name:8} {value}");
            }
        }
        text
    }
}

impl RecordReport {
    fn text(&self, now: DateTime<Utc>) -> String {
        let is_verified = if self.is_verified { "verified" } else { "not verified" };
        let mut text = format!(
            "\n\nrecord    {}\n  {}, {is_verified}, {}\n  created  {}",
            self.id,
            self.state,
            counted(self.failed_attempts, "failed attempt"),
            time_and_distance(self.created_at, now),
        );
        // One from the future counts as expired, whatever its times.
        if self.created_at <= latest(now) {
            let expires = if self.expires_at < now { "expired" } else { "expires" };
            text += &format!("\n  {expires}  {}", time_and_distance(self.expires_at, now));
        }
        text
    }
}
