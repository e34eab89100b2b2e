//! Steps of sends that concern different numbers: all of a kind are one statement, and all statements leave together.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use tokio_postgres::Client;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::error::Failure;
use super::facts::Facts;
use super::values::{ColumnValues, parameters, to_stored_count, to_stored_text};
use crate::model::{DeliveryOutcome, latest};
use crate::store::schema::{NOT_FINAL, NOT_REFUSED};
use crate::store::sends::{Lapse, NewSend, SendReply, SendStep, StartedSend};

/// The reply to a step, or None if a trigger has kept it from being stored.
pub(super) type Reply = Option<SendReply>;

/// Steps that are to be taken at `now`.
pub(super) struct Batch<'a> {
    steps: &'a [SendStep],
    /// The reply to each step, if it is known without taking it.
    known: Vec<Option<SendReply>>,
    now: DateTime<Utc>,
    /// Whether the database can hold every character.
    has_unicode: bool,
}

/// A record's id and when it was created.
type Created = HashMap<Uuid, DateTime<Utc>>;
/// The id of a record, and that of a delivery of it.
type Deliveries = HashMap<Uuid, i64>;

/// Whether a record is there, and whether its number has a newer one.
type Standing = (bool, bool);

impl<'a> Batch<'a> {
    /// Returns the batch of these steps. Those whose reply is known aren't taken.
    pub(super) fn new(
        steps: &'a [SendStep],
        known: impl Fn(&SendStep) -> Option<SendReply>,
        facts: &Facts,
    ) -> Self {
        let (now, has_unicode) = (facts.clock.now(), facts.has_unicode);
        Self { steps, known: steps.iter().map(known).collect(), now, has_unicode }
    }

