//! Applies the jobs of a batch to its unit of work, in memory.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use super::{AccountBatch, MAX_BOUND_BYTES};
use crate::contacts::{Change, RejectedWrite, Write, WriteOutcome, WriteRejection};
use crate::repository::error::{StorageError, WriteError};
use crate::repository::idempotency::NewStoredResponse;
use crate::repository::writer::transaction_memory::TransactionMemory;
use crate::repository::writer::write_job::{Atomicity, JobResult, WriteJob};

/// A response that is stored is in memory several times: for the reply, as a parameter, and in the connection's buffer.
const COPIES_OF_RESPONSE: usize = 3;

impl AccountBatch {
    /// Applies the jobs one after another, until the memory of the transaction is full. The jobs after that are deferred.
    pub(in crate::repository::writer) fn apply(&mut self, memory: &mut TransactionMemory) {
        if self.is_stale {
            return;
        }
        let mut jobs = std::mem::take(&mut self.jobs);
        let last = jobs.len().saturating_sub(1);
        for (index, job) in jobs.iter_mut().enumerate() {
            job.discard_uncommitted();
            let limit = if index == last { self.last_job_limit } else { usize::MAX };
            let Some(result) = self.apply_job(job, limit, memory) else { break };
            let is_divided = matches!(result, JobResult::PartlyApplied);
            self.results.push(result);
            if is_divided {
                break;
            }
        }
        self.jobs = jobs;
        self.limit_to(self.results.len(), usize::MAX);
        if let Some(registry) = &self.registry {
            self.effects = self.unit_of_work.effects(registry);
        }
        let changed_bytes = || self.unit_of_work.changes().iter().map(Change::changed_bytes).sum::<usize>();
        self.is_large = !memory.is_small() && changed_bytes() > MAX_BOUND_BYTES;
    }

    /// Applies the first `limit` pending writes of a job. Returns `None` if the job does not fit into the memory of the
    /// transaction, but would fit into another one.
    fn apply_job(&mut self, job: &mut WriteJob, limit: usize, memory: &mut TransactionMemory) -> Option<JobResult> {
        let request = &job.request;
        if request.registry.version() != self.state.unwrap_or_default().registry {
            // The writes that are committed must not be applied again.
            let is_started = job.is_started();
            let error = if is_started { StorageError::Lost.into() } else { WriteError::RegistryChanged };
            return Some(JobResult::Failed(error));
        }
        self.registry.get_or_insert_with(|| Arc::clone(&request.registry));
        if let Some(idempotent) = &request.idempotent_request
            && let Some(stored) = self.stored_responses.get(&idempotent.key)
        {
            let replayed = stored.replay(&idempotent.fingerprint);
            return Some(replayed.map_or_else(JobResult::Failed, JobResult::Replayed));
        }
        if self.is_too_large {
            return Some(JobResult::Failed(too_large(memory)));
        }
        let pending = job.pending_writes();
        let pending = &pending[..pending.len().min(limit)];
        let count = count_fitting_writes(pending, job.is_divisible(), memory);
        if count < pending.len() && (count == 0 || !job.is_divisible()) {
            return (!memory.has_write()).then(|| JobResult::Failed(too_large(memory)));
        }
        let is_complete = count == job.pending_writes().len();
        for outcome in self.apply_writes(job, count) {
            job.add_outcome(outcome, memory);
        }
        Some(if is_complete { JobResult::Applied(self.store_response(job, memory)) } else { JobResult::PartlyApplied })
    }

    /// Builds the response of a job that has an idempotency key, to be stored.
    fn store_response(&mut self, job: &WriteJob, memory: &mut TransactionMemory) -> Option<Bytes> {
        let request = &job.request;
        let idempotent = request.idempotent_request.as_ref().filter(|_| !request.dry_run)?;
        let contacts = contacts_in_response(&request.writes, &job.outcomes);
        let is_purged = contacts.iter().any(|contact| self.purged_contacts.contains(contact));
        let mut new = NewStoredResponse::new(idempotent, &job.outcomes, contacts)?;
        let response = new.stored.response().cloned();
        memory.take_required(response.as_ref().map_or(0, Bytes::len) * COPIES_OF_RESPONSE);
        if is_purged {
            new.stored.erase();
        }
        self.stored_responses.insert(new.key.clone(), new.stored.clone());
        self.new_responses.push(new);
        response
    }

