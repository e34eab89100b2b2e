//! The rules for verifying a security code.

use chrono::{DateTime, TimeDelta, Utc};

use crate::model::{
    Delivery, DeliveryState, Period, PhoneNumber, SecurityCode, SmsVerification, TypedCode,
    VerificationStatus, latest,
};
use crate::settings::Settings;
use crate::store::{
    Attempt, Decision, DeliveryFilter, Evidence, Judge, RecordChange, RecordFilter, SessionChoice,
    Store, StoreError,
};

/// For how long a wrong code counts against the limit of its number.
pub const WRONG_CODES_COUNT_FOR: TimeDelta = TimeDelta::days(1);
/// How many of the newest SMS to a number a person may take for one another.
const MOST_EARLIER: usize = 10;

/// The rules that decide on a code.
#[derive(Debug)]
pub struct Rules {
    /// The code that a sandbox accepts for any number.
    pub sandbox_token: Option<SecurityCode>,
    /// How many failed attempts lock a record.
    pub max_failed_attempts: u32,
    /// How long a code is valid.
    pub code_lifetime: TimeDelta,
    /// Whether a code works only once.
    pub only_once: bool,
    /// How many wrong codes a number may have while they count; None if that isn't limited.
    pub max_wrong_codes: Option<u32>,
    /// Whether a code is compared even if its number has had too many wrong ones.
    pub ignores_limits: bool,
}

impl Rules {
    /// Returns the rules of the settings. `ignores_limits` leaves out those of `[limits]`.
    pub fn from_settings(settings: &Settings, ignores_limits: bool) -> Self {
        Self {
            sandbox_token: settings.backend.sandbox_token().cloned(),
            max_failed_attempts: settings.max_failed_attempts,
            code_lifetime: settings.code_lifetime,
            only_once: settings.verify_only_once,
            max_wrong_codes: settings.limits.max_wrong_codes_per_number_per_day,
            ignores_limits,
        }
    }

    /// Verifies a typed code against the record of `phone_number` and `session`.
    ///
    /// # Errors
    /// Returns an error if the database can't be used or the record is damaged.
    pub fn verify(
        &self,
        store: &mut dyn Store,
        phone_number: &PhoneNumber,
        session: &SessionChoice,
        typed: &TypedCode,
    ) -> Result<Attempt, StoreError> {
        let looks_back = self.most_wrong_codes().map(|_| WRONG_CODES_COUNT_FOR);
        let decide = |evidence: Evidence<'_>, now| self.decide(typed, evidence, now);
        store.verify(phone_number, session, &Judge { looks_back, decide: &decide })
    }

    /// Returns the answer to any code if there is no record of `phone_number` and `session` to check one against.
    ///
    /// # Errors
    /// Returns an error if the database can't be read.
    pub fn unknown(
        &self,
        store: &mut dyn Store,
        phone_number: &PhoneNumber,
        session: &SessionChoice,
        now: DateTime<Utc>,
    ) -> Result<Option<Attempt>, StoreError> {
        let is_any = matches!(session, SessionChoice::Newest) && self.sandbox_token.is_none();
        let numbers = vec![phone_number.clone().into()];
        let filter =
            RecordFilter { numbers, created_until: Some(latest(now)), ..RecordFilter::default() };
        if !is_any || !store.newest_records(&filter, 1)?.is_empty() {
            return Ok(None);
        }
        let decision = Decision { status: VerificationStatus::SessionTokenInvalid, change: None };
        Ok(Some(Attempt { decision, record: None, wrong_codes_before: 0, judged_at: now }))
    }

    /// Returns how many wrong codes a number may have before no more codes are compared; None if that doesn't matter.
    fn most_wrong_codes(&self) -> Option<u32> {
        self.max_wrong_codes.filter(|_| !self.ignores_limits)
    }

    fn has_too_many_wrong_codes(&self, wrong_codes: u32) -> bool {
        self.most_wrong_codes().is_some_and(|most| wrong_codes >= most)
    }

    fn is_locked(&self, record: &SmsVerification) -> bool {
        record.failed_attempts >= self.max_failed_attempts
    }

    fn is_used(&self, record: &SmsVerification) -> bool {
        record.is_verified && self.only_once
    }

    /// Returns how many wrong codes may follow `attempt`, or None if there is no record.
    pub fn attempts_left(&self, attempt: &Attempt) -> Option<u32> {
        let of_record = self.max_failed_attempts.saturating_sub(attempt.failed_attempts()?);
        let of_number =
            self.most_wrong_codes().map(|most| most.saturating_sub(attempt.wrong_codes_after()));
        Some(of_number.map_or(of_record, |left| left.min(of_record)))
    }

