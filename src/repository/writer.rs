//! The batched writer: natural batching, as in group commit. A worker takes whatever updates wait at this moment,
//! writes them in one statement, and answers each caller for itself, after the commit. An idle service adds no wait:
//! a lone update is a batch of one.
//!
//! What the batch can't settle (a contact that someone else has locked or that is not there, a unique key to claim)
//! is written alone, so that no caller's trouble delays or fails another's.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgPool;
use tokio::sync::{Semaphore, mpsc, oneshot};
use uuid::Uuid;

use super::batch::{self, Settled};
use super::{StorageError, WriteError, writes};
use crate::config::DatabaseSettings;
use crate::contacts::{Contact, Draft, Precondition};
use crate::fields::Registry;

/// Workers overlap one batch's commit with the next one's reads. Each has its own share of the contacts, so they never
/// wait for one another's rows.
pub(super) const WORKERS: u32 = 2;
/// How many updates may wait for each worker before new ones are turned away.
const MAX_WAITING: usize = 4_096;

/// An update of a contact, checked against a registry.
#[derive(Debug, Clone)]
pub struct Update {
    /// The account.
    pub account: Uuid,
    /// The contact.
    pub id: Uuid,
    /// What the draft was checked against.
    pub registry: Arc<Registry>,
    /// What changes.
    pub draft: Draft,
    /// What must hold of the contact as it is.
    pub precondition: Precondition,
}

/// What a caller is answered.
pub(super) type Outcome = Result<Contact, WriteError>;

/// An update and the caller who waits for it.
pub(super) struct Job {
    pub(super) update: Update,
    pub(super) answer: oneshot::Sender<Outcome>,
}

/// Where updates wait for their worker.
pub(super) struct Writer {
    queues: Vec<mpsc::Sender<Job>>,
    own: PgPool,
}

impl Writer {
    /// Starts the workers; they end with the writer. They write batches over connections of `own`; what has to be
    /// written alone goes over `shared`.
    pub(super) fn start(own: &PgPool, shared: &PgPool, settings: &DatabaseSettings) -> Self {
        let half = shared.options().get_max_connections().div_ceil(2) as usize;
        let means = Means {
            own: own.clone(),
            shared: shared.clone(),
            alone: Arc::new(Semaphore::new(half)),
            time_limit: settings.timeout * 2,
        };
        let start = |_| {
            let (queue, waiting) = mpsc::channel(MAX_WAITING);
            tokio::spawn(work(means.clone(), waiting, settings.write_batch_max));
            queue
        };
        Self { queues: (0..WORKERS).map(start).collect(), own: own.clone() }
    }

    /// Closes the connections of the workers, after the batches under way.
    pub(super) async fn close(&self) {
        self.own.close().await;
    }

    /// Writes an update; returns when it is committed or refused.
    pub(super) async fn write(&self, update: Update) -> Outcome {
        // The last bits of an id are random.
        let worker = usize::from(update.id.as_bytes()[15]) % self.queues.len();
        let (answer, outcome) = oneshot::channel();
        self.queues[worker].try_send(Job { update, answer }).map_err(|_| StorageError::Overloaded)?;
        outcome.await.unwrap_or_else(|_| Err(StorageError::Lost.into()))
    }
}

/// What a worker works with.
#[derive(Clone)]
struct Means {
    /// The connections of the workers.
    own: PgPool,
    /// Those they share with the rest of the service.
    shared: PgPool,
    /// Lets some updates at a time be written alone: the rest of the service needs connections too.
    alone: Arc<Semaphore>,
    /// After which a batch is given up.
    time_limit: Duration,
}

/// Settles batch after batch, until no one can send updates any more.
async fn work(means: Means, mut waiting: mpsc::Receiver<Job>, max_batch: usize) {
    let mut jobs = Vec::with_capacity(max_batch);
    while waiting.recv_many(&mut jobs, max_batch).await > 0 {
        // A caller that is gone no longer wants it done.
        jobs.retain(|job| !job.answer.is_closed());
        let batch = settle(means.clone(), std::mem::take(&mut jobs));
        // A task of its own: neither a panic nor a dead connection may end the worker. Callers that are left without an
        // answer learn that.
        let mut task = tokio::spawn(batch);
        if tokio::time::timeout(means.time_limit, &mut task).await.is_err() {
            task.abort();
        }
    }
}

async fn settle(means: Means, mut jobs: Vec<Job>) {
    match jobs.len() {
        0 => {}
        1 => settle_one(&means, jobs.remove(0)).await,
        _ => {
            let mut by_contact: BTreeMap<batch::Key, Vec<Job>> = BTreeMap::new();
            for job in jobs {
                by_contact.entry((job.update.account, job.update.id)).or_default().push(job);
            }
            settle_many(&means, by_contact).await;
        }
    }
}

/// A lone update needs none of what a batch does. Others gather while it is written.
async fn settle_one(means: &Means, job: Job) {
    match writes::update_at_once(&means.own, &job.update).await {
        Ok(Some(contact)) => drop(job.answer.send(Ok(contact))),
        Ok(None) | Err(WriteError::Storage(StorageError::Locked(_) | StorageError::Conflict(_))) => alone(means, job),
        Err(error) => drop(job.answer.send(Err(error))),
    }
}

async fn settle_many(means: &Means, by_contact: BTreeMap<batch::Key, Vec<Job>>) {
    match batch::write(&means.own, &by_contact).await {
        Ok(settled) => {
            for (job, settled) in by_contact.into_values().flatten().zip(settled) {
                match settled {
                    Settled::Answer(outcome) => drop(job.answer.send(outcome)),
                    Settled::Alone => alone(means, job),
                }
            }
        }
        // Whether it was committed is unknown: each caller has to ask again.
        Err(error @ (StorageError::Unavailable(_) | StorageError::Lost | StorageError::Overloaded)) => {
            for job in by_contact.into_values().flatten() {
                let _ = job.answer.send(Err(error.clone().into()));
            }
        }
        // It was not, because of one of them: the others must not suffer.
        Err(StorageError::Locked(_) | StorageError::Conflict(_) | StorageError::Bug(_)) => {
            by_contact.into_values().flatten().for_each(|job| alone(means, job));
        }
    }
}

/// Writes an update in a transaction of its own, beside the worker.
fn alone(means: &Means, Job { update, answer }: Job) {
    let means = means.clone();
    tokio::spawn(async move {
        let Ok(_turn) = means.alone.acquire().await else { return };
        if !answer.is_closed() {
            let _ = answer.send(writes::update(&means.shared, &update).await);
        }
    });
}
