//! `copy`: copies records and ledger from one database to another.

use std::path::{Path, PathBuf, absolute};

use serde::Serialize;

use super::{migrate, report_damage};
use crate::exit::{Error, Exit};
use crate::model::{Delivery, SmsVerification, counted};
use crate::output::{Output, Report};
use crate::service::copying::{CopyCounts, CopyError, CopyRow, Copying};
use crate::store::{self, Database, LedgerIds};
use crate::system::clock::Clock;

/// The arguments of `copy`.
#[derive(Debug, clap::Args)]
pub struct CopyArgs {
    /// Copy what this database holds: a file, or a PostgreSQL server's URL
    #[arg(long, value_name = "DATABASE")]
    from: PathBuf,
    /// Copy it to this database, which is created if it is a file
    #[arg(long, value_name = "DATABASE")]
    to: PathBuf,
    /// Keep what else the target holds, and give the copied deliveries new ids
    #[arg(long)]
    merge: bool,
}

#[derive(Debug, Default, Serialize)]
struct CopyReport {
    copied: u64,
    copied_deliveries: u64,
    already_there: u64,
    already_there_deliveries: u64,
    damaged: u64,
}

impl Report for CopyReport {
    fn text(&self) -> String {
        let both = |records: u64, deliveries: u64| {
            format!("{} and {}", counted(records, "record"), counted(deliveries, "delivery"))
        };
        let copied = format!("Copied {}.", both(self.copied, self.copied_deliveries));
        match (self.already_there, self.already_there_deliveries) {
            (0, 0) => copied,
            (records, deliveries) => {
                format!("{copied} The target had {} already.", both(records, deliveries))
            }
        }
    }
}

/// Runs `copy`.
///
/// # Errors
/// Returns an error if the arguments can't be followed, if one of the databases can't be used, if the target holds other rows, or
/// if it doesn't hold the same in the end.
pub fn run(args: &CopyArgs, output: &mut Output, clock: &Clock) -> Result<Exit, Error> {
    let from = database("--from", &args.from)?;
    let to = database("--to", &args.to)?;
    log::info!("the databases are {from} and {to}");
    let hints_name = |database: &Database, output: &mut Output| {
        output.repeat_options(&[("--database", database.to_string().into())]);
    };
    hints_name(&from, output);
    let same = || Error::usage(format!("--from and --to name the same database, {to}"));
    let missing = || match [&from, &to].map(|database| database.file().map(absolute)) {
        [Some(Ok(from)), Some(Ok(to))] if from == to => same(),
        _ => Error::failed(format!("database {from}: it does not exist")).with_hint("check --from"),
    };
    let mut source = store::open_unchanged(&from, clock)?.ok_or_else(missing)?;
    // What keeps the target from being opened may be what `migrate` puts right.
    if let Some(mut target) = store::open_unchanged(&to, clock).unwrap_or_default()
        && target.identity()? == source.identity()?
    {
        return Err(same());
    }
    hints_name(&to, output);
    migrate::show_notes(&store::migrate(&to)?, output);
    let mut target = store::open(&to, clock)?;
    hints_name(&from, output);
    let ids = if args.merge { LedgerIds::New } else { LedgerIds::Kept };
    let further = source.further_columns()?;
    if !further.is_empty() {
        let further = further.join(", ");
        output.warning(&format!(
            "database {from}: columns that others added aren't copied: {further}"
        ));
    }
    let mut copying = Copying { source: &mut *source, target: &mut *target, ids };
    if !args.merge {
        refuse_others::<SmsVerification>(&mut copying, &from, &to)?;
        refuse_others::<Delivery>(&mut copying, &from, &to)?;
    }
    let report = copy(&mut copying, output).map_err(|error| explain(error, &from, &to))?;
    output.report(&report)?;
    Ok(if report.damaged == 0 { Exit::Done } else { Exit::Failed })
}

fn database(option: &str, text: &Path) -> Result<Database, Error> {
    Database::from_argument(text.as_os_str())
        .map_err(|error| Error::usage(format!("{option}: {error}")))
}

/// Returns an error if the target holds rows that the source doesn't hold.
fn refuse_others<R: CopyRow>(
    copying: &mut Copying<'_>,
    from: &Database,
    to: &Database,
) -> Result<(), Error> {
    let Some(id) = copying.find_other::<R>()? else { return Ok(()) };
    let problem = format!("database {to}: it holds a {} that is not in {from}: {id}", R::NOUN);
    Err(Error::failed(problem).with_hint("name a new database, or add --merge to keep both"))
}

/// Copies everything, and checks that it is the same in both databases.
fn copy(copying: &mut Copying<'_>, output: &Output) -> Result<CopyReport, CopyError> {
    let mut total = 0;
    for rows in [SmsVerification::all(), Delivery::all()] {
        total += copying.source.count(&rows)?;
    }
    let mut report = CopyReport::default();
    let mut bar = output.progress_bar(total);
    let mut progress = |rows: usize, damaged: &[_]| {
        report_damage(output, damaged, "left out");
        report.damaged += damaged.len() as u64;
        bar.advance(rows as u64, "copying");
    };
    // First of all, so that no number is without them.
    copying.copy_wrong_codes(&mut progress)?;
    let records = copying.copy::<SmsVerification>(&mut progress)?;
    let deliveries = copying.copy::<Delivery>(&mut progress)?;
    drop(bar);
    let mut bar = output.progress_bar(total);
    let mut progress = |rows: usize| bar.advance(rows as u64, "checking");
    copying.verify::<SmsVerification>(&records, &mut progress)?;
    copying.verify::<Delivery>(&deliveries, &mut progress)?;
    (report.copied, report.already_there) = (records.copied, records.already_there);
    let CopyCounts { copied, already_there, .. } = deliveries;
    (report.copied_deliveries, report.already_there_deliveries) = (copied, already_there);
    Ok(report)
}

fn explain(error: CopyError, from: &Database, to: &Database) -> Error {
    match error {
        CopyError::Store(error) => error.into(),
        CopyError::Differs(noun, id) => {
            Error::failed(format!("the {noun} {id} is not the same in {from} and {to}")).with_hint(
                "it has changed since it was copied; copy to a new database while nothing writes to the old one",
            )
        }
        CopyError::SourceChanged => {
            Error::failed(format!("{from} has changed while it was copied to {to}"))
                .with_hint("run it again while nothing writes to the database that is copied")
        }
        CopyError::TargetChanged => {
            Error::failed(format!("{to} does not hold the same as {from} after the copy"))
                .with_hint("let nothing else write to it, also no trigger, and run it again")
        }
    }
}
