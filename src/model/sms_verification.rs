//! One row of the table `sms_verification`.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::period::LAST_TIME;
use super::{DeliveryState, Period, PhoneNumber, SecurityCode, SessionToken};

/// A security code that was sent to a number, and the state of its verification.
#[derive(Debug, Clone)]
pub struct SmsVerification {
    /// The record's UUID, version 4.
    pub id: Uuid,
    /// The number that the code went to.
    pub phone_number: PhoneNumber,
    /// The code.
    pub security_code: SecurityCode,
    /// The token of the device that asked for the code.
    pub session_token: SessionToken,
    /// Whether the right code came back.
    pub is_verified: bool,
    /// Wrong codes since the last right one.
    pub failed_attempts: u32,
    /// When the code was made.
    pub created_at: DateTime<Utc>,
    /// When the record last changed.
    pub modified_at: DateTime<Utc>,
}

impl SmsVerification {
    /// Returns the last moment at which the code is accepted if codes live for `lifetime`.
    pub fn expires_at(&self, lifetime: TimeDelta) -> DateTime<Utc> {
        expires_at(self.created_at, lifetime)
    }

    /// Returns whether the code has expired at `now` if codes live for `lifetime`. That of a record from the future has.
    pub fn is_expired(&self, lifetime: TimeDelta, now: DateTime<Utc>) -> bool {
        !Period::last(lifetime, now).contains(self.created_at)
    }
}

/// A record, and what other rows say about it.
#[derive(Debug, Clone)]
pub struct ListedRecord {
    /// The record.
    pub record: SmsVerification,
    /// Whether its number has a newer record that isn't from the future, if that was looked up.
    pub is_superseded: bool,
    /// The state of its newest delivery, if the ledger has one and it was looked up.
    pub delivery: Option<DeliveryState>,
}

/// Returns the last moment at which a code is accepted that was created at `created_at` and lives for `lifetime`.
pub fn expires_at(created_at: DateTime<Utc>, lifetime: TimeDelta) -> DateTime<Utc> {
    let expires_at = created_at.checked_add_signed(lifetime);
    expires_at.map_or(LAST_TIME, |expires_at| expires_at.min(LAST_TIME))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::timestamp::{from_stored, to_rfc3339};

    #[test]
    fn a_code_expires_at_a_time_that_rfc_3339_can_write() {
        for (created_at, expected) in [
            ("2026-11-23 23:59:59.999999", "2026-11-24T00:09:59.999999Z"),
            ("9999-12-31 23:59:59.999999", "9999-12-31T23:59:59.999999Z"),
        ] {
            let created_at = from_stored(created_at).expect("a time");
            let expires_at = expires_at(created_at, TimeDelta::seconds(600));
            assert_eq!(to_rfc3339(expires_at), expected);
        }
    }
}
