//! The newest change of an account, after which the next changes are placed in its feed.
//!
//! No row has the position: a row that every write replaces could not be cleaned up while a snapshot is held open. It
//! follows from the newest entry of the feed (`migrations/0004_newest_changes.sql`).

use std::collections::HashMap;

use sqlx::Row;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::pool::DatabaseConnection;
use super::row_mapping;
use super::statement::{ShardAccounts, shard_condition, shard_condition_of_newest, sql};
use crate::contacts::LastChange;

/// Returns the position of the last change of an account `s`, as an SQL expression. `condition` selects the entries `e` of the
/// account's feed.
pub(super) fn last_position_sql(condition: &str) -> String {
    format!(
        "greatest(s.last_position, s.trimmed_position, \
         (SELECT position FROM changes e WHERE {condition} ORDER BY position DESC LIMIT 1))"
    )
}

/// Returns [`last_position_sql`] for a statement about accounts of a shard. `parameter` is the one of [`shard_condition`].
pub(super) fn last_position_in_shard_sql(parameter: usize) -> String {
    last_position_sql(&format!("account_id = s.account_id AND {}", shard_condition_of_newest("e", parameter)))
}

/// Returns the newest changes of accounts. The accounts must be locked in the same transaction by an earlier statement:
/// the snapshot of this statement is then newer than the locks.
pub(super) async fn read_last_changes(
    connection: &mut DatabaseConnection,
    accounts: &[Uuid],
    shard: &ShardAccounts,
) -> sqlx::Result<HashMap<Uuid, LastChange>> {
    let read = sql!(
        "SELECT n.account_id, greatest(s.last_position, s.trimmed_position, c.position) AS position, c.at \
         FROM unnest($1::uuid[]) AS n (account_id) \
         CROSS JOIN LATERAL (SELECT * FROM accounts a WHERE account_id = n.account_id AND {} LIMIT 1) s \
         LEFT JOIN LATERAL (SELECT position, at FROM changes h WHERE account_id = n.account_id AND {} \
         ORDER BY position DESC LIMIT 1) c ON true",
        shard_condition("a", 2),
        shard_condition_of_newest("h", 2)
    );
    let rows = sqlx::query(read).bind(accounts).bind(shard).fetch_all(connection).await?;
    let last = |row: &PgRow| {
        let last = LastChange { position: row.try_get("position")?, at: row.try_get("at")? };
        Ok((row_mapping::account_from_row(row)?, last))
    };
    rows.iter().map(last).collect()
}
