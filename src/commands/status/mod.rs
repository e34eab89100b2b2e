//! `status`: one number's records and deliveries, why its code can't be verified, and what to do next.

mod report;

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use self::report::{RecordReport, StatusReport};
use super::{Context, fixed_line_note, network_runtime, no_call_warning};
use crate::exit::{Error, Exit};
use crate::model::{
    Delivery, ListedRecord, NumberPattern, Period, PhoneNumber, SmsVerification, distance, latest,
    with_code, words,
};
use crate::service::admission::AdmissionRules;
use crate::service::arrival::{self, Arrival};
use crate::service::diagnosis::{Advice, ExplainedDelivery, NumberFacts, Verdict, record_state};
use crate::service::providers;
use crate::service::recipient::Routes;
use crate::service::verification::WRONG_CODES_COUNT_FOR;
use crate::settings::Settings;
use crate::store::{
    DamagedRow, DeliveryFilter, LookUp, RecordFilter, Refusal, Store, separate_damaged,
};

/// The most records and deliveries that fit on one screen.
const MOST: usize = 10;
/// The most numbers with the same end that are shown.
const MOST_NUMBERS: usize = 20;

/// The arguments of `status`.
#[derive(Debug, clap::Args)]
pub struct StatusArgs {
    /// Phone numbers to look at; 4 or more last digits stand for the numbers that end so
    #[arg(required = true, value_name = "PHONE_NUMBER")]
    phone_numbers: Vec<String>,
    /// Ask the provider whether the messages arrived, and store its answer
    #[arg(long)]
    refresh: bool,
}

/// Runs `status`.
///
/// # Errors
/// Returns an error if the arguments are wrong or the database can't be used.
pub fn run(args: &StatusArgs, context: &mut Context<'_>) -> Result<Exit, Error> {
    let patterns = context.number_patterns(&args.phone_numbers, &[])?;
    let mut store = context.open_store()?;
    if let Some(problem) = store.ledger_problem()? {
        context.output.warning(&format!("{problem}: the state of messages is not known"));
    }
    let mut exit = Exit::Done;
    let mut is_first = true;
    for pattern in patterns {
        let (numbers, damaged) = match &pattern {
            NumberPattern::Whole(number) => (vec![number.clone()], Vec::new()),
            NumberPattern::Ending(digits) => {
                separate_damaged(store.numbers_ending(digits, MOST_NUMBERS + 1)?)
            }
        };
        exit = exit.and(context.report_damage(&damaged, "left out"));
        // Of several numbers, people want to know first which one is meant.
        let is_short = numbers.len() > 1;
        for number in numbers.iter().take(MOST_NUMBERS) {
            if !is_short && !std::mem::take(&mut is_first) {
                context.output.separate()?;
            }
            exit = exit.and(show(number, args.refresh, is_short, &mut *store, context)?);
        }
        if let NumberPattern::Ending(digits) = pattern {
            context.output.progress(&match numbers.len() {
                0 => {
                    let whole = PhoneNumber::parse(&digits, context.settings.default_region);
                    let suggestion = whole.err().and_then(|error| error.suggestion);
                    let suggestion = suggestion.map(|meant| format!("; {meant}"));
                    format!("no number ends in {digits}{}", suggestion.unwrap_or_default())
                }
                1 => continue,
                2..=MOST_NUMBERS => {
                    format!("{} numbers end in {digits}; name one of them", numbers.len())
                }
                _ => format!("more numbers end in {digits}; give more digits"),
            });
        }
    }
    Ok(exit)
}

/// Shows what is known about a number.
fn show(
    phone_number: &PhoneNumber,
    is_refreshed: bool,
    is_short: bool,
    store: &mut dyn Store,
    context: &mut Context<'_>,
) -> Result<Exit, Error> {
    let has_answers = !is_refreshed || refresh(store, phone_number, context)?;
    let now = context.clock.now();
    let (history, damaged) = look_up(store, phone_number, &context.settings, now)?;
    let sendable = Sendable::find(store, phone_number, &context.settings, now)?;
    let mut report = report(phone_number, history, &sendable, is_short, &context.settings, now);
    report.next = context.output.completed(&report.next);
    context.output.report(&report)?;
    if report.records.iter().any(|record| record.created_at > latest(now)) {
        context.output.warning(
            "a record is from the future, so it counts as expired: compare the clocks of the machines that send",
        );
    }
    let exit = context.report_damage(&damaged, "left out");
    Ok(if has_answers { exit } else { Exit::Failed })
}

