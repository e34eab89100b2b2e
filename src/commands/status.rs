//! `status`: one screen on one number: its records, its deliveries, why a code can't be verified, and what to do next.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Context, network_runtime};
use crate::exit::{Error, Exit};
use crate::model::{
    Delivery, DeliveryState, ListedRecord, PhoneNumber, counted, distance, timestamp,
};
use crate::output::{Report, time_and_distance};
use crate::service::arrival::{self, Arrival};
use crate::service::diagnosis::{Advice, Verdict, advice, verdict};
use crate::service::providers;
use crate::store::{DamagedRow, RecordFilter, Store};

/// The most records and deliveries that fit on one screen.
const MOST: usize = 10;

/// The arguments of `status`.
#[derive(Debug, clap::Args)]
pub struct StatusArgs {
    /// Phone number to look at
    #[arg(value_name = "PHONE_NUMBER")]
    phone_number: String,
    /// Ask the provider what became of the messages, and store its answer
    #[arg(long)]
    refresh: bool,
}

#[derive(Debug, Serialize)]
struct StatusReport<'a> {
    phone_number: &'a PhoneNumber,
    verdict: Verdict,
    message: String,
    next: String,
    records: Vec<RecordReport>,
    deliveries: Vec<DeliveryReport<'a>>,
    #[serde(skip)]
    now: DateTime<Utc>,
}

#[derive(Debug, Serialize)]
struct RecordReport {
    id: Uuid,
    is_verified: bool,
    is_valid: bool,
    failed_attempts: u32,
    #[serde(with = "timestamp")]
    created_at: DateTime<Utc>,
    #[serde(with = "timestamp")]
    expires_at: DateTime<Utc>,
    delivery: Option<DeliveryState>,
}

#[derive(Debug, Serialize)]
struct DeliveryReport<'a> {
    id: i64,
    verification_id: Uuid,
    backend: &'a str,
    state: DeliveryState,
    message_id: Option<&'a str>,
    error_code: Option<&'a str>,
    error_message: Option<&'a str>,
    segments: u32,
    tries: u32,
    #[serde(with = "timestamp")]
    created_at: DateTime<Utc>,
    #[serde(with = "timestamp")]
    updated_at: DateTime<Utc>,
}

impl<'a> From<&'a Delivery> for DeliveryReport<'a> {
    fn from(delivery: &'a Delivery) -> Self {
        Self {
            id: delivery.id,
            verification_id: delivery.verification_id,
            backend: &delivery.backend,
            state: delivery.outcome.state,
            message_id: delivery.outcome.message_id.as_deref(),
            error_code: delivery.outcome.error_code.as_deref(),
            error_message: delivery.outcome.error_message.as_deref(),
            segments: delivery.segments,
            tries: delivery.tries,
            created_at: delivery.created_at,
            updated_at: delivery.updated_at,
        }
    }
}

impl Report for StatusReport<'_> {
    fn text(&self) -> String {
        let Self { phone_number, message, next, now, .. } = self;
        let time = |time| time_and_distance(time, *now);
        let mut text = format!("{phone_number}: {message}\nnext: {next}");
        for record in &self.records {
            let state = if record.is_verified { "verified" } else { "not verified" };
            text += &format!(
                "\n\nrecord    {}\n  {state}, {}\n  created  {}\n  expires  {}",
                record.id,
                counted(record.failed_attempts, "failed attempt"),
                time(record.created_at),
                time(record.expires_at)
            );
        }
        for delivery in &self.deliveries {
            let calls = match delivery.tries {
                // A program that was killed could not count.
                0 => "no call was counted",
                1 => "called once",
                tries => &format!("called {tries} times"),
            };
            text += &format!(
                "\n\ndelivery  {} through {}, {calls}\n  began    {}",
                delivery.state,
                delivery.backend,
                time(delivery.created_at)
            );
            if let Some(message_id) = delivery.message_id {
                text += &format!("\n  message  {message_id}");
            }
            match (delivery.error_message, delivery.error_code) {
                (Some(words), Some(code)) => text += &format!("\n  reason   {words} ({code})"),
                (Some(reason), None) => text += &format!("\n  reason   {reason}"),
                (None, Some(code)) => text += &format!("\n  reason   error {code}"),
                (None, None) => {}
            }
        }
        text
    }
}

/// Runs `status`.
///
/// # Errors
/// Returns an error if the arguments can't be followed or the database can't be used.
pub fn run(args: &StatusArgs, context: &mut Context<'_>) -> Result<Exit, Error> {
    let phone_number = context.lookup_number(&args.phone_number)?;
    let mut store = context.open_store()?;
    if let Some(problem) = store.ledger_problem() {
        context.output.warning(&format!("{problem}: what became of messages is not known"));
    }
    let is_told = !args.refresh || refresh(&mut *store, &phone_number, context)?;
    let (records, mut damaged) = records_of(&mut *store, &phone_number)?;
    let mut deliveries = Vec::new();
    let found = store.deliveries(&phone_number, MOST)?;
    // What became of an older message says nothing about a newest one that can't be read.
    let newest = found.first().and_then(|newest| Some(newest.as_ref().ok()?.outcome.state));
    for delivery in found {
        match delivery {
            Ok(delivery) => deliveries.push(delivery),
            Err(row) => damaged.push(row),
        }
    }
    let report = report(&phone_number, &records, &deliveries, newest, context);
    context.output.report(&report)?;
    for row in &damaged {
        context.output.error(&Error::failed(format!("{row}; the row is left out")));
    }
    Ok(if damaged.is_empty() && is_told { Exit::Done } else { Exit::Failed })
}

