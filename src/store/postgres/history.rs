//! What the rules of sending need to know about earlier sends.

use chrono::{DateTime, TimeDelta, Utc};
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::connection::{SOON, Server, transaction};
use super::error::{Failure, LOCK_TIMEOUT};
use super::values::within_calendar;
use crate::model::{DeliveryState, Period, PhoneNumber};
use crate::store::error::Result;
use crate::store::schema::{LEDGER, NOT_REFUSED};
use crate::store::sends::{Admission, FilledWindow, GroupHistory, PastDelivery, Window};

/// Adds to `history` what `admission` needs to know about a send to `number`, as [`crate::store::Store::look_up`] does.
pub(super) fn look_up_number(
    server: &mut Server,
    history: &mut GroupHistory,
    admission: &Admission,
    number: &PhoneNumber,
) -> Result<()> {
    server.run(SOON, async |session| {
        let facts = session.facts().await?;
        if !facts.layout(&LEDGER).is_readable() {
            return Ok(());
        }
        let (client, numbers) = (&session.client, [number.as_str()]);
        let now = facts.clock.now();
        let look_up = look_up(client, history, admission, &numbers, now);
        transaction(client, LOCK_TIMEOUT, look_up).await
    })
}

/// Adds to `history` what `admission` needs to know before sends to `numbers` start.
pub(super) async fn look_up(
    client: &Client,
    history: &mut GroupHistory,
    admission: &Admission,
    numbers: &[&str],
    now: DateTime<Utc>,
) -> Result<(), Failure> {
    let to_numbers = async {
        match admission.looks_back {
            Some(length) => to_numbers(client, admission, numbers, length, now).await,
            None => Ok(Vec::new()),
        }
    };
    let starts = history.starts;
    let filled = async {
        match (admission.window, &history.window) {
            (Some(window), None) => filled(client, admission, window, starts, now).await.map(Some),
            _ => Ok(None),
        }
    };
    let (to_numbers, filled) = tokio::join!(biased; to_numbers, filled);
    for number in numbers {
        history.to_number.insert(PhoneNumber::from_stored((*number).to_owned()), Vec::new());
    }
    for (number, past) in to_numbers? {
        history.to_number.entry(number).or_default().push(past);
    }
    history.window = filled?.or(history.window.take());
    Ok(())
}

/// Returns the deliveries to `numbers`, those to each number newest first.
async fn to_numbers(
    client: &Client,
    admission: &Admission,
    numbers: &[&str],
    length: TimeDelta,
    now: DateTime<Utc>,
) -> Result<Vec<(PhoneNumber, PastDelivery)>, Failure> {
    let sql = "SELECT phone_number, created_at, state FROM sms_delivery
         WHERE phone_number = ANY($1) AND created_at BETWEEN $2 AND $3 AND backend <> $4
         ORDER BY created_at DESC";
    let Period { from, until } = Period::last(length, now);
    let (from, until) = (within_calendar(from), within_calendar(until));
    let parameters = [
        (&numbers as _, Type::TEXT_ARRAY),
        (&from as _, Type::TIMESTAMPTZ),
        (&until as _, Type::TIMESTAMPTZ),
        (&admission.unlimited as _, Type::TEXT),
    ];
    let rows = client.query_typed(sql, &parameters).await?;
    let past = rows.iter().map(|row| {
        // A delivery whose state is damaged may have been accepted. `status` reports the row.
        let state = DeliveryState::from_stored(row.try_get(2)?).unwrap_or(DeliveryState::Unknown);
        let past = PastDelivery { created_at: Some(row.try_get(1)?), state };
        Ok((PhoneNumber::from_stored(row.try_get(0)?), past))
    });
    past.collect()
}

/// Returns what fills the window over all numbers, as far as so many starts need it.
async fn filled(
    client: &Client,
    admission: &Admission,
    Window { most, length }: Window,
    starts: u32,
    now: DateTime<Utc>,
) -> Result<FilledWindow, Failure> {
    // Each start fills the window further, so that the next-oldest delivery matters for the start after it.
    let wanted = most.min(starts);
    let sql = format!(
        "SELECT created_at FROM sms_delivery
         WHERE {NOT_REFUSED} AND backend <> $5 AND created_at > $1 AND created_at <= $2
         ORDER BY created_at DESC LIMIT $3 OFFSET $4"
    );
    let Period { from, until } = Period::last(length, now);
    let (from, until) = (within_calendar(from), within_calendar(until));
    let (limit, offset) = (i64::from(wanted), i64::from(most - wanted));
    let parameters = [
        (&from as _, Type::TIMESTAMPTZ),
        (&until as _, Type::TIMESTAMPTZ),
        (&limit as _, Type::INT8),
        (&offset as _, Type::INT8),
        (&admission.unlimited as _, Type::TEXT),
    ];
    let rows = client.query_typed(&sql, &parameters).await?;
    let times: Vec<DateTime<Utc>> =
        rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    Ok(FilledWindow::new(wanted, times.into_iter()))
}
