//! The rules for why a number's code can't be verified now, and what to do next.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use crate::backends::{Cause, Explanation, explain};
use crate::model::{
    Delivery, DeliveryOutcome, DeliveryState, ListedRecord, NumberType, RecordState,
    SmsVerification,
};
use crate::settings::Settings;

/// A delivery, and what its code means.
#[derive(Debug, Serialize)]
pub struct ExplainedDelivery {
    /// The delivery.
    #[serde(flatten)]
    pub delivery: Delivery,
    /// Its backend, as the settings call it.
    #[serde(skip)]
    pub backend_in_words: String,
    /// What its code means.
    #[serde(flatten)]
    pub explanation: Explanation,
}

impl ExplainedDelivery {
    /// Explains the code of a delivery. The sender is that of its backend in the settings, if they say so.
    pub fn new(delivery: Delivery, settings: &Settings) -> Self {
        let sender = settings.sender_of(&delivery.backend);
        let DeliveryOutcome { state, error_code, .. } = &delivery.outcome;
        // What a code means is only sure if the outcome is.
        let known = error_code.as_deref().filter(|_| !state.is_unknown());
        let explanation = explain(&delivery.backend, known, sender);
        let backend_in_words = settings.name_in_words(&delivery.backend);
        Self { explanation, backend_in_words, delivery }
    }

    fn state(&self) -> DeliveryState {
        self.delivery.outcome.state
    }

    /// Returns whether the reason may have passed by `now`.
    fn may_have_passed(&self, now: DateTime<Utc>) -> bool {
        let may_pass = match self.explanation.cause {
            Some(cause) => cause == Cause::Temporary,
            None => self.state() == DeliveryState::Unavailable,
        };
        may_pass && now - self.delivery.updated_at > PASSES_WITHIN
    }
}

/// For how long a passing problem keeps a new code from being sent.
const PASSES_WITHIN: TimeDelta = TimeDelta::hours(1);

/// The state of a number's newest code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It can be verified now.
    Verifiable,
    /// It could be verified, but its SMS didn't arrive.
    Undelivered,
    /// It has expired.
    Expired,
    /// Too many wrong codes have locked it.
    Locked,
    /// The number has had too many wrong codes, so none is compared.
    TooManyWrongCodes,
    /// It was used, and codes work only once.
    Used,
    /// No provider accepted the last message, so there is no code.
    NeverAccepted,
    /// There is no record, and nothing was sent.
    None,
}

/// What is known about a number.
#[derive(Debug, Clone, Copy)]
pub struct NumberFacts<'a> {
    /// The newest record that isn't from the future.
    pub record: Option<&'a SmsVerification>,
    /// The newest delivery that isn't from the future, if it can be read.
    pub delivery: Option<&'a ExplainedDelivery>,
    /// What the number is for; None unless it is valid.
    pub number_type: Option<NumberType>,
    /// Whether something can be sent to it: it is valid, or a test number.
    pub is_number: bool,
    /// Whether `verify` finds its records.
    pub is_findable: bool,
    /// Its wrong codes, while they count.
    pub wrong_codes: u32,
}

