//! The steps of a send: the record and its delivery change together.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, params};

use super::error::{Failure, expect_one};
use super::ledger;
use super::rows::stored_id;
use crate::model::DeliveryState;
use crate::model::timestamp::to_stored;
use crate::store::sends::{Admission, GroupHistory, NewSend, SendReply, SendStep, StartedSend};
use crate::system::clock::Clock;

/// Takes a group of steps within a transaction.
pub(super) fn take_send_steps(
    transaction: &Connection,
    clock: &Clock,
    steps: &[SendStep],
    admission: &Admission,
) -> Result<Vec<SendReply>, Failure> {
    let phone_numbers = steps.iter().filter_map(|step| match step {
        SendStep::Start(send) => Some(&send.phone_number),
        _ => None,
    });
    let mut history = ledger::history(transaction, admission, phone_numbers, clock.now())?;
    let take = |step| Ok(take_send_step(transaction, clock, step, admission, &mut history)?);
    steps.iter().map(take).collect()
}

/// Takes one step of a send within a transaction.
fn take_send_step(
    transaction: &Connection,
    clock: &Clock,
    step: &SendStep,
    admission: &Admission,
    history: &mut GroupHistory,
) -> rusqlite::Result<SendReply> {
    let now = clock.now();
    match step {
        SendStep::Start(send) => match history.judge(admission, &send.phone_number, now) {
            Some(refusal) => Ok(SendReply::Refused(refusal)),
            None => Ok(SendReply::Started(start(transaction, send, now)?)),
        },
        SendStep::HandOver { send, outcome, tries, backend } => {
            ledger::update(transaction, send.delivery_id, outcome, Some(*tries), now)?;
            let StartedSend { verification_id: id, phone_number, segments, .. } = send;
            let delivery_id =
                ledger::insert(transaction, *id, phone_number, backend, *segments, now)?;
            Ok(SendReply::Started(StartedSend { delivery_id, ..send.clone() }))
        }
        SendStep::Settle { send, outcome, tries } => {
            ledger::update(transaction, send.delivery_id, outcome, Some(*tries), now)?;
            delete_obsolete(transaction, send, outcome.state)?;
            Ok(SendReply::Done)
        }
        SendStep::Update { delivery_id, outcome } => {
            ledger::update(transaction, *delivery_id, outcome, None, now)?;
            Ok(SendReply::Done)
        }
    }
}

/// Stores a record and the delivery that is about to start.
fn start(
    transaction: &Connection,
    send: &NewSend,
    now: DateTime<Utc>,
) -> rusqlite::Result<StartedSend> {
    let NewSend { verification_id: id, phone_number, backend, segments, .. } = send;
    let stored = transaction
        .prepare_cached(
            "INSERT INTO sms_verification (id, phone_number, security_code, session_token,
                 is_verified, failed_attempts, created_at, modified_at)
             VALUES (?1, ?2, ?3, ?4, 0, 0, ?5, ?5)",
        )?
        .execute(params![
            stored_id(*id),
            phone_number.as_str(),
            send.security_code.reveal(),
            send.session_token.as_str(),
            to_stored(now)
        ])?;
    expect_one(stored)?;
    Ok(StartedSend {
        verification_id: *id,
        phone_number: phone_number.clone(),
        segments: *segments,
        created_at: now,
        delivery_id: ledger::insert(transaction, *id, phone_number, backend, *segments, now)?,
    })
}

/// Deletes the records that the end of a send makes obsolete.
fn delete_obsolete(
    transaction: &Connection,
    send: &StartedSend,
    state: DeliveryState,
) -> rusqlite::Result<()> {
    if state.was_accepted() {
        let sql = "DELETE FROM sms_verification WHERE phone_number = ?1 AND created_at < ?2";
        let parameters = params![send.phone_number.as_str(), to_stored(send.created_at)];
        transaction.prepare_cached(sql)?.execute(parameters)?;
    } else if !state.is_unknown() {
        let sql = "DELETE FROM sms_verification WHERE id = ?1";
        transaction.prepare_cached(sql)?.execute([stored_id(send.verification_id)])?;
    }
    Ok(())
}
