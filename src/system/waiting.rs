//! What the program waits for. As with a log, whoever waits says so, from any layer, and the output shows it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// The waits that have not ended, the oldest first.
static WAITS: Mutex<Vec<Arc<Entry>>> = Mutex::new(Vec::new());

struct Entry {
    what: String,
    end: Option<Instant>,
}

/// Something that the program waits for, as long as this exists.
#[must_use]
pub struct Wait(Arc<Entry>);

impl Wait {
    /// Starts to wait for `what`, such as `sending through twilio`.
    pub fn start(what: impl Into<String>) -> Self {
        Self::add(what.into(), None)
    }

    /// Starts to wait until `end` at the latest. `what` is what happens then, such as `trying again`.
    pub fn start_until(what: impl Into<String>, end: Instant) -> Self {
        Self::add(what.into(), Some(end))
    }

    fn add(what: String, end: Option<Instant>) -> Self {
        let entry = Arc::new(Entry { what, end });
        waits().push(Arc::clone(&entry));
        Self(entry)
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        waits().retain(|entry| !Arc::ptr_eq(entry, &self.0));
    }
}

/// Returns what the program has waited for longest, such as `trying again in 4 s`, if it waits for anything.
pub fn awaited() -> Option<String> {
    let waits = waits();
    let Entry { what, end } = &**waits.first()?;
    let left = end.map(|end| end.saturating_duration_since(Instant::now()).as_secs_f64().ceil());
    Some(left.map_or_else(|| what.clone(), |left| format!("{what} in {left} s")))
}

fn waits() -> MutexGuard<'static, Vec<Arc<Entry>>> {
    WAITS.lock().unwrap_or_else(PoisonError::into_inner)
}
