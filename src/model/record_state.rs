//! What has become of a record.

use std::fmt;

use serde::Serialize;

/// What has become of a record: the first of these that fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordState {
    /// Too many wrong codes have locked it.
    Locked,
    /// Its code has expired.
    Expired,
    /// Its code was verified, and codes work only once.
    Used,
    /// Its number has a newer record.
    Superseded,
    /// Its SMS didn't arrive.
    Undelivered,
    /// Its code can be verified.
    Live,
}

impl fmt::Display for RecordState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(formatter)
    }
}
