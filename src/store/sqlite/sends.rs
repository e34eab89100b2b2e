//! The steps of a send: the record and its delivery change together.

use std::path::Path;

use chrono::{DateTime, Utc};
use rusqlite::{Transaction, params};

use super::database::{Database, Failure};
use super::{expect_one, ledger, stored_id};
use crate::model::{DeliveryState, timestamp};
use crate::store::{Admit, NewSend, SendReply, SendStep, StartedSend, StoreError};
use crate::system::clock::Clock;

/// Takes steps of sends in one transaction, and where one of them fails in several, so that it undoes no other.
pub(super) fn take_send_steps(
    database: &mut Database,
    clock: &Clock,
    steps: &[SendStep],
    admit: &Admit,
) -> Vec<Result<SendReply, StoreError>> {
    let taken: Result<Vec<_>, Failure> = database.try_write(|transaction, path| {
        steps.iter().map(|step| take_send_step(transaction, clock, path, step, admit)).collect()
    });
    match taken {
        Ok(replies) => replies.into_iter().map(Ok).collect(),
        // Each of the steps would wait for the lock as long again.
        Err(failure) if steps.len() == 1 || failure.is_lock() => {
            vec![Err(failure.into_store_error(database.path())); steps.len()]
        }
        Err(_) => {
            let (first, last) = steps.split_at(steps.len() / 2);
            let mut results = take_send_steps(database, clock, first, admit);
            results.extend(take_send_steps(database, clock, last, admit));
            results
        }
    }
}

/// Takes one step of a send within a transaction.
fn take_send_step(
    transaction: &Transaction<'_>,
    clock: &Clock,
    path: &Path,
    step: &SendStep,
    admit: &Admit,
) -> Result<SendReply, Failure> {
    let now = clock.now();
    match step {
        SendStep::Start(send) => {
            let history = ledger::History { connection: transaction, path };
            match admit(&send.phone_number, &history, now)? {
                None => Ok(SendReply::Started(start(transaction, send, now)?)),
                Some(refusal) => Ok(SendReply::NotAdmitted(refusal)),
            }
        }
        SendStep::HandOver { send, outcome, backend } => {
            let StartedSend { verification_id, phone_number, segments, .. } = send;
            ledger::finish(transaction, send, outcome, now)?;
            let (id, segments) = (*verification_id, *segments);
            let delivery_id = ledger::start(transaction, id, phone_number, backend, segments, now)?;
            Ok(SendReply::Started(StartedSend { delivery_id, ..send.clone() }))
        }
        SendStep::Settle { send, outcome } => {
            ledger::finish(transaction, send, outcome, now)?;
            settle(transaction, send, outcome.outcome.state)?;
            Ok(SendReply::Done)
        }
        SendStep::Learn { delivery_id, outcome } => {
            ledger::update(transaction, *delivery_id, outcome, now)?;
            Ok(SendReply::Done)
        }
    }
}

/// Stores a record and the delivery that is about to begin.
fn start(
    transaction: &Transaction<'_>,
    send: &NewSend,
    now: DateTime<Utc>,
) -> rusqlite::Result<StartedSend> {
    let NewSend { verification_id, phone_number, backend, segments, .. } = send;
    let stored = transaction
        .prepare_cached(
            "INSERT INTO sms_verification (id, phone_number, security_code, session_token,
                 is_verified, failed_attempts, created_at, modified_at)
             VALUES (?1, ?2, ?3, ?4, 0, 0, ?5, ?5)",
        )?
        .execute(params![
            stored_id(*verification_id),
            phone_number.as_str(),
            send.security_code.reveal(),
            send.session_token.as_str(),
            timestamp::to_stored(now)
        ])?;
    expect_one(stored)?;
    Ok(StartedSend {
        verification_id: *verification_id,
        phone_number: phone_number.clone(),
        segments: *segments,
        created_at: now,
        delivery_id: ledger::start(
            transaction,
            *verification_id,
            phone_number,
            backend,
            *segments,
            now,
        )?,
    })
}

/// Deletes the records that the end of a send makes obsolete.
fn settle(
    transaction: &Transaction<'_>,
    send: &StartedSend,
    state: DeliveryState,
) -> rusqlite::Result<()> {
    if state.was_accepted() {
        transaction
            .prepare_cached(
                "DELETE FROM sms_verification WHERE phone_number = ?1 AND created_at < ?2",
            )?
            .execute(params![send.phone_number.as_str(), timestamp::to_stored(send.created_at)])?;
    } else if !state.is_unknown() {
        transaction
            .prepare_cached("DELETE FROM sms_verification WHERE id = ?1")?
            .execute([stored_id(send.verification_id)])?;
    }
    Ok(())
}
