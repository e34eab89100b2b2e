//! The pace of SMS: even, and never more than the limit in any one second.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

/// One second, and a margin because the way to the provider takes a different time for each request.
const WINDOW: Duration = Duration::from_millis(1010);
/// How far a start may lag behind its turn without delaying the next one. Timers aren't more precise.
const LAG: Duration = Duration::from_millis(5);

/// Makes callers start one after the other.
pub struct Pace {
    max_per_second: Option<usize>,
    starts: Mutex<Starts>,
}

#[derive(Default)]
struct Starts {
    /// When the last `max_per_second` starts really were.
    last: VecDeque<Instant>,
    next_turn: Option<Instant>,
}

impl Pace {
    /// Returns a pace of at most `max_per_second` starts in any one second, or without a limit.
    pub fn new(max_per_second: Option<usize>) -> Self {
        Self { max_per_second, starts: Mutex::default() }
    }

    /// Waits until the caller may start. Callers start in the order of their calls.
    pub async fn turn(&self) {
        let Some(most) = self.max_per_second else { return };
        let mut starts = self.starts.lock().await;
        let turn = starts.next_turn;
        let oldest = starts.last.front().filter(|_| starts.last.len() == most);
        if let Some(earliest) = turn.max(oldest.map(|oldest| *oldest + WINDOW)) {
            tokio::time::sleep_until(earliest).await;
        }
        let now = Instant::now();
        let kept_turn = turn.filter(|turn| *turn + LAG > now).unwrap_or(now);
        starts.next_turn = Some(kept_turn + WINDOW / u32::try_from(most).unwrap_or(u32::MAX));
        if starts.last.len() == most {
            starts.last.pop_front();
        }
        starts.last.push_back(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_second_has_more_starts_than_allowed_and_they_are_even() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let pace = Pace::new(Some(10));
            let mut starts = Vec::new();
            for n in 0..50 {
                if n == 20 {
                    // A caller that was late is no reason for the next ones to hurry.
                    tokio::time::sleep(Duration::from_secs(3)).await;
                }
                pace.turn().await;
                starts.push(Instant::now());
            }
            for pair in starts.windows(2) {
                assert!(pair[1] - pair[0] >= Duration::from_millis(100), "{pair:?}");
            }
            for eleven in starts.windows(11) {
                assert!(eleven[10] - eleven[0] > Duration::from_secs(1));
            }
            assert!(starts[19] - starts[0] < Duration::from_secs(2), "{starts:?}");
        });
    }
}
