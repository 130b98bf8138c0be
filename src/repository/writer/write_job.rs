//! The writes of a request, and the reply to its caller.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::transaction_memory::TransactionMemory;
use super::write_outcomes::WriteOutcomes;
use crate::contacts::{ContactTarget, LastChange, UniqueKey, Write, WriteOutcome};
use crate::fields::{CustomSelection, Registry};
use crate::memory_budget::ContentMemory;
use crate::repository::change_notifier::ChangeNotifier;
use crate::repository::error::{StorageError, WriteError};
use crate::repository::idempotency::{Idempotent, IdempotentRequest};

/// The number of attempts that a job may lose to other writers before it is stored under the lock of its account.
const MAX_LOST_ATTEMPTS: u32 = 3;

/// Writes to one account, in order. They were validated against one version of its registry.
pub struct AccountWrites {
    /// The account.
    pub account: Uuid,
    /// The registry that the writes were validated against.
    pub registry: Arc<Registry>,
    /// The subject of the caller's token.
    pub actor: Option<Arc<str>>,
    /// The writes, which apply one after another.
    pub writes: Vec<Write>,
    /// The effect of a rejected write on the other writes.
    pub atomicity: Atomicity,
    /// Whether the writes are only checked: the outcomes are returned and nothing is stored.
    pub dry_run: bool,
    /// The custom fields that the caller reads in the outcomes. If there are several writes, the contacts in the outcomes
    /// have no values of others.
    pub custom_fields: CustomSelection,
    /// The request's `Idempotency-Key`, if it sent one.
    pub idempotent_request: Option<IdempotentRequest<[WriteOutcome]>>,
    /// The memory of the writes, which can outlive their request: a job stays in its queue when its caller disconnects.
    pub memory: ContentMemory,
}

/// The effect of a rejected write on the other writes of the same [`AccountWrites`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Atomicity {
    /// None: the other writes are stored.
    Independent,
    /// No write is stored when one is rejected.
    AllOrNothing,
    /// No write is stored: an input of the same batch was rejected before the writes were built.
    RejectAll,
}

/// The outcomes of the writes of an [`AccountWrites`], in order.
pub type Outcomes = Idempotent<WriteOutcomes>;

/// The reply to the caller.
pub(super) type WriteReply = Result<Outcomes, WriteError>;

/// Writes, and the channel for the reply to their caller.
pub(super) struct WriteJob {
    pub(super) request: AccountWrites,
    /// The outcomes of the writes that are applied, in order: the committed outcomes, and the outcomes of the
    /// transaction that is in progress.
    pub(super) outcomes: WriteOutcomes,
    /// The number of writes that earlier transactions have committed.
    committed: usize,
    /// The number of batches that did not store this job, because another writer was first.
    lost_attempts: u32,
    change_notifier: Arc<ChangeNotifier>,
    reply: oneshot::Sender<WriteReply>,
}

/// Something that two batches must not use at the same time.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) enum Dependency {
    Contact(Uuid),
    Key(UniqueKey),
    IdempotencyKey(String),
}

/// When a job depends on the position of the last change of its account: nothing of the account may have changed since it
/// was read. Otherwise the job depends on its contact only, which must not have changed. If a key leads to the contact, both
/// must be from one snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum PositionUse {
    Never,
    /// If no active contact has the key that the job addresses: it creates one then, for example.
    IfKeyIsFree,
    Always,
}

/// The result of applying a job in a transaction.
pub(super) enum JobResult {
    /// All writes are applied. Contains the response, if it is stored.
    Applied(Option<Bytes>),
    /// Some writes are applied. The others need another transaction.
    PartlyApplied,
    /// The response was stored before.
    Replayed(Bytes),
    /// The job was not carried out.
    Failed(WriteError),
}