/// What the database holds about a number.
struct History {
    /// The newest records, newest first.
    records: Vec<ListedRecord>,
    /// The newest record that isn't from the future.
    newest: Option<SmsVerification>,
    /// The newest deliveries, newest first.
    deliveries: Vec<Delivery>,
    /// The newest delivery that isn't from the future, if it can be read.
    newest_delivery: Option<Delivery>,
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
    let numbers = vec![NumberPattern::Whole(phone_number.clone())];
    let superseded_from = Some(Period::last(settings.code_lifetime, now).from);
    let look_up = LookUp { superseded_from, delivery: true };
    let all = RecordFilter { numbers: numbers.clone(), look_up, ..RecordFilter::default() };
    let (records, mut damaged) = separate_damaged(store.newest_records(&all, MOST)?);
    let created_until = Some(latest(now));
    let of_past = RecordFilter { created_until, ..all };
    // If the newest row can't be read, an older one doesn't stand in for it.
    let newest = store.newest_records(&of_past, 1)?.pop().and_then(Result::ok);
    let all = DeliveryFilter { numbers, ..DeliveryFilter::default() };
    let deliveries = store.newest_deliveries(&all, MOST)?;
    let (deliveries, damaged_deliveries) = separate_damaged(deliveries);
    let of_past = DeliveryFilter { created_until, ..all };
    let newest_delivery = store.newest_deliveries(&of_past, 1)?.pop().and_then(Result::ok);
    damaged.extend(damaged_deliveries);
    let counting = Period::last(WRONG_CODES_COUNT_FOR, now);
    let limit = settings.limits.max_wrong_codes_per_number_per_day;
    let wrong_codes = limit.map(|_| store.wrong_codes(phone_number, counting)).transpose()?;
    let newest = newest.map(|newest| newest.record);
    Ok((History { records, newest, deliveries, newest_delivery, wrong_codes }, damaged))
}

/// Whether something can be sent to a number now.
struct Sendable {
    /// Whether it is a number that can be sent to.
    is_number: bool,
    /// Why the limits refuse it, if they do.
    refusal: Option<Refusal>,
}

impl Sendable {
    fn find(
        store: &mut dyn Store,
        phone_number: &PhoneNumber,
        settings: &Settings,
        now: DateTime<Utc>,
    ) -> Result<Self, Error> {
        let routes = Routes::from_settings(settings, now);
        let Ok((_, route, _)) = routes.find(phone_number.as_str()) else {
            return Ok(Self { is_number: false, refusal: None });
        };
        let rules = AdmissionRules { limits: settings.limits.clone(), resume: None };
        let refusal = rules.refuse_now(store, phone_number, &route, now)?;
        Ok(Self { is_number: true, refusal })
    }
}

fn report(
    phone_number: &PhoneNumber,
    history: History,
    sendable: &Sendable,
    is_short: bool,
    settings: &Settings,
    now: DateTime<Utc>,
) -> StatusReport {
    let History { records, newest, deliveries, newest_delivery, wrong_codes } = history;
    let lifetime = settings.code_lifetime;
    let number_type = phone_number.number_type();
    let explained = |delivery| ExplainedDelivery::new(delivery, settings);
    let newest_delivery = newest_delivery.map(explained);
    let facts = NumberFacts {
        record: newest.as_ref(),
        delivery: newest_delivery.as_ref(),
        number_type,
        is_number: sendable.is_number,
        is_findable: phone_number.is_findable(),
        wrong_codes: wrong_codes.unwrap_or(0),
    };
    let verdict = facts.verdict(settings, now);
    let expires_at = newest.as_ref().map(|newest| newest.expires_at(lifetime));
    let is_newest = |id| newest.as_ref().is_some_and(|newest| newest.id == id);
    let is_other = |delivery: &&Delivery| {
        !is_newest(delivery.verification_id)
            && delivery.outcome.state.may_have_been_accepted()
            && Period::last(lifetime, now).contains(delivery.created_at)
    };
    let is_kept = |delivery: &Delivery| {
        records.iter().any(|listed| listed.record.id == delivery.verification_id)
    };
    let mut others = deliveries.iter().filter(is_other).peekable();
    let of_others = others.peek().is_some().then(|| {
        if others.any(is_kept) {
            "an earlier code only with its session token"
        } else {
            "earlier codes were replaced"
        }
    });
    StatusReport {
        phone_number: phone_number.clone(),
        number_type,
        verdict,
        message: message(verdict, &facts, expires_at, of_others, now),
        next: next(verdict, &facts, phone_number, sendable.refusal.as_ref(), now),
        wrong_codes,
        wrong_codes_allowed: settings.limits.max_wrong_codes_per_number_per_day,
        records: records.into_iter().map(|listed| record(&listed, settings, now)).collect(),
        deliveries: deliveries.into_iter().map(explained).collect(),
        is_short,
        now,
    }
}

fn record(listed: &ListedRecord, settings: &Settings, now: DateTime<Utc>) -> RecordReport {
    let ListedRecord { record, delivery, .. } = listed;
    RecordReport {
        id: record.id,
        is_verified: record.is_verified,
        is_valid: !record.is_expired(settings.code_lifetime, now),
        failed_attempts: record.failed_attempts,
        created_at: record.created_at,
        expires_at: record.expires_at(settings.code_lifetime),
        delivery: *delivery,
        state: record_state(listed, settings, now),
    }
}

