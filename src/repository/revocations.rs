//! The revoked clients whose tokens may not have expired yet, kept in memory: every call with a client's token asks.
//!
//! A revocation is seen by every instance within [`REFRESH_EVERY`] and the time of a query. While the database is away
//! the last known set holds. Before the first one is known nothing is taken on trust: see [`Revocations::contains`].

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;

use super::pool::Pool;
use super::{StorageError, clients};
use crate::clients::ClientId;
use crate::contacts::now;

const REFRESH_EVERY: Duration = Duration::from_secs(1);
/// How long a look may take before another is tried: one that hangs must not hide a revocation.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a revocation is of interest: longer than a token lives, by more than clocks differ.
const WINDOW: Duration = Duration::from_secs(2 * 60 * 60);

type Revoked = Arc<HashSet<ClientId>>;

pub(super) struct Revocations {
    pool: Pool,
    /// `None` until the database has been asked.
    known: ArcSwapOption<HashSet<ClientId>>,
}

impl Revocations {
    pub(super) fn new(pool: Pool) -> Self {
        Self { pool, known: ArcSwapOption::empty() }
    }

    /// Whether this client is revoked. Asks the database as long as nothing is known: an instance that has just started
    /// must not take a token that the others refuse.
    pub(super) async fn contains(&self, id: ClientId) -> Result<bool, StorageError> {
        if let Some(known) = &*self.known.load() {
            return Ok(known.contains(&id));
        }
        Ok(self.refresh().await?.contains(&id))
    }

    /// Looks for new revocations, for as long as it is polled. Not at once: a database that is new has no clients yet.
    pub(super) async fn keep_fresh(self: Arc<Self>) {
        loop {
            tokio::time::sleep(REFRESH_EVERY).await;
            match tokio::time::timeout(PATIENCE, self.refresh()).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => tracing::warn!(%error, "could not look for revoked clients"),
                Err(_) => tracing::warn!("looking for revoked clients took too long"),
            }
        }
    }

    async fn refresh(&self) -> Result<Revoked, StorageError> {
        const REVOKED: &str = "SELECT account_id, id FROM clients WHERE revoked_at > $1";
        let rows = sqlx::query(REVOKED).bind(now() - WINDOW).fetch_all(&mut *self.pool.acquire().await?).await?;
        let revoked = Arc::new(rows.iter().map(clients::id).collect::<sqlx::Result<HashSet<_>>>()?);
        self.known.store(Some(Arc::clone(&revoked)));
        Ok(revoked)
    }
}
