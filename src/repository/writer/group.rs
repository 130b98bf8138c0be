//! The jobs of one account that are written together: their workspace, and what becomes of each.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use uuid::Uuid;

use super::work::{Done, Job, Reply, Unit, Work};
use crate::contacts::{Collision, Effects, Wanted, Workspace, Write, WriteOutcome, WriteRefusal};
use crate::fields::Registry;
use crate::repository::WriteError;
use crate::repository::kept::{Kept, NewKept};

/// The state of an account that its writes depend on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct AccountState {
    /// The version of its registry.
    pub(super) registry: i64,
    /// The position of its last change.
    pub(super) position: i64,
}

/// Jobs of one account.
pub(super) struct Group {
    pub(super) account: Uuid,
    pub(super) jobs: Vec<Job>,
    /// The account as it has to be when its jobs are stored; `None` while it has no row.
    pub(super) state: Option<AccountState>,
    /// The states in which the account may be read. Empty: the first read says.
    expected: Vec<Option<AccountState>>,
    /// Whether the account has changed between two of its reads: what was read does not belong together.
    is_torn: bool,
    pub(super) workspace: Workspace,
    /// The answers known under the keys of its jobs.
    pub(super) kept: HashMap<String, Kept>,
    /// The answers to be kept.
    pub(super) new_kept: Vec<NewKept>,
    /// What becomes of each job, once applied.
    replies: Vec<Reply>,
    /// What they do to the account, once applied.
    pub(super) effects: Effects,
    /// The account's registry, once a job that knows it is applied.
    registry: Option<Arc<Registry>>,
}

impl Group {
    pub(super) fn of(account: Uuid, jobs: Vec<Job>) -> Self {
        Self {
            account,
            jobs,
            state: None,
            expected: vec![],
            is_torn: false,
            workspace: Workspace::default(),
            kept: HashMap::new(),
            new_kept: vec![],
            replies: vec![],
            effects: Effects::default(),
            registry: None,
        }
    }

    /// A group for the jobs that come after these, which are applied and about to be stored. What those need may be looked
    /// up before that or after it: what these change is known, and all else stays the same.
    pub(super) fn next(&self) -> Self {
        let workspace = self.workspace.next();
        let state = (self.state.is_some() || self.has_effects())
            .then(|| AccountState { position: workspace.position(), ..self.state.unwrap_or_default() });
        Self { state, expected: vec![self.state, state], workspace, ..Self::of(self.account, vec![]) }
    }

    /// Takes note of the account as it is.
    pub(super) fn know_account(&mut self, state: Option<AccountState>) {
        if self.expected.is_empty() {
            (self.expected, self.state) = (vec![state], state);
            self.workspace = Workspace::at(state.unwrap_or_default().position);
        }
        self.is_torn |= !self.expected.contains(&state);
    }

    /// Gives up what is known of the account.
    pub(super) fn tear(&mut self) {
        self.is_torn = true;
    }

    /// Whether its jobs can't be answered from what was read: not even a refusal would be sure.
    pub(super) fn is_torn(&self) -> bool {
        self.is_torn
    }

    /// What its jobs still need to be looked up.
    pub(super) fn wanted(&self) -> Wanted {
        let mut wanted = Wanted::default();
        for Job { work, .. } in &self.jobs {
            self.workspace.want(&work.writes, &work.registry, &mut wanted);
        }
        wanted.ids.sort_unstable();
        wanted.ids.dedup();
        wanted.keys.sort_unstable();
        wanted.keys.dedup();
        wanted
    }

    /// Applies its jobs, one after another.
    pub(super) fn apply(&mut self) {
        if self.is_torn {
            return;
        }
        let jobs = std::mem::take(&mut self.jobs);
        self.replies = jobs.iter().map(|job| self.apply_one(&job.work)).collect();
        self.jobs = jobs;
        if let Some(registry) = &self.registry {
            self.effects = self.workspace.effects(registry);
        }
    }

