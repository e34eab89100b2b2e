//! The operations of a store, on SQLite.

use std::io::ErrorKind;
use std::path::Path;

use rusqlite::{Connection, MAIN_DB, Row, TransactionBehavior, params, params_from_iter};
use uuid::Uuid;

use super::database::{Database, query};
use super::error::Failure;
use super::file::directory_of;
use super::history::look_up;
use super::lock::{BUSY_TIMEOUT, OUTCOME_BUSY_TIMEOUT};
use super::migrate::{bring_ledger_up_to_date, create_if_missing};
use super::newest_deliveries::NewestDeliveries;
use super::pages::{Pages, visit_pages};
use super::rows::{TIME, damaged_row, read_delivery, read_listed_record, read_number};
use super::selection::{Selection, is_time};
use super::sends::Writer;
use super::tables::{has_triggers, is_django};
use super::{copies, wrong_codes};
use crate::model::timestamp::to_stored;
use crate::model::{Delivery, Period, PhoneNumber, SmsVerification, latest, shell_word};
use crate::store::copies::{Copies, LedgerIds, WrongCode};
use crate::store::error::{DamagedRow, Result};
use crate::store::interface::{
    Attempt, DeliveryFilter, Judge, LookUp, RecordFilter, Rows, SessionChoice, Store, Visit,
    WrongCodeFilter,
};
use crate::store::schema::{CURRENT, LEDGER, Layout, RECORDS, Table, WRONG_CODES, superseded};
use crate::store::sends::{Admission, GroupHistory, SendReply, SendStep};
use crate::system::clock::Clock;

/// The memory for pages while sending, in KiB.
const CACHE_KIB: i64 = 10 * 1024;
/// How many pages the write-ahead log holds while sending before SQLite copies them into the database: 16 MiB.
const CHECKPOINT_PAGES: i64 = 4096;

/// A store in a database file.
pub(in crate::store) struct Sqlite {
    pub(super) database: Database,
    pub(super) clock: Clock,
    ledger: Layout,
}

impl Sqlite {
    pub(in crate::store) fn open(path: &Path, clock: &Clock) -> Result<Self> {
        Self::new(Database::open(path)?, clock)
    }

    fn new(database: Database, clock: &Clock) -> Result<Self> {
        let ledger = database.run(|connection| match RECORDS.layout(connection)? {
            Layout::Current(_) => Ok(LEDGER.layout(connection)?),
            Layout::Foreign(error) => Err(error.into()),
            layout => Err(RECORDS.outdated(&layout, is_django(connection)?).into()),
        })?;
        Ok(Self { database, clock: clock.clone(), ledger })
    }

    pub(in crate::store) fn open_unchanged(path: &Path, clock: &Clock) -> Result<Option<Self>> {
        if path.symlink_metadata().is_err_and(|error| error.kind() == ErrorKind::NotFound) {
            let directory = directory_of(path).map_err(|error| Failure::from(error).at(path))?;
            log::debug!("there is no database in {} yet", directory.display());
            return Ok(None);
        }
        let sqlite = Self::new(Database::open_unchanged(path)?, clock)?;
        match sqlite.ledger {
            Layout::Foreign(error) => Err(Failure::from(error).at(path)),
            _ => Ok(Some(sqlite)),
        }
    }

    pub(in crate::store) fn open_to_send(path: &Path, clock: &Clock) -> Result<Self> {
        create_if_missing(path)?;
        let mut sqlite = Self::open(path, clock)?;
        sqlite.database.run(|connection| {
            // Otherwise each number of a long file would fail separately.
            if connection.is_readonly(MAIN_DB)? {
                return Err(Failure::from_code(rusqlite::ffi::SQLITE_READONLY));
            }
            // Ids and codes are random, so that each one touches other pages.
            connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
            Ok(connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?)
        })?;
        if !sqlite.keeps_verified() {
            sqlite.write(bring_ledger_up_to_date)?;
            sqlite.ledger = CURRENT;
        }
        Ok(sqlite)
    }

    fn has_ledger(&self) -> bool {
        self.ledger.is_readable()
    }

    /// Returns whether the ledger has a column for when a code was verified.
    pub(super) fn keeps_verified(&self) -> bool {
        matches!(self.ledger, Layout::Current(_))
    }

    /// Returns the table of `rows`, if it is there, and which of its rows they are. No retention rule can judge a damaged time.
    fn table_of(&self, rows: &Rows) -> Result<Option<(&'static Table, Selection)>> {
        let (table, is_there, selection, created_outside) = match rows {
            Rows::Records(filter) => {
                (&RECORDS, true, Selection::of_records(filter), filter.created_outside)
            }
            Rows::Deliveries(filter) => {
                let selection = Selection::of_deliveries(filter);
                (&LEDGER, self.has_ledger(), selection, filter.created_outside)
            }
            Rows::WrongCodes(WrongCodeFilter { numbers, created_outside }) => {
                let layout = self.database.run(|connection| Ok(WRONG_CODES.layout(connection)?))?;
                let selection = Selection::of_numbers(numbers).outside(*created_outside);
                (&WRONG_CODES, layout.is_readable(), selection, *created_outside)
            }
        };
        let selection = match created_outside {
            Some(_) => selection.and(&is_time("created_at"), None),
            None => selection,
        };
        Ok(is_there.then_some((table, selection)))
    }

