//! One row of the ledger `sms_delivery`: one attempt to reach a number through one backend.

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};
use uuid::Uuid;

use super::{PhoneNumber, timestamp};

/// How far a delivery has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryState {
    /// The provider is being called; where that process was killed, the outcome is unknown.
    Sending,
    /// The provider accepted the message.
    Accepted,
    /// The provider refused it for good.
    Rejected,
    /// Nothing was accepted: the provider was not reached, or throttled to the end.
    Unavailable,
    /// It may or may not have been accepted.
    Unknown,
    /// The message arrived.
    Delivered,
    /// The message was accepted and did not arrive.
    Undelivered,
}

impl DeliveryState {
    /// Every state.
    pub const ALL: [Self; 7] = [
        Self::Sending,
        Self::Accepted,
        Self::Rejected,
        Self::Unavailable,
        Self::Unknown,
        Self::Delivered,
        Self::Undelivered,
    ];

    /// Returns the state's name in the table and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sending => "sending",
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
            Self::Unavailable => "unavailable",
            Self::Unknown => "unknown",
            Self::Delivered => "delivered",
            Self::Undelivered => "undelivered",
        }
    }

    /// Returns the state of this name.
    pub fn from_stored(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// Returns whether the provider accepted the message, whatever became of it then.
    pub fn was_accepted(self) -> bool {
        matches!(self, Self::Accepted | Self::Delivered | Self::Undelivered)
    }

    /// Returns whether the provider accepted the message or may have.
    pub fn may_have_been_accepted(self) -> bool {
        self.was_accepted() || self.is_unknown()
    }

    /// Returns whether nobody knows if the provider accepted the message.
    pub fn is_unknown(self) -> bool {
        matches!(self, Self::Sending | Self::Unknown)
    }
}

impl Serialize for DeliveryState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// What a provider said about a delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeliveryOutcome {
    /// How far the delivery has come.
    pub state: DeliveryState,
    /// The provider's id of the message.
    pub message_id: Option<String>,
    /// The provider's error code.
    pub error_code: Option<String>,
    /// The provider's words.
    pub error_message: Option<String>,
}

/// An attempt to reach a number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Delivery {
    /// Its number in the ledger.
    pub id: i64,
    /// The record whose code it carried.
    pub verification_id: Uuid,
    /// Where it went.
    #[serde(skip)]
    pub phone_number: PhoneNumber,
    /// The canonical name of the backend that was called.
    pub backend: String,
    /// What the provider said last.
    #[serde(flatten)]
    pub outcome: DeliveryOutcome,
    /// The segments of the message.
    pub segments: u32,
    /// How often the provider was called.
    pub tries: u32,
    /// When it began.
    #[serde(with = "timestamp")]
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    #[serde(with = "timestamp")]
    pub updated_at: DateTime<Utc>,
}