    fn apply_one(&mut self, work: &Work) -> Reply {
        if work.registry.version() != self.state.unwrap_or_default().registry {
            return Err(WriteError::RegistryChanged);
        }
        self.registry.get_or_insert_with(|| Arc::clone(&work.registry));
        let kept = work.keep.as_ref().and_then(|keep| Some(self.kept.get(&keep.key)?.replay(&keep.fingerprint)));
        if let Some(replayed) = kept {
            return replayed.map(Done::Replayed);
        }
        let mark = (work.unit != Unit::Each || work.dry_run).then(|| self.workspace.clone());
        let actor = work.actor.as_ref();
        let mut outcomes: Vec<_> =
            work.writes.iter().map(|write| self.workspace.apply(write, actor, &work.registry)).collect();
        let created: Vec<_> =
            outcomes.iter().flatten().filter(|written| written.created).map(|w| w.contact.id).collect();
        let is_undone = undo(work.unit, &mut outcomes);
        if let Some(mark) = mark.filter(|_| is_undone || work.dry_run) {
            disown(&created, &mut outcomes);
            self.workspace = mark;
        }
        if let Some(keep) = work.keep.as_ref().filter(|_| !work.dry_run)
            && let Some(new) = NewKept::of(keep, &outcomes[..], shown(&work.writes, &outcomes))
        {
            self.kept.insert(new.key.clone(), new.kept.clone());
            self.new_kept.push(new);
        }
        Ok(Done::Fresh(outcomes))
    }

    /// Whether its jobs change anything.
    pub(super) fn has_effects(&self) -> bool {
        !self.workspace.changes().is_empty() || !self.new_kept.is_empty()
    }

    /// Whether one statement can store it.
    pub(super) fn is_plain(&self) -> bool {
        self.new_kept.is_empty() && self.workspace.is_plain()
    }

    /// Answers every job. Those about a changed contact for which `is_stored` does not hold are given back.
    pub(super) fn answer(self, is_stored: impl Fn(Uuid) -> bool) -> Vec<Job> {
        let changed: HashSet<_> = self.workspace.changes().iter().map(|change| change.contact_id).collect();
        let is_lost = |id: Uuid| changed.contains(&id) && !is_stored(id);
        let mut again = vec![];
        for (job, reply) in self.jobs.into_iter().zip(self.replies) {
            match &reply {
                Ok(Done::Fresh(outcomes)) if outcomes.iter().flatten().any(|written| is_lost(written.contact.id)) => {
                    again.push(job);
                }
                _ => job.answer(reply),
            }
        }
        again
    }
}

/// The contacts that an answer to these writes shows. That to a purge shows none: the purge itself must not take it away.
fn shown(writes: &[Write], outcomes: &[WriteOutcome]) -> Vec<Uuid> {
    let written = writes.iter().zip(outcomes).filter(|(write, _)| !matches!(write, Write::Purge { .. }));
    written.filter_map(|(_, outcome)| Some(outcome.as_ref().ok()?.contact.id)).collect()
}

/// Whether all writes are to be left undone, and says so of those that could have been done.
fn undo(unit: Unit, outcomes: &mut [WriteOutcome]) -> bool {
    let fails = match unit {
        Unit::Each => false,
        Unit::AllOrNothing => outcomes.iter().any(Result::is_err),
        Unit::Nothing => true,
    };
    if fails {
        outcomes.iter_mut().filter(|outcome| outcome.is_ok()).for_each(|outcome| {
            *outcome = Err(WriteRefusal::NotApplied);
        });
    }
    fails
}

/// Takes the names of contacts that will never be out of what others are refused for.
fn disown(created: &[Uuid], outcomes: &mut [WriteOutcome]) {
    for outcome in outcomes {
        if let Err(WriteRefusal::Duplicate(collisions)) = outcome {
            let unborn = |collision: &&mut Collision| collision.existing_id.is_some_and(|id| created.contains(&id));
            collisions.iter_mut().filter(unborn).for_each(|collision| collision.existing_id = None);
        }
    }
}
