//! Retries of jobs that a batch could not write, because their account changed meanwhile, because another transaction
//! holds a row lock, or because another job of the batch failed. Each attempt takes the row lock of the account.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::batch_transaction::{self, FailedBatch};
use super::lock_wait::{LockOrder, wait_for_row_locks};
use super::transaction_memory::WriteMemory;
use super::write_job::{WriteJob, fail_jobs};
use crate::repository::admission::ConcurrencyLimiter;
use crate::repository::error::StorageError;
use crate::repository::pool::Pool;
use crate::repository::rolling_upgrade::RollingUpgrade;
use crate::repository::storage_metrics::Retry;

/// The number of attempts before jobs fail with [`StorageError::Overloaded`].
const MAX_ATTEMPTS: usize = 5;

/// Writes jobs over the shared pool, each transaction for one account. Cheap to clone.
#[derive(Clone)]
pub(super) struct Retrier(Arc<RetrierInner>);

struct RetrierInner {
    pool: Pool,
    memory: WriteMemory,
    /// Limits the number of concurrent transactions: the rest of the service needs connections, too.
    transactions: ConcurrencyLimiter,
    /// Limits the number of concurrent waits for row locks.
    lock_waits: ConcurrencyLimiter,
    /// The time after which an attempt is cancelled.
    timeout: Duration,
    upgrade: Arc<RollingUpgrade>,
}

impl Retrier {
    /// Creates a retrier over a pool of `connections` connections. It uses at most half of them.
    pub(super) fn new(pool: &Pool, connections: u32, statement_timeout: Duration) -> Self {
        Self(Arc::new(RetrierInner {
            pool: pool.clone(),
            memory: WriteMemory::new(),
            transactions: ConcurrencyLimiter::new(connections / 3),
            lock_waits: ConcurrencyLimiter::new(connections / 6),
            timeout: statement_timeout * 2,
            upgrade: Arc::default(),
        }))
    }

    pub(super) fn pool(&self) -> &Pool {
        &self.0.pool
    }

    /// Returns the memory of all write transactions.
    pub(super) fn memory(&self) -> &WriteMemory {
        &self.0.memory
    }

    /// Returns whether transactions store the new positions in the rows of accounts. See [`RollingUpgrade`].
    ///
    /// # Errors
    /// Fails if the database fails.
    pub(super) async fn advances_accounts(&self) -> Result<bool, StorageError> {
        self.0.upgrade.may_run_beside_older_builds(&self.0.pool).await
    }

    /// Checks that a new transaction would not wait too long for a permit.
    ///
    /// # Errors
    /// [`StorageError::Overloaded`].
    pub(super) fn try_admit(&self, account: Uuid) -> Result<(), StorageError> {
        self.0.transactions.try_admit(account)
    }

    /// Writes jobs of an account together. If a job makes the transaction fail, each job is written in its own
    /// transaction.
    pub(super) async fn write_together(self, account: Uuid, mut jobs: Vec<WriteJob>) {
        // If the account is locked last, it is locked for a shorter time.
        let mut order = LockOrder::LockLast;
        for _ in 0..MAX_ATTEMPTS {
            let Err(failed) = self.write_in_parts(account, jobs, order).await else { return };
            order = LockOrder::LockFirst;
            match failed.error {
                error if error.is_conflict() => jobs = count_conflicts(failed.jobs),
                StorageError::Locked(_) | StorageError::Bug(_) => {
                    Retry::BatchFailed.count(failed.jobs.len());
                    for job in failed.jobs {
                        self.write_alone(account, job).await;
                    }
                    return;
                }
                error => return fail_jobs(failed.jobs, &error),
            }
        }
        fail_jobs(jobs, &StorageError::Overloaded);
    }

    /// Writes a job in its own transaction. The wait for a row lock runs on its own task and does not delay the
    /// account's other jobs.
    async fn write_alone(&self, account: Uuid, job: WriteJob) {
        let mut jobs = vec![job];
        for _ in 0..MAX_ATTEMPTS {
            let Err(failed) = self.write_in_parts(account, jobs, LockOrder::LockFirst).await else { return };
            match failed.error {
                error if error.is_conflict() => jobs = count_conflicts(failed.jobs),
                StorageError::Locked(_) => {
                    Retry::Locked.count(failed.jobs.len());
                    tokio::spawn(self.clone().write_after_lock_wait(account, failed.jobs, failed.contacts));
                    return;
                }
                error => return fail_jobs(failed.jobs, &error),
            }
        }
        fail_jobs(jobs, &StorageError::Overloaded);
    }

