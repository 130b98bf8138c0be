//! Deletes data that no request can see any more: values and keys of deleted fields, expired responses under
//! idempotency keys, expired entries of the change feed. Each step is small, so that no lock is held for long.
//!
//! Clients cannot observe the cleanup: it changes neither the version nor `updated_at` of a contact.

use std::time::{Duration, Instant};

use sqlx::Row;
use uuid::Uuid;

use super::accounts::accounts_after;
use super::error::StorageError;
use super::pool::Pool;
use super::{Repository, change_feed, history_erasure, idempotency, row_mapping};
use crate::contacts::now;

/// The interval at which deleted fields are processed.
const FIELDS_INTERVAL: Duration = Duration::from_secs(5);
/// The interval at which expired responses and changes are deleted.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(10 * 60);
/// The age of a deleted field before its values are removed. A write that started before the deletion may still store
/// values of the field; that write has ended by then.
const MIN_DELETED_AGE: Duration = Duration::from_secs(60);
/// The number of rows that one statement processes.
const STEP_SIZE: i64 = 1_000;

/// Runs the cleanup until the future is dropped. Several instances may run it at the same time.
pub(super) async fn run_periodically(repository: Repository) {
    let mut last_expiry: Option<Instant> = None;
    loop {
        tokio::time::sleep(FIELDS_INTERVAL).await;
        if let Err(error) = remove_deleted_fields(&repository.pool).await {
            tracing::warn!(%error, "cannot remove the values of deleted fields");
        }
        if let Err(error) = history_erasure::resume_abandoned_erasures(&repository.pool).await {
            tracing::warn!(%error, "cannot resume the erasure of purged histories");
        }
        if last_expiry.is_none_or(|last_expiry| last_expiry.elapsed() > EXPIRY_INTERVAL) {
            last_expiry = Some(Instant::now());
            if let Err(error) = repository.delete_expired_records().await {
                tracing::warn!(%error, "cannot delete expired idempotency keys and changes");
            }
        }
    }
}

impl Repository {
    /// Deletes the expired stored responses and the expired changes of all accounts. The background work does this
    /// every 10 minutes. If it fails for an account, for example because the account is locked, the account is skipped
    /// until the next run.
    ///
    /// # Errors
    /// Returns a [`StorageError`] when the accounts cannot be listed.
    pub async fn delete_expired_records(&self) -> Result<(), StorageError> {
        let mut last = Uuid::nil();
        loop {
            let accounts = accounts_after(&self.pool, last).await?;
            let Some(end) = accounts.last() else { return Ok(()) };
            last = *end;
            for account in accounts {
                if let Err(error) = self.delete_expired_account_records(account).await {
                    tracing::warn!(%error, %account, "cannot delete expired idempotency keys and changes");
                }
            }
        }
    }

    async fn delete_expired_account_records(&self, account: Uuid) -> Result<(), StorageError> {
        while idempotency::delete_expired_responses(&self.pool, account).await? {}
        while change_feed::delete_expired_changes(&self.pool, account, self.change_retention).await? {}
        Ok(())
    }
}

/// Removes up to 100 deleted fields: their values, their unique keys and their rows.
async fn remove_deleted_fields(pool: &Pool) -> Result<(), StorageError> {
    const DELETED_FIELDS: &str = "SELECT account_id, id FROM fields WHERE deleted_at < $1 LIMIT 100";
    const DELETE: &str = "DELETE FROM fields WHERE account_id = $1 AND id = $2 AND deleted_at IS NOT NULL";
    let deleted = sqlx::query(DELETED_FIELDS).bind(now() - MIN_DELETED_AGE);
    for row in deleted.fetch_all(&mut *pool.acquire().await?).await? {
        let (account, field) = (row_mapping::account_from_row(&row)?, row.try_get("id")?);
        clear_field_values(pool, account, field).await?;
        delete_field_keys(pool, account, field).await?;
        sqlx::query(DELETE).bind(account).bind(field).execute(&mut *pool.acquire().await?).await?;
    }
    Ok(())
}

/// Removes the values of a field from all contacts of its account.
async fn clear_field_values(pool: &Pool, account: Uuid, field: i32) -> sqlx::Result<()> {
    const NEXT_CONTACTS: &str = "SELECT id FROM contacts WHERE account_id = $1 AND id > $2 ORDER BY id LIMIT $3";
    const CLEAR: &str =
        "UPDATE contacts SET custom = custom - $3 WHERE account_id = $1 AND id = ANY ($2) AND custom ? $3";
    let mut last = Uuid::nil();
    loop {
        let next = sqlx::query_scalar(NEXT_CONTACTS).bind(account).bind(last).bind(STEP_SIZE);
        let ids: Vec<Uuid> = next.fetch_all(&mut *pool.acquire().await?).await?;
        let Some(end) = ids.last() else { return Ok(()) };
        last = *end;
        sqlx::query(CLEAR).bind(account).bind(ids).bind(field.to_string()).execute(&mut *pool.acquire().await?).await?;
    }
}

/// Deletes the unique keys of a field.
async fn delete_field_keys(pool: &Pool, account: Uuid, field: i32) -> sqlx::Result<()> {
    const DELETE: &str = "DELETE FROM contact_keys WHERE account_id = $1 AND (contact_id, field_id, key) IN \
        (SELECT contact_id, field_id, key FROM contact_keys \
        WHERE account_id = $1 AND field_id = $2 AND is_active = $3 LIMIT $4)";
    // There is one index for the keys of active contacts and one for the keys of archived contacts.
    for is_active in [true, false] {
        loop {
            let delete = sqlx::query(DELETE).bind(account).bind(field).bind(is_active).bind(STEP_SIZE);
            if delete.execute(&mut *pool.acquire().await?).await?.rows_affected() == 0 {
                break;
            }
        }
    }
    Ok(())
}
