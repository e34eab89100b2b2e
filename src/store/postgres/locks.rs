//! Rows whose change keeps others away who change them too, until the transaction ends. That works at every isolation level, where
//! a lock without a change doesn't: at REPEATABLE READ its holder wouldn't see what the one before has stored.

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::error::Failure;

/// What only one transaction may do at a time.
#[derive(Debug, Clone, Copy)]
pub(super) enum Lock {
    /// Judge sends by limits, and start them.
    Sends = 1,
    /// Count a wrong code.
    WrongCodes = 2,
    /// Bring the tables up to date.
    Migration = 3,
    /// Store rows that are copied from another database.
    Copy = 4,
}

/// Takes `lock` until the transaction ends.
pub(super) async fn take_lock(client: &Client, lock: Lock) -> Result<(), Failure> {
    let sql = "INSERT INTO phone_verify_lock (id, turn) VALUES ($1, 1)
         ON CONFLICT (id) DO UPDATE SET turn = phone_verify_lock.turn + 1";
    client.execute_typed(sql, &[(&(lock as i32), Type::INT4)]).await?;
    Ok(())
}
