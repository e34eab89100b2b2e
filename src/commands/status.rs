//! `status`: one number's records and deliveries, why its code can't be verified, and what to do next.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Context, fixed_line_note, network_runtime, no_call_warning};
use crate::exit::{Error, Exit};
use crate::model::{
    Delivery, DeliveryOutcome, DeliveryState, ListedRecord, NumberType, PhoneNumber, counted,
    distance, timestamp,
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
    phone_number: String,
    /// Ask the provider whether the messages arrived, and store its answer
    #[arg(long)]
    refresh: bool,
}

#[derive(Debug, Serialize)]
struct StatusReport<'a> {
    phone_number: &'a PhoneNumber,
    number_type: Option<NumberType>,
    verdict: Verdict,
    message: String,
    next: String,
    records: Vec<RecordReport>,
    deliveries: Vec<Delivery>,
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

impl Report for StatusReport<'_> {
    fn text(&self) -> String {
        let Self { phone_number, number_type, message, next, now, .. } = self;
        let time = |time| time_and_distance(time, *now);
        let mut text = format!("{phone_number}: {message}\nnext: {next}");
        if let Some(number_type) = number_type {
            text += &format!("\ntype: {}", number_type.in_words());
        }
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
            let DeliveryOutcome { state, message_id, error_code, error_message } =
                &delivery.outcome;
            let calls = match delivery.tries {
                // The program was killed before it could count.
                0 => "no call was counted",
                1 => "called once",
                tries => &format!("called {tries} times"),
            };
            text += &format!(
                "\n\ndelivery  {} through {}, {calls}\n  began    {}",
                state,
                delivery.backend,
                time(delivery.created_at)
            );
            if let Some(message_id) = message_id {
                text += &format!("\n  message  {message_id}");
            }
            match (error_message, error_code) {
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
/// Returns an error if the arguments are wrong or the database can't be used.
pub fn run(args: &StatusArgs, context: &mut Context<'_>) -> Result<Exit, Error> {
    let phone_number = context.lookup_number(&args.phone_number)?;
    let mut store = context.open_store()?;
    if let Some(problem) = store.ledger_problem() {
        context.output.warning(&format!("{problem}: the state of messages is not known"));
    }
    let is_refreshed = !args.refresh || refresh(&mut *store, &phone_number, context)?;
    let mut rows = Vec::new();
    let filter =
        RecordFilter { phone_number: Some(phone_number.clone()), ..RecordFilter::default() };
    store.list(&filter, MOST as u64, &mut |page| {
        rows.extend(page);
        rows.len() < MOST
    })?;
    rows.truncate(MOST);
    let (records, mut damaged) = split(rows);
    let rows = store.deliveries(&phone_number, MOST)?;
    // If the newest message can't be read, the state of an older one doesn't stand in for it.
    let newest = rows.first().and_then(|newest| Some(newest.as_ref().ok()?.outcome.state));
    let (deliveries, damaged_deliveries) = split(rows);
    damaged.extend(damaged_deliveries);
    let report = report(&phone_number, &records, deliveries, newest, context);
    context.output.report(&report)?;
    if report.number_type == Some(NumberType::FixedLine) {
        context.output.progress(&fixed_line_note(phone_number.as_str()));
    }
    let exit = context.report_damage(&damaged, "left out");
    Ok(if is_refreshed { exit } else { Exit::Failed })
}

/// Returns the rows that could be read, and those that are damaged.
fn split<T>(rows: Vec<Result<T, DamagedRow>>) -> (Vec<T>, Vec<DamagedRow>) {
    let mut damaged = Vec::new();
    let readable = rows.into_iter().filter_map(|row| row.map_err(|row| damaged.push(row)).ok());
    (readable.collect(), damaged)
}

fn report<'a>(
    phone_number: &'a PhoneNumber,
    records: &[ListedRecord],
    deliveries: Vec<Delivery>,
    newest_delivery: Option<DeliveryState>,
    context: &Context<'_>,
) -> StatusReport<'a> {
    let now = context.clock.now();
    let lifetime = context.settings.code_lifetime;
    let number_type = phone_number.number_type();
    let verdict = verdict(records, newest_delivery, &context.settings, now);
    let records: Vec<_> = records
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
        .collect();
    let expires_at = records.first().map(|record| record.expires_at);
    StatusReport {
        phone_number,
        number_type,
        verdict,
        message: message(verdict, expires_at, now),
        next: next_step(advice(verdict, newest_delivery), phone_number),
        records,
        deliveries,
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

/// Asks the providers of the settings whether the accepted messages arrived. Returns false and shows why if one doesn't answer.
fn refresh(
    store: &mut dyn Store,
    phone_number: &PhoneNumber,
    context: &mut Context<'_>,
) -> Result<bool, Error> {
    let stop = CancellationToken::new();
    let calling = providers::calling(&context.settings, stop, context.clock.clone());
    let backends = providers::connect(&context.settings, calling).collect::<Result<Vec<_>, _>>()?;
    let runtime = network_runtime()?;
    let mut has_answers = true;
    let mut silent = BTreeSet::new();
    for (delivery, arrival) in arrival::refresh(store, &backends, &runtime, phone_number, MOST)? {
        let backend = delivery.backend;
        let message = format!("message {}", delivery.outcome.message_id.unwrap_or_default());
        match arrival {
            Some(Arrival::NoCall) => _ = silent.insert(backend),
            Some(Arrival::Unknown(Some(error))) => {
                has_answers = false;
                let problem = format!("{message}: {backend} does not report its state: {error}");
                context.output.error(&Error::failed(problem));
            }
            Some(_) => {}
            None => context
                .output
                .warning(&format!("{message}: the settings name no backend {backend}")),
        }
    }
    for backend in silent {
        context.output.warning(&no_call_warning(&backend));
    }
    Ok(has_answers)
}
