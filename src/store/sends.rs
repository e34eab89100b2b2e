//! The steps of a send, and the rule that decides which sends may start.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::model::{
    DeliveryOutcome, DeliveryState, PhoneNumber, SecurityCode, SessionToken, expires_at, latest,
};

/// One step of a send.
#[derive(Debug, Clone)]
pub enum SendStep {
    /// Store a new record and its delivery, before the SMS leaves.
    Start(NewSend),
    /// Check that the code of a send counts.
    Check {
        /// The send.
        send: StartedSend,
        /// Whether it has left already. Then its code counts as long as the record is there.
        has_left: bool,
    },
    /// Start a delivery through another backend, because the first one didn't accept the SMS. If the code has lapsed, the send
    /// ends instead.
    HandOver {
        /// The send.
        send: StartedSend,
        /// What the first backend answered.
        outcome: DeliveryOutcome,
        /// How often it was called.
        tries: u32,
        /// The name of the other backend.
        backend: Arc<str>,
    },
    /// End the send. If the SMS was accepted, delete the number's older records; if it certainly wasn't, delete the new one.
    Settle {
        /// The send.
        send: StartedSend,
        /// What the backend answered.
        outcome: DeliveryOutcome,
        /// How often it was called.
        tries: u32,
    },
    /// Store what the provider reported later about a delivery. Its message id stays, and so does a state that is final.
    Update {
        /// The delivery's id in the ledger.
        delivery_id: i64,
        /// What the provider reported.
        outcome: DeliveryOutcome,
    },
}

impl SendStep {
    /// Returns the send that the step starts, if it does.
    pub(super) fn start(&self) -> Option<&NewSend> {
        match self {
            Self::Start(send) => Some(send),
            _ => None,
        }
    }

    /// Returns whether the step changes nothing.
    pub(super) fn is_check(&self) -> bool {
        matches!(self, Self::Check { .. })
    }

    /// Returns whether the step stores what a provider said about an SMS.
    pub(super) fn is_outcome(&self) -> bool {
        matches!(self, Self::HandOver { .. } | Self::Settle { .. } | Self::Update { .. })
    }
}

/// A send that isn't stored yet.
#[derive(Debug, Clone)]
pub struct NewSend {
    /// The record's UUID, version 4.
    pub verification_id: Uuid,
    /// Where the code goes.
    pub phone_number: PhoneNumber,
    /// The code.
    pub security_code: SecurityCode,
    /// The token of the device that asked for it.
    pub session_token: SessionToken,
    /// How long the code is valid.
    pub code_lifetime: TimeDelta,
    /// The name of the backend that will be called.
    pub backend: Arc<str>,
    /// The segments of the message.
    pub segments: u32,
    /// The language of the message; None for the default message.
    pub language: Option<Arc<str>>,
}

impl NewSend {
    /// Returns this send once it is stored: its record since `created_at`, and the delivery that was allowed at `allowed_at`.
    pub(super) fn started(
        &self,
        created_at: DateTime<Utc>,
        delivery_id: i64,
        allowed_at: DateTime<Utc>,
    ) -> StartedSend {
        StartedSend {
            verification_id: self.verification_id,
            phone_number: self.phone_number.clone(),
            segments: self.segments,
            language: self.language.clone(),
            created_at,
            expires_at: expires_at(created_at, self.code_lifetime),
            delivery_id,
            allowed_at,
        }
    }
}

/// A send that is stored, so that its SMS may leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartedSend {
    /// The record's UUID.
    pub verification_id: Uuid,
    /// Where its code goes.
    pub phone_number: PhoneNumber,
    /// The segments of the message.
    pub segments: u32,
    /// The language of the message; None for the default message.
    pub language: Option<Arc<str>>,
    /// When the record was stored.
    pub created_at: DateTime<Utc>,
    /// The last moment at which the code is valid.
    pub expires_at: DateTime<Utc>,
    /// The delivery's id in the ledger.
    pub delivery_id: i64,
    /// When it was stored that the backend may be called.
    pub allowed_at: DateTime<Utc>,
}

impl StartedSend {
    /// Returns the latest time that isn't from the future. The record isn't, though the clock may have gone back since.
    pub(super) fn latest(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        latest(now.max(self.created_at))
    }

    /// Returns why the code doesn't count any more at `now`, if so. `is_stored` says whether the record is there, `has_newer` whether
    /// its number has a newer one.
    pub(super) fn lapse(
        &self,
        is_stored: bool,
        has_newer: bool,
        now: DateTime<Utc>,
    ) -> Option<Lapse> {
        if has_newer {
            Some(Lapse::Superseded)
        } else if now > self.expires_at {
            Some(Lapse::Expired)
        } else {
            (!is_stored).then_some(Lapse::Erased)
        }
    }
}

/// The reply to a step of a send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SendReply {
    /// The send is stored, so the backend may be called.
    Started(StartedSend),
    /// The send may not start, and nothing was written.
    Refused(Refusal),
    /// The code of the send has lapsed. An SMS that hasn't left may not leave, and one that has left holds a code that doesn't
    /// work.
    Lapsed(Lapse),
    /// The step is done.
    Done,
}

/// Why the code of a send doesn't count any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lapse {
    /// The number has a newer record.
    Superseded,
    /// Its record is gone.
    Erased,
    /// It has expired.
    Expired,
}

/// Why a send may not start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// A provider has already accepted an unexpired code for this number.
    AlreadySent,
    /// A provider may have accepted an unexpired code for this number.
    UnknownOutcome,
    /// A limit forbids it.
    Limited {
        /// Which limit, in words.
        reason: String,
        /// When the send may start, or None if waiting doesn't help.
        retry_at: Option<DateTime<Utc>>,
    },
}

