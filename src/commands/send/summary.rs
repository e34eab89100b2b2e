//! What all the numbers of a `send` came to.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Instant;

use crate::exit::Exit;
use crate::model::counted;

/// Counts of a run that is under way.
pub(super) struct Summary {
    started: Instant,
    is_dry_run: bool,
    /// Sent or, in a dry run, to be sent.
    pub(super) sent: u64,
    /// The segments of a dry run.
    pub(super) segments: usize,
    failed: BTreeMap<&'static str, u64>,
    skipped: BTreeMap<&'static str, u64>,
}

/// The outcome that is counted by itself, as it is neither a failure nor a success.
const UNKNOWN: &str = "unknown";
/// The reasons that have a plural.
const NOUNS: [&str; 4] = ["invalid number", "invalid line", "duplicate", "unknown outcome"];

impl Summary {
    pub(super) fn start(is_dry_run: bool) -> Self {
        let (failed, skipped) = (BTreeMap::new(), BTreeMap::new());
        Self { started: Instant::now(), is_dry_run, sent: 0, segments: 0, failed, skipped }
    }

    pub(super) fn failed(&mut self, reason: &'static str) {
        *self.failed.entry(reason).or_default() += 1;
    }

    pub(super) fn skipped(&mut self, reason: &'static str) {
        *self.skipped.entry(reason).or_default() += 1;
    }

    /// Returns how many numbers there were.
    pub(super) fn total(&self) -> u64 {
        self.sent + self.failed.values().chain(self.skipped.values()).sum::<u64>()
    }

    /// Returns the counts that a progress bar shows.
    pub(super) fn in_short(&self) -> String {
        let sent = if self.is_dry_run { "to send" } else { "sent" };
        format!("{} {sent}, {} failed", self.sent, self.failed.values().sum::<u64>())
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_dry_run {
            return write!(
                formatter,
                "{} would be sent in {}, {}, {}",
                self.sent,
                counted(self.segments, "segment"),
                by_reason("failed", &self.failed),
                by_reason("skipped", &self.skipped)
            );
        }
        let mut failed = self.failed.clone();
        let unknown = failed.remove(UNKNOWN).unwrap_or(0);
        let elapsed = self.started.elapsed().as_secs_f64();
        let rate = self.sent as f64 / elapsed.max(0.001);
        write!(
            formatter,
            "{} sent, {}, {unknown} unknown, {}, in {elapsed:.1} s ({rate:.0} sent/s)",
            self.sent,
            by_reason("failed", &failed),
            by_reason("skipped", &self.skipped)
        )
    }
}

/// Returns the sum of the counts, what they came to and, in brackets, each by its reason.
fn by_reason(came_to: &str, counts: &BTreeMap<&'static str, u64>) -> String {
    let each: Vec<_> = counts
        .iter()
        .map(|(reason, count)| match reason.replace('_', " ") {
            noun if NOUNS.contains(&&*noun) => counted(*count, &noun),
            participle => format!("{count} {participle}"),
        })
        .collect();
    let sum: u64 = counts.values().sum();
    if each.is_empty() {
        format!("{sum} {came_to}")
    } else {
        format!("{sum} {came_to} ({})", each.join(", "))
    }
}

/// How many numbers of a `send` came to what. Duplicates count nowhere.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Sent.
    pub(super) sent: u64,
    /// Valid, and not sent or not certainly.
    pub(super) not_sent: u64,
    /// No phone numbers.
    pub(super) invalid: u64,
    /// Hooks that failed.
    pub(super) hooks_failed: u64,
}

impl Tally {
    /// Returns how the program ends after a run that nothing cut short.
    pub(super) fn exit(self) -> Exit {
        match self {
            // That everything else is done is what the code of a failed hook says.
            Tally { not_sent: 0, invalid: 0, hooks_failed: 1.., .. } => Exit::HookFailed,
            Tally { not_sent: 0, invalid: 0, .. } => Exit::Done,
            Tally { sent: 0, not_sent: 0, .. } => Exit::Usage,
            Tally { sent: 0, .. } => Exit::Failed,
            _ => Exit::PartlySent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exit_of(sent: u64, not_sent: u64, invalid: u64, hooks_failed: u64) -> u8 {
        Tally { sent, not_sent, invalid, hooks_failed }.exit().code()
    }

    #[test]
    fn a_send_to_several_numbers_tells_some_from_none() {
        let code = |sent, not_sent, invalid| exit_of(sent, not_sent, invalid, 0);
        assert_eq!(code(2, 0, 0), 0);
        assert_eq!(code(0, 2, 0), 1);
        assert_eq!(code(0, 1, 1), 1);
        assert_eq!(code(0, 0, 2), 2);
        assert_eq!([code(1, 1, 0), code(1, 0, 1), code(1, 1, 1)], [3, 3, 3]);
    }

    #[test]
    fn a_failed_hook_shows_only_if_everything_else_is_done() {
        assert_eq!(exit_of(2, 0, 0, 1), 20);
        assert_eq!(exit_of(0, 0, 0, 1), 20);
        assert_eq!(exit_of(1, 1, 0, 1), 3);
        assert_eq!(exit_of(0, 1, 0, 1), 1);
        assert_eq!(exit_of(0, 0, 1, 1), 2);
    }

    #[test]
    fn a_summary_tells_the_reasons() {
        let mut summary = Summary::start(false);
        summary.sent = 5;
        summary.failed("rejected");
        summary.failed("rejected");
        summary.failed("limited");
        summary.failed(UNKNOWN);
        summary.skipped("already_sent");
        let text = summary.to_string();
        assert!(text.starts_with("5 sent, 3 failed (1 limited, 2 rejected), 1 unknown, 1 skipped (1 already sent), in "), "{text}");
        assert_eq!(summary.in_short(), "5 sent, 4 failed");
    }

    #[test]
    fn a_dry_run_counts_what_would_be_sent_and_paid_for() {
        let mut summary = Summary::start(true);
        (summary.sent, summary.segments) = (2, 3);
        summary.failed("invalid number");
        summary.failed("invalid number");
        summary.skipped("duplicate");
        assert_eq!(summary.total(), 5);
        assert_eq!(
            summary.to_string(),
            "2 would be sent in 3 segments, 2 failed (2 invalid numbers), 1 skipped (1 duplicate)"
        );
        assert_eq!(summary.in_short(), "2 to send, 2 failed");
    }
}
