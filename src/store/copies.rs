//! Rows that are copied from another database.

use chrono::{DateTime, Utc};

use crate::model::{Delivery, PhoneNumber, SmsVerification};

/// A wrong code that counts against the limit of a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrongCode {
    /// The number that it was typed for.
    pub phone_number: PhoneNumber,
    /// When it was typed.
    pub created_at: DateTime<Utc>,
}

/// What becomes of the ids of deliveries that are copied from another ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LedgerIds {
    /// Each delivery keeps its id. A stored delivery with this id is the same one.
    Kept,
    /// Each delivery gets a new id. A stored delivery of the same record and number, through the same backend and at the same time,
    /// is the same one.
    New,
}

/// Rows that are copied from another database.
#[derive(Debug, Clone, Copy)]
pub enum Copies<'a> {
    /// Records.
    Records(&'a [SmsVerification]),
    /// Deliveries of the ledger.
    Deliveries(&'a [Delivery], LedgerIds),
    /// Wrong codes.
    WrongCodes(&'a [WrongCode]),
}

impl Copies<'_> {
    /// Returns how many there are.
    pub(super) fn count(&self) -> u64 {
        let count = match self {
            Self::Records(records) => records.len(),
            Self::Deliveries(deliveries, _) => deliveries.len(),
            Self::WrongCodes(wrong_codes) => wrong_codes.len(),
        };
        count as u64
    }
}
