//! `stats`: the ledger in figures.

use std::cmp::Reverse;

use anstyle::AnsiColor;
use chrono::{DateTime, NaiveTime, TimeDelta, Utc};
use clap::ValueEnum;

use super::Context;
use super::listing::{self, BackendParser};
use super::numbers::option_meant;
use super::since::{Since, parse_since};
use crate::backends::{BackendName, Cause};
use crate::exit::{Error, Exit};
use crate::model::{Delivery, grouped};
use crate::output::{Column, Format, Value};
use crate::service::pumping::PumpedPrefix;
use crate::service::statistics::{Counts, Group, Grouping, Statistics};
use crate::store::{DeliveryFilter, Store, separate_damaged};
use crate::system::waiting::Wait;

/// The days that are counted unless told otherwise.
const DAYS: i64 = 30;

/// The arguments of `stats`.
#[derive(Debug, clap::Args)]
pub struct StatsArgs {
    /// Group the deliveries by this
    #[arg(long, value_enum, default_value = "day")]
    by: Grouping,
    /// Count only what was sent since: a duration such as 24h, or a time such as
    /// 2026-11-23T07:46:40Z; by default the last 30 days
    #[arg(long, value_name = "DURATION|TIME", allow_hyphen_values = true)]
    since: Option<String>,
    /// Count only deliveries through this backend, by its canonical name
    #[arg(long, value_name = "NAME", value_parser = BackendParser)]
    backend: Option<String>,
    /// Show these columns, in this order
    #[arg(long, value_enum, value_delimiter = ',', value_name = "COLUMNS")]
    columns: Vec<StatsColumn>,
    /// What may have been meant for an option
    #[arg(hide = true)]
    surplus: Vec<String>,
}

/// The columns of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum StatsColumn {
    By,
    Group,
    Sent,
    Delivered,
    Undelivered,
    DeliveryRate,
    Verified,
    Conversion,
    Failed,
    FailedNumber,
    FailedAccount,
    FailedSender,
    FailedContent,
    FailedCarrier,
    FailedTemporary,
    FailedUnexplained,
    Unknown,
    Segments,
    /// What was sent, as a share of the largest group's
    Bar,
}

/// A group, or all of them together.
struct StatsRow {
    by: Grouping,
    group: Option<Group>,
    counts: Counts,
    /// How many the largest group has sent.
    largest: u64,
}

impl Column for StatsColumn {
    type Row = StatsRow;

    fn value(self, row: &StatsRow) -> Value<'_> {
        let StatsRow { by, group, counts, largest } = row;
        let share = |share: Option<f64>| share.map_or(Value::None, Value::Share);
        let failed = |cause| counts.failed.get(&cause).copied().unwrap_or_default().into();
        match self {
            Self::By => name(*by).into(),
            Self::Group => match group {
                None => TOTAL.into(),
                Some(group) => group.name().map_or(Value::Unnamed(unnamed(*by)), Value::from),
            },
            Self::Sent => counts.sent.into(),
            Self::Delivered => counts.delivered.into(),
            Self::Undelivered => counts.undelivered.into(),
            Self::DeliveryRate => share(counts.delivery_rate()),
            Self::Verified => counts.verified.into(),
            Self::Conversion => share(counts.conversion()),
            Self::Failed => counts.all_failed().into(),
            Self::FailedNumber => failed(Some(Cause::Number)),
            Self::FailedAccount => failed(Some(Cause::Account)),
            Self::FailedSender => failed(Some(Cause::Sender)),
            Self::FailedContent => failed(Some(Cause::Content)),
            Self::FailedCarrier => failed(Some(Cause::Carrier)),
            Self::FailedTemporary => failed(Some(Cause::Temporary)),
            Self::FailedUnexplained => failed(None),
            Self::Unknown => counts.unknown.into(),
            Self::Segments => counts.segments.into(),
            Self::Bar => match group {
                Some(_) => Value::Bar(counts.sent as f64 / (*largest).max(1) as f64),
                None => Value::None,
            },
        }
    }

    fn color(self, _row: &StatsRow) -> Option<AnsiColor> {
        (self == Self::Bar).then_some(AnsiColor::Cyan)
    }
}

/// The columns of a prefix that looks pumped, for scripts.
#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum PumpingColumn {
    Pumping,
    Sent,
    Verified,
    Conversion,
}

impl Column for PumpingColumn {
    type Row = PumpedPrefix;

    fn value(self, row: &PumpedPrefix) -> Value<'_> {
        match self {
            Self::Pumping => row.prefix.as_str().into(),
            Self::Sent => row.sent.into(),
            Self::Verified => row.verified.into(),
            Self::Conversion => Value::Share(row.conversion()),
        }
    }
}

/// What people see in place of the name of all groups together.
const TOTAL: &str = "total";

/// Returns what people see in place of the name of a group that has none.
fn unnamed(by: Grouping) -> &'static str {
    match by {
        Grouping::Language => "(default)",
        _ => "(none)",
    }
}

fn name(by: Grouping) -> String {
    by.to_possible_value().expect("no grouping is hidden").get_name().to_owned()
}

