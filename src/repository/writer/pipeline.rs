//! The worker that writes single writes in batches. While one batch is stored and committed, the next one is loaded and
//! applied over another connection, so that neither the database nor the service waits for the other. It is prepared as
//! soon as it has as many jobs as the batch that is being stored, or when that batch is stored: small batches cost more
//! for each job.
//!
//! The next batch builds on what is committed, not on the batch that is being stored: jobs that need the same contact or
//! the same key wait for the batch after it. What another instance changes meanwhile is noticed when a batch is stored.
//! The jobs that were not stored are applied again in the next batch, before new jobs. After several lost attempts they
//! join the queue of their account, which waits for its lock.

use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::OwnedSemaphorePermit;
use uuid::Uuid;

use super::account_queues::AccountQueues;
use super::batch_transaction::{AccountMoves, FailedBatch, PreparedBatch, UnstoredJobs, group_by_account};
use super::lock_accounts::Locking;
use super::write_job::{Dependency, WriteJob, fail_jobs};
use crate::repository::batcher::{BatchQueue, BatchReceiver, new_queue};
use crate::repository::error::StorageError;
use crate::repository::pool::DedicatedConnection;
use crate::repository::storage_metrics::Retry;

/// The connections over which batches are prepared and stored, and what becomes of the jobs that are not stored.
#[derive(Clone)]
pub(super) struct BatchWriter {
    pub(super) store_connection: DedicatedConnection,
    /// The connection over which a batch is prepared while another one is stored. Without it, batches do not overlap.
    pub(super) load_connection: Option<DedicatedConnection>,
    pub(super) locking: Locking,
    /// Takes jobs that find their account locked, if they are many. Returns those that it does not take.
    pub(super) take_contended: Option<TakeContended>,
    /// The permit of a worker that is limited in number.
    pub(super) _permit: Option<Arc<OwnedSemaphorePermit>>,
    pub(super) account_queues: AccountQueues,
}

/// Takes the jobs of an account, and returns those that it does not take.
pub(super) type TakeContended = Arc<dyn Fn(Uuid, Vec<WriteJob>) -> Vec<WriteJob> + Send + Sync>;

/// The settings of a worker.
#[derive(Clone, Copy)]
pub(super) struct WorkerSettings {
    /// The name of its queue in metrics.
    pub(super) queue: &'static str,
    /// The maximum number of jobs of a batch.
    pub(super) max_batch: usize,
    /// The time after which a step of a batch is cancelled.
    pub(super) time_limit: Duration,
}

/// The number of jobs of a batch that find their account locked from which on it is contended.
const MIN_CONTENDED: usize = 8;

impl BatchWriter {
    /// Creates a writer that skips accounts that another transaction has locked.
    pub(super) fn new(
        store_connection: DedicatedConnection,
        load_connection: Option<DedicatedConnection>,
        account_queues: &AccountQueues,
    ) -> Self {
        Self {
            store_connection,
            load_connection,
            locking: Locking::SkipLocked,
            take_contended: None,
            _permit: None,
            account_queues: account_queues.clone(),
        }
    }

    /// Writes a batch of its own. Jobs that are not stored join the queues of their accounts.
    pub(super) async fn write(self, jobs: Vec<WriteJob>) {
        if let Some(prepared) = self.prepare(&self.store_connection, jobs).await {
            let stored = self.store(prepared, &AccountMoves::default()).await;
            self.queue_by_account(stored.again);
        }
    }

    /// Loads and applies a batch. Returns `None` if that fails, or if no job has a caller.
    async fn prepare(&self, connection: &DedicatedConnection, mut jobs: Vec<WriteJob>) -> Option<PreparedBatch> {
        // Skip jobs whose caller has disconnected.
        jobs.retain(|job| !job.is_abandoned());
        if jobs.is_empty() {
            return None;
        }
        let prepared = PreparedBatch::prepare(connection, self.account_queues.memory(), jobs).await;
        prepared.map_err(|failed| self.handle_failure(failed)).ok()
    }