    /// Returns whether no code is compared after `attempt` because the number has had too many wrong ones.
    pub fn is_limited(&self, attempt: &Attempt) -> bool {
        attempt.record.is_some() && self.has_too_many_wrong_codes(attempt.wrong_codes_after())
    }

    /// Returns whether the code of `attempt` was wrong and its record's own code would be valid.
    pub fn may_try_again(&self, attempt: &Attempt) -> bool {
        let is_live = |record: &SmsVerification| {
            !record.is_expired(self.code_lifetime, attempt.judged_at) && !self.is_used(record)
        };
        attempt.decision.status == VerificationStatus::SecurityCodeInvalid
            && self.attempts_left(attempt) > Some(0)
            && attempt.record.as_ref().is_some_and(is_live)
    }

    /// Returns when an SMS with another code began its way to the number, if the person may be reading that one in place of the
    /// one that `attempt` was about: it is the older one, and its code would live on.
    ///
    /// # Errors
    /// Returns an error if the database can't be read.
    pub fn earlier_sms(
        &self,
        store: &mut dyn Store,
        attempt: &Attempt,
    ) -> Result<Option<DateTime<Utc>>, StoreError> {
        let Some(record) = &attempt.record else { return Ok(None) };
        let life = Period::last(self.code_lifetime, attempt.judged_at);
        let may_be_read = |delivery: &Delivery| {
            let (created_at, state) = (delivery.created_at, delivery.outcome.state);
            delivery.verification_id != record.id
                && created_at < record.created_at
                && life.contains(created_at)
                && state.may_have_been_accepted()
                && state != DeliveryState::Undelivered
        };
        let numbers = vec![record.phone_number.clone().into()];
        let filter = DeliveryFilter { numbers, ..DeliveryFilter::default() };
        let deliveries = store.newest_deliveries(&filter, MOST_EARLIER)?;
        let earlier = deliveries.into_iter().flatten().find(may_be_read);
        Ok(earlier.map(|delivery| delivery.created_at))
    }

