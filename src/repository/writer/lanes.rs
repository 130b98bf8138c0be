//! Work that has to be done under its account's lock: what meets other writers in its way, and what is too much for a
//! batch of many accounts. Each account has a lane of its own with one task in it, which takes whatever waits there: a
//! tenant queues behind itself, and holds one connection at a time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::batch::{self, Failed};
use super::group::Group;
use super::work::Job;
use crate::repository::StorageError;
use crate::repository::line::{Pace, Turns};
use crate::repository::meters::{self, Rerun};
use crate::repository::pool::Pool;

/// How many jobs may wait in a lane before more are turned away.
const MAX_WAITING: usize = 1_024;
/// After how many writes no more jobs are taken into one transaction.
const MANY_WRITES: usize = 1_000;
/// How often work is tried that meets others in its way.
const ATTEMPTS: usize = 5;

/// The lanes of all accounts that have work in them. Cheap to clone.
#[derive(Clone)]
pub(in crate::repository) struct Lanes(Arc<Inner>);

struct Inner {
    pool: Pool,
    /// Lets some lanes at a time have a connection: the rest of the service needs some too.
    turns: Turns,
    /// Lets some work at a time wait for rows that others hold.
    waits: Turns,
    /// After which a transaction is given up.
    time_limit: Duration,
    /// How long a transaction takes, with the wait for its turn.
    pace: Pace,
    waiting: Mutex<HashMap<Uuid, Vec<Job>>>,
}

/// How many writes a job counts for.
fn weight(job: &Job) -> usize {
    job.work.writes.len().max(1)
}

impl Lanes {
    /// Lanes over a pool of this many connections, of which they take half at most.
    pub(in crate::repository) fn new(pool: &Pool, connections: u32, timeout: Duration) -> Self {
        let share = |part: u32| Turns::new(connections / part);
        Self(Arc::new(Inner {
            pool: pool.clone(),
            turns: share(3),
            waits: share(6),
            time_limit: timeout * 2,
            pace: Pace::default(),
            waiting: Mutex::default(),
        }))
    }

    /// Brings its gauges up to date.
    pub(in crate::repository) fn measure(&self) {
        let lanes = self.waiting();
        meters::show_lanes(lanes.len(), lanes.values().map(Vec::len).sum());
    }

    /// The jobs that wait, by their account.
    fn waiting(&self) -> MutexGuard<'_, HashMap<Uuid, Vec<Job>>> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds jobs to the lane of their account.
    pub(super) fn add(&self, account: Uuid, jobs: Vec<Job>) {
        let mut lanes = self.waiting();
        let turn = lanes.get(&account).map_or_else(|| self.0.turns.expect_turn(), |lane| self.expect_turn(lane));
        if let Err(error) = turn {
            drop(lanes);
            return fail(jobs, &error);
        }
        let lane = lanes.entry(account).or_insert_with(|| {
            tokio::spawn(self.clone().serve(account));
            vec![]
        });
        lane.extend(jobs);
    }

    /// Whether jobs may wait for what is in their lane already.
    fn expect_turn(&self, lane: &[Job]) -> Result<(), StorageError> {
        if lane.len() >= MAX_WAITING {
            return Err(StorageError::Overloaded);
        }
        self.0.pace.expect_turn(lane.iter().map(weight).sum::<usize>() / MANY_WRITES)
    }

    /// Stores a group that was prepared, and answers its jobs. Those that can't be stored as they are, are added to the
    /// lane of their account. Returns whether it was stored.
    pub(super) async fn store(&self, group: Group) -> bool {
        let account = group.account;
        let _turn = self.0.turns.take().await;
        match tokio::time::timeout(self.0.time_limit, batch::store(&self.0.pool, group)).await {
            Ok(Ok(())) => return true,
            Ok(Err(Failed { error, jobs, .. })) if error.leaves_unknown() => fail(jobs, &error),
            Ok(Err(Failed { jobs, .. })) => self.add(account, again(jobs)),
            // It is lost, and so is the answer.
            Err(_) => {}
        }
        false
    }

