//! Accounts that several instances write to at the same time. If many jobs of a batch find their account locked, it gets a
//! worker of its own for a while, which waits for the lock: so the instances take turns, instead of finding the account
//! locked again and again, and the batches of other accounts go on.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

use super::account_queues::AccountQueues;
use super::lock_accounts::Locking;
use super::pipeline::{self, BatchWriter, WorkerSettings};
use super::write_job::WriteJob;
use crate::repository::batcher::BatchQueue;
use crate::repository::error::StorageError;
use crate::repository::pool::DedicatedConnection;

/// How long a contended account has its own worker.
const STAY: Duration = Duration::from_secs(1);

/// The workers of contended accounts. Cheap to clone.
#[derive(Clone)]
pub(super) struct ContendedAccounts(Arc<ContendedInner>);

struct ContendedInner {
    account_queues: AccountQueues,
    settings: WorkerSettings,
    /// A permit for each worker. It has a connection of the shared pool until it has written its last job.
    permits: Arc<Semaphore>,
    queues: Mutex<HashMap<Uuid, BatchQueue<WriteJob>>>,
}

impl ContendedAccounts {
    /// Creates the workers over the pool of the account queues, which has `connections` connections. They use at most a
    /// sixth of them.
    pub(super) fn new(account_queues: AccountQueues, connections: u32, settings: WorkerSettings) -> Self {
        let permits = Arc::new(Semaphore::new(usize::try_from(connections / 6).unwrap_or_default()));
        Self(Arc::new(ContendedInner { account_queues, settings, permits, queues: Mutex::default() }))
    }

    fn lock_queues(&self) -> MutexGuard<'_, HashMap<Uuid, BatchQueue<WriteJob>>> {
        self.0.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a job to the worker of its account. Returns the job if the account has none.
    ///
    /// # Errors
    /// [`StorageError::Overloaded`] when the queue is full or the job would wait too long.
    pub(super) fn try_add(&self, job: WriteJob) -> Result<Option<WriteJob>, StorageError> {
        match self.lock_queues().get(&job.request.account) {
            Some(queue) => queue.add(job).map(|()| None),
            None => Ok(Some(job)),
        }
    }

    /// Adds jobs that found their account locked to its worker, and starts the worker if it has none. Returns the jobs if
    /// there are too many contended accounts.
    pub(super) fn add_locked(&self, account: Uuid, jobs: Vec<WriteJob>) -> Vec<WriteJob> {
        let mut queues = self.lock_queues();
        let queue = match queues.entry(account) {
            Entry::Occupied(queue) => queue.into_mut(),
            Entry::Vacant(vacant) => {
                let Ok(permit) = Arc::clone(&self.0.permits).try_acquire_owned() else { return jobs };
                tokio::spawn(self.clone().end_worker_later(account));
                vacant.insert(self.start_worker(permit))
            }
        };
        // A job that is not admitted is dropped, which tells its caller that it failed.
        jobs.into_iter().for_each(|job| drop(queue.add(job)));
        vec![]
    }

    fn start_worker(&self, permit: OwnedSemaphorePermit) -> BatchQueue<WriteJob> {
        let account_queues = self.0.account_queues.clone();
        // Its batches do not overlap: another writer stores its batch while this worker collects and loads the next one, and
        // larger batches cost less for each write.
        let connection = DedicatedConnection::from_shared_pool(account_queues.shared_pool());
        let writer = BatchWriter::new(connection, None, &account_queues);
        let writer = BatchWriter { locking: Locking::Wait, _permit: Some(Arc::new(permit)), ..writer };
        pipeline::start(writer, self.0.settings)
    }

    /// The worker ends when it has written the jobs that it has.
    async fn end_worker_later(self, account: Uuid) {
        tokio::time::sleep(STAY).await;
        self.lock_queues().remove(&account);
    }
}
