//! Queues, one for each account, of jobs that are written under the account's lock: jobs that a batch of several
//! accounts could not store, requests that do not consist of exactly one write, and purges.
//!
//! Each queue has one task, which writes the queued jobs. So the jobs of an account wait for one another, and an
//! account uses one connection at a time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::retry::Retrier;
use super::transaction_memory::WriteMemory;
use super::write_job::{WriteJob, fail_jobs};
use crate::repository::admission::ServiceTime;
use crate::repository::error::StorageError;
use crate::repository::pool::Pool;
use crate::repository::storage_metrics;

/// The number of jobs in a queue at which more jobs are rejected.
const MAX_QUEUED: usize = 1_024;
/// The maximum number of writes in a transaction of several jobs.
const MAX_BATCH_WRITES: usize = 1_000;

/// The queues of all accounts that have jobs. Cheap to clone.
#[derive(Clone)]
pub(in crate::repository) struct AccountQueues(Arc<QueuesInner>);

struct QueuesInner {
    retrier: Retrier,
    /// The duration of a transaction, including the wait for a permit.
    service_time: ServiceTime,
    queues: Mutex<HashMap<Uuid, Vec<WriteJob>>>,
}

/// Returns the number of writes that a job counts for.
fn write_count(job: &WriteJob) -> usize {
    job.request.writes.len().max(1)
}

impl AccountQueues {
    /// Creates the queues over a pool of `connections` connections. They use at most half of them.
    pub(in crate::repository) fn new(pool: &Pool, connections: u32, statement_timeout: Duration) -> Self {
        Self(Arc::new(QueuesInner {
            retrier: Retrier::new(pool, connections, statement_timeout),
            service_time: ServiceTime::default(),
            queues: Mutex::default(),
        }))
    }

    /// Updates the gauges of the queues.
    pub(in crate::repository) fn update_gauges(&self) {
        let queues = self.lock_queues();
        storage_metrics::set_account_queues(queues.len(), queues.values().map(Vec::len).sum());
    }

    /// Returns the pool that the queues use.
    pub(super) fn shared_pool(&self) -> &Pool {
        self.0.retrier.pool()
    }

    /// Returns the memory of all write transactions.
    pub(super) fn memory(&self) -> &WriteMemory {
        self.0.retrier.memory()
    }

    /// Returns whether transactions store the new positions in the rows of accounts.
    ///
    /// # Errors
    /// Fails if the database fails.
    pub(super) async fn advances_accounts(&self) -> Result<bool, StorageError> {
        self.0.retrier.advances_accounts().await
    }

    /// Returns whether the account has a queue.
    pub(super) fn contains(&self, account: Uuid) -> bool {
        self.lock_queues().contains_key(&account)
    }

    fn lock_queues(&self) -> MutexGuard<'_, HashMap<Uuid, Vec<WriteJob>>> {
        self.0.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds jobs to the queue of their account. If the queue is full or the jobs would wait too long, they fail.
    pub(super) fn add(&self, account: Uuid, jobs: Vec<WriteJob>) {
        let mut queues = self.lock_queues();
        let admitted =
            queues.get(&account).map_or_else(|| self.0.retrier.try_admit(account), |queue| self.try_admit(queue));
        if let Err(error) = admitted {
            drop(queues);
            return fail_jobs(jobs, &error);
        }
        let queue = queues.entry(account).or_insert_with(|| {
            tokio::spawn(self.clone().process_queue(account));
            vec![]
        });
        queue.extend(jobs);
    }

    fn try_admit(&self, queue: &[WriteJob]) -> Result<(), StorageError> {
        if queue.len() >= MAX_QUEUED {
            return Err(StorageError::Overloaded);
        }
        self.0.service_time.try_admit(queue.iter().map(write_count).sum::<usize>() / MAX_BATCH_WRITES)
    }

    /// Writes the jobs of a queue until it is empty.
    async fn process_queue(self, account: Uuid) {
        while let Some(jobs) = self.take_batch(account) {
            let started = Instant::now();
            // The batch runs on its own task: a panic must not end the queue.
            let _ = tokio::spawn(self.0.retrier.clone().write_together(account, jobs)).await;
            self.0.service_time.record(started.elapsed());
        }
    }

    /// Takes the next jobs from a queue. Removes the queue and returns `None` if it is empty.
    fn take_batch(&self, account: Uuid) -> Option<Vec<WriteJob>> {
        let mut queues = self.lock_queues();
        let queue = queues.get_mut(&account)?;
        let mut writes = 0;
        let fits = |job: &&WriteJob| {
            let is_first = writes == 0;
            writes += write_count(job);
            is_first || writes <= MAX_BATCH_WRITES
        };
        let count = queue.iter().take_while(fits).count();
        if count == 0 {
            queues.remove(&account);
            return None;
        }
        Some(queue.drain(..count).collect())
    }
}
