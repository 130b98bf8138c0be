//! An in-memory set of the revoked clients. Every request with a client's token checks it
//! (`docs/api-reference.md#client-credentials`).
//!
//! The first read is complete. After that, every instance reads each second what is new, so the work does not grow with
//! the number of clients that were ever revoked. It sees a revocation within [`REFRESH_INTERVAL`] and the time of a
//! query. While the database is down, the set stays in effect. Before the first read, every check queries the database:
//! see [`RevokedClients::contains`].

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use sqlx::Row;
use sqlx::postgres::PgRow;
use sqlx::types::chrono::{DateTime, Utc};

use super::error::StorageError;
use super::pool::Pool;
use super::row_mapping;
use crate::clients::ClientId;

const REFRESH_INTERVAL: Duration = Duration::from_secs(1);
/// The time after which a refresh is cancelled and tried again: a query that hangs must not delay a revocation.
const REFRESH_TIMEOUT: Duration = Duration::from_secs(2);
/// The time limit of the first read, which can return many rows.
const FIRST_READ_TIMEOUT: Duration = Duration::from_secs(60);

/// Every client that has been revoked.
pub(super) struct RevokedClients {
    pool: Pool,
    /// `None` before the first read.
    loaded: ArcSwapOption<HashSet<ClientId>>,
}

impl RevokedClients {
    pub(super) fn new(pool: Pool) -> Self {
        Self { pool, loaded: ArcSwapOption::empty() }
    }

    /// Returns whether a client is revoked. Queries the database if the set has not been read yet: an instance that has
    /// just started must not accept a token that other instances reject.
    pub(super) async fn contains(&self, id: ClientId) -> Result<bool, StorageError> {
        const IS_REVOKED: &str = "SELECT revoked_at IS NOT NULL FROM clients WHERE account_id = $1 AND id = $2";
        if let Some(revoked) = &*self.loaded.load() {
            return Ok(revoked.contains(&id));
        }
        let is_revoked = sqlx::query_scalar(IS_REVOKED).bind(id.account).bind(id.client);
        let is_revoked: Option<bool> = is_revoked.fetch_optional(&mut self.pool.acquire().await?).await?;
        Ok(is_revoked.unwrap_or_default())
    }

    /// Reads new revocations until the future is dropped. The first read is delayed because the table does not exist
    /// before the first migration.
    pub(super) async fn refresh_periodically(self: Arc<Self>) {
        let mut last_read_at = None;
        loop {
            tokio::time::sleep(REFRESH_INTERVAL).await;
            let timeout = if last_read_at.is_none() { FIRST_READ_TIMEOUT } else { REFRESH_TIMEOUT };
            match tokio::time::timeout(timeout, self.read_new(last_read_at)).await {
                Ok(Ok(read_at)) => last_read_at = Some(read_at),
                Ok(Err(error)) => tracing::warn!(%error, "cannot check for revoked clients"),
                Err(_) => tracing::warn!("the check for revoked clients timed out"),
            }
        }
    }

    /// Adds the clients that have been revoked since the last read, or all revoked clients if it is the first. Returns
    /// the time of this read, by the clock of the database.
    ///
    /// Each read goes back 10 minutes before the last one, for revocations that were committed late or that an older
    /// build recorded with its own clock. It also goes back from the present, in case the clock of the database was set
    /// back (another server after a failover).
    async fn read_new(&self, last_read_at: Option<DateTime<Utc>>) -> Result<DateTime<Utc>, StorageError> {
        const SELECT: &str = "SELECT now() AS read_at, r.account_id, r.id FROM (SELECT 1) AS one \
            LEFT JOIN LATERAL (SELECT account_id, id FROM clients \
            WHERE revoked_at > least($1, now()) - interval '10 minutes' OFFSET 0) r ON true";
        // No client was revoked before this time.
        let last_read_at = last_read_at.unwrap_or(DateTime::UNIX_EPOCH);
        let rows = sqlx::query(SELECT).bind(last_read_at).fetch_all(&mut self.pool.acquire().await?).await?;
        let read_at = rows.first().map_or(Ok(last_read_at), |row| row.try_get("read_at"))?;
        let revoked: Vec<_> =
            rows.iter().filter(|row| has_client(row)).map(row_mapping::client_id_from_row).collect::<Result<_, _>>()?;
        let loaded = self.loaded.load_full();
        let is_known = |client: &ClientId| loaded.as_ref().is_some_and(|loaded| loaded.contains(client));
        if loaded.is_none() || !revoked.iter().all(is_known) {
            let mut all = loaded.map(|loaded| HashSet::clone(&loaded)).unwrap_or_default();
            all.extend(revoked);
            self.loaded.store(Some(Arc::new(all)));
        }
        Ok(read_at)
    }
}

/// Returns whether the row contains a client, and not only the time of the read.
fn has_client(row: &PgRow) -> bool {
    row.try_get::<Option<uuid::Uuid>, _>("id").is_ok_and(|id| id.is_some())
}
