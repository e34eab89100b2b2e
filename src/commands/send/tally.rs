//! How many numbers of a `send` had which outcome: the summary, and the exit code of a run that was not cut short.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Instant;

use crate::backends::Cause;
use crate::exit::Exit;
use crate::model::{counted, grouped};
use crate::service::outcome::{Kind, Outcome, OutcomeGroup};

/// The counts of a run so far.
pub(super) struct Tally {
    started: Instant,
    is_dry_run: bool,
    /// How many numbers had an outcome of this kind with this cause.
    counts: BTreeMap<(Kind, Option<Cause>), u64>,
    /// The segments of a dry run.
    segments: usize,
    /// The numbers whose outcome the database doesn't have.
    pub(super) unstored: u64,
    /// Those of them that were sent to.
    sent_unstored: u64,
    pub(super) failed_hooks: u64,
    /// The numbers that have no outcome because a second signal ended the run.
    pub(super) under_way: u64,
    /// The numbers that were never taken.
    pub(super) not_reached: u64,
}

impl Tally {
    /// Returns the tally of a run that starts now.
    pub(super) fn start(is_dry_run: bool) -> Self {
        Self {
            started: Instant::now(),
            is_dry_run,
            counts: BTreeMap::new(),
            segments: 0,
            unstored: 0,
            sent_unstored: 0,
            failed_hooks: 0,
            under_way: 0,
            not_reached: 0,
        }
    }

    pub(super) fn count(&mut self, outcome: &Outcome) {
        *self.counts.entry((outcome.kind(), outcome.cause())).or_default() += 1;
        if outcome.unstored().is_some() {
            self.unstored += 1;
            self.sent_unstored += u64::from(outcome.kind() == Kind::Sent);
        }
        if let Outcome::DryRun { segments, .. } = outcome {
            self.segments += segments;
        }
    }

    /// Counts what the end of the run left: so many numbers under way and, if there were `total`, the rest. Returns how many
    /// numbers were taken.
    pub(super) fn conclude(&mut self, under_way: u64, total: Option<u64>) -> u64 {
        let taken = self.taken() + under_way;
        self.under_way = under_way;
        self.not_reached = total.map_or(0, |total| total.saturating_sub(taken));
        taken
    }

    /// Returns how many numbers have an outcome.
    pub(super) fn taken(&self) -> u64 {
        self.counts.values().sum()
    }

    /// Returns how many numbers had an outcome of `group`.
    pub(super) fn sum(&self, group: OutcomeGroup) -> u64 {
        self.of(group).map(|(_, count)| count).sum()
    }

    fn of(&self, group: OutcomeGroup) -> impl Iterator<Item = (&(Kind, Option<Cause>), &u64)> {
        self.counts.iter().filter(move |((kind, _), _)| kind.group() == group)
    }

    /// Returns the counts that a progress bar shows.
    pub(super) fn in_short(&self) -> String {
        let sent = if self.is_dry_run { "to send" } else { "sent" };
        format!(
            "{} {sent}, {} failed",
            grouped(self.sum(OutcomeGroup::Sent)),
            grouped(self.sum(OutcomeGroup::Failed) + self.sum(OutcomeGroup::Unknown))
        )
    }

    /// Returns how the program ends after a run that was not cut short. Duplicates don't matter.
    pub(super) fn exit(&self) -> Exit {
        let (mut sent, mut not_sent, mut invalid) = (0, 0, 0);
        for ((kind, _), count) in &self.counts {
            match kind {
                Kind::Sent | Kind::AlreadySent => sent += count,
                Kind::Duplicate => {}
                Kind::InvalidLine | Kind::InvalidNumber => invalid += count,
                _ => not_sent += count,
            }
        }
        match (sent, not_sent, invalid) {
            // The code of a failed hook means that everything else is done.
            (_, 0, 0) if self.failed_hooks > 0 => Exit::HookFailed,
            (_, 0, 0) => Exit::Done,
            (0, 0, _) => Exit::Usage,
            (0, _, _) => Exit::Failed,
            _ => Exit::PartlySent,
        }
    }

    /// Writes how many numbers the end of the run left without an outcome of their own.
    fn write_rest(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (count, words) in [
            (self.sum(OutcomeGroup::Stopped), "stopped"),
            (self.under_way, "under way"),
            (self.not_reached, "not reached"),
        ] {
            if count > 0 {
                write!(formatter, ", {} {words}", grouped(count))?;
            }
        }
        Ok(())
    }

