//! The checks of a server for `doctor`. No statement here writes.

use chrono::{DateTime, TimeDelta, Utc};
use clap::ValueEnum;
use tokio_postgres::config::{Config, Host, SslMode};
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};

use super::address::ServerAddress;
use super::connection::{Server, Session, read as read_rows, read_one};
use super::error::{Failure, READ_ONLY_HINT, ROW_SECURITY_HINT};
use super::facts::Facts;
use super::privileges;
use super::rows::{read_delivery, read_record};
use super::tables::{UNIQUE_CONSTRAINT, constraint_sql, has_unique, missing_indexes};
use crate::model::{Check, CheckStatus, DeliveryState, grouped, latest};
use crate::store::checks::{self, Count, RowCounts, judged};
use crate::store::error::{DamagedRow, StoreError};
use crate::store::schema::{LEDGER, LOCKS, Layout, RECORDS, Table, WRONG_CODES};
use crate::system::clock::Clock;

/// How far the clock of this machine may be from the server's.
const CLOCK_TOLERANCE: TimeDelta = TimeDelta::seconds(5);
/// How many dead rows a table may have, even if it has fewer others.
const DEAD_ROWS: i64 = 10_000;
/// What shows more about a failure that has no hint of its own.
const LOG_HINT: &str = "the server's log shows more";

/// Checks the database at `address`, and changes nothing in it.
pub fn check(address: &ServerAddress, clock: &Clock) -> Vec<Check> {
    let failure = |error: &StoreError| vec![checks::failure("database.server", error, LOG_HINT)];
    let mut server = match Server::connect(address, clock) {
        Ok(server) => server,
        Err(error) => return failure(&error),
    };
    let target = server.target();
    let warning = |error: &StoreError| {
        let hint = error.hint.as_deref().unwrap_or(LOG_HINT);
        Check::warning("database.address", error.problem.as_str(), hint)
    };
    let of_address: Vec<_> = target.warnings.iter().map(warning).collect();
    let configs = target.configs.clone();
    let checked = server.run(None, async |session| {
        let mut all = vec![
            check_server(session, address).await?,
            check_encryption(&configs, session.is_encrypted),
        ];
        all.extend(of_address.iter().cloned());
        all.extend(check_all(session, clock).await?);
        Ok(all)
    });
    checked.unwrap_or_else(|error| failure(&error))
}

async fn check_server(session: &Session, address: &ServerAddress) -> Result<Check, Failure> {
    let sql = "SELECT current_setting('server_version'), current_user::text,
             current_database()::text";
    let row = session.client.query_typed_one(sql, &[]).await?;
    let [version, user, database]: [String; 3] =
        [row.try_get(0)?, row.try_get(1)?, row.try_get(2)?];
    // Debian adds the version of its package.
    let version = version.split(' ').next().unwrap_or_default();
    let message = format!("{address}: PostgreSQL {version}, user {user}, database {database}");
    Ok(Check::ok("database.server", message))
}

fn check_encryption(configs: &[Config], is_encrypted: bool) -> Check {
    let name = ("database.tls", CheckStatus::Warning);
    let is_remote = |config: &Config| match &config.get_hosts()[0] {
        Host::Unix(_) => false,
        Host::Tcp(host) => {
            let address = config.get_hostaddrs().first().copied();
            match address.or_else(|| host.parse().ok()) {
                Some(address) => !address.is_loopback(),
                None => host != "localhost",
            }
        }
    };
    let is_remote = configs.iter().any(is_remote);
    let is_verified = configs[0].get_ssl_mode() == SslMode::Require;
    let (problem, good) = match (is_encrypted, is_remote) {
        (true, _) if is_verified => (None, "encrypted, and the server's certificate was verified"),
        (true, false) => (None, "encrypted"),
        (true, true) => (Some("encrypted, but the server's certificate was not verified"), ""),
        (false, false) => (None, "not encrypted, but it doesn't leave this machine"),
        (false, true) => (Some("not encrypted, so the network between can read the codes"), ""),
    };
    judged(name, problem.map(str::to_owned), good, "use sslmode=verify-full")
}

