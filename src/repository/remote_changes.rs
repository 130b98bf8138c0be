//! Notifies waiting long polls of changes that other instances, or imports, have written.
//!
//! One statement asks for all accounts with waiting long polls. A waiting long poll itself asks the database nothing.

use std::sync::Arc;
use std::time::Duration;

use sqlx::Row;
use tokio::time::{MissedTickBehavior, interval, timeout};
use uuid::Uuid;

use super::change_notifier::ChangeNotifier;
use super::error::StorageError;
use super::last_changes::last_position_in_shard_sql;
use super::pool::Pool;
use super::row_mapping;
use super::statement::{shard_condition, sql};

/// The interval at which the positions of the accounts are read. A change must reach long polls on other instances
/// within a second.
const QUERY_INTERVAL: Duration = Duration::from_millis(500);
/// The maximum time of a query, in case the database does not respond.
const QUERY_TIMEOUT: Duration = Duration::from_secs(5);

/// Notifies the subscribers of changes in the database, until the future is dropped. While the database fails, they
/// wait on.
pub(super) async fn notify_periodically(pool: Pool, notifier: Arc<ChangeNotifier>) {
    let mut ticks = interval(QUERY_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_failing = false;
    loop {
        ticks.tick().await;
        let result = timeout(QUERY_TIMEOUT, notify_stored_changes(&pool, &notifier)).await;
        let failure = match result {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some("the query timed out".to_owned()),
        };
        // An outage is logged once, not twice a second.
        if let Some(error) = failure.as_ref().filter(|_| !is_failing) {
            tracing::warn!(error, "cannot look for changes of other instances");
        }
        is_failing = failure.is_some();
    }
}

/// Reads the positions of all accounts with subscribers, and notifies the subscribers of those that have moved. Without
/// subscribers, the database is not queried.
async fn notify_stored_changes(pool: &Pool, notifier: &ChangeNotifier) -> Result<(), StorageError> {
    pool.for_each_shard(notifier.newest_positions(), |positions| notify_changes_of_shard(pool, notifier, positions))
        .await
}

/// Notifies the subscribers of accounts of one shard.
async fn notify_changes_of_shard(
    pool: &Pool,
    notifier: &ChangeNotifier,
    positions: Vec<(Uuid, i64)>,
) -> Result<(), StorageError> {
    // `LATERAL` with `LIMIT` is an index lookup for each account. A join could become a scan of the whole table.
    let moved = sql!(
        "SELECT k.account_id, k.position, a.last_position \
         FROM unnest($1::uuid[], $2::bigint[]) AS k (account_id, position) CROSS JOIN LATERAL \
         (SELECT {} AS last_position FROM accounts s WHERE account_id = k.account_id AND {} LIMIT 1) a \
         WHERE a.last_position <> k.position",
        last_position_in_shard_sql(3),
        shard_condition("s", 3)
    );
    let (accounts, positions): (Vec<_>, Vec<_>) = positions.into_iter().unzip();
    if accounts.is_empty() {
        return Ok(());
    }
    let shard = pool.shard_accounts(accounts.iter().copied());
    let moved = sqlx::query(moved).bind(accounts).bind(positions).bind(shard);
    for row in moved.fetch_all(&mut pool.acquire().await?).await? {
        notifier.notify_stored(row_mapping::account_from_row(&row)?, row.try_get(1)?, row.try_get(2)?);
    }
    Ok(())
}