    /// Builds the responses to be stored again, because the outcomes have changed.
    pub(super) fn rebuild_responses(&mut self) {
        let mut rebuilt = HashMap::new();
        for (job, result) in self.jobs.iter().zip(&mut self.results) {
            let Some(idempotent) = &job.request.idempotent_request else { continue };
            match result {
                JobResult::Applied(Some(response)) => {
                    let built = (idempotent.build_response)(&job.outcomes).map(Bytes::from);
                    *response = built.unwrap_or_default();
                    rebuilt.insert(&idempotent.key, response.clone());
                }
                // The same request was sent twice in this batch.
                JobResult::Replayed(response) => {
                    rebuilt.get(&idempotent.key).into_iter().for_each(|built| response.clone_from(built));
                }
                _ => {}
            }
        }
        for new in &mut self.new_responses {
            rebuilt.remove(&new.key).into_iter().for_each(|response| new.stored.replace_response(response));
        }
    }

    /// Applies the first pending writes of a job, and rolls them back if the job is a dry run or its atomicity rejects all
    /// writes.
    fn apply_writes(&mut self, job: &WriteJob, count: usize) -> Vec<WriteOutcome> {
        let request = &job.request;
        let may_roll_back = request.atomicity != Atomicity::Independent || request.dry_run;
        let savepoint = may_roll_back.then(|| self.unit_of_work.clone());
        let actor = request.actor.as_ref();
        let writes = &job.pending_writes()[..count];
        let mut outcomes: Vec<_> =
            writes.iter().map(|write| self.unit_of_work.apply(write, actor, &request.registry)).collect();
        let created: Vec<_> =
            outcomes.iter().flatten().filter(|written| written.created).map(|written| written.contact.id).collect();
        let is_rejected = reject_accepted_writes(request.atomicity, &mut outcomes);
        if let Some(savepoint) = savepoint.filter(|_| is_rejected || request.dry_run) {
            redact_rolled_back(&created, &mut outcomes);
            self.unit_of_work = savepoint;
        }
        outcomes
    }
}

/// Returns how many of these writes, in order, fit into the memory of the transaction, and takes this memory.
fn count_fitting_writes(writes: &[Write], is_divisible: bool, memory: &mut TransactionMemory) -> usize {
    if is_divisible || writes.len() == 1 {
        return writes.iter().take_while(|write| memory.try_take_for_write(write.memory_bytes())).count();
    }
    let bytes = writes.iter().map(Write::memory_bytes).sum();
    if memory.try_take_for_writes(bytes) { writes.len() } else { 0 }
}

/// Returns the error of a job that does not fit into the memory of a transaction and cannot be divided.
fn too_large(memory: &TransactionMemory) -> WriteError {
    if memory.is_short_of_memory() { StorageError::Overloaded.into() } else { WriteError::TooLarge }
}

/// Returns the ids of the contacts in the response to these writes. The contact of a purge is left out: otherwise the
/// purge would erase its own response.
fn contacts_in_response(writes: &[Write], outcomes: &[WriteOutcome]) -> Vec<Uuid> {
    let written = writes.iter().zip(outcomes).filter(|(write, _)| !matches!(write, Write::Purge { .. }));
    written.filter_map(|(_, outcome)| Some(outcome.as_ref().ok()?.contact.id)).collect()
}

/// Changes the outcomes of the accepted writes to `NotApplied` if the atomicity rejects all writes. Returns whether it
/// does.
fn reject_accepted_writes(atomicity: Atomicity, outcomes: &mut [WriteOutcome]) -> bool {
    let is_rejected = match atomicity {
        Atomicity::Independent => false,
        Atomicity::AllOrNothing => outcomes.iter().any(Result::is_err),
        Atomicity::RejectAll => true,
    };
    if is_rejected {
        for outcome in outcomes {
            if let Ok(written) = outcome {
                let contact = Some(written.contact.id);
                *outcome = Err(RejectedWrite { reason: WriteRejection::NotApplied, contact });
            }
        }
    }
    is_rejected
}

/// Removes rolled-back contact ids from the rejections of other writes.
fn redact_rolled_back(created: &[Uuid], outcomes: &mut [WriteOutcome]) {
    let redact = |id: &mut Option<Uuid>| *id = id.filter(|id| !created.contains(id));
    for rejected in outcomes.iter_mut().filter_map(|outcome| outcome.as_mut().err()) {
        redact(&mut rejected.contact);
        if let WriteRejection::Duplicate(collisions) = &mut rejected.reason {
            collisions.iter_mut().for_each(|collision| redact(&mut collision.existing_id));
        }
    }
}
