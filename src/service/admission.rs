//! The rules of who may be sent to: the limits of the settings, and what a run that goes on skips.

use chrono::{DateTime, TimeDelta, Utc};

use crate::model::{DeliveryState, PhoneNumber, Region};
use crate::settings::Limits;
use crate::store::{DeliveryHistory, Refusal, StoreError};

/// What decides whether a number may be sent to.
#[derive(Debug, Clone)]
pub struct AdmissionRules {
    /// The limits.
    pub limits: Limits,
    /// What a run that goes on after a stop skips; None where the run is new.
    pub resume: Option<Resume>,
}

/// What a run that goes on skips: numbers whose unexpired code was accepted, or may have been.
#[derive(Debug, Clone, Copy)]
pub struct Resume {
    /// How long a code is valid.
    pub code_lifetime: TimeDelta,
    /// Whether a number of unknown outcome is sent to again.
    pub resends_unknown: bool,
}

impl AdmissionRules {
    /// Returns why a region may not be sent to, if so, which needs no database.
    pub fn refuse_region(&self, region: Region) -> Option<Refusal> {
        let allowed = self.limits.allowed_regions.as_ref()?;
        if allowed.contains(&region) {
            return None;
        }
        let region = region.as_region_str();
        let reason = format!("limits.allowed_regions does not allow the region {region}");
        Some(Refusal::Limited { reason, retry_at: None })
    }

    /// Returns why a send to `phone_number` may not start at `now`; None where it may.
    ///
    /// # Errors
    /// The history can't be read.
    pub fn refuse(
        &self,
        phone_number: &PhoneNumber,
        history: &dyn DeliveryHistory,
        now: DateTime<Utc>,
    ) -> Result<Option<Refusal>, StoreError> {
        if let Some(resume) = self.resume {
            let refusal = resume.refuse(phone_number, history, now)?;
            if refusal.is_some() {
                return Ok(refusal);
            }
        }
        self.refuse_by_limits(phone_number, history, now)
    }

    fn refuse_by_limits(
        &self,
        phone_number: &PhoneNumber,
        history: &dyn DeliveryHistory,
        now: DateTime<Utc>,
    ) -> Result<Option<Refusal>, StoreError> {
        let Limits { resend_cooldown, max_per_number_per_day, max_per_hour, .. } = &self.limits;
        let of_number = Some(phone_number);
        // Each limit: so many within so long. The cooldown is a limit of one.
        let limits = [
            (resend_cooldown.map(|cooldown| (1, cooldown)), of_number, "resend_cooldown_seconds"),
            (
                max_per_number_per_day.map(|most| (most, TimeDelta::days(1))),
                of_number,
                "max_per_number_per_day",
            ),
            (max_per_hour.map(|most| (most, TimeDelta::hours(1))), None, "max_per_hour"),
        ];
        let mut latest = None;
        for (limit, of_number, name) in limits {
            let Some((most, window)) = limit else { continue };
            // The limit is reached where the window holds that many; it opens once the oldest of them leaves it.
            let since = now.checked_sub_signed(window).unwrap_or(DateTime::<Utc>::MIN_UTC);
            if let Some(oldest) = history.nth_newest(of_number, most, since)? {
                latest = latest.max(Some((oldest + window, name)));
            }
        }
        Ok(latest.map(|(retry_at, name)| Refusal::Limited {
            reason: format!("limits.{name} is reached"),
            retry_at: Some(retry_at),
        }))
    }
}

