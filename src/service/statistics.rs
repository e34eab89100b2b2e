//! The rules for what the ledger says in figures.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

use super::pumping::{Prefixes, PumpedPrefix};
use crate::backends::{Cause, explain};
use crate::model::{Delivery, DeliveryState, Region, latest};

/// What deliveries are grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Grouping {
    /// The day in UTC on which they began
    Day,
    /// The region of the number
    Region,
    /// The backend
    Backend,
    /// The language of the message
    Language,
}

/// The deliveries that have this in common.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Group {
    /// The day in UTC on which they began.
    Day(NaiveDate),
    /// The region of the number; None if it has none or can't be read.
    Region(Option<Region>),
    /// The canonical name of the backend.
    Backend(String),
    /// The language of the message; None for the default message.
    Language(Option<String>),
}

impl Group {
    fn of(delivery: &Delivery, grouping: Grouping) -> Self {
        match grouping {
            Grouping::Day => Self::Day(delivery.created_at.date_naive()),
            Grouping::Region => Self::Region(delivery.phone_number.region()),
            Grouping::Backend => Self::Backend(delivery.backend.clone()),
            Grouping::Language => Self::Language(delivery.language.clone()),
        }
    }

    /// Returns the name of the group, if it has one.
    pub fn name(&self) -> Option<String> {
        match self {
            Self::Day(day) => Some(day.to_string()),
            Self::Region(region) => region.map(|region| region.to_string()),
            Self::Backend(name) => Some(name.clone()),
            Self::Language(tag) => tag.clone(),
        }
    }
}

/// What became of some deliveries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Those that were sent.
    pub sent: u64,
    /// Those that arrived, by the provider's report.
    pub delivered: u64,
    /// Those that didn't arrive, by the provider's report.
    pub undelivered: u64,
    /// Those whose code was verified.
    pub verified: u64,
    /// Those that may or may not have been sent.
    pub unknown: u64,
    /// The segments of those that were sent.
    pub segments: u64,
    /// Those that failed, by the cause, if it is known.
    pub failed: BTreeMap<Option<Cause>, u64>,
}

impl Counts {
    fn add(&mut self, delivery: &Delivery) {
        let outcome = &delivery.outcome;
        let is_verified = delivery.verified_at.is_some();
        if was_sent(delivery) {
            self.sent += 1;
            self.segments += u64::from(delivery.segments);
            self.verified += u64::from(is_verified);
        }
        self.delivered += u64::from(outcome.state == DeliveryState::Delivered);
        self.undelivered += u64::from(outcome.state == DeliveryState::Undelivered);
        self.unknown += u64::from(outcome.state.is_unknown() && !is_verified);
        if outcome.state.has_failed() {
            let cause = explain(&delivery.backend, outcome.error_code.as_deref(), None).cause;
            *self.failed.entry(cause).or_default() += 1;
        }
    }

    /// Returns how many failed, whatever the cause.
    pub fn all_failed(&self) -> u64 {
        self.failed.values().sum()
    }

    /// Returns the share that arrived of those of which it is known whether they did; None if it is of none.
    pub fn delivery_rate(&self) -> Option<f64> {
        share(self.delivered, self.delivered + self.undelivered)
    }

    /// Returns the share that was verified of those that were sent; None if none was.
    pub fn conversion(&self) -> Option<f64> {
        share(self.verified, self.sent)
    }
}

