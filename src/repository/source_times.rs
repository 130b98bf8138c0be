//! The newest `source_updated_at` of each contact and actor (`docs/api-reference.md#changes-that-arrive-out-of-order`).
//! They are read and stored under the lock of their account, with the changes that they belong to.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use sqlx::Row;
use uuid::Uuid;

use super::error::StorageError;
use super::pool::DatabaseConnection;
use super::statement::{ArrayColumn, ShardAccounts, join_accounts, rows_from_arrays, shard_condition, sql};
use crate::contacts::SourceKey;

const KEY_COLUMNS: [ArrayColumn; 3] = [("account_id", "uuid"), ("contact_id", "uuid"), ("actor", "text")];
const COLUMNS: [ArrayColumn; 4] =
    [KEY_COLUMNS[0], KEY_COLUMNS[1], KEY_COLUMNS[2], ("source_updated_at", "timestamptz")];

/// Returns the stored times of these contacts and actors. Those without a time are left out.
pub(super) async fn load_source_times(
    connection: &mut DatabaseConnection,
    keys: &[(Uuid, SourceKey)],
    shard: &ShardAccounts,
) -> Result<Vec<(Uuid, SourceKey, DateTime<Utc>)>, StorageError> {
    let select = sql!(
        "SELECT n.account_id, n.contact_id, n.actor, s.source_updated_at FROM {} CROSS JOIN LATERAL \
         (SELECT source_updated_at FROM source_times t WHERE account_id = n.account_id AND contact_id = n.contact_id \
         AND actor = n.actor AND {} LIMIT 1) s",
        rows_from_arrays(1, &KEY_COLUMNS),
        shard_condition("t", 1 + KEY_COLUMNS.len())
    );
    let rows = sqlx::query(select)
        .bind(keys.iter().map(|(account, _)| *account).collect::<Vec<_>>())
        .bind(keys.iter().map(|(_, (contact, _))| *contact).collect::<Vec<_>>())
        .bind(keys.iter().map(|(_, (_, actor))| &**actor).collect::<Vec<_>>())
        .bind(shard)
        .fetch_all(connection)
        .await?;
    let times = rows.iter().map(|row| {
        let actor: String = row.try_get(2)?;
        Ok((row.try_get(0)?, (row.try_get(1)?, Arc::from(actor)), row.try_get(3)?))
    });
    Ok(times.collect::<sqlx::Result<_>>()?)
}

/// Stores the newest times of contacts and actors.
pub(super) async fn store_source_times(
    connection: &mut DatabaseConnection,
    times: &[(Uuid, &SourceKey, DateTime<Utc>)],
    shard: &ShardAccounts,
) -> Result<(), StorageError> {
    let insert = sql!(
        "INSERT INTO source_times (account_id, contact_id, actor, source_updated_at) \
         SELECT a.account_id, n.contact_id, n.actor, n.source_updated_at FROM {} {} \
         ON CONFLICT (account_id, contact_id, actor) DO UPDATE SET source_updated_at = excluded.source_updated_at",
        rows_from_arrays(1, &COLUMNS),
        join_accounts(1 + COLUMNS.len())
    );
    if times.is_empty() {
        return Ok(());
    }
    sqlx::query(insert)
        .bind(times.iter().map(|(account, ..)| *account).collect::<Vec<_>>())
        .bind(times.iter().map(|(_, (contact, _), _)| *contact).collect::<Vec<_>>())
        .bind(times.iter().map(|(_, (_, actor), _)| &**actor).collect::<Vec<_>>())
        .bind(times.iter().map(|(.., time)| *time).collect::<Vec<_>>())
        .bind(shard)
        .execute(connection)
        .await?;
    Ok(())
}
