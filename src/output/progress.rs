//! The progress bar of a long send.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

/// The columns that a bar needs beside its words; a terminal with fewer gets the words alone.
const ROOM_FOR_A_BAR: usize = 70;

/// Returns a bar over `total` numbers, or one without an end where their number is not known, on a terminal of `width`
/// columns.
pub(super) fn bar(total: Option<u64>, width: Option<usize>) -> ProgressBar {
    let is_narrow = width.is_some_and(|width| width < ROOM_FOR_A_BAR);
    let template = match total {
        _ if is_narrow => "{wide_msg}",
        Some(_) => "{wide_bar} {msg}, {rate}, {eta} left",
        None => "{spinner} {msg}, {rate}, {elapsed}",
    };
    let rate = |state: &ProgressState, text: &mut dyn std::fmt::Write| {
        let _ = write!(text, "{:.0}/s", state.per_sec());
    };
    let bar = total.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
    let style = ProgressStyle::with_template(template).expect("a constant template");
    let bar = bar.with_style(style.with_key("rate", rate));
    advance(&bar, 0, "");
    // So that it is right even while nothing ends.
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// Moves the bar on by `ended` numbers, with the counts behind it.
pub(super) fn advance(bar: &ProgressBar, ended: u64, counts: &str) {
    let position = bar.position() + ended;
    let total = bar.length().map_or_else(String::new, |total| format!("/{total}"));
    let counts = if counts.is_empty() { String::new() } else { format!(" ({counts})") };
    // One draw: a bar that moves before its words do would contradict them.
    bar.set_message(format!("{position}{total}{counts}"));
    bar.inc(ended);
}
