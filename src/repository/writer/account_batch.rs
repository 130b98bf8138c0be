//! The jobs of one account that are written together: their unit of work and their replies.

mod apply_jobs;
mod deferred_writes;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::write_job::{JobResult, PositionUse, WriteJob};
use crate::contacts::{
    Change, ChangeKind, Contact, Effects, LastChange, Lookups, SourceKey, SourceTimes, UnitOfWork, Write,
};
use crate::fields::{CustomSelection, Registry, RegistryVersion};
use crate::repository::idempotency::{NewStoredResponse, StoredResponse};
use crate::repository::statement::ShardAccounts;

/// The size of the changed values, in bytes, from which on they are not bound together to one statement: its parameters
/// would take several times their memory.
pub(super) const MAX_BOUND_BYTES: usize = 1024 * 1024;

/// The state of an account that its writes depend on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct AccountState {
    /// The version of its registry.
    pub(super) registry: RegistryVersion,
    /// The position of its last change; `None` if it was not read, because the jobs do not depend on it.
    pub(super) position: Option<i64>,
}

impl AccountState {
    /// Returns whether nothing that both reads have found shows a change between them.
    fn fits(self, other: Self) -> bool {
        let is_moved = self.position.zip(other.position).is_some_and(|(position, other)| position != other);
        self.registry == other.registry && !is_moved
    }
}

/// Returns the parameter of `shard_condition` in statements about the accounts of these batches.
pub(super) fn shard_accounts<'b>(batches: impl IntoIterator<Item = &'b AccountBatch>) -> ShardAccounts {
    batches.into_iter().map(|batch| batch.is_distributed.then_some(batch.account)).collect()
}

