//! Brings the tables of a server up to date.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::address::ServerAddress;
use super::connection::{Server, Session, begin, transaction};
use super::error::{Failure, LOCK_TIMEOUT};
use super::facts::Facts;
use super::locks::{Lock, take_lock};
use super::tables::{
    UNIQUE_CONSTRAINT, constraint_sql, create_sql, free_name, has_unique, index_sql,
    missing_indexes,
};
use crate::store::error::{Result, StoreError};
use crate::store::migration::{LEFT_TO_DJANGO, Migration, NOT_UNIQUE, TableChange};
use crate::store::schema::{LEDGER, LOCKS, Layout, NOT_REFUSED, RECORDS, Table, WRONG_CODES};
use crate::system::clock::Clock;

/// From migration 0001 to 0002, as Django does it.
const TO_0002: &str = "ALTER TABLE sms_verification RENAME COLUMN otp TO security_code;
    ALTER TABLE sms_verification RENAME COLUMN session_code TO session_token;
    ALTER TABLE sms_verification ADD COLUMN is_verified boolean NOT NULL DEFAULT FALSE;
    ALTER TABLE sms_verification ALTER COLUMN is_verified DROP DEFAULT;";
/// From migration 0002 to 0003, as Django does it.
const TO_0003: &str = "ALTER TABLE sms_verification ADD COLUMN failed_attempts integer NOT NULL
        DEFAULT 0 CONSTRAINT sms_verification_failed_attempts_check CHECK (failed_attempts >= 0);
    ALTER TABLE sms_verification ALTER COLUMN failed_attempts DROP DEFAULT;";

/// How often tables are created: others may be creating them at the same time, and then one of them fails.
const ATTEMPTS: usize = 5;
/// How long a migration looks whether it is its turn, and how long it waits between.
const GLANCE: Duration = Duration::from_millis(1);
const PAUSE: Duration = Duration::from_millis(100);

/// Brings the database at `address` up to date, as [`crate::store::migrate`] does.
pub fn migrate(address: &ServerAddress) -> Result<Migration> {
    let clock = Clock::system();
    let server = &mut Server::connect(address, &clock)?;
    server.run(None, async |session| {
        check(&*session.read_facts().await?)?;
        create_missing(session, &[]).await
    })?;
    // An index is created outside of transactions, so the lock stays with a session of its own.
    let mut lock = Server::connect(address, &clock)?;
    lock.run(None, take_turn)?;
    // What has changed is kept out here, because work runs again after its connection was lost.
    let (mut table, mut ledger) = (TableChange::None, TableChange::None);
    server.run(None, async |session| create_or_upgrade(session, &mut table, &mut ledger).await)?;
    let mut indexes_added = Vec::new();
    for table in [&RECORDS, &LEDGER, &WRONG_CODES] {
        server.run(None, async |session| add_indexes(session, table, &mut indexes_added).await)?;
    }
    let mut unique = None;
    let obstacle = server.run(None, async |session| add_unique(session, &mut unique).await)?;
    // A created or upgraded table includes it.
    indexes_added.extend(unique.filter(|_| table == TableChange::None));
    let warning =
        obstacle.map(|why| format!("the unique constraint {UNIQUE_CONSTRAINT} is missing: {why}"));
    Ok(Migration { table, ledger, indexes_added, warning })
}

/// Waits until no other migration is at work, and keeps others from starting. To look again and again is the only way: whoever
/// waits inside a statement is waited for by `CREATE INDEX CONCURRENTLY`.
async fn take_turn(session: &Session) -> Result<(), Failure> {
    let client = &session.client;
    loop {
        begin(client, GLANCE).await?;
        client.batch_execute("SET LOCAL idle_in_transaction_session_timeout = 0").await?;
        match take_lock(client, Lock::Migration).await {
            Err(failure) if failure.is_lock() => client.batch_execute("ROLLBACK").await?,
            result => return result,
        }
        sleep(PAUSE).await;
    }
}

/// Checks that the tables are ours, and that Django doesn't have to bring them up to date.
fn check(facts: &Facts) -> Result<(), StoreError> {
    for table in [&RECORDS, &LEDGER, &LOCKS] {
        if let Layout::Foreign(error) = facts.layout(table) {
            return Err(error.clone());
        }
    }
    if facts.is_django { facts.check_records() } else { Ok(()) }
}

