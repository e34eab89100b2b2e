//! django-phone-verify, which does the same work with the same database.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::measure::Result;

/// How long a management command took.
pub(crate) struct Times {
    /// The whole process, with the start of Python and of Django.
    pub(crate) command: Duration,
    /// The work alone, as a request to a site that runs already has it done.
    pub(crate) in_process: Duration,
}

/// Runs `work.py` with these arguments in the directory of the database. Returns None if django-phone-verify isn't installed.
///
/// # Errors
/// Returns an error if it didn't end with `code`.
pub(crate) fn run(directory: &Path, arguments: &[&str], code: i32) -> Result<Option<Times>> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = repository.join("tests/interop/.venv/bin/python");
    if !python.exists() {
        return Ok(None);
    }
    let start = Instant::now();
    let output = Command::new(python)
        .arg(repository.join("benches/django/work.py"))
        .args(arguments)
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output()?;
    let command = start.elapsed();
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.code() != Some(code) {
        return Err(
            format!("{arguments:?} ended with {}, not {code}: {said}", output.status).into()
        );
    }
    let seconds = said.lines().last().ok_or("it didn't say how long it took")?;
    Ok(Some(Times { command, in_process: Duration::from_secs_f64(seconds.parse()?) }))
}
