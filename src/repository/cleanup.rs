//! Deletes data that no request can see any more: values and keys of deleted fields, expired responses under
//! idempotency keys, expired entries of the change feed. Each step is small, so that no lock is held for long.
//!
//! Clients cannot observe the cleanup: it changes neither the version nor `updated_at` of a contact.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::Row;
use uuid::Uuid;

use super::accounts::accounts_after;
use super::error::StorageError;
use super::pool::Pool;
use super::statement::sql;
use super::{Repository, change_feed, history_erasure, idempotency, row_mapping};
use crate::contacts::now;

/// The interval at which deleted fields are processed.
const FIELDS_INTERVAL: Duration = Duration::from_secs(5);
/// The interval at which expired responses and changes are deleted.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(10 * 60);
/// The age of a deleted field before its values are removed. A write that started before the deletion may still store
/// values of the field; that write has ended by then.
const MIN_DELETED_AGE: &str = "interval '1 minute'";
/// The largest difference between the clocks of this instance and of the database with which the cleanup runs. The times in the
/// database come from both.
const MAX_CLOCK_DIFFERENCE: TimeDelta = TimeDelta::minutes(1);
/// The number of rows that one statement processes.
const STEP_SIZE: i64 = 1_000;

/// Runs the cleanup until the future is dropped. Several instances may run it at the same time.
pub(super) async fn run_periodically(repository: Repository) {
    let mut last_expiry: Option<Instant> = None;
    loop {
        tokio::time::sleep(FIELDS_INTERVAL).await;
        match read_clock_difference(&repository.pool).await {
            Ok(difference) if difference.abs() > MAX_CLOCK_DIFFERENCE => {
                tracing::error!(
                    seconds = difference.num_seconds(),
                    "nothing is cleaned up, because the clocks of this machine and of the database differ by this much"
                );
                continue;
            }
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot read the clock of the database");
                continue;
            }
        }
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

/// Returns how far the clock of this machine is ahead of the clock of the database.
async fn read_clock_difference(pool: &Pool) -> sqlx::Result<TimeDelta> {
    let read = sqlx::query_scalar::<_, DateTime<Utc>>("SELECT clock_timestamp()");
    Ok(now() - read.fetch_one(&mut pool.acquire().await?).await?)
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
            for account in self.accounts_with_expired_records(last, *end).await? {
                if let Err(error) = self.delete_expired_account_records(account).await {
                    tracing::warn!(%error, %account, "cannot delete expired idempotency keys and changes");
                }
            }
            last = *end;
        }
    }

    /// Returns the accounts that have expired records, of the accounts after `first` up to `last`.
    async fn accounts_with_expired_records(&self, first: Uuid, last: Uuid) -> sqlx::Result<Vec<Uuid>> {
        // One expired change stays in the feed (`delete_expired_changes`).
        let with_expired = sql!(
            "SELECT a.account_id FROM accounts a \
             LEFT JOIN LATERAL (SELECT account_id FROM idempotency_keys WHERE account_id = a.account_id \
             AND created_at <= now() - {} ORDER BY created_at LIMIT 1) k ON TRUE \
             LEFT JOIN LATERAL (SELECT at FROM changes WHERE account_id = a.account_id \
             AND position > a.trimmed_position ORDER BY position OFFSET 1 LIMIT 1) h ON TRUE \
             WHERE a.account_id > $1 AND a.account_id <= $2 AND (k.account_id IS NOT NULL OR h.at < now() - make_interval(secs => $3))",
            idempotency::RETENTION
        );
        let accounts =
            sqlx::query_scalar(with_expired).bind(first).bind(last).bind(self.change_retention.as_secs_f64());
        accounts.fetch_all(&mut self.pool.acquire().await?).await
    }

    async fn delete_expired_account_records(&self, account: Uuid) -> Result<(), StorageError> {
        while idempotency::delete_expired_responses(&self.pool, account).await? {}
        while change_feed::delete_expired_changes(&self.pool, account, self.change_retention).await? {}
        Ok(())
    }
}

/// Removes the deleted fields: their values, their unique keys and their rows. A field that fails is skipped.
async fn remove_deleted_fields(pool: &Pool) -> Result<(), StorageError> {
    let deleted = sql!(
        "SELECT account_id, id FROM fields WHERE deleted_at < now() - {MIN_DELETED_AGE} \
         AND (account_id, id) > ($1, $2) ORDER BY account_id, id LIMIT 100"
    );
    let mut last = (Uuid::nil(), 0);
    loop {
        let next = sqlx::query(deleted).bind(last.0).bind(last.1);
        let rows = next.fetch_all(&mut pool.acquire().await?).await?;
        for row in &rows {
            let (account, field) = (row_mapping::account_from_row(row)?, row.try_get("id")?);
            if let Err(error) = remove_deleted_field(pool, account, field).await {
                tracing::warn!(%error, %account, field, "cannot remove the values of a deleted field");
            }
            last = (account, field);
        }
        if rows.is_empty() {
            return Ok(());
        }
    }
}

async fn remove_deleted_field(pool: &Pool, account: Uuid, field: i32) -> sqlx::Result<()> {
    const DELETE: &str = "DELETE FROM fields WHERE account_id = $1 AND id = $2 AND deleted_at IS NOT NULL";
    clear_field_values(pool, account, field).await?;
    delete_field_keys(pool, account, field).await?;
    sqlx::query(DELETE).bind(account).bind(field).execute(&mut pool.acquire().await?).await?;
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
        let ids: Vec<Uuid> = next.fetch_all(&mut pool.acquire().await?).await?;
        let Some(end) = ids.last() else { return Ok(()) };
        last = *end;
        sqlx::query(CLEAR).bind(account).bind(ids).bind(field.to_string()).execute(&mut pool.acquire().await?).await?;
    }
}

/// Deletes the unique keys of a field.
async fn delete_field_keys(pool: &Pool, account: Uuid, field: i32) -> sqlx::Result<()> {
    /// Returns the statement for the keys in one of the two indexes: of active or of archived contacts. With a parameter instead,
    /// a generic plan could use neither.
    fn delete_sql(index_condition: &str) -> String {
        format!(
            "DELETE FROM contact_keys WHERE account_id = $1 AND (contact_id, field_id, key) IN \
             (SELECT contact_id, field_id, key FROM contact_keys \
             WHERE account_id = $1 AND field_id = $2 AND {index_condition} LIMIT $3)"
        )
    }
    for delete in [sql!("{}", delete_sql("is_active")), sql!("{}", delete_sql("NOT is_active"))] {
        loop {
            let delete = sqlx::query(delete).bind(account).bind(field).bind(STEP_SIZE);
            if delete.execute(&mut pool.acquire().await?).await?.rows_affected() == 0 {
                break;
            }
        }
    }
    Ok(())
}
