//! The progress bar of a long send.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

/// The columns that a bar needs besides its words. A terminal with fewer shows only the words.
const ROOM_FOR_A_BAR: usize = 70;

/// Returns a bar over `total` numbers, or one without an end if `total` isn't known, on a terminal of `width` columns.
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
    bar.set_message(words(&bar, 0));
    // The times stay right even while nothing ends.
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// What a bar shows next.
#[derive(PartialEq)]
pub(super) enum Progress {
    /// How many numbers have ended, and the counts to show behind the bar.
    At(u64, String),
    /// Nothing: the bar is removed.
    Over,
}

pub(super) fn show(bar: &ProgressBar, progress: Progress) {
    match progress {
        Progress::At(position, counts) => {
            // The words first: a bar that moves before its words would contradict them.
            bar.set_message(format!("{} ({counts})", words(bar, position)));
            bar.set_position(position);
        }
        Progress::Over => bar.finish_and_clear(),
    }
}

fn words(bar: &ProgressBar, position: u64) -> String {
    bar.length().map_or_else(|| position.to_string(), |total| format!("{position}/{total}"))
}
