//! The pace of SMS: even, and never more than the limit in any one second.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

/// One second, and a margin, because starts lag and the way to the provider takes a different time for each request.
const WINDOW: Duration = Duration::from_millis(1010);
/// How far a start may lag behind its turn without delaying the next one. Timers aren't more precise.
const LAG: Duration = Duration::from_millis(5);

/// Makes callers start one after the other.
pub struct Pace {
    max_per_second: Option<u32>,
    /// When the next caller may start, once there was one.
    next_turn: Mutex<Option<Instant>>,
}

impl Pace {
    /// Returns a pace of at most `max_per_second` starts in any one second, or without a limit.
    pub fn new(max_per_second: Option<usize>) -> Self {
        let max_per_second = max_per_second.map(|most| u32::try_from(most).unwrap_or(u32::MAX));
        Self { max_per_second, next_turn: Mutex::default() }
    }

    /// Waits until the caller may start. Callers start in the order of their calls.
    pub async fn turn(&self) {
        let Some(most) = self.max_per_second else { return };
        let mut next_turn = self.next_turn.lock().await;
        if let Some(turn) = *next_turn {
            tokio::time::sleep_until(turn).await;
        }
        // No start is earlier than its turn, or much later, so as many turns as fit into the window keep the starts apart.
        let now = Instant::now();
        let kept_turn = next_turn.filter(|turn| *turn + LAG > now).unwrap_or(now);
        *next_turn = Some(kept_turn + WINDOW / most);
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
                if n == 35 {
                    // One that was hardly late doesn't delay them.
                    tokio::time::sleep(WINDOW / 10 + LAG - Duration::from_millis(1)).await;
                }
                pace.turn().await;
                starts.push(Instant::now());
            }
            for pair in starts.windows(2) {
                let least = WINDOW / 10 - LAG;
                assert!(pair[1] - pair[0] >= least, "{pair:?}");
            }
            for eleven in starts.windows(11) {
                assert!(eleven[10] - eleven[0] > Duration::from_secs(1));
            }
            for first in [0, 30] {
                assert_eq!(starts[first + 10] - starts[first], WINDOW, "{first}");
            }
        });
    }
}
