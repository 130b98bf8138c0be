//! Whether any node with shards answers. The node that the service is connected to may answer while all others are down.

use std::sync::{Mutex, PoisonError};

use crate::repository::pool::DatabaseConnection;
use futures_util::FutureExt;
use futures_util::future::select_ok;
use uuid::Uuid;

use super::table_layout::TableLayout;
use crate::repository::Repository;
use crate::repository::error::StorageError;
use crate::repository::pool::Pool;

/// The number of random account ids among which there is one for each node, almost certainly.
const SAMPLES: usize = 1_000;

/// The check of a cluster's nodes.
#[derive(Default)]
pub(in crate::repository) struct NodeCheck {
    /// An account id for each node with shards, as of the first check, or of the last one that failed. The accounts need not
    /// exist.
    accounts: Mutex<Vec<Uuid>>,
}

impl Repository {
    /// Checks that the tables are stored as they were when the service started, and that a node with shards answers. While one
    /// answers, its accounts can be served. Without Citus, there is nothing to check.
    ///
    /// # Errors
    /// [`StorageError::LayoutChanged`], and the error of one of the nodes if none answers.
    pub async fn check_nodes(&self) -> Result<(), StorageError> {
        if !self.pool.shard_map().has_citus() {
            return Ok(());
        }
        let is_distributed = self.table_layout().await? == TableLayout::Distributed;
        match (self.pool.is_distributed(), is_distributed) {
            (true, true) => self.node_check.check(&self.pool).await,
            (false, false) => Ok(()),
            _ => Err(StorageError::LayoutChanged),
        }
    }
}

impl NodeCheck {
    async fn check(&self, pool: &Pool) -> Result<(), StorageError> {
        let accounts = match self.take_accounts() {
            known if !known.is_empty() => known,
            _ => account_of_each_node(&mut pool.acquire().await?).await?,
        };
        if !accounts.is_empty() {
            select_ok(accounts.iter().map(|account| read_account(pool, *account).boxed())).await?;
        }
        *self.accounts.lock().unwrap_or_else(PoisonError::into_inner) = accounts;
        Ok(())
    }

    /// Takes the known accounts. They are put back after a successful check: otherwise nodes may have been replaced.
    fn take_accounts(&self) -> Vec<Uuid> {
        std::mem::take(&mut self.accounts.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn account_of_each_node(connection: &mut DatabaseConnection) -> sqlx::Result<Vec<Uuid>> {
    const ACCOUNTS: &str = "SELECT DISTINCT ON (p.groupid) n.account_id FROM unnest($1::uuid[]) AS n (account_id) \
         JOIN pg_dist_placement p ON p.shardid = get_shard_id_for_distribution_column('accounts', n.account_id)";
    let samples: Vec<_> = (0..SAMPLES).map(|_| Uuid::new_v4()).collect();
    sqlx::query_scalar(ACCOUNTS).bind(samples).fetch_all(connection).await
}

async fn read_account(pool: &Pool, account: Uuid) -> Result<(), StorageError> {
    const READ: &str = "SELECT 1 FROM accounts WHERE account_id = $1";
    sqlx::query(READ).bind(account).execute(&mut pool.acquire().await?).await?;
    Ok(())
}
