//! The progress bar of a long send.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Returns a bar over `total` numbers, or one without an end where their number is not known.
pub(super) fn bar(total: Option<u64>) -> ProgressBar {
    let template = match total {
        Some(_) => "{wide_bar} {pos}/{len} ({msg}), {per_sec}, {eta} left",
        None => "{spinner} {pos} ({msg}), {per_sec}, {elapsed}",
    };
    let bar = total.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
    let bar = bar.with_style(ProgressStyle::with_template(template).expect("a constant template"));
    // So that it is right even while nothing ends.
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}
