//! The erasure of the histories of purged contacts (docs/api-reference.md#erasure).
//!
//! A purge erases the first entries of a history in its own transaction. If there are more, that transaction also
//! inserts a row into `pending_erasures`. The other entries are erased in steps, each in a transaction that also records
//! the progress, so that a crash loses none of them. The response to the purge is sent after the last step.

use sqlx::Row;
use uuid::Uuid;

use super::error::StorageError;
use super::pool::{DatabaseConnection, Pool};
use super::row_mapping;
use super::statement::{ShardAccounts, join_accounts, shard_condition, sql};

/// The number of entries that a purge erases in its own transaction, for which the other writes of the account wait.
const ENTRIES_IN_PURGE: i32 = 200;
/// The number of entries that a later step erases.
const ENTRIES_IN_STEP: i32 = 1_000;
/// The age from which on an erasure was abandoned by the instance that began it.
const MIN_ABANDONED_AGE: &str = "interval '1 minute'";

/// A purged contact with entries in the change feed that still have its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PendingErasure {
    pub(super) account: Uuid,
    pub(super) contact: Uuid,
    /// The position of the newest entry that is not erased.
    pub(super) position: i64,
}

/// Erases the newest entries of histories within the transaction of the purge. Returns the erasures that are pending
/// after that, which are stored in the same transaction.
///
/// # Errors
/// Fails if the database fails.
pub(super) async fn erase_first_entries(
    transaction: &mut DatabaseConnection,
    histories: &[PendingErasure],
    shard: &ShardAccounts,
) -> Result<Vec<PendingErasure>, StorageError> {
    let insert = sql!(
        "INSERT INTO pending_erasures (account_id, contact_id, position, created_at) \
         SELECT a.account_id, n.contact_id, n.position, now() \
         FROM unnest($1::uuid[], $2::uuid[], $3::bigint[]) AS n (account_id, contact_id, position) {}",
        join_accounts(4)
    );
    let pending = erase_entries(transaction, histories, shard, ENTRIES_IN_PURGE).await?;
    if !pending.is_empty() {
        let insert = sqlx::query(insert)
            .bind(pending.iter().map(|erasure| erasure.account).collect::<Vec<_>>())
            .bind(pending.iter().map(|erasure| erasure.contact).collect::<Vec<_>>())
            .bind(pending.iter().map(|erasure| erasure.position).collect::<Vec<_>>());
        insert.bind(shard).execute(transaction).await?;
    }
    Ok(pending)
}

/// Erases up to `limit` entries of each history, from its position backwards. Returns the histories with more entries.
async fn erase_entries(
    connection: &mut DatabaseConnection,
    histories: &[PendingErasure],
    shard: &ShardAccounts,
    limit: i32,
) -> Result<Vec<PendingErasure>, StorageError> {
    let erase = sql!(
        "WITH RECURSIVE history AS ( \
             SELECT n.account_id, n.contact_id, h.row_id, h.previous_position, 1 AS step \
             FROM unnest($1::uuid[], $2::uuid[], $3::bigint[]) AS n (account_id, contact_id, position) \
             CROSS JOIN LATERAL (SELECT ctid AS row_id, previous_position FROM changes c \
             WHERE account_id = n.account_id AND position = n.position AND {shard} LIMIT 1) h \
             UNION ALL SELECT t.account_id, t.contact_id, h.row_id, h.previous_position, t.step + 1 FROM history t \
             CROSS JOIN LATERAL (SELECT ctid AS row_id, previous_position FROM changes c \
             WHERE account_id = t.account_id AND position = t.previous_position AND {shard} LIMIT 1) h WHERE t.step < $4), \
         erased AS (UPDATE changes c SET changed = '{{}}' FROM history h WHERE c.ctid = h.row_id AND {shard}) \
         SELECT account_id, contact_id, previous_position FROM history WHERE step = $4 AND previous_position > 0",
        shard = shard_condition("c", 5)
    );
    let erase = sqlx::query(erase)
        .bind(histories.iter().map(|history| history.account).collect::<Vec<_>>())
        .bind(histories.iter().map(|history| history.contact).collect::<Vec<_>>())
        .bind(histories.iter().map(|history| history.position).collect::<Vec<_>>());
    let rows = erase.bind(limit).bind(shard).fetch_all(connection).await?;
    let pending = rows.iter().map(|row| {
        let (account, contact) = (row_mapping::account_from_row(row)?, row.try_get("contact_id")?);
        Ok(PendingErasure { account, contact, position: row.try_get("previous_position")? })
    });
    Ok(pending.collect::<sqlx::Result<_>>()?)
}

/// Erases the rest of a history, step by step.
///
/// # Errors
/// Fails if the database fails. The erasure is resumed by [`resume_abandoned_erasures`].
pub(super) async fn erase_remaining_entries(pool: &Pool, account: Uuid, contact: Uuid) -> Result<(), StorageError> {
    while erase_step(pool, account, contact).await? {}
    Ok(())
}

/// Erases the next entries of a history. Returns whether the erasure is still pending.
async fn erase_step(pool: &Pool, account: Uuid, contact: Uuid) -> Result<bool, StorageError> {
    const LOCK: &str =
        "SELECT position FROM pending_erasures WHERE account_id = $1 AND contact_id = $2 FOR NO KEY UPDATE";
    const ADVANCE: &str = "UPDATE pending_erasures SET position = $3 WHERE account_id = $1 AND contact_id = $2";
    const DELETE: &str = "DELETE FROM pending_erasures WHERE account_id = $1 AND contact_id = $2";
    let mut connection = pool.acquire().await?;
    let mut transaction = connection.begin().await?;
    let lock = sqlx::query_scalar(LOCK).bind(account).bind(contact);
    // Without a row, another task has finished the erasure.
    let Some(position) = lock.fetch_optional(&mut *transaction).await? else { return Ok(false) };
    let (history, shard) = (PendingErasure { account, contact, position }, pool.shard_accounts([account]));
    let pending = erase_entries(&mut transaction, &[history], &shard, ENTRIES_IN_STEP).await?;
    match pending.first() {
        Some(next) => sqlx::query(ADVANCE).bind(account).bind(contact).bind(next.position),
        None => sqlx::query(DELETE).bind(account).bind(contact),
    }
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(!pending.is_empty())
}

/// Finishes erasures that were interrupted, for example by a crash. An erasure that fails is skipped.
///
/// # Errors
/// Fails if the database fails.
pub(super) async fn resume_abandoned_erasures(pool: &Pool) -> Result<(), StorageError> {
    let abandoned = sql!(
        "SELECT account_id, contact_id FROM pending_erasures WHERE created_at <= now() - {MIN_ABANDONED_AGE} \
         AND (account_id, contact_id) > ($1, $2) ORDER BY account_id, contact_id LIMIT 100"
    );
    let mut last = (Uuid::nil(), Uuid::nil());
    loop {
        let next = sqlx::query(abandoned).bind(last.0).bind(last.1);
        let rows = next.fetch_all(&mut pool.acquire().await?).await?;
        for row in &rows {
            let (account, contact) = (row_mapping::account_from_row(row)?, row.try_get("contact_id")?);
            if let Err(error) = erase_remaining_entries(pool, account, contact).await {
                tracing::warn!(%error, %account, "cannot resume the erasure of a purged history");
            }
            last = (account, contact);
        }
        if rows.is_empty() {
            return Ok(());
        }
    }
}