async fn check_all(session: &Session, clock: &Clock) -> Result<Vec<Check>, Failure> {
    let client = &session.client;
    let facts = session.read_facts().await?;
    let judge = |name: &str, problem: Option<StoreError>, good: &str| match problem {
        None => Check::ok(name, good),
        Some(error) => checks::failure(name, &error, LOG_HINT),
    };
    let tables = [&RECORDS, &LEDGER, &WRONG_CODES].map(|table| (table, facts.layout(table)));
    let lacking = privileges::lacking(client, &privileges::OF_ALL).await?;
    let lacking = lacking.or(privileges::lacking_schema(client).await?);
    let privileges = match facts.layout(&RECORDS) {
        Layout::Missing => "the user may create the tables, which are missing",
        _ => "the user may read and change the tables",
    };
    let mut all = vec![
        judge("database.writable", read_only(client).await?, "the server takes changes"),
        judge("database.privileges", lacking, privileges),
    ];
    if let Some(tables) = privileges::secured_tables(client).await? {
        let problem = format!("row-level security may hide rows, or refuse them: {tables}");
        all.push(Check::warning("database.row_security", problem, ROW_SECURITY_HINT));
    }
    for (table, layout) in tables {
        let is_optional = table.name == WRONG_CODES.name && *layout == Layout::Missing;
        let check = || checks::check_table(table, layout, facts.is_django);
        all.extend((!is_optional).then(check));
    }
    if let Layout::Foreign(error) = facts.layout(&LOCKS) {
        all.push(checks::failure("database.lock", error, LOG_HINT));
    }
    let readable = tables.into_iter().filter(|(_, layout)| layout.is_readable());
    let readable: Vec<_> = readable.map(|(table, _)| table).collect();
    if !readable.is_empty() {
        all.push(check_indexes(client, &facts, &readable).await?);
        all.push(check_dead_rows(client, &readable).await?);
    }
    all.push(check_isolation(client).await?);
    all.push(check_clock(client, clock).await?);
    if facts.layout(&RECORDS).is_readable() {
        let counted = count_rows(client, &facts).await;
        all.extend(match counted {
            Ok(counts) => counts.checks(
                "psql",
                "the clock of a machine that wrote them was wrong; this server's clock may have been",
            ),
            Err(failure) if failure.is_lost() || failure.is_conflict() => return Err(failure),
            Err(failure) => {
                vec![checks::failure("database.rows", &failure.describe(), LOG_HINT)]
            }
        });
    }
    Ok(all)
}

/// Returns an error if the server takes no changes, or not those of a send. It takes one round trip of the transaction that is open.
pub(super) async fn check_writable(session: &Session) -> Result<(), Failure> {
    let client = &session.client;
    let (read_only, lacking) = tokio::try_join!(
        biased;
        read_only(client),
        privileges::lacking(client, &privileges::OF_SEND),
    )?;
    read_only.or(lacking).map_or(Ok(()), |error| Err(error.into()))
}

/// Returns why the server takes no changes, if so.
async fn read_only(client: &Client) -> Result<Option<StoreError>, Failure> {
    let sql = "SELECT current_setting('transaction_read_only') = 'on', pg_is_in_recovery()";
    let row = client.query_typed_one(sql, &[]).await?;
    Ok(match (row.try_get(0)?, row.try_get(1)?) {
        (false, _) => None,
        (true, true) => Some(StoreError::new("the server is a read-only replica", READ_ONLY_HINT)),
        (true, false) => Some(StoreError::new(
            "the server takes no changes: default_transaction_read_only is on",
            "turn default_transaction_read_only off for this user and this database",
        )),
    })
}

