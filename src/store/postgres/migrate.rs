//! Brings the tables of a server up to date.

use std::sync::Arc;

use super::address::ServerAddress;
use super::connection::{Patience, Server, Session, begin, transaction};
use super::error::{Failure, LOCK_TIMEOUT};
use super::facts::Facts;
use super::locks::{Lock, take_lock};
use super::selection::IS_OPEN;
use super::tables::{
    CREATE_LOCKS, UNIQUE_CONSTRAINT, constraint_sql, create_sql, free_name, has_unique, index_sql,
    missing_indexes,
};
use crate::store::error::{Result, StoreError};
use crate::store::migration::{Migration, TableChange};
use crate::store::schema::{LEDGER, Layout, RECORDS, Table, WRONG_CODES};
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

/// What only Django may do in its database, apart from its own migrations.
const LEFT_TO_DJANGO: &str = "Django manages this database, and has to add it";
/// How often tables are created: others may be creating them at the same time, and then one of them fails.
const ATTEMPTS: usize = 5;

/// Brings the database at `address` up to date: creates its tables, upgrades an older table, adds missing indexes.
///
/// # Errors
/// Returns an error if the server can't be used, if a table of another program has the name of one of its tables, or if Django
/// manages the database and hasn't brought its table up to date.
pub fn migrate(address: &ServerAddress) -> Result<Migration> {
    let clock = Clock::system();
    let server = &mut Server::connect(address, &clock)?;
    server.run(Patience::Endless, async |session| {
        check(&*session.read_facts().await?)?;
        Ok(session.client.batch_execute(CREATE_LOCKS).await?)
    })?;
    // An index is created outside of transactions, so the lock stays with a session of its own.
    let mut lock = Server::connect(address, &clock)?;
    lock.run(Patience::ForLocks(LOCK_TIMEOUT), async |session| {
        begin(&session.client, LOCK_TIMEOUT).await?;
        take_lock(&session.client, Lock::Migration).await
    })?;
    let changes = server.run(Patience::Endless, create_or_upgrade)?;
    let mut indexes_added = Vec::new();
    for table in [&RECORDS, &LEDGER, &WRONG_CODES] {
        server.run(Patience::Endless, async |session| {
            add_indexes(session, table, &mut indexes_added).await
        })?;
    }
    let obstacle = server.run(Patience::Endless, add_unique)?;
    let warning =
        obstacle.map(|why| format!("the unique constraint {UNIQUE_CONSTRAINT} is missing: {why}"));
    let [table, ledger] = changes;
    Ok(Migration { table, ledger, indexes_added, warning })
}

/// Checks that the tables are ours, and that Django doesn't have to bring them up to date.
fn check(facts: &Facts) -> Result<(), StoreError> {
    for table in [&RECORDS, &LEDGER] {
        if let Layout::Foreign(error) = facts.layout(table) {
            return Err(error.clone());
        }
    }
    if facts.is_django { facts.check_records() } else { Ok(()) }
}

/// Creates or upgrades the tables in one transaction, and returns the change of the records and of the ledger.
async fn create_or_upgrade(session: &Session) -> Result<[TableChange; 2], Failure> {
    let facts = session.read_facts().await?;
    check(&facts)?;
    let mut sql = String::new();
    let records = match &facts.records {
        Layout::Missing => {
            sql += &create_sql(&RECORDS);
            sql += &constraint_sql();
            TableChange::Created
        }
        Layout::Of0001 | Layout::Of0002 => {
            if facts.records == Layout::Of0001 {
                sql += TO_0002;
            }
            sql += TO_0003;
            TableChange::Upgraded
        }
        _ => TableChange::None,
    };
    let mut ledger = TableChange::None;
    if facts.ledger == Layout::Missing {
        ledger = TableChange::Created;
    }
    sql += &create_own_sql(&facts);
    sql += &format!(
        "UPDATE sms_delivery SET verified_at = record.modified_at FROM sms_verification AS record
         WHERE record.id = sms_delivery.verification_id AND record.is_verified
           AND isfinite(record.modified_at) AND {IS_OPEN};"
    );
    transaction(&session.client, LOCK_TIMEOUT, async {
        Ok(session.client.batch_execute(&sql).await?)
    })
    .await?;
    session.read_facts().await?;
    Ok([records, ledger])
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
    let how = if facts.is_partitioned(table) { "" } else { "CONCURRENTLY" };
    for (index, left_over) in missing_indexes(client, table).await? {
        for name in left_over {
            client.batch_execute(&format!("DROP INDEX {how} IF EXISTS \"{name}\"")).await?;
        }
        let name = free_name(client, index.name).await?;
        client.batch_execute(&index_sql(table, index, how, &name)).await?;
        added.push(name);
    }
    Ok(())
}

/// Adds the unique constraint if it is missing. Returns why it can't be added, if so.
async fn add_unique(session: &Session) -> Result<Option<&'static str>, Failure> {
    let facts = session.facts().await?;
    if has_unique(&session.client, &facts).await? {
        return Ok(None);
    }
    if facts.is_django {
        return Ok(Some(LEFT_TO_DJANGO));
    }
    let added = transaction(&session.client, LOCK_TIMEOUT, async {
        Ok(session.client.batch_execute(&constraint_sql()).await?)
    });
    match added.await {
        Ok(()) => Ok(None),
        Err(failure) if failure.is_duplicate() => {
            Ok(Some("records have the same security code, phone number and session token"))
        }
        Err(failure) => Err(failure),
    }
}

/// Returns the statements that create those of our tables that are missing, with their indexes.
fn create_own_sql(facts: &Facts) -> String {
    let mut sql = String::new();
    if !facts.has_locks {
        sql += CREATE_LOCKS;
    }
    for table in [&LEDGER, &WRONG_CODES] {
        if *facts.layout(table) == Layout::Missing {
            sql += &create_sql(table);
            let create = |index| index_sql(table, index, "", index.name);
            sql += &table.indexes.iter().map(create).collect::<String>();
        }
    }
    sql
}

/// Returns what the server says about itself, after those of our tables were created that were missing; even if Django manages
/// the database, because Django ignores other tables.
pub(super) async fn facts_with_own_tables(session: &Session) -> Result<Arc<Facts>, Failure> {
    let mut facts = session.facts().await?;
    facts.check_records()?;
    for attempt in 0.. {
        if let Layout::Foreign(error) = &facts.ledger {
            return Err(error.clone().into());
        }
        let sql = create_own_sql(&facts);
        if sql.is_empty() {
            break;
        }
        let created = transaction(&session.client, LOCK_TIMEOUT, async {
            Ok(session.client.batch_execute(&sql).await?)
        });
        match created.await {
            Err(failure) if failure.is_lost() || attempt == ATTEMPTS => return Err(failure),
            // Somebody else may have been faster.
            result => {
                facts = session.read_facts().await?;
                log::debug!("tables were created: {result:?}");
            }
        }
    }
    Ok(facts)
}
