//! Queues of jobs, one for each shard, so that a batch has accounts of one shard only. Batches of several shards run side by
//! side, and none fails because the node of another shard is down. The shards of a node share a number of connections, so that
//! batches for a node that does not answer cannot use those that batches for other nodes need.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use super::shard_map::Shard;
use crate::repository::batcher::BatchQueue;
use crate::repository::error::StorageError;
use crate::repository::pool::{DedicatedConnection, Pool};

/// Starts the worker of a shard.
type StartWorker<T> = Box<dyn Fn(DedicatedConnection) -> BatchQueue<T> + Send + Sync>;

/// The queues of the shards in use, each with its worker. Without distributed tables there are none.
pub(in crate::repository) struct ShardQueues<T> {
    pool: Pool,
    /// The number of connections that the batches for a node use at a time.
    connections_per_node: u32,
    start_worker: StartWorker<T>,
    workers: Mutex<Workers<T>>,
}

struct Workers<T> {
    /// The connections of each node.
    nodes: HashMap<i32, DedicatedConnection>,
    queues: HashMap<Shard, BatchQueue<T>>,
}

impl<T> ShardQueues<T> {
    pub(in crate::repository) fn new(
        pool: Pool,
        connections_per_node: u32,
        start_worker: impl Fn(DedicatedConnection) -> BatchQueue<T> + Send + Sync + 'static,
    ) -> Self {
        let workers = Mutex::new(Workers { nodes: HashMap::new(), queues: HashMap::new() });
        Self { pool, connections_per_node, start_worker: Box::new(start_worker), workers }
    }

    /// Adds a job about an account. Returns it if the tables are not distributed.
    ///
    /// # Errors
    /// Fails if the shard cannot be read from the database, and with [`StorageError::Overloaded`] when the queue is full or
    /// the job would wait too long.
    pub(in crate::repository) async fn try_add(&self, account: Uuid, job: T) -> Result<Option<T>, StorageError> {
        if !self.pool.is_distributed() {
            return Ok(Some(job));
        }
        let shard = self.pool.shard_of(account).await?;
        let mut workers = self.lock_workers();
        let Workers { nodes, queues } = &mut *workers;
        let queue = queues.entry(shard).or_insert_with(|| {
            let new_node = || DedicatedConnection::with_limit(&self.pool, self.connections_per_node);
            (self.start_worker)(nodes.entry(shard.node).or_insert_with(new_node).clone())
        });
        queue.add(job)?;
        Ok(None)
    }

    /// Returns the number of queued jobs.
    pub(in crate::repository) fn depth(&self) -> usize {
        self.lock_workers().queues.values().map(BatchQueue::depth).sum()
    }

    fn lock_workers(&self) -> MutexGuard<'_, Workers<T>> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
