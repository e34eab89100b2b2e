//! The rules for verifying a security code.

use chrono::{DateTime, TimeDelta, Utc};

use crate::model::{PhoneNumber, SecurityCode, SmsVerification, TypedCode, VerificationStatus};
use crate::settings::Settings;
use crate::store::{Attempt, Decision, RecordChange, Session, Store, StoreError};

/// The rules that decide on a code.
#[derive(Debug)]
pub struct Rules<'a> {
    /// The code that a sandbox accepts for any number.
    pub sandbox_token: Option<&'a SecurityCode>,
    /// How many failed attempts lock a record.
    pub max_failed_attempts: u32,
    /// How long a code is valid.
    pub code_lifetime: TimeDelta,
    /// Whether a code works only once.
    pub only_once: bool,
}

impl<'a> Rules<'a> {
    /// Returns the rules of the settings.
    pub fn from_settings(settings: &'a Settings) -> Self {
        Self {
            sandbox_token: settings.backend.sandbox_token(),
            max_failed_attempts: settings.max_failed_attempts,
            code_lifetime: settings.code_lifetime,
            only_once: settings.verify_only_once,
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
        session: &Session,
        typed: &TypedCode,
    ) -> Result<Attempt, StoreError> {
        let judge = |record: Option<&SmsVerification>, now| self.decide(typed, record, now);
        store.verify(phone_number, session, &judge)
    }

    /// Decides on a typed code. The order is that of django-phone-verify's `validate_security_code`.
    fn decide(
        &self,
        typed: &TypedCode,
        record: Option<&SmsVerification>,
        now: DateTime<Utc>,
    ) -> Decision {
        use RecordChange::{FailedAttempt, Verified};
        use VerificationStatus::*;
        let is_sandbox_token = self.sandbox_token.is_some_and(|token| token.matches(typed));
        let (status, change) = match record {
            None if is_sandbox_token => (SecurityCodeValid, None),
            None => (SessionTokenInvalid, None),
            Some(record) if record.failed_attempts >= self.max_failed_attempts => {
                (SecurityCodeTooManyAttempts, None)
            }
            Some(_) if is_sandbox_token => (SecurityCodeValid, Some(Verified)),
            Some(record) if !record.security_code.matches(typed) => {
                (SecurityCodeInvalid, Some(FailedAttempt))
            }
            Some(record) if record.is_expired(self.code_lifetime, now) => {
                (SecurityCodeExpired, Some(FailedAttempt))
            }
            Some(record) if record.is_verified && self.only_once => {
                (SecurityCodeVerified, Some(FailedAttempt))
            }
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

    fn rules(sandbox_token: Option<&SecurityCode>) -> Rules<'_> {
        Rules {
            sandbox_token,
            max_failed_attempts: 5,
            code_lifetime: TimeDelta::seconds(600),
            only_once: true,
        }
    }

    #[track_caller]
    fn check(
        rules: &Rules<'_>,
        typed: &str,
        record: Option<SmsVerification>,
        status: VerificationStatus,
        change: Option<RecordChange>,
    ) {
        let typed = TypedCode::parse(typed).unwrap();
        let decision = rules.decide(&typed, record.as_ref(), now());
        assert_eq!(decision, Decision { status, change });
    }

    #[test]
    fn the_rules_apply_in_their_order() {
        use RecordChange::{FailedAttempt, Verified};
        use VerificationStatus::*;
        let rules = rules(None);
        let (fresh, old) = (TimeDelta::seconds(600), TimeDelta::microseconds(600_000_001));
        check(&rules, "123456", None, SessionTokenInvalid, None);
        check(&rules, "000000", Some(record(5, true, old)), SecurityCodeTooManyAttempts, None);
        check(&rules, "123456", Some(record(5, false, fresh)), SecurityCodeTooManyAttempts, None);
        check(
            &rules,
            "000000",
            Some(record(4, true, old)),
            SecurityCodeInvalid,
            Some(FailedAttempt),
        );
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
        let token = code("999999");
        let rules = rules(Some(&token));
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
