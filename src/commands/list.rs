//! `list`: the latest records, newest first.

use anstyle::AnsiColor;
use chrono::{DateTime, TimeDelta, Utc};
use clap::ValueEnum;

use super::Context;
use super::listing::{self, Listing, ListingArgs};
use crate::exit::{Error, Exit};
use crate::model::{
    ListedRecord, NumberPattern, Period, PhoneNumber, RecordState, digits_alone, expires_at,
};
use crate::output::{Column, Format, Value};
use crate::service::diagnosis::record_state;
use crate::settings::Settings;
use crate::store::{LookUp, RecordFilter, Rows, Store, StoreError, Visit};

/// The arguments of `list`.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// Show only records of these numbers; 4 or more last digits stand for the numbers that end so
    #[arg(value_name = "PHONE_NUMBER")]
    phone_numbers: Vec<String>,
    /// Show only records of this number
    #[arg(long)]
    phone_number: Option<String>,
    /// Show only records of numbers that end in these digits
    #[arg(long, value_name = "DIGITS", value_parser = parse_ending)]
    ending: Option<String>,
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
    #[command(flatten)]
    listing: ListingArgs,
    /// Show these columns, in this order
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        value_name = "COLUMNS",
        conflicts_with = "wide"
    )]
    columns: Vec<RecordColumn>,
    /// Add the columns id, expires_at and delivery to the table
    #[arg(long)]
    wide: bool,
    /// Show only the last two digits of numbers, and neither codes nor tokens; for a shared screen
    #[arg(long)]
    mask: bool,
}

/// The columns of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum RecordColumn {
    Id,
    PhoneNumber,
    SecurityCode,
    SessionToken,
    IsVerified,
    IsValid,
    FailedAttempts,
    CreatedAt,
    ModifiedAt,
    ExpiresAt,
    Delivery,
    State,
}

/// A record as it is shown.
struct RecordRow {
    listed: ListedRecord,
    state: RecordState,
    is_valid: bool,
    expires_at: DateTime<Utc>,
}

impl Column for RecordColumn {
    type Row = RecordRow;

    fn value(self, row: &RecordRow) -> Value<'_> {
        let record = &row.listed.record;
        match self {
            Self::Id => record.id.to_string().into(),
            Self::PhoneNumber => record.phone_number.as_str().into(),
            Self::SecurityCode => record.security_code.reveal().into(),
            Self::SessionToken => record.session_token.as_str().into(),
            Self::IsVerified => record.is_verified.into(),
            Self::IsValid => row.is_valid.into(),
            Self::FailedAttempts => record.failed_attempts.into(),
            Self::CreatedAt => record.created_at.into(),
            Self::ModifiedAt => record.modified_at.into(),
            Self::ExpiresAt => row.expires_at.into(),
            Self::Delivery => row.listed.delivery.map(|state| state.to_string()).into(),
            Self::State => row.state.to_string().into(),
        }
    }

    fn color(self, row: &RecordRow) -> Option<AnsiColor> {
        match self {
            Self::State => Some(match row.state {
                RecordState::Live => AnsiColor::Green,
                RecordState::Locked | RecordState::Undelivered => AnsiColor::Red,
                RecordState::Expired | RecordState::Superseded => AnsiColor::Yellow,
                RecordState::Used => AnsiColor::Cyan,
            }),
            _ => None,
        }
    }
}

/// Runs `list`.
///
/// # Errors
/// Returns an error if the arguments can't be followed, the database can't be read, or stdout can't be written.
pub fn run(args: &ListArgs, context: &mut Context<'_>) -> Result<Exit, Error> {
    let columns = columns(args, context.output.format())?;
    let records = Records {
        filter: filter(args, context)?,
        is_valid: (args.valid || args.expired).then_some(args.valid),
        code_lifetime: context.settings.code_lifetime,
        is_masked: args.mask,
        columns: columns.clone(),
    };
    listing::run(&records, &args.listing, columns, context)
}

fn columns(args: &ListArgs, format: Format) -> Result<Vec<RecordColumn>, Error> {
    use RecordColumn::*;
    let is_secret = |column: &RecordColumn| matches!(column, SecurityCode | SessionToken);
    let mut of_table = vec![State];
    of_table.extend(args.wide.then_some(Id));
    of_table.extend([PhoneNumber, SecurityCode, IsVerified, IsValid, FailedAttempts, CreatedAt]);
    of_table.extend(args.wide.then_some([ExpiresAt, Delivery]).into_iter().flatten());
    let mut columns = listing::columns(&args.columns, format, &of_table, None)?;
    if let Some(column) = args.columns.iter().find(|it| is_secret(it)).filter(|_| args.mask) {
        let problem = format!("--columns: --mask hides the column {}", column.name());
        return Err(Error::usage(problem));
    }
    columns.retain(|column| !(args.mask && is_secret(column)));
    Ok(columns)
}

