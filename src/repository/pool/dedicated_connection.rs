//! Connections that workers keep from batch to batch. The pool tests a returned connection, which takes round trips.
//! The next batch would have to wait for them.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

use super::connection::DatabaseConnection;
use super::connection_pool::Pool;
use crate::repository::statement::ShardAccounts;

/// The time after which a worker returns its connection to the pool in any case, so that the pool can apply its limits
/// on the age of connections.
const MAX_KEEP: Duration = Duration::from_secs(60);

/// The connections of a group of workers, one for each.
pub(in crate::repository) struct DedicatedConnections {
    pool: Pool,
    connections: Vec<DedicatedConnection>,
}

impl DedicatedConnections {
    /// Creates connections that stay with their workers between uses. Nothing else may use the pool: another user would
    /// wait for a connection that a worker never releases.
    pub(in crate::repository) fn with_own_pool(pool: Pool, workers: u32) -> Self {
        Self::new(pool, workers, || Some(Arc::default()))
    }

    /// Creates connections that return to the pool after each use, because others share the pool.
    pub(in crate::repository) fn with_shared_pool(pool: Pool, workers: u32) -> Self {
        Self::new(pool, workers, || None)
    }

    fn new(pool: Pool, workers: u32, new_slot: impl Fn() -> Option<ConnectionSlot>) -> Self {
        let new_connection = |_| DedicatedConnection { pool: pool.clone(), slot: new_slot(), permits: None };
        Self { connections: (0..workers).map(new_connection).collect(), pool }
    }

    /// Returns the pool of the connections.
    pub(in crate::repository) fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Returns an additional connection, which returns to the pool after each use.
    pub(in crate::repository) fn additional_connection(&self) -> DedicatedConnection {
        DedicatedConnection { pool: self.pool.clone(), slot: None, permits: None }
    }

    /// Returns the connection of each worker.
    pub(in crate::repository) fn iter(&self) -> impl Iterator<Item = DedicatedConnection> {
        self.connections.iter().cloned()
    }

    /// Updates the gauges of the pool.
    pub(in crate::repository) fn update_gauges(&self) {
        let is_idle = |connection: &&DedicatedConnection| connection.slot().is_some_and(|slot| slot.is_some());
        self.pool.update_gauges(self.connections.iter().filter(is_idle).count());
    }

    /// Closes the connections after the running statements.
    pub(in crate::repository) async fn close(&self) {
        // Connections that are put back from now on are dropped at once.
        let closed = self.pool.close();
        self.connections.iter().for_each(|connection| drop(connection.take_idle()));
        closed.await;
    }
}

type ConnectionSlot = Arc<Mutex<Option<WorkerConnection>>>;

/// A connection that a worker keeps between its uses. Cheap to clone.
#[derive(Clone)]
pub(in crate::repository) struct DedicatedConnection {
    pool: Pool,
    /// The idle connection between two uses. `None` when connections return to the pool after each use.
    slot: Option<ConnectionSlot>,
    /// The permits of workers that share a limited number of connections.
    permits: Option<Arc<Semaphore>>,
}

/// A connection in use by a worker. It returns to the pool when it is dropped, unless it is passed to
/// [`DedicatedConnection::put_back`].
pub(in crate::repository) struct WorkerConnection {
    connection: DatabaseConnection,
    acquired_at: Instant,
    last_used: Instant,
    _permit: Option<OwnedSemaphorePermit>,
}

impl DedicatedConnection {
    /// Returns a connection for a worker that ends soon. Until then it keeps one of the connections that others share.
    pub(in crate::repository) fn from_shared_pool(pool: &Pool) -> Self {
        Self { pool: pool.clone(), slot: Some(Arc::default()), permits: None }
    }

    /// Returns a connection for each of many workers, which together use at most `max` connections of the pool at a time.
    pub(in crate::repository) fn with_limit(pool: &Pool, max: u32) -> Self {
        let permits = Arc::new(Semaphore::new(usize::try_from(max.max(1)).unwrap_or(1)));
        Self { pool: pool.clone(), slot: None, permits: Some(permits) }
    }

    /// Whether the tables are distributed. Known once a connection was acquired.
    pub(in crate::repository) fn is_distributed(&self) -> bool {
        self.pool.is_distributed()
    }

    /// Returns the parameter of `shard_condition` in statements about these accounts. Known once a connection was acquired.
    pub(in crate::repository) fn shard_accounts(&self, accounts: impl IntoIterator<Item = Uuid>) -> ShardAccounts {
        self.pool.shard_accounts(accounts)
    }

    /// Returns the worker's idle connection, or one from the pool.
    ///
    /// # Errors
    /// Fails if no connection was free within the timeout, or if the database is down.
    pub(in crate::repository) async fn acquire(&self) -> sqlx::Result<WorkerConnection> {
        if let Some(mut idle) = self.take_idle()
            && idle.is_healthy().await
        {
            return Ok(idle);
        }
        let permit = match &self.permits {
            Some(permits) => Arc::clone(permits).acquire_owned().await.ok(),
            None => None,
        };
        let (connection, now) = (self.pool.acquire().await?, Instant::now());
        Ok(WorkerConnection { connection, acquired_at: now, last_used: now, _permit: permit })
    }

    /// Keeps a connection for the next use. It must be idle: no transaction or result is open.
    pub(in crate::repository) fn put_back(&self, connection: WorkerConnection) {
        let may_keep = connection.is_usable() && connection.acquired_at.elapsed() < MAX_KEEP;
        let idle = may_keep.then(|| WorkerConnection { last_used: Instant::now(), ..connection });
        if let Some(mut slot) = self.slot() {
            *slot = idle;
        }
        if self.pool.is_closed() {
            self.take_idle();
        }
    }

    fn take_idle(&self) -> Option<WorkerConnection> {
        self.slot()?.take()
    }

    fn slot(&self) -> Option<MutexGuard<'_, Option<WorkerConnection>>> {
        Some(self.slot.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl WorkerConnection {
    /// Whether a connection that was kept can be used again.
    async fn is_healthy(&mut self) -> bool {
        // It may have been opened long before it was acquired, but it was tested then.
        let (age, idle) = (self.acquired_at.elapsed(), self.last_used.elapsed());
        self.connection.is_usable() && self.connection.test(age, idle).await
    }
}

impl Deref for WorkerConnection {
    type Target = DatabaseConnection;

    fn deref(&self) -> &DatabaseConnection {
        &self.connection
    }
}

impl DerefMut for WorkerConnection {
    fn deref_mut(&mut self) -> &mut DatabaseConnection {
        &mut self.connection
    }
}
