//! The batched writer: natural batching, as in group commit. A worker takes whatever updates wait at this moment,
//! writes them in one transaction, and answers each caller for itself, after the commit. An idle service adds no wait:
//! a lone update is a batch of one.
//!
//! What the batch can't settle (a contact that someone else has locked or that is not there, a unique key to claim)
//! is written alone, so that no caller's trouble delays or fails another's.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use sqlx::postgres::PgPool;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use super::batch::{self, Settled};
use super::{StorageError, WriteError, writes};
use crate::contacts::{Contact, Draft, Precondition};
use crate::fields::Registry;

/// Workers overlap one batch's commit with the next one's reads. Each has its own share of the contacts, so they never
/// wait for one another's rows.
const WORKERS: usize = 2;
/// How many updates may wait for a worker before new ones are turned away.
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
}

impl Writer {
    /// Starts the workers; they end with the writer. A batch holds at most `max_batch` updates.
    pub(super) fn start(pool: &PgPool, max_batch: usize) -> Self {
        let start = |_| {
            let (queue, waiting) = mpsc::channel(MAX_WAITING / WORKERS);
            tokio::spawn(work(pool.clone(), waiting, max_batch));
            queue
        };
        Self { queues: (0..WORKERS).map(start).collect() }
    }

    /// Writes an update; returns when it is committed or refused.
    pub(super) async fn write(&self, update: Update) -> Outcome {
        let mut hasher = DefaultHasher::new();
        update.id.hash(&mut hasher);
        let worker = usize::try_from(hasher.finish() % WORKERS as u64).unwrap_or_default();
        let (answer, outcome) = oneshot::channel();
        self.queues[worker].try_send(Job { update, answer }).map_err(|_| StorageError::Overloaded)?;
        outcome.await.unwrap_or_else(|_| Err(StorageError::Overloaded.into()))
    }
}

/// Settles batch after batch, until no one can send updates any more.
async fn work(pool: PgPool, mut waiting: mpsc::Receiver<Job>, max_batch: usize) {
    let mut jobs = Vec::with_capacity(max_batch);
    while waiting.recv_many(&mut jobs, max_batch).await > 0 {
        // A caller that is gone no longer wants it done.
        let wanted = jobs.drain(..).filter(|job| !job.answer.is_closed());
        let mut by_contact: BTreeMap<(Uuid, Uuid), Vec<Job>> = BTreeMap::new();
        for job in wanted {
            by_contact.entry((job.update.account, job.update.id)).or_default().push(job);
        }
        settle(&pool, by_contact).await;
    }
}

async fn settle(pool: &PgPool, by_contact: BTreeMap<(Uuid, Uuid), Vec<Job>>) {
    match batch::write(pool, &by_contact).await {
        Ok(settled) => {
            for (job, settled) in by_contact.into_values().flatten().zip(settled) {
                match settled {
                    Settled::Answer(outcome) => drop(job.answer.send(outcome)),
                    Settled::Alone => alone(pool, job),
                }
            }
        }
        // Whether it was committed is unknown: each caller has to ask again.
        Err(error @ (StorageError::Unavailable(_) | StorageError::Overloaded)) => {
            for job in by_contact.into_values().flatten() {
                let _ = job.answer.send(Err(error.clone().into()));
            }
        }
        // It was not, because of one of them: the others must not suffer.
        Err(StorageError::Conflict(_) | StorageError::Bug(_)) => {
            by_contact.into_values().flatten().for_each(|job| alone(pool, job));
        }
    }
}

/// Writes an update in a transaction of its own, beside the worker.
fn alone(pool: &PgPool, Job { update, answer }: Job) {
    let pool = pool.clone();
    tokio::spawn(async move { answer.send(writes::update(&pool, &update).await) });
}
