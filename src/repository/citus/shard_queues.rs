//! Queues of jobs, one for each shard, so that a batch has accounts of one shard only. Batches of several shards run side by
//! side, and none fails because the node of another shard is down.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use super::shard_map::ShardId;
use crate::repository::batcher::BatchQueue;
use crate::repository::error::StorageError;
use crate::repository::pool::Pool;

/// Starts the worker of a shard.
type StartWorker<T> = Box<dyn Fn() -> BatchQueue<T> + Send + Sync>;

/// The queues of the shards in use, each with its worker. Without distributed tables there are none.
pub(in crate::repository) struct ShardQueues<T> {
    pool: Pool,
    start_worker: StartWorker<T>,
    queues: Mutex<HashMap<ShardId, BatchQueue<T>>>,
}

impl<T> ShardQueues<T> {
    pub(in crate::repository) fn new(
        pool: Pool,
        start_worker: impl Fn() -> BatchQueue<T> + Send + Sync + 'static,
    ) -> Self {
        Self { pool, start_worker: Box::new(start_worker), queues: Mutex::default() }
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
        self.lock_queues().entry(shard).or_insert_with(&self.start_worker).add(job)?;
        Ok(None)
    }

    /// Returns the number of queued jobs.
    pub(in crate::repository) fn depth(&self) -> usize {
        self.lock_queues().values().map(BatchQueue::depth).sum()
    }

    fn lock_queues(&self) -> MutexGuard<'_, HashMap<ShardId, BatchQueue<T>>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
