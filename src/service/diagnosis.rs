//! The rules for why a number's code can't be verified now, and what to do next.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::backends::{Explanation, explain};
use crate::model::{
    Delivery, DeliveryOutcome, DeliveryState, ListedRecord, RecordState, SmsVerification,
};
use crate::settings::Settings;

/// A delivery, and what its code means.
#[derive(Debug, Serialize)]
pub struct ExplainedDelivery {
    /// The delivery.
    #[serde(flatten)]
    pub delivery: Delivery,
    /// What its code means.
    #[serde(flatten)]
    pub explanation: Explanation,
}

impl From<Delivery> for ExplainedDelivery {
    fn from(delivery: Delivery) -> Self {
        let DeliveryOutcome { state, error_code, .. } = &delivery.outcome;
        // What a code means is only sure if the outcome is. The sender may have been another one.
        let known = error_code.as_deref().filter(|_| !state.is_unknown());
        let explanation = known.map(|code| explain(&delivery.backend, code, None));
        Self { explanation: explanation.unwrap_or_default(), delivery }
    }
}

/// The state of a number's newest code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It can be verified now.
    Verifiable,
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

/// Returns the state of a number's newest record, if it has one, given the state of its newest delivery if that is known, and its
/// wrong codes while they count. But for these, the rules have the order in which `verify` refuses a right code.
pub fn verdict(
    newest: Option<&SmsVerification>,
    newest_delivery: Option<DeliveryState>,
    wrong_codes: u32,
    settings: &Settings,
    now: DateTime<Utc>,
) -> Verdict {
    // A new code wouldn't be compared either.
    let most = settings.limits.max_wrong_codes_per_number_per_day;
    if most.is_some_and(|most| wrong_codes >= most) {
        return Verdict::TooManyWrongCodes;
    }
    let Some(record) = newest else {
        let was_refused =
            matches!(newest_delivery, Some(DeliveryState::Rejected | DeliveryState::Unavailable));
        return if was_refused { Verdict::NeverAccepted } else { Verdict::None };
    };
    match own_state(record, settings, now) {
        Some(RecordState::Locked) => Verdict::Locked,
        Some(RecordState::Expired) => Verdict::Expired,
        Some(RecordState::Used) => Verdict::Used,
        _ => Verdict::Verifiable,
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
    /// Wait, or send a new code and ignore the limits if you know the person.
    WaitUnlessKnown,
    /// Send a new code.
    SendAgain,
    /// Fix what the provider complains about, and then send again.
    FixAndSendAgain,
    /// Nothing: the number is verified.
    Nothing,
}

/// Returns what to do next, given the state of the newest delivery, if that is known.
pub fn advice(verdict: Verdict, newest_delivery: Option<DeliveryState>) -> Advice {
    match verdict {
        Verdict::Used => Advice::Nothing,
        Verdict::NeverAccepted => Advice::FixAndSendAgain,
        Verdict::TooManyWrongCodes => Advice::WaitUnlessKnown,
        // The code is from an earlier send. The last one was refused, and so would the next one be.
        Verdict::Expired | Verdict::Locked if newest_delivery == Some(DeliveryState::Rejected) => {
            Advice::FixAndSendAgain
        }
        Verdict::Expired | Verdict::Locked | Verdict::None => Advice::SendAgain,
        Verdict::Verifiable => match newest_delivery {
            Some(DeliveryState::Undelivered) => Advice::SendAgain,
            Some(DeliveryState::Sending | DeliveryState::Unknown) => Advice::AskThePerson,
            _ => Advice::Verify,
        },
    }
}
