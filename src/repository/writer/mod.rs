//! The writer: work that comes at the same moment is written together, and each caller is answered for itself, after
//! the commit.
//!
//! What a batch can't settle, because someone else is writing the same account or holds a row of it, is written under
//! the account's lock beside the workers (see [`lanes`]), so that no caller's trouble delays or fails another's.

mod batch;
mod columns;
mod copy;
mod group;
mod insert;
mod lanes;
mod load;
mod pipeline;
mod store;
mod work;

use uuid::Uuid;

use super::gather::{self, Queue};
use super::meters::{self, Rerun};
use super::pool::{Holder, Holders};
use super::{Repository, StorageError, WriteError};
use crate::config::DatabaseSettings;
use batch::Failed;
use group::Group;
pub(super) use lanes::Lanes;
pub use pipeline::{Outlook, Prepared};
use work::Job;
pub use work::{Done, Keep, Outcomes, Unit, Work};

/// The name of its queues in metrics.
const QUEUE: &str = "writes";
/// The most workers there are.
const MAX_WORKERS: usize = 4;

/// How many workers there are: one for every two processors, for the database and the rest of the service need some
/// too. Each has its own share of the accounts, so they never wait for one another. (On two processors a second worker
/// makes batches smaller, and costs a sixth of the throughput at 64 connections.)
pub(super) fn workers() -> u32 {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    u32::try_from((processors / 2).clamp(1, MAX_WORKERS)).unwrap_or(1)
}

impl Repository {
    /// Does work on an account's contacts, and returns when it is committed or refused. Its span is the wait for that: a
    /// batch serves many requests, and belongs to no trace.
    ///
    /// # Errors
    /// Every [`WriteError`].
    #[tracing::instrument(name = "write contacts", skip_all, fields(otel.kind = "client", db.system.name = "postgresql"))]
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
    queues: Vec<Queue<Job>>,
    holders: Holders,
    lanes: Lanes,
}

impl Writer {
    /// Starts a worker for each holder; they end with the writer.
    pub(super) fn start(holders: Holders, lanes: Lanes, settings: &DatabaseSettings) -> Self {
        let start = |holder: Holder| {
            let lanes = lanes.clone();
            let settle = move |jobs| settle(holder.clone(), lanes.clone(), jobs);
            gather::start(QUEUE, settings.write_batch_max, settings.timeout * 2, settle)
        };
        Self { queues: holders.iter().map(start).collect(), holders, lanes }
    }

    /// Brings its gauges up to date.
    pub(super) fn measure(&self) {
        meters::show_queue(QUEUE, self.queues.iter().map(Queue::depth).sum());
        self.lanes.measure();
        self.holders.measure();
    }

    /// Closes the connections of the workers, after the batches under way.
    pub(super) async fn close(&self) {
        self.holders.close().await;
    }

    /// Stores a group that was prepared. Returns whether it was stored as it is; its jobs are done in any case.
    async fn store(&self, group: Group) -> bool {
        self.lanes.store(group).await
    }

    async fn write(&self, work: Work) -> Result<Outcomes, WriteError> {
        if work.writes.is_empty() && work.keep.is_none() {
            return Ok(Done::Fresh(vec![]));
        }
        let (account, is_single) = (work.account, work.writes.len() == 1);
        let (job, reply) = Job::new(work);
        // On tasks of their own: a caller that goes away must not leave work half done.
        if !is_single {
            self.lanes.add(account, vec![job]);
        } else if self.queues.is_empty() {
            tokio::spawn(settle(self.holders.passing(), self.lanes.clone(), vec![job]));
        } else {
            let queue = &self.queues[share_of(account, self.queues.len())];
            queue.add(job)?;
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

/// Writes a batch over the holder's connection, and leaves to the lanes what it can't settle.
async fn settle(holder: Holder, lanes: Lanes, mut jobs: Vec<Job>) {
    // A caller that is gone no longer wants it done.
    jobs.retain(|job| !job.is_abandoned());
    if jobs.is_empty() {
        return;
    }
    let left = match batch::write(&holder, jobs).await {
        Ok(left) => {
            Rerun::AccountInUse.count(left.len());
            left
        }
        // Whether it was committed is unknown: each caller has to ask again.
        Err(Failed { error, jobs, .. }) if error.leaves_unknown() => return lanes::fail(jobs, &error),
        // It was not, because of one of them: the others must not suffer.
        Err(Failed { error, jobs, .. }) => {
            if let StorageError::Bug(error) = error {
                tracing::warn!(%error, "a batch could not be written");
            }
            Rerun::BatchFailed.count(jobs.len());
            jobs
        }
    };
    let mut left = left.into_iter().peekable();
    while let Some(account) = left.peek().map(|job| job.work.account) {
        lanes.add(account, std::iter::from_fn(|| left.next_if(|job| job.work.account == account)).collect());
    }
}
