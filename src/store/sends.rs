//! The steps of a send, and the rule for which sends may start.

use std::collections::{HashMap, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::model::{DeliveryOutcome, DeliveryState, PhoneNumber, SecurityCode, SessionToken};

/// One step of a send.
#[derive(Debug, Clone)]
pub enum SendStep {
    /// Store a new record and its delivery, before the SMS leaves.
    Start(NewSend),
    /// One backend didn't accept the SMS; start a delivery through another one.
    HandOver {
        /// The send.
        send: StartedSend,
        /// What the first backend said.
        outcome: DeliveryOutcome,
        /// How often it was called.
        tries: u32,
        /// The canonical name of the other backend.
        backend: &'static str,
    },
    /// The send is over. If the SMS was accepted, the number's older records go; if it certainly wasn't, the new one goes.
    Settle {
        /// The send.
        send: StartedSend,
        /// What the backend said.
        outcome: DeliveryOutcome,
        /// How often it was called.
        tries: u32,
    },
    /// The provider reported later what became of a delivery. Its message id stays.
    Update {
        /// The delivery's number in the ledger.
        delivery_id: i64,
        /// What the provider reported.
        outcome: DeliveryOutcome,
    },
}

/// A send that is to be stored.
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
    /// The canonical name of the backend that is going to be called.
    pub backend: &'static str,
    /// The segments of the message.
    pub segments: u32,
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
    /// When the record was stored.
    pub created_at: DateTime<Utc>,
    /// The delivery's number in the ledger.
    pub delivery_id: i64,
}

/// The reply to a step of a send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SendReply {
    /// It is stored: the backend may be called.
    Started(StartedSend),
    /// It may not start; nothing was written.
    Refused(Refusal),
    /// It is done.
    Done,
}

/// Why a send may not start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// An unexpired code was accepted for this number already.
    AlreadySent,
    /// An unexpired code may or may not have been accepted for this number.
    UnknownOutcome,
    /// A limit forbids it.
    Limited {
        /// Which limit, in words.
        reason: String,
        /// When it may be sent; None if waiting doesn't help.
        retry_at: Option<DateTime<Utc>>,
    },
}

/// The rule for which sends may start, and what it needs to know about earlier ones. An engine looks that up for a whole group
/// of starts, in the transaction that stores them. By default every send may start, and nothing is looked up.
#[derive(Default)]
pub struct Admission {
    /// How far it looks back at the sends to a number.
    pub looks_back: Option<TimeDelta>,
    /// A window over the sends to all numbers.
    pub window: Option<Window>,
    /// The rule itself.
    pub judge: Option<Box<JudgeSend>>,
}

/// Returns why a send may not start at a moment; None if it may. It has to be pure: an engine may call it again.
pub type JudgeSend = dyn Fn(&SendHistory<'_>, DateTime<Utc>) -> Option<Refusal> + Send;

/// A window of time into which only so many sends fit.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// How many fit into it.
    pub most: u32,
    /// How long it is.
    pub length: TimeDelta,
}

/// The sends before the one that is judged.
#[derive(Debug, Clone, Copy)]
pub struct SendHistory<'a> {
    /// The deliveries to its number as far as the rule looks back, newest first.
    pub to_number: &'a [PastDelivery],
    /// If the window over all numbers is full: when its oldest delivery was created.
    pub full_since: Option<DateTime<Utc>>,
}

/// A delivery, as far as a rule needs it.
#[derive(Debug, Clone, Copy)]
pub struct PastDelivery {
    /// When it was created; None if the row is damaged.
    pub created_at: Option<DateTime<Utc>>,
    /// How far it has come.
    pub state: DeliveryState,
}

/// What an engine has looked up for a group of starts, which count against each other.
#[derive(Default)]
pub(super) struct GroupHistory {
    /// The deliveries to each number, newest first.
    pub(super) to_number: HashMap<PhoneNumber, Vec<PastDelivery>>,
    /// How many more sends fit into the window over all numbers.
    pub(super) room: usize,
    /// The oldest deliveries that fill the window, oldest first: as many as the group has starts.
    pub(super) oldest: VecDeque<DateTime<Utc>>,
}

impl GroupHistory {
    /// Returns why a send to `phone_number` may not start at `now`. If it may, it counts from then on.
    pub(super) fn judge(
        &mut self,
        admission: &Admission,
        phone_number: &PhoneNumber,
        now: DateTime<Utc>,
    ) -> Option<Refusal> {
        let judge = admission.judge.as_ref()?;
        let full_since = admission.window.and_then(|window| {
            let oldest = *self.oldest.front()?;
            (self.room == 0 && now - oldest < window.length).then_some(oldest)
        });
        let to_number = self.to_number.get(phone_number).map_or(&[][..], Vec::as_slice);
        let refusal = judge(&SendHistory { to_number, full_since }, now);
        if refusal.is_none() {
            let started = PastDelivery { created_at: Some(now), state: DeliveryState::Sending };
            if let Some(to_number) = self.to_number.get_mut(phone_number) {
                to_number.insert(0, started);
            }
            self.oldest.push_back(now);
            match self.room.checked_sub(1) {
                Some(room) => self.room = room,
                None => drop(self.oldest.pop_front()),
            }
        }
        refusal
    }
}
