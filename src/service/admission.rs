//! The rules for which numbers may be sent to: the limits of the settings, and what `--resume` skips.

use chrono::{DateTime, TimeDelta, Utc};

use super::recipient::Route;
use crate::backends::BackendName;
use crate::model::{DeliveryState, PhoneNumber};
use crate::settings::Limits;
use crate::store::{
    Admission, GroupHistory, PastDelivery, Refusal, SendHistory, Store, StoreError, Window,
};

const DAY: TimeDelta = TimeDelta::days(1);
const HOUR: TimeDelta = TimeDelta::hours(1);

/// The rules for whether a number may be sent to.
#[derive(Debug, Clone)]
pub struct AdmissionRules {
    /// The limits.
    pub limits: Limits,
    /// What `--resume` skips; None without it.
    pub resume: Option<Resume>,
}

/// What `--resume` skips: numbers whose unexpired code was accepted, or may have been.
#[derive(Debug, Clone, Copy)]
pub struct Resume {
    /// How long a code is valid.
    pub code_lifetime: TimeDelta,
    /// With `--resend-unknown`, how long a send may take: what has been `sending` for longer was left behind by a run that has
    /// ended, and its number is sent to again, as one whose outcome is `unknown` is. None without it.
    pub longest_send: Option<TimeDelta>,
}

impl AdmissionRules {
    /// Returns why a number with this route may not be sent to; None if it may. This needs no database.
    pub fn refuse_number(&self, route: &Route) -> Option<Refusal> {
        let Route::Sms { region, number_type } = route else { return None };
        let Limits { allowed_regions, allowed_types, .. } = &self.limits;
        let reason = if allowed_regions.as_ref().is_some_and(|allowed| !allowed.contains(region)) {
            let region = region.as_region_str();
            format!("limits.allowed_regions does not allow the region {region}")
        } else if allowed_types.as_ref().is_some_and(|allowed| !allowed.contains(number_type)) {
            format!("limits.allowed_types does not allow the type {number_type}")
        } else {
            return None;
        };
        Some(Refusal::Limited { reason, retry_at: None })
    }

    /// Returns why nothing may be sent to a number with this route at `now`, as far as `store` knows; None if it may.
    ///
    /// # Errors
    /// Returns an error if the database can't be read.
    pub fn refuse_now(
        &self,
        store: &mut dyn Store,
        phone_number: &PhoneNumber,
        route: &Route,
        now: DateTime<Utc>,
    ) -> Result<Option<Refusal>, StoreError> {
        let refusal = self.refuse_number(route);
        if refusal.is_some() || matches!(route, Route::Test(_)) {
            return Ok(refusal);
        }
        let admission = self.admission();
        let mut history = GroupHistory::new(1);
        store.look_up(&mut history, &admission, phone_number)?;
        Ok(history.judge(&admission, phone_number, now))
    }

    /// Returns the rules that need the ledger, in the form that the store takes.
    pub fn admission(&self) -> Admission {
        let Limits { resend_cooldown, max_per_number_per_day, max_per_hour, .. } = self.limits;
        let lifetime = self.resume.map(|resume| resume.code_lifetime);
        let looks_back = lifetime.max(resend_cooldown).max(max_per_number_per_day.map(|_| DAY));
        let window = max_per_hour.map(|most| Window { most, length: HOUR });
        if looks_back.is_none() && window.is_none() {
            return Admission::default();
        }
        let rules = self.clone();
        let judge = move |history: &SendHistory<'_>, now| rules.refuse(history, now);
        let unlimited = BackendName::TEST;
        Admission { looks_back, window, judge: Some(Box::new(judge)), unlimited }
    }

    /// Returns why a send with this history may not start at `now`; None if it may.
    fn refuse(&self, history: &SendHistory<'_>, now: DateTime<Utc>) -> Option<Refusal> {
        if let Some(refusal) = self.resume.and_then(|resume| resume.refuse(history, now)) {
            return Some(refusal);
        }
        let Limits { resend_cooldown, max_per_number_per_day, .. } = self.limits;
        let counted = history.to_number.iter().filter(|past| past.state.may_have_been_accepted());
        // What another machine's clock dates ahead a little counts as begun now, so that no limit lasts longer than its window.
        let begun = |at: DateTime<Utc>| at.min(now);
        let counted: Vec<_> = counted.filter_map(|past| past.created_at.map(begun)).collect();
        // A limit is reached if that many deliveries are within its window, until the oldest of them leaves it.
        let open_at = |most: u32, window: TimeDelta| {
            let oldest = *counted.get(most as usize - 1)?;
            (now - oldest < window).then(|| oldest + window)
        };
        // The cooldown is a limit of one.
        let reached = [
            (resend_cooldown.and_then(|cooldown| open_at(1, cooldown)), "resend_cooldown_seconds"),
            (max_per_number_per_day.and_then(|most| open_at(most, DAY)), "max_per_number_per_day"),
            (history.full_since.map(|oldest| begun(oldest) + HOUR), "max_per_hour"),
        ];
        let (retry_at, name) = reached.into_iter().filter(|(at, _)| at.is_some()).max()?;
        Some(Refusal::Limited { reason: format!("limits.{name} is reached"), retry_at })
    }
}

