//! Rows that are copied into a store.

use std::slice::from_ref;

use chrono::TimeDelta;

use super::postgres::{self, Kind};
use super::proxied::Proxied;
use super::{Sends, Time, engines, number, outcome, started, take};
use crate::model::{Delivery, DeliveryState, Period, PhoneNumber, SmsVerification};
use crate::store::copies::WrongCode;
use crate::store::{
    Admission, Copies, Database, DeliveryFilter, GroupHistory, LedgerIds, LookUp, RecordFilter,
    Refusal, Rows, SendStep, ServerAddress, Store, WrongCodeFilter, migrate, open, open_to_send,
};
use crate::system::clock::Clock;

fn records(store: &mut dyn Store) -> Vec<SmsVerification> {
    let records = store.newest_records(&RecordFilter::default(), 10).unwrap();
    records.into_iter().map(|row| row.unwrap().record).collect()
}

fn deliveries(store: &mut dyn Store) -> Vec<Delivery> {
    let deliveries = store.newest_deliveries(&DeliveryFilter::default(), 10).unwrap();
    deliveries.into_iter().map(Result::unwrap).collect()
}

/// Stores three records and their deliveries.
fn fill(store: &mut dyn Store) {
    let mut sends = Sends::new(1);
    for last in 1..=3 {
        let send = started(take(store, SendStep::Start(sends.new_send(&number(last)))));
        let outcome = outcome(DeliveryState::Unknown);
        take(store, SendStep::Settle { send, outcome, tries: 2 });
    }
}

#[test]
fn copies_are_the_rows_that_they_were_and_are_there_once() {
    let time = Time::default();
    let clock = time.clock();
    let open_source = engines().remove(0)();
    let source = &mut *open_source(&clock);
    fill(source);
    let (records_there, deliveries_there) = (records(source), deliveries(source));
    for engine in engines() {
        let open = engine();
        let target = &mut *open(&clock);
        for _ in 0..2 {
            // The second time, half of them are there already.
            for count in [2, 3] {
                target.insert(&Copies::Records(&records_there[..count])).unwrap();
                let some = &deliveries_there[..count];
                target.insert(&Copies::Deliveries(some, LedgerIds::Kept)).unwrap();
            }
            assert_eq!(format!("{:?}", records(target)), format!("{records_there:?}"));
            assert_eq!(deliveries(target), deliveries_there);
        }
        let code = |record: &SmsVerification| record.security_code.reveal().to_owned();
        assert_eq!(code(&records(target)[0]), code(&records_there[0]));
        let ids = [records_there[1].id, uuid::Uuid::nil()];
        let found: Vec<_> =
            target.find_records(&ids).unwrap().iter().map(|found| found.id).collect();
        assert_eq!(found, ids[..1]);
        let found = target.find_deliveries(&deliveries_there[1..], LedgerIds::Kept).unwrap();
        assert_eq!(found.len(), 2);
        // A later delivery gets an id of its own.
        let send = started(take(target, SendStep::Start(Sends::new(2).new_send(&number(4)))));
        assert_eq!(send.delivery_id, 4);
    }
}

#[test]
fn deliveries_with_new_ids_are_there_once_in_the_order_of_the_old_ones() {
    for engine in engines() {
        let time = Time::default();
        let open = engine();
        let store = &mut *open(&time.clock());
        fill(store);
        let own = deliveries(store);
        let mut copies: Vec<Delivery> = own.clone();
        for delivery in &mut copies {
            delivery.verification_id = uuid::Uuid::from_u128(delivery.id as u128);
        }
        for (count, new) in [(2, 2), (3, 1), (3, 0)] {
            let some = Copies::Deliveries(&copies[..count], LedgerIds::New);
            assert_eq!(store.insert(&some).unwrap(), new);
        }
        let found = store.find_deliveries(&copies, LedgerIds::New).unwrap();
        let mut pairs: Vec<_> =
            found.iter().map(|found| (found.verification_id.as_u128(), found.id)).collect();
        pairs.sort_unstable();
        assert_eq!(pairs, [(1, 6), (2, 4), (3, 5)]);
        assert_eq!(deliveries(store).len(), 6);
        assert_eq!(store.find_deliveries(&own, LedgerIds::New).unwrap().len(), 3);
    }
}

#[test]
fn copies_are_there_once_though_the_connection_was_lost() {
    let clock = Time::default().clock();
    let open_source = engines().remove(0)();
    let source = &mut *open_source(&clock);
    fill(source);
    let deliveries = deliveries(source);
    let wrong_code = WrongCode { phone_number: number(1), created_at: clock.now() };
    Proxied::each(|proxied| {
        proxied.cut_at_each_message(|store, cut| {
            let copies = Copies::Deliveries(&deliveries, LedgerIds::Kept);
            assert_eq!(store.insert(&copies).unwrap(), 3, "{:?}, {cut:?}", proxied.kind);
            store.insert(&Copies::Deliveries(&deliveries, LedgerIds::New)).unwrap();
            store.insert(&Copies::WrongCodes(from_ref(&wrong_code))).unwrap();
            let ids = proxied.value(
                "SELECT string_agg(id::text, ' ' ORDER BY id) || ', next ' || nextval(
                     pg_get_serial_sequence('sms_delivery', 'id')) || ', '
                     || (SELECT count(*) FROM sms_wrong_code)
                 FROM sms_delivery",
            );
            assert_eq!(ids, "1 2 3, next 4, 1", "{:?}, {cut:?}", proxied.kind);
        });
    });
}

