//! One row of the ledger `sms_delivery`: one attempt to reach a number through one backend.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::de::IntoDeserializer;
use serde::de::value::Error;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{PhoneNumber, timestamp};

/// How far a delivery has got. The table and JSON have the variants' names in lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum DeliveryState {
    /// The provider is being called. If that process was killed, the outcome is unknown.
    Sending,
    /// The provider accepted the message.
    Accepted,
    /// The provider refused it, and would refuse it again.
    Rejected,
    /// Nothing was accepted: the provider wasn't reached, or throttled every attempt.
    Unavailable,
    /// It may or may not have been accepted.
    Unknown,
    /// The message arrived.
    Delivered,
    /// The message was accepted and did not arrive.
    Undelivered,
}

impl DeliveryState {
    /// The states of deliveries that brought nothing.
    pub const FAILED: [Self; 3] = [Self::Rejected, Self::Unavailable, Self::Undelivered];

    /// Returns the state with this name in the table.
    pub fn from_stored(name: &str) -> Option<Self> {
        Self::deserialize(IntoDeserializer::<Error>::into_deserializer(name)).ok()
    }

    /// Returns whether the provider accepted the message, even if it didn't arrive.
    pub fn was_accepted(self) -> bool {
        matches!(self, Self::Accepted | Self::Delivered | Self::Undelivered)
    }

    /// Returns whether the provider accepted the message, or may have.
    pub fn may_have_been_accepted(self) -> bool {
        self.was_accepted() || self.is_unknown()
    }

    /// Returns whether no provider accepted the message, so that its code can't have been read.
    pub fn was_refused(self) -> bool {
        matches!(self, Self::Rejected | Self::Unavailable)
    }

    /// Returns whether it is certain that the message arrived, or that it didn't.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Delivered | Self::Undelivered)
    }

    /// Returns whether the message reached nobody.
    pub fn has_failed(self) -> bool {
        Self::FAILED.contains(&self)
    }

    /// Returns whether it's unknown if the provider accepted the message.
    pub fn is_unknown(self) -> bool {
        matches!(self, Self::Sending | Self::Unknown)
    }
}

impl fmt::Display for DeliveryState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(formatter)
    }
}

/// What a provider said about a delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeliveryOutcome {
    /// How far the delivery has got.
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
    /// The provider's latest answer.
    #[serde(flatten)]
    pub outcome: DeliveryOutcome,
    /// The segments of the message.
    pub segments: u32,
    /// How often the provider was called.
    pub tries: u32,
    /// The language of the message in the settings; None for the default message.
    pub language: Option<String>,
    /// When its code was verified.
    #[serde(with = "timestamp")]
    pub verified_at: Option<DateTime<Utc>>,
    /// When it started.
    #[serde(with = "timestamp")]
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    #[serde(with = "timestamp")]
    pub updated_at: DateTime<Utc>,
}
