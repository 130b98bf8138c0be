//! Removes what no one can see any more, in small steps that hold no one up: the values and keys of deleted fields,
//! answers kept for a day, entries of the feed that are too old. It changes no contact as callers see it: no version, no
//! `updated_at`.

use std::time::{Duration, Instant};

use sqlx::Row;
use uuid::Uuid;

use super::pool::Pool;
use super::{Repository, StorageError, changes, kept, rows};
use crate::contacts::now;

const EVERY: Duration = Duration::from_secs(5);
/// How often answers and changes are looked through for old ones.
const TRIM_EVERY: Duration = Duration::from_secs(10 * 60);
/// How long a field has to have been deleted: longer than any write under way may know it still, and write its values
/// back.
const REST: Duration = Duration::from_secs(60);
/// How many contacts (or keys) a step looks at.
const STEP: i64 = 1_000;

/// Sweeps for as long as it is polled. Instances that sweep the same things at once do no harm.
pub(super) async fn run(repository: Repository) {
    let mut trimmed: Option<Instant> = None;
    loop {
        tokio::time::sleep(EVERY).await;
        if let Err(error) = sweep_fields(&repository.pool).await {
            tracing::warn!(%error, "could not sweep the values of deleted fields");
        }
        if trimmed.is_none_or(|trimmed| trimmed.elapsed() > TRIM_EVERY) {
            trimmed = Some(Instant::now());
            if let Err(error) = repository.remove_old().await {
                tracing::warn!(%error, "could not remove old answers and changes");
            }
        }
    }
}

impl Repository {
    /// Removes the answers and changes that have outlived their time. The background work does so now and then. An
    /// account that someone holds has its turn the next time.
    ///
    /// # Errors
    /// The database, when it does not tell which accounts there are.
    pub async fn remove_old(&self) -> Result<(), StorageError> {
        const PAGE: &str = "SELECT account_id FROM accounts WHERE account_id > $1 ORDER BY account_id LIMIT $2";
        let mut last = Uuid::nil();
        loop {
            let accounts =
                sqlx::query_scalar(PAGE).bind(last).bind(STEP).fetch_all(&mut *self.pool.acquire().await?).await?;
            let Some(end) = accounts.last() else { return Ok(()) };
            last = *end;
            for account in accounts {
                if let Err(error) = self.remove_old_of(account).await {
                    tracing::warn!(%error, %account, "could not remove old answers and changes");
                }
            }
        }
    }

    async fn remove_old_of(&self, account: Uuid) -> Result<(), StorageError> {
        while kept::sweep(&self.pool, account).await? {}
        while changes::trim(&self.pool, account, self.change_retention).await? {}
        Ok(())
    }
}

async fn sweep_fields(pool: &Pool) -> Result<(), StorageError> {
    let deleted = "SELECT account_id, id FROM fields WHERE deleted_at < $1 LIMIT 100";
    let deleted = sqlx::query(deleted).bind(now() - REST).fetch_all(&mut *pool.acquire().await?).await?;
    for row in deleted {
        let (account, field) = (rows::account(&row)?, row.try_get("id")?);
        sweep_values(pool, account, field).await?;
        sweep_keys(pool, account, field).await?;
        let forget = "DELETE FROM fields WHERE account_id = $1 AND id = $2 AND deleted_at IS NOT NULL";
        sqlx::query(forget).bind(account).bind(field).execute(&mut *pool.acquire().await?).await?;
    }
    Ok(())
}

async fn sweep_values(pool: &Pool, account: Uuid, field: i32) -> sqlx::Result<()> {
    const NEXT: &str = "SELECT id FROM contacts WHERE account_id = $1 AND id > $2 ORDER BY id LIMIT $3";
    const CLEAR: &str =
        "UPDATE contacts SET custom = custom - $3 WHERE account_id = $1 AND id = ANY ($2) AND custom ? $3";
    let mut last = Uuid::nil();
    loop {
        let ids: Vec<Uuid> =
            sqlx::query_scalar(NEXT).bind(account).bind(last).bind(STEP).fetch_all(&mut *pool.acquire().await?).await?;
        let Some(end) = ids.last() else { return Ok(()) };
        last = *end;
        sqlx::query(CLEAR).bind(account).bind(ids).bind(field.to_string()).execute(&mut *pool.acquire().await?).await?;
    }
}

async fn sweep_keys(pool: &Pool, account: Uuid, field: i32) -> sqlx::Result<()> {
    const DELETE: &str = "DELETE FROM contact_keys WHERE account_id = $1 AND (contact_id, field_id, key) IN \
                          (SELECT contact_id, field_id, key FROM contact_keys WHERE account_id = $1 AND field_id = $2 AND active = $3 LIMIT $4)";
    for active in [true, false] {
        while sqlx::query(DELETE)
            .bind(account)
            .bind(field)
            .bind(active)
            .bind(STEP)
            .execute(&mut *pool.acquire().await?)
            .await?
            .rows_affected()
            > 0
        {}
    }
    Ok(())
}
