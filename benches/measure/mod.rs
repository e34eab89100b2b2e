//! What the benches have in common: whole processes that take turns, and the table of their times.

use std::error::Error;
use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Prints the heading of the table.
pub(crate) fn heading(theirs: &str) -> Result<()> {
    print(&format!(
        "{:<42} {:>9} {:>19} {theirs:>9} {:>19} {:>6}",
        "median of whole processes, in ms", "ours", "quartiles", "quartiles", "ratio"
    ))
}

/// Runs both programs in turn, and prints the medians, the quartiles and the ratio of the medians. The first round fills the caches
/// and doesn't count.
pub(crate) fn compare(
    name: &str,
    rounds: usize,
    mut run: impl FnMut(usize) -> Result<(Duration, Duration)>,
) -> Result<()> {
    let runs = (0..=rounds).map(&mut run).collect::<Result<Vec<_>>>()?;
    let (ours, theirs) = runs.into_iter().skip(1).unzip();
    report(name, ours, theirs)
}

/// Prints a line of the table.
pub(crate) fn report(name: &str, ours: Vec<Duration>, theirs: Vec<Duration>) -> Result<()> {
    let [(ours, our_spread), (theirs, their_spread)] = [ours, theirs].map(|mut times| {
        times.sort_unstable();
        let quarter = |n: usize| times[(times.len() - 1) * n / 4].as_secs_f64() * 1_000.0;
        (quarter(2), format!("{:.2} – {:.2}", quarter(1), quarter(3)))
    });
    print(&format!(
        "{name:<42} {ours:>9.2} {our_spread:>19} {theirs:>9.2} {their_spread:>19} {:>6.2}",
        ours / theirs
    ))
}

/// Runs `command` to its end and returns how long the whole process took.
///
/// # Errors
/// Returns an error if it didn't end with `code`: the time of a failure is meaningless.
pub(crate) fn elapsed(mut command: Command, code: i32) -> Result<Duration> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let start = Instant::now();
    let output = command.output()?;
    let elapsed = start.elapsed();
    if output.status.code() == Some(code) {
        return Ok(elapsed);
    }
    let message = String::from_utf8_lossy(&output.stderr);
    Err(format!("{command:?} ended with {}, not {code}: {message}", output.status).into())
}

/// Returns the most memory that a process has used when it ends, in MiB, from the kernel's `VmHWM`.
///
/// # Errors
/// Returns an error if the process failed.
pub(crate) fn peak_memory(mut child: Child) -> Result<u64> {
    let mut peak = 0;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        peak = line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(peak);
        std::thread::sleep(Duration::from_millis(5));
    };
    if !status.success() {
        return Err(format!("the process ended with {status}").into());
    }
    Ok(peak / 1024)
}

/// Runs `work` while `write` changes one row after another. Returns the longest that a change took too.
pub(crate) fn beside_a_writer<T>(
    work: impl FnOnce() -> Result<T>,
    mut write: impl FnMut() + Send,
) -> Result<(T, Duration)> {
    let has_ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut longest = Duration::ZERO;
            while !has_ended.load(Ordering::Relaxed) {
                let start = Instant::now();
                write();
                longest = longest.max(start.elapsed());
            }
            longest
        });
        let done = work();
        has_ended.store(true, Ordering::Relaxed);
        Ok((done?, writer.join().expect("the writer doesn't panic")))
    })
}

pub(crate) fn print(line: &str) -> Result<()> {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}
