//! Row locks: the lock of an account with the timeouts of the transaction, and the wait for the locks of others.

use sqlx::postgres::PgConnection;
use uuid::Uuid;

use crate::repository::error::StorageError;
use crate::repository::pool::Pool;

/// Whether jobs are loaded and applied before or after their account is locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LockOrder {
    /// Before: another instance can write to the account meanwhile. What it has changed is not stored.
    LockLast,
    /// After: only transactions that lock a contact without locking its account can conflict.
    LockFirst,
}

/// Locks an account, after waiting for it. The rest of the transaction waits 100 ms for any other lock: a row that another
/// transaction holds must not block the other writes of the account.
///
/// If the jobs are applied before, the transaction may do nothing for a second: an instance that is stopped must not hold its
/// locks. Otherwise jobs with large contacts are applied meanwhile, which may take longer.
pub(super) async fn lock_account(
    transaction: &mut PgConnection,
    account: Uuid,
    order: LockOrder,
) -> Result<(), StorageError> {
    // The timeouts are set when the subquery has the lock.
    const LOCK: &str = "SELECT set_config('lock_timeout', '100ms', true), \
         CASE WHEN $2 THEN set_config('idle_in_transaction_session_timeout', '1s', true) END \
         FROM (SELECT 1 FROM accounts WHERE account_id = $1 FOR NO KEY UPDATE OFFSET 0) a";
    const SET_LOCK_TIMEOUT: &str = "SELECT set_config('lock_timeout', '100ms', true)";
    let lock = sqlx::query(LOCK).bind(account).bind(order == LockOrder::LockLast);
    if lock.execute(&mut *transaction).await?.rows_affected() == 0 {
        // A new account has no row to lock.
        sqlx::query(SET_LOCK_TIMEOUT).execute(transaction).await?;
    }
    Ok(())
}

/// Waits until no other transaction holds a lock on the rows of these contacts.
///
/// # Errors
/// Fails if the database fails or is overloaded, or if the statement timeout ends the wait.
pub(super) async fn wait_for_row_locks(pool: &Pool, account: Uuid, contacts: &[Uuid]) -> Result<(), StorageError> {
    const WAIT: &str = "SELECT 1 FROM contacts WHERE account_id = $1 AND id = ANY ($2) ORDER BY id FOR NO KEY UPDATE";
    sqlx::query(WAIT).bind(account).bind(contacts).execute(&mut *pool.acquire().await?).await?;
    Ok(())
}
