//! The jobs of one account that are written together: their unit of work and their replies.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use uuid::Uuid;

use super::write_job::{AccountWrites, Atomicity, WriteJob, WriteReply};
use crate::contacts::{Collision, Effects, Lookups, UnitOfWork, Write, WriteOutcome, WriteRejection};
use crate::fields::{CustomSelection, Registry};
use crate::repository::error::WriteError;
use crate::repository::idempotency::{Idempotent, NewStoredResponse, StoredResponse};

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
    /// The reply to each job, once the jobs are applied.
    replies: Vec<WriteReply>,
    /// The changes to the account's rows, once the jobs are applied.
    pub(super) effects: Effects,
    /// The account's registry, once a job with its current version is applied.
    registry: Option<Arc<Registry>>,
}

impl AccountBatch {
    pub(super) fn new(account: Uuid, jobs: Vec<WriteJob>) -> Self {
        Self {
            account,
            jobs,
            state: None,
            expected: vec![],
            is_stale: false,
            unit_of_work: UnitOfWork::default(),
            loads_all_custom_fields: false,
            stored_responses: HashMap::new(),
            new_responses: vec![],
            replies: vec![],
            effects: Effects::default(),
            registry: None,
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
        for WriteJob { request, .. } in &self.jobs {
            required.add_all(&request.custom_fields);
            request.writes.iter().for_each(|write| write.add_required_custom_fields(&request.registry, &mut required));
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

    /// Returns the contacts and key holders that still have to be loaded before the jobs can be applied.
    pub(super) fn required_lookups(&self) -> Lookups {
        let mut lookups = Lookups::default();
        for WriteJob { request, .. } in &self.jobs {
            self.unit_of_work.collect_required_lookups(&request.writes, &request.registry, &mut lookups);
        }
        lookups.ids.sort_unstable();
        lookups.ids.dedup();
        lookups.keys.sort_unstable();
        lookups.keys.dedup();
        if lookups.is_empty() {
            lookups.incomplete_ids = self.contacts_to_complete();
        }
        lookups
    }

    /// Returns the loaded contacts of which all custom fields have to be loaded.
    fn contacts_to_complete(&self) -> Vec<Uuid> {
        let requests = self.jobs.iter().map(|job| &job.request);
        let writes = requests.flat_map(|request| request.writes.iter().map(|write| (write, &*request.registry)));
        self.unit_of_work.contacts_to_complete(&writes.collect::<Vec<_>>())
    }

    /// Applies the jobs one after another.
    pub(super) fn apply(&mut self) {
        if self.is_stale {
            return;
        }
        let jobs = std::mem::take(&mut self.jobs);
        self.replies = jobs.iter().map(|job| self.apply_job(&job.request)).collect();
        self.jobs = jobs;
        if let Some(registry) = &self.registry {
            self.effects = self.unit_of_work.effects(registry);
        }
    }

    fn apply_job(&mut self, request: &AccountWrites) -> WriteReply {
        if request.registry.version() != self.state.unwrap_or_default().registry {
            return Err(WriteError::RegistryChanged);
        }
        self.registry.get_or_insert_with(|| Arc::clone(&request.registry));
        let idempotent = request.idempotent_request.as_ref();
        if let Some(idempotent) = idempotent
            && let Some(stored) = self.stored_responses.get(&idempotent.key)
        {
            return stored.replay(&idempotent.fingerprint).map(Idempotent::Replayed);
        }
        let outcomes = self.apply_writes(request);
        if let Some(idempotent) = idempotent.filter(|_| !request.dry_run)
            && let Some(new) =
                NewStoredResponse::new(idempotent, &outcomes[..], contacts_in_response(&request.writes, &outcomes))
        {
            self.stored_responses.insert(new.key.clone(), new.stored.clone());
            self.new_responses.push(new);
        }
        Ok(Idempotent::Fresh(outcomes))
    }

    /// Applies the writes of a job, and rolls them back if the job is a dry run or its atomicity rejects all writes.
    fn apply_writes(&mut self, request: &AccountWrites) -> Vec<WriteOutcome> {
        let may_roll_back = request.atomicity != Atomicity::Independent || request.dry_run;
        let savepoint = may_roll_back.then(|| self.unit_of_work.clone());
        let actor = request.actor.as_ref();
        let mut outcomes: Vec<_> =
            request.writes.iter().map(|write| self.unit_of_work.apply(write, actor, &request.registry)).collect();
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

    /// Whether the batch changes contacts, and only values of active ones, so that one statement stores these changes.
    pub(super) fn changes_values_only(&self) -> bool {
        !self.unit_of_work.changes().is_empty() && self.unit_of_work.is_values_only()
    }

    /// Whether the batch changes only values of active contacts, so that one statement stores all of it.
    pub(super) fn is_values_only(&self) -> bool {
        self.new_responses.is_empty() && self.changes_values_only()
    }

    /// Returns every job with its reply.
    pub(super) fn into_replies(self) -> impl Iterator<Item = (WriteJob, WriteReply)> {
        self.jobs.into_iter().zip(self.replies)
    }

    /// Replies to every job, except to jobs that changed a contact for which `is_stored` returns false. Returns the
    /// jobs without a reply.
    pub(super) fn send_replies(self, is_stored: impl Fn(Uuid) -> bool) -> Vec<WriteJob> {
        let changed: HashSet<_> = self.unit_of_work.changes().iter().map(|change| change.contact_id).collect();
        let is_unstored = |id: Uuid| changed.contains(&id) && !is_stored(id);
        let mut not_stored = vec![];
        for (job, reply) in self.into_replies() {
            match &reply {
                Ok(Idempotent::Fresh(outcomes))
                    if outcomes.iter().flatten().any(|written| is_unstored(written.contact.id)) =>
                {
                    not_stored.push(job);
                }
                _ => job.send_reply(reply),
            }
        }
        not_stored
    }
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
