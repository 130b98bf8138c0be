//! Row locks of other transactions: the lock timeout of a batch, and the wait for the release of locks.

use sqlx::postgres::PgConnection;
use uuid::Uuid;

use crate::repository::error::StorageError;
use crate::repository::pool::Pool;

/// Limits the time that the rest of the transaction waits for a lock to 100 ms. A row that another transaction holds
/// must not block the other writes of the account.
pub(super) async fn set_lock_timeout(transaction: &mut PgConnection) -> Result<(), StorageError> {
    const SET_LOCK_TIMEOUT: &str = "SELECT set_config('lock_timeout', '100ms', true)";
    sqlx::query(SET_LOCK_TIMEOUT).execute(transaction).await?;
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
