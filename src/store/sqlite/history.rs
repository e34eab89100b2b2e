//! What the rules of sending need to know about earlier sends.

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{Connection, Result, Row, params};

use super::database::query;
use super::rows::{as_state, as_time};
use super::selection::{from_the_future, is_time};
use crate::model::timestamp::to_stored;
use crate::model::{DeliveryState, Period, PhoneNumber};
use crate::store::schema::NOT_REFUSED;
use crate::store::sends::{Admission, FilledWindow, GroupHistory, PastDelivery, Window};

/// Adds to `history` what `admission` needs to know before sends to `numbers` start.
pub(super) fn look_up<'a>(
    connection: &Connection,
    history: &mut GroupHistory,
    admission: &Admission,
    numbers: impl Iterator<Item = &'a PhoneNumber>,
    now: DateTime<Utc>,
) -> Result<()> {
    let period = |length: TimeDelta| {
        let Period { from, until } = Period::last(length, now);
        (to_stored(from), to_stored(until))
    };
    if let Some(looks_back) = admission.looks_back {
        let sql = format!(
            "SELECT created_at, state FROM sms_delivery WHERE phone_number = ?1
                 AND created_at >= ?2 AND NOT {} AND backend <> ?4 ORDER BY created_at DESC",
            from_the_future("?3")
        );
        let (from, until) = period(looks_back);
        for number in numbers {
            let parameters = params![number.as_str(), from, until, admission.unlimited];
            let past = query(connection, &sql, parameters, |row| {
                // A delivery whose state is damaged may have been accepted. `status` reports the row.
                let state = as_state(row.get_ref(1)?).unwrap_or(DeliveryState::Unknown);
                Ok(PastDelivery { created_at: as_time(row.get_ref(0)?), state })
            })?;
            history.to_number.insert(number.clone(), past);
        }
    }
    if let (Some(Window { most, length }), None) = (admission.window, &history.window) {
        // Each start fills the window further, so that the next-oldest delivery matters for the start after it.
        let wanted = most.min(history.starts);
        let is_time = is_time("created_at");
        let sql = format!(
            "SELECT created_at FROM sms_delivery WHERE {NOT_REFUSED}
                 AND backend <> ?5 AND created_at > ?1 AND created_at <= ?2 AND {is_time}
                 ORDER BY created_at DESC LIMIT ?3 OFFSET ?4"
        );
        let (from, until) = period(length);
        let parameters = params![from, until, wanted, most - wanted, admission.unlimited];
        let read = |row: &Row<'_>| Ok(as_time(row.get_ref(0)?));
        let times = query(connection, &sql, parameters, read)?;
        history.window = Some(FilledWindow::new(wanted, times.into_iter().flatten()));
    }
    Ok(())
}