/// Runs `stats`.
///
/// # Errors
/// Returns an error if the arguments can't be followed, the database can't be read, or stdout can't be written.
pub fn run(args: &StatsArgs, context: &mut Context<'_>) -> Result<Exit, Error> {
    use StatsColumn::*;
    if let Some(word) = args.surplus.first() {
        // It may be a security code, so only a duration is repeated.
        let error = Error::usage("there is an argument that belongs to no option");
        return Err(match option_meant(word, &["--since "]) {
            Some(option) => error.with_hint(format!("{option}{word}")),
            None => error,
        });
    }
    let of_table = [Group, Sent, Bar, DeliveryRate, Verified, Conversion, Failed, Segments];
    let format = context.output.format();
    let columns = listing::columns(&args.columns, format, &of_table, Some(Bar))?;
    let since = args.since.as_deref().map(parse_since).transpose()?;
    let mut store = context.open_store()?;
    let now = context.clock.now();
    let filter = filter(args, since, now);
    let (statistics, exit) = count(args.by, &filter, now, &mut *store, context)?;
    drop(store);
    let (total, pumped) = (statistics.total().clone(), statistics.pumped());
    // If no code at all was verified, that says nothing: a site may verify them, and the ledger hasn't learnt of it.
    let pointed_out = if total.verified == 0 { &[][..] } else { &pumped };
    show_groups(args.by, statistics, columns, now, context)?;
    if context.output.format() == Format::Json {
        show_pumped_prefixes(pointed_out, now, context)?;
    } else {
        warn_of_pumping(pointed_out, context);
    }
    let is_text = context.output.format() == Format::Text;
    if is_text {
        show_notes(&total, context);
    }
    if total.verified == 0 && (!pumped.is_empty() || (is_text && total.sent > 0)) {
        context.output.progress(
            "no code is known to be verified; what a Django site verifies, the ledger learns \
             from `phone-verify migrate` and `phone-verify purge`",
        );
    }
    Ok(exit)
}

fn filter(args: &StatsArgs, since: Option<Since>, now: DateTime<Utc>) -> DeliveryFilter {
    let first_day = now.date_naive() - TimeDelta::days(DAYS - 1);
    let midnight = first_day.and_time(NaiveTime::MIN).and_utc();
    DeliveryFilter {
        backend: args.backend.clone(),
        created_from: Some(since.map_or(midnight, |since| since.at(now))),
        ..DeliveryFilter::default()
    }
}

/// Counts the deliveries that `filter` selects, and returns how the program ends.
fn count(
    by: Grouping,
    filter: &DeliveryFilter,
    now: DateTime<Utc>,
    store: &mut dyn Store,
    context: &Context<'_>,
) -> Result<(Statistics, Exit), Error> {
    if let Some(problem) = store.ledger_problem()? {
        context.output.warning(&format!("{problem}: nothing is counted"));
    }
    let _counting = Wait::start("counting the ledger");
    let mut statistics = Statistics::new(by, context.settings.code_lifetime, now);
    let mut exit = Exit::Done;
    // What a test number does says nothing about people.
    let is_counted =
        |delivery: &&Delivery| filter.backend.is_some() || delivery.backend != BackendName::TEST;
    store.deliveries(filter, u64::MAX, &mut |page| {
        let (deliveries, damaged) = separate_damaged(page);
        deliveries.iter().filter(is_counted).for_each(|delivery| statistics.add(delivery));
        exit = exit.and(context.report_damage(&damaged, "left out"));
        true
    })?;
    Ok((statistics, exit))
}

fn show_groups(
    by: Grouping,
    statistics: Statistics,
    columns: Vec<StatsColumn>,
    now: DateTime<Utc>,
    context: &mut Context<'_>,
) -> Result<(), Error> {
    let total = statistics.total().clone();
    let groups = statistics.into_groups();
    let largest = groups.iter().map(|(_, counts)| counts.sent).max().unwrap_or_default();
    let has_total = groups.len() > 1 && context.output.format() == Format::Text;
    let groups = groups.into_iter().map(|(group, counts)| (Some(group), counts));
    let mut writer = context.output.row_writer(columns, now);
    for (group, counts) in groups.chain(has_total.then_some((None, total))) {
        writer.take(&StatsRow { by, group, counts, largest });
    }
    context.output.write(&writer.finish_page())
}

fn show_pumped_prefixes(
    pumped: &[PumpedPrefix],
    now: DateTime<Utc>,
    context: &mut Context<'_>,
) -> Result<(), Error> {
    let mut writer = context.output.row_writer(PumpingColumn::value_variants().to_vec(), now);
    pumped.iter().for_each(|prefix| writer.take(prefix));
    context.output.write(&writer.finish_page())
}

fn warn_of_pumping(pumped: &[PumpedPrefix], context: &Context<'_>) {
    for PumpedPrefix { prefix, sent, verified } in pumped {
        let counts =
            format!("{} sent to {prefix}…, {} verified", grouped(*sent), grouped(*verified));
        context.output.warning(&format!("this looks like SMS pumping: {counts}"));
    }
    if !pumped.is_empty() {
        context.output.progress(
            "against pumping, set resend_cooldown_seconds, max_per_hour and allowed_regions in \
             [limits], and turn on the provider's fraud protection",
        );
    }
}

/// Shows what the table has no room for.
fn show_notes(total: &Counts, context: &Context<'_>) {
    let output = &context.output;
    if *total == Counts::default() {
        output.progress("no deliveries");
    }
    if total.all_failed() > 0 {
        let mut causes: Vec<_> = total.failed.iter().collect();
        causes.sort_by_key(|(cause, count)| (Reverse(*count), cause.is_none()));
        let causes = causes.into_iter().map(|(cause, count)| {
            let cause = cause.map_or("unexplained".to_owned(), |cause| cause.to_string());
            format!("{} {cause}", grouped(*count))
        });
        let causes = causes.collect::<Vec<_>>().join(", ");
        let failed = grouped(total.all_failed());
        let how = "`phone-verify deliveries --failed` says why";
        output.progress(&format!("{failed} failed ({causes}); {how}"));
    }
    if total.unknown > 0 {
        let unknown = grouped(total.unknown);
        output.progress(&format!("{unknown} more may or may not have been sent"));
    }
}