    /// Runs `work` in a transaction that no other writer can enter.
    pub(super) fn write<T>(
        &mut self,
        work: impl FnOnce(&Connection) -> Result<T, Failure>,
    ) -> Result<T> {
        let result = self.database.write(TransactionBehavior::Immediate, work);
        result.map_err(|failure| failure.at(&self.database.path))
    }

    /// Takes steps in one transaction: all of them or none.
    fn take_together(
        &mut self,
        steps: &[SendStep],
        admission: &Admission,
    ) -> Result<Vec<SendReply>, Failure> {
        let has_outcome = steps.iter().any(SendStep::is_outcome);
        let timeout = if has_outcome { OUTCOME_BUSY_TIMEOUT } else { BUSY_TIMEOUT };
        self.database.set_busy_timeout(timeout)?;
        let clock = &self.clock;
        let work = |transaction: &Connection| {
            let has_triggers = has_triggers(transaction)?;
            let starts = || steps.iter().filter_map(SendStep::start);
            let count = u32::try_from(starts().count()).unwrap_or(u32::MAX);
            let mut history = GroupHistory::new(count);
            let numbers = starts().map(|send| &send.phone_number);
            look_up(transaction, &mut history, admission, numbers, clock.now())?;
            let take = |step| {
                let writer = Writer { transaction, now: clock.now(), has_triggers };
                Ok(writer.take(step, admission, &mut history)?)
            };
            steps.iter().map(take).collect()
        };
        if steps.iter().all(SendStep::is_check) {
            self.database.read(work)
        } else {
            self.database.write(TransactionBehavior::Immediate, work)
        }
    }

    /// Returns how many rows of `table` are selected.
    pub(super) fn count_in(&self, table: &Table, selection: &Selection) -> Result<u64> {
        let Selection { condition, parameters } = selection;
        let sql = format!("SELECT count(*) FROM {} WHERE {condition}", table.name);
        let count = |row: &Row<'_>| Ok(row.get::<_, i64>(0)? as u64);
        self.database.run(|connection| {
            Ok(connection.query_row(&sql, params_from_iter(parameters), count)?)
        })
    }
}

impl Store for Sqlite {
    fn clock(&mut self) -> Result<Clock> {
        Ok(self.clock.clone())
    }

    fn verify(
        &mut self,
        phone_number: &PhoneNumber,
        session: &SessionChoice,
        judge: &Judge<'_>,
    ) -> Result<Attempt> {
        self.verify_code(phone_number, session, judge)
    }

    fn take_send_steps(
        &mut self,
        steps: &[SendStep],
        admission: &Admission,
    ) -> Vec<Result<SendReply>> {
        match self.take_together(steps, admission) {
            Ok(replies) => replies.into_iter().map(Ok).collect(),
            // Each step would wait for the lock again.
            Err(failure) if steps.len() <= 1 || failure.is_lock() => {
                vec![Err(failure.at(&self.database.path)); steps.len()]
            }
            // Find the step that fails in smaller groups, so that it undoes no other.
            Err(_) => {
                let (first, last) = steps.split_at(steps.len() / 2);
                let mut replies = self.take_send_steps(first, admission);
                replies.extend(self.take_send_steps(last, admission));
                replies
            }
        }
    }

    fn look_up(
        &mut self,
        history: &mut GroupHistory,
        admission: &Admission,
        phone_number: &PhoneNumber,
    ) -> Result<()> {
        if !self.has_ledger() {
            return Ok(());
        }
        let now = self.clock.now();
        let numbers = std::iter::once(phone_number);
        self.database.run(|connection| Ok(look_up(connection, history, admission, numbers, now)?))
    }

    fn list(&mut self, filter: &RecordFilter, limit: u64, visit: &mut Visit<'_>) -> Result<()> {
        let now = self.clock.now();
        let LookUp { superseded_from, delivery } = filter.look_up;
        let (is_superseded, values) = match superseded_from {
            Some(from) => {
                let times = [from, latest(now)].map(|time| to_stored(time).into());
                (superseded("?1", "?2"), times.into())
            }
            None => ("FALSE".to_owned(), Vec::new()),
        };
        let columns = RECORDS.columns;
        let sql = format!("SELECT rowid, {columns}, {is_superseded} FROM sms_verification");
        let selection = Selection::of_records(filter);
        let mut pages = Pages::new(&self.database, (sql, values), selection, read_listed_record);
        let mut deliveries =
            (delivery && self.has_ledger()).then(|| NewestDeliveries::new(&self.database, now));
        let next = |size| {
            let mut page = pages.next(size)?;
            if let Some(deliveries) = &mut deliveries {
                deliveries.complete(&mut page)?;
            }
            Ok(page)
        };
        visit_pages(limit, next, visit)
    }