async fn check_indexes(
    client: &Client,
    facts: &Facts,
    tables: &[&Table],
) -> Result<Check, Failure> {
    let mut missing = Vec::new();
    for table in tables {
        missing.extend(missing_indexes(client, table).await?.iter().map(|(index, _)| index.name));
    }
    let lacks_unique = facts.layout(&RECORDS).is_readable() && !has_unique(client, facts).await?;
    let unique = lacks_unique.then(|| {
        let sql = constraint_sql(UNIQUE_CONSTRAINT);
        (UNIQUE_CONSTRAINT, facts.is_django.then(|| format!("`{sql}`")))
    });
    let mut check = checks::check_indexes(&missing, unique);
    if check.status != CheckStatus::Ok && !privileges::owns_tables(client).await? {
        check.hint = check.hint.map(|hint| format!("let the owner of the tables run: {hint}"));
    }
    Ok(check)
}

/// Rows that were changed or deleted stay in the way until the server removes them. After a crash it doesn't know how many live rows
/// there are, but still how many it last found.
async fn check_dead_rows(client: &Client, tables: &[&Table]) -> Result<Check, Failure> {
    let names: Vec<_> = tables.iter().map(|table| table.name).collect();
    let sql = "SELECT class.relname::text, n_dead_tup, live
         FROM pg_stat_user_tables AS statistics JOIN pg_class AS class ON class.oid = relid
         CROSS JOIN LATERAL greatest(n_live_tup, reltuples::bigint) AS live
         WHERE relid IN (SELECT to_regclass(name) FROM unnest($1::text[]) AS wanted(name))
             AND n_dead_tup > $2 AND n_dead_tup > live
         ORDER BY class.relname";
    let parameters = [(&names as _, Type::TEXT_ARRAY), (&DEAD_ROWS as _, Type::INT8)];
    let (mut tables, mut counts) = (Vec::new(), Vec::new());
    for row in client.query_typed(sql, &parameters).await? {
        let table: String = row.try_get(0)?;
        let [dead, live] = [row.try_get::<_, i64>(1)?, row.try_get(2)?].map(i64::unsigned_abs);
        counts.push(format!("{table} has {} beside {}", grouped(dead), grouped(live)));
        tables.push(table);
    }
    let problem = (!counts.is_empty()).then(|| format!("dead rows: {}", counts.join(", ")));
    Ok(judged(
        ("database.dead_rows", CheckStatus::Warning),
        problem,
        "the server removes dead rows",
        &format!(
            "`VACUUM {}`; autovacuum may be off, or a long transaction may keep them",
            tables.join(", ")
        ),
    ))
}

async fn check_isolation(client: &Client) -> Result<Check, Failure> {
    let sql = "SELECT current_setting('default_transaction_isolation')";
    let level: String = client.query_typed_one(sql, &[]).await?.try_get(0)?;
    let message = match level.as_str() {
        "read committed" => level,
        _ => format!("{level}, but phone-verify's transactions are read committed"),
    };
    Ok(Check::ok("database.isolation", message))
}

/// The server's clock counts for everything, but a clock that is wrong is one here, or there.
async fn check_clock(client: &Client, clock: &Clock) -> Result<Check, Failure> {
    let before = clock.now();
    let row = client.query_typed_one("SELECT clock_timestamp()", &[]).await?;
    let after = clock.now();
    let server: DateTime<Utc> = row.try_get(0)?;
    // The server looked at its clock at some time between.
    let (difference, how) =
        if server < before { (before - server, "ahead of") } else { (server - after, "behind") };
    let problem = (difference > CLOCK_TOLERANCE).then(|| {
        let seconds = difference.num_seconds();
        format!("this machine's clock is {seconds} seconds {how} the server's")
    });
    Ok(judged(
        ("database.clock", CheckStatus::Warning),
        problem,
        "this machine's clock agrees with the server's",
        "the server's clock counts; set the wrong one of the two: timedatectl set-ntp true",
    ))
}