    /// Writes jobs after waiting until the rows of their contacts are free.
    async fn write_after_lock_wait(self, account: Uuid, mut jobs: Vec<WriteJob>, mut contacts: Vec<Uuid>) {
        for _ in 0..MAX_ATTEMPTS {
            if let Err(error) = self.wait_for_row_locks(account, &contacts).await {
                return fail_jobs(jobs, &error);
            }
            let Err(failed) = self.write_in_parts(account, jobs, LockOrder::LockFirst).await else { return };
            FailedBatch { jobs, contacts, .. } = failed;
            if !failed.error.is_conflict() && !matches!(failed.error, StorageError::Locked(_)) {
                return fail_jobs(jobs, &failed.error);
            }
        }
        fail_jobs(jobs, &StorageError::Overloaded);
    }

    /// Tries to write jobs under the account's lock: in one transaction, or in several if they do not fit into the memory of
    /// one.
    ///
    /// # Errors
    /// Returns the jobs that are not completed.
    async fn write_in_parts(
        &self,
        account: Uuid,
        mut jobs: Vec<WriteJob>,
        mut order: LockOrder,
    ) -> Result<(), FailedBatch> {
        let count_writes = |jobs: &[WriteJob]| jobs.iter().map(|job| job.pending_writes().len()).sum::<usize>();
        let (mut pending, mut lost_attempts) = (count_writes(&jobs), 0);
        while !jobs.is_empty() {
            jobs = self.attempt(account, jobs, order).await?;
            let before = std::mem::replace(&mut pending, count_writes(&jobs));
            (order, lost_attempts) =
                if pending < before { (LockOrder::LockLast, 0) } else { (LockOrder::LockFirst, lost_attempts + 1) };
            if lost_attempts == MAX_ATTEMPTS && !jobs.is_empty() {
                return Err(FailedBatch { error: StorageError::Overloaded, jobs, contacts: vec![] });
            }
        }
        Ok(())
    }

    /// Tries once to write jobs under the account's lock. After the timeout the attempt is cancelled. That drops the
    /// jobs, so their callers fail with [`StorageError::Lost`].
    ///
    /// Returns the jobs that need another transaction, in order, because they do not fit into the memory of this one.
    async fn attempt(
        &self,
        account: Uuid,
        mut jobs: Vec<WriteJob>,
        order: LockOrder,
    ) -> Result<Vec<WriteJob>, FailedBatch> {
        let _permit = self.0.transactions.acquire(account).await;
        // Skip jobs whose caller has disconnected.
        jobs.retain(|job| !job.is_abandoned());
        if jobs.is_empty() {
            return Ok(vec![]);
        }
        let advances_accounts = match self.advances_accounts().await {
            Ok(advances_accounts) => advances_accounts,
            Err(error) => return Err(FailedBatch { error, jobs, contacts: vec![] }),
        };
        let (pool, memory) = (&self.0.pool, &self.0.memory);
        let write = batch_transaction::write_waiting(pool, memory, account, jobs, order, advances_accounts);
        tokio::time::timeout(self.0.timeout, write).await.unwrap_or(Ok(vec![]))
    }

    async fn wait_for_row_locks(&self, account: Uuid, contacts: &[Uuid]) -> Result<(), StorageError> {
        let _permit = self.0.lock_waits.acquire(account).await;
        let wait = wait_for_row_locks(&self.0.pool, account, contacts);
        tokio::time::timeout(self.0.timeout, wait).await.unwrap_or(Err(StorageError::Lost))
    }
}

/// Counts jobs that are retried because the data that they had read has changed. Returns the jobs.
fn count_conflicts(jobs: Vec<WriteJob>) -> Vec<WriteJob> {
    Retry::Conflict.count(jobs.len());
    jobs
}
