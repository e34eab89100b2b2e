//! `list`: the latest records, newest first.

use chrono::{DateTime, Local, NaiveDate, NaiveDateTime, NaiveTime, Utc};

use super::{Context, parse_duration};
use crate::exit::{Error, Exit};
use crate::model::{NumberPattern, Period};
use crate::output::Format;
use crate::store::RecordFilter;

/// The arguments of `list`.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// Show only records of this number
    #[arg(long)]
    phone_number: Option<String>,
    /// Show only records whose code was verified
    #[arg(long, conflicts_with = "unverified")]
    verified: bool,
    /// Show only records whose code was not verified
    #[arg(long)]
    unverified: bool,
    /// Show only records whose code has not expired
    #[arg(long, conflicts_with = "expired")]
    valid: bool,
    /// Show only records whose code has expired
    #[arg(long)]
    expired: bool,
    /// Show only records that too many wrong codes have locked
    #[arg(long)]
    locked: bool,
    /// Show only records created since: a duration such as 2h, or a time such as
    /// 2026-11-23T07:46:40Z
    #[arg(long, value_name = "DURATION|TIME", allow_hyphen_values = true)]
    since: Option<String>,
    /// Show at most this many records
    #[arg(
        long,
        value_name = "N",
        default_value_t = 20,
        value_parser = parse_limit,
        allow_negative_numbers = true
    )]
    limit: u64,
    /// Show all records
    #[arg(long, conflicts_with = "limit")]
    all: bool,
    /// Add the columns id, expires_at and delivery to the table
    #[arg(long)]
    wide: bool,
}

/// Runs `list`.
///
/// # Errors
/// Returns an error if the arguments can't be followed, the database can't be read, or stdout can't be written.
pub fn run(args: &ListArgs, context: &mut Context<'_>) -> Result<Exit, Error> {
    let now = context.clock.now();
    let filter = filter(args, context, now)?;
    let mut store = context.open_store()?;
    let lifetime = context.settings.code_lifetime;
    let mut writer = context.output.record_writer(args.wide);
    let limit = if args.all { u64::MAX } else { args.limit };
    let (mut exit, mut has_records) = (Exit::Done, false);
    let mut written = Ok(());
    store.list(&filter, limit, &mut |page| {
        let mut damaged = Vec::new();
        for record in page {
            match record {
                Ok(record) => writer.take(&record, lifetime, now),
                Err(row) => damaged.push(row),
            }
        }
        let shown = writer.finish_page();
        has_records |= !shown.is_empty();
        written = context.output.write(&shown);
        if context.report_damage(&damaged, "left out") != Exit::Done {
            exit = Exit::Failed;
        }
        written.is_ok() && !context.output.is_closed()
    })?;
    written?;
    if !has_records && context.output.format() == Format::Text {
        context.output.progress("no records");
    }
    Ok(exit)
}

fn parse_limit(text: &str) -> Result<u64, &'static str> {
    let limit = text.parse().ok().filter(|limit| *limit > 0);
    limit.ok_or("it has to be a whole number, 1 or more; --all shows all records")
}

fn filter(
    args: &ListArgs,
    context: &Context<'_>,
    now: DateTime<Utc>,
) -> Result<RecordFilter, Error> {
    let valid = Period::last(context.settings.code_lifetime, now);
    let since = args.since.as_deref().map(|since| parse_since(since, now)).transpose()?;
    let number = args.phone_number.as_deref().map(|text| context.lookup_number(text));
    Ok(RecordFilter {
        numbers: number.transpose()?.into_iter().map(NumberPattern::Whole).collect(),
        is_verified: (args.verified || args.unverified).then_some(args.verified),
        min_failed_attempts: args.locked.then_some(context.settings.max_failed_attempts),
        created_from: since,
        created_in: args.valid.then_some(valid),
        created_outside: args.expired.then_some(valid),
    })
}

/// Reads a duration before `now`, or a time: RFC 3339, or a date and a time of day in the time zone of this machine.
fn parse_since(text: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>, Error> {
    let text = text.trim();
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(time.to_utc());
    }
    let formats =
        ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M"];
    let time = formats.iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
    let midnight =
        || Some(NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_time(NaiveTime::MIN));
    if let Some(time) = time.or_else(midnight) {
        let local = time.and_local_timezone(Local).earliest().map(|time| time.to_utc());
        return local
            .ok_or_else(|| Error::usage("--since: the clocks of this time zone skip this time"));
    }
    let since = parse_duration(text).ok().and_then(|duration| now.checked_sub_signed(duration));
    since.ok_or_else(|| {
        Error::usage("--since: use a duration such as 2h, or a time such as 2026-11-23T07:46:40Z")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::timestamp::to_rfc3339;

    #[test]
    fn since_takes_a_duration_or_a_time() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        assert_eq!(to_rfc3339(now), "2027-01-15T08:00:00.000000Z");
        for (text, expected) in [
            ("2h", "2027-01-15T06:00:00.000000Z"),
            ("1d 30m", "2027-01-14T07:30:00.000000Z"),
            ("2026-11-23T07:46:40.5+01:00", "2026-11-23T06:46:40.500000Z"),
        ] {
            assert_eq!(parse_since(text, now).map(to_rfc3339).unwrap(), expected, "{text}");
        }
        for text in ["2026-11-23", "2026-11-23 07:46", "2026-11-23T07:46:40"] {
            assert!(parse_since(text, now).is_ok(), "{text}");
        }
        for text in ["", "yesterday", "2026-13-01", "-2h", "0s", "99999999999999y"] {
            assert!(parse_since(text, now).is_err(), "{text}");
        }
    }
}
