//! The store on a PostgreSQL server, or on one that speaks its protocol.

mod address;
mod batch;
mod check;
mod connection;
mod copies;
mod encryption;
mod error;
mod facts;
mod history;
mod lists;
mod locks;
mod migrate;
mod privileges;
mod removal;
mod rows;
mod selection;
mod sends;
mod tables;
mod values;
mod verify;

use uuid::Uuid;

use self::connection::{SOON, Server, transaction};
use self::error::LOCK_TIMEOUT;
use super::copies::{Copies, LedgerIds, WrongCode};
use super::error::{DamagedRow, Result};
use super::interface::{
    Attempt, DeliveryFilter, Judge, RecordFilter, Rows, SessionChoice, Store, Visit,
};
use super::schema::{LEDGER, Layout, RECORDS, Table, WRONG_CODES};
use super::sends::{Admission, GroupHistory, SendReply, SendStep};
use crate::model::{Delivery, Period, PhoneNumber, SmsVerification};
use crate::system::clock::Clock;

pub use address::{AddressError, ServerAddress};
pub use check::check;
pub use migrate::migrate;

/// A store on a server.
pub(super) struct Postgres(Server);

impl Postgres {
    pub(super) fn open(address: &ServerAddress, clock: &Clock) -> Result<Self> {
        Server::connect(address, clock).map(Self)
    }

    pub(super) fn open_unchanged(address: &ServerAddress, clock: &Clock) -> Result<Self> {
        let mut store = Self::open(address, clock)?;
        store.0.run(SOON, async |session| Ok(session.facts().await?.check_with(&LEDGER)?))?;
        Ok(store)
    }

    pub(super) fn open_to_send(address: &ServerAddress, clock: &Clock) -> Result<Self> {
        let mut store = Self::open(address, clock)?;
        // Otherwise each number of a long file would fail separately.
        store.0.run(SOON, async |session| {
            transaction(&session.client, LOCK_TIMEOUT, async {
                let (facts, writable) =
                    tokio::join!(biased; session.facts(), check::check_writable(session));
                facts?.check_with(&LEDGER)?;
                writable
            })
            .await?;
            migrate::facts_with(session, &LEDGER).await?;
            Ok(())
        })?;
        Ok(store)
    }
}

impl Store for Postgres {
    fn clock(&mut self) -> Result<Clock> {
        self.0.run(SOON, async |session| Ok(session.facts().await?.clock.clone()))
    }

    fn verify(
        &mut self,
        phone_number: &PhoneNumber,
        session: &SessionChoice,
        judge: &Judge<'_>,
    ) -> Result<Attempt> {
        verify::verify(&mut self.0, phone_number, session, judge)
    }

    fn take_send_steps(
        &mut self,
        steps: &[SendStep],
        admission: &Admission,
    ) -> Vec<Result<SendReply>> {
        sends::take(&mut self.0, steps, admission)
    }

    fn look_up(
        &mut self,
        history: &mut GroupHistory,
        admission: &Admission,
        phone_number: &PhoneNumber,
    ) -> Result<()> {
        history::look_up_number(&mut self.0, history, admission, phone_number)
    }

    fn list(&mut self, filter: &RecordFilter, limit: u64, visit: &mut Visit<'_>) -> Result<()> {
        lists::list(&mut self.0, filter, limit, visit)
    }

    fn count(&mut self, rows: &Rows) -> Result<u64> {
        lists::count(&mut self.0, rows)
    }

    fn delete(&mut self, rows: &Rows) -> Result<u64> {
        removal::delete(&mut self.0, rows)
    }

    fn damaged_times(&mut self) -> Result<Vec<DamagedRow>> {
        lists::damaged_times(&mut self.0)
    }

    fn ledger_problem(&mut self) -> Result<Option<String>> {
        self.0.run(SOON, async |session| {
            Ok(match session.facts().await?.layout(&LEDGER) {
                Layout::Foreign(error) => Some(error.problem.clone()),
                _ => None,
            })
        })
    }

    fn deliveries(
        &mut self,
        filter: &DeliveryFilter,
        limit: u64,
        visit: &mut Visit<'_, Delivery>,
    ) -> Result<()> {
        lists::deliveries(&mut self.0, filter, limit, visit)
    }

    fn numbers_ending(
        &mut self,
        digits: &str,
        limit: usize,
    ) -> Result<Vec<Result<PhoneNumber, DamagedRow>>> {
        let numbers = lists::numbers_ending(&mut self.0, digits, limit)?;
        Ok(numbers.into_iter().map(Ok).collect())
    }

    fn wrong_codes(&mut self, phone_number: &PhoneNumber, period: Period) -> Result<u32> {
        verify::wrong_codes(&mut self.0, phone_number, period)
    }

    fn list_wrong_codes(&mut self, visit: &mut Visit<'_, WrongCode>) -> Result<()> {
        lists::list_wrong_codes(&mut self.0, visit)
    }

    fn find_records(&mut self, ids: &[Uuid]) -> Result<Vec<SmsVerification>> {
        copies::find_records(&mut self.0, ids)
    }

    fn find_deliveries(
        &mut self,
        deliveries: &[Delivery],
        ids: LedgerIds,
    ) -> Result<Vec<Delivery>> {
        copies::find_deliveries(&mut self.0, deliveries, ids)
    }

    fn insert(&mut self, copies: &Copies<'_>) -> Result<u64> {
        copies::insert(&mut self.0, copies)
    }

    fn identity(&mut self) -> Result<String> {
        // Several databases of one server, and several schemas of one database, may hold tables of ours.
        let sql = "SELECT concat_ws(' ', 'server', extract(epoch FROM pg_postmaster_start_time()), current_database(),
             to_regclass('sms_verification')::oid)";
        self.0.run(SOON, async |session| {
            Ok(session.client.query_typed_one(sql, &[]).await?.try_get(0)?)
        })
    }

    fn further_columns(&mut self) -> Result<Vec<String>> {
        self.0.run(SOON, async |session| {
            let facts = session.facts().await?;
            let of = |table: &Table| table.further_columns(facts.layout(table));
            Ok([of(&RECORDS), of(&LEDGER)].concat())
        })
    }

    fn remove_traces(&mut self) -> Result<Option<String>> {
        let tables = self.0.run(SOON, async |session| {
            let facts = session.facts().await?;
            let tables = [&RECORDS, &LEDGER, &WRONG_CODES];
            let tables = tables.into_iter().filter(|table| facts.layout(table).is_readable());
            Ok(tables.map(|table| table.name).collect::<Vec<_>>().join(", "))
        })?;
        Ok(Some(format!(
            "the server keeps copies of deleted rows in its files until `VACUUM FULL {tables}`, and in its write-ahead log and backups for as long as those are kept"
        )))
    }
}
