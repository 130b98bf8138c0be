//! An in-memory set of revoked clients whose tokens may not have expired yet. Every request with a client's token
//! checks it (`docs/api-reference.md#client-credentials`).
//!
//! Every instance sees a revocation within [`REFRESH_INTERVAL`] and the time of a query. While the database is down,
//! the last loaded set stays in effect. Before the first load, every check queries the database: see
//! [`RevokedClients::contains`].

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;

use super::error::StorageError;
use super::pool::Pool;
use super::row_mapping;
use crate::clients::ClientId;
use crate::contacts::now;

const REFRESH_INTERVAL: Duration = Duration::from_secs(1);
/// The time after which a refresh is cancelled and tried again: a query that hangs must not delay a revocation.
const REFRESH_TIMEOUT: Duration = Duration::from_secs(2);
/// The maximum age of the revocations in the set. It exceeds the lifetime of a token plus the clock skew of instances.
const MAX_AGE: Duration = Duration::from_secs(2 * 60 * 60);

/// The clients that were revoked within [`MAX_AGE`].
pub(super) struct RevokedClients {
    pool: Pool,
    /// `None` before the first load.
    loaded: ArcSwapOption<HashSet<ClientId>>,
}

impl RevokedClients {
    pub(super) fn new(pool: Pool) -> Self {
        Self { pool, loaded: ArcSwapOption::empty() }
    }

    /// Returns whether a client is revoked. Queries the database if the set has not been loaded yet: an instance that
    /// has just started must not accept a token that other instances reject.
    pub(super) async fn contains(&self, id: ClientId) -> Result<bool, StorageError> {
        if let Some(revoked) = &*self.loaded.load() {
            return Ok(revoked.contains(&id));
        }
        Ok(self.refresh().await?.contains(&id))
    }

    /// Loads new revocations until the future is dropped. The first load is delayed because the table does not exist
    /// before the first migration.
    pub(super) async fn refresh_periodically(self: Arc<Self>) {
        loop {
            tokio::time::sleep(REFRESH_INTERVAL).await;
            match tokio::time::timeout(REFRESH_TIMEOUT, self.refresh()).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => tracing::warn!(%error, "cannot check for revoked clients"),
                Err(_) => tracing::warn!("the check for revoked clients timed out"),
            }
        }
    }

    async fn refresh(&self) -> Result<Arc<HashSet<ClientId>>, StorageError> {
        const SELECT: &str = "SELECT account_id, id FROM clients WHERE revoked_at > $1";
        let rows = sqlx::query(SELECT).bind(now() - MAX_AGE).fetch_all(&mut *self.pool.acquire().await?).await?;
        let revoked = Arc::new(rows.iter().map(row_mapping::client_id_from_row).collect::<sqlx::Result<HashSet<_>>>()?);
        self.loaded.store(Some(Arc::clone(&revoked)));
        Ok(revoked)
    }
}
