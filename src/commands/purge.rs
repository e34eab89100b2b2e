//! `purge`: removes expired or old records; made for cron.

use std::fmt::Display;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{Context, parse_duration};
use crate::exit::{Error, Exit};
use crate::model::{counted, timestamp};
use crate::output::Report;
use crate::service::retention::{Retention, rows_from_the_future};
use crate::store::Rows;

/// The arguments of `purge`. Clap's own usage line for `--force` alone has it beside a number, which is refused.
#[derive(Debug, clap::Args)]
#[command(override_usage = "phone-verify purge [OPTIONS] [PHONE_NUMBER]...")]
pub struct PurgeArgs {
    /// Remove all records of these numbers, even with valid codes
    #[arg(value_name = "PHONE_NUMBER", conflicts_with = "older_than")]
    phone_numbers: Vec<String>,
    /// Remove records older than this, such as 30d or 12h
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true)]
    older_than: Option<String>,
    /// Let --older-than be shorter than a code is valid, and so remove valid codes
    #[arg(long, requires = "older_than", conflicts_with_all = ["phone_number", "phone_numbers"])]
    force: bool,
    /// Keep verified records
    #[arg(long)]
    unverified: bool,
    /// Remove all records of this number, even with valid codes
    #[arg(long, conflicts_with = "older_than")]
    phone_number: Option<String>,
    /// Count what would be removed, and remove nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Serialize)]
struct PurgeReport {
    deleted: u64,
    deleted_deliveries: u64,
    deleted_wrong_codes: u64,
    dry_run: bool,
    #[serde(with = "timestamp")]
    cutoff: Option<DateTime<Utc>>,
}

impl Report for PurgeReport {
    fn text(&self) -> String {
        let deleted = if self.dry_run { "Would delete" } else { "Deleted" };
        let mut removed = vec![counted(self.deleted, "record")];
        for (count, what) in
            [(self.deleted_deliveries, "delivery"), (self.deleted_wrong_codes, "wrong code")]
        {
            removed.extend((count > 0).then(|| counted(count, what)));
        }
        let last = removed.pop().unwrap_or_default();
        match removed.join(", ").as_str() {
            "" => format!("{deleted} {last}."),
            others => format!("{deleted} {others} and {last}."),
        }
    }
}

/// Runs `purge`.
///
/// # Errors
/// Returns an error if the arguments can't be followed or the database can't be used.
pub fn run(args: &PurgeArgs, context: &mut Context<'_>) -> Result<Exit, Error> {
    let retention = retention(args, context)?;
    let mut store = context.open_store()?;
    let now = context.clock.now();
    let kept = retention.kept(&context.settings, now).map_err(older_than_error)?;
    let rows = retention.rows(&context.settings, kept, args.unverified, now);
    let mut count = |rows: Option<Rows>| match rows {
        None => Ok(0),
        Some(rows) if args.dry_run => store.count(&rows),
        Some(rows) => store.delete(&rows),
    };
    let counts = rows.map(&mut count);
    // One table that can't be changed spares neither the others nor the traces.
    let is_erasure = matches!(retention, Retention::Erase(_));
    let removes_traces = is_erasure && !args.dry_run;
    let traces = if removes_traces { store.remove_traces() } else { Ok(None) };
    let [deleted, deleted_deliveries, deleted_wrong_codes] = counts;
    context.output.report_unless_quiet(&PurgeReport {
        deleted: deleted?,
        deleted_deliveries: deleted_deliveries?,
        deleted_wrong_codes: deleted_wrong_codes?,
        dry_run: args.dry_run,
        cutoff: kept.map(|kept| kept.from),
    })?;
    if let Some(traces) = traces? {
        context.output.warning(&traces);
    }
    if kept.is_none() {
        return Ok(Exit::Done);
    }
    let [records, deliveries] = rows_from_the_future(now).map(|rows| store.count(&rows));
    let (records, deliveries) = (records?, deliveries?);
    if records + deliveries > 0 {
        let (records, deliveries) = (counted(records, "record"), counted(deliveries, "delivery"));
        context.output.warning(&format!(
            "{records} and {deliveries} are from the future, so they aren't old: check the clock of this machine and of those that send"
        ));
    }
    Ok(context.report_damage(&store.damaged_times()?, "kept"))
}

fn retention(args: &PurgeArgs, context: &Context<'_>) -> Result<Retention, Error> {
    let mut numbers = context.whole_numbers(&args.phone_numbers, &["--older-than "])?;
    if let Some(phone_number) = &args.phone_number {
        numbers.push(context.lookup_number(phone_number)?);
    }
    if !numbers.is_empty() {
        return Ok(Retention::Erase(numbers));
    }
    let Some(text) = &args.older_than else { return Ok(Retention::OfSettings) };
    let age = parse_duration(text).map_err(older_than_error)?;
    let lifetime = context.settings.code_lifetime;
    if age < lifetime && !args.force {
        let seconds = lifetime.num_seconds();
        let problem = format!("a code is valid for {seconds} s, so valid codes would be removed");
        return Err(older_than_error(problem).with_hint("name a longer duration, or add --force"));
    }
    Ok(Retention::OlderThan(age))
}

fn older_than_error(problem: impl Display) -> Error {
    Error::usage(format!("--older-than: {problem}"))
}