    /// Stores a batch. `previous` is how the batch before has moved the accounts.
    async fn store(&self, prepared: PreparedBatch, previous: &AccountMoves) -> StoredBatch {
        let advances_accounts = match self.account_queues.advances_accounts().await {
            Ok(advances_accounts) => advances_accounts,
            Err(error) => {
                fail_jobs(prepared.into_jobs(), &error);
                return StoredBatch::default();
            }
        };
        let shared_pool = self.account_queues.shared_pool();
        let connection = &self.store_connection;
        match prepared.store(connection, shared_pool, previous, self.locking, advances_accounts).await {
            Ok((unstored, moves)) => StoredBatch { again: self.jobs_to_apply_again(unstored), moves },
            Err(failed) => {
                self.handle_failure(failed);
                StoredBatch::default()
            }
        }
    }

    fn jobs_to_apply_again(&self, unstored: UnstoredJobs) -> Vec<WriteJob> {
        let UnstoredJobs { locked, outdated, mut deferred } = unstored;
        Retry::AccountInUse.count(locked.len());
        Retry::Conflict.count(outdated.len());
        let mut again = outdated;
        for (account, jobs) in group_by_account(locked) {
            match &self.take_contended {
                Some(take) if jobs.len() >= MIN_CONTENDED => again.extend(take(account, jobs)),
                // After the wait for the lock the account has changed. Under the lock it does not.
                _ if self.locking == Locking::Wait => deferred.extend(jobs),
                _ => again.extend(jobs),
            }
        }
        let waiting = again.extract_if(.., WriteJob::count_lost_attempt);
        self.queue_by_account(waiting.chain(deferred).collect());
        again
    }

    fn handle_failure(&self, FailedBatch { error, jobs, .. }: FailedBatch) {
        // The batch may have been committed, or a retry would fail again: each caller has to repeat its request.
        if !error.is_retryable() {
            return fail_jobs(jobs, &error);
        }
        if let StorageError::ShardSplit(_) = error {
            self.account_queues.shared_pool().forget_shards();
        }
        // One of the jobs made the batch fail. The other jobs must not fail because of it.
        if let StorageError::Bug(error) = error {
            tracing::warn!(%error, "a batch of writes failed; its jobs are retried");
        }
        Retry::BatchFailed.count(jobs.len());
        self.queue_by_account(jobs);
    }

    fn queue_by_account(&self, jobs: Vec<WriteJob>) {
        for (account, jobs) in group_by_account(jobs) {
            self.account_queues.add(account, jobs);
        }
    }
}

/// The result of storing a batch.
#[derive(Default)]
struct StoredBatch {
    /// The jobs to apply again.
    again: Vec<WriteJob>,
    /// How the batch has moved the accounts.
    moves: AccountMoves,
}

/// Starts a worker. It ends when its queue is dropped.
pub(super) fn start(writer: BatchWriter, settings: WorkerSettings) -> BatchQueue<WriteJob> {
    let (queue, receiver) = new_queue(settings.queue, settings.max_batch);
    tokio::spawn(Pipeline { writer, receiver, time_limit: settings.time_limit, moves: AccountMoves::default() }.run());
    queue
}

struct Pipeline {
    writer: BatchWriter,
    receiver: BatchReceiver<WriteJob>,
    time_limit: Duration,
    /// How the last batch that was stored has moved the accounts.
    moves: AccountMoves,
}

/// A batch that is being stored.
struct StoringBatch {
    dependencies: HashSet<(Uuid, Dependency)>,
    jobs: usize,
    started: Instant,
    /// Stores the batch.
    result: BoxFuture<'static, StoredBatch>,
}

