//! The file of `--failures`: the numbers that failed and why, as CSV that `--file` takes.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::file::{PHONE_NUMBER, folded};
use super::input::{Input, Origin};
use crate::exit::Error;
use crate::output::{csv_line, on_one_line};
use crate::service::outcome::{Failure, Kind, Outcome};

/// The columns that are added to those of the input, and replace them.
const ADDED: [&str; 3] = ["reason", "code", "cause"];

/// The file of the numbers that failed. If there were none, its drop removes it.
pub(super) struct FailureFile {
    path: PathBuf,
    file: File,
    /// Whether each column of the input is kept.
    kept: Vec<bool>,
    /// The index of the number's column in the input.
    number_column: usize,
    /// How many bytes of whole records were written.
    length: u64,
    is_empty: bool,
}

/// Returns a text of the provider that a spreadsheet shows as it is (OWASP, "CSV Injection").
fn not_a_formula(text: &str) -> String {
    let mark = if text.starts_with(['=', '+', '-', '@']) { "'" } else { "" };
    format!("{mark}{text}")
}

impl FailureFile {
    /// Creates the file at `path` for failures of `input`, with its heading.
    ///
    /// # Errors
    /// Returns an error if an added column would be read for one of the input, if something is at `path`, or if the file can't be
    /// written.
    pub(super) fn create(path: &Path, input: &Input) -> Result<Self, Error> {
        if let Some(name) = ADDED.iter().find(|name| input.uses(name)) {
            let problem =
                format!("--failures: its column `{name}` would be read for `{name}` of the input");
            let hint = "give the placeholder, or the column of the phone numbers, another name";
            return Err(Error::usage(problem).with_hint(hint));
        }
        if path == Path::new("-") {
            return Err(Error::usage("--failures -: it isn't the name of a file")
                .with_hint("name a new file; `./-` would be one"));
        }
        let failed = |error: io::Error| {
            let name = path.display();
            match error.kind() {
                ErrorKind::AlreadyExists => Error::usage(format!(
                    "--failures {name}: it exists already, and is never overwritten"
                ))
                .with_hint("name a new file"),
                _ => Error::usage(format!("--failures {name}: {error}")).caused_by(error),
            }
        };
        // It doesn't follow a link (`open(2)`, O_EXCL).
        let file = File::options().append(true).create_new(true).mode(0o600).open(path);
        let plain = [PHONE_NUMBER.to_owned()];
        let columns = input.columns().unwrap_or(&plain);
        let is_kept = |name: &String| !ADDED.contains(&folded(name).as_str());
        let mut failures = Self {
            path: path.to_owned(),
            file: file.map_err(failed)?,
            kept: columns.iter().map(is_kept).collect(),
            number_column: input.number_column(),
            length: 0,
            is_empty: true,
        };
        let kept = columns.iter().filter(|name| is_kept(name)).map(String::as_str);
        failures.write(kept.chain(ADDED)).map_err(failed)?;
        Ok(failures)
    }

    /// Writes the number if it failed and may be sent to again. `fields` are those of its record, if there are any.
    ///
    /// # Errors
    /// Returns an error if the file can't be written.
    pub(super) fn take(
        &mut self,
        origin: &Origin,
        fields: &[String],
        outcome: &Outcome,
    ) -> Result<(), Error> {
        let Outcome::Failed { error, .. } = outcome else { return Ok(()) };
        let Failure { kind, code, message, explained, .. } = error;
        if matches!(kind, Kind::Unknown | Kind::Superseded | Kind::Erased | Kind::Stopped) {
            return Ok(());
        }
        let mut reason = not_a_formula(&on_one_line(message));
        let code = not_a_formula(code.as_deref().unwrap_or_default());
        let mut own: Vec<&str> = fields.iter().map(String::as_str).collect();
        if own.is_empty() {
            own.resize(self.kept.len(), "");
            own[self.number_column] = &origin.phone_number;
            if origin.phone_number.is_empty() {
                reason = origin.within_line(reason);
            }
        }
        if *kind == Kind::InvalidLine && own.len() != self.kept.len() {
            // All its fields stay, and with the reason behind the last column they are too many.
            own.resize(own.len().max(self.kept.len() + ADDED.len()), "");
        } else {
            own.resize(self.kept.len(), "");
            let mut kept = self.kept.iter();
            own.retain(|_| kept.next() == Some(&true));
        }
        let cause = explained.cause.map(|cause| cause.to_string()).unwrap_or_default();
        let added = [reason.as_str(), &code, &cause];
        let written = self.write(own.into_iter().chain(added));
        self.is_empty &= written.is_err();
        written.map_err(|error| {
            let message = format!("--failures {}: can't be written: {error}", self.path.display());
            Error::failed(message).caused_by(error)
        })
    }

    /// Writes a record at once. What isn't written whole is taken back.
    fn write<'a>(&mut self, record: impl Iterator<Item = &'a str>) -> io::Result<()> {
        let line = csv_line(record);
        let written = self.file.write_all(line.as_bytes());
        match &written {
            Ok(()) => self.length += line.len() as u64,
            Err(_) => _ = self.file.set_len(self.length),
        }
        written
    }

    /// Returns whether the file is still at its path.
    fn is_at_path(&self) -> io::Result<bool> {
        let (ours, other) = (self.file.metadata()?, self.path.symlink_metadata()?);
        Ok((ours.dev(), ours.ino()) == (other.dev(), other.ino()))
    }
}

impl Drop for FailureFile {
    fn drop(&mut self) {
        if self.is_empty && self.is_at_path().unwrap_or(false) {
            // A file that stays is empty but for its heading.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_spreadsheet_would_compute_begins_with_a_quotation_mark() {
        for (text, written) in [
            ("=1+1", "'=1+1"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("1 + 1 = 2", "1 + 1 = 2"),
            ("", ""),
        ] {
            assert_eq!(not_a_formula(text), written);
        }
    }
}
