//! How the lock of another process is waited for.

use std::thread;
use std::time::{Duration, Instant};

/// How long a statement waits for the lock of another process.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the outcome of an SMS waits for it, since the SMS may have left.
pub(super) const OUTCOME_BUSY_TIMEOUT: Duration = Duration::from_secs(60);

/// The first pauses between two looks at a lock, in milliseconds: most locks are held that long.
const FIRST_PAUSES: [u64; 6] = [1, 2, 5, 10, 15, 20];
/// The pause after them, which gets shorter.
const PAUSE: Duration = Duration::from_millis(25);
/// The shortest one that it comes to: many processes that look all the time would keep the one with the lock from its work.
const LAST_PAUSE: Duration = Duration::from_millis(5);

/// Returns a busy handler. SQLite calls it with the number of earlier calls in this statement; it waits, and returns whether to
/// try again.
///
/// SQLite's own one looks less and less often. Among many processes, those that have just come then overtake those that have
/// waited, until these give up. This one looks more and more often.
pub(super) fn busy_handler(timeout: Duration) -> impl FnMut(i32) -> bool + Send + 'static {
    let mut waited = Duration::ZERO;
    move |calls| {
        if calls == 0 {
            waited = Duration::ZERO;
        }
        let is_patient = waited < timeout;
        if is_patient {
            let start = Instant::now();
            thread::sleep(pause(calls, waited));
            waited += start.elapsed();
        }
        is_patient
    }
}

fn pause(calls: i32, waited: Duration) -> Duration {
    let first = usize::try_from(calls).ok().and_then(|calls| FIRST_PAUSES.get(calls));
    let later = || LAST_PAUSE.max(PAUSE.div_f64(1.0 + waited.as_secs_f64()));
    first.map_or_else(later, |pause| Duration::from_millis(*pause))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_has_waited_longer_looks_more_often() {
        let pauses = [0, 1, 2, 4].map(|waited| pause(10, Duration::from_secs(waited)));
        assert!(pauses.is_sorted_by(|one, later| one > later), "{pauses:?}");
    }

    #[test]
    fn the_time_that_a_statement_works_between_two_locks_does_not_count() {
        let mut wait = busy_handler(Duration::from_nanos(1));
        assert!(wait(0), "nothing was waited for yet");
        assert!(!wait(1));
        assert!(wait(0), "it is another statement");
    }
}
