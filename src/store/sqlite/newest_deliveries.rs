//! What became of the SMS of each listed record.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use super::database::Database;
use super::pages::Pages;
use super::rows::{as_id, as_state, as_time, stored_id};
use super::selection::Selection;
use crate::model::timestamp::to_stored;
use crate::model::{DeliveryState, SmsVerification, latest};
use crate::store::error::Result;
use crate::store::interface::{DeliveryFilter, Page};

/// How many rows of the ledger are read for each record at most. It has more rows than there are records where some were deleted.
const READ_PER_RECORD: usize = 4;
/// With so many deliveries of records that the list has not reached, no more are read.
const REMEMBERED: usize = 20_000;

/// The newest deliveries of the records of a list, which is newest first. The ledger is read along with the list, in the same order:
/// to look up each number would take several times as long.
pub(super) struct NewestDeliveries<'a> {
    database: &'a Database,
    /// The latest time that isn't from the future.
    latest: DateTime<Utc>,
    /// The rows of the ledger that were not read yet.
    ledger: Pages<'a, LedgerRow>,
    /// When the row that was read last was created. None if there are no more.
    reached: Option<DateTime<Utc>>,
    /// The state of the newest delivery of each record that the list has not reached.
    states: HashMap<Uuid, Option<DeliveryState>>,
}

/// The record of a delivery, its state, and when it was created. A value that can't be read is damage of the ledger.
type LedgerRow = (Option<Uuid>, Option<DeliveryState>, Option<DateTime<Utc>>);

