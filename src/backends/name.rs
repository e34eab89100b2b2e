//! What a backend is called.

use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};

/// The name of a backend. It is displayed as the settings call the backend, and serialized as results and the ledger do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendName {
    stored: Arc<str>,
    shown: Arc<str>,
}

impl BackendName {
    /// The stored name of the backend of test numbers, which the settings can't name.
    pub const TEST: &str = "test";

    /// Returns the name of a backend that the settings call `given`. An alias that is the path of a class says nothing to people.
    pub(super) fn new(stored: &str, given: &str) -> Self {
        let shown = if given.contains('.') { stored } else { given };
        Self { stored: stored.into(), shown: shown.into() }
    }

    /// Returns the name that results and the ledger use, whatever alias the settings give.
    pub fn stored(&self) -> &Arc<str> {
        &self.stored
    }

    /// Returns whether it is the backend of test numbers.
    pub fn is_test(&self) -> bool {
        &*self.stored == Self::TEST
    }
}

impl fmt::Display for BackendName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.shown)
    }
}

impl Serialize for BackendName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.stored)
    }
}