    /// Does the work of a lane, until there is none.
    async fn serve(self, account: Uuid) {
        while let Some(jobs) = self.take(account) {
            let started = Instant::now();
            // A task of its own: a panic must not end the lane.
            let _ = tokio::spawn(self.clone().write(account, jobs)).await;
            self.0.pace.note(started.elapsed());
        }
    }

    /// The jobs that are next; `None` when there are no more, and the lane is gone.
    fn take(&self, account: Uuid) -> Option<Vec<Job>> {
        let mut lanes = self.waiting();
        let lane = lanes.get_mut(&account)?;
        let mut writes = 0;
        let fits = |job: &&Job| {
            let is_first = writes == 0;
            writes += weight(job);
            is_first || writes <= MANY_WRITES
        };
        let count = lane.iter().take_while(fits).count();
        if count == 0 {
            lanes.remove(&account);
            return None;
        }
        Some(lane.drain(..count).collect())
    }

    /// Writes jobs of an account together; where one of them makes trouble, each by itself.
    async fn write(self, account: Uuid, mut jobs: Vec<Job>) {
        for _ in 0..ATTEMPTS {
            let Err(Failed { error, jobs: left, .. }) = self.attempt(account, jobs).await else { return };
            match error {
                StorageError::Stale | StorageError::Conflict(_) => jobs = again(left),
                StorageError::Locked(_) | StorageError::Bug(_) => {
                    Rerun::BatchFailed.count(left.len());
                    for job in left {
                        self.write_one(account, job).await;
                    }
                    return;
                }
                error => return fail(left, &error),
            }
        }
        fail(jobs, &StorageError::Overloaded);
    }

    /// Writes a job by itself. One that has to wait for a row does so beside the lane.
    async fn write_one(&self, account: Uuid, job: Job) {
        let mut jobs = vec![job];
        for _ in 0..ATTEMPTS {
            let Err(Failed { error, jobs: left, contacts }) = self.attempt(account, jobs).await else { return };
            match error {
                StorageError::Stale | StorageError::Conflict(_) => jobs = again(left),
                StorageError::Locked(_) => {
                    Rerun::Locked.count(left.len());
                    return drop(tokio::spawn(self.clone().write_patiently(account, left, contacts)));
                }
                error => return fail(left, &error),
            }
        }
        fail(jobs, &StorageError::Overloaded);
    }

    /// Writes jobs once no one holds the rows of their contacts.
    async fn write_patiently(self, account: Uuid, mut jobs: Vec<Job>, mut contacts: Vec<Uuid>) {
        for _ in 0..ATTEMPTS {
            if let Err(error) = self.wait(account, &contacts).await {
                return fail(jobs, &error);
            }
            let Err(failed) = self.attempt(account, jobs).await else { return };
            Failed { jobs, contacts, .. } = failed;
            if !matches!(failed.error, StorageError::Stale | StorageError::Conflict(_) | StorageError::Locked(_)) {
                return fail(jobs, &failed.error);
            }
        }
        fail(jobs, &StorageError::Overloaded);
    }

    /// Tries jobs once. What takes too long is given up: those who wait for it learn that it is lost.
    async fn attempt(&self, account: Uuid, mut jobs: Vec<Job>) -> Result<(), Failed> {
        let _turn = self.0.turns.take().await;
        jobs.retain(|job| !job.is_abandoned());
        if jobs.is_empty() {
            return Ok(());
        }
        let written = batch::write_locked(&self.0.pool, account, jobs);
        tokio::time::timeout(self.0.time_limit, written).await.unwrap_or(Ok(()))
    }

    async fn wait(&self, account: Uuid, contacts: &[Uuid]) -> Result<(), StorageError> {
        let _turn = self.0.waits.take().await;
        let free = batch::wait_for_rows(&self.0.pool, account, contacts);
        tokio::time::timeout(self.0.time_limit, free).await.unwrap_or(Err(StorageError::Lost))
    }
}

/// Jobs that are tried again, because what they had read was no longer so.
fn again(jobs: Vec<Job>) -> Vec<Job> {
    Rerun::Conflict.count(jobs.len());
    jobs
}

/// Answers jobs that were not done.
pub(super) fn fail(jobs: Vec<Job>, error: &StorageError) {
    for job in jobs {
        job.answer(Err(error.clone().into()));
    }
}