    /// Returns the sum of `group`, the word for it and, in brackets, the count of each kind.
    fn by_kind(&self, label: &str, group: OutcomeGroup) -> String {
        let sum = grouped(self.sum(group));
        let each = self.of(group).map(|((kind, cause), count)| {
            let name = kind.to_string().replace('_', " ");
            let number = grouped(*count);
            match (kind, cause) {
                (
                    Kind::Duplicate
                    | Kind::UnknownOutcome
                    | Kind::InvalidLine
                    | Kind::InvalidNumber,
                    _,
                ) => counted(*count, &name),
                (_, Some(cause)) => format!("{number} {name}: {cause}"),
                (_, None) => format!("{number} {name}"),
            }
        });
        match each.collect::<Vec<_>>().join(", ") {
            each if each.is_empty() => format!("{sum} {label}"),
            each => format!("{sum} {label} ({each})"),
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all_sent = self.sum(OutcomeGroup::Sent);
        let sent = grouped(all_sent);
        let failed = self.by_kind("failed", OutcomeGroup::Failed);
        let unknown = grouped(self.sum(OutcomeGroup::Unknown));
        let skipped = self.by_kind("skipped", OutcomeGroup::Skipped);
        if self.is_dry_run {
            let segments = counted(self.segments, "segment");
            write!(formatter, "{sent} would be sent in {segments}, {failed}, {skipped}")?;
            return self.write_rest(formatter);
        }
        write!(formatter, "{sent} sent")?;
        if self.sent_unstored > 0 {
            write!(formatter, " ({} not stored)", grouped(self.sent_unstored))?;
        }
        write!(formatter, ", {failed}, {unknown} unknown, {skipped}")?;
        self.write_rest(formatter)?;
        let elapsed = self.started.elapsed().as_secs_f64();
        let rate = grouped((all_sent as f64 / elapsed.max(0.001)).round() as u64);
        write!(formatter, ", in {elapsed:.1} s ({rate} sent/s)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the tally of so many numbers of each kind.
    fn tally(counts: &[(Kind, u64)]) -> Tally {
        let counts = counts.iter().filter(|(_, count)| *count > 0);
        let counts = counts.map(|(kind, count)| ((*kind, None), *count)).collect();
        Tally { counts, ..Tally::start(false) }
    }

    fn exit_code(sent: u64, not_sent: u64, invalid: u64, failed_hooks: u64) -> u8 {
        let counts = [(Kind::Sent, sent), (Kind::Limited, not_sent), (Kind::InvalidLine, invalid)];
        Tally { failed_hooks, ..tally(&counts) }.exit().code()
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
        let exit = |kinds: &[(Kind, u64)]| tally(kinds).exit();
        assert_eq!(exit(&[(Kind::AlreadySent, 1)]), Exit::Done);
        assert_eq!(exit(&[(Kind::UnknownOutcome, 1)]), Exit::Failed);
        assert_eq!(exit(&[(Kind::AlreadySent, 1), (Kind::UnknownOutcome, 1)]), Exit::PartlySent);
        assert_eq!(exit(&[(Kind::Duplicate, 1), (Kind::InvalidNumber, 1)]), Exit::Usage);
        for kind in [Kind::Rejected, Kind::Stopped, Kind::Undelivered, Kind::Unknown] {
            assert_eq!(exit(&[(kind, 1)]), Exit::Failed, "{kind:?}");
        }
    }

    #[test]
    fn a_summary_has_the_reasons() {
        use Kind::*;
        let tally =
            tally(&[(Sent, 5000), (Rejected, 2000), (Limited, 1), (Unknown, 1), (AlreadySent, 1)]);
        let text = tally.to_string();
        assert!(text.starts_with("5,000 sent, 2,001 failed (1 limited, 2,000 rejected), 1 unknown, 1 skipped (1 already sent), in "), "{text}");
        assert_eq!(tally.in_short(), "5,000 sent, 2,002 failed");
        let text = Tally { sent_unstored: 2, ..tally }.to_string();
        assert!(text.starts_with("5,000 sent (2 not stored), 2,001 failed "), "{text}");
    }

    #[test]
    fn a_summary_has_the_causes_and_what_the_end_of_the_run_left() {
        use Kind::*;
        let mut stopped = tally(&[(Rejected, 1), (Stopped, 3)]);
        stopped.counts.insert((Rejected, Some(Cause::Number)), 2);
        stopped.counts.insert((Rejected, Some(Cause::Account)), 1);
        assert_eq!(stopped.conclude(4, Some(16)), 11);
        let text = stopped.to_string();
        let start = "0 sent, 4 failed (1 rejected, 2 rejected: number, 1 rejected: account), \
            0 unknown, 0 skipped, 3 stopped, 4 under way, 5 not reached, in ";
        assert!(text.starts_with(start), "{text}");
        assert_eq!(stopped.in_short(), "0 sent, 4 failed");
        assert_eq!(stopped.exit(), Exit::Failed);
    }

    #[test]
    fn a_dry_run_counts_what_would_be_sent_and_paid_for() {
        let counts = [(Kind::Sent, 2), (Kind::InvalidNumber, 2), (Kind::Duplicate, 1)];
        let tally = Tally { is_dry_run: true, segments: 3, ..tally(&counts) };
        assert_eq!(tally.taken(), 5);
        assert_eq!(
            tally.to_string(),
            "2 would be sent in 3 segments, 2 failed (2 invalid numbers), 1 skipped (1 duplicate)"
        );
        assert_eq!(tally.in_short(), "2 to send, 2 failed");
    }
}