    fn count(&mut self, rows: &Rows) -> Result<u64> {
        self.table_of(rows)?.map_or(Ok(0), |(table, rows)| self.count_in(table, &rows))
    }

    fn delete(&mut self, rows: &Rows) -> Result<u64> {
        self.table_of(rows)?.map_or(Ok(0), |(table, rows)| self.delete_from(table, &rows))
    }

    fn damaged_times(&mut self) -> Result<Vec<DamagedRow>> {
        let is_time = is_time("created_at");
        let sql = format!("SELECT rowid, id FROM sms_verification WHERE NOT {is_time}");
        let read = |row: &Row<'_>| Ok(damaged_row(&RECORDS, row, "created_at", TIME.0));
        self.database.run(|connection| Ok(query(connection, &sql, [], read)?))
    }

    fn ledger_problem(&mut self) -> Result<Option<String>> {
        Ok(match &self.ledger {
            Layout::Foreign(error) => Some(error.problem.clone()),
            _ => None,
        })
    }

    fn deliveries(
        &mut self,
        filter: &DeliveryFilter,
        limit: u64,
        visit: &mut Visit<'_, Delivery>,
    ) -> Result<()> {
        if !self.has_ledger() {
            return Ok(());
        }
        let query = (LEDGER.select(&self.ledger, ""), Vec::new());
        let selection = Selection::of_deliveries(filter);
        let mut pages = Pages::new(&self.database, query, selection, read_delivery);
        visit_pages(limit, |size| pages.next(size), visit)
    }

    fn numbers_ending(
        &mut self,
        digits: &str,
        limit: usize,
    ) -> Result<Vec<Result<PhoneNumber, DamagedRow>>> {
        // Beside max(), SQLite takes the other columns from the row that has the maximum.
        let newest = |table: &Table| {
            format!(
                "SELECT rowid, id, phone_number, max(created_at) AS created_at, '{0}' AS name FROM {0} \
                 WHERE phone_number GLOB '*' || ?1 GROUP BY phone_number",
                table.name
            )
        };
        let mut tables = newest(&RECORDS);
        if self.has_ledger() {
            tables += &format!(" UNION ALL {}", newest(&LEDGER));
        }
        let sql = format!(
            "SELECT rowid, id, phone_number, name, max(created_at) FROM ({tables}) \
             GROUP BY phone_number ORDER BY max(created_at) DESC LIMIT ?2"
        );
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let read = |row: &Row<'_>| {
            let is_record = row.get_ref(3)?.as_str()? == RECORDS.name;
            Ok(read_number(if is_record { &RECORDS } else { &LEDGER }, row, 2))
        };
        self.database.run(|connection| Ok(query(connection, &sql, params![digits, limit], read)?))
    }

    fn wrong_codes(&mut self, phone_number: &PhoneNumber, period: Period) -> Result<u32> {
        self.database.run(|connection| wrong_codes::count(connection, phone_number, period))
    }

    fn list_wrong_codes(&mut self, visit: &mut Visit<'_, WrongCode>) -> Result<()> {
        wrong_codes::list(&self.database, visit)
    }

    fn find_records(&mut self, ids: &[Uuid]) -> Result<Vec<SmsVerification>> {
        self.database.run(|connection| copies::find_records(connection, ids))
    }

    fn find_deliveries(
        &mut self,
        deliveries: &[Delivery],
        ids: LedgerIds,
    ) -> Result<Vec<Delivery>> {
        if !self.has_ledger() {
            return Ok(Vec::new());
        }
        let ledger = &self.ledger;
        self.database.run(|connection| copies::find_deliveries(connection, ledger, deliveries, ids))
    }

    fn insert(&mut self, copies: &Copies<'_>) -> Result<u64> {
        self.write(|transaction| copies::insert(transaction, copies))
    }

    fn identity(&mut self) -> Result<String> {
        Ok(self.database.identity.clone())
    }

    fn further_columns(&mut self) -> Result<Vec<String>> {
        let records = self.database.run(|connection| Ok(RECORDS.layout(connection)?))?;
        Ok([RECORDS.further_columns(&records), LEDGER.further_columns(&self.ledger)].concat())
    }

    fn remove_traces(&mut self) -> Result<Option<String>> {
        // The log is emptied even if there is no room to rebuild the database.
        let is_small = self.rebuild_if_small();
        self.empty_log()?;
        Ok((!is_small?).then(|| {
            let file = shell_word(&self.database.path);
            format!("the database is too large to be rebuilt now, so parts of deleted rows may be left in it until `sqlite3 {file} VACUUM`")
        }))
    }
}
