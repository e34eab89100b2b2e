//! Rules for codes, in few words.

use chrono::{DateTime, TimeDelta, Utc};

use crate::model::VerificationStatus::{
    self, SecurityCodeInvalid, SecurityCodeTooManyAttempts, SecurityCodeValid,
    SecurityCodeVerified, SessionTokenInvalid,
};
use crate::store::{Decision, Evidence, Judge, RecordChange};

/// How many wrong codes a record may have.
pub(super) const MOST_OF_RECORD: u32 = 5;
/// How many wrong codes a number may have.
pub(super) const MOST_OF_NUMBER: u32 = 7;

/// The rule that judges a code. A right one works once.
pub(super) type Rule = fn(Evidence<'_>, DateTime<Utc>) -> Decision;

pub(super) const RIGHT: Rule = |evidence, _| decide(evidence, true);
pub(super) const WRONG: Rule = |evidence, _| decide(evidence, false);

pub(super) fn judge(decide: &dyn Fn(Evidence<'_>, DateTime<Utc>) -> Decision) -> Judge<'_> {
    Judge { looks_back: Some(TimeDelta::days(1)), decide }
}

fn decide(Evidence { record, wrong_codes }: Evidence<'_>, is_right: bool) -> Decision {
    let (status, change): (VerificationStatus, _) = match record {
        None => (SessionTokenInvalid, None),
        Some(record)
            if record.failed_attempts >= MOST_OF_RECORD || wrong_codes >= MOST_OF_NUMBER =>
        {
            (SecurityCodeTooManyAttempts, None)
        }
        Some(_) if !is_right => (SecurityCodeInvalid, Some(RecordChange::WrongCode)),
        Some(record) if record.is_verified => {
            (SecurityCodeVerified, Some(RecordChange::FailedAttempt))
        }
        Some(_) => (SecurityCodeValid, Some(RecordChange::Verified)),
    };
    Decision { status, change }
}