    /// Decides on a typed code. But for the limit of wrong codes, the order is that of django-phone-verify's
    /// `validate_security_code`.
    fn decide(
        &self,
        typed: &TypedCode,
        Evidence { record, wrong_codes }: Evidence<'_>,
        now: DateTime<Utc>,
    ) -> Decision {
        use RecordChange::{FailedAttempt, Verified, WrongCode};
        use VerificationStatus::*;
        let is_sandbox_token =
            self.sandbox_token.as_ref().is_some_and(|token| token.matches(typed));
        let (status, change) = match record {
            None if is_sandbox_token => (SecurityCodeValid, None),
            None => (SessionTokenInvalid, None),
            Some(record) if self.is_locked(record) => (SecurityCodeTooManyAttempts, None),
            Some(_) if self.has_too_many_wrong_codes(wrong_codes) => {
                (SecurityCodeTooManyAttempts, None)
            }
            Some(_) if is_sandbox_token => (SecurityCodeValid, Some(Verified)),
            Some(record) if !record.security_code.matches(typed) => {
                let change = if self.max_wrong_codes.is_some() { WrongCode } else { FailedAttempt };
                (SecurityCodeInvalid, Some(change))
            }
            Some(record) if record.is_expired(self.code_lifetime, now) => {
                (SecurityCodeExpired, Some(FailedAttempt))
            }
            Some(record) if self.is_used(record) => (SecurityCodeVerified, Some(FailedAttempt)),
            Some(_) => (SecurityCodeValid, Some(Verified)),
        };
        Decision { status, change }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::model::SessionToken;

    fn code(text: &str) -> SecurityCode {
        SecurityCode::from_stored(text.to_owned())
    }

    fn record(failed_attempts: u32, is_verified: bool, age: TimeDelta) -> SmsVerification {
        let created_at = now() - age;
        SmsVerification {
            id: Uuid::nil(),
            phone_number: PhoneNumber::from_stored("+14155552671".into()),
            security_code: code("123456"),
            session_token: SessionToken::from_stored("token".into()),
            is_verified,
            failed_attempts,
            created_at,
            modified_at: created_at,
        }
    }

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    fn rules(sandbox_token: Option<SecurityCode>) -> Rules {
        Rules {
            sandbox_token,
            max_failed_attempts: 5,
            code_lifetime: TimeDelta::seconds(600),
            only_once: true,
            max_wrong_codes: Some(3),
            ignores_limits: false,
        }
    }

    #[track_caller]
    fn check(
        rules: &Rules,
        typed: &str,
        record: Option<SmsVerification>,
        status: VerificationStatus,
        change: Option<RecordChange>,
    ) {
        check_after(0, rules, typed, record, status, change);
    }

    #[track_caller]
    fn check_after(
        wrong_codes: u32,
        rules: &Rules,
        typed: &str,
        record: Option<SmsVerification>,
        status: VerificationStatus,
        change: Option<RecordChange>,
    ) {
        let evidence = Evidence { record: record.as_ref(), wrong_codes };
        let decision = rules.decide(&TypedCode::parse(typed).unwrap(), evidence, now());
        assert_eq!(decision, Decision { status, change });
    }

    #[test]
    fn the_rules_apply_in_their_order() {
        use RecordChange::{FailedAttempt, Verified, WrongCode};
        use VerificationStatus::*;
        let rules = rules(None);
        let (fresh, old) = (TimeDelta::seconds(600), TimeDelta::microseconds(600_000_001));
        check(&rules, "123456", None, SessionTokenInvalid, None);
        check(&rules, "000000", Some(record(5, true, old)), SecurityCodeTooManyAttempts, None);
        check(&rules, "123456", Some(record(5, false, fresh)), SecurityCodeTooManyAttempts, None);
        check(&rules, "000000", Some(record(4, true, old)), SecurityCodeInvalid, Some(WrongCode));
        check(
            &rules,
            "123456",
            Some(record(4, true, old)),
            SecurityCodeExpired,
            Some(FailedAttempt),
        );
        check(
            &rules,
            "123456",
            Some(record(4, true, fresh)),
            SecurityCodeVerified,
            Some(FailedAttempt),
        );
        check(&rules, "123456", Some(record(4, false, fresh)), SecurityCodeValid, Some(Verified));
    }

    #[test]
    fn a_record_from_the_future_counts_as_expired() {
        let seconds = TimeDelta::seconds(-60);
        let micros = seconds - TimeDelta::microseconds(1);
        let verified = Some(RecordChange::Verified);
        let failed = Some(RecordChange::FailedAttempt);
        for (age, status, change) in [
            (seconds, VerificationStatus::SecurityCodeValid, verified),
            (micros, VerificationStatus::SecurityCodeExpired, failed),
        ] {
            check(&rules(None), "123456", Some(record(0, false, age)), status, change);
        }
    }

    #[test]
    fn no_code_is_compared_once_its_number_has_had_too_many_wrong_ones() {
        use RecordChange::{FailedAttempt, Verified, WrongCode};
        use VerificationStatus::*;
        let limited = || rules(Some(code("999999")));
        let ignoring = || Rules { ignores_limits: true, ..limited() };
        let unlimited = || Rules { max_wrong_codes: None, ..limited() };
        let too_many = (SecurityCodeTooManyAttempts, None);
        for (rules, wrong_codes, typed, failed_attempts, (status, change)) in [
            (limited(), 2, "000000", 0, (SecurityCodeInvalid, Some(WrongCode))),
            (limited(), 3, "000000", 0, too_many),
            (limited(), 3, "123456", 0, too_many),
            (limited(), 3, "999999", 0, too_many),
            (ignoring(), 3, "000000", 0, (SecurityCodeInvalid, Some(WrongCode))),
            (ignoring(), 3, "123456", 0, (SecurityCodeValid, Some(Verified))),
            (ignoring(), 3, "123456", 5, too_many),
            (unlimited(), 3, "000000", 0, (SecurityCodeInvalid, Some(FailedAttempt))),
        ] {
            let record = Some(record(failed_attempts, false, TimeDelta::zero()));
            check_after(wrong_codes, &rules, typed, record, status, change);
        }
        check_after(3, &limited(), "123456", None, SessionTokenInvalid, None);
    }

    #[test]
    fn a_code_may_be_verified_again_if_that_is_allowed() {
        let rules = Rules { only_once: false, ..rules(None) };
        let again = Some(record(0, true, TimeDelta::zero()));
        check(
            &rules,
            "123456",
            again,
            VerificationStatus::SecurityCodeValid,
            Some(RecordChange::Verified),
        );
    }

    #[test]
    fn a_sandbox_token_is_valid_for_all_but_a_locked_record() {
        use VerificationStatus::*;
        let rules = rules(Some(code("999999")));
        let old = TimeDelta::days(1);
        check(&rules, "999999", None, SecurityCodeValid, None);
        check(&rules, "۹۹۹-۹۹۹", None, SecurityCodeValid, None);
        check(&rules, "999999", Some(record(5, false, old)), SecurityCodeTooManyAttempts, None);
        check(
            &rules,
            "999999",
            Some(record(4, true, old)),
            SecurityCodeValid,
            Some(RecordChange::Verified),
        );
        check(&rules, "000000", None, SessionTokenInvalid, None);
    }
}
