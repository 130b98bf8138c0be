//! The write path. Workers write the jobs that are queued at the same time as one batch, and each caller gets its own
//! reply after the commit.
//!
//! Jobs that a batch cannot store, because another transaction writes the same account or holds a row, are written
//! under the account's lock beside the workers (see [`account_queues`]). So one caller's conflict never delays or fails
//! others. So are jobs that do not fit into the memory of the batch (see [`transaction_memory`]).

mod account_batch;
mod account_queues;
mod batch_transaction;
mod binary_copy;
mod bind_columns;
mod insert_rows;
mod load_state;
mod lock_wait;
mod prepared_batch;
mod purge_replies;
mod retry;
mod store_batch;
mod transaction_memory;
mod write_job;
mod write_outcomes;

use std::sync::Arc;

use super::Repository;
use super::batcher::{self, BatchQueue};
use super::change_notifier::ChangeNotifier;
use super::error::{StorageError, WriteError};
use super::idempotency::Idempotent;
use super::pool::{DedicatedConnection, DedicatedConnections};
use super::shard::shard_of;
use super::storage_metrics::{self, Retry};
use crate::config::DatabaseSettings;
use account_batch::AccountBatch;
pub(super) use account_queues::AccountQueues;
use batch_transaction::{FailedBatch, UnstoredJobs, write_unlocked};
pub use prepared_batch::{PreparedBatch, Projection};
pub use write_job::{AccountWrites, Atomicity, Outcomes};
use write_job::{WriteJob, fail_jobs};
pub use write_outcomes::WriteOutcomes;

/// The name of the writer's queues in metrics.
const QUEUE: &str = "writes";
const MAX_WORKERS: usize = 4;

/// Returns the number of workers: one for every two processors, because the database and the rest of the service need
/// processors, too. Each worker has its own share of the accounts, so workers never wait for one another.
///
/// On two processors a second worker makes batches smaller and costs a sixth of the throughput at 64 connections.
pub(super) fn worker_count() -> u32 {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    u32::try_from((processors / 2).clamp(1, MAX_WORKERS)).unwrap_or(1)
}

impl Repository {
    /// Carries out writes, and returns when they are committed or rejected.
    ///
    /// The span covers the caller's wait: a batch serves many requests and belongs to no single trace.
    ///
    /// # Errors
    /// Any [`WriteError`].
    #[tracing::instrument(
        name = "write contacts",
        skip_all,
        fields(otel.kind = "client", db.system.name = "postgresql")
    )]
    pub async fn write_contacts(&self, writes: AccountWrites) -> Result<Outcomes, WriteError> {
        self.writer.submit(writes).await
    }
}

/// The queues of the workers.
pub(super) struct Writer {
    /// One queue for each worker. Empty when batching is off: then every request has its own transaction.
    queues: Vec<BatchQueue<WriteJob>>,
    connections: DedicatedConnections,
    account_queues: AccountQueues,
    change_notifier: Arc<ChangeNotifier>,
}

impl Writer {
    /// Starts a worker for each connection. The workers end with the writer.
    pub(super) fn start(
        connections: DedicatedConnections,
        account_queues: AccountQueues,
        change_notifier: &Arc<ChangeNotifier>,
        settings: &DatabaseSettings,
    ) -> Self {
        let start_worker = |connection: DedicatedConnection| {
            let account_queues = account_queues.clone();
            let process_batch = move |jobs| write_batch(connection.clone(), account_queues.clone(), jobs);
            batcher::start_worker(QUEUE, settings.write_batch_max, settings.timeout * 2, process_batch)
        };
        let queues = connections.iter().map(start_worker).collect();
        Self { queues, connections, account_queues, change_notifier: Arc::clone(change_notifier) }
    }

    /// Updates the gauges.
    pub(super) fn update_gauges(&self) {
        storage_metrics::set_queue_depth(QUEUE, self.queues.iter().map(BatchQueue::depth).sum());
        self.account_queues.update_gauges();
        self.connections.update_gauges();
    }

    /// Closes the connections of the workers after the running batches.
    pub(super) async fn close(&self) {
        self.connections.close().await;
    }

    /// Returns the memory of all write transactions.
    fn memory(&self) -> &transaction_memory::WriteMemory {
        self.account_queues.memory()
    }

    /// Stores a batch that has been applied. Returns whether it was stored as applied. If not, its jobs are retried or
    /// fail.
    async fn store_applied(&self, batch: AccountBatch) -> bool {
        self.account_queues.store_applied(batch).await
    }

    /// Queues writes and waits for their reply.
    async fn submit(&self, writes: AccountWrites) -> Result<Outcomes, WriteError> {
        if writes.writes.is_empty() && writes.idempotent_request.is_none() {
            return Ok(Idempotent::Fresh(WriteOutcomes::default()));
        }
        let (account, is_single) = (writes.account, writes.writes.len() == 1);
        let (job, reply) = WriteJob::new(writes, &self.change_notifier);
        // The writes run on their own tasks, so that a caller that disconnects does not interrupt them.
        if !is_single {
            self.account_queues.add(account, vec![job]);
        } else if self.queues.is_empty() {
            let connection = self.connections.additional_connection();
            tokio::spawn(write_batch(connection, self.account_queues.clone(), vec![job]));
        } else {
            self.queues[shard_of(account, self.queues.len())].add(job)?;
        }
        reply.await.unwrap_or_else(|_| Err(StorageError::Lost.into()))
    }
}

/// Writes a batch over the worker's connection. Jobs that cannot be stored join the queues of their accounts.
async fn write_batch(connection: DedicatedConnection, account_queues: AccountQueues, mut jobs: Vec<WriteJob>) {
    // Skip jobs whose caller has disconnected.
    jobs.retain(|job| !job.is_abandoned());
    if jobs.is_empty() {
        return;
    }
    let (pool, memory) = (account_queues.shared_pool(), account_queues.memory());
    let not_stored = match write_unlocked(&connection, pool, memory, jobs).await {
        Ok(UnstoredJobs { mut conflicting, deferred }) => {
            Retry::AccountInUse.count(conflicting.len());
            conflicting.extend(deferred);
            conflicting
        }
        // The batch may have been committed, or a retry would fail again: each caller has to repeat its request.
        Err(FailedBatch { error, jobs, .. }) if !error.is_retryable() => return fail_jobs(jobs, &error),
        // One of the jobs made the batch fail. The other jobs must not fail because of it.
        Err(FailedBatch { error, jobs, .. }) => {
            if let StorageError::Bug(error) = error {
                tracing::warn!(%error, "a batch of writes failed; its jobs are retried");
            }
            Retry::BatchFailed.count(jobs.len());
            jobs
        }
    };
    let mut jobs = not_stored.into_iter().peekable();
    while let Some(account) = jobs.peek().map(|job| job.request.account) {
        let account_jobs = std::iter::from_fn(|| jobs.next_if(|job| job.request.account == account)).collect();
        account_queues.add(account, account_jobs);
    }
}