impl<'a> NewestDeliveries<'a> {
    /// Begins with the newest delivery that isn't from the future at `now`.
    pub(super) fn new(database: &'a Database, now: DateTime<Utc>) -> Self {
        let latest = latest(now);
        let created_until = Some(latest);
        let filter = DeliveryFilter { created_until, ..DeliveryFilter::default() };
        let query = "SELECT rowid, verification_id, state, created_at FROM sms_delivery".to_owned();
        let read = |row: &Row<'_>| {
            let value = |index| row.get_ref(index).ok();
            (value(1).and_then(as_id), value(2).and_then(as_state), value(3).and_then(as_time))
        };
        let selection = Selection::of_deliveries(&filter);
        let ledger = Pages::new(database, (query, Vec::new()), selection, read);
        Self { database, latest, ledger, reached: Some(latest), states: HashMap::new() }
    }

    /// Adds the state of its newest delivery to each record of the next page of the list.
    pub(super) fn complete(&mut self, page: &mut Page) -> Result<()> {
        self.read_along(page)?;
        for listed in page.iter_mut().flatten() {
            listed.delivery = match self.states.remove(&listed.record.id) {
                Some(state) => state,
                None if self.reached.is_none() => None,
                None => self.find(&listed.record)?,
            };
        }
        Ok(())
    }

    /// Reads the ledger until the time of the last record, since a delivery starts when its record is stored, or later.
    fn read_along(&mut self, page: &Page) -> Result<()> {
        let Some(oldest) = page.iter().flatten().map(|listed| listed.record.created_at).min()
        else {
            return Ok(());
        };
        let is_ahead = |reached: &DateTime<Utc>| latest(*reached) >= oldest;
        for _ in 0..READ_PER_RECORD {
            if !self.reached.as_ref().is_some_and(is_ahead) || self.states.len() > REMEMBERED {
                break;
            }
            let rows = self.ledger.next(page.len() as u64)?;
            let is_end = rows.len() < page.len();
            let last = rows.iter().rev().find_map(|(_, _, created_at)| *created_at);
            self.reached = last.or(self.reached).filter(|_| !is_end);
            for (record, state, _) in rows {
                if let Some(record) = record {
                    self.states.entry(record).or_insert(state);
                }
            }
        }
        Ok(())
    }

    /// Looks up the newest delivery of a record that wasn't among those that were read.
    fn find(&self, record: &SmsVerification) -> Result<Option<DeliveryState>> {
        let sql = "SELECT state FROM sms_delivery
             WHERE phone_number = ?1 AND verification_id = ?2 AND created_at <= ?3
             ORDER BY created_at DESC, id DESC LIMIT 1";
        let (number, id) = (record.phone_number.as_str(), stored_id(record.id));
        let find = |connection: &Connection| {
            let mut statement = connection.prepare_cached(sql)?;
            let values = params![number, id, to_stored(self.latest)];
            Ok(statement.query_row(values, |row| Ok(as_state(row.get_ref(0)?))).optional()?)
        };
        Ok(self.database.run(find)?.flatten())
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::*;
    use crate::model::ListedRecord;
    use crate::store::interface::{RecordFilter, Store};
    use crate::store::sqlite::engine::Sqlite;
    use crate::system::clock::Clock;

    /// The rows are created within so many seconds before now, or shortly after it.
    const SECONDS: i64 = 400;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_000_000, 0).unwrap()
    }

    fn open() -> (TempDir, Sqlite) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("db.sqlite3");
        let store = Sqlite::open_to_send(&path, &Clock::from_fn(now)).unwrap();
        (directory, store)
    }

    /// Inserts records that were created so many seconds after now, and the deliveries of some, with their times and states.
    fn insert<'a>(
        store: &mut Sqlite,
        records_at: &[i64],
        deliveries: impl Iterator<Item = (usize, i64, &'a str)>,
    ) {
        let time = |seconds: i64| to_stored(now() + TimeDelta::seconds(seconds));
        let id = |record: usize| format!("{record:032x}");
        let number = |record: usize| format!("+1202555{:04}", 100 + record % 7);
        let insert = |transaction: &Connection| {
            let sql =
                "INSERT INTO sms_verification (id, security_code, phone_number, session_token,
                     is_verified, failed_attempts, created_at, modified_at)
                 VALUES (?1, '123456', ?2, ?1, 0, 0, ?3, ?3)";
            for (record, at) in records_at.iter().enumerate() {
                transaction.execute(sql, params![id(record), number(record), time(*at)])?;
            }
            let sql = "INSERT INTO sms_delivery (verification_id, phone_number, backend, state,
                     segments, tries, created_at, updated_at)
                 VALUES (?1, ?2, 'twilio', ?3, 1, 1, ?4, ?4)";
            for (record, at, state) in deliveries {
                let values = params![id(record), number(record), state, time(at)];
                transaction.execute(sql, values)?;
            }
            Ok(())
        };
        store.write(insert).unwrap();
    }

    /// Returns all records, newest first.
    fn records(store: &mut Sqlite) -> Vec<ListedRecord> {
        let page = store.newest_records(&RecordFilter::default(), usize::MAX).unwrap();
        page.into_iter().map(Result::unwrap).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn what_is_read_along_is_what_each_number_has(
            records_at in vec(-SECONDS..90, 1..40),
            deliveries in vec((0..60_usize, 0..3_i64, -SECONDS..90, 0..5_usize), 0..200),
            size in 1..8_usize,
        ) {
            let (_directory, mut store) = open();
            let begun = |(record, late, at, state): &(usize, i64, i64, usize)| {
                // Most begin with their record, some later, some for records that are gone, and some at any time at all.
                let begun = records_at.get(*record).filter(|_| *late < 2);
                let state = ["accepted", "delivered", "undelivered", "sending", "?"][*state];
                (*record, begun.map_or(*at, |begun| begun + 30 * late), state)
            };
            insert(&mut store, &records_at, deliveries.iter().map(begun));
            let now = now();
            let mut pages = records(&mut store);
            let found: Vec<_> = {
                let newest = NewestDeliveries::new(&store.database, now);
                pages.iter().map(|listed| newest.find(&listed.record).unwrap()).collect()
            };
            let mut newest = NewestDeliveries::new(&store.database, now);
            let mut read_along = Vec::new();
            for page in pages.chunks_mut(size) {
                let mut page: Page = page.iter().cloned().map(Ok).collect();
                newest.complete(&mut page).unwrap();
                read_along.extend(page.into_iter().map(|listed| listed.unwrap().delivery));
            }
            prop_assert_eq!(read_along, found);
        }
    }

    #[test]
    fn no_record_is_looked_up_alone_and_the_ledger_is_not_read_far_ahead() {
        const SIZE: usize = 5;
        let (_directory, mut store) = open();
        // Further from each other than clocks may differ.
        let at = |record: usize| -120 * record as i64;
        let records_at: Vec<_> = (0..4 * SIZE).map(at).collect();
        let deliveries = (0..4 * SIZE).map(|record| (record, at(record), "accepted"));
        insert(&mut store, &records_at, deliveries);
        let records = records(&mut store);
        let mut newest = NewestDeliveries::new(&store.database, now());
        for page in records.chunks(SIZE) {
            newest.read_along(&page.iter().cloned().map(Ok).collect()).unwrap();
            let read: Vec<_> =
                page.iter().map(|listed| newest.states.remove(&listed.record.id)).collect();
            assert_eq!(read, [Some(Some(DeliveryState::Accepted)); SIZE]);
            assert!(newest.states.len() <= SIZE);
        }
        assert_eq!(newest.reached, None);
    }
}