impl Pipeline {
    async fn run(mut self) {
        let (mut jobs, mut storing): (Vec<WriteJob>, Option<StoringBatch>) = (vec![], None);
        while self.collect_jobs(&mut jobs, &mut storing).await {
            let started = Instant::now();
            let batch = take_independent(&mut jobs, storing.as_ref());
            let (size, dependencies) = (batch.len(), dependencies(&batch));
            if size > 0 {
                self.receiver.record_size(size);
            }
            let prepare = self.prepare(batch, storing.is_some());
            let prepared = match storing.take() {
                None => prepare.await,
                Some(mut previous) => {
                    let (prepared, stored) = tokio::join!(prepare, &mut previous.result);
                    self.finish(&previous, stored, &mut jobs);
                    prepared
                }
            };
            storing = prepared.map(|prepared| {
                let result = self.store(prepared);
                StoringBatch { dependencies, jobs: size, started, result }
            });
            if self.writer.load_connection.is_none()
                && let Some(mut batch) = storing.take()
            {
                let stored = (&mut batch.result).await;
                self.finish(&batch, stored, &mut jobs);
            }
        }
    }

    /// Collects jobs for the next batch. Returns false when the queue was dropped and no job is left.
    async fn collect_jobs(&mut self, jobs: &mut Vec<WriteJob>, storing: &mut Option<StoringBatch>) -> bool {
        self.receiver.receive_queued(jobs);
        while let Some(batch) = storing
            && jobs.len() < batch.jobs
        {
            tokio::select! {
                stored = &mut batch.result => {
                    self.finish(batch, stored, jobs);
                    *storing = None;
                }
                // The batch has its maximum size, or the queue was dropped.
                is_open = self.receiver.receive(jobs) => if !is_open { break; },
            }
        }
        self.receiver.receive_queued(jobs);
        !jobs.is_empty() || storing.is_some() || self.receiver.receive(jobs).await
    }

    /// Loads and applies a batch. The connection on which the previous batch is being stored is not used.
    fn prepare(&self, jobs: Vec<WriteJob>, is_storing: bool) -> impl Future<Output = Option<PreparedBatch>> + use<> {
        let (writer, time_limit) = (self.writer.clone(), self.time_limit);
        async move {
            let connection = writer.load_connection.as_ref().filter(|_| is_storing).unwrap_or(&writer.store_connection);
            run_step(time_limit, writer.prepare(connection, jobs)).await?
        }
    }

    /// Returns the future that stores a batch after the last one.
    fn store(&mut self, prepared: PreparedBatch) -> BoxFuture<'static, StoredBatch> {
        let (writer, time_limit, moves) = (self.writer.clone(), self.time_limit, std::mem::take(&mut self.moves));
        Box::pin(async move { run_step(time_limit, writer.store(prepared, &moves)).await.unwrap_or_default() })
    }

    /// Makes the jobs of a stored batch that have to be applied again the first ones of the next batch.
    fn finish(&mut self, batch: &StoringBatch, stored: StoredBatch, jobs: &mut Vec<WriteJob>) {
        self.receiver.record_duration(batch.started.elapsed());
        self.moves = stored.moves;
        let new = std::mem::replace(jobs, stored.again);
        jobs.extend(new);
    }
}

/// Runs a step of a batch. Returns `None` if it panics or exceeds the time limit: that drops its jobs, so that their callers
/// get no reply and fail, and does not end the worker.
async fn run_step<T>(time_limit: Duration, step: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(time_limit, AssertUnwindSafe(step).catch_unwind()).await.ok()?.ok()
}

fn dependencies(jobs: &[WriteJob]) -> HashSet<(Uuid, Dependency)> {
    jobs.iter().flat_map(|job| job.dependencies().map(|dependency| (job.request.account, dependency))).collect()
}

/// Takes the jobs out of `jobs` that need no contact and no key of the batch that is being stored.
fn take_independent(jobs: &mut Vec<WriteJob>, storing: Option<&StoringBatch>) -> Vec<WriteJob> {
    let Some(storing) = storing else { return std::mem::take(jobs) };
    let is_independent = |job: &mut WriteJob| {
        let account = job.request.account;
        !job.dependencies().any(|dependency| storing.dependencies.contains(&(account, dependency)))
    };
    jobs.extract_if(.., is_independent).collect()
}
