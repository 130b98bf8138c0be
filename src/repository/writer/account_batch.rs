//! The jobs of one account that are written together: their unit of work and their replies.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use super::transaction_memory::TransactionMemory;
use super::write_job::{Atomicity, JobResult, WriteJob};
use crate::contacts::{Change, Collision, Effects, Lookups, UnitOfWork, Write, WriteOutcome, WriteRejection};
use crate::fields::{CustomSelection, Registry};
use crate::repository::error::{StorageError, WriteError};
use crate::repository::idempotency::{NewStoredResponse, StoredResponse};

/// The size of the changed values, in bytes, from which on they are not bound together to one statement: its parameters
/// would take several times their memory.
pub(super) const MAX_BOUND_BYTES: usize = 1024 * 1024;
/// A response that is stored is in memory several times: for the reply, as a parameter, and in the connection's buffer.
const COPIES_OF_RESPONSE: usize = 3;

/// The state of an account that its writes depend on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct AccountState {
    /// The version of its registry.
    pub(super) registry: i64,
    /// The position of its last change.
    pub(super) position: i64,
}

/// Jobs of one account that are written in one transaction.
pub(super) struct AccountBatch {
    pub(super) account: Uuid,
    pub(super) jobs: Vec<WriteJob>,
    /// The maximum number of writes of the last job that this transaction applies.
    last_job_limit: usize,
    /// The jobs that another transaction has to write, because this one has too little memory.
    deferred: Vec<WriteJob>,
    /// The state that the account must still have when the batch is stored; `None` while it has no row.
    pub(super) state: Option<AccountState>,
    /// The states that a read of the account may find. Empty before the first read, which sets the list.
    expected: Vec<Option<AccountState>>,
    /// Whether the account has changed between two reads, so that their results do not fit together.
    is_stale: bool,
    pub(super) unit_of_work: UnitOfWork,
    /// Whether contacts are loaded with all custom fields, because later batches may need others than these jobs.
    loads_all_custom_fields: bool,
    /// The responses known under the idempotency keys of the jobs.
    pub(super) stored_responses: HashMap<String, StoredResponse>,
    /// The responses to be stored.
    pub(super) new_responses: Vec<NewStoredResponse>,
    /// The keys under which a response is stored that was not loaded, because the transaction has too little memory.
    unloaded_responses: HashSet<String>,
    /// The contacts that earlier transactions of these jobs have written, and that have been purged since.
    pub(super) purged_contacts: HashSet<Uuid>,
    /// The result of each job, once the jobs are applied.
    results: Vec<JobResult>,
    /// The changes to the account's rows, once the jobs are applied.
    pub(super) effects: Effects,
    /// The account's registry, once a job with its current version is applied.
    registry: Option<Arc<Registry>>,
    /// Whether the changed values are too large to be bound to one statement.
    is_large: bool,
    /// Whether the data of the only job does not fit into the memory of a transaction.
    is_too_large: bool,
}

impl AccountBatch {
    pub(super) fn new(account: Uuid, jobs: Vec<WriteJob>) -> Self {
        Self {
            account,
            jobs,
            last_job_limit: usize::MAX,
            deferred: vec![],
            state: None,
            expected: vec![],
            is_stale: false,
            unit_of_work: UnitOfWork::default(),
            loads_all_custom_fields: false,
            stored_responses: HashMap::new(),
            new_responses: vec![],
            unloaded_responses: HashSet::new(),
            purged_contacts: HashSet::new(),
            results: vec![],
            effects: Effects::default(),
            registry: None,
            is_large: false,
            is_too_large: false,
        }
    }

    /// Returns this batch, with contacts loaded with all custom fields, so that another batch can follow it.
    pub(super) fn with_all_custom_fields(self) -> Self {
        Self { loads_all_custom_fields: true, ..self }
    }

    /// Returns the custom fields that have to be loaded with the contacts.
    pub(super) fn required_custom_fields(&self) -> CustomSelection {
        if self.loads_all_custom_fields {
            return CustomSelection::All;
        }
        let mut required = CustomSelection::default();
        for (job, writes) in self.jobs_with_writes() {
            required.add_all(&job.request.custom_fields);
            writes.iter().for_each(|write| write.add_required_custom_fields(&job.request.registry, &mut required));
        }
        required
    }

    /// Returns an empty batch for jobs that follow this one, which is applied but may not be stored yet. Its lookups
    /// may run before or after this batch is stored: the contacts that this batch changes are known, the others stay
    /// the same.
    pub(super) fn following(&self) -> Self {
        let unit_of_work = self.unit_of_work.for_next_batch();
        let state = (self.state.is_some() || self.has_effects())
            .then(|| AccountState { position: unit_of_work.position(), ..self.state.unwrap_or_default() });
        Self { state, expected: vec![self.state, state], unit_of_work, ..Self::new(self.account, vec![]) }
            .with_all_custom_fields()
    }

