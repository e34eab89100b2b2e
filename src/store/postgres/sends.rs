//! The steps of sends. A group of them is one transaction.

use std::collections::{HashMap, HashSet};
use std::mem;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio_postgres::Client;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::batch::{Batch, Reply};
use super::connection::{ANSWER, Server, Session, begin, commit};
use super::error::{Failure, LOCK_TIMEOUT, OUTCOME_LOCK_TIMEOUT, undone};
use super::history::look_up;
use super::locks::{Lock, take_lock};
use super::migrate::facts_with;
use crate::model::PhoneNumber;
use crate::store::error::Result;
use crate::store::schema::LEDGER;
use crate::store::sends::{
    Admission, GroupHistory, NewSend, Refusal, SendReply, SendStep, StartedSend,
};
use crate::system::clock::Clock;

/// Takes a group of steps, as [`crate::store::Store::take_send_steps`] does.
pub(super) fn take(
    server: &mut Server,
    steps: &[SendStep],
    admission: &Admission,
) -> Vec<Result<SendReply>> {
    take_again(server, steps, admission, false)
}

/// Takes a group of steps. `is_repeated` says whether they were taken before: if the connection was lost then, they may be stored,
/// or be about to.
fn take_again(
    server: &mut Server,
    steps: &[SendStep],
    admission: &Admission,
    mut is_repeated: bool,
) -> Vec<Result<SendReply>> {
    let has_outcome = steps.iter().any(SendStep::is_outcome);
    let locks = if has_outcome { OUTCOME_LOCK_TIMEOUT } else { LOCK_TIMEOUT };
    // Unless it gets as far as to take them.
    let mut fails_for_all = true;
    let taken = server.run(Some(locks + ANSWER), async |session| {
        let is_again = mem::replace(&mut is_repeated, true);
        let taken = take_together(session, steps, admission, is_again, locks).await;
        taken.map_err(|failure| {
            if is_again && failure.is_duplicate() {
                return Failure::Again("the steps were stored though their connection was lost");
            }
            fails_for_all = failure.is_of_session();
            failure
        })
    });
    match taken {
        Ok(replies) => {
            let undone = Failure::from(undone()).at(server.address());
            replies.into_iter().map(|reply| reply.ok_or_else(|| undone.clone())).collect()
        }
        // Each step would fail in the same way.
        Err(error) if steps.len() <= 1 || fails_for_all => vec![Err(error); steps.len()],
        // Find the step that fails in smaller groups, so that it undoes no other.
        Err(_) => {
            let (first, last) = steps.split_at(steps.len() / 2);
            let mut replies = take_again(server, first, admission, is_repeated);
            replies.extend(take_again(server, last, admission, is_repeated));
            replies
        }
    }
}

/// Takes steps in one transaction. Unless sends have to be judged, it takes one round trip.
async fn take_together(
    session: &Session,
    steps: &[SendStep],
    admission: &Admission,
    is_again: bool,
    locks: Duration,
) -> Result<Vec<Reply>, Failure> {
    let client = &session.client;
    let facts = facts_with(session, &LEDGER).await?;
    let is_judged =
        |send: &&NewSend| admission.judge.is_some() && *send.backend != *admission.unlimited;
    let mut judged: Vec<_> = steps.iter().filter_map(SendStep::start).filter(is_judged).collect();
    let mut is_begun = !judged.is_empty();
    if is_begun {
        let (begun, locked) =
            tokio::join!(biased; begin(client, locks), take_lock(client, Lock::Sends));
        begun.and(locked)?;
    }
    // With the lock, whatever was taken before is stored or will never be.
    let done = if is_again { Done::find(session, steps).await? } else { Done::default() };
    judged.retain(|send| done.of_send(send).is_none());
    let mut refusals = HashMap::new();
    if !judged.is_empty() {
        refusals = judge(client, &judged, admission, &facts.clock).await?;
    }
    let known = |step: &SendStep| match step {
        SendStep::Start(send) => {
            let refusal = refusals.get(&send.verification_id).cloned();
            refusal.map(SendReply::Refused).or(done.started(send).map(SendReply::Started))
        }
        SendStep::HandOver { send, backend, .. } => {
            done.handed_over(send, backend).map(SendReply::Started)
        }
        _ => None,
    };
    let mut replies = Vec::new();
    let mut batches = batches(steps).into_iter().peekable();
    while let Some(steps) = batches.next() {
        let batch = Batch::new(steps, known, &facts);
        let is_last = batches.peek().is_none();
        let begun = async { if is_begun { Ok(()) } else { begin(client, locks).await } };
        let committed = async { if is_last { commit(client).await } else { Ok(()) } };
        let (begun, taken, committed) = tokio::join!(biased; begun, batch.take(client), committed);
        begun?;
        replies.extend(taken?);
        committed?;
        is_begun = true;
    }
    Ok(replies)
}

