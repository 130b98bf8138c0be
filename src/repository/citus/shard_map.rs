//! The shard of each account, in memory. Moving a shard to another node changes nothing here. Splitting a shard, which gives
//! a tenant its own one, does: then a statement fails, and the map is read again.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use moka::sync::Cache;
use sqlx::Executor;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::table_layout::{TableLayout, read_table_layout};

/// The maximum number of accounts whose shard is known.
const MAX_ACCOUNTS: u64 = 100_000;
/// How long the shard of an account is known, in case no statement of a batch notices that it was split.
const MAX_AGE: Duration = Duration::from_secs(60);

/// The settings of connections to Citus:
///
/// - It cannot make generic plans for statements that join tables.
/// - `SET LOCAL` applies to the transaction on every node.
/// - Statements about all shards use one connection to each node. All of them are background work. Otherwise Citus may open one
///   for each shard, every second.
const SETTINGS: &str = "SET plan_cache_mode = 'auto'; SET citus.propagate_set_commands = 'local'; \
     SET citus.max_adaptive_executor_pool_size = 1";

/// The id of a shard of the table `accounts`. The same rows of the other tables are on the same node.
pub(in crate::repository) type ShardId = i64;

/// The shards of the accounts in use, if the tables are distributed. Cheap to clone.
#[derive(Clone)]
pub(in crate::repository) struct ShardMap(Arc<ShardMapInner>);

struct ShardMapInner {
    /// Known from the first connection on. While `contacts distribute` runs, the service must not.
    is_distributed: OnceLock<bool>,
    shards: Cache<Uuid, ShardId>,
}

impl Default for ShardMap {
    fn default() -> Self {
        let shards = Cache::builder().max_capacity(MAX_ACCOUNTS).time_to_live(MAX_AGE).build();
        Self(Arc::new(ShardMapInner { is_distributed: OnceLock::new(), shards }))
    }
}

impl ShardMap {
    /// Whether the tables are distributed.
    pub(in crate::repository) fn is_distributed(&self) -> bool {
        self.0.is_distributed.get().copied().unwrap_or_default()
    }

    /// Detects whether the tables are distributed, and sets up a new connection for that.
    pub(in crate::repository) async fn set_up_connection(&self, connection: &mut PgConnection) -> sqlx::Result<()> {
        if self.0.is_distributed.get() == Some(&false) {
            return Ok(());
        }
        match read_table_layout(connection).await? {
            TableLayout::Distributed => {
                self.0.is_distributed.get_or_init(|| true);
                connection.execute(SETTINGS).await?;
            }
            TableLayout::PostgreSql | TableLayout::NotDistributed => {
                self.0.is_distributed.get_or_init(|| false);
            }
            // The service does not start. If it runs already, the tables may become complete.
            TableLayout::Incomplete { .. } => {}
        }
        Ok(())
    }

    /// Returns the shard of an account if it is known.
    pub(in crate::repository) fn known_shard(&self, account: Uuid) -> Option<ShardId> {
        self.0.shards.get(&account)
    }

    /// Looks up the shards of these accounts, and returns them in the same order.
    pub(in crate::repository) async fn load(
        &self,
        connection: &mut PgConnection,
        accounts: &[Uuid],
    ) -> sqlx::Result<Vec<ShardId>> {
        const SHARDS: &str = "SELECT get_shard_id_for_distribution_column('accounts', n.account_id) \
             FROM unnest($1::uuid[]) WITH ORDINALITY AS n (account_id, number) ORDER BY n.number";
        let shards: Vec<ShardId> = sqlx::query_scalar(SHARDS).bind(accounts).fetch_all(connection).await?;
        accounts.iter().zip(&shards).for_each(|(account, shard)| self.0.shards.insert(*account, *shard));
        Ok(shards)
    }

    /// Forgets all shards, because a shard was split.
    pub(in crate::repository) fn clear(&self) {
        self.0.shards.invalidate_all();
    }
}