    /// Records the account's state as it was read. A second read that finds another state makes the batch stale.
    pub(super) fn set_account_state(&mut self, state: Option<AccountState>) {
        if self.expected.is_empty() {
            (self.expected, self.state) = (vec![state], state);
            self.unit_of_work = UnitOfWork::new(state.unwrap_or_default().position);
        }
        self.is_stale |= !self.expected.contains(&state);
    }

    /// Marks the loaded data of the account as outdated.
    pub(super) fn mark_stale(&mut self) {
        self.is_stale = true;
    }

    /// Whether the data must be loaded and the jobs applied again. Until then, not even a rejection is certain.
    pub(super) fn is_stale(&self) -> bool {
        self.is_stale
    }

    /// Returns every job, with the writes that this transaction applies.
    fn jobs_with_writes(&self) -> impl Iterator<Item = (&WriteJob, &[Write])> {
        let last = self.jobs.len().saturating_sub(1);
        self.jobs.iter().enumerate().map(move |(index, job)| {
            let pending = job.pending_writes();
            let count = if index == last { pending.len().min(self.last_job_limit) } else { pending.len() };
            (job, &pending[..count])
        })
    }

    /// Returns the contacts and key holders that still have to be loaded before the jobs can be applied, in the order in
    /// which the writes need them.
    pub(super) fn required_lookups(&self) -> Lookups {
        let mut lookups = Lookups::default();
        for (job, writes) in self.jobs_with_writes() {
            self.unit_of_work.collect_required_lookups(writes, &job.request.registry, &mut lookups);
        }
        let mut known = HashSet::with_capacity(lookups.ids.len());
        lookups.ids.retain(|id| known.insert(*id));
        lookups.keys.sort_unstable();
        lookups.keys.dedup();
        if lookups.is_empty() {
            lookups.incomplete_ids = self.contacts_to_complete();
        }
        lookups
    }

    /// Returns the loaded contacts of which all custom fields have to be loaded.
    fn contacts_to_complete(&self) -> Vec<Uuid> {
        let mut with_registry = vec![];
        for (job, writes) in self.jobs_with_writes() {
            with_registry.extend(writes.iter().map(|write| (write, &*job.request.registry)));
        }
        self.unit_of_work.contacts_to_complete(&with_registry)
    }

    /// Limits the batch to the writes, in order, whose data is loaded. The other jobs are deferred. Call this when the
    /// memory of the transaction is full.
    pub(super) fn defer_unloaded_writes(&mut self) {
        let incomplete: HashSet<_> = self.contacts_to_complete().into_iter().collect();
        let is_loaded = |job: &WriteJob, write: &Write| {
            let mut lookups = Lookups::default();
            self.unit_of_work.collect_required_lookups(
                std::slice::from_ref(write),
                &job.request.registry,
                &mut lookups,
            );
            let contact = write.target().and_then(|target| self.unit_of_work.target_id(&target));
            lookups.is_empty() && contact.is_none_or(|contact| !incomplete.contains(&contact))
        };
        let is_unread = self.expected.is_empty();
        let unloaded = self.jobs_with_writes().enumerate().find_map(|(index, (job, writes))| {
            let unloaded = writes.iter().position(|write| is_unread || !is_loaded(job, write));
            unloaded.map(|count| (index, count, job.is_divisible()))
        });
        match unloaded {
            None => {}
            Some((index, count, true)) if count > 0 => self.limit_to(index + 1, count),
            Some((index, ..)) => self.limit_to(index, usize::MAX),
        }
    }

    /// Limits the batch to the first jobs, and to this number of writes of the last one.
    fn limit_to(&mut self, jobs: usize, writes_of_last: usize) {
        let mut deferred = self.jobs.split_off(jobs);
        deferred.append(&mut self.deferred);
        (self.deferred, self.last_job_limit) = (deferred, writes_of_last);
    }

    /// Whether nothing can be applied, because the transaction has too little memory for the first write.
    pub(super) fn is_unloaded(&self) -> bool {
        self.jobs.is_empty() && !self.deferred.is_empty()
    }

    /// Reduces a batch of which nothing could be loaded, so that it is loaded again: to its first job, then to half of the
    /// writes of this job. A job that cannot be divided will fail. Returns whether the batch has a single write now.
    pub(super) fn reduce(&mut self) -> bool {
        self.jobs.append(&mut self.deferred);
        let is_single_job = self.jobs.len() == 1;
        let Some(first) = self.jobs.first() else { return false };
        let writes = first.pending_writes().len().min(self.last_job_limit);
        self.is_too_large = is_single_job && writes > 1 && !first.is_divisible();
        if self.is_too_large {
            return false;
        }
        let limit = if is_single_job { (writes / 2).max(1) } else { usize::MAX };
        self.limit_to(1, limit);
        (self.state, self.is_stale) = (None, false);
        self.expected.clear();
        self.unit_of_work = UnitOfWork::default();
        limit == 1
    }

    /// Whether the data of the only job does not fit into the memory of a transaction.
    pub(super) fn is_too_large(&self) -> bool {
        self.is_too_large
    }

