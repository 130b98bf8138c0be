//! The write path. Workers write the jobs that are queued at the same time as one batch, and each caller gets its own
//! reply after the commit.
//!
//! Jobs that batches cannot store, because another transaction holds the account or a row, are written under the account's
//! lock beside the workers (see [`account_queues`]). So one caller's conflict never delays or fails
//! others. So are jobs that do not fit into the memory of the batch (see [`transaction_memory`]).

mod account_batch;
mod account_move;
mod account_queues;
mod batch_transaction;
mod binary_copy;
mod bind_columns;
mod contended_accounts;
#[cfg(test)]
mod fixtures;
mod insert_rows;
mod load_contacts;
mod load_state;
mod lock_accounts;
mod lock_wait;
mod pipeline;
mod purge_replies;
mod retry;
mod store_rows;
mod store_transaction;
mod store_values;
mod transaction_memory;
mod write_job;
mod write_outcomes;

use std::sync::Arc;

use uuid::Uuid;

use super::Repository;
use super::batcher::BatchQueue;
use super::change_notifier::ChangeNotifier;
use super::citus::ShardQueues;
use super::error::{StorageError, WriteError};
use super::idempotency::Idempotent;
use super::pool::{DedicatedConnection, DedicatedConnections};
use super::storage_metrics;
use crate::config::DatabaseSettings;
use crate::contacts::Write;
pub(super) use account_queues::AccountQueues;
use contended_accounts::ContendedAccounts;
use pipeline::{BatchWriter, TakeContended, WorkerSettings};
use write_job::WriteJob;
pub use write_job::{AccountWrites, Atomicity, Outcomes};
pub use write_outcomes::WriteOutcomes;

/// The name of the writer's queues in metrics.
const QUEUE: &str = "writes";
const MAX_WORKERS: usize = 4;
/// The connections of a worker: one to load batches, and one to store them.
const CONNECTIONS_OF_WORKER: usize = 2;

/// Returns the number of connections of all workers: two for each. There is a worker for every two processors, because the
/// database and the rest of the service need processors, too. Each worker has its own share of the accounts, so these
/// workers never wait for one another.
///
/// On two processors a second worker makes batches smaller and costs a sixth of the throughput at 64 connections.
pub(super) fn connection_count() -> u32 {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    u32::try_from((processors / 2).clamp(1, MAX_WORKERS) * CONNECTIONS_OF_WORKER).unwrap_or(1)
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
    shard_queues: ShardQueues<WriteJob>,
    connections: DedicatedConnections,
    account_queues: AccountQueues,
    contended_accounts: ContendedAccounts,
    change_notifier: Arc<ChangeNotifier>,
}

impl Writer {
    /// Starts a worker for every two connections, or for the only one. The workers end with the writer. If the tables are
    /// distributed, each shard has a worker instead. The workers of a node together use up to a sixth of the shared connections.
    pub(super) fn start(
        connections: DedicatedConnections,
        account_queues: AccountQueues,
        shared_connections: u32,
        change_notifier: &Arc<ChangeNotifier>,
        settings: &DatabaseSettings,
    ) -> Self {
        let worker =
            WorkerSettings { queue: QUEUE, max_batch: settings.write_batch_max, time_limit: settings.timeout * 2 };
        let contended_accounts = ContendedAccounts::new(account_queues.clone(), shared_connections, worker);
        let take_contended: TakeContended = {
            let contended_accounts = contended_accounts.clone();
            Arc::new(move |account, jobs| contended_accounts.add_locked(account, jobs))
        };
        let start_worker = |pair: &[DedicatedConnection]| {
            let writer = BatchWriter::new(pair[0].clone(), pair.get(1).cloned(), &account_queues);
            let take_contended = Some(Arc::clone(&take_contended));
            pipeline::start(BatchWriter { take_contended, ..writer }, worker)
        };
        let shard_queues = {
            let account_queues = account_queues.clone();
            ShardQueues::new(account_queues.shared_pool().clone(), shared_connections / 6, move |connection| {
                pipeline::start(BatchWriter::new(connection.clone(), Some(connection), &account_queues), worker)
            })
        };
        let queues = connections.iter().collect::<Vec<_>>().chunks(CONNECTIONS_OF_WORKER).map(start_worker).collect();
        let change_notifier = Arc::clone(change_notifier);
        Self { queues, shard_queues, connections, account_queues, contended_accounts, change_notifier }
    }

    /// Updates the gauges.
    pub(super) fn update_gauges(&self) {
        storage_metrics::set_queue_depth(
            QUEUE,
            self.queues.iter().map(BatchQueue::depth).sum::<usize>() + self.shard_queues.depth(),
        );
        self.account_queues.update_gauges();
        self.connections.update_gauges();
    }

    /// Closes the connections of the workers after the running batches.
    pub(super) async fn close(&self) {
        self.connections.close().await;
    }

    /// Queues writes and waits for their reply.
    async fn submit(&self, writes: AccountWrites) -> Result<Outcomes, WriteError> {
        if writes.writes.is_empty() && writes.idempotent_request.is_none() {
            return Ok(Idempotent::Fresh(WriteOutcomes::default()));
        }
        // A purge deletes from several tables, so it is a transaction.
        let (account, is_single) =
            (writes.account, matches!(&*writes.writes, [write] if !matches!(write, Write::Purge { .. })));
        let (job, reply) = WriteJob::new(writes, &self.change_notifier);
        let needs_lock = !is_single || job.has_source_times();
        // The writes run on their own tasks, so that a caller that disconnects does not interrupt them.
        if needs_lock || self.account_queues.contains(account) {
            self.account_queues.add(account, vec![job]);
        } else if self.queues.is_empty() {
            let writer = BatchWriter::new(self.connections.additional_connection(), None, &self.account_queues);
            tokio::spawn(writer.write(vec![job]));
        } else if let Some(job) = self.shard_queues.try_add(account, job).await?
            && let Some(job) = self.contended_accounts.try_add(job)?
        {
            self.queues[worker_index(account, self.queues.len())].add(job)?;
        }
        reply.await.unwrap_or_else(|_| Err(StorageError::Lost.into()))
    }
}

/// Returns the index of the worker of an account, from 0 to `workers - 1`.
fn worker_index(account: Uuid, workers: usize) -> usize {
    let (high, low) = account.as_u64_pair();
    // Fibonacci hashing: account ids may differ in any of their bits.
    let hash = (high ^ low).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    usize::try_from(hash).unwrap_or_default() % workers
}
