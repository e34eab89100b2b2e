//! How many numbers of a `send` came to what: the summary, and the exit code of a run that nothing cut short.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Instant;

use crate::exit::Exit;
use crate::model::counted;
use crate::service::outcome::{FailureKind, Outcome, SkipReason};

/// The counts of a run so far.
pub(super) struct Tally {
    started: Instant,
    is_dry_run: bool,
    /// Sent or, in a dry run, to be sent.
    sent: u64,
    /// The segments of a dry run.
    segments: usize,
    failed: BTreeMap<FailureKind, u64>,
    skipped: BTreeMap<SkipReason, u64>,
    failed_hooks: u64,
}

impl Tally {
    /// Returns the tally of a run that starts now.
    pub(super) fn start(is_dry_run: bool) -> Self {
        let (failed, skipped) = (BTreeMap::new(), BTreeMap::new());
        let started = Instant::now();
        Self { started, is_dry_run, sent: 0, segments: 0, failed, skipped, failed_hooks: 0 }
    }

    /// Counts what became of a number.
    pub(super) fn count(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Sent { .. } => self.sent += 1,
            Outcome::DryRun { segments, .. } => {
                self.sent += 1;
                self.segments += segments;
            }
            Outcome::Failed { error, .. } => *self.failed.entry(error.kind).or_default() += 1,
            Outcome::Skipped { reason } => *self.skipped.entry(*reason).or_default() += 1,
        }
    }

    /// Counts a hook that failed.
    pub(super) fn count_failed_hook(&mut self) {
        self.failed_hooks += 1;
    }

    /// Returns how many numbers there were.
    pub(super) fn total(&self) -> u64 {
        self.sent + sum(&self.failed) + sum(&self.skipped)
    }

    /// Returns how many numbers the end of the run left waiting.
    pub(super) fn stopped(&self) -> u64 {
        self.failed.get(&FailureKind::Stopped).copied().unwrap_or(0)
    }

    /// Returns the counts that a progress bar shows.
    pub(super) fn in_short(&self) -> String {
        let sent = if self.is_dry_run { "to send" } else { "sent" };
        format!("{} {sent}, {} failed", self.sent, sum(&self.failed))
    }

    /// Returns how the program ends after a run that nothing cut short. Duplicates don't matter.
    pub(super) fn exit(&self) -> Exit {
        let skipped = |reason| self.skipped.get(&reason).copied().unwrap_or(0);
        let failed = |kind| self.failed.get(&kind).copied().unwrap_or(0);
        let sent = self.sent + skipped(SkipReason::AlreadySent);
        let invalid = failed(FailureKind::InvalidNumber) + failed(FailureKind::InvalidLine);
        let not_sent = sum(&self.failed) - invalid + skipped(SkipReason::UnknownOutcome);
        match (sent, not_sent, invalid) {
            // That everything else is done is what the code of a failed hook says.
            (_, 0, 0) if self.failed_hooks > 0 => Exit::HookFailed,
            (_, 0, 0) => Exit::Done,
            (0, 0, _) => Exit::Usage,
            (0, _, _) => Exit::Failed,
            _ => Exit::PartlySent,
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sent, segments, .. } = self;
        let mut failed = self.failed.clone();
        let unknown = failed.remove(&FailureKind::Unknown).unwrap_or(0);
        let failed = by_reason("failed", failed.iter().map(|(kind, n)| (kind.as_str(), *n)));
        let skipped = self.skipped.iter().map(|(reason, n)| (reason.as_str(), *n));
        let skipped = by_reason("skipped", skipped);
        if self.is_dry_run {
            let segments = counted(*segments, "segment");
            return write!(formatter, "{sent} would be sent in {segments}, {failed}, {skipped}");
        }
        let elapsed = self.started.elapsed().as_secs_f64();
        let rate = *sent as f64 / elapsed.max(0.001);
        write!(
            formatter,
            "{sent} sent, {failed}, {unknown} unknown, {skipped}, in {elapsed:.1} s ({rate:.0} sent/s)"
        )
    }
}

fn sum<K>(counts: &BTreeMap<K, u64>) -> u64 {
    counts.values().sum()
}