/// Jobs of one account that are written in one transaction.
pub(super) struct AccountBatch {
    pub(super) account: Uuid,
    /// Whether the tables are distributed.
    pub(super) is_distributed: bool,
    pub(super) jobs: Vec<WriteJob>,
    /// The maximum number of writes of the last job that this transaction applies.
    last_job_limit: usize,
    /// When the jobs depend on the account's last position.
    position_use: PositionUse,
    /// The jobs that another transaction has to write, because this one has too little memory.
    deferred: Vec<WriteJob>,
    /// The number of writes to which the batch was reduced, because nothing could be loaded.
    reduced_writes: Option<usize>,
    /// The state of the account as it was read; `None` while it has no row.
    pub(super) state: Option<AccountState>,
    /// Whether the account was read.
    is_read: bool,
    /// Whether the account has changed between two reads, so that their results do not fit together.
    is_stale: bool,
    /// The `ctid` of each loaded contact.
    row_ids: HashMap<Uuid, String>,
    /// The position of the account's last change when the batch is stored, if nothing that the batch depends on has changed.
    pub(super) expected_position: Option<i64>,
    /// The change of the account after which the batch is stored.
    pub(super) last: LastChange,
    pub(super) unit_of_work: UnitOfWork,
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
    pub(super) fn new(account: Uuid, jobs: Vec<WriteJob>, is_distributed: bool) -> Self {
        Self {
            account,
            is_distributed,
            position_use: jobs.iter().map(WriteJob::position_use).max().unwrap_or(PositionUse::Never),
            jobs,
            last_job_limit: usize::MAX,
            deferred: vec![],
            reduced_writes: None,
            state: None,
            is_read: false,
            is_stale: false,
            row_ids: HashMap::new(),
            expected_position: None,
            last: LastChange::default(),
            unit_of_work: UnitOfWork::default(),
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

    /// Returns the custom fields that have to be loaded with the contacts.
    pub(super) fn required_custom_fields(&self) -> CustomSelection {
        let mut required = CustomSelection::default();
        for (job, writes) in self.jobs_with_writes() {
            required.add_all(&job.request.custom_fields);
            writes.iter().for_each(|write| write.add_required_custom_fields(&job.request.registry, &mut required));
        }
        required
    }

    /// Returns when the account's last position must be read with contacts and keys. Several reads that depend on it fit
    /// together only if it is the same.
    pub(super) fn position_use(&self) -> PositionUse {
        match self.state {
            Some(AccountState { position: Some(_), .. }) => PositionUse::Always,
            _ => self.position_use,
        }
    }

    /// Records the account's state as it was read. A second read that finds another state makes the batch stale.
    pub(super) fn set_account_state(&mut self, state: Option<AccountState>) {
        if !std::mem::replace(&mut self.is_read, true) {
            self.state = state;
            return;
        }
        match (&mut self.state, state) {
            (Some(known), Some(state)) => {
                self.is_stale |= !known.fits(state);
                known.position = known.position.or(state.position);
            }
            (known, state) => self.is_stale |= *known != state,
        }
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

    /// Limits the batch to the first jobs, and to this number of writes of the last one.
    fn limit_to(&mut self, jobs: usize, writes_of_last: usize) {
        let mut deferred = self.jobs.split_off(jobs);
        deferred.append(&mut self.deferred);
        (self.deferred, self.last_job_limit) = (deferred, writes_of_last);
    }

    /// Returns the contacts and key holders that still have to be loaded before the jobs can be applied, in the order in
    /// which the writes need them.
    pub(super) fn required_lookups(&self) -> Lookups {
        let mut lookups = Lookups::default();
        for (job, writes) in self.jobs_with_writes() {
            self.unit_of_work.collect_required_lookups(writes, &job.request.registry, &mut lookups);
        }
        if lookups.ids.len() > 1 {
            let mut known = HashSet::with_capacity(lookups.ids.len());
            lookups.ids.retain(|id| known.insert(*id));
        }
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

    /// Adds the response stored under a key. `None` as a response: another request has used the key.
    pub(super) fn add_stored_response(&mut self, key: String, stored: StoredResponse) {
        // Two requests of the batch may have the same key. The response was loaded for only one of them.
        if stored.response().is_some() || !self.stored_responses.contains_key(&key) {
            self.stored_responses.insert(key, stored);
        }
    }

    /// Whether the jobs change a contact, or store a response or a time.
    pub(super) fn has_effects(&self) -> bool {
        !self.unit_of_work.changes().is_empty()
            || !self.new_responses.is_empty()
            || self.unit_of_work.source_times.has_changes()
    }

    /// Whether the changed values are too large to be bound to one statement.
    pub(super) fn is_large(&self) -> bool {
        self.is_large
    }

    /// Whether the batch changes only values of active contacts, so that one statement stores all of it. Citus does not support
    /// the statement.
    pub(super) fn is_values_only(&self) -> bool {
        let is_small = self.new_responses.is_empty() && !self.is_large;
        is_small
            && !self.unit_of_work.source_times.has_changes()
            && !self.is_distributed
            && !self.unit_of_work.changes().is_empty()
            && self.unit_of_work.is_values_only()
    }

    /// Whether the batch changes only values, and no write depends on the contact of another.
    pub(super) fn is_independent_values_only(&self) -> bool {
        self.is_values_only() && self.jobs.iter().all(WriteJob::is_divisible)
    }

    /// Whether a job stores a response that contains contacts of earlier transactions.
    pub(super) fn completes_started_request(&self) -> bool {
        self.jobs.iter().any(|job| job.is_started() && job.request.idempotent_request.is_some())
    }

    /// Whether some contacts of the batch may be stored without others: it changes only values, and a request with several
    /// writes, which is stored as a whole or not at all, is not among the jobs.
    pub(super) fn is_divisible_by_contact(&self) -> bool {
        self.is_values_only() && self.jobs.iter().all(|job| job.request.writes.len() == 1)
    }

    /// Whether one statement can store the batch: it is not large and purges no contact.
    pub(super) fn fits_into_statement(&self) -> bool {
        !self.is_large && !self.unit_of_work.changes().iter().any(|change| change.kind == ChangeKind::Purged)
    }

    /// Returns the first time that is stored in a text: in a response, or in the changed values of an archiving. If there is
    /// one, all changes keep their times, so the account's last change must not be later.
    pub(super) fn exact_times_from(&self) -> Option<DateTime<Utc>> {
        let changes = self.unit_of_work.changes();
        let is_archiving = |change: &Change| change.kind == ChangeKind::Archived;
        let has_texts = !self.new_responses.is_empty() || changes.iter().any(is_archiving);
        changes.iter().map(|change| change.at).min().filter(|_| has_texts)
    }

    /// Returns the contacts and actors whose newest times the jobs need.
    pub(super) fn required_source_times(&self) -> Vec<(Uuid, SourceKey)> {
        let mut required = vec![];
        for (job, writes) in self.jobs_with_writes() {
            let writes = writes.iter().filter(|write| write.source_updated_at().is_some());
            let contacts = writes.filter_map(|write| self.unit_of_work.addressed_contact(write));
            let key = |contact| (self.account, SourceTimes::key(contact, job.request.actor.as_ref()));
            required.extend(contacts.map(key));
        }
        required
    }

    /// Returns the times to be stored, each with its account.
    pub(super) fn source_times(&self) -> impl Iterator<Item = (Uuid, &SourceKey, DateTime<Utc>)> {
        self.unit_of_work.source_times.changes().map(|(key, time)| (self.account, key, time))
    }

    /// Returns the responses to be stored, each with its account.
    pub(super) fn account_responses(&self) -> impl Iterator<Item = (Uuid, &NewStoredResponse)> {
        self.new_responses.iter().map(|new| (self.account, new))
    }

    /// Adds a contact that was loaded, with its `ctid`.
    pub(super) fn add_loaded_contact(&mut self, contact: Contact, row_id: String) {
        self.check_version(contact.id, Some(contact.version));
        self.row_ids.insert(contact.id, row_id);
        self.unit_of_work.add_loaded_contact(contact.id, Some(contact));
    }

    /// Records that no contact has this id.
    pub(super) fn add_missing_contact(&mut self, id: Uuid) {
        self.check_version(id, None);
        self.unit_of_work.add_loaded_contact(id, None);
    }

    /// Makes the batch stale if an earlier read has found the contact in another version. The key that led to it may have
    /// another holder now.
    fn check_version(&mut self, id: Uuid, version: Option<i64>) {
        self.is_stale |= self.unit_of_work.loaded_version(id).is_some_and(|known| known != version);
    }

    /// Returns the `ctid` of each updated contact, in order.
    pub(super) fn updated_row_ids(&self) -> impl Iterator<Item = Option<&str>> {
        self.effects.updated.iter().map(|updated| self.row_ids.get(&updated.now.id).map(String::as_str))
    }

    /// Places the changes after the account's last change, which was read under the account's lock. Later times than those
    /// of the changes also change the outcomes and the responses to be stored.
    pub(super) fn place_after(&mut self, last: LastChange) {
        self.last = last;
        let is_late = |at| last.place_time(at) != at;
        if self.unit_of_work.changes().iter().any(|change| is_late(change.at)) {
            let created: HashSet<_> = self.effects.created.iter().map(|contact| contact.id).collect();
            self.jobs.iter_mut().for_each(|job| job.place_times(last, &created));
            self.rebuild_responses();
        }
    }

    /// Returns the change of the account after which the changes are placed.
    pub(super) fn known_last(&self) -> Option<LastChange> {
        Some(self.last)
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

    /// Finishes every job, except those whose outcome depends on a change that was not stored, because `is_stored` returns
    /// false for its contact. Returns the jobs that were not stored, and the deferred jobs. The batch must change values
    /// only: then a write depends on no other contact than its own.
    pub(super) fn finish_stored_jobs(self, is_stored: impl Fn(Uuid) -> bool) -> (Vec<WriteJob>, Vec<WriteJob>) {
        let changed = self.unit_of_work.changes().iter().map(|change| change.contact_id);
        let unstored: HashSet<_> = changed.filter(|id| !is_stored(*id)).collect();
        let depends_on_unstored = |job: &WriteJob| {
            let target = |write: &Write| write.target().and_then(|target| self.unit_of_work.target_id(&target));
            let mut contacts = job.applied_writes().filter_map(|(write, outcome)| match outcome {
                Ok(written) => Some(written.contact.id),
                Err(_) => target(write),
            });
            contacts.any(|contact| unstored.contains(&contact))
        };
        let unstored_jobs: Vec<_> =
            self.jobs.iter().map(|job| !unstored.is_empty() && depends_on_unstored(job)).collect();
        let last = self.last;
        let (results, mut deferred) = self.into_results();
        let mut not_stored = vec![];
        for ((job, result), is_unstored) in results.zip(unstored_jobs) {
            if is_unstored {
                not_stored.push(job);
            } else {
                deferred.extend(job.finish(result, last));
            }
        }
        (not_stored, deferred)
    }
}
