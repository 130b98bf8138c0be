//! The writer: work that comes at the same moment is written together, and each caller is answered for itself, after
//! the commit.
//!
//! What a batch can't settle, because someone else is writing the same account or holds a row of it, is written under
//! the account's lock beside the workers, so that no caller's trouble delays or fails another's.

use std::sync::Arc;

use sqlx::postgres::PgPool;
use tokio::sync::{Semaphore, mpsc};
use uuid::Uuid;

use super::batch::{self, Failed};
use super::work::{Job, Outcomes, Work};
use super::{Repository, StorageError, WriteError, gather};
use crate::config::DatabaseSettings;

/// The most workers there are.
const MAX_WORKERS: usize = 4;

/// How many workers there are: one for every two processors, for the database and the rest of the service need some
/// too. Each has its own share of the accounts, so they never wait for one another. (On two processors a second worker
/// makes batches smaller, and costs a sixth of the throughput at 64 connections.)
pub(super) fn workers() -> u32 {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    u32::try_from((processors / 2).clamp(1, MAX_WORKERS)).unwrap_or(1)
}

/// How often work is tried that meets others in its way.
const ATTEMPTS: usize = 5;

impl Repository {
    /// Does work on an account's contacts, and returns when it is committed or refused.
    ///
    /// # Errors
    /// Every [`WriteError`].
    pub async fn write(&self, work: Work) -> Result<Outcomes, WriteError> {
        let account = work.account;
        let done = self.writer.write(work).await?;
        self.doorbells.ring(account);
        Ok(done)
    }
}

/// Where work waits for its worker.
pub(super) struct Writer {
    /// None where each piece of work is a transaction of its own.
    queues: Vec<mpsc::Sender<Job>>,
    means: Means,
}

impl Writer {
    /// Starts the workers; they end with the writer. They write batches over connections of `own`; what has to be
    /// written under a lock goes over `shared`.
    pub(super) fn start(own: &PgPool, shared: &PgPool, settings: &DatabaseSettings) -> Self {
        let share = |part: u32| Arc::new(Semaphore::new((settings.max_connections / part).max(1) as usize));
        let means = Means { own: own.clone(), shared: shared.clone(), locked: share(2), held: share(4) };
        let start = |_| {
            let means = means.clone();
            gather::start(settings.write_batch_max, settings.timeout * 2, move |jobs| settle(means.clone(), jobs))
        };
        let workers = if settings.write_batch_max > 1 { workers() } else { 0 };
        Self { queues: (0..workers).map(start).collect(), means }
    }

    /// Closes the connections of the workers, after the batches under way.
    pub(super) async fn close(&self) {
        self.means.own.close().await;
    }

    async fn write(&self, work: Work) -> Result<Outcomes, WriteError> {
        let (account, is_single) = (work.account, work.writes.len() == 1);
        let (job, reply) = Job::new(work);
        // On tasks of their own: a caller that goes away must not leave work half done.
        if !is_single {
            tokio::spawn(lock(self.means.clone(), account, vec![job]));
        } else if self.queues.is_empty() {
            tokio::spawn(settle(self.means.clone(), vec![job]));
        } else {
            let queue = &self.queues[share_of(account, self.queues.len())];
            queue.try_send(job).map_err(|_| StorageError::Overloaded)?;
        }
        reply.await.unwrap_or_else(|_| Err(StorageError::Lost.into()))
    }
}

/// Which of `count` parts an account belongs to.
pub(super) fn share_of(account: Uuid, count: usize) -> usize {
    let (high, low) = account.as_u64_pair();
    // Fibonacci hashing: ids may differ in any of their bits.
    let hash = (high ^ low).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    usize::try_from(hash).unwrap_or_default() % count
}

/// What the writer works with.
#[derive(Clone)]
struct Means {
    /// The connections of the workers.
    own: PgPool,
    /// Those they share with the rest of the service.
    shared: PgPool,
    /// Lets some work at a time be written under a lock: the rest of the service needs connections too.
    locked: Arc<Semaphore>,
    /// Lets some work at a time wait for rows that others hold.
    held: Arc<Semaphore>,
}

/// Writes a batch, and sends what it can't settle its own way.
async fn settle(means: Means, mut jobs: Vec<Job>) {
    // A caller that is gone no longer wants it done.
    jobs.retain(|job| !job.is_abandoned());
    if jobs.is_empty() {
        return;
    }
    let left = match batch::write(&means.own, jobs).await {
        Ok(left) => left,
        // Whether it was committed is unknown: each caller has to ask again.
        Err(Failed { error, jobs, .. }) if error.leaves_unknown() => return fail(jobs, &error),
        // It was not, because of one of them: the others must not suffer.
        Err(Failed { jobs, .. }) => jobs,
    };
    let mut left = left.into_iter().peekable();
    while let Some(account) = left.peek().map(|job| job.work.account) {
        let of_account: Vec<_> = std::iter::from_fn(|| left.next_if(|job| job.work.account == account)).collect();
        tokio::spawn(lock(means.clone(), account, of_account));
    }
}

fn fail(jobs: Vec<Job>, error: &StorageError) {
    for job in jobs {
        job.answer(Err(error.clone().into()));
    }
}

/// Writes jobs of one account under its lock.
async fn lock(means: Means, account: Uuid, mut jobs: Vec<Job>) {
    for _ in 0..ATTEMPTS {
        let Ok(turn) = means.locked.acquire().await else { return };
        jobs.retain(|job| !job.is_abandoned());
        let Err(failed) = batch::write_locked(&means.shared, account, jobs).await else { return };
        drop(turn);
        match failed {
            Failed { error, jobs, .. } if error.leaves_unknown() => return fail(jobs, &error),
            // One of them is in trouble: each for itself from here on.
            Failed { jobs: several, .. } if several.len() > 1 => {
                return several.into_iter().for_each(|job| drop(tokio::spawn(alone(means.clone(), account, job))));
            }
            Failed { error: StorageError::Bug(cause), jobs, .. } => return fail(jobs, &StorageError::Bug(cause)),
            Failed { error, jobs: one, contacts } => {
                jobs = one;
                if matches!(error, StorageError::Locked(_))
                    && let Err(error) = wait(&means, account, &contacts).await
                {
                    return fail(jobs, &error);
                }
            }
        }
    }
    fail(jobs, &StorageError::Overloaded);
}

/// A job by itself; boxed, for it may end up here again.
fn alone(means: Means, account: Uuid, job: Job) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(lock(means, account, vec![job]))
}

async fn wait(means: &Means, account: Uuid, contacts: &[Uuid]) -> Result<(), StorageError> {
    let _turn = means.held.acquire().await.map_err(|_| StorageError::Lost)?;
    batch::wait_for_rows(&means.shared, account, contacts).await
}