/// Returns whether a message was sent. If its code was verified, it evidently arrived, whatever the provider answered.
fn was_sent(delivery: &Delivery) -> bool {
    let state = delivery.outcome.state;
    state.was_accepted() || (state.is_unknown() && delivery.verified_at.is_some())
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// The ledger in figures. It takes the deliveries one by one and keeps none of them.
pub struct Statistics {
    grouping: Grouping,
    /// Deliveries that began later are from the future.
    latest: DateTime<Utc>,
    total: Counts,
    groups: HashMap<Group, Counts>,
    prefixes: Prefixes,
}

impl Statistics {
    /// Returns statistics without a delivery, as seen from `now`.
    pub fn new(grouping: Grouping, code_lifetime: TimeDelta, now: DateTime<Utc>) -> Self {
        Self {
            grouping,
            latest: latest(now),
            total: Counts::default(),
            groups: HashMap::new(),
            prefixes: Prefixes::new(code_lifetime, now),
        }
    }

    /// Counts a delivery, unless it is from the future.
    pub fn add(&mut self, delivery: &Delivery) {
        if delivery.created_at > self.latest {
            return;
        }
        self.total.add(delivery);
        self.groups.entry(Group::of(delivery, self.grouping)).or_default().add(delivery);
        if was_sent(delivery) {
            let is_verified = delivery.verified_at.is_some();
            self.prefixes.add(&delivery.phone_number, delivery.created_at, is_verified);
        }
    }

    /// Returns what all deliveries together come to.
    pub fn total(&self) -> &Counts {
        &self.total
    }

    /// Returns the groups: days in their order, others with the most sent first.
    pub fn into_groups(self) -> Vec<(Group, Counts)> {
        let mut groups: Vec<_> = self.groups.into_iter().collect();
        groups.sort_by_cached_key(|(group, counts)| match group {
            Group::Day(_) => (0, group.name()),
            _ => (u64::MAX - counts.sent, group.name()),
        });
        groups
    }

    /// Returns the prefixes that look as if they were pumped, those with the most messages first.
    pub fn pumped(&self) -> Vec<PumpedPrefix> {
        self.prefixes.pumped()
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::model::{DeliveryOutcome, PhoneNumber};

    const HOUR: TimeDelta = TimeDelta::hours(1);

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    /// Returns an accepted delivery to `phone_number`, two hours ago.
    fn delivery(phone_number: &str, is_verified: bool) -> Delivery {
        let created_at = now() - HOUR * 2;
        Delivery {
            id: 1,
            verification_id: Uuid::nil(),
            phone_number: PhoneNumber::from_stored(phone_number.to_owned()),
            backend: "twilio".to_owned(),
            outcome: DeliveryOutcome {
                state: DeliveryState::Accepted,
                message_id: None,
                error_code: None,
                error_message: None,
            },
            segments: 2,
            tries: 1,
            language: None,
            verified_at: is_verified.then_some(created_at),
            created_at,
            updated_at: created_at,
        }
    }

    fn statistics(deliveries: &[Delivery]) -> Statistics {
        let mut statistics = Statistics::new(Grouping::Day, HOUR, now());
        deliveries.iter().for_each(|delivery| statistics.add(delivery));
        statistics
    }

    #[test]
    fn each_state_counts_as_what_it_says() {
        use DeliveryState::*;
        for (state, code, is_verified, [sent, delivered, undelivered, verified, unknown], failed) in [
            (Accepted, None, false, [1, 0, 0, 0, 0], None),
            (Accepted, None, true, [1, 0, 0, 1, 0], None),
            (Delivered, None, true, [1, 1, 0, 1, 0], None),
            (Undelivered, Some("30006"), false, [1, 0, 1, 0, 0], Some(Some(Cause::Number))),
            (Undelivered, None, true, [1, 0, 1, 1, 0], Some(None)),
            (Rejected, Some("20003"), false, [0; 5], Some(Some(Cause::Account))),
            (Rejected, Some("no code"), false, [0; 5], Some(None)),
            (Unavailable, Some("429"), false, [0; 5], Some(Some(Cause::Temporary))),
            (Unknown, Some("30006"), false, [0, 0, 0, 0, 1], None),
            (Sending, None, false, [0, 0, 0, 0, 1], None),
            (Unknown, None, true, [1, 0, 0, 1, 0], None),
        ] {
            let mut delivery = delivery("+14155552671", is_verified);
            delivery.outcome.state = state;
            delivery.outcome.error_code = code.map(str::to_owned);
            let failed: BTreeMap<_, _> = failed.into_iter().map(|cause| (cause, 1)).collect();
            let segments = sent * 2;
            let expected =
                Counts { sent, delivered, undelivered, verified, unknown, segments, failed };
            let statistics = statistics(&[delivery]);
            assert_eq!(*statistics.total(), expected, "{state}, {code:?}, {is_verified}");
        }
    }

    #[test]
    fn a_share_of_nothing_is_none() {
        assert_eq!(Counts::default().conversion(), None);
        assert_eq!(Counts { sent: 4, ..Counts::default() }.delivery_rate(), None);
        let counts = Counts { sent: 4, delivered: 2, verified: 1, ..Counts::default() };
        assert_eq!((counts.delivery_rate(), counts.conversion()), (Some(1.0), Some(0.25)));
        let counts = Counts { delivered: 1, undelivered: 3, ..Counts::default() };
        assert_eq!(counts.delivery_rate(), Some(0.25));
    }

    #[test]
    fn days_are_in_their_order_and_other_groups_by_size() {
        let mut deliveries: Vec<_> = (0..6).map(|_| delivery("+14155552671", false)).collect();
        for (index, delivery) in deliveries.iter_mut().enumerate() {
            delivery.created_at -= TimeDelta::days(if index < 2 { 1 } else { 0 });
            delivery.language = [None, Some("de"), Some("fr")][index / 2].map(str::to_owned);
        }
        deliveries.push(delivery("+442079460018", false));
        let mut refused = delivery("+4930123456", false);
        refused.outcome.state = DeliveryState::Rejected;
        deliveries.push(refused);
        let groups = |grouping| {
            let mut statistics = Statistics::new(grouping, HOUR, now());
            deliveries.iter().for_each(|delivery| statistics.add(delivery));
            let groups = statistics.into_groups().into_iter();
            let counted = groups.map(|(group, counts)| (group.name(), counts.sent));
            let text = |(name, sent): (Option<String>, u64)| {
                format!("{} {sent}", name.unwrap_or("null".to_owned()))
            };
            counted.map(text).collect::<Vec<_>>().join(", ")
        };
        assert_eq!(groups(Grouping::Day), "2027-01-14 2, 2027-01-15 5");
        assert_eq!(groups(Grouping::Region), "US 6, GB 1, DE 0");
        assert_eq!(groups(Grouping::Backend), "twilio 7");
        assert_eq!(groups(Grouping::Language), "null 3, de 2, fr 2");
    }

    #[test]
    fn what_is_from_the_future_does_not_count() {
        let at = |seconds| {
            let created_at = now() + TimeDelta::seconds(seconds);
            Delivery { created_at, ..delivery("+14155552671", false) }
        };
        for (seconds, sent) in [(60, 1), (61, 0)] {
            assert_eq!(statistics(&[at(seconds)]).total().sent, sent, "{seconds}");
        }
    }

    /// Returns 20 deliveries to one prefix, and one to another, whose code is verified.
    fn to_one_prefix() -> Vec<Delivery> {
        let numbers = (0..20).map(|n| format!("+120255501{n:02}"));
        let mut deliveries: Vec<_> = numbers.map(|number| delivery(&number, false)).collect();
        deliveries.push(delivery("+14155552671", true));
        deliveries
    }

    #[test]
    fn only_what_was_sent_can_be_pumping() {
        assert_eq!(statistics(&to_one_prefix()).pumped().len(), 1);
        for state in [DeliveryState::Rejected, DeliveryState::Unknown] {
            let mut deliveries = to_one_prefix();
            deliveries[0].outcome.state = state;
            assert_eq!(statistics(&deliveries).pumped(), [], "{state}");
        }
    }
}