impl NumberFacts<'_> {
    /// Returns the state of the newest code. But for the wrong codes of the number and an SMS that didn't arrive, the rules have
    /// the order in which `verify` refuses a right code.
    pub fn verdict(&self, settings: &Settings, now: DateTime<Utc>) -> Verdict {
        // A new code wouldn't be compared either.
        let most = settings.limits.max_wrong_codes_per_number_per_day;
        if most.is_some_and(|most| self.wrong_codes >= most) {
            return Verdict::TooManyWrongCodes;
        }
        let state = self.delivery.map(ExplainedDelivery::state);
        let Some(record) = self.record else {
            let was_refused = state.is_some_and(DeliveryState::was_refused);
            return if was_refused { Verdict::NeverAccepted } else { Verdict::None };
        };
        let is_of_record =
            self.delivery.is_some_and(|newest| newest.delivery.verification_id == record.id);
        match own_state(record, settings, now) {
            Some(RecordState::Locked) => Verdict::Locked,
            Some(RecordState::Expired) => Verdict::Expired,
            Some(RecordState::Used) => Verdict::Used,
            _ if is_of_record && state == Some(DeliveryState::Undelivered) => Verdict::Undelivered,
            _ => Verdict::Verifiable,
        }
    }

    /// Returns the newest delivery if it keeps a code from reaching the person, and may do so again at `now`.
    pub fn obstacle(&self, now: DateTime<Utc>) -> Option<&ExplainedDelivery> {
        self.delivery.filter(|newest| newest.state().has_failed() && !newest.may_have_passed(now))
    }

    /// Returns whether nothing shows that an SMS ever reached this landline.
    pub fn is_landline(&self) -> bool {
        let has_arrived =
            self.delivery.is_some_and(|newest| newest.state() == DeliveryState::Delivered);
        let is_verified = self.record.is_some_and(|record| record.is_verified);
        self.number_type == Some(NumberType::FixedLine) && !has_arrived && !is_verified
    }

    /// Returns what to do next.
    pub fn advice(&self, verdict: Verdict, now: DateTime<Utc>) -> Advice {
        match verdict {
            Verdict::Used => Advice::Nothing,
            _ if !self.is_findable => Advice::CheckStoredNumber,
            Verdict::Verifiable => match self.delivery.map(ExplainedDelivery::state) {
                Some(DeliveryState::Sending | DeliveryState::Unknown) => Advice::AskThePerson,
                _ => Advice::Verify,
            },
            _ => self.remedy(now),
        }
    }

    /// Returns how to get a new code to the person.
    pub fn remedy(&self, now: DateTime<Utc>) -> Advice {
        match self.obstacle(now) {
            _ if !self.is_number => Advice::CheckNumber,
            Some(newest) if newest.explanation.next.is_some() => Advice::FollowExplanation,
            _ if self.is_landline() => Advice::AskForMobileNumber,
            Some(newest) if newest.state().was_refused() => Advice::FixAndSendAgain,
            _ => Advice::SendAgain,
        }
    }
}

/// Returns what has become of a record.
pub fn record_state(listed: &ListedRecord, settings: &Settings, now: DateTime<Utc>) -> RecordState {
    own_state(&listed.record, settings, now).unwrap_or(match listed.delivery {
        _ if listed.is_superseded => RecordState::Superseded,
        Some(DeliveryState::Undelivered) => RecordState::Undelivered,
        _ => RecordState::Live,
    })
}

/// Returns why the code of a record can't be verified, as far as the record itself says. The order is that in which `verify`
/// refuses a right code.
fn own_state(
    record: &SmsVerification,
    settings: &Settings,
    now: DateTime<Utc>,
) -> Option<RecordState> {
    if record.failed_attempts >= settings.max_failed_attempts {
        Some(RecordState::Locked)
    } else if record.is_expired(settings.code_lifetime, now) {
        Some(RecordState::Expired)
    } else {
        (record.is_verified && settings.verify_only_once).then_some(RecordState::Used)
    }
}

/// What to do next about a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advice {
    /// Ask the person for the code.
    Verify,
    /// Ask the person if the message arrived. It may be on its way, or its outcome is unknown.
    AskThePerson,
    /// Send a new code.
    SendAgain,
    /// Do what the explanation of the newest delivery says.
    FollowExplanation,
    /// Fix what the provider complains about, and then send again.
    FixAndSendAgain,
    /// Check the number, since it isn't valid.
    CheckNumber,
    /// Check the number, since no command finds it as it is stored.
    CheckStoredNumber,
    /// Ask for a mobile number.
    AskForMobileNumber,
    /// Nothing: the number is verified.
    Nothing,
}