    /// Whether this batch builds on the projected state of another one.
    pub(super) fn is_prepared(&self) -> bool {
        self.loads_all_custom_fields
    }

    /// Whether another transaction has to write some of the jobs or writes.
    pub(super) fn has_deferred_writes(&self) -> bool {
        let is_divided = |result: &JobResult| matches!(result, JobResult::PartlyApplied);
        !self.deferred.is_empty() || self.results.iter().any(is_divided)
    }

    /// Adds the response stored under a key. `None` as a response: another request has used the key.
    pub(super) fn add_stored_response(&mut self, key: String, stored: StoredResponse) {
        // Two requests of the batch may have the same key. The response was loaded for only one of them.
        if stored.response().is_some() || !self.stored_responses.contains_key(&key) {
            self.stored_responses.insert(key, stored);
        }
    }

    /// Records that the response stored under a key does not fit into the memory of the transaction. Returns false for
    /// the key of the first job, whose response has to be loaded nevertheless.
    pub(super) fn skip_stored_response(&mut self, key: &str) -> bool {
        let idempotent = self.jobs.first().and_then(|job| job.request.idempotent_request.as_ref());
        let is_first = idempotent.is_some_and(|idempotent| idempotent.key == key);
        !is_first && {
            self.unloaded_responses.insert(key.to_owned());
            true
        }
    }

    /// Defers the jobs whose stored responses were not loaded, and the jobs after them.
    pub(super) fn defer_jobs_without_response(&mut self) {
        let is_unloaded = |job: &WriteJob| {
            let idempotent = job.request.idempotent_request.as_ref();
            idempotent.is_some_and(|idempotent| self.unloaded_responses.contains(&idempotent.key))
        };
        if let Some(index) = self.jobs.iter().position(is_unloaded) {
            self.limit_to(index, usize::MAX);
        }
    }

    /// Applies the jobs one after another, until the memory of the transaction is full. The jobs after that are deferred.
    pub(super) fn apply(&mut self, memory: &mut TransactionMemory) {
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

    /// Whether the jobs change a contact or store a response.
    pub(super) fn has_effects(&self) -> bool {
        !self.unit_of_work.changes().is_empty() || !self.new_responses.is_empty()
    }

    /// Whether the changed values are too large to be bound to one statement.
    pub(super) fn is_large(&self) -> bool {
        self.is_large
    }

    /// Whether the batch changes contacts, and only values of active ones, so that one statement stores these changes.
    pub(super) fn changes_values_only(&self) -> bool {
        !self.is_large && !self.unit_of_work.changes().is_empty() && self.unit_of_work.is_values_only()
    }

    /// Whether the batch changes only values of active contacts, so that one statement stores all of it.
    pub(super) fn is_values_only(&self) -> bool {
        self.new_responses.is_empty() && self.changes_values_only()
    }

    /// Returns every job that was applied with its result, and the deferred jobs.
    pub(super) fn into_results(self) -> (impl Iterator<Item = (WriteJob, JobResult)>, Vec<WriteJob>) {
        (self.jobs.into_iter().zip(self.results), self.deferred)
    }

    /// Returns all jobs, whether they were applied or not.
    pub(super) fn into_jobs(mut self) -> Vec<WriteJob> {
        self.jobs.append(&mut self.deferred);
        self.jobs
    }

    /// Finishes every job, except those that changed a contact for which `is_stored` returns false. Returns the jobs that
    /// were not stored, and the deferred jobs.
    pub(super) fn finish_stored_jobs(self, is_stored: impl Fn(Uuid) -> bool) -> (Vec<WriteJob>, Vec<WriteJob>) {
        let changed: HashSet<_> = self.unit_of_work.changes().iter().map(|change| change.contact_id).collect();
        let is_unstored = |id: Uuid| changed.contains(&id) && !is_stored(id);
        let (results, mut deferred) = self.into_results();
        let mut not_stored = vec![];
        for (job, result) in results {
            let is_applied = matches!(result, JobResult::Applied(_) | JobResult::PartlyApplied);
            if is_applied && job.outcomes.iter().flatten().any(|written| is_unstored(written.contact.id)) {
                not_stored.push(job);
            } else {
                deferred.extend(job.finish(result));
            }
        }
        (not_stored, deferred)
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
    if memory.is_starved() { StorageError::Overloaded.into() } else { WriteError::TooLarge }
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
        outcomes.iter_mut().filter(|outcome| outcome.is_ok()).for_each(|outcome| {
            *outcome = Err(WriteRejection::NotApplied);
        });
    }
    is_rejected
}

/// Removes rolled-back contact ids from the conflict details of other writes.
fn redact_rolled_back(created: &[Uuid], outcomes: &mut [WriteOutcome]) {
    for outcome in outcomes {
        if let Err(WriteRejection::Duplicate(collisions)) = outcome {
            let is_rolled_back =
                |collision: &&mut Collision| collision.existing_id.is_some_and(|id| created.contains(&id));
            collisions.iter_mut().filter(is_rolled_back).for_each(|collision| collision.existing_id = None);
        }
    }
}