/// The rule that decides which sends may start, and what it needs to know about earlier sends. An engine looks that up for a
/// whole group of starts, in the transaction that stores them. By default, every send may start, and the engine looks nothing
/// up.
#[derive(Default)]
pub struct Admission {
    /// How far it looks back at the sends to a number.
    pub looks_back: Option<TimeDelta>,
    /// A window over the sends to all numbers.
    pub window: Option<Window>,
    /// The rule.
    pub judge: Option<Box<JudgeSend>>,
    /// A backend without limits: a send that starts through it isn't judged, and none of its deliveries counts for others.
    pub unlimited: &'static str,
}

/// Returns why a send may not start at a given time, or None if it may. It has to be pure, because an engine may call it again.
pub type JudgeSend = dyn Fn(&SendHistory<'_>, DateTime<Utc>) -> Option<Refusal> + Send;

/// A window of time with a limited number of sends.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// How many sends fit into it.
    pub most: u32,
    /// How long it is.
    pub length: TimeDelta,
}

/// The sends before the one that is judged.
#[derive(Debug, Clone, Copy)]
pub struct SendHistory<'a> {
    /// The deliveries to its number as far as the rule looks back, newest first.
    pub to_number: &'a [PastDelivery],
    /// When the oldest delivery in the window over all numbers was created, if the window is full.
    pub full_since: Option<DateTime<Utc>>,
}

/// A delivery, as far as a rule needs it.
#[derive(Debug, Clone, Copy)]
pub struct PastDelivery {
    /// When it was created, or None if the row is damaged.
    pub created_at: Option<DateTime<Utc>>,
    /// How far it has come.
    pub state: DeliveryState,
}

/// What an engine has looked up for a group of starts. A start counts for the starts after it.
#[derive(Debug)]
pub struct GroupHistory {
    /// How many starts the group may have.
    pub(super) starts: u32,
    /// The deliveries to each number, newest first.
    pub(super) to_number: HashMap<PhoneNumber, Vec<PastDelivery>>,
    /// What fills the window over all numbers; nothing unless it's looked up.
    pub(super) window: Option<FilledWindow>,
}

/// What fills a window over all numbers.
#[derive(Debug)]
pub(super) struct FilledWindow {
    /// How many more sends fit into it.
    pub(super) room: usize,
    /// The oldest deliveries that fill it, oldest first: as many as the group may have starts.
    pub(super) oldest: VecDeque<DateTime<Utc>>,
}

impl FilledWindow {
    /// Returns the window that the deliveries `found`, newest first, fill. `wanted` is how many of them were looked up at most.
    pub(super) fn new(wanted: u32, found: impl DoubleEndedIterator<Item = DateTime<Utc>>) -> Self {
        let oldest: VecDeque<_> = found.rev().collect();
        Self { room: (wanted as usize).saturating_sub(oldest.len()), oldest }
    }
}

impl GroupHistory {
    /// Returns a history of nothing, for a group of at most so many starts.
    pub fn new(starts: u32) -> Self {
        Self { starts, to_number: HashMap::new(), window: None }
    }

    /// Returns why a send to `number` may not start at `now`. If it may, it counts from now on. The engine has looked up what
    /// `admission` needs to know about the number.
    pub fn judge(
        &mut self,
        admission: &Admission,
        number: &PhoneNumber,
        now: DateTime<Utc>,
    ) -> Option<Refusal> {
        let judge = admission.judge.as_ref()?;
        let full_since = admission.window.and_then(|Window { most, length }| {
            let empty = || FilledWindow::new(most.min(self.starts), std::iter::empty());
            let filled = self.window.get_or_insert_with(empty);
            let oldest = *filled.oldest.front()?;
            (filled.room == 0 && now - oldest < length).then_some(oldest)
        });
        let to_number = self.to_number.get(number).map_or(&[][..], Vec::as_slice);
        let refusal = judge(&SendHistory { to_number, full_since }, now);
        if refusal.is_none() {
            let started = PastDelivery { created_at: Some(now), state: DeliveryState::Sending };
            if let Some(to_number) = self.to_number.get_mut(number) {
                to_number.insert(0, started);
            }
            if let Some(FilledWindow { room, oldest }) = &mut self.window {
                oldest.push_back(now);
                match room.checked_sub(1) {
                    Some(left) => *room = left,
                    None => drop(oldest.pop_front()),
                }
            }
        }
        refusal
    }

    /// Forgets the deliveries to `number`, to which no other start of the group goes.
    pub fn forget(&mut self, number: &PhoneNumber) {
        self.to_number.remove(number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_window_has_room_from_the_moment_that_its_refusal_names() {
        let number = PhoneNumber::from_stored("+14155552671".to_owned());
        let length = TimeDelta::hours(1);
        let judge = move |history: &SendHistory<'_>, _| {
            let retry_at = history.full_since.map(|since| since + length);
            retry_at.map(|_| Refusal::Limited { reason: String::new(), retry_at })
        };
        let admission = Admission {
            window: Some(Window { most: 1, length }),
            judge: Some(Box::new(judge)),
            ..Admission::default()
        };
        let mut history = GroupHistory::new(9);
        let start = DateTime::UNIX_EPOCH;
        assert_eq!(history.judge(&admission, &number, start), None);
        let almost = start + length - TimeDelta::microseconds(1);
        let refusal = history.judge(&admission, &number, almost);
        let retry_at = Some(start + length);
        assert_eq!(refusal, Some(Refusal::Limited { reason: String::new(), retry_at }));
        assert_eq!(history.judge(&admission, &number, start + length), None);
    }
}