    fn open_steps(&self) -> impl Iterator<Item = &'a SendStep> {
        let steps = self.steps.iter().zip(&self.known);
        steps.filter_map(|(step, known)| known.is_none().then_some(step))
    }

    fn starts(&self) -> Vec<&'a NewSend> {
        self.open_steps().filter_map(SendStep::start).collect()
    }

    fn hand_overs(&self) -> Vec<(&'a StartedSend, &'a DeliveryOutcome, &'a str)> {
        let hand_over = |step: &'a SendStep| match step {
            SendStep::HandOver { send, outcome, backend, .. } => Some((send, outcome, &**backend)),
            _ => None,
        };
        self.open_steps().filter_map(hand_over).collect()
    }

    fn settled(&self) -> Vec<(&'a StartedSend, &'a DeliveryOutcome)> {
        let settled = |step: &'a SendStep| match step {
            SendStep::Settle { send, outcome, .. } => Some((send, outcome)),
            _ => None,
        };
        self.open_steps().filter_map(settled).collect()
    }

    /// Takes the steps, in one round trip of the transaction that is open.
    pub(super) async fn take(self, client: &Client) -> Result<Vec<Reply>, Failure> {
        // The server carries them out in this order. Records come before their deliveries, as when a code is verified, so that two
        // sessions seldom wait for each other in turn.
        let (standings, created, started, handed_over, older, refused, updated) = tokio::join!(
            biased;
            self.standings(client),
            self.insert_records(client),
            self.insert_deliveries(client),
            self.hand_over(client),
            self.delete_older(client),
            self.delete_refused(client),
            self.update_deliveries(client),
        );
        let (standings, created) = (standings?, created?);
        let (started, handed_over) = (started?, handed_over?);
        older.and(refused).and(updated)?;
        let lapse = |send: &StartedSend, has_left: bool| {
            let (is_stored, has_newer) = standings[&send.verification_id];
            // Once its SMS has left, the code counts as long as the record is there.
            if has_left && is_stored { None } else { send.lapse(is_stored, has_newer, self.now) }
        };
        let reply = |step: &SendStep| match step {
            SendStep::Start(send) => {
                let created_at = *created.get(&send.verification_id)?;
                let delivery_id = *started.get(&send.verification_id)?;
                Some(SendReply::Started(send.started(created_at, delivery_id, self.now)))
            }
            SendStep::Check { send, has_left } => {
                Some(lapse(send, *has_left).map_or(SendReply::Done, SendReply::Lapsed))
            }
            SendStep::HandOver { send, .. } => match handed_over.get(&send.verification_id) {
                Some(delivery_id) => Some(SendReply::Started(StartedSend {
                    delivery_id: *delivery_id,
                    allowed_at: self.now,
                    ..send.clone()
                })),
                // If nothing was the matter at first, somebody was faster.
                None => Some(SendReply::Lapsed(lapse(send, false).unwrap_or(Lapse::Superseded))),
            },
            SendStep::Settle { send, outcome, .. } => {
                let has_left = outcome.state.may_have_been_accepted();
                let lapse = if has_left { lapse(send, true) } else { None };
                Some(lapse.map_or(SendReply::Done, SendReply::Lapsed))
            }
            SendStep::Update { .. } => Some(SendReply::Done),
        };
        let steps = self.steps.iter().zip(&self.known);
        Ok(steps.map(|(step, known)| known.clone().or_else(|| reply(step))).collect())
    }

    /// Finds out how the sends stand whose codes may have lapsed.
    async fn standings(&self, client: &Client) -> Result<HashMap<Uuid, Standing>, Failure> {
        let sends: Vec<_> = self
            .open_steps()
            .filter_map(|step| match step {
                SendStep::Check { send, .. } | SendStep::HandOver { send, .. } => Some(send),
                SendStep::Settle { send, outcome, .. } => {
                    outcome.state.may_have_been_accepted().then_some(send)
                }
                SendStep::Start(_) | SendStep::Update { .. } => None,
            })
            .collect();
        if sends.is_empty() {
            return Ok(HashMap::new());
        }
        // Unlike EXISTS, these are never planned as one look at the whole table for all rows.
        let sql = "SELECT asked.id,
                 coalesce((SELECT TRUE FROM sms_verification
                     WHERE id = asked.id AND phone_number = asked.phone_number LIMIT 1), FALSE),
                 coalesce((SELECT TRUE FROM sms_verification
                     WHERE phone_number = asked.phone_number AND created_at > asked.created_at
                       AND created_at <= asked.latest LIMIT 1), FALSE)
             FROM unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::timestamptz[])
                 AS asked(id, phone_number, created_at, latest)";
        let columns = [
            ColumnValues::new(&sends, Type::UUID_ARRAY, |send| send.verification_id),
            ColumnValues::new(&sends, Type::TEXT_ARRAY, |send| send.phone_number.as_str()),
            ColumnValues::new(&sends, Type::TIMESTAMPTZ_ARRAY, |send| send.created_at),
            ColumnValues::new(&sends, Type::TIMESTAMPTZ_ARRAY, |send| send.latest(self.now)),
        ];
        let rows = client.query_typed(sql, &parameters(&columns, [])).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, (row.try_get(1)?, row.try_get(2)?)))).collect()
    }

    /// Stores the records of new sends. No two have the same time, so that a list keeps their order; and that of each is later than
    /// those of its number's other records, even if the clock went back.
    async fn insert_records(&self, client: &Client) -> Result<Created, Failure> {
        let starts = self.starts();
        if starts.is_empty() {
            return Ok(Created::new());
        }
        let sql = "INSERT INTO sms_verification (id, phone_number, security_code, session_token,
                 is_verified, failed_attempts, created_at, modified_at)
             SELECT new.id, new.phone_number, new.security_code, new.session_token, FALSE, 0,
                 time.next, time.next
             FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[])
                 WITH ORDINALITY AS new(id, phone_number, security_code, session_token, place)
             CROSS JOIN LATERAL (SELECT greatest($5 + (new.place - 1) * interval '1 microsecond',
                 max(created_at) + interval '1 microsecond') AS next FROM sms_verification
                 WHERE phone_number = new.phone_number AND created_at BETWEEN $5 AND $6) AS time
             RETURNING id, created_at";
        let columns = [
            ColumnValues::new(&starts, Type::UUID_ARRAY, |send| send.verification_id),
            ColumnValues::new(&starts, Type::TEXT_ARRAY, |send| send.phone_number.as_str()),
            ColumnValues::new(&starts, Type::TEXT_ARRAY, |send| send.security_code.reveal()),
            ColumnValues::new(&starts, Type::TEXT_ARRAY, |send| send.session_token.as_str()),
        ];
        let latest = latest(self.now);
        let times = [&self.now, &latest].map(|time| (time as _, Type::TIMESTAMPTZ));
        let rows = client.query_typed(sql, &parameters(&columns, times)).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    }

    /// Stores the deliveries of new sends whose records are there: a trigger may have swallowed one.
    async fn insert_deliveries(&self, client: &Client) -> Result<Deliveries, Failure> {
        let starts = self.starts();
        if starts.is_empty() {
            return Ok(Deliveries::new());
        }
        let sql = "INSERT INTO sms_delivery (verification_id, phone_number, backend, state,
                 segments, tries, language, created_at, updated_at)
             SELECT id, phone_number, backend, 'sending', segments, 0, left(language, 64), $6, $6
             FROM unnest($1::uuid[], $2::text[], $3::text[], $4::int4[], $5::text[])
                 AS new(id, phone_number, backend, segments, language)
             WHERE (SELECT TRUE FROM sms_verification AS record
                 WHERE record.id = new.id AND record.phone_number = new.phone_number LIMIT 1)
             RETURNING verification_id, id";
        let columns = [
            ColumnValues::new(&starts, Type::UUID_ARRAY, |send| send.verification_id),
            ColumnValues::new(&starts, Type::TEXT_ARRAY, |send| send.phone_number.as_str()),
            ColumnValues::new(&starts, Type::TEXT_ARRAY, |send| &*send.backend),
            ColumnValues::new(&starts, Type::INT4_ARRAY, |send| to_stored_count(send.segments)),
            ColumnValues::new(&starts, Type::TEXT_ARRAY, |send| send.language.as_deref()),
        ];
        let now = [(&self.now as _, Type::TIMESTAMPTZ)];
        let rows = client.query_typed(sql, &parameters(&columns, now)).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    }

    /// Stores the deliveries through another backend, of those sends whose code hasn't lapsed.
    async fn hand_over(&self, client: &Client) -> Result<Deliveries, Failure> {
        let hand_overs = self.hand_overs();
        if hand_overs.is_empty() {
            return Ok(Deliveries::new());
        }
        let sql = "INSERT INTO sms_delivery (verification_id, phone_number, backend, state,
                 segments, tries, language, created_at, updated_at)
             SELECT id, phone_number, backend, 'sending', segments, 0, left(language, 64), $9, $9
             FROM unnest($1::uuid[], $2::text[], $3::text[], $4::int4[], $5::text[],
                     $6::timestamptz[], $7::timestamptz[], $8::timestamptz[])
                 AS new(id, phone_number, backend, segments, language, created_at, expires_at, latest)
             WHERE new.expires_at >= $9
               AND EXISTS (SELECT 1 FROM sms_verification AS record
                   WHERE record.id = new.id AND record.phone_number = new.phone_number)
               AND NOT EXISTS (SELECT 1 FROM sms_verification AS newer
                   WHERE newer.phone_number = new.phone_number
                     AND newer.created_at > new.created_at AND newer.created_at <= new.latest)
             RETURNING verification_id, id";
        let columns = [
            ColumnValues::new(&hand_overs, Type::UUID_ARRAY, |(send, ..)| send.verification_id),
            ColumnValues::new(&hand_overs, Type::TEXT_ARRAY, |(send, ..)| {
                send.phone_number.as_str()
            }),
            ColumnValues::new(&hand_overs, Type::TEXT_ARRAY, |(.., backend)| *backend),
            ColumnValues::new(&hand_overs, Type::INT4_ARRAY, |(send, ..)| {
                to_stored_count(send.segments)
            }),
            ColumnValues::new(&hand_overs, Type::TEXT_ARRAY, |(send, ..)| send.language.as_deref()),
            ColumnValues::new(&hand_overs, Type::TIMESTAMPTZ_ARRAY, |(send, ..)| send.created_at),
            ColumnValues::new(&hand_overs, Type::TIMESTAMPTZ_ARRAY, |(send, ..)| send.expires_at),
            ColumnValues::new(&hand_overs, Type::TIMESTAMPTZ_ARRAY, |(send, ..)| {
                send.latest(self.now)
            }),
        ];
        let now = [(&self.now as _, Type::TIMESTAMPTZ)];
        let rows = client.query_typed(sql, &parameters(&columns, now)).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    }

    /// Deletes the older records of numbers whose SMS was accepted, and those from the future. If the clock went back, one of two
    /// sends is older and the other from the future: the one whose record is gone leaves that of the other. The ledger learns
    /// first what a Django site has verified; Django changes `modified_at` then.
    async fn delete_older(&self, client: &Client) -> Result<(), Failure> {
        let settled = self.settled();
        let accepted: Vec<_> = settled
            .into_iter()
            .filter(|(_, outcome)| outcome.state.was_accepted())
            .map(|(send, _)| send)
            .collect();
        if accepted.is_empty() {
            return Ok(());
        }
        let sql = format!(
            "WITH deleted AS (
                 DELETE FROM sms_verification AS record
                 USING unnest($1::text[], $2::timestamptz[], $3::timestamptz[], $4::uuid[])
                     AS new(phone_number, created_at, latest, id)
                 WHERE record.phone_number = new.phone_number
                   AND EXISTS (SELECT 1 FROM sms_verification AS own
                       WHERE own.id = new.id AND own.phone_number = new.phone_number)
                   AND (record.created_at < new.created_at OR record.created_at > new.latest)
                 RETURNING record.id, record.phone_number, record.is_verified, record.modified_at)
             UPDATE sms_delivery SET verified_at = deleted.modified_at FROM deleted
             WHERE deleted.is_verified AND isfinite(deleted.modified_at)
               AND sms_delivery.phone_number = deleted.phone_number
               AND sms_delivery.verification_id = deleted.id AND sms_delivery.verified_at IS NULL AND {NOT_REFUSED}"
        );
        let columns = [
            ColumnValues::new(&accepted, Type::TEXT_ARRAY, |send| send.phone_number.as_str()),
            ColumnValues::new(&accepted, Type::TIMESTAMPTZ_ARRAY, |send| send.created_at),
            ColumnValues::new(&accepted, Type::TIMESTAMPTZ_ARRAY, |send| send.latest(self.now)),
            ColumnValues::new(&accepted, Type::UUID_ARRAY, |send| send.verification_id),
        ];
        client.execute_typed(&sql, &parameters(&columns, [])).await?;
        Ok(())
    }

    /// Deletes the records of sends that nobody accepted: neither their backend, nor, after a hand-over, another one.
    async fn delete_refused(&self, client: &Client) -> Result<(), Failure> {
        let hand_overs = self.hand_overs().into_iter().map(|(send, outcome, _)| (send, outcome));
        let refused: Vec<_> = self
            .settled()
            .into_iter()
            .chain(hand_overs)
            .filter(|(_, outcome)| outcome.state.was_refused())
            .map(|(send, _)| send)
            .collect();
        if refused.is_empty() {
            return Ok(());
        }
        let sql = "DELETE FROM sms_verification AS record
             USING unnest($1::uuid[], $2::text[], $3::int8[])
                 AS refused(id, phone_number, delivery_id)
             WHERE record.id = refused.id AND record.phone_number = refused.phone_number
               AND NOT EXISTS (SELECT 1 FROM sms_delivery AS later
                   WHERE later.phone_number = refused.phone_number
                     AND later.verification_id = refused.id AND later.id > refused.delivery_id)";
        let columns = [
            ColumnValues::new(&refused, Type::UUID_ARRAY, |send| send.verification_id),
            ColumnValues::new(&refused, Type::TEXT_ARRAY, |send| send.phone_number.as_str()),
            ColumnValues::new(&refused, Type::INT8_ARRAY, |send| send.delivery_id),
        ];
        client.execute_typed(sql, &parameters(&columns, [])).await?;
        Ok(())
    }

    /// Stores the outcomes of deliveries, unless a final one is stored. A message id that is already stored stays. The number of tries
    /// changes only if it is given. A delivery may have been erased meanwhile.
    async fn update_deliveries(&self, client: &Client) -> Result<(), Failure> {
        let updates: Vec<_> = self
            .open_steps()
            .filter_map(|step| match step {
                SendStep::HandOver { send, outcome, tries, .. }
                | SendStep::Settle { send, outcome, tries } => {
                    Some((send.delivery_id, outcome, Some(to_stored_count(*tries))))
                }
                SendStep::Update { delivery_id, outcome } => Some((*delivery_id, outcome, None)),
                SendStep::Start(_) | SendStep::Check { .. } => None,
            })
            .collect();
        if updates.is_empty() {
            return Ok(());
        }
        let sql = format!(
            "UPDATE sms_delivery AS delivery SET state = new.state,
                 message_id = coalesce(delivery.message_id, left(new.message_id, 64)),
                 error_code = left(new.error_code, 64),
                 error_message = left(new.error_message, 500),
                 tries = coalesce(new.tries, delivery.tries), updated_at = $7
             FROM unnest($1::int8[], $2::text[], $3::text[], $4::text[], $5::text[], $6::int4[])
                 AS new(id, state, message_id, error_code, error_message, tries)
             WHERE delivery.id = new.id AND delivery.{NOT_FINAL}"
        );
        let text = |of: fn(&DeliveryOutcome) -> &Option<String>| {
            ColumnValues::new(&updates, Type::TEXT_ARRAY, move |(_, outcome, _)| {
                to_stored_text(of(outcome), self.has_unicode)
            })
        };
        let columns = [
            ColumnValues::new(&updates, Type::INT8_ARRAY, |(id, ..)| *id),
            ColumnValues::new(&updates, Type::TEXT_ARRAY, |(_, outcome, _)| {
                outcome.state.to_string()
            }),
            text(|outcome| &outcome.message_id),
            text(|outcome| &outcome.error_code),
            text(|outcome| &outcome.error_message),
            ColumnValues::new(&updates, Type::INT4_ARRAY, |(.., tries)| *tries),
        ];
        let now = [(&self.now as _, Type::TIMESTAMPTZ)];
        client.execute_typed(&sql, &parameters(&columns, now)).await?;
        Ok(())
    }
}
