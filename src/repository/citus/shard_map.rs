//! The shard of each account, in memory. Moving a shard to another node changes nothing here. Splitting a shard, which gives
//! a tenant its own one, does: then a statement fails, and the map is read again.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use moka::sync::Cache;
use sqlx::postgres::PgConnection;
use sqlx::{Executor, Row};
use uuid::Uuid;

use super::table_layout::{TableLayout, read_table_layout};
use crate::repository::pool::{DatabaseConnection, UnsupportedPooler};

/// The maximum number of accounts whose shard is known.
const MAX_ACCOUNTS: u64 = 100_000;
/// How long the shard of an account is known, in case no statement of a batch notices that it was split.
const MAX_AGE: Duration = Duration::from_secs(60);

/// The settings of connections to Citus:
///
/// - It cannot make generic plans for statements that join tables.
/// - `SET LOCAL` applies to the transaction on every node.
/// - A node that does not answer must not hold up work for other nodes for long.
/// - Statements about all shards use one connection to each node. All of them are background work. Otherwise Citus may open one
///   for each shard, every second.
const SETTINGS: &str = "SET plan_cache_mode = 'auto'; SET citus.propagate_set_commands = 'local'; \
     SET citus.node_connection_timeout = '2s'; SET citus.max_adaptive_executor_pool_size = 1";

/// A shard of the table `accounts`. The rows of the same accounts in the other tables are on the same node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in crate::repository) struct Shard {
    id: i64,
    /// The node that had the shard when it was looked up.
    pub(super) node: i32,
}

/// The shards of the accounts in use, if the tables are distributed. Cheap to clone.
#[derive(Clone)]
pub(in crate::repository) struct ShardMap(Arc<ShardMapInner>);

struct ShardMapInner {
    /// The layout at the first connection. While `contacts distribute` runs, the service must not.
    layout: OnceLock<TableLayout>,
    shards: Cache<Uuid, Shard>,
}

impl Default for ShardMap {
    fn default() -> Self {
        let shards = Cache::builder().max_capacity(MAX_ACCOUNTS).time_to_live(MAX_AGE).build();
        Self(Arc::new(ShardMapInner { layout: OnceLock::new(), shards }))
    }
}

impl ShardMap {
    /// Whether the tables are distributed.
    pub(in crate::repository) fn is_distributed(&self) -> bool {
        self.0.layout.get() == Some(&TableLayout::Distributed)
    }

    /// Detects whether the tables are distributed, and sets up a new connection for that. `is_shared`: it shares sessions with others.
    pub(in crate::repository) async fn set_up_connection(
        &self,
        connection: &mut PgConnection,
        is_shared: bool,
    ) -> sqlx::Result<()> {
        if self.0.layout.get().is_none() {
            let layout = read_table_layout(connection).await?;
            self.0.layout.get_or_init(|| layout);
        }
        if self.is_distributed() {
            if is_shared {
                return Err(UnsupportedPooler::Citus.into());
            }
            connection.execute(SETTINGS).await?;
        }
        Ok(())
    }

    /// Whether the database has the extension Citus, as of the first connection.
    pub(super) fn has_citus(&self) -> bool {
        self.0.layout.get().is_some_and(|layout| *layout != TableLayout::PostgreSql)
    }

    /// Returns the shard of an account if it is known.
    pub(in crate::repository) fn known_shard(&self, account: Uuid) -> Option<Shard> {
        self.0.shards.get(&account)
    }

    /// Looks up the shards of these accounts. Returns each account with its shard.
    pub(in crate::repository) async fn load(
        &self,
        connection: &mut DatabaseConnection,
        accounts: &[Uuid],
    ) -> sqlx::Result<Vec<(Uuid, Shard)>> {
        const SHARDS: &str = "SELECT n.account_id, p.shardid, p.groupid FROM (SELECT account_id, \
             get_shard_id_for_distribution_column('accounts', account_id) AS shardid FROM unnest($1::uuid[]) AS u (account_id)) n \
             JOIN pg_dist_placement p ON p.shardid = n.shardid";
        let rows = sqlx::query(SHARDS).bind(accounts).fetch_all(connection).await?;
        let shards = rows.iter().map(|row| {
            let shard = Shard { id: row.try_get("shardid")?, node: row.try_get("groupid")? };
            Ok((row.try_get("account_id")?, shard))
        });
        let shards: Vec<_> = shards.collect::<sqlx::Result<_>>()?;
        shards.iter().for_each(|(account, shard)| self.0.shards.insert(*account, *shard));
        Ok(shards)
    }

    /// Forgets all shards, because a shard was split.
    pub(in crate::repository) fn clear(&self) {
        self.0.shards.invalidate_all();
    }
}