/// Returns the newest records of a number, and those among them that are damaged.
fn records_of(
    store: &mut dyn Store,
    phone_number: &PhoneNumber,
) -> Result<(Vec<ListedRecord>, Vec<DamagedRow>), Error> {
    let (mut records, mut damaged) = (Vec::new(), Vec::new());
    let filter =
        RecordFilter { phone_number: Some(phone_number.clone()), ..RecordFilter::default() };
    let mut left = MOST;
    store.list(&filter, MOST as u64, &mut |page| {
        for record in page.into_iter().take(left) {
            left -= 1;
            match record {
                Ok(record) => records.push(record),
                Err(row) => damaged.push(row),
            }
        }
        left > 0
    })?;
    Ok((records, damaged))
}

fn report<'a>(
    phone_number: &'a PhoneNumber,
    records: &[ListedRecord],
    deliveries: &'a [Delivery],
    newest_delivery: Option<DeliveryState>,
    context: &Context<'_>,
) -> StatusReport<'a> {
    let now = context.clock.now();
    let lifetime = context.settings.code_lifetime;
    let verdict = verdict(records, newest_delivery, &context.settings, now);
    let expires_at = records.first().map(|listed| listed.record.expires_at(lifetime));
    StatusReport {
        phone_number,
        verdict,
        message: message(verdict, expires_at, now),
        next: next_step(advice(verdict, newest_delivery), phone_number),
        records: records
            .iter()
            .map(|ListedRecord { record, delivery }| RecordReport {
                id: record.id,
                is_verified: record.is_verified,
                is_valid: !record.is_expired(lifetime, now),
                failed_attempts: record.failed_attempts,
                created_at: record.created_at,
                expires_at: record.expires_at(lifetime),
                delivery: *delivery,
            })
            .collect(),
        deliveries: deliveries.iter().map(DeliveryReport::from).collect(),
        now,
    }
}

fn message(verdict: Verdict, expires_at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> String {
    let when = expires_at.map(|expires_at| distance(expires_at, now)).unwrap_or_default();
    match verdict {
        Verdict::Verifiable => format!("the code can be verified; it expires {when}"),
        Verdict::Expired => format!("the code expired {when}"),
        Verdict::Locked => "the code is locked: too many wrong codes were tried".to_owned(),
        Verdict::Used => "the code was used already".to_owned(),
        Verdict::NeverAccepted => "no provider accepted the last message".to_owned(),
        Verdict::None => "there is no code".to_owned(),
    }
}

fn next_step(advice: Advice, phone_number: &PhoneNumber) -> String {
    match advice {
        Advice::Verify => format!("phone-verify verify {phone_number} --any-session"),
        Advice::AskThePerson => {
            "ask the person whether the SMS came; the code works if it did".to_owned()
        }
        Advice::SendAgain => format!("phone-verify send {phone_number}"),
        Advice::FixAndSendAgain => {
            format!("fix what the provider complains about, then phone-verify send {phone_number}")
        }
        Advice::Nothing => "nothing; the number is verified".to_owned(),
    }
}

/// Asks the providers of the settings what became of the messages that were accepted. Returns false where one did not tell;
/// the error is shown.
fn refresh(
    store: &mut dyn Store,
    phone_number: &PhoneNumber,
    context: &mut Context<'_>,
) -> Result<bool, Error> {
    let stop = CancellationToken::new();
    let calling = providers::calling(&context.settings, stop, context.clock.clone());
    let backends = providers::connect(&context.settings, calling).collect::<Result<Vec<_>, _>>()?;
    let runtime = network_runtime()?;
    let refreshed = arrival::refresh(store, &backends, &runtime, phone_number, MOST)?;
    let mut is_told = true;
    let mut silent = BTreeSet::new();
    for (delivery, arrival) in refreshed {
        let backend = delivery.backend;
        let message_id = delivery.outcome.message_id.unwrap_or_default();
        match arrival {
            Some(Arrival::NoCall) => {
                silent.insert(backend);
            }
            Some(Arrival::Unknown(Some(error))) => {
                is_told = false;
                let problem = format!("message {message_id}: {backend} does not tell: {error}");
                context.output.error(&Error::failed(problem));
            }
            Some(_) => {}
            None => context
                .output
                .warning(&format!("message {message_id}: the settings name no backend {backend}")),
        }
    }
    for backend in silent {
        let warning = format!("{backend} has no call that tells what became of a message");
        context.output.warning(&warning);
    }
    Ok(is_told)
}