/// Creates or upgrades the records in one transaction, then creates what else is missing. Says what has changed.
async fn create_or_upgrade(
    session: &Session,
    records: &mut TableChange,
    ledger: &mut TableChange,
) -> Result<(), Failure> {
    let client = &session.client;
    let facts = session.read_facts().await?;
    check(&facts)?;
    let (change, sql) = match facts.layout(&RECORDS) {
        Layout::Missing => (TableChange::Created, create_sql(&RECORDS)),
        Layout::Of0001 => (TableChange::Upgraded, [TO_0002, TO_0003].concat()),
        Layout::Of0002 => (TableChange::Upgraded, TO_0003.to_owned()),
        _ => (*records, String::new()),
    };
    *records = change;
    if !sql.is_empty() {
        let changed = async { Ok(client.batch_execute(&sql).await?) };
        transaction(client, LOCK_TIMEOUT, changed).await?;
    }
    if *facts.layout(&LEDGER) == Layout::Missing {
        *ledger = TableChange::Created;
    }
    session.read_facts().await?;
    create_missing(session, &[&LEDGER, &WRONG_CODES]).await?;
    let copy_verified = format!(
        "UPDATE sms_delivery SET verified_at = record.modified_at FROM sms_verification AS record
         WHERE record.id = sms_delivery.verification_id AND record.is_verified
           AND isfinite(record.modified_at) AND sms_delivery.verified_at IS NULL AND {NOT_REFUSED}"
    );
    let copied = async { Ok(client.batch_execute(&copy_verified).await?) };
    transaction(client, LOCK_TIMEOUT, copied).await
}

/// Adds the indexes that `table` lacks, and their names to `added`. Nobody has to wait meanwhile, unless the table is partitioned.
async fn add_indexes(
    session: &Session,
    table: &Table,
    added: &mut Vec<String>,
) -> Result<(), Failure> {
    let client = &session.client;
    let facts = session.facts().await?;
    if !facts.layout(table).is_readable() {
        return Ok(());
    }
    let is_partitioned = facts.is_partitioned(table);
    let how = if is_partitioned { "" } else { "CONCURRENTLY" };
    for (index, left_over) in missing_indexes(client, table).await? {
        for name in left_over {
            client.batch_execute(&format!("DROP INDEX {how} IF EXISTS {name}")).await?;
        }
        let name = free_name(client, index.name).await?;
        let sql = index_sql(table, index, how, &name);
        let create = async { Ok(client.batch_execute(&sql).await?) };
        // Whoever waits for the lock of a whole table holds up all writers behind it.
        if is_partitioned {
            transaction(client, LOCK_TIMEOUT, create).await?;
        } else {
            create.await?;
        }
        added.push(name);
    }
    Ok(())
}

/// Adds the unique constraint if it is missing, and says under which name. Returns why it can't be added, if so.
async fn add_unique(
    session: &Session,
    added: &mut Option<String>,
) -> Result<Option<&'static str>, Failure> {
    let client = &session.client;
    let facts = session.facts().await?;
    if has_unique(client, &facts).await? {
        return Ok(None);
    }
    if facts.is_django {
        return Ok(Some(LEFT_TO_DJANGO));
    }
    let name = free_name(client, UNIQUE_CONSTRAINT).await?;
    let sql = constraint_sql(&name);
    let result =
        transaction(client, LOCK_TIMEOUT, async { Ok(client.batch_execute(&sql).await?) }).await;
    match result {
        Err(failure) if failure.is_duplicate() => Ok(Some(NOT_UNIQUE)),
        result => {
            *added = Some(name);
            result.map(|()| None)
        }
    }
}

/// Returns what the server says about itself, after `table` and that of the locks were created if they were missing; even if
/// Django manages the database, because Django ignores other tables.
pub(super) async fn facts_with(session: &Session, table: &Table) -> Result<Arc<Facts>, Failure> {
    session.likely_facts().await?.check_with(table)?;
    create_missing(session, &[table]).await
}

/// Creates those of `tables` that are missing, with their indexes, and the table of the locks.
async fn create_missing(session: &Session, tables: &[&Table]) -> Result<Arc<Facts>, Failure> {
    let client = &session.client;
    let mut facts = session.likely_facts().await?;
    let mut attempts = 0;
    loop {
        let mut sql = String::new();
        let is_missing = |table: &&&Table| *facts.layout(table) == Layout::Missing;
        for table in [&LOCKS].iter().chain(tables).filter(is_missing) {
            sql += &create_sql(table);
            for index in table.indexes {
                sql += &index_sql(table, index, "", &free_name(client, index.name).await?);
            }
        }
        if sql.is_empty() {
            return Ok(facts);
        }
        let created = async { Ok(client.batch_execute(&sql).await?) };
        match transaction(client, LOCK_TIMEOUT, created).await {
            // Somebody else may have been faster.
            Err(failure) if !failure.is_lost() && attempts < ATTEMPTS => {
                log::debug!("tables can't be created: {failure}");
            }
            result => result?,
        }
        attempts += 1;
        facts = session.read_facts().await?;
    }
}