#[test]
fn wrong_codes_are_copied_once() {
    for engine in engines() {
        let time = Time::default();
        let clock = time.clock();
        let open = engine();
        let store = &mut *open(&clock);
        let created_at = clock.now();
        // The longest number that a server's column holds.
        let longest = PhoneNumber::from_stored(format!("+{:9>127}", 1));
        let wrong_codes =
            [number(1), longest].map(|phone_number| WrongCode { phone_number, created_at });
        assert_eq!(store.insert(&Copies::WrongCodes(from_ref(&wrong_codes[0]))).unwrap(), 1);
        assert_eq!(store.insert(&Copies::WrongCodes(&wrong_codes)).unwrap(), 1);
        let mut listed = Vec::new();
        store
            .list_wrong_codes(&mut |page| {
                listed.extend(page.into_iter().map(Result::unwrap));
                true
            })
            .unwrap();
        listed.sort_by(|one, other| one.phone_number.cmp(&other.phone_number));
        assert_eq!(listed, wrong_codes);
        let then = Period { from: created_at, until: created_at };
        assert_eq!(store.wrong_codes(&number(1), then).unwrap(), 1);
    }
}

#[test]
fn a_database_is_itself_and_no_other() {
    let mut identities = Vec::new();
    for engine in engines() {
        let open = engine();
        let clock = Time::default().clock();
        let [first, second] = [(); 2].map(|()| open(&clock).identity().unwrap());
        assert_eq!(first, second);
        assert!(!identities.contains(&first), "{first}");
        identities.push(first);
    }
}

#[test]
fn a_table_that_is_not_there_has_no_rows() {
    let directory = tempfile::tempdir().unwrap();
    let file = Database::File(directory.path().join("db.sqlite3"));
    let servers = Kind::ALL.into_iter().filter_map(|kind| kind.database());
    let servers: Vec<_> = servers.collect();
    let address = |server: &postgres::Database| ServerAddress::parse(&server.url()).unwrap();
    let on_servers = servers.iter().map(|server| Database::Server(address(server)));
    for (database, server) in
        std::iter::once((file, None)).chain(on_servers.zip(servers.iter().map(Some)))
    {
        migrate(&database).unwrap();
        let clock = Clock::system();
        let mut store = open_to_send(&database, &clock).unwrap();
        fill(&mut *store);
        let known = deliveries(&mut *store);
        drop(store);
        let drop_tables = "DROP TABLE sms_delivery; DROP TABLE IF EXISTS sms_wrong_code";
        match (&database, server) {
            (_, Some(server)) => drop(server.query(drop_tables)),
            (Database::File(path), None) => {
                rusqlite::Connection::open(path).unwrap().execute_batch(drop_tables).unwrap();
            }
            (Database::Server(_), None) => unreachable!(),
        }
        let store = &mut *open(&database, &clock).unwrap();
        for rows in [
            Rows::Deliveries(DeliveryFilter::default()),
            Rows::WrongCodes(WrongCodeFilter::default()),
        ] {
            assert_eq!(store.count(&rows).unwrap(), 0, "{database}: {rows:?}");
            assert_eq!(store.delete(&rows).unwrap(), 0, "{database}: {rows:?}");
        }
        assert_eq!(deliveries(store), []);
        let look_up = LookUp { delivery: true, ..LookUp::default() };
        let filter = RecordFilter { look_up, ..RecordFilter::default() };
        let listed = store.newest_records(&filter, 10).unwrap();
        let states = listed.into_iter().map(|row| row.unwrap().delivery);
        assert_eq!(states.collect::<Vec<_>>(), [None; 3], "{database}");
        for ids in [LedgerIds::Kept, LedgerIds::New] {
            assert_eq!(store.find_deliveries(&known, ids).unwrap(), [], "{database}");
        }
        store.list_wrong_codes(&mut |page| page.is_empty() || panic!("{database}")).unwrap();
        assert_eq!(store.numbers_ending("0103", 10).unwrap(), [Ok(number(3))], "{database}");
        let admission = Admission {
            looks_back: Some(TimeDelta::hours(1)),
            judge: Some(Box::new(|history, _| {
                (!history.to_number.is_empty()).then_some(Refusal::AlreadySent)
            })),
            ..Admission::default()
        };
        let mut history = GroupHistory::new(1);
        store.look_up(&mut history, &admission, &number(1)).unwrap();
        assert_eq!(history.judge(&admission, &number(1), clock.now()), None, "{database}");
    }
}
