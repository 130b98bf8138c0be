//! Whether any node with shards answers. The node that the service is connected to may answer while all others are down.

use futures_util::FutureExt;
use futures_util::future::select_ok;
use sqlx::postgres::PgConnection;
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::repository::Repository;
use crate::repository::error::StorageError;
use crate::repository::pool::Pool;

/// The number of random account ids among which there is one for each node, almost certainly.
const SAMPLES: usize = 1_000;

/// The check of a cluster's nodes.
#[derive(Default)]
pub(in crate::repository) struct NodeCheck {
    /// An account id for each node with shards, as of the last time that no node answered. The accounts need not exist.
    accounts: Mutex<Vec<Uuid>>,
}

impl Repository {
    /// Checks that a node with shards answers, if the tables are distributed. While one answers, its accounts can be served.
    ///
    /// # Errors
    /// The error of one of the nodes if none answers.
    pub async fn check_nodes(&self) -> Result<(), StorageError> {
        if self.pool.is_distributed() { self.node_check.check(&self.pool).await } else { Ok(()) }
    }
}

impl NodeCheck {
    /// Checks that a node with shards answers.
    ///
    /// # Errors
    /// The error of one of the nodes if none answers.
    async fn check(&self, pool: &Pool) -> Result<(), StorageError> {
        let mut accounts = self.accounts.lock().await;
        if accounts.is_empty() {
            *accounts = account_of_each_node(&mut *pool.acquire().await?).await?;
        }
        if accounts.is_empty() {
            return Ok(());
        }
        let checks = accounts.iter().map(|account| read_account(pool, *account).boxed());
        let result = select_ok(checks).await.map(|_| ());
        if result.is_err() {
            // Nodes may have been replaced.
            accounts.clear();
        }
        result
    }
}

async fn account_of_each_node(connection: &mut PgConnection) -> sqlx::Result<Vec<Uuid>> {
    const ACCOUNTS: &str = "SELECT DISTINCT ON (p.groupid) n.account_id FROM unnest($1::uuid[]) AS n (account_id) \
         JOIN pg_dist_placement p ON p.shardid = get_shard_id_for_distribution_column('accounts', n.account_id)";
    let samples: Vec<_> = (0..SAMPLES).map(|_| Uuid::new_v4()).collect();
    sqlx::query_scalar(ACCOUNTS).bind(samples).fetch_all(connection).await
}

async fn read_account(pool: &Pool, account: Uuid) -> Result<(), StorageError> {
    const READ: &str = "SELECT 1 FROM accounts WHERE account_id = $1";
    sqlx::query(READ).bind(account).execute(&mut *pool.acquire().await?).await?;
    Ok(())
}