impl WriteJob {
    /// Returns a job, and the receiver of its reply.
    pub(super) fn new(
        request: AccountWrites,
        change_notifier: &Arc<ChangeNotifier>,
    ) -> (Self, oneshot::Receiver<WriteReply>) {
        let (reply, receiver) = oneshot::channel();
        let change_notifier = Arc::clone(change_notifier);
        (
            Self {
                request,
                outcomes: WriteOutcomes::default(),
                committed: 0,
                lost_attempts: 0,
                change_notifier,
                reply,
            },
            receiver,
        )
    }

    /// Returns the writes that are not committed.
    pub(super) fn pending_writes(&self) -> &[Write] {
        &self.request.writes[self.committed..]
    }

    /// Whether a transaction has committed some of the writes.
    pub(super) fn is_started(&self) -> bool {
        self.committed > 0
    }

    /// Whether the writes can be divided into several transactions.
    pub(super) fn is_divisible(&self) -> bool {
        self.request.atomicity == Atomicity::Independent && !self.request.dry_run
    }

    /// Returns what the job needs exclusively, as far as it is known before the job is applied.
    pub(super) fn dependencies(&self) -> impl Iterator<Item = Dependency> {
        let request = &self.request;
        let of_write = |write: &Write| {
            let target = write.target().map(|target| match target {
                ContactTarget::Id(id) => Dependency::Contact(id),
                ContactTarget::Key(key) => Dependency::Key(key),
            });
            let claimed = write.claimed_keys(&request.registry).into_iter().map(Dependency::Key);
            target.into_iter().chain(claimed).collect::<Vec<_>>()
        };
        let key = request.idempotent_request.as_ref().map(|request| Dependency::IdempotencyKey(request.key.clone()));
        self.pending_writes().iter().flat_map(of_write).chain(key)
    }

    /// Returns when the job depends on more than the contacts that it addresses: on keys, on a stored response, or on the ids
    /// of other contacts.
    pub(super) fn position_use(&self) -> PositionUse {
        let request = &self.request;
        if request.idempotent_request.is_some() {
            return PositionUse::Always;
        }
        let changes_values = |write: &Write| !write.changes_unique_fields(&request.registry);
        let is_by_id = |write: &Write| matches!(write, Write::Update { target: ContactTarget::Id(_), .. });
        match &*request.writes {
            writes if writes.iter().all(|write| is_by_id(write) && changes_values(write)) => PositionUse::Never,
            [write @ (Write::Update { .. } | Write::Upsert(_))] if changes_values(write) => PositionUse::IfKeyIsFree,
            _ => PositionUse::Always,
        }
    }

    /// Whether a write has a `source_updated_at`. The job then depends on times that change without a change of the account,
    /// so it is loaded, applied and stored under the lock of the account.
    pub(super) fn has_source_times(&self) -> bool {
        self.request.writes.iter().any(|write| write.source_updated_at().is_some())
    }

    /// Counts an attempt that did not store the job. Returns whether the next attempt should wait for other writers of the
    /// account.
    pub(super) fn count_lost_attempt(&mut self) -> bool {
        self.lost_attempts += 1;
        self.lost_attempts >= MAX_LOST_ATTEMPTS
    }

    /// Returns the pending writes that are applied, each with its outcome.
    pub(super) fn applied_writes(&self) -> impl Iterator<Item = (&Write, &WriteOutcome)> {
        self.pending_writes().iter().zip(&self.outcomes[self.committed..])
    }

    /// Sets the final times of the contacts in the outcomes that are not committed. See [`WriteOutcomes::place_times`].
    pub(super) fn place_times(&mut self, last: LastChange, created: &HashSet<Uuid>) {
        self.outcomes.place_times(self.committed, last, created);
    }

    /// Adds the outcome of the next pending write.
    pub(super) fn add_outcome(&mut self, outcome: WriteOutcome, memory: &TransactionMemory) {
        let request = &self.request;
        if request.writes.len() == 1 {
            self.outcomes.push_only(outcome);
        } else {
            self.outcomes.push(outcome, request.account, &request.custom_fields, memory);
        }
    }