impl Resume {
    fn refuse(
        self,
        phone_number: &PhoneNumber,
        history: &dyn DeliveryHistory,
        now: DateTime<Utc>,
    ) -> Result<Option<Refusal>, StoreError> {
        let since = now.checked_sub_signed(self.code_lifetime).unwrap_or(DateTime::<Utc>::MIN_UTC);
        let states = history.states(phone_number, since)?;
        Ok(if states.iter().any(|state| state.was_accepted()) {
            Some(Refusal::AlreadySent)
        } else if !self.resends_unknown
            && states.iter().any(|state| DeliveryState::is_unknown(*state))
        {
            Some(Refusal::UnknownOutcome)
        } else {
            None
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A history of the deliveries to one number, and how many minutes ago each began.
    struct Past(Vec<(DeliveryState, i64)>);

    impl DeliveryHistory for Past {
        fn nth_newest(
            &self,
            _: Option<&PhoneNumber>,
            n: u32,
            since: DateTime<Utc>,
        ) -> Result<Option<DateTime<Utc>>, StoreError> {
            let mut times: Vec<_> =
                self.0.iter().map(|(_, ago)| now() - TimeDelta::minutes(*ago)).collect();
            times.retain(|time| *time > since);
            times.sort();
            Ok(times.into_iter().rev().nth(n as usize - 1))
        }
        fn states(
            &self,
            _: &PhoneNumber,
            since: DateTime<Utc>,
        ) -> Result<Vec<DeliveryState>, StoreError> {
            let recent = self.0.iter().filter(|(_, ago)| now() - TimeDelta::minutes(*ago) >= since);
            Ok(recent.map(|(state, _)| *state).collect())
        }
    }

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    fn number() -> PhoneNumber {
        PhoneNumber::parse("+14155552671", None).unwrap()
    }

    #[track_caller]
    fn retry_in(limits: &Limits, minutes_ago: &[i64]) -> Option<i64> {
        let past = Past(minutes_ago.iter().map(|ago| (DeliveryState::Accepted, *ago)).collect());
        let rules = AdmissionRules { limits: limits.clone(), resume: None };
        match rules.refuse(&number(), &past, now()).unwrap() {
            None => None,
            Some(Refusal::Limited { retry_at, .. }) => {
                Some((retry_at.unwrap() - now()).num_minutes())
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_limit_opens_once_the_oldest_send_leaves_its_window() {
        let cooldown = Limits { resend_cooldown: Some(TimeDelta::minutes(5)), ..Limits::default() };
        assert_eq!(retry_in(&cooldown, &[]), None);
        assert_eq!(retry_in(&cooldown, &[5]), None);
        assert_eq!(retry_in(&cooldown, &[30, 4]), Some(1));
        let hourly = Limits { max_per_hour: Some(2), ..Limits::default() };
        assert_eq!(retry_in(&hourly, &[10, 60]), None);
        assert_eq!(retry_in(&hourly, &[10, 50, 55]), Some(10));
        let both = Limits { max_per_number_per_day: Some(1), ..cooldown };
        assert_eq!(retry_in(&both, &[4]), Some(24 * 60 - 4));
    }

    #[test]
    fn only_allowed_regions_are_admitted() {
        let rules = |codes: &[&str]| AdmissionRules {
            limits: Limits {
                allowed_regions: Some(
                    codes.iter().filter_map(|code| crate::model::parse_region(code).ok()).collect(),
                ),
                ..Limits::default()
            },
            resume: None,
        };
        let (_, region) = PhoneNumber::parse_with_region("+14155552671", None).unwrap();
        assert_eq!(rules(&["GB", "US"]).refuse_region(region), None);
        let Some(Refusal::Limited { reason, retry_at: None }) =
            rules(&["GB"]).refuse_region(region)
        else {
            panic!()
        };
        assert!(reason.contains("US"), "{reason}");
    }

    #[test]
    fn a_run_that_goes_on_skips_what_was_or_may_have_been_accepted() {
        use DeliveryState::*;
        let refuse = |past: &[(DeliveryState, i64)], resends_unknown| {
            let resume = Resume { code_lifetime: TimeDelta::minutes(10), resends_unknown };
            let rules = AdmissionRules { limits: Limits::default(), resume: Some(resume) };
            rules.refuse(&number(), &Past(past.to_vec()), now()).unwrap()
        };
        assert_eq!(refuse(&[], false), None);
        assert_eq!(refuse(&[(Rejected, 1), (Unavailable, 1)], false), None);
        assert_eq!(refuse(&[(Sending, 1), (Accepted, 2)], false), Some(Refusal::AlreadySent));
        assert_eq!(refuse(&[(Accepted, 11)], false), None);
        assert_eq!(refuse(&[(Sending, 1)], false), Some(Refusal::UnknownOutcome));
        assert_eq!(refuse(&[(Unknown, 10)], false), Some(Refusal::UnknownOutcome));
        assert_eq!(refuse(&[(Unknown, 1), (Sending, 1)], true), None);
        assert_eq!(refuse(&[(Unknown, 1), (Delivered, 1)], true), Some(Refusal::AlreadySent));
    }
}
