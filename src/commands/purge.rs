//! `purge`: removes expired or old records; made for cron.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::{Context, parse_duration};
use crate::exit::{Error, Exit};
use crate::model::{counted, timestamp};
use crate::output::Report;
use crate::service::retention::Retention;

/// The arguments of `purge`.
#[derive(Debug, clap::Args)]
pub struct PurgeArgs {
    /// Remove records older than this, such as 30d or 12h
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true)]
    older_than: Option<String>,
    /// Let --older-than be shorter than a code lives, and so remove live codes
    #[arg(long, requires = "older_than", conflicts_with = "phone_number")]
    force: bool,
    /// Spare verified records
    #[arg(long)]
    unverified: bool,
    /// Remove all records of this number, live ones too
    #[arg(long, value_name = "PHONE_NUMBER", conflicts_with = "older_than")]
    phone_number: Option<String>,
    /// Count the records that would go, and remove none
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Serialize)]
struct PurgeReport {
    deleted: u64,
    dry_run: bool,
    #[serde(with = "timestamp")]
    cutoff: Option<DateTime<Utc>>,
}

impl Report for PurgeReport {
    fn text(&self) -> String {
        let deleted = if self.dry_run { "Would delete" } else { "Deleted" };
        format!("{deleted} {}.", counted(self.deleted, "record"))
    }
}

/// Runs `purge`.
///
/// # Errors
/// Returns an error if the arguments can't be followed or the database can't be used.
pub fn run(args: &PurgeArgs, context: &mut Context<'_>) -> Result<Exit, Error> {
    let retention = retention(args, context)?;
    let now = context.clock.now();
    let cutoff = retention
        .cutoff(&context.settings, now)
        .map_err(|error| Error::usage(format!("--older-than: {error}")))?;
    let filter = retention.filter(cutoff, args.unverified);
    let mut store = context.open_store()?;
    let deleted = if args.dry_run {
        store.count(&filter)?
    } else {
        let deleted = store.delete(&filter)?;
        let deliveries = retention.ledger_filter(&context.settings, args.unverified, now);
        if let Some(deliveries) = deliveries {
            store.delete_deliveries(&deliveries)?;
        }
        deleted
    };
    context.output.report(&PurgeReport { deleted, dry_run: args.dry_run, cutoff })?;
    let damaged = if cutoff.is_some() { store.damaged_times()? } else { Vec::new() };
    for row in &damaged {
        context.output.error(&Error::failed(format!("{row}; the row is kept")));
    }
    Ok(if damaged.is_empty() { Exit::Done } else { Exit::Failed })
}

fn retention(args: &PurgeArgs, context: &Context<'_>) -> Result<Retention, Error> {
    match (&args.phone_number, &args.older_than) {
        (Some(phone_number), _) => Ok(Retention::Erase(context.lookup_number(phone_number)?)),
        (None, Some(text)) => {
            let age = parse_duration(text)
                .map_err(|problem| Error::usage(format!("--older-than: {problem}")))?;
            check_age(age, args.force, context)?;
            Ok(Retention::OlderThan(age))
        }
        (None, None) => Ok(Retention::OfSettings),
    }
}

fn check_age(age: TimeDelta, is_forced: bool, context: &Context<'_>) -> Result<(), Error> {
    let lifetime = context.settings.code_lifetime;
    if age >= lifetime || is_forced {
        return Ok(());
    }
    let seconds = lifetime.num_seconds();
    Err(Error::usage(format!("--older-than: a code lives {seconds} s, so live codes would go"))
        .with_hint("name a longer duration, or add --force"))
}