fn filter(args: &ListArgs, context: &Context<'_>) -> Result<RecordFilter, Error> {
    let mut numbers = context.number_patterns(&args.phone_numbers, &args.listing.options())?;
    if let Some(text) = &args.phone_number {
        numbers.push(context.lookup_number(text)?.into());
    }
    numbers.extend(args.ending.clone().map(NumberPattern::Ending));
    Ok(RecordFilter {
        numbers,
        is_verified: (args.verified || args.unverified).then_some(args.verified),
        min_failed_attempts: args.locked.then_some(context.settings.max_failed_attempts),
        ..RecordFilter::default()
    })
}

fn parse_ending(text: &str) -> Result<String, &'static str> {
    digits_alone(text).ok_or("it has to be digits")
}

/// The records that a list shows.
struct Records {
    filter: RecordFilter,
    /// Whether their codes have not expired, or have.
    is_valid: Option<bool>,
    code_lifetime: TimeDelta,
    is_masked: bool,
    /// What is shown. The rest need not be looked up.
    columns: Vec<RecordColumn>,
}

impl Records {
    /// Returns the filter for what is valid or expired at `now`, and was created `from` then on.
    fn filter_at(&self, now: DateTime<Utc>, from: Option<DateTime<Utc>>) -> RecordFilter {
        let valid = Period::last(self.code_lifetime, now);
        let mut filter = RecordFilter { created_from: from, ..self.filter.clone() };
        let shows = |column| self.columns.contains(&column);
        filter.look_up = LookUp {
            superseded_from: shows(RecordColumn::State).then_some(valid.from),
            // It also decides about the state of a record.
            delivery: shows(RecordColumn::State) || shows(RecordColumn::Delivery),
        };
        if self.is_valid == Some(true) {
            filter.created_from = filter.created_from.max(Some(valid.from));
            filter.created_until = Some(valid.until);
        }
        filter.created_outside = (self.is_valid == Some(false)).then_some(valid);
        filter
    }
}

impl Listing for Records {
    type Item = ListedRecord;
    type Column = RecordColumn;
    /// A record that was tried or verified isn't a new one.
    type Key = uuid::Uuid;

    const NOUN: &'static str = "record";
    const LATE_FOR: TimeDelta = TimeDelta::seconds(60);

    fn visit(
        &self,
        store: &mut dyn Store,
        now: DateTime<Utc>,
        from: Option<DateTime<Utc>>,
        limit: u64,
        visit: &mut Visit<'_, ListedRecord>,
    ) -> Result<(), StoreError> {
        store.list(&self.filter_at(now, from), limit, visit)
    }

    fn count(
        &self,
        store: &mut dyn Store,
        now: DateTime<Utc>,
        from: Option<DateTime<Utc>>,
    ) -> Result<Option<u64>, StoreError> {
        store.count(&Rows::Records(self.filter_at(now, from))).map(Some)
    }

    fn row(
        &self,
        mut listed: ListedRecord,
        settings: &Settings,
        now: DateTime<Utc>,
    ) -> Option<RecordRow> {
        let lifetime = settings.code_lifetime;
        if self.is_masked {
            listed.record.phone_number = masked(&listed.record.phone_number);
        }
        Some(RecordRow {
            state: record_state(&listed, settings, now),
            is_valid: !listed.record.is_expired(lifetime, now),
            expires_at: expires_at(listed.record.created_at, lifetime),
            listed,
        })
    }

    fn key(row: &RecordRow) -> (uuid::Uuid, DateTime<Utc>) {
        (row.listed.record.id, row.listed.record.created_at)
    }
}

/// Returns the number with nothing but its last two digits.
fn masked(number: &PhoneNumber) -> PhoneNumber {
    let number = number.as_str();
    let hidden = number.chars().count().saturating_sub(2);
    let masked = number.chars().enumerate().map(|(index, c)| match c {
        '+' => '+',
        _ if index < hidden => '*',
        c => c,
    });
    PhoneNumber::from_stored(masked.collect())
}
