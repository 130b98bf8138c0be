//! Row locks: the lock of an account with the timeouts of the transaction, and the wait for the locks of others.

use uuid::Uuid;

use super::account_batch::AccountBatch;
use crate::repository::error::StorageError;
use crate::repository::pool::DatabaseConnection;
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
/// locks. If the jobs are not small, writing their statement may take longer. Otherwise jobs with large contacts are applied meanwhile,
/// which may take longer, too.
pub(super) async fn lock_account(
    transaction: &mut DatabaseConnection,
    batch: &AccountBatch,
    order: LockOrder,
    is_small: bool,
) -> Result<(), StorageError> {
    let (account, is_distributed) = (batch.account, batch.is_distributed);
    // The timeouts are set when the subquery has the lock. On Citus, the statement runs on the node of the account, and so
    // the timeout for locks belongs there.
    const LOCK: &str = "SELECT set_config('lock_timeout', '100ms', true), \
         CASE WHEN $2 THEN set_config('idle_in_transaction_session_timeout', $3, true) END \
         FROM (SELECT 1 FROM accounts WHERE account_id = $1 FOR NO KEY UPDATE OFFSET 0) a";
    let has_idle_timeout = order == LockOrder::LockLast;
    let idle_timeout = if is_small { "1s" } else { "10s" };
    let lock = sqlx::query(LOCK).bind(account).bind(has_idle_timeout && !is_distributed).bind(idle_timeout);
    if lock.execute(&mut *transaction).await?.rows_affected() == 0 {
        // A new account has no row to lock.
        sqlx::query(SET_LOCK_TIMEOUT).execute(&mut *transaction).await?;
    }
    if has_idle_timeout && is_distributed {
        sqlx::raw_sql(SET_IDLE_TIMEOUT).execute(transaction).await?;
    }
    Ok(())
}

/// Sets the timeouts of a transaction of a batch on Citus: 100 ms for a lock, and a second in which it may do nothing. On
/// PostgreSQL, a batch is single statements, which set the timeout for locks themselves (`lock_accounts.rs`).
pub(super) async fn set_batch_timeouts(transaction: &mut DatabaseConnection) -> Result<(), StorageError> {
    sqlx::raw_sql(SET_LOCK_TIMEOUT).execute(&mut *transaction).await?;
    sqlx::raw_sql(SET_IDLE_TIMEOUT).execute(transaction).await?;
    Ok(())
}

const SET_LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '100ms'";

/// Limits the time in which the service does nothing in a transaction. On Citus, this applies to the node that the service is
/// connected to: the node of the account also waits while that node plans a large statement.
const SET_IDLE_TIMEOUT: &str = "SELECT set_config('idle_in_transaction_session_timeout', '1s', true)";

/// Waits until no other transaction holds a lock on the rows of these contacts.
///
/// # Errors
/// Fails if the database fails or is overloaded, or if the statement timeout ends the wait.
pub(super) async fn wait_for_row_locks(pool: &Pool, account: Uuid, contacts: &[Uuid]) -> Result<(), StorageError> {
    const WAIT: &str = "SELECT 1 FROM contacts WHERE account_id = $1 AND id = ANY ($2) ORDER BY id FOR NO KEY UPDATE";
    sqlx::query(WAIT).bind(account).bind(contacts).execute(&mut pool.acquire().await?).await?;
    Ok(())
}
