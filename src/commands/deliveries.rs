//! `deliveries`: the ledger, newest first.

use anstyle::AnsiColor;
use chrono::{DateTime, TimeDelta, Utc};
use clap::ValueEnum;

use super::Context;
use super::listing::{self, BackendParser, Listing, ListingArgs};
use crate::backends::Cause;
use crate::exit::{Error, Exit};
use crate::model::{Delivery, DeliveryState};
use crate::output::{Column, Value};
use crate::service::diagnosis::ExplainedDelivery;
use crate::settings::Settings;
use crate::store::{DeliveryFilter, Rows, Store, StoreError, Visit};

/// The arguments of `deliveries`.
#[derive(Debug, clap::Args)]
pub struct DeliveriesArgs {
    /// Show only deliveries to these numbers; 4 or more last digits stand for the numbers that end
    /// so
    #[arg(value_name = "PHONE_NUMBER")]
    phone_numbers: Vec<String>,
    /// Show only deliveries to this number
    #[arg(long)]
    phone_number: Option<String>,
    /// Show only what failed: the states rejected, unavailable and undelivered
    #[arg(long, conflicts_with = "state")]
    failed: bool,
    /// Show only deliveries in these states
    #[arg(long, value_enum, value_delimiter = ',')]
    state: Vec<DeliveryState>,
    /// Show only deliveries with this code of the provider, such as 30007
    #[arg(long)]
    code: Option<String>,
    /// Show only failures that this is responsible for
    #[arg(long, value_enum)]
    cause: Option<Cause>,
    /// Show only deliveries through this backend, by its canonical name
    #[arg(long, value_name = "NAME", value_parser = BackendParser)]
    backend: Option<String>,
    #[command(flatten)]
    listing: ListingArgs,
    /// Show these columns, in this order
    #[arg(long, value_enum, value_delimiter = ',', value_name = "COLUMNS")]
    columns: Vec<DeliveryColumn>,
}

/// The columns of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum DeliveryColumn {
    Id,
    VerificationId,
    PhoneNumber,
    Backend,
    State,
    MessageId,
    ErrorCode,
    ErrorMessage,
    Cause,
    Explanation,
    Next,
    Segments,
    Tries,
    Language,
    VerifiedAt,
    CreatedAt,
    UpdatedAt,
    /// What happened: the explanation, or else the provider's words
    Reason,
}

impl Column for DeliveryColumn {
    type Row = ExplainedDelivery;

    fn value(self, row: &ExplainedDelivery) -> Value<'_> {
        let ExplainedDelivery { delivery, explanation, .. } = row;
        let outcome = &delivery.outcome;
        match self {
            Self::Id => delivery.id.into(),
            Self::VerificationId => delivery.verification_id.to_string().into(),
            Self::PhoneNumber => delivery.phone_number.as_str().into(),
            Self::Backend => delivery.backend.as_str().into(),
            Self::State => outcome.state.to_string().into(),
            Self::MessageId => outcome.message_id.as_deref().into(),
            Self::ErrorCode => outcome.error_code.as_deref().into(),
            Self::ErrorMessage => outcome.error_message.as_deref().into(),
            Self::Cause => explanation.cause.map(|cause| cause.to_string()).into(),
            Self::Explanation => explanation.explanation.as_deref().into(),
            Self::Next => explanation.next.as_deref().into(),
            Self::Segments => delivery.segments.into(),
            Self::Tries => delivery.tries.into(),
            Self::Language => delivery.language.as_deref().into(),
            Self::VerifiedAt => delivery.verified_at.into(),
            Self::CreatedAt => delivery.created_at.into(),
            Self::UpdatedAt => delivery.updated_at.into(),
            Self::Reason => {
                let words = explanation.explanation.as_deref();
                let words = words.or(outcome.error_message.as_deref()).unwrap_or_default();
                Value::Prose(words.into())
            }
        }
    }

    fn color(self, row: &ExplainedDelivery) -> Option<AnsiColor> {
        match (self, row.delivery.outcome.state) {
            (Self::State, state) if state.has_failed() => Some(AnsiColor::Red),
            (Self::State, DeliveryState::Delivered) => Some(AnsiColor::Green),
            (Self::State, DeliveryState::Unknown) => Some(AnsiColor::Yellow),
            _ => None,
        }
    }
}