/// Counts the rows, and those with a problem, on the server.
async fn count_rows(client: &Client, facts: &Facts) -> Result<RowCounts, Failure> {
    let latest = latest(facts.clock.now());
    let mut counts = RowCounts::default();
    let of_records = "(id, phone_number, security_code, session_token, is_verified) IS NOT NULL
         AND isfinite(created_at) AND isfinite(modified_at) AND failed_attempts >= 0";
    let row = count(client, &RECORDS, of_records, latest).await?;
    counts.records = row.try_get(0)?;
    counts.damaged = damaged(client, &RECORDS, &row, |row| read_record(row).err()).await?;
    counts.not_e164 = count_at(&row, 3)?;
    counts.future_records = count_at(&row, 5)?;
    if facts.layout(&LEDGER).is_readable() {
        let states: Vec<_> =
            DeliveryState::value_variants().iter().map(|state| format!("'{state}'")).collect();
        let of_ledger = format!(
            "(id, verification_id, phone_number, backend) IS NOT NULL AND state IN ({})
             AND isfinite(created_at) AND isfinite(updated_at)
             AND coalesce(isfinite(verified_at), TRUE) AND segments >= 0 AND tries >= 0",
            states.join(", ")
        );
        let row = count(client, &LEDGER, &of_ledger, latest).await?;
        counts.deliveries = row.try_get(0)?;
        let further = damaged(client, &LEDGER, &row, |row| read_delivery(row).err()).await?;
        counts.damaged.count += further.count;
        counts.damaged.first = counts.damaged.first.or(further.first);
        counts.future_deliveries = count_at(&row, 5)?;
    }
    Ok(counts)
}

/// Counts the rows of `table`, those that don't meet `is_sound`, and those whose number isn't in E.164 or that are later than
/// `latest`, each with the first id.
async fn count(
    client: &Client,
    table: &Table,
    is_sound: &str,
    latest: DateTime<Utc>,
) -> Result<Row, Failure> {
    let name = table.name;
    let sql = format!(
        "WITH judged AS (
             SELECT id::text, coalesce({is_sound}, FALSE) AS is_sound,
                 phone_number ~ '^[+][1-9][0-9]{{0,14}}$' AS is_e164, created_at > $1 AS is_future
             FROM {name}
         )
         SELECT count(*), count(*) FILTER (WHERE NOT is_sound), min(id) FILTER (WHERE NOT is_sound),
             count(*) FILTER (WHERE is_sound AND NOT is_e164),
             min(id) FILTER (WHERE is_sound AND NOT is_e164),
             count(*) FILTER (WHERE is_sound AND is_future),
             min(id) FILTER (WHERE is_sound AND is_future)
         FROM judged"
    );
    read_one(client, &sql, &[(&latest, Type::TIMESTAMPTZ)]).await
}

/// Returns the count in the column `index` of `row`, and the id behind it.
fn count_at(row: &Row, index: usize) -> Result<Count, Failure> {
    let count: i64 = row.try_get(index)?;
    Ok(Count { count: count.unsigned_abs(), first: row.try_get(index + 1)? })
}

/// Returns how many rows are damaged. `read` says how the first of them is.
async fn damaged(
    client: &Client,
    table: &Table,
    counts: &Row,
    read: impl Fn(&Row) -> Option<DamagedRow>,
) -> Result<Count, Failure> {
    let mut count = count_at(counts, 1)?;
    if let Some(id) = &count.first {
        let Table { name, columns, .. } = table;
        let sql = format!("SELECT {columns} FROM {name} WHERE id::text = $1 LIMIT 1");
        let rows = read_rows(client, &sql, &[(id, Type::TEXT)]).await?;
        let damage = rows.first().and_then(read);
        count.first = damage.map(|damage| damage.to_string()).or(count.first);
    }
    Ok(count)
}

#[cfg(test)]
mod tests;