/// Returns the sum of the counts, what they came to and, in brackets, each by its reason.
fn by_reason(came_to: &str, counts: impl Iterator<Item = (&'static str, u64)>) -> String {
    let mut sum = 0;
    let each: Vec<_> = counts
        .map(|(reason, count)| {
            sum += count;
            match reason.replace('_', " ") {
                noun if reason.starts_with("invalid_") => counted(count, &noun),
                noun if ["duplicate", "unknown_outcome"].contains(&reason) => counted(count, &noun),
                participle => format!("{count} {participle}"),
            }
        })
        .collect();
    if each.is_empty() {
        format!("{sum} {came_to}")
    } else {
        format!("{sum} {came_to} ({})", each.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the tally of so many numbers of each kind.
    fn tally(sent: u64, failed: &[(FailureKind, u64)], failed_hooks: u64) -> Tally {
        let failed = failed.iter().copied().filter(|(_, count)| *count > 0).collect();
        Tally { sent, failed, failed_hooks, ..Tally::start(false) }
    }

    fn exit_code(sent: u64, not_sent: u64, invalid: u64, failed_hooks: u64) -> u8 {
        let failed = [(FailureKind::Limited, not_sent), (FailureKind::InvalidLine, invalid)];
        tally(sent, &failed, failed_hooks).exit().code()
    }

    #[test]
    fn the_exit_code_tells_all_from_some_from_none() {
        let code = |sent, not_sent, invalid| exit_code(sent, not_sent, invalid, 0);
        assert_eq!(code(2, 0, 0), 0);
        assert_eq!(code(0, 2, 0), 1);
        assert_eq!(code(0, 1, 1), 1);
        assert_eq!(code(0, 0, 2), 2);
        assert_eq!([code(1, 1, 0), code(1, 0, 1), code(1, 1, 1)], [3, 3, 3]);
    }

    #[test]
    fn a_failed_hook_shows_only_if_everything_else_is_done() {
        assert_eq!(exit_code(2, 0, 0, 1), 20);
        assert_eq!(exit_code(0, 0, 0, 1), 20);
        assert_eq!(exit_code(1, 1, 0, 1), 3);
        assert_eq!(exit_code(0, 1, 0, 1), 1);
        assert_eq!(exit_code(0, 0, 1, 1), 2);
    }

    #[test]
    fn what_was_sent_before_is_done_what_is_unknown_is_not_and_a_duplicate_is_nothing() {
        let exit = |sent, reason| {
            let mut tally = tally(sent, &[], 0);
            tally.count(&Outcome::Skipped { reason });
            tally.exit()
        };
        assert_eq!(exit(0, SkipReason::AlreadySent), Exit::Done);
        assert_eq!(exit(0, SkipReason::UnknownOutcome), Exit::Failed);
        assert_eq!(exit(1, SkipReason::UnknownOutcome), Exit::PartlySent);
        assert_eq!(exit(1, SkipReason::Duplicate), Exit::Done);
    }

    #[test]
    fn a_summary_has_the_reasons() {
        use FailureKind::*;
        let mut tally = tally(5, &[(Rejected, 2), (Limited, 1), (Unknown, 1)], 0);
        tally.count(&Outcome::Skipped { reason: SkipReason::AlreadySent });
        let text = tally.to_string();
        assert!(text.starts_with("5 sent, 3 failed (1 limited, 2 rejected), 1 unknown, 1 skipped (1 already sent), in "), "{text}");
        assert_eq!(tally.in_short(), "5 sent, 4 failed");
    }

    #[test]
    fn a_dry_run_counts_what_would_be_sent_and_paid_for() {
        let mut tally =
            Tally { is_dry_run: true, ..tally(2, &[(FailureKind::InvalidNumber, 2)], 0) };
        tally.segments = 3;
        tally.count(&Outcome::Skipped { reason: SkipReason::Duplicate });
        assert_eq!(tally.total(), 5);
        assert_eq!(
            tally.to_string(),
            "2 would be sent in 3 segments, 2 failed (2 invalid numbers), 1 skipped (1 duplicate)"
        );
        assert_eq!(tally.in_short(), "2 to send, 2 failed");
    }
}