impl Resume {
    fn refuse(self, history: &SendHistory<'_>, now: DateTime<Utc>) -> Option<Refusal> {
        let is_unexpired =
            |past: &&PastDelivery| past.created_at.is_none_or(|at| now - at <= self.code_lifetime);
        let mut unexpired = history.to_number.iter().filter(is_unexpired);
        if unexpired.clone().any(|past| past.state.was_accepted()) {
            return Some(Refusal::AlreadySent);
        }
        let is_left_alone = |past: &PastDelivery| match self.longest_send {
            Some(longest) if past.state == DeliveryState::Sending => {
                past.created_at.is_some_and(|at| now - at <= longest)
            }
            Some(_) => false,
            None => past.state.is_unknown(),
        };
        unexpired.any(is_left_alone).then_some(Refusal::UnknownOutcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::NumberType;
    use crate::store::PastDelivery;

    /// Judges a send after these deliveries, newest first, which began so many minutes ago.
    fn refuse(rules: &AdmissionRules, past: &[(DeliveryState, i64)]) -> Option<Refusal> {
        let created_at = |ago| now() - TimeDelta::minutes(ago);
        let to_number: Vec<_> = past
            .iter()
            .map(|(state, ago)| PastDelivery { created_at: Some(created_at(*ago)), state: *state })
            .collect();
        rules.refuse(&SendHistory { to_number: &to_number, full_since: None }, now())
    }

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    #[track_caller]
    fn retry_in(limits: &Limits, minutes_ago: &[i64]) -> Option<i64> {
        let past: Vec<_> = minutes_ago.iter().map(|ago| (DeliveryState::Accepted, *ago)).collect();
        let rules = AdmissionRules { limits: limits.clone(), resume: None };
        match refuse(&rules, &past) {
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
        assert_eq!(retry_in(&cooldown, &[4, 30]), Some(1));
        // The clock of the machine that sent it is ahead.
        assert_eq!(retry_in(&cooldown, &[-1]), Some(5));
        let daily = Limits { max_per_number_per_day: Some(2), ..Limits::default() };
        assert_eq!(retry_in(&daily, &[10, 24 * 60]), None);
        assert_eq!(retry_in(&daily, &[10, 50, 55]), Some(24 * 60 - 50));
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
        let us = crate::model::parse_region("US").unwrap();
        let route = Route::Sms { region: us, number_type: NumberType::Mobile };
        let refuse = |codes: &[&str]| rules(codes).refuse_number(&route);
        assert_eq!(refuse(&["GB", "US"]), None);
        let Some(Refusal::Limited { reason, retry_at: None }) = refuse(&["GB"]) else { panic!() };
        assert!(reason.contains("US"), "{reason}");
    }

    #[test]
    fn only_allowed_types_are_admitted_and_unless_set_those_of_the_reference() {
        use NumberType::*;
        let us = crate::model::parse_region("US").unwrap();
        let refuse = |limits: &Limits, number_type| {
            let rules = AdmissionRules { limits: limits.clone(), resume: None };
            rules.refuse_number(&Route::Sms { region: us, number_type })
        };
        let pagers = Limits { allowed_types: Some(vec![Pager]), ..Limits::default() };
        for (number_type, is_usual) in [
            (Mobile, true),
            (FixedLine, true),
            (FixedLineOrMobile, true),
            (Voip, true),
            (TollFree, true),
            (Personal, true),
            (PremiumRate, false),
            (SharedCost, false),
            (Pager, false),
            (Uan, false),
            (Voicemail, false),
        ] {
            let refusal = (!is_usual).then(|| Refusal::Limited {
                reason: format!("limits.allowed_types does not allow the type {number_type}"),
                retry_at: None,
            });
            assert_eq!(refuse(&Limits::default(), number_type), refusal, "{number_type}");
            assert_eq!(refuse(&Limits::none(), number_type), None, "{number_type}");
            let is_refused = refuse(&pagers, number_type).is_some();
            assert_eq!(is_refused, number_type != Pager, "{number_type}");
        }
    }

    #[test]
    fn a_run_that_goes_on_skips_what_was_or_may_have_been_accepted() {
        use DeliveryState::*;
        let refuse = |past: &[_], resends_unknown: bool| {
            let longest_send = resends_unknown.then_some(TimeDelta::minutes(5));
            let resume = Resume { code_lifetime: TimeDelta::minutes(10), longest_send };
            let rules = AdmissionRules { limits: Limits::default(), resume: Some(resume) };
            super::tests::refuse(&rules, past)
        };
        assert_eq!(refuse(&[], false), None);
        assert_eq!(refuse(&[(Rejected, 1), (Unavailable, 1)], false), None);
        assert_eq!(refuse(&[(Sending, 1), (Accepted, 2)], false), Some(Refusal::AlreadySent));
        assert_eq!(refuse(&[(Accepted, 11)], false), None);
        assert_eq!(refuse(&[(Sending, 1)], false), Some(Refusal::UnknownOutcome));
        assert_eq!(refuse(&[(Unknown, 10)], false), Some(Refusal::UnknownOutcome));
        assert_eq!(refuse(&[(Unknown, 1), (Sending, 6)], true), None);
        // Another run may be at it.
        assert_eq!(refuse(&[(Unknown, 1), (Sending, 5)], true), Some(Refusal::UnknownOutcome));
        assert_eq!(refuse(&[(Unknown, 1), (Delivered, 1)], true), Some(Refusal::AlreadySent));
    }
}
