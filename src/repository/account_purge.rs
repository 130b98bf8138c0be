//! Removes an account with all its data, in steps, so that no lock is held for long.

use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::Repository;
use super::citus::TABLES;
use super::error::StorageError;

/// The number of rows that one statement removes.
const STEP_SIZE: i64 = 1_000;

impl Repository {
    /// Revokes all clients of an account, and removes their names, scopes and secrets. Their ids stay: an instance that starts
    /// later must not accept their tokens. Returns the number of clients.
    ///
    /// # Errors
    /// Returns a [`StorageError`] if the database fails or is overloaded.
    pub async fn revoke_clients(&self, account: Uuid) -> Result<u64, StorageError> {
        const REVOKE: &str = "UPDATE clients SET revoked_at = coalesce(revoked_at, date_trunc('milliseconds', now())), \
             name = 'removed', scope = NULL, secret_hash = '' WHERE account_id = $1";
        let revoked = sqlx::query(REVOKE).bind(account).execute(&mut self.pool.acquire().await?).await?;
        Ok(revoked.rows_affected())
    }

    /// Removes all rows of an account, but not its clients. Returns the tables that had any, with their numbers of rows. Contacts
    /// that are created meanwhile may remain.
    ///
    /// # Errors
    /// Returns a [`StorageError`] if the database fails or is overloaded. A part of the rows may be removed.
    pub async fn purge_account(&self, account: Uuid) -> Result<Vec<(&'static str, u64)>, StorageError> {
        let mut removed = vec![];
        // Fields and the account's own row are first in the list, and removed last: writes depend on them.
        for table in TABLES.into_iter().rev().filter(|table| *table != "clients") {
            let rows = self.purge_table(account, table).await?;
            if rows > 0 {
                removed.push((table, rows));
            }
        }
        Ok(removed)
    }

    /// Removes the rows of an account from a table. Returns their number.
    async fn purge_table(&self, account: Uuid, table: &'static str) -> Result<u64, StorageError> {
        let delete = format!(
            "DELETE FROM {table} WHERE account_id = $1 \
             AND ctid = ANY (ARRAY(SELECT ctid FROM {table} WHERE account_id = $1 LIMIT $2))"
        );
        let mut rows = 0;
        loop {
            let step = sqlx::query(AssertSqlSafe(delete.clone())).bind(account).bind(STEP_SIZE);
            match step.execute(&mut self.pool.acquire().await?).await?.rows_affected() {
                0 => return Ok(rows),
                step => rows += step,
            }
        }
    }
}
