//! `status`: one number's records and deliveries, why its code can't be verified, and what to do next.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Context, fixed_line_note, network_runtime, no_call_warning};
use crate::backends::{Explanation, explain};
use crate::exit::{Error, Exit};
use crate::model::{
    Delivery, DeliveryOutcome, DeliveryState, ListedRecord, NumberType, Period, PhoneNumber,
    SmsVerification, counted, distance, latest, timestamp, words,
};
use crate::output::{Report, time_and_distance};
use crate::service::arrival::{self, Arrival};
use crate::service::diagnosis::{Advice, Verdict, advice, verdict};
use crate::service::providers;
use crate::service::verification::WRONG_CODES_COUNT_FOR;
use crate::settings::Settings;
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
    wrong_codes: Option<u32>,
    wrong_codes_allowed: Option<u32>,
    records: Vec<RecordReport>,
    deliveries: Vec<DeliveryReport>,
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
struct DeliveryReport {
    #[serde(flatten)]
    delivery: Delivery,
    /// The backend, as the settings call it.
    #[serde(skip)]
    backend: String,
    #[serde(flatten)]
    explanation: Explanation,
}

impl Report for StatusReport<'_> {
    fn text(&self) -> String {
        let Self { phone_number, number_type, message, next, now, .. } = self;
        let time = |time| time_and_distance(time, *now);
        let mut text = format!("{phone_number}: {message}\nnext: {next}");
        if let Some(number_type) = number_type {
            text += &format!("\ntype: {}", number_type.in_words());
        }
        if let (Some(count @ 1..), Some(allowed)) = (self.wrong_codes, self.wrong_codes_allowed) {
            text += &format!("\nwrong codes: {count} of {allowed} within 24 hours");
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
        for DeliveryReport { delivery, backend, explanation } in &self.deliveries {
            let DeliveryOutcome { state, message_id, error_code, error_message } =
                &delivery.outcome;
            // Others can write the ledger too.
            let [message_id, error_code, error_message] = [message_id, error_code, error_message]
                .map(|text| text.as_deref().map(words).filter(|text| !text.is_empty()));
            let calls = match delivery.tries {
                // The program was killed before it could count.
                0 => "no call was counted",
                1 => "called once",
                tries => &format!("called {tries} times"),
            };
            text += &format!(
                "\n\ndelivery  {} through {}, {calls}\n  began    {}",
                state,
                words(backend),
                time(delivery.created_at)
            );
            if let Some(message_id) = message_id {
                text += &format!("\n  message  {message_id}");
            }
            match (error_message, error_code) {
                (Some(reason), Some(code)) => text += &format!("\n  reason   {reason} ({code})"),
                (Some(reason), None) => text += &format!("\n  reason   {reason}"),
                (None, Some(code)) => text += &format!("\n  reason   error {code}"),
                (None, None) => {}
            }
            for (name, text_of_code) in
                [("meaning", &explanation.explanation), ("advice", &explanation.next)]
            {
                if let Some(sentence) = text_of_code {
                    text += &format!("\n  {name:7}  {sentence}");
                }
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
    let now = context.clock.now();
    let (history, damaged) = look_up(&mut *store, &phone_number, &context.settings, now)?;
    let report = report(&phone_number, history, &context.settings, now);
    context.output.report(&report)?;
    if report.records.iter().any(|record| record.created_at > latest(now)) {
        context.output.warning(
            "a record is from the future, so it counts as expired: compare the clocks of the machines that send",
        );
    }
    if report.number_type == Some(NumberType::FixedLine) {
        context.output.progress(&fixed_line_note(phone_number.as_str()));
    }
    let exit = context.report_damage(&damaged, "left out");
    Ok(if is_refreshed { exit } else { Exit::Failed })
}

/// What the database holds about a number.
struct History {
    /// The newest records, newest first.
    records: Vec<ListedRecord>,
    /// The newest record that isn't from the future.
    newest: Option<SmsVerification>,
    /// The newest deliveries, newest first.
    deliveries: Vec<Delivery>,
    /// The state of the newest delivery, if it can be read.
    newest_delivery: Option<DeliveryState>,
    /// How many wrong codes count, if they are limited.
    wrong_codes: Option<u32>,
}

/// Returns what the database holds about a number, and its damaged rows.
fn look_up(
    store: &mut dyn Store,
    phone_number: &PhoneNumber,
    settings: &Settings,
    now: DateTime<Utc>,
) -> Result<(History, Vec<DamagedRow>), Error> {
    let all = RecordFilter { phone_number: Some(phone_number.clone()), ..RecordFilter::default() };
    let (records, mut damaged) = split(newest_records(store, &all, MOST)?);
    let past = Period { from: DateTime::<Utc>::MIN_UTC, until: latest(now) };
    let past = RecordFilter { created_in: Some(past), ..all };
    let (newest, _) = split(newest_records(store, &past, 1)?);
    let rows = store.deliveries(phone_number, MOST)?;
    // If the newest message can't be read, the state of an older one doesn't stand in for it.
    let newest_delivery = rows.first().and_then(|newest| Some(newest.as_ref().ok()?.outcome.state));
    let (deliveries, damaged_deliveries) = split(rows);
    damaged.extend(damaged_deliveries);
    let counting = Period::last(WRONG_CODES_COUNT_FOR, now);
    let limit = settings.limits.max_wrong_codes_per_number_per_day;
    let wrong_codes = limit.map(|_| store.wrong_codes(phone_number, counting)).transpose()?;
    let newest = newest.into_iter().next().map(|newest| newest.record);
    Ok((History { records, newest, deliveries, newest_delivery, wrong_codes }, damaged))
}

/// Returns the newest `most` records that `filter` selects, newest first, and the damaged ones among them.
fn newest_records(
    store: &mut dyn Store,
    filter: &RecordFilter,
    most: usize,
) -> Result<Vec<Result<ListedRecord, DamagedRow>>, Error> {
    let mut rows = Vec::new();
    store.list(filter, most as u64, &mut |page| {
        rows.extend(page);
        rows.len() < most
    })?;
    rows.truncate(most);
    Ok(rows)
}

/// Returns the rows that could be read, and those that are damaged.
fn split<T>(rows: Vec<Result<T, DamagedRow>>) -> (Vec<T>, Vec<DamagedRow>) {
    let mut damaged = Vec::new();
    let readable = rows.into_iter().filter_map(|row| row.map_err(|row| damaged.push(row)).ok());
    (readable.collect(), damaged)
}

fn report<'a>(
    phone_number: &'a PhoneNumber,
    history: History,
    settings: &Settings,
    now: DateTime<Utc>,
) -> StatusReport<'a> {
    let History { records, newest, deliveries, newest_delivery, wrong_codes } = history;
    let lifetime = settings.code_lifetime;
    let verdict =
        verdict(newest.as_ref(), newest_delivery, wrong_codes.unwrap_or(0), settings, now);
    let records: Vec<_> = records
        .into_iter()
        .map(|ListedRecord { record, delivery }| RecordReport {
            id: record.id,
            is_verified: record.is_verified,
            is_valid: !record.is_expired(lifetime, now),
            failed_attempts: record.failed_attempts,
            created_at: record.created_at,
            expires_at: record.expires_at(lifetime),
            delivery,
        })
        .collect();
    let expires_at = newest.map(|newest| newest.expires_at(lifetime));
    let in_words = |delivery| explain_delivery(delivery, settings);
    let deliveries: Vec<_> = deliveries.into_iter().map(in_words).collect();
    let advice = advice(verdict, newest_delivery);
    // What the provider's code advises is more than that something has to be done.
    let of_code = deliveries.first().and_then(|delivery| delivery.explanation.next.clone());
    let of_code = of_code.filter(|_| advice == Advice::FixAndSendAgain);
    StatusReport {
        phone_number,
        number_type: phone_number.number_type(),
        verdict,
        message: message(verdict, expires_at, now),
        next: of_code.unwrap_or_else(|| next_step(advice, phone_number)),
        wrong_codes,
        wrong_codes_allowed: settings.limits.max_wrong_codes_per_number_per_day,
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
        Verdict::TooManyWrongCodes => {
            "the number has had too many wrong codes within 24 hours, so none is compared"
                .to_owned()
        }
        Verdict::Used => "the code was used already".to_owned(),
        Verdict::NeverAccepted => "no provider accepted the last message".to_owned(),
        Verdict::None => "there is no code".to_owned(),
    }
}

fn next_step(advice: Advice, phone_number: &PhoneNumber) -> String {
    match advice {
        Advice::Verify => format!("phone-verify verify {phone_number} --any-session"),
        Advice::WaitUnlessKnown => format!(
            "wait, or if you know the person: phone-verify send {phone_number}, then phone-verify verify {phone_number} --any-session --ignore-limits"
        ),
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
    let calling = Arc::new(providers::calling(&context.settings, stop, context.clock.clone()));
    let backends =
        providers::connect(&context.settings, &calling).collect::<Result<Vec<_>, _>>()?;
    let runtime = network_runtime()?;
    let mut has_answers = true;
    let mut silent = BTreeSet::new();
    for (delivery, arrival) in arrival::refresh(store, &backends, &runtime, phone_number, MOST)? {
        let backend = context.settings.name_in_words(&delivery.backend);
        let message = format!("message {}", delivery.outcome.message_id.unwrap_or_default());
        match arrival {
            Some(Arrival::NoCall) => _ = silent.insert(backend),
            Some(Arrival::Unknown(Some(error))) => {
                has_answers = false;
                let problem = format!("{message}: {backend} does not report its state: {error}");
                let mut problem = Error::failed(problem);
                problem.hint = error.more_info;
                context.output.error(&problem);
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

fn explain_delivery(delivery: Delivery, settings: &Settings) -> DeliveryReport {
    // What a code means is only sure if the outcome is. The sender may have been another one.
    let known =
        delivery.outcome.error_code.as_deref().filter(|_| !delivery.outcome.state.is_unknown());
    let explanation = known.map(|code| explain(&delivery.backend, code, None));
    let explanation = explanation.unwrap_or_default();
    DeliveryReport { backend: settings.name_in_words(&delivery.backend), explanation, delivery }
}