/// Returns which sends may not start, and why, in the transaction that has the lock.
async fn judge(
    client: &Client,
    sends: &[&NewSend],
    admission: &Admission,
    clock: &Clock,
) -> Result<HashMap<Uuid, Refusal>, Failure> {
    let mut history = GroupHistory::new(u32::try_from(sends.len()).unwrap_or(u32::MAX));
    let numbers: Vec<_> = sends.iter().map(|send| send.phone_number.as_str()).collect();
    look_up(client, &mut history, admission, &numbers, clock.now()).await?;
    let refusals = sends.iter().filter_map(|send| {
        let refusal = history.judge(admission, &send.phone_number, clock.now())?;
        Some((send.verification_id, refusal))
    });
    Ok(refusals.collect())
}

/// Divides a group into runs of steps of which no two concern the same number or delivery, so that their order doesn't matter.
fn batches(steps: &[SendStep]) -> Vec<&[SendStep]> {
    let mut seen = HashSet::new();
    let starts_batch = |step: &SendStep| {
        let subjects = subjects(step);
        let is_repeated = subjects.iter().flatten().any(|subject| seen.contains(subject));
        if is_repeated {
            seen.clear();
        }
        seen.extend(subjects.into_iter().flatten());
        is_repeated
    };
    let starts: Vec<_> = steps.iter().map(starts_batch).collect();
    let mut batches = Vec::new();
    let mut from = 0;
    for (index, _) in starts.iter().enumerate().filter(|(_, starts_batch)| **starts_batch) {
        batches.push(&steps[from..index]);
        from = index;
    }
    batches.push(&steps[from..]);
    batches
}

/// Returns the number and the delivery that a step concerns.
fn subjects(step: &SendStep) -> [Option<Subject>; 2] {
    let (number, delivery) = match step {
        SendStep::Start(send) => (Some(&send.phone_number), None),
        SendStep::Check { send, .. } => (Some(&send.phone_number), None),
        SendStep::HandOver { send, .. } | SendStep::Settle { send, .. } => {
            (Some(&send.phone_number), Some(send.delivery_id))
        }
        SendStep::Update { delivery_id, .. } => (None, Some(*delivery_id)),
    };
    [number.cloned().map(Subject::Number), delivery.map(Subject::Delivery)]
}

/// What a step concerns.
#[derive(PartialEq, Eq, Hash)]
enum Subject {
    Number(PhoneNumber),
    Delivery(i64),
}

/// The sends of a group that are stored already, though nobody heard of it because the connection was lost.
#[derive(Default)]
struct Done {
    deliveries: Vec<StoredDelivery>,
}

struct StoredDelivery {
    id: i64,
    verification_id: Uuid,
    backend: String,
    created_at: DateTime<Utc>,
    /// When its record was created.
    record_created_at: DateTime<Utc>,
}

impl Done {
    async fn find(session: &Session, steps: &[SendStep]) -> Result<Self, Failure> {
        let subjects = steps.iter().filter_map(|step| match step {
            SendStep::Start(send) => Some((&send.phone_number, send.verification_id)),
            SendStep::HandOver { send, .. } => Some((&send.phone_number, send.verification_id)),
            _ => None,
        });
        let (numbers, ids): (Vec<_>, Vec<_>) =
            subjects.map(|(number, id)| (number.as_str(), id)).unzip();
        let sql = "SELECT delivery.id, delivery.verification_id, delivery.backend,
                 delivery.created_at, coalesce(record.created_at, delivery.created_at)
             FROM sms_delivery AS delivery
             LEFT JOIN sms_verification AS record ON record.id = delivery.verification_id
                 AND record.phone_number = delivery.phone_number
             WHERE delivery.phone_number = ANY($1) AND delivery.verification_id = ANY($2)";
        let parameters = [(&numbers as _, Type::TEXT_ARRAY), (&ids as _, Type::UUID_ARRAY)];
        let rows = session.client.query_typed(sql, &parameters).await?;
        let read = rows.iter().map(|row| {
            Ok::<_, Failure>(StoredDelivery {
                id: row.try_get(0)?,
                verification_id: row.try_get(1)?,
                backend: row.try_get(2)?,
                created_at: row.try_get(3)?,
                record_created_at: row.try_get(4)?,
            })
        });
        Ok(Self { deliveries: read.collect::<Result<_, _>>()? })
    }

    fn of_send(&self, send: &NewSend) -> Option<&StoredDelivery> {
        self.deliveries.iter().find(|stored| stored.verification_id == send.verification_id)
    }

    fn started(&self, send: &NewSend) -> Option<StartedSend> {
        let stored = self.of_send(send)?;
        Some(send.started(stored.record_created_at, stored.id, stored.created_at))
    }

    fn handed_over(&self, send: &StartedSend, backend: &str) -> Option<StartedSend> {
        let stored = self.deliveries.iter().find(|stored| {
            stored.verification_id == send.verification_id
                && stored.backend == backend
                && stored.id > send.delivery_id
        })?;
        let (delivery_id, allowed_at) = (stored.id, stored.created_at);
        Some(StartedSend { delivery_id, allowed_at, ..send.clone() })
    }
}