/// Returns the verdict in words. If the newest delivery is an obstacle, that comes first.
fn message(
    verdict: Verdict,
    facts: &NumberFacts<'_>,
    expires_at: Option<DateTime<Utc>>,
    of_others: Option<&str>,
    now: DateTime<Utc>,
) -> String {
    let when = expires_at.map(|expires_at| distance(expires_at, now)).unwrap_or_default();
    let of_code = match verdict {
        Verdict::Verifiable if facts.obstacle(now).is_some() => {
            format!("the code of an earlier SMS can be verified; it expires {when}")
        }
        Verdict::Verifiable => match of_others {
            Some(others) => {
                format!("the code of the newest SMS can be verified; it expires {when}; {others}")
            }
            None => format!("the code can be verified; it expires {when}"),
        },
        Verdict::Expired => format!("the code expired {when}"),
        Verdict::Locked => "the code is locked: too many wrong codes were tried".to_owned(),
        Verdict::TooManyWrongCodes => {
            return "the number has had too many wrong codes within 24 hours, so none is compared"
                .to_owned();
        }
        Verdict::Used => return "the code was used already".to_owned(),
        Verdict::Undelivered => format!("the code expires {when}"),
        Verdict::NeverAccepted if facts.obstacle(now).is_none() => {
            "there is no code: no provider accepted the last message".to_owned()
        }
        Verdict::NeverAccepted | Verdict::None => "there is no code".to_owned(),
    };
    match facts.obstacle(now) {
        Some(newest) => format!("{}; {of_code}", obstacle(newest)),
        None if facts.is_landline() => {
            format!("{of_code}; {}", fixed_line_note("the number"))
        }
        None => of_code,
    }
}

/// Returns in words why the SMS of a delivery reached nobody.
fn obstacle(ExplainedDelivery { delivery, explanation, .. }: &ExplainedDelivery) -> String {
    if let Some(explanation) = &explanation.explanation {
        return explanation.trim_end_matches('.').to_owned();
    }
    let what = if delivery.outcome.state.was_refused() {
        "the last SMS wasn't sent"
    } else {
        "the last SMS didn't arrive"
    };
    match &delivery.outcome.error_message {
        Some(reason) => format!("{what}: {}", words(reason)),
        None => what.to_owned(),
    }
}

/// Returns what to do next: a command, or a sentence.
fn next(
    verdict: Verdict,
    facts: &NumberFacts<'_>,
    phone_number: &PhoneNumber,
    refusal: Option<&Refusal>,
    now: DateTime<Utc>,
) -> String {
    let send = format!("phone-verify send {phone_number}");
    let verify = format!("phone-verify verify {phone_number} --any-session");
    let of_code = facts.delivery.and_then(|newest| newest.explanation.next.clone());
    let step = |advice| match advice {
        Advice::Verify => verify.clone(),
        Advice::AskThePerson => {
            "ask the person whether the SMS came; the code works if it did".to_owned()
        }
        Advice::SendAgain => match refusal {
            Some(Refusal::Limited { reason, retry_at: Some(at) }) => {
                format!("{send}, {} ({reason})", distance(*at, now))
            }
            Some(Refusal::Limited { reason, retry_at: None }) => {
                format!("nothing can be sent to this number: {reason}")
            }
            _ => send.clone(),
        },
        Advice::CheckNumber => {
            "check the number: it isn't valid, so nothing can be sent to it".to_owned()
        }
        Advice::CheckStoredNumber => {
            "check the number: it isn't stored as + and digits, so `verify` doesn't find it"
                .to_owned()
        }
        Advice::FollowExplanation => {
            of_code.as_deref().unwrap_or_default().replace("send a new code", &send)
        }
        Advice::FixAndSendAgain => format!("fix what the provider complains about, then {send}"),
        Advice::AskForMobileNumber => {
            "ask the person for a mobile number and send a code to that one".to_owned()
        }
        Advice::Nothing => "nothing; the number is verified".to_owned(),
    };
    let advice = facts.advice(verdict, now);
    if advice == Advice::Verify && facts.obstacle(now).is_some() {
        let remedy = step(facts.remedy(now));
        return format!("{verify}, if the person has the earlier SMS; otherwise: {remedy}");
    }
    let may_send = !matches!(refusal, Some(Refusal::Limited { retry_at: None, .. }));
    if verdict == Verdict::TooManyWrongCodes && advice == Advice::SendAgain && may_send {
        let send = step(advice);
        return format!("wait, or if you know the person: {send}, then {verify} --ignore-limits");
    }
    step(advice)
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
    let refreshed = arrival::refresh(store, &backends, phone_number, MOST);
    let mut has_answers = true;
    let mut silent = BTreeSet::new();
    for (delivery, arrival) in network_runtime()?.block_on(refreshed)? {
        let backend = context.settings.name_in_words(&delivery.backend);
        let message = format!("message {}", delivery.outcome.message_id.unwrap_or_default());
        match arrival {
            Some(Arrival::NoCall) => _ = silent.insert(backend),
            Some(Arrival::Unknown(Some(error))) => {
                has_answers = false;
                let reason = with_code(&error.message, error.code.as_deref());
                let problem = format!("{message}: {backend} does not report its state: {reason}");
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