/// Runs `deliveries`.
///
/// # Errors
/// Returns an error if the arguments can't be followed, the database can't be read, or stdout can't be written.
pub fn run(args: &DeliveriesArgs, context: &mut Context<'_>) -> Result<Exit, Error> {
    use DeliveryColumn::*;
    let of_table = [CreatedAt, PhoneNumber, State, Backend, ErrorCode, Cause, Reason];
    let format = context.output.format();
    let columns = listing::columns(&args.columns, format, &of_table, Some(Reason))?;
    let deliveries = Deliveries { filter: filter(args, context)?, cause: args.cause };
    listing::run(&deliveries, &args.listing, columns, context)
}

fn filter(args: &DeliveriesArgs, context: &Context<'_>) -> Result<DeliveryFilter, Error> {
    let mut numbers = context.number_patterns(&args.phone_numbers, &args.listing.options())?;
    if let Some(text) = &args.phone_number {
        numbers.push(context.lookup_number(text)?.into());
    }
    Ok(DeliveryFilter {
        numbers,
        states: if args.failed { DeliveryState::FAILED.to_vec() } else { args.state.clone() },
        error_code: args.code.clone(),
        backend: args.backend.clone(),
        ..DeliveryFilter::default()
    })
}

/// The deliveries that a list shows.
struct Deliveries {
    filter: DeliveryFilter,
    cause: Option<Cause>,
}

impl Deliveries {
    /// Returns the filter for what was sent `from` then on.
    fn filter_from(&self, created_from: Option<DateTime<Utc>>) -> DeliveryFilter {
        DeliveryFilter { created_from, ..self.filter.clone() }
    }
}

impl Listing for Deliveries {
    type Item = Delivery;
    type Column = DeliveryColumn;
    /// Its id, when it last changed, and when its code was verified.
    type Key = (i64, DateTime<Utc>, Option<DateTime<Utc>>);

    const NOUN: &'static str = "delivery";
    /// Within this time, most deliveries have got their last state.
    const LATE_FOR: TimeDelta = TimeDelta::minutes(5);

    fn visit(
        &self,
        store: &mut dyn Store,
        _now: DateTime<Utc>,
        from: Option<DateTime<Utc>>,
        limit: u64,
        visit: &mut Visit<'_, Delivery>,
    ) -> Result<(), StoreError> {
        let limit = if self.cause.is_some() { u64::MAX } else { limit };
        store.deliveries(&self.filter_from(from), limit, visit)
    }

    fn count(
        &self,
        store: &mut dyn Store,
        _now: DateTime<Utc>,
        from: Option<DateTime<Utc>>,
    ) -> Result<Option<u64>, StoreError> {
        // What a code means isn't in the database.
        let counts = self.cause.is_none();
        counts.then(|| store.count(&Rows::Deliveries(self.filter_from(from)))).transpose()
    }

    fn problem(&self, store: &mut dyn Store) -> Result<Option<String>, StoreError> {
        store.ledger_problem()
    }

    fn row(
        &self,
        delivery: Delivery,
        settings: &Settings,
        _now: DateTime<Utc>,
    ) -> Option<ExplainedDelivery> {
        let row = ExplainedDelivery::new(delivery, settings);
        let is_meant = self.cause.is_none_or(|cause| row.explanation.cause == Some(cause));
        is_meant.then_some(row)
    }

    fn key(row: &ExplainedDelivery) -> (Self::Key, DateTime<Utc>) {
        let Delivery { id, updated_at, verified_at, created_at, .. } = row.delivery;
        ((id, updated_at, verified_at), created_at)
    }
}