    /// Removes the outcomes of a transaction that was not committed.
    pub(super) fn discard_uncommitted(&mut self) {
        self.outcomes.truncate(self.committed);
    }

    /// Completes a transaction with this job, which was stored after the account's change `last`: notifies long polls if
    /// it has changed the account, and replies, unless the job needs another transaction. A caller that has disconnected only loses its reply. Call this after the commit.
    ///
    /// Returns the job if it needs another transaction.
    pub(super) fn finish(mut self, result: JobResult, last: LastChange) -> Option<Self> {
        if let Some(position) = self.last_changed_position(&result) {
            self.change_notifier.notify(self.request.account, last.place_position(position));
        }
        self.committed = self.outcomes.len();
        let reply = match result {
            JobResult::PartlyApplied => return Some(self),
            JobResult::Applied(None) => Ok(Idempotent::Fresh(self.outcomes)),
            JobResult::Applied(Some(response)) => Ok(Idempotent::Stored(response)),
            JobResult::Replayed(response) => Ok(Idempotent::Replayed(response)),
            JobResult::Failed(error) => Err(error),
        };
        let _ = self.reply.send(reply);
        None
    }

    /// Replies that the job failed. If some of its writes are committed, the caller learns that the outcome is unknown.
    pub(super) fn fail(self, error: StorageError) {
        let error = if self.is_started() { StorageError::Lost } else { error };
        let _ = self.reply.send(Err(error.into()));
    }

    /// Returns the provisional position of the last change in the transaction; `None` if nothing was changed: the writes were
    /// rejected, replayed, a dry run, or had no effect.
    fn last_changed_position(&self, result: &JobResult) -> Option<i64> {
        match result {
            JobResult::Applied(_) | JobResult::PartlyApplied if !self.request.dry_run => {
                self.outcomes[self.committed..].iter().flatten().filter_map(|written| written.changed_at).min()
            }
            _ => None,
        }
    }

    /// Whether the caller has disconnected, and no write is committed. A job that is started is completed: its response
    /// must be stored under its idempotency key.
    pub(super) fn is_abandoned(&self) -> bool {
        self.reply.is_closed() && !self.is_started()
    }
}

/// Replies to jobs that were not carried out.
pub(super) fn fail_jobs(jobs: Vec<WriteJob>, error: &StorageError) {
    for job in jobs {
        job.fail(error.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contacts::Preconditions;
    use crate::fields::system;
    use crate::repository::writer::fixtures::{self, by_external_id, create, update, upsert};

    #[test]
    fn job_depends_on_the_position_unless_it_changes_only_values() {
        let id = Uuid::from_u128(1);
        let (by_id, by_key) = (|| ContactTarget::Id(id), || by_external_id("x"));
        let (name, email) = (system::LAST_NAME, system::EMAIL);
        let archive = Write::Archive { target: by_id(), preconditions: Preconditions::default() };
        let restore = Write::Restore { id, preconditions: Preconditions::default() };
        for (writes, expected) in [
            (vec![update(by_id(), name)], PositionUse::Never),
            (vec![update(by_id(), name), update(by_id(), name)], PositionUse::Never),
            (vec![update(by_id(), email)], PositionUse::Always),
            (vec![archive], PositionUse::Always),
            (vec![restore], PositionUse::Always),
            (vec![create(name)], PositionUse::Always),
            (vec![update(by_key(), name)], PositionUse::IfKeyIsFree),
            (vec![update(by_key(), email)], PositionUse::Always),
            (vec![upsert("x", name)], PositionUse::IfKeyIsFree),
            (vec![upsert("x", email)], PositionUse::Always),
            (vec![upsert("x", name), update(by_id(), name)], PositionUse::Always),
        ] {
            let (job, _reply) = fixtures::job(writes, Atomicity::Independent);
            assert_eq!(job.position_use(), expected, "{:?}", job.request.writes);
        }
    }
}
